"""Who may publish where, and how long a room outlives its host."""

import pytest

from stream.directory import (
    PUBLISHER_SILENCE_MS,
    Directory,
    DirectoryFull,
    DirectoryLimits,
    Publication,
    StreamChanged,
    StreamEvent,
    StreamStarted,
    StreamStopped,
)
from stream.errors import AlreadyPublishing, PublishRefused
from stream.origin import Origin
from stream.packet import Codec, Kind, Packet
from stream.protocol import flv
from stream.protocol.rtmp_chunk import MESSAGE_BYTES_MAX
from stream.relay import AUDIO_WAIT_MS, PACKET_BYTES_MAX
from tests.stream.media import ASC, AVCC, Clip
from tests.stream.stage import Host


class Watcher:
    """A reader that keeps what it is told."""

    def __init__(self) -> None:
        self.packets: list[Packet] = []
        self.calls: list[str] = []

    def on_start(self, now_ms: int) -> None:
        self.calls.append("start")

    def on_packet(self, packet: Packet, now_ms: int) -> None:
        self.packets.append(packet)

    def on_stop(self, now_ms: int) -> None:
        self.calls.append("stop")

    def on_close(self, now_ms: int) -> None:
        self.calls.append("close")


def make(limits: DirectoryLimits | None = None) -> tuple[Directory, list[StreamEvent]]:
    events: list[StreamEvent] = []
    directory = Directory(lambda: 0, limits)
    directory.listen(events.append)
    return directory, events


def go_live(publication: Publication, now_ms: int, *, audio: bool = True) -> None:
    publication.push(Packet(Kind.VIDEO, Codec.H264, 0, 0, True, True, AVCC), now_ms)
    publication.push(Packet(Kind.VIDEO, Codec.H264, 0, 0, True, False, b"key"), now_ms)
    if audio:
        publication.push(Packet(Kind.AUDIO, Codec.AAC, 0, 0, True, True, ASC), now_ms)
        publication.push(Packet(Kind.AUDIO, Codec.AAC, 0, 0, True, False, b"sound"), now_ms)


def test_a_second_host_is_refused_while_the_first_delivers() -> None:
    directory, _ = make()
    first = Host()
    go_live(directory.publish("room", first, 0), 1000)
    with pytest.raises(AlreadyPublishing):
        directory.publish("room", Host(), 1000 + PUBLISHER_SILENCE_MS - 1)
    assert first.closed == []
    assert directory.stats().refused == 1
    directory.publish("other", Host(), 1001)


def test_a_silent_host_gives_way_at_once_and_can_do_no_more_harm() -> None:
    directory, events = make()
    dead, heir = Host(), Host()
    former = directory.publish("room", dead, 0)
    go_live(former, 1000)
    publication = directory.publish("room", heir, 1000 + PUBLISHER_SILENCE_MS)
    assert len(dead.closed) == 1
    former.push(Packet(Kind.VIDEO, Codec.H264, 40, 0, False, False, b"late"), 1600)
    former.end("its socket closed at last", 1700)
    go_live(publication, 1800)
    assert directory.info("room").live
    assert [type(event) for event in events if not isinstance(event, StreamChanged)] == [
        StreamStarted,
        StreamStopped,
        StreamStarted,
    ]


def test_a_host_has_time_to_send_its_first_frame() -> None:
    directory, _ = make()
    directory.publish("room", Host(), 5000)
    with pytest.raises(AlreadyPublishing):
        directory.publish("room", Host(), 5100)


def test_events_tell_codecs_and_size(clip: Clip) -> None:
    directory, events = make()
    publication = directory.publish("room", Host(), 0)
    for packet in clip.packets:
        publication.push(packet, packet.dts_ms)
    assert isinstance(events[0], StreamStarted)
    info = directory.info("room")
    assert (info.live, info.video_codec, info.audio_codec) == (True, "avc1.64000d", "mp4a.40.2")
    assert (info.width, info.height) == (320, 240)
    assert events[-1].info.width == 320
    publication.end("unpublished", 4000)
    stopped = events[-1]
    assert isinstance(stopped, StreamStopped)
    assert (stopped.reason, stopped.info.live) == ("unpublished", False)
    assert not directory.info("nowhere").live


def test_a_room_outlives_its_host_and_its_clock_goes_on() -> None:
    directory, _ = make(DirectoryLimits(linger_ms=1000))
    publication = directory.publish("room", Host(), 0)
    go_live(publication, 0)
    watcher = Watcher()
    directory.relay("room").attach(watcher, 0)
    clock_ms = directory.info("room").media_clock_ms
    publication.end("lost", 100)
    directory.sweep(900)
    again = directory.publish("room", Host(), 900)
    go_live(again, 900)
    assert directory.info("room").media_clock_ms == clock_ms + 900
    assert watcher.calls == ["start", "stop", "start"]


def test_viewers_are_let_go_when_the_host_stays_away() -> None:
    directory, _ = make(DirectoryLimits(linger_ms=1000))
    publication = directory.publish("room", Host(), 0)
    go_live(publication, 0)
    watcher = Watcher()
    directory.relay("room").attach(watcher, 0)
    publication.end("lost", 100)
    directory.sweep(1100)
    assert watcher.calls == ["start", "stop", "close"]
    assert directory.find("room") is None


