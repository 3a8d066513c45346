"""HLS of a real stream: what requests get, when they wait, and that outsiders can read it."""

from __future__ import annotations

import asyncio
import io
import re
from collections.abc import AsyncIterator
from dataclasses import replace

import av
import pytest

from stream.output_hls import HlsAnswer, HlsOutput, hls_limits
from stream.packet import Kind, Packet
from stream.protocol.hls import HlsLimits
from tests.stream.media import Clip
from tests.stream.stage import Stage, clock_ms

LIMITS = HlsLimits(part_ms=200, segment_ms_min=900)


@pytest.fixture
async def hls(stage: Stage) -> AsyncIterator[HlsOutput]:
    output = HlsOutput(stage.directory, clock=clock_ms, limits=LIMITS)
    yield output
    output.close()


async def fed(stage: Stage, clip: Clip, hls: HlsOutput, seconds: int = 5) -> HlsAnswer:
    """A stream that somebody watches from its start; the media playlist after ``seconds`` of it."""
    first = asyncio.ensure_future(hls.answer("room", "index.m3u8", {}))
    await asyncio.sleep(0)
    await stage.feed(stage.publish(), clip.looped(seconds))
    assert (await first).status == 200
    return await hls.answer("room", "media.m3u8", {})


def uris(playlist: str) -> list[str]:
    """Segments in order."""
    return [line for line in playlist.splitlines() if not line.startswith("#")]


async def test_pyav_decodes_every_frame_of_the_segments(stage: Stage, clip: Clip, hls: HlsOutput) -> None:
    text = (await fed(stage, clip, hls)).body.decode()
    (map_name,) = re.findall(r'EXT-X-MAP:URI="([^"]+)"', text)
    data = (await hls.answer("room", map_name, {})).body
    for name in uris(text):
        answer = await hls.answer("room", name, {})
        assert answer.status == 200 and "immutable" in answer.cache
        data += answer.body
    whole_s = sum(float(length) for length in re.findall(r"EXTINF:([\d.]+)", text))
    with av.open(io.BytesIO(data), "r") as container:
        frames = [frame.pts or 0 for frame in container.decode(video=0)]
    fed_frames = sum(packet.kind is Kind.VIDEO for packet in clip.media)
    length_s = max(packet.dts_ms for packet in clip.only(Kind.VIDEO)) / 1000
    assert abs(len(frames) - whole_s * fed_frames / length_s) <= 2
    assert frames == sorted(frames)


async def test_parts_joined_are_their_segment(stage: Stage, clip: Clip, hls: HlsOutput) -> None:
    text = (await fed(stage, clip, hls)).body.decode()
    segment = uris(text)[-1]
    number = segment.rpartition("-s")[2].partition(".")[0]
    parts = re.findall(rf'PART:DURATION=[\d.]+,URI="([^"]+-p{number}_\d+\.m4s)"', text)
    joined = b"".join([(await hls.answer("room", name, {})).body for name in parts])
    assert len(parts) > 2 and joined == (await hls.answer("room", segment, {})).body


async def test_a_blocking_reload_is_held_until_its_part_is_there(stage: Stage, clip: Clip, hls: HlsOutput) -> None:
    publication = stage.publish()
    first = asyncio.ensure_future(hls.answer("room", "index.m3u8", {}))
    await asyncio.sleep(0)
    packets = list(clip.looped(6))
    await stage.feed(publication, [packet for packet in packets if packet.dts_ms < 3_000])
    assert (await first).status == 200
    text = (await hls.answer("room", "media.m3u8", {})).body.decode()
    number, part = re.findall(r'PRELOAD-HINT:TYPE=PART,URI="[^"]+-p(\d+)_(\d+)\.m4s"', text)[0]
    (name,) = re.findall(r'PRELOAD-HINT:TYPE=PART,URI="([^"]+)"', text)
    query = {"_HLS_msn": number, "_HLS_part": part}
    held = asyncio.ensure_future(hls.answer("room", "media.m3u8", query))
    hinted = asyncio.ensure_future(hls.answer("room", name, {}))
    await asyncio.sleep(0.05)
    assert not held.done() and not hinted.done() and hls.stats().waiting == 2
    await stage.feed(publication, [packet for packet in packets if packet.dts_ms >= 3_000])
    answer = await asyncio.wait_for(held, 60)
    assert answer.status == 200 and f"-p{number}_{part}.m4s" in answer.body.decode()
    assert (await asyncio.wait_for(hinted, 60)).status == 200
    assert hls.stats().waiting == 0


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"_HLS_msn": "999"}, 400),
        ({"_HLS_msn": "x"}, 400),
        ({"_HLS_part": "1"}, 400),
        ({"_HLS_msn": "0", "_HLS_part": "-1"}, 400),
        ({"x": "y" * 3_000}, 400),
        ({"_HLS_msn": "0"}, 200),
        ({"_HLS_skip": "YES"}, 200),
    ],
)
async def test_directives_that_make_no_sense_are_refused(
    stage: Stage, clip: Clip, hls: HlsOutput, query: dict[str, str], status: int
) -> None:
    await fed(stage, clip, hls)
    answer = await hls.answer("room", "media.m3u8", query)
    assert answer.status == status and bool(answer.code) == (status != 200)


