"""Pictures as wishes over the API: what is taken, what is kept of it, who sees it, and when it goes."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import httpx
import pytest
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from gateway.picture_av import BadPicture, NotPicture, draw
from stream.thumbnail_av import encode_jpeg
from tests.gateway.rig import rig


def picture(width: int = 64, height: int = 48, *, codec: str = "png", turn: int = 1) -> bytes:
    """A file whose upper left quarter is red; ``turn`` is the EXIF orientation of a JPEG."""
    pixels = bytes(channel for y in range(height) for x in range(width) for channel in _colour(x, y, width, height))
    frame = VideoFrame(width, height, "rgba")
    plane = frame.planes[0]
    rows = [pixels[at : at + 4 * width] for at in range(0, len(pixels), 4 * width)]
    plane.update(b"".join(row.ljust(plane.line_size, b"\0") for row in rows))
    if codec == "mjpeg":
        jpeg = encode_jpeg(frame.reformat(format="yuvj420p", dst_color_range="JPEG"), 2)
        exif = b"Exif\0\0II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x112, 3, 1, turn, 0, 0)
        return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + jpeg[2:]
    encoder = cast(VideoCodecContext, VideoCodecContext.create(codec, "w"))
    form = "yuva420p" if codec == "libwebp" else "rgba"
    encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = width, height, form, Fraction(1, 25)
    frame = frame.reformat(format=form)
    return b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])


def _colour(x: int, y: int, width: int, height: int) -> tuple[int, int, int, int]:
    if x < width // 2 and y < height // 2:
        return (255, 0, 0, 255)
    return (0, 0, 0, 0 if x >= width // 2 else 255)


def corners(jpeg: bytes) -> list[str]:
    """The colours of the four corners, from the upper left, row by row."""
    decoder = VideoCodecContext.create("mjpeg", "r")
    frame = (decoder.decode(av.Packet(jpeg)) or decoder.decode(None))[0].reformat(format="rgb24")
    data, line = bytes(frame.planes[0]), frame.planes[0].line_size
    names = {"100": "red", "111": "white", "000": "black"}
    places = [(x, y) for y in (2, frame.height - 3) for x in (2, frame.width - 3)]
    return [names["".join("01"[value > 128] for value in data[y * line + 3 * x :][:3])] for x, y in places]


def test_a_picture_is_kept_upright_on_white_and_without_what_the_camera_wrote_of_the_place() -> None:
    assert corners(draw(picture()).jpeg) == ["red", "white", "black", "white"]
    for turn, seen in ((1, "red black black black"), (6, "black red black black"), (8, "black black red black")):
        photo = picture(codec="mjpeg", turn=turn)
        drawn = draw(photo)
        assert corners(drawn.jpeg) == seen.split() and b"Exif" in photo and b"Exif" not in drawn.jpeg
    large = draw(picture(1_800, 225))
    assert (large.width, large.height) == (1_600, 200)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", NotPicture),
        (b"GIF89a" + bytes(200), NotPicture),
        (b"<svg onload='alert(1)'/>", NotPicture),
        (b"\xff\xd8\xff" + bytes(200), BadPicture),
        (b"\x89PNG\r\n\x1a\n" + bytes(200), BadPicture),
        (b"RIFF\x10\0\0\0WEBPVP8 " + bytes(40), BadPicture),
        (picture()[:200], BadPicture),
        (picture(8, 8), BadPicture),
        (picture(800, 20), BadPicture),
        # 60,000 × 60,000 white pixels, as its header says: nothing of that size is allocated.
        (picture().replace(struct.pack(">II", 64, 48), struct.pack(">II", 60_000, 60_000), 1), BadPicture),
    ],
)
def test_what_is_no_picture_or_too_much_of_one_is_refused(data: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        draw(data)


async def test_pictures_are_wished_with_seen_by_buyer_and_shop_alone_and_forgotten(tmp_path: Path) -> None:
    async with rig(tmp_path) as live:
        boss, room = live.shop.merchant_token, live.shop.room
        guest, other = [
            (await live.call("POST", "/auth/guest", {"room": room, "name": name})).json()["token"]
            for name in ("小雨", "小雪")
        ]
        made = {"title": "戒指", "price": 10_000, "stock": 5}
        product = (await live.call("POST", f"/rooms/{room}/products", made, token=live.shop.host_token)).json()
        field = {"label": "图案", "kind": "picture", "most": 10, "amount": 800, "required": True}
        form = f"/custom/forms/{product['sku']}"
        many = await live.call("PUT", form, {"fields": [field]}, token=boss)
        assert (many.status_code, many.json()["field"]) == (400, "fields")
        assert (await live.call("PUT", form, {"fields": [field | {"most": 2}]}, token=boss)).status_code == 200

        async def send(data: bytes, token: str = guest) -> httpx.Response:
            return await live.call("POST", f"/custom/pictures?room={room}", token=token, content=data)

        sent = [(await send(picture(width, 48))).json() for width in (64, 66, 68)]
        assert (sent[0]["width"], sent[0]["height"]) == (64, 48)
        assert (await send(picture(64, 48))).json() == sent[0]
        assert [
            (await send(data)).status_code for data in (b"GIF89a", b"\xff\xd8\xff" + bytes(99), bytes(5_000_000))
        ] == [
            415,
            400,
            413,
        ]
        assert (await send(picture(), boss)).status_code == 403
        ids = [one["picture"] for one in sent]

        async def order(value: str, token: str, key: str) -> httpx.Response:
            basket = {"room": room, "lines": [{"sku": product["sku"], "quantity": 1, "custom": {"图案": value}}]}
            return await live.call("POST", "/orders", basket, token=token, key=key)

        bad = ("", " ".join(ids), f"{ids[0]} {ids[0]}", "x", f"{ids[0]}  {ids[1]}", "0" * 20)
        refused = [await order(value, guest, f"bad{n}") for n, value in enumerate(bad)]
        assert [(answer.status_code, answer.json()["field"]) for answer in refused] == [(400, "custom")] * len(bad)
        theirs = await order(ids[0], other, "theirs")
        assert (theirs.status_code, theirs.json()["field"]) == (400, "custom")
        bought = (await order(" ".join(ids[:2]), guest, "o")).json()["order"]
        wish = {"label": "图案", "value": "×2", "amount": 800, "pictures": ids[:2]}
        assert bought["lines"][0]["wishes"] == [wish] and bought["amount"] == 10_800
        await live.call("POST", f"/orders/{bought['order']}/pay", {}, token=guest, key="p")
        sheet = await live.call("GET", "/custom/making/export", token=boss)
        assert f"图案: ×2 {ids[0]} {ids[1]}" in sheet.text

        seen = {who: await live.call("GET", f"/custom/pictures/{ids[0]}", token=token) for who, token in
                (("buyer", guest), ("boss", boss), ("other", other), ("host", live.shop.host_token))}  # fmt: skip
        assert {who: answer.status_code for who, answer in seen.items()} == {
            "buyer": 200, "boss": 200, "other": 404, "host": 403
        }  # fmt: skip
        assert seen["boss"].headers["content-type"] == "image/jpeg" and corners(seen["boss"].content)[0] == "red"
        one = "/custom/pictures/{}".format
        drops = [(ids[2], other), (ids[2], guest), (ids[2], guest), (ids[0], guest)]
        gone = [await live.call("DELETE", one(picture_id), token=token) for picture_id, token in drops]
        assert [answer.status_code for answer in gone] == [404, 200, 404, 404]

        mine = (await live.call("GET", "/me/data", token=guest)).json()["held"]["custom_picture"]
        assert [(row["id"], row["width"]) for row in mine] == [(ids[0], 64), (ids[1], 66)] and "jpeg" not in mine[0]
        back = await live.call("POST", f"/orders/{bought['order']}/change-of-mind", token=guest, key="c")
        assert back.status_code == 201
        assert (await live.call("DELETE", "/me/data", token=guest)).status_code == 200
        assert (await live.call("GET", one(ids[0]), token=boss)).status_code == 404
