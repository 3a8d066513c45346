"""Renditions: what is made of a room's picture, by whom it is asked for, and that the room itself never waits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import av
import numpy as np
import pytest
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from stream.directory import Directory, StreamEvent
from stream.packet import Codec, Kind, Packet
from stream.protocol import h264
from stream.renditions import Renditions, needs_rendition
from stream.transcode_video import KEY_MS_WEBRTC, QUEUE_PACKETS_MAX, Made, Rendition, VideoPipeline, VideoTranscoder
from tests.stream.media import SILENCE, Clip
from tests.stream.stage import Host, clock_ms
from tests.stream.test_stand_in import Frames

SMALL = Rendition("120", 120)
RTC = Rendition("rtc", 1080, KEY_MS_WEBRTC)


def made_of(packets: Iterator[Packet] | tuple[Packet, ...], *renditions: Rendition) -> dict[str, list[Packet]]:
    pipeline = VideoPipeline()
    out: dict[str, list[Packet]] = {rendition.name: [] for rendition in renditions}
    for packet in packets:
        for name, made in pipeline.take(packet, {rendition.name: rendition for rendition in renditions}):
            out[name].append(made)
    return out


def decode(packets: list[Packet]) -> list[VideoFrame]:
    decoder = VideoCodecContext.create("h264", "r")
    assert isinstance(decoder, VideoCodecContext)
    decoder.extradata = next(packet.data for packet in packets if packet.config)
    out = []
    for packet in packets:
        if not packet.config:
            piece = av.Packet(packet.data)
            piece.pts = piece.dts = packet.dts_ms
            out += decoder.decode(piece)
    return out + decoder.decode(None)


def video(packets: list[Packet]) -> list[Packet]:
    return [packet for packet in packets if packet.kind is Kind.VIDEO]


def encoded(codec: str, kind: Codec, seconds: int = 2) -> list[Packet]:
    """A host of another codec, with silence."""
    encoder = VideoCodecContext.create(codec, "w")
    assert isinstance(encoder, VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = 160, 120, "yuv420p"
    encoder.time_base = Fraction(1, 25)
    encoder.options = {"g": "25", "cpu-used": "8", "deadline": "realtime", "x265-params": "log-level=none:bframes=0"}
    out = []
    for index in range(seconds * 25):
        picture = VideoFrame.from_ndarray(np.full((120, 160, 3), index * 4, np.uint8), format="rgb24")
        frame = picture.reformat(format="yuv420p")
        frame.pts, frame.time_base = index, Fraction(1, 25)
        out += list(encoder.encode(frame))
    out += list(encoder.encode(None))
    return [
        Packet(Kind.VIDEO, kind, int(packet.pts or 0) * 40, 0, packet.is_keyframe, False, bytes(packet))
        for packet in out
    ]


def test_a_rendition_has_no_b_frames_and_every_picture_at_its_time(clip: Clip) -> None:
    made = video(made_of(clip.packets, SMALL)["120"])
    config, frames = made[0], made[1:]
    assert (h264.parse_avcc(config.data).width, h264.parse_avcc(config.data).height) == (160, 120)
    assert h264.parse_avcc(config.data).codec == SMALL.codec_of(320, 240) == "avc1.42c01f"
    assert all(frame.cts_ms == 0 for frame in frames)
    shown = sorted(p.dts_ms + p.cts_ms for p in clip.packets if p.kind is Kind.VIDEO and not p.config)
    times = [frame.dts_ms for frame in frames]
    assert times == shown[: len(times)] and len(shown) - len(times) <= 4
    assert len(decode(made)) == len(frames)


def test_key_frames_lie_where_the_room_has_them(clip: Clip) -> None:
    made = made_of(clip.packets, SMALL, Rendition("96", 96))
    keys = [p.dts_ms + p.cts_ms for p in clip.packets if p.kind is Kind.VIDEO and p.key and not p.config]
    for name in ("120", "96"):
        assert [p.dts_ms for p in made[name] if p.kind is Kind.VIDEO and p.key and not p.config] == keys


def test_a_room_with_few_key_frames_gets_some_for_webrtc(clip: Clip) -> None:
    first = True
    packets = []
    for packet in clip.looped(8):
        if packet.kind is Kind.VIDEO and packet.key:
            # The frame is one all the same, only nobody says so; the decoder sees what it is.
            packet, first = replace(packet, key=first), False
        packets.append(packet)
    made = made_of(tuple(packets), RTC)["rtc"]
    keys = [packet.dts_ms for packet in made if packet.kind is Kind.VIDEO and packet.key]
    assert max(after - before for before, after in pairwise(keys)) <= KEY_MS_WEBRTC


def test_sound_passes_as_it_is_and_one_that_joins_later_is_told_how_to_decode_it(clip: Clip) -> None:
    pipeline = VideoPipeline()
    wanted = {"120": SMALL}
    made: list[tuple[str, Packet]] = []
    for count, packet in enumerate(clip.packets):
        if count == len(clip.packets) // 2:
            wanted = {**wanted, "rtc": RTC}
        made += pipeline.take(packet, wanted)
    sound = [packet for packet in clip.packets if packet.kind is Kind.AUDIO]
    assert [packet for name, packet in made if name == "120" and packet.kind is Kind.AUDIO] == sound
    late = [packet for name, packet in made if name == "rtc"]
    assert [packet.config for packet in late if packet.kind is Kind.AUDIO][:2] == [True, False]
    pictures = video(late)
    assert pictures[0].config and pictures[1].key
    assert decode(pictures)


@pytest.mark.parametrize(
    ("encoder", "codec"), [("libx265", Codec.HEVC), ("libvpx", Codec.VP8), ("libvpx-vp9", Codec.VP9)]
)
def test_other_codecs_become_h264(encoder: str, codec: Codec) -> None:
    packets = encoded(encoder, codec)
    made = made_of(tuple(packets), RTC)["rtc"]
    assert len(decode(made)) >= len(packets) - 4
    assert made[1].codec is Codec.H264


def test_a_broken_picture_is_left_out_up_to_the_next_key_frame(clip: Clip) -> None:
    packets = [
        replace(packet, data=b"\0\0\0\4junk") if packet.kind is Kind.VIDEO and 5 <= count < 8 else packet
        for count, packet in enumerate(clip.packets)
    ]
    assert len(video(made_of(tuple(packets), SMALL)["120"])) > 50


@pytest.mark.parametrize(
    ("source", "height", "size"),
    [
        ((1920, 1080), 720, (1280, 720)),
        ((1080, 1920), 480, (480, 854)),
        ((320, 240), 480, (320, 240)),
        ((641, 361), 360, (640, 360)),
    ],
)
def test_sizes_are_even_and_never_larger_than_the_room(
    source: tuple[int, int], height: int, size: tuple[int, int]
) -> None:
    assert Rendition("x", height).size_of(*source) == size


def test_a_thread_that_is_too_slow_loses_packets_and_the_room_never_waits(clip: Clip) -> None:
    made: Made = []
    transcoder = VideoTranscoder(made.extend, lambda call, out: call(out))
    transcoder.wanted = {"120": SMALL}
    block = Blocked(transcoder)
    pushed = 0
    for packet in clip.looped(60):
        transcoder.push(packet)
        pushed += 1
    assert transcoder.behind <= QUEUE_PACKETS_MAX + 1
    assert transcoder.dropped >= pushed - QUEUE_PACKETS_MAX - 10
    block.release()
    until(lambda: transcoder.behind == 0)
    base_ms = 1_000_000
    for packet in clip.packets:
        transcoder.push(replace(packet, dts_ms=packet.dts_ms + base_ms))
    until(lambda: any(packet is not None and packet.dts_ms >= base_ms + 3_000 for _, packet in made))
    after = [packet for _, packet in made if packet is not None and packet.kind is Kind.VIDEO]
    first = next(packet for packet in after if packet.dts_ms >= base_ms)
    assert first.key
    assert len(decode(after)) == len([packet for packet in after if not packet.config])
    transcoder.close()


class Blocked:
    """Keeps the thread of a transcoder busy until `release`."""

    def __init__(self, transcoder: VideoTranscoder) -> None:
        self.waiting = True

        def wait(pipeline: VideoPipeline) -> Made:
            until(lambda: not self.waiting)
            return []

        transcoder._queue.put(wait)

    def release(self) -> None:
        self.waiting = False


def until(condition: Callable[[], object]) -> None:
    latest = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < latest
        time.sleep(0.005)


class Room:
    """A directory with one host that sends a clip, and its renditions."""

    def __init__(self, clip: Clip, heights: tuple[int, ...] = (120,)) -> None:
        self.clip = clip
        self.now_ms = clock_ms()
        self.directory = Directory(lambda: self.now_ms)
        self.events: list[StreamEvent] = []
        self.directory.listen(self.events.append)
        self.renditions = Renditions(self.directory, clock=lambda: self.now_ms, heights=heights)
        self.base_ms = 0
        self.begin()

    def begin(self) -> None:
        self.publication = self.directory.publish("room", Host(), self.now_ms)
        for packet in self.clip.configs:
            self.publication.push(packet, self.now_ms)
        self.send()

    def send(self) -> None:
        """A whole clip."""
        for packet in self.clip.media:
            self.publication.push(replace(packet, dts_ms=packet.dts_ms + self.base_ms), self.now_ms)
        self.base_ms += 4_000
        self.now_ms += 4_000


@pytest.fixture
async def room(clip: Clip) -> AsyncIterator[Room]:
    made = Room(clip)
    yield made
    made.renditions.close()
    made.directory.close()


async def soon(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.005)


async def test_a_rendition_is_in_the_time_of_its_room_and_nobody_is_told_of_it(room: Room) -> None:
    events = len(room.events)
    assert room.renditions.watch("room", "120") == "room~120"
    relay = room.directory.find("room~120")
    assert relay is not None
    reader = Frames(relay)
    relay.attach(reader, room.now_ms)
    own = Frames(room.publication.relay)
    room.publication.relay.attach(own, room.now_ms)
    room.send()
    await soon(lambda: reader.media(Kind.VIDEO) and reader.media(Kind.VIDEO)[-1].dts_ms > own.all[-1].dts_ms - 300)
    assert (relay.info().width, relay.info().height) == (160, 120)
    shown = {packet.dts_ms + packet.cts_ms for packet in own.media(Kind.VIDEO)}
    assert {packet.dts_ms for packet in reader.media(Kind.VIDEO)} <= shown
    heard = [packet.dts_ms for packet in own.media(Kind.AUDIO)]
    assert {packet.dts_ms for packet in reader.media(Kind.AUDIO)} <= set(heard)
    assert len(room.events) == events
    assert room.directory.stats().live == 1


async def test_a_rendition_ends_when_nobody_reads_it_any_more(room: Room) -> None:
    room.renditions.watch("room", "120")
    relay = room.directory.find("room~120")
    assert relay is not None
    reader = Frames(relay)
    relay.attach(reader, room.now_ms)
    room.now_ms += 60_000
    room.renditions.sweep(room.now_ms)
    assert room.renditions.stats().active == 1
    relay.detach(reader)
    room.now_ms += 9_000
    room.renditions.sweep(room.now_ms)
    assert room.renditions.stats().active == 1
    room.now_ms += 2_000
    room.renditions.sweep(room.now_ms)
    assert (room.renditions.stats().active, room.renditions.stats().rooms) == (0, 0)
    assert room.directory.find("room~120") is None


async def test_when_the_host_returns_the_rendition_begins_a_run_too(room: Room) -> None:
    room.renditions.watch("room", "120")
    relay = room.directory.find("room~120")
    assert relay is not None
    reader = Frames(relay)
    relay.attach(reader, room.now_ms)
    room.send()
    await soon(lambda: reader.starts == 1)
    room.publication.end("gone", room.now_ms)
    for _ in range(40):
        room.now_ms += 50
        room.directory.fill(room.now_ms)
    room.base_ms = 0
    room.begin()
    await soon(lambda: reader.starts == 2)
    room.send()
    own = room.publication.relay
    await soon(lambda: reader.media(Kind.VIDEO)[-1].dts_ms > own.media_clock_ms - 300)
    for kind in (Kind.VIDEO, Kind.AUDIO):
        times = [packet.dts_ms for packet in reader.media(kind)]
        assert all(after > before for before, after in pairwise(times))
    assert any(packet.data == SILENCE for packet in reader.media(Kind.AUDIO))
    assert reader.closes == 0


async def test_when_the_room_is_over_its_renditions_are(room: Room) -> None:
    room.renditions.watch("room", "120")
    relay = room.directory.find("room~120")
    assert relay is not None
    reader = Frames(relay)
    relay.attach(reader, room.now_ms)
    room.directory.close()
    await soon(lambda: reader.closes)
    await soon(lambda: room.renditions.stats().rooms == 0)


async def test_the_ladder_names_what_is_lower_than_the_room(clip: Clip) -> None:
    room = Room(clip, (480, 120, 180))
    found = room.renditions.variants("room")
    assert [(variant.name, variant.width, variant.height) for variant in found] == [
        ("180", 240, 180),
        ("120", 160, 120),
    ]
    assert found[0].codecs == "avc1.42c01f,mp4a.40.2"
    assert room.renditions.variants("nobody") == []
    assert room.renditions.watch("room", "999") is None
    assert room.renditions.watch("nobody", "120") is None
    room.renditions.close()


async def test_webrtc_gets_a_rendition_of_a_host_with_b_frames(room: Room) -> None:
    assert needs_rendition(room.publication.relay, "")
    waiting = asyncio.create_task(room.renditions.webrtc("room", 40))
    await asyncio.sleep(0)
    room.send()
    relay = await waiting
    assert relay is not None and relay.playing
    assert not needs_rendition(relay, "")
