"""HTTP-FLV over real sockets: what a player gets, byte for byte."""

import asyncio
import io
from dataclasses import replace
from itertools import pairwise

import av
import pytest

from stream.packet import Codec, Kind, Packet
from stream.protocol import amf0
from tests.stream.media import Clip, packets, tags
from tests.stream.stage import Stage, clock_ms


async def test_a_viewer_gets_every_frame_from_the_first_key_frame_on(stage: Stage, clip: Clip) -> None:
    viewing = asyncio.create_task(stage.get("/room.flv"))
    await stage.until_viewers(1)
    publication = stage.publish()
    await stage.feed(publication, clip.looped(8))
    publication.end("done", 0)
    stage.directory.close()
    head, body = await viewing
    assert head.startswith(b"HTTP/1.1 200 OK\r\nContent-Type: video/x-flv\r\n")
    assert b"Access-Control-Allow-Origin: *\r\n" in head
    assert b"Connection: close" in head
    assert b"chunked" not in head.lower()
    sent = [packet.data for packet in clip.looped(8) if packet.kind is Kind.VIDEO]
    assert [packet.data for packet in packets(body) if packet.kind is Kind.VIDEO] == sent
    times = [time for form, time, _ in tags(body) if form != 18]
    assert max(b - a for a, b in pairwise(times)) < 100
    for kind in (8, 9):
        track = [time for form, time, _ in tags(body) if form == kind][1:]
        assert track == sorted(set(track))


async def test_pyav_plays_what_a_viewer_gets(stage: Stage, clip: Clip) -> None:
    viewing = asyncio.create_task(stage.get("/room.flv"))
    await stage.until_viewers(1)
    publication = stage.publish()
    await stage.feed(publication, clip.packets)
    stage.directory.close()
    _, body = await viewing
    with av.open(io.BytesIO(body), "r", format="flv") as container:
        frames = list(container.decode(video=0))
    assert len(frames) == 100
    assert frames[0].key_frame


async def test_the_hosts_metadata_makes_no_third_track(stage: Stage, clip: Clip) -> None:
    viewing = asyncio.create_task(stage.get("/room.flv"))
    await stage.until_viewers(1)
    publication = stage.publish()
    metadata = Packet(Kind.DATA, Codec.AMF0, 0, 0, False, False, amf0.encode("onMetaData", {"encoder": "a host"}))
    await stage.feed(publication, (metadata, *clip.packets, metadata))
    publication.end("dropped", 0)
    await stage.feed(stage.publish(), (metadata, *clip.packets))
    stage.directory.close()
    _, body = await viewing
    assert [time for form, time, data in tags(body) if form == 18] == [0, 0, 0]
    with av.open(io.BytesIO(body), "r", format="flv") as container:
        kinds = [packet.stream.type for packet in container.demux()]
    assert set(kinds) == {"video", "audio"}


async def test_the_header_names_only_the_tracks_that_there_are(stage: Stage, clip: Clip) -> None:
    viewing = asyncio.create_task(stage.get("/room.flv"))
    await stage.until_viewers(1)
    publication = stage.publish()
    video = clip.only(Kind.VIDEO)
    now_ms = clock_ms()
    for packet in video[:30]:
        publication.push(packet, now_ms)
        now_ms += 100
        await asyncio.sleep(0)
    stage.directory.close()
    _, body = await viewing
    assert body[4] == 1
    # From the newest key frame on: the first one went by while it was open whether sound would come.
    assert [packet.data for packet in packets(body) if not packet.config] == [p.data for p in video[1:30]]


async def test_a_room_with_sound_alone_plays_as_sound_alone(stage: Stage, clip: Clip) -> None:
    viewing = asyncio.create_task(stage.get("/room.flv"))
    await stage.until_viewers(1)
    publication = stage.publish()
    now_ms = clock_ms()
    sound = clip.only(Kind.AUDIO)
    for packet in sound:
        publication.push(packet, now_ms)
        now_ms += 100
        await asyncio.sleep(0)
    stage.directory.close()
    _, body = await viewing
    assert body[4] == 4
    got = [packet.data for packet in packets(body) if not packet.config]
    assert got
    assert got == [packet.data for packet in sound][-len(got) :]