def test_a_room_that_waits_for_its_first_host_is_kept_while_somebody_waits() -> None:
    directory, _ = make(DirectoryLimits(linger_ms=1000))
    watcher = Watcher()
    relay = directory.relay("room")
    relay.attach(watcher, 0)
    directory.sweep(50_000)
    assert directory.find("room") is relay
    relay.detach(watcher)
    directory.sweep(50_001)
    assert directory.find("room") is None


def test_there_is_a_limit_on_rooms() -> None:
    directory, _ = make(DirectoryLimits(relays_max=1))
    directory.relay("a")
    with pytest.raises(DirectoryFull):
        directory.relay("b")
    with pytest.raises(PublishRefused):
        directory.publish("b", Host(), 0)


def test_sound_that_stays_away_is_given_up_after_a_while() -> None:
    directory, _ = make()
    go_live(directory.publish("room", Host(), 0), 0, audio=False)
    watcher = Watcher()
    directory.relay("room").attach(watcher, 0)
    directory.sweep(AUDIO_WAIT_MS - 1)
    assert watcher.calls == []
    directory.sweep(AUDIO_WAIT_MS)
    assert watcher.calls == ["start"]


def test_broken_configurations_are_counted_and_harm_nobody() -> None:
    directory, events = make()
    publication = directory.publish("room", Host(), 0)
    publication.push(Packet(Kind.VIDEO, Codec.H264, 0, 0, True, True, b"garbage"), 0)
    publication.push(Packet(Kind.AUDIO, Codec.AAC, 0, 0, True, True, b"\xff"), 0)
    publication.push(Packet(Kind.VIDEO, Codec.H264, 0, 0, True, False, b"key"), 0)
    assert directory.stats().packets_dropped == 3
    assert events == []


def test_closing_ends_hosts_and_readers_and_takes_no_more() -> None:
    directory, events = make()
    host = Host()
    go_live(directory.publish("room", host, 0), 0)
    watcher = Watcher()
    directory.relay("room").attach(watcher, 0)
    directory.close()
    assert host.closed == ["shutting down"]
    assert watcher.calls[-1] == "close"
    assert isinstance(events[-1], StreamStopped)
    with pytest.raises(PublishRefused):
        directory.publish("room", Host(), 0)


def send(publication: Publication, directory: Directory, from_s: int, to_s: int, bytes_per_s: int) -> None:
    """A host that sends so much a second, swept each half second as the timer does."""
    for half in range(from_s * 2, to_s * 2):
        now_ms = half * 500
        publication.push(Packet(Kind.VIDEO, Codec.H264, now_ms, 0, True, False, bytes(bytes_per_s // 2)), now_ms)
        directory.sweep(now_ms + 499)


def test_a_host_that_sends_too_much_for_too_long_is_told_and_closed() -> None:
    directory, events = make(DirectoryLimits(host_bits_per_s_max=8_000, excess_ms=10_000))
    host, origin = Host(), Origin("rtmp", "k1", "OBS", "192.0.2.1")
    publication = directory.publish("room", host, 0, origin)
    publication.push(Packet(Kind.VIDEO, Codec.H264, 0, 0, True, True, AVCC), 0)
    send(publication, directory, 0, 30, 900)
    # A burst that is over within the time is none.
    send(publication, directory, 30, 36, 4_000)
    send(publication, directory, 36, 60, 900)
    assert publication.active and not host.closed
    send(publication, directory, 60, 80, 1_200)
    assert not publication.active
    assert host.closed == ["it sent more than 0.008 Mbit/s, lower the bitrate in the encoder"]
    assert directory.stats().expelled == 1
    stopped = events[-1]
    assert isinstance(stopped, StreamStopped) and stopped.origin == origin and "Mbit/s" in stopped.reason


def test_an_expelled_host_leaves_its_room_and_viewers_to_the_next_one() -> None:
    directory, _ = make()
    host, watcher = Host(), Watcher()
    directory.publish("room", host, 0, Origin("rtmp", "k1", "", "192.0.2.1"))
    directory.relay("room").attach(watcher, 0)
    assert directory.expel("room", "the stream key was revoked", 10)
    assert host.closed == ["the stream key was revoked"] and directory.origins() == {}
    assert not directory.expel("room", "again", 10) and not directory.expel("nowhere", "x", 10)
    go_live(directory.publish("room", Host(), 20), 20)
    assert watcher.calls == ["start"]


def test_a_frame_that_fits_no_tag_is_dropped_and_the_largest_that_does_goes_through() -> None:
    # 16 MB of classic HEVC with a time offset grew over the 24-bit size of the tag that is made of it.
    directory, _ = make()
    watcher = Watcher()
    relay = directory.relay("room")
    relay.attach(watcher, 0)
    publication = directory.publish("room", Host(), 0)
    go_live(publication, 0)
    for size in (PACKET_BYTES_MAX + 1, PACKET_BYTES_MAX):
        publication.push(Packet(Kind.VIDEO, Codec.HEVC, 40, 40, False, False, bytes(size)), 40)
        publication.push(Packet(Kind.VIDEO, Codec.H264, 40, 40, False, False, bytes(size)), 40)
    assert [len(packet.data) for packet in watcher.packets] == [PACKET_BYTES_MAX]
    for codec in (Codec.H264, Codec.HEVC, Codec.AV1, Codec.VP9):
        largest = Packet(Kind.VIDEO, codec, 40, 40, False, False, bytes(PACKET_BYTES_MAX))
        assert len(flv.tag(largest)) > PACKET_BYTES_MAX
        assert len(flv.body_prefix(largest)) + PACKET_BYTES_MAX <= MESSAGE_BYTES_MAX
