"""Recorded shows, clips of explained products and thumbnails, from a pin to the bytes a browser gets."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import pytest

from gateway.media import Media
from stream.directory import Publication
from stream.packet import Kind
from tests.gateway.rig import Rig, rig
from tests.stream.media import Clip, make_clip
from tests.stream.stage import Host


@pytest.fixture(scope="module")
def clip() -> Clip:
    return make_clip()


@pytest.fixture
async def live(tmp_path: Path) -> AsyncIterator[Rig]:
    async with rig(tmp_path, record=True, record_keep_days=5) as live:
        yield live


def media_of(live: Rig) -> Media:
    return live.application.services.media


class Broadcast:
    """A host who sends as fast as the loop takes it; the media clock follows what was sent."""

    def __init__(self, live: Rig, clip: Clip) -> None:
        self.live = live
        self.clip = clip
        self.sent_s = 0
        self.publication: Publication = live.application.services.directory.publish(
            live.shop.room, Host(), live.clock()
        )

    async def send(self, seconds: int) -> None:
        for count, packet in enumerate(self.clip.looped(self.sent_s + seconds)):
            if packet.config or packet.dts_ms >= self.sent_s * 1_000:
                self.publication.push(packet, self.live.clock())
            if count % 16 == 0:
                await asyncio.sleep(0)
        self.sent_s += seconds


async def until(look: Callable[[], Awaitable[Any]]) -> Any:
    async with asyncio.timeout(60):
        while not (found := await look()):
            await asyncio.sleep(0.05)
        return found


async def products(live: Rig) -> list[str]:
    shelf = (await live.call("GET", f"/rooms/{live.shop.room}/products")).json()
    return [card["product"] for card in shelf]


async def pin(live: Rig, product: str) -> None:
    body = {"product": product, "explaining": True}
    answer = await live.call("POST", f"/rooms/{live.shop.room}/pin", body, token=live.shop.host_token)
    assert answer.status_code == 200, answer.text


async def clips(live: Rig) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await live.call("GET", f"/rooms/{live.shop.room}/clips")).json()["items"]
    return items


async def test_each_explained_product_gets_a_clip_when_the_host_moves_on(live: Rig, clip: Clip) -> None:
    first, second = (await products(live))[:2]
    host = Broadcast(live, clip)
    await host.send(5)
    await pin(live, first)
    await host.send(8)
    await pin(live, second)
    await host.send(6)
    await live.call("DELETE", f"/rooms/{live.shop.room}/pin/{second}", token=live.shop.host_token)
    await host.send(3)
    found = await until(lambda: _when(live, 2))
    by_product = {entry["product"]: entry for entry in found}
    assert abs(by_product[first]["length_ms"] - 8_000) <= 1_100 and by_product[first]["start_ms"] == 7_000
    assert abs(by_product[second]["length_ms"] - 6_000) <= 1_100
    shelf = (await live.call("GET", f"/rooms/{live.shop.room}/products")).json()
    assert {card["product"] for card in shelf if card["clip"]} == {first, second}
    data = (await live.client.get(by_product[first]["url"])).content
    assert len(data) == by_product[first]["bytes"]
    with av.open(io.BytesIO(data), "r") as container:
        frames = [frame.pts for frame in container.decode(video=0)]
    assert abs(len(frames) * 40 - by_product[first]["length_ms"]) <= 80


async def _when(live: Rig, count: int) -> list[dict[str, Any]]:
    found = await clips(live)
    return found if len(found) >= count else []


async def test_what_is_explained_until_the_show_ends_gets_its_clip_too(live: Rig, clip: Clip) -> None:
    (first, *_) = await products(live)
    await pin(live, first)
    host = Broadcast(live, clip)
    await host.send(8)
    directory = live.application.services.directory
    host.publication.end("over", live.clock())
    directory.sweep(live.clock() + 70_000)
    (made,) = await until(lambda: _when(live, 1))
    assert made["product"] == first and made["length_ms"] > 7_000


async def test_a_pin_without_explaining_or_shorter_than_three_seconds_gives_no_clip(live: Rig, clip: Clip) -> None:
    first, second = (await products(live))[:2]
    host = Broadcast(live, clip)
    await host.send(5)
    body = {"product": first, "explaining": False}
    await live.call("POST", f"/rooms/{live.shop.room}/pin", body, token=live.shop.host_token)
    await pin(live, second)
    await host.send(2)
    for product in (first, second):
        await live.call("DELETE", f"/rooms/{live.shop.room}/pin/{product}", token=live.shop.host_token)
    await host.send(3)
    stats = media_of(live).clips.stats
    async with asyncio.timeout(60):
        while not stats().refused:
            await asyncio.sleep(0.02)
    assert await clips(live) == [] and stats().cut == 0


async def _one_clip(live: Rig, clip: Clip) -> dict[str, Any]:
    (first, *_) = await products(live)
    host = Broadcast(live, clip)
    await host.send(4)
    await pin(live, first)
    await host.send(6)
    await live.call("DELETE", f"/rooms/{live.shop.room}/pin/{first}", token=live.shop.host_token)
    await host.send(2)
    (made,) = await until(lambda: _when(live, 1))
    found: dict[str, Any] = made
    return found


async def test_a_clip_is_served_in_ranges(live: Rig, clip: Clip) -> None:
    url = (await _one_clip(live, clip))["url"]
    whole = await live.client.get(url)
    assert whole.headers["content-type"] == "video/mp4" and whole.headers["accept-ranges"] == "bytes"
    assert whole.headers["access-control-allow-origin"] == "*"
    part = await live.client.get(url, headers={"range": "bytes=100-199"})
    assert part.status_code == 206 and part.content == whole.content[100:200]
    assert part.headers["content-range"] == f"bytes 100-199/{len(whole.content)}"
    tail = await live.client.get(url, headers={"range": "bytes=-50"})
    assert tail.status_code == 206 and tail.content == whole.content[-50:]
    beyond = await live.client.get(url, headers={"range": "bytes=99999999-"})
    assert beyond.status_code == 416
    head = await live.client.head(url)
    assert head.content == b"" and int(head.headers["content-length"]) == len(whole.content)


async def test_staff_take_a_clip_down_and_strangers_cannot(live: Rig, clip: Clip) -> None:
    made = await _one_clip(live, clip)
    path = f"/rooms/{live.shop.room}/clips/{made['clip']}"
    guest = (await live.guest())["token"]
    assert (await live.call("DELETE", path, token=guest)).status_code == 403
    assert (await live.call("DELETE", path, token=live.other.host_token)).status_code == 404
    other = f"/rooms/{live.other.room}/clips/{made['clip']}"
    assert (await live.call("DELETE", other, token=live.other.host_token)).status_code == 404
    assert (await live.call("DELETE", path, token=live.shop.host_token)).status_code == 200
    assert (await live.client.get(made["url"])).status_code == 404
    assert list((media_of(live).clips.folder / live.shop.room).iterdir()) == []


async def test_clips_past_their_time_go_with_their_files(live: Rig, clip: Clip) -> None:
    await _one_clip(live, clip)
    assert await media_of(live).clips.expire() == 0
    live.clock.ahead_ms = 6 * 86_400_000
    assert await media_of(live).clips.expire() == 1
    assert await clips(live) == []
    assert list((media_of(live).clips.folder / live.shop.room).iterdir()) == []


async def test_a_picture_has_an_address_only_where_somebody_has_the_picture(live: Rig, clip: Clip) -> None:
    media, room, directory = media_of(live), live.shop.room, live.application.services.directory
    directory.elsewhere(room, replace(directory.info(room), live=True), live.clock())
    # The worker that has the host is asked for it.
    assert media.picture_url(room) == f"/live/{room}.jpg"
    directory.elsewhere(room, None, live.clock())
    publication = directory.publish(room, Host(), live.clock())
    for packet in clip.only(Kind.AUDIO):
        publication.push(packet, live.clock())
    assert directory.info(room).live and media.picture_url(room) == ""


async def test_shows_are_listed_with_their_replay_and_thumbnail(live: Rig, clip: Clip) -> None:
    path = f"/rooms/{live.shop.room}/shows"
    assert (await live.call("GET", path)).json() == {"items": [], "next": None}
    host = Broadcast(live, clip)
    await host.send(12)
    picture = await until(lambda: _picture(live))
    assert picture.headers["content-type"] == "image/jpeg" and picture.content[:2] == b"\xff\xd8"
    (show,) = await until(lambda: _shows(live, lambda entry: entry["thumbnail"]))
    assert show["ended"] is None and show["length_ms"] >= 11_000
    cover = await live.client.get(show["thumbnail"])
    assert cover.content == picture.content
    rooms = (await live.call("GET", "/rooms", token=live.shop.merchant_token)).json()["items"]
    assert [room["cover"] for room in rooms] == [f"/live/{live.shop.room}.jpg"]
    growing = await live.client.get(show["url"])
    assert "PLAYLIST-TYPE:EVENT" in growing.text and growing.headers["content-type"].startswith("application/vnd.apple")
    host.publication.end("over", live.clock())
    live.application.services.directory.sweep(live.clock() + 70_000)
    (show,) = await until(lambda: _shows(live, lambda entry: entry["ended"]))
    async with asyncio.timeout(60):
        while "ENDLIST" not in (text := (await live.client.get(show["url"])).text):
            await asyncio.sleep(0.02)
    base = show["url"].rpartition("/")[0]
    init = await live.client.get(f"{base}/init-0.mp4")
    media = await live.client.get(f"{base}/media-0.m4s", headers={"range": "bytes=0-9"})
    assert init.content[4:8] == b"ftyp" and media.status_code == 206 and media.content[4:8] == b"moof"
    assert text.count("#EXTINF") == 3
    # The room is not live any more: its picture is the show's.
    assert (await live.client.get(f"/live/{live.shop.room}.jpg")).status_code == 200


async def _picture(live: Rig) -> Any:
    answer = await live.client.get(f"/live/{live.shop.room}.jpg")
    return answer if answer.status_code == 200 else None


async def _shows(live: Rig, ready: Callable[[dict[str, Any]], Any]) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await live.call("GET", f"/rooms/{live.shop.room}/shows")).json()["items"]
    return items if items and all(ready(entry) for entry in items) else []


@pytest.mark.parametrize(
    "file", ["index.jsonl", "media-9.m4s", "..", "%2e%2e%2f%2e%2e%2fshop.db", "init-0.mp4.part", "x"]
)
async def test_a_show_gives_away_only_its_media(live: Rig, clip: Clip, file: str) -> None:
    await Broadcast(live, clip).send(4)
    (show,) = await until(lambda: _shows(live, lambda entry: entry["length_ms"] > 1_000))
    answer = await live.client.get(show["url"].replace("index.m3u8", file))
    assert answer.status_code == 404
    assert (await live.client.get(f"/replay/{live.other.room}/{show['show']}/index.m3u8")).status_code == 404


async def test_with_play_auth_replay_clips_and_pictures_ask_for_a_token(tmp_path: Path, clip: Clip) -> None:
    async with rig(tmp_path, record=True, play_auth=True) as live:
        made = await _one_clip(live, clip)
        (show,) = await until(lambda: _shows(live, lambda entry: entry["thumbnail"]))
        token = (await live.guest())["token"]
        stranger = (await live.guest(live.other.room))["token"]
        for url in (made["url"], show["url"], show["thumbnail"], f"/live/{live.shop.room}.jpg"):
            assert (await live.client.get(url)).status_code == 401
            assert (await live.client.get(url, params={"token": stranger})).status_code == 403
            answer = await live.client.get(url, params={"token": token})
            assert answer.status_code == 200 and "public" not in answer.headers["cache-control"]
        text = (await live.client.get(show["url"], params={"token": token})).text
        assert all(line.endswith(f"?token={token}") for line in text.splitlines() if not line.startswith("#"))


async def test_without_record_nothing_is_written_and_pins_work(tmp_path: Path, clip: Clip) -> None:
    async with rig(tmp_path) as live:
        (first, *_) = await products(live)
        host = Broadcast(live, clip)
        await host.send(4)
        await pin(live, first)
        await host.send(5)
        await live.call("DELETE", f"/rooms/{live.shop.room}/pin/{first}", token=live.shop.host_token)
        assert (await live.call("GET", f"/rooms/{live.shop.room}/shows")).json()["items"] == []
        assert list((tmp_path / "data" / "recordings").iterdir()) == []
        assert not (tmp_path / "data" / "clips").exists()


async def test_a_page_of_shows_ends_with_a_cursor(live: Rig, clip: Clip) -> None:
    directory = live.application.services.directory
    for _ in range(3):
        host = Broadcast(live, clip)
        await host.send(3)
        host.publication.end("over", live.clock())
        directory.sweep(live.clock() + 70_000)
    await until(lambda: _shows(live, lambda entry: entry["ended"]))
    path = f"/rooms/{live.shop.room}/shows"
    async with asyncio.timeout(60):
        while len((await live.call("GET", path)).json()["items"]) < 3:
            await asyncio.sleep(0.05)
    first = (await live.call("GET", f"{path}?limit=2")).json()
    rest = (await live.call("GET", f"{path}?limit=2&after={first['next']}")).json()
    names = [entry["show"] for entry in [*first["items"], *rest["items"]]]
    assert names == sorted(names, reverse=True) and len(names) == 3 and rest["next"] is None
    assert (await live.call("GET", f"{path}?limit=0")).status_code == 400
