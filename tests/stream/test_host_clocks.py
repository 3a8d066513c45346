"""Hosts whose clocks wrap, jump or start apart, and rooms that are old: through to FLV, RTMP and MP4 bytes."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.directory import Directory
from stream.mp4_encoder import Mp4Encoder
from stream.output_rtmp import RtmpEncoder
from stream.packet import Codec, Kind, Packet
from stream.protocol.rtmp_chunk import ChunkReader
from stream.protocol.rtmp_session import CHUNK_BYTES_OUT
from stream.relay import Relay
from stream.tag_encoder import FlvEncoder
from stream.window import Encoder, Windows
from tests.stream.media import ASC, AVCC, tags
from tests.stream.stage import Host
from tests.stream.test_output_mp4 import boxes

HOUR_MS = 3_600_000
START_MS = 1_700_000_000_000
Times = dict[Kind, list[int]]


class Recording:
    """A reader that keeps the bytes of one format."""

    def __init__(self, relay: Relay, make: Callable[[Relay], Encoder]) -> None:
        self.relay = relay
        self.make = make
        self.data = b""
        self.windows: Windows | None = None

    def on_start(self, now_ms: int) -> None:
        windows = self.windows = Windows(self.make(self.relay), 350)
        for packet in tuple(self.relay.gop):
            self.keep(windows, packet, now_ms)

    def keep(self, windows: Windows, packet: Packet, now_ms: int) -> None:
        for window in windows.push(packet, now_ms):
            self.data += window.data if self.data else window.head + window.data

    def on_packet(self, packet: Packet, now_ms: int) -> None:
        assert self.windows is not None
        self.keep(self.windows, packet, now_ms)

    def on_stop(self, now_ms: int) -> None:
        if self.windows is not None:
            self.data += b"".join(window.data for window in self.windows.flush())
        self.windows = None

    def on_close(self, now_ms: int) -> None:
        return


def flv_times(data: bytes) -> Times:
    found: Times = {Kind.VIDEO: [], Kind.AUDIO: []}
    for kind, time_ms, body in tags(data):
        if kind in (8, 9) and body[1] == 1:
            found[Kind(kind)].append(time_ms)
    return found


def rtmp_times(data: bytes) -> Times:
    found: Times = {Kind.VIDEO: [], Kind.AUDIO: []}
    reader = ChunkReader()
    reader.chunk_bytes = CHUNK_BYTES_OUT
    reader.feed(data)
    while (message := reader.next_message()) is not None:
        if message.type_id in (8, 9) and message.body[1] == 1:
            found[Kind(message.type_id)].append(message.timestamp_ms)
    return found


def mp4_times(data: bytes) -> Times:
    found: Times = {Kind.VIDEO: [], Kind.AUDIO: []}
    trafs = [
        dict(boxes(traf))
        for name, moof in boxes(data)
        if name == b"moof"
        for child, traf in boxes(moof)
        if child == b"traf"
    ]
    for parts in trafs:
        track = int.from_bytes(parts[b"tfhd"][4:8], "big")
        kind, rate = (Kind.VIDEO, 90_000) if track == 1 else (Kind.AUDIO, 44_100)
        time = int.from_bytes(parts[b"tfdt"][4:12], "big")
        run = parts[b"trun"]
        for index in range(int.from_bytes(run[4:8], "big")):
            found[kind].append(time * 1000 // rate)
            time += int.from_bytes(run[12 + 16 * index : 16 + 16 * index], "big")
    return found


FORMATS: list[tuple[Callable[[Relay], Encoder], Callable[[bytes], Times]]] = [
    (FlvEncoder, flv_times),
    (RtmpEncoder, rtmp_times),
    (Mp4Encoder, mp4_times),
]


def unwrapped(times: list[int]) -> list[int]:
    """32-bit times as they were meant."""
    out = times[:1]
    for before, after in zip(times, times[1:], strict=False):  # noqa: RUF007
        out.append(out[-1] + ((after - before + 2**31) % 2**32) - 2**31)
    return out


def broadcast(
    frames: int, clock: Callable[[int], int], *, age_ms: int = 0, sound_first_ms: int = 0, new_sps: bytes = b""
) -> list[tuple[bytes, Times]]:
    """Bytes and times in each format of pictures and sounds each 40 ms; `clock` is the host's: real ms → its own.

    `age_ms`: the room had a host that long before. `sound_first_ms`: sound begins so much before the picture.
    """
    now = [START_MS]
    directory = Directory(lambda: now[0])
    configs = [
        Packet(Kind.VIDEO, Codec.H264, 0, 0, True, True, AVCC),
        Packet(Kind.AUDIO, Codec.AAC, 0, 0, True, True, ASC),
    ]
    publication = directory.publish("room", Host(), now[0])
    picture = Packet(Kind.VIDEO, Codec.H264, 0, 0, True, False, b"p" * 600)
    sound = Packet(Kind.AUDIO, Codec.AAC, 0, 0, True, False, b"s" * 60)
    if age_ms:
        for packet in (*configs, picture, sound):
            publication.push(packet, now[0])
        publication.end("gone", now[0])
        now[0] += age_ms
        publication = directory.publish("room", Host(), now[0])
    recordings = [Recording(publication.relay, make) for make, _ in FORMATS]
    for recording in recordings:
        publication.relay.attach(recording, now[0], host_only=True)
    for packet in configs:
        publication.push(replace(packet, dts_ms=clock(0) & 0xFFFFFFFF), now[0])
    for index in range(frames):
        real_ms = index * 40
        stamp = clock(real_ms) & 0xFFFFFFFF
        if new_sps and index == frames // 50 * 25:
            publication.push(replace(configs[0], dts_ms=stamp, data=new_sps), now[0] + real_ms)
        if real_ms >= sound_first_ms:
            publication.push(replace(picture, dts_ms=stamp, key=index % 25 == 0), now[0] + real_ms)
        publication.push(replace(sound, dts_ms=stamp), now[0] + real_ms)
    now[0] += frames * 40
    directory.close()
    return [(recording.data, read(recording.data)) for recording, (_, read) in zip(recordings, FORMATS, strict=True)]


def check(times: Times, *, pictures: int, length_ms: int) -> None:
    """Nothing is lost, nothing goes back, picture and sound stay together, and it lasts as long as it did."""
    picture, sound = unwrapped(times[Kind.VIDEO]), unwrapped(times[Kind.AUDIO])
    assert len(picture) == pictures
    for track in (picture, sound):
        assert all(after > before for before, after in zip(track, track[1:], strict=False))  # noqa: RUF007
    assert picture[-1] - picture[0] == pytest.approx(length_ms, abs=80)
    # Sound that is counted in samples may be 60 ms from its own times, see AUDIO_DRIFT_MS_MAX.
    assert abs(picture[-1] - sound[-1]) <= 120


@given(start=st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_any_start_of_a_hosts_clock_gives_a_steady_stream_in_every_format(start: int) -> None:
    for _, times in broadcast(100, lambda real_ms: start + real_ms):
        check(times, pictures=100, length_ms=99 * 40)


@pytest.mark.parametrize("edge", [0xFFFFFF, 2**32])
def test_a_host_over_4_h_40_and_over_the_wrap_goes_on(edge: int) -> None:
    for _, times in broadcast(100, lambda real_ms: edge - 2000 + real_ms):
        check(times, pictures=100, length_ms=99 * 40)


@pytest.mark.parametrize("hours", [4.6602, 1193.0464, 5000.0])
def test_a_room_over_4_h_40_and_over_49_days_goes_on(hours: float) -> None:
    found = broadcast(200, lambda real_ms: real_ms, age_ms=int(hours * HOUR_MS))
    for _, times in found:
        check(times, pictures=200, length_ms=199 * 40)
    assert found[2][1][Kind.VIDEO][0] >= hours * HOUR_MS  # MP4's times have 64 bits


@given(at_ms=st.integers(1000, 3000), jump_ms=st.integers(-(2**31) + 1, 2**31 - 1))
@settings(max_examples=25, deadline=None)
def test_a_host_that_jumps_is_held_to_the_time_that_passed(at_ms: int, jump_ms: int) -> None:
    # A step of less than the skew between tracks is no jump, but time that the host says has passed.
    jump_ms = jump_ms if abs(jump_ms) > 4000 else 4001
    for _, times in broadcast(100, lambda real_ms: real_ms + (jump_ms if real_ms >= at_ms else 0)):
        check(times, pictures=100, length_ms=99 * 40)


def test_sound_two_seconds_before_the_picture_stays_where_it_belongs() -> None:
    for _, times in broadcast(150, lambda real_ms: real_ms, sound_first_ms=2000):
        check(times, pictures=100, length_ms=99 * 40)


def test_a_new_parameter_set_midway_reaches_every_format() -> None:
    other = AVCC.replace(b"\x67\x64\x00\x0d", b"\x67\x64\x00\x1e").replace(b"\x01\x64\x00\x0d", b"\x01\x64\x00\x1e")
    found = broadcast(100, lambda real_ms: real_ms, new_sps=other)
    for data, times in found:
        check(times, pictures=100, length_ms=99 * 40)
        assert data.index(AVCC) < data.index(other)
    assert [name for name, _ in boxes(found[2][0])].count(b"moov") == 2