async def test_a_later_viewer_starts_at_once_with_configurations_and_a_key_frame(stage: Stage, clip: Clip) -> None:
    publication = stage.publish()
    packets_sent = list(clip.looped(4))
    await stage.feed(publication, packets_sent[: len(packets_sent) * 7 // 8])
    reader, writer = await stage.connect("/room.flv")
    async with asyncio.timeout(60):
        await reader.readuntil(b"\r\n\r\n")
        body = await reader.readexactly(6000)
    writer.close()
    first = packets(body)
    assert [packet.config for packet in first if packet.kind is not Kind.DATA][:2] == [True, True]
    frame = next(packet for packet in first if packet.kind is Kind.VIDEO and not packet.config)
    assert frame.key
    # Configurations are stamped like the frame after them: nothing jumps back for the player.
    times = [time for form, time, _ in tags(body) if form != 18]
    assert min(times) == frame.dts_ms


@pytest.mark.parametrize("cached", [True, False], ids=["cached", "to come"])
async def test_sound_that_begins_before_the_key_frame_has_a_header_no_later(
    stage: Stage, clip: Clip, cached: bool
) -> None:
    publication = stage.publish()
    late = [replace(packet, dts_ms=packet.dts_ms + 11) for packet in clip.media if packet.kind is Kind.VIDEO]
    sound = [packet for packet in clip.media if packet.kind is Kind.AUDIO]
    # As they arrive: each picture before the sound that was heard 11 ms before it.
    sent = sorted([*late, *sound], key=lambda packet: packet.dts_ms - 40 * (packet.kind is Kind.VIDEO))
    newest_key = max(index for index, packet in enumerate(sent) if packet.kind is Kind.VIDEO and packet.key)
    until = len(sent) if cached else newest_key + 1
    await stage.feed(publication, [*clip.configs, *sent[:until]])
    reader, writer = await stage.connect("/room.flv")
    await stage.until_viewers(1)
    await stage.feed(publication, sent[until:])
    async with asyncio.timeout(60):
        await reader.readuntil(b"\r\n\r\n")
        body = await reader.readexactly(6000)
    writer.close()
    found = packets(body)
    key = next(packet for packet in found if packet.kind is Kind.VIDEO and not packet.config)
    track = [packet.dts_ms for packet in found if packet.kind is Kind.AUDIO]
    assert track[1] < key.dts_ms
    assert track == sorted(track)


async def test_with_low_delay_each_frame_goes_out_at_once(stage: Stage, clip: Clip) -> None:
    publication = stage.publish()
    sent = list(clip.looped(4))
    first = next(i for i, packet in enumerate(sent) if packet.kind is Kind.VIDEO and packet.dts_ms == 1000)
    await stage.feed(publication, sent[:first])
    reader, writer = await stage.connect("/room.flv?delay=low")
    await stage.until_viewers(1)
    body = b""
    async with asyncio.timeout(60):
        await reader.readuntil(b"\r\n\r\n")
        for packet in sent[first : first + 20]:
            await stage.feed(publication, [packet])
            while packet.data not in body:
                body += await reader.read(65536)
    writer.close()


async def test_a_new_configuration_midway_comes_before_its_key_frame(stage: Stage, clip: Clip, wide_clip: Clip) -> None:
    viewing = asyncio.create_task(stage.get("/room.flv"))
    await stage.until_viewers(1)
    publication = stage.publish()
    await stage.feed(publication, clip.packets)
    await stage.feed(publication, wide_clip.packets, shift_ms=4000)
    assert stage.directory.info("room").width == 642
    stage.directory.close()
    _, body = await viewing
    video = [packet for packet in packets(body) if packet.kind is Kind.VIDEO]
    configs = [index for index, packet in enumerate(video) if packet.config]
    assert [video[index].data for index in configs] == [clip.configs[1].data, wide_clip.configs[1].data]
    assert video[configs[1] + 1].key


async def test_a_host_that_returns_goes_on_in_the_same_response(stage: Stage, clip: Clip) -> None:
    viewing = asyncio.create_task(stage.get("/room.flv"))
    await stage.until_viewers(1)
    publication = stage.publish()
    await stage.feed(publication, clip.packets)
    publication.end("dropped", 0)
    again = stage.publish()
    await stage.feed(again, clip.packets)
    stage.directory.close()
    _, body = await viewing
    video = [packet for packet in packets(body) if packet.kind is Kind.VIDEO]
    assert [packet.config for packet in video].count(True) == 2
    assert len(video) == 202
    assert [packet.dts_ms for packet in video] == sorted(packet.dts_ms for packet in video)
