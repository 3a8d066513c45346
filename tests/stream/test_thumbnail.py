"""Thumbnails of real key frames."""

from __future__ import annotations

import asyncio
import io

import av
import pytest

from stream.packet import Codec, Kind
from stream.thumbnail import Picture, Thumbnails
from stream.thumbnail_av import BrokenPicture, decode_jpeg
from tests.stream.media import Clip, make_clip
from tests.stream.stage import Stage, clock_ms


def first_key(clip: Clip) -> tuple[bytes, bytes]:
    config = next(packet for packet in clip.packets if packet.kind is Kind.VIDEO and packet.config)
    return config.data, next(packet for packet in clip.media if packet.kind is Kind.VIDEO and packet.key).data


@pytest.mark.parametrize(
    ("size", "small"), [((320, 240), (320, 240)), ((642, 362), (320, 180)), ((64, 512), (128, 1024))]
)
def test_a_key_frame_becomes_a_small_jpeg(size: tuple[int, int], small: tuple[int, int]) -> None:
    jpeg = decode_jpeg(Codec.H264, *first_key(make_clip(1, size)))
    assert jpeg.startswith(b"\xff\xd8\xff") and len(jpeg) <= 60_000
    with av.open(io.BytesIO(jpeg), "r") as container:
        frame = next(container.decode(video=0))
        assert (frame.width, frame.height) == small
        # The gradient of the clip, not grey: the frame was decoded and its colours kept.
        assert frame.to_ndarray(format="rgb24").std() > 30


@pytest.mark.parametrize("frame", [b"", b"\0\0\0\x05\x65\x00\x00\x00\x00", bytes(300)])
def test_a_broken_key_frame_is_the_host_s_fault(clip: Clip, frame: bytes) -> None:
    with pytest.raises(BrokenPicture):
        decode_jpeg(Codec.H264, first_key(clip)[0], frame)


async def test_a_live_room_has_a_picture_of_its_last_key_frame(stage: Stage, clip: Clip) -> None:
    thumbnails = Thumbnails(stage.directory, clock=clock_ms)
    told: list[tuple[str, Picture]] = []
    thumbnails.listen(lambda room, picture: told.append((room, picture)))
    thumbnails.start()
    assert thumbnails.latest("room") is None
    await stage.feed(stage.publish(), clip.looped(5))
    async with asyncio.timeout(60):
        while not told:
            await asyncio.sleep(0.01)
    await thumbnails.close()
    ((room, picture),) = told
    assert room == "room" and thumbnails.latest("room") is picture
    relay = stage.directory.find("room")
    assert relay is not None and picture.media_ms == relay.gop[0].dts_ms + relay.gop[0].cts_ms
