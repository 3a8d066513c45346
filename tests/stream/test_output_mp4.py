"""Progressive MP4 over real sockets, read by PyAV and by ffmpeg."""

import asyncio
import io
import struct
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import av

from stream.packet import Kind
from tests.outside import need
from tests.stream.media import Clip
from tests.stream.stage import Stage, clock_ms


def boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at < len(data):
        size, name = struct.unpack_from(">I4s", data, at)
        assert size >= 8
        assert at + size <= len(data)
        yield name, data[at + 8 : at + size]
        at += size


def fragments(body: bytes) -> dict[int, list[tuple[int, int]]]:
    """Give (start, end) in ticks of each fragment of each track."""
    found: dict[int, list[tuple[int, int]]] = {}
    trafs = [
        dict(boxes(traf))
        for name, moof in boxes(body)
        if name == b"moof"
        for child, traf in boxes(moof)
        if child == b"traf"
    ]
    for parts in trafs:
        track = struct.unpack_from(">I", parts[b"tfhd"], 4)[0]
        start = struct.unpack_from(">Q", parts[b"tfdt"], 4)[0]
        count = struct.unpack_from(">I", parts[b"trun"], 4)[0]
        durations = [struct.unpack_from(">I", parts[b"trun"], 12 + 16 * index)[0] for index in range(count)]
        found.setdefault(track, []).append((start, start + sum(durations)))
    return found


async def recorded(stage: Stage, *clips: Clip) -> tuple[bytes, bytes]:
    viewing = asyncio.create_task(stage.get("/room.mp4"))
    await stage.until_viewers(1)
    publication = stage.publish()
    shift_ms = 0
    for clip in clips:
        await stage.feed(publication, clip.packets, shift_ms)
        shift_ms += 4000
    stage.directory.close()
    return await viewing


async def test_pyav_decodes_every_frame_with_its_times(stage: Stage, clip: Clip) -> None:
    head, body = await recorded(stage, clip)
    assert b'Content-Type: video/mp4; codecs="avc1.64000d, mp4a.40.2"\r\n' in head
    with av.open(io.BytesIO(body), "r", format="mp4") as container:
        pictures = list(container.decode(video=0))
    with av.open(io.BytesIO(body), "r", format="mp4") as container:
        sound = list(container.decode(audio=0))
    assert len(pictures) == 100
    times = [float(picture.time) for picture in pictures if picture.time is not None]
    assert all(abs(b - a - 0.04) < 0.0015 for a, b in pairwise(times))
    starts = [frame.pts for frame in sound if frame.pts is not None]
    assert {b - a for a, b in pairwise(starts)} == {1024}


async def test_each_fragment_tells_where_it_lies_and_goes_on_where_the_last_one_ended(stage: Stage, clip: Clip) -> None:
    _, body = await recorded(stage, clip)
    names = [name for name, _ in boxes(body)]
    assert names[:2] == [b"ftyp", b"moov"]
    assert names[2:] == [b"moof", b"mdat"] * (len(names[2:]) // 2)
    for times in fragments(body).values():
        assert all(end == start for (_, end), (start, _) in pairwise(times))


async def test_ffmpeg_reads_the_address_without_a_complaint(stage: Stage, clip: Clip) -> None:
    need("ffmpeg")
    process = await asyncio.create_subprocess_exec(
        *("ffmpeg", "-v", "warning", "-i", f"http://127.0.0.1:{stage.port}/room.mp4"),
        *("-map", "0:v", "-f", "framecrc", "-"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    await stage.until_viewers(1)
    publication = stage.publish()
    await stage.feed(publication, clip.looped(8))
    publication.end("done", 0)
    stage.directory.close()
    out, complaints = await asyncio.wait_for(process.communicate(), 60)
    # ffmpeg calls any end of a body without a length premature.
    ends = (b"Stream ends prematurely", b"Input/output error", b"Last message repeated")
    assert [line for line in complaints.splitlines() if not any(end in line for end in ends)] == []
    assert sum(not line.startswith(b"#") for line in out.splitlines()) == 200


async def test_a_new_configuration_midway_brings_a_new_init_segment(stage: Stage, clip: Clip, wide_clip: Clip) -> None:
    _, body = await recorded(stage, clip, wide_clip)
    names = [name for name, _ in boxes(body)]
    assert names.count(b"moov") == 2
    spans = {track: list(times) for track, times in fragments(body).items()}
    for times in spans.values():
        assert all(end == start for (_, end), (start, _) in pairwise(times))
    second = body.rindex(b"ftyp") - 4
    with av.open(io.BytesIO(body[second:]), "r", format="mp4") as container:
        pictures = list(container.decode(video=0))
    assert (pictures[0].width, pictures[0].height, len(pictures)) == (642, 362, 50)


async def test_a_later_viewer_starts_with_an_init_segment_and_a_key_frame(stage: Stage, clip: Clip) -> None:
    publication = stage.publish()
    sent = list(clip.looped(4))
    await stage.feed(publication, sent[: len(sent) * 7 // 8])
    viewing = asyncio.create_task(stage.get("/room.mp4"))
    await stage.until_viewers(1)
    await stage.feed(publication, sent[len(sent) * 7 // 8 :])
    stage.directory.close()
    _, body = await viewing
    with av.open(io.BytesIO(body), "r", format="mp4") as container:
        pictures = list(container.decode(video=0))
    assert pictures[0].key_frame
    assert len(pictures) == 25


async def test_when_sound_turns_up_late_viewers_have_to_come_back(stage: Stage, clip: Clip) -> None:
    viewing = asyncio.create_task(stage.get("/room.mp4"))
    await stage.until_viewers(1)
    publication = stage.publish()
    # By the sweeps' clock: one that comes meanwhile must not take the host for one that stopped sending.
    now_ms = clock_ms()
    for packet in clip.only(Kind.VIDEO):
        publication.push(packet, now_ms)
        now_ms += 40
    for packet in clip.looped(4):
        publication.push(replace(packet, dts_ms=packet.dts_ms + 4000), now_ms + packet.dts_ms)
        await asyncio.sleep(0)
    head, body = await viewing
    assert b'codecs="avc1.64000d"' in head
    assert [name for name, _ in boxes(body)].count(b"moov") == 1
    again = asyncio.create_task(stage.get("/room.mp4"))
    await stage.until_viewers(1)
    stage.directory.close()
    assert b'codecs="avc1.64000d, mp4a.40.2"' in (await again)[0]