async def test_the_query_is_kept_on_every_child_and_cannot_break_the_playlist(
    stage: Stage, clip: Clip, hls: HlsOutput
) -> None:
    await fed(stage, clip, hls)
    query = {"token": 'a"\n#EXT-X-ENDLIST', "_HLS_skip": "YES"}
    text = (await hls.answer("room", "media.m3u8", query)).body.decode()
    assert "EXT-X-ENDLIST" not in text.replace("%23EXT-X-ENDLIST", "")
    assert all(name.endswith("?token=a%22%0A%23EXT-X-ENDLIST") for name in uris(text))


async def test_a_host_that_returns_is_a_discontinuity_and_nobody_is_sent_away(
    stage: Stage, clip: Clip, wide_clip: Clip, hls: HlsOutput
) -> None:
    publication = stage.publish()
    first = asyncio.ensure_future(hls.answer("room", "index.m3u8", {}))
    await asyncio.sleep(0)
    await stage.feed(publication, clip.looped(3))
    await first
    publication.end("gone", clock_ms())
    await stage.feed(stage.publish(), wide_clip.looped(3))
    text = (await hls.answer("room", "media.m3u8", {})).body.decode()
    assert text.count("#EXT-X-DISCONTINUITY\n") == 1 and text.count("#EXT-X-MAP") == 2


async def test_sound_alone_is_cut_too(stage: Stage, clip: Clip, hls: HlsOutput) -> None:
    sound: list[Packet] = list(clip.only(Kind.AUDIO))
    first = asyncio.ensure_future(hls.answer("room", "index.m3u8", {}))
    await asyncio.sleep(0)
    publication = stage.publish()
    length_ms = max(packet.dts_ms for packet in sound)
    for round_number in range(5):
        shifted = [replace(packet, dts_ms=packet.dts_ms + round_number * length_ms) for packet in sound]
        await stage.feed(publication, shifted if round_number == 0 else shifted[1:])
        # No picture came: the relay gives it up after its wait.
        stage.directory.sweep(clock_ms() + 10_000)
    answer = await first
    assert answer.status == 200 and 'CODECS="mp4a' in answer.body.decode()
    text = (await hls.answer("room", "media.m3u8", {})).body.decode()
    assert uris(text)


async def test_a_room_that_is_not_live_is_told_so_and_let_go(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream.output_hls.START_WAIT_S", 0.1)
    output = HlsOutput(stage.directory, clock=clock_ms)
    answer = await output.answer("room", "index.m3u8", {})
    assert (answer.status, answer.code) == (404, "not_live")
    output.close()
    assert output.stats().rooms == 0
    relay = stage.directory.find("room")
    assert relay is None or not relay.has_readers


async def test_a_room_that_nobody_asks_for_is_no_longer_cut(stage: Stage, clip: Clip) -> None:
    ahead = 0
    output = HlsOutput(stage.directory, clock=lambda: clock_ms() + ahead, limits=LIMITS)
    await fed(stage, clip, output)
    ahead = 31_000
    output._sweep()
    relay = stage.directory.find("room")
    assert output.stats().rooms == 0 and relay is not None and not relay.has_readers
    output.close()


async def test_with_a_long_window_a_room_is_cut_from_its_start_and_kept_while_it_lives(
    stage: Stage, clip: Clip, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stream.output_hls.IDLE_MS", 20)
    output = HlsOutput(stage.directory, clock=clock_ms, limits=hls_limits(3_600))
    publication = stage.publish()
    await stage.feed(publication, clip.looped(90))
    await asyncio.sleep(0.1)
    text = (await output.answer("room", "media.m3u8", {})).body.decode()
    told_s = sum(float(length) for length in re.findall(r"EXTINF:([\d.]+)", text))
    assert told_s > 80
    assert "#EXT-X-MEDIA-SEQUENCE:0\n" in text
    stage.directory.close()
    async with asyncio.timeout(60):
        while output.stats().rooms:
            await asyncio.sleep(0.02)
    output.close()
