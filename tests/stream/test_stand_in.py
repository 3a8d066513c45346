"""Hosts that drop: what goes on in every format while they are away, and how it goes on when they return."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import av
import pytest

from stream.directory import (
    STALL_MS,
    Directory,
    DirectoryLimits,
    Publication,
    StreamEvent,
    StreamStarted,
    StreamStopped,
)
from stream.packet import Codec, Kind, Packet
from stream.relay import FILL_AFTER_MS, Reader, Relay, RelayLimits
from stream.stand_in import PICTURE_MS, Reel, last_picture
from stream.window import Windows
from tests.stream.media import ASC, AVCC, DELIMITER, SILENCE, Clip, packets
from tests.stream.stage import Host
from tests.stream.test_host_clocks import FORMATS, Recording, Times

START_MS = 1_700_000_000_000
CONFIGS = (
    Packet(Kind.VIDEO, Codec.H264, 0, 0, True, True, AVCC),
    Packet(Kind.AUDIO, Codec.AAC, 0, 0, True, True, ASC),
)
SOUND_MS = 1024 / 44.1


class Show:
    """One room on a manual clock, with a reader of each format."""

    def __init__(self, limits: DirectoryLimits | None = None, reels: dict[tuple[int, int], Reel] | None = None) -> None:
        self.now_ms = START_MS
        slate = None if reels is None else Slates(reels)
        self.directory = Directory(lambda: self.now_ms, limits, slate=slate)
        self.relay = self.directory.relay("room")
        self.recordings = [Recording(self.relay, make) for make, _ in FORMATS]
        self.frames = Frames(self.relay)
        readers: list[Reader] = [*self.recordings, self.frames]
        for reader in readers:
            self.relay.attach(reader, self.now_ms)
        self.publication: Publication | None = None

    def come(self, raw_ms: int = 0, configs: tuple[Packet, ...] = CONFIGS) -> Publication:
        self.raw_ms = self.begun_raw_ms = raw_ms
        self.pictured_ms: int | None = None
        self.sounds = 0
        publication = self.publication = self.directory.publish("room", Host(), self.now_ms)
        for packet in configs:
            publication.push(replace(packet, dts_ms=raw_ms), self.now_ms)
        return publication

    def send(self, lasts_ms: int, *, key: bool = True, sound: bool = True, picture: bool = True) -> None:
        """Pictures each 40 ms, a key frame each second of the run, and sound as it is due."""
        publication = self.publication
        assert publication is not None
        for _ in range(lasts_ms // 40):
            at_ms = self.raw_ms - self.begun_raw_ms
            if picture:
                if self.pictured_ms is None:
                    self.pictured_ms = at_ms
                first = key and (at_ms - self.pictured_ms) % 1000 == 0
                shown = Packet(Kind.VIDEO, Codec.H264, self.raw_ms, 0, first, False, stamp(at_ms, 600))
                publication.push(shown, self.now_ms)
            while sound and self.sounds * SOUND_MS < at_ms + 40:
                sound_ms = round(self.sounds * SOUND_MS)
                heard = Packet(Kind.AUDIO, Codec.AAC, self.begun_raw_ms + sound_ms, 0, True, False, stamp(sound_ms, 60))
                publication.push(heard, self.now_ms)
                self.sounds += 1
            self.now_ms += 40
            self.raw_ms += 40

    def leave(self) -> None:
        assert self.publication is not None
        self.publication.end("gone", self.now_ms)
        self.publication = None

    def wait(self, lasts_ms: int, step_ms: int = 50) -> None:
        for _ in range(lasts_ms // step_ms):
            self.now_ms += step_ms
            self.directory.fill(self.now_ms)
            self.directory.sweep(self.now_ms)

    def times(self) -> list[Times]:
        self.directory.close()
        return [read(recording.data) for recording, (_, read) in zip(self.recordings, FORMATS, strict=True)]


def stamp(at_ms: int, size: int) -> bytes:
    return b"at%08d" % at_ms + bytes(size)


class Frames:
    """A reader that keeps the packets themselves."""

    def __init__(self, relay: Relay) -> None:
        self.relay = relay
        self.all: list[Packet] = []
        self.starts = self.stops = self.closes = 0

    def on_start(self, now_ms: int) -> None:
        self.starts += 1
        self.all += [*self.relay.configs(), *self.relay.gop]

    def on_packet(self, packet: Packet, now_ms: int) -> None:
        self.all.append(packet)

    def on_stop(self, now_ms: int) -> None:
        self.stops += 1

    def on_close(self, now_ms: int) -> None:
        self.closes += 1

    def media(self, kind: Kind) -> list[Packet]:
        return [packet for packet in self.all if packet.kind is kind and not packet.config]


class Slates:
    """Slates that are ready, by size."""

    def __init__(self, reels: dict[tuple[int, int], Reel]) -> None:
        self.reels = reels
        self.asked: list[tuple[int, int]] = []

    def prepare(self, width: int, height: int) -> None:
        self.asked.append((width, height))

    def reel(self, width: int, height: int) -> Reel | None:
        return self.reels.get((width, height))

    def close(self) -> None:
        self.reels = {}


def steps(times: list[int]) -> Iterator[int]:
    return (after - before for before, after in pairwise(times))


@pytest.mark.parametrize("drops", [3, pytest.param(20, marks=pytest.mark.soak)])
@pytest.mark.parametrize("away_ms", [150, 1_000, 2_350])
def test_through_many_drops_no_time_goes_back_and_there_is_no_hole(drops: int, away_ms: int) -> None:
    show = Show()
    for drop in range(drops):
        # Each connection has a clock of its own.
        show.come(raw_ms=(drop * 1_234_567) % 2**32)
        show.send(1_000)
        show.leave()
        show.wait(away_ms)
    show.come(raw_ms=2**32 - 500)
    show.send(1_000)
    length_ms = show.now_ms - START_MS
    assert show.frames.closes == 0
    for times in show.times():
        for track, most_ms in ((times[Kind.VIDEO], PICTURE_MS), (times[Kind.AUDIO], 60)):
            assert all(step > 0 for step in steps(track))
            if away_ms >= FILL_AFTER_MS:
                assert max(steps(track)) <= most_ms
            assert track[-1] - track[0] == pytest.approx(length_ms, abs=200)


@pytest.mark.parametrize("away_ms", [150, 1_000])
@pytest.mark.parametrize("ahead_ms", [0, 300, 2_000])
def test_picture_and_sound_stay_together_over_a_drop_however_early_sound_begins(away_ms: int, ahead_ms: int) -> None:
    show = Show()
    for _ in range(3):
        show.come()
        # Sound alone, at once, whose times are those of the pictures that follow.
        show.send(ahead_ms, picture=False)
        show.send(2_000)
        show.leave()
        show.wait(away_ms)
    said: dict[int, dict[Kind, int]] = {}
    runs = 0
    for packet in show.frames.all:
        if packet.config or not packet.data.startswith(b"at"):
            continue
        if packet.kind is Kind.VIDEO and packet.key and int(packet.data[2:10]) == ahead_ms // 40 * 40:
            runs += 1
        said.setdefault(runs, {})[packet.kind] = packet.dts_ms - int(packet.data[2:10])
        both = said[runs]
        if runs and len(both) == 2:
            assert abs(both[Kind.VIDEO] - both[Kind.AUDIO]) <= 1
    assert runs == 3


def test_the_last_key_frame_comes_again_with_silence_and_a_new_viewer_begins_with_it() -> None:
    show = Show()
    show.come()
    show.send(2_000)
    show.leave()
    show.wait(3_000)
    late = Frames(show.relay)
    show.relay.attach(late, show.now_ms)
    show.wait(1_000)
    pictures = [packet for packet in show.frames.media(Kind.VIDEO) if packet.data.startswith(DELIMITER)]
    assert 11 <= len(pictures) <= 14
    assert {packet.data[len(DELIMITER) :] for packet in pictures} == {stamp(1_000, 600)}
    assert all(packet.key for packet in pictures)
    sounds = [packet for packet in show.frames.media(Kind.AUDIO) if packet.data == SILENCE]
    assert len(sounds) == pytest.approx(4_000 / SOUND_MS, abs=4)
    assert late.starts == 1
    assert next(packet for packet in late.all if not packet.config).key
    assert len(late.media(Kind.VIDEO)) >= 3


def test_a_host_that_is_back_at_once_leaves_no_other_picture() -> None:
    show = Show()
    show.come()
    show.send(1_000)
    show.leave()
    show.wait(FILL_AFTER_MS - 100)
    show.come()
    show.send(1_000)
    assert not any(packet.data.startswith(DELIMITER) for packet in show.frames.all)
    assert len(show.frames.media(Kind.VIDEO)) == 50
    assert max(steps([packet.dts_ms for packet in show.frames.media(Kind.AUDIO)])) <= 60


def test_a_host_that_returns_is_heard_from_its_first_key_frame_on() -> None:
    show = Show()
    show.come()
    show.send(1_000)
    show.leave()
    show.wait(1_000)
    show.come()
    show.send(520, key=False)
    show.wait(0)
    before = len(show.frames.media(Kind.VIDEO))
    assert show.frames.starts == 1
    show.directory.fill(show.now_ms)
    assert len(show.frames.media(Kind.VIDEO)) > before
    show.pictured_ms = None
    show.send(400)
    assert show.frames.starts == 2
    assert show.frames.media(Kind.VIDEO)[-10].key
    assert show.frames.media(Kind.VIDEO)[-1].data == stamp(880, 600)


def test_a_host_that_comes_and_goes_before_its_first_key_frame_changes_nothing() -> None:
    show = Show()
    show.come()
    show.send(1_000)
    show.leave()
    show.wait(1_000)
    show.come()
    show.leave()
    show.wait(1_000)
    assert (show.frames.starts, show.frames.stops) == (1, 0)
    assert max(steps([packet.dts_ms for packet in show.frames.media(Kind.VIDEO)])) <= PICTURE_MS


def test_a_host_that_is_connected_and_silent_is_stood_in_for_until_its_next_key_frame() -> None:
    show = Show()
    show.come()
    show.send(1_000)
    show.wait(STALL_MS + 1_000)
    assert show.relay.live
    assert show.frames.media(Kind.VIDEO)[-1].data.startswith(DELIMITER)
    show.pictured_ms = None
    show.send(520, key=False)
    assert not show.frames.media(Kind.VIDEO)[-1].data.startswith(b"at")
    show.pictured_ms = None
    show.send(1_000)
    assert (show.frames.starts, show.frames.stops) == (2, 1)
    assert show.frames.media(Kind.VIDEO)[-1].data.startswith(b"at")
    for times in show.times():
        for track, most_ms in ((times[Kind.VIDEO], PICTURE_MS), (times[Kind.AUDIO], 60)):
            assert all(0 < step <= most_ms for step in steps(track))


def test_that_a_host_is_connected_and_silent_is_told_and_that_it_is_heard_again() -> None:
    show = Show()
    told: list[StreamEvent] = []
    show.directory.listen(told.append)
    show.come()
    show.send(1_000)
    assert [type(event) for event in told] == [StreamStarted]
    show.wait(STALL_MS + 1_000)
    show.pictured_ms = None
    show.send(520, key=False)
    assert [(event.info.live, event.info.away) for event in told[1:]] == [(True, True)]
    show.pictured_ms = None
    show.send(1_000)
    assert {(event.info.live, event.info.away) for event in told[2:]} == {(True, False)}
    assert not show.relay.info().away
    show.leave()
    show.wait(1_000)
    assert isinstance(told[-1], StreamStopped)
    assert (told[-1].info.live, told[-1].info.away) == (False, False)


def test_however_long_it_takes_until_a_silent_hosts_key_frame_nobody_is_told_that_there_is_no_picture() -> None:
    show = Show()
    show.come()
    show.send(1_000)
    show.wait(12_000)
    assert (show.frames.starts, show.frames.stops) == (1, 0)
    assert show.frames.media(Kind.VIDEO)[-1].data.startswith(DELIMITER)
    show.pictured_ms = None
    for _ in range(16):
        show.send(520, key=False)
        show.directory.fill(show.now_ms)
        show.directory.sweep(show.now_ms)
    assert (show.frames.starts, show.frames.stops) == (1, 0)
    show.pictured_ms = None
    show.send(400)
    assert (show.frames.starts, show.frames.stops) == (2, 1)
    assert show.frames.media(Kind.VIDEO)[-1].data.startswith(b"at")


def test_a_host_that_is_silent_can_be_asked_for_its_next_key_frame() -> None:
    show = Show()
    show.come()
    show.send(1_000)
    asked: list[int] = []
    show.relay.on_key_wanted = asked.append
    show.wait(STALL_MS + 1_000)
    show.send(40, key=False)
    assert asked == [show.now_ms - 40]


def test_a_host_that_leaves_after_a_silence_is_stood_in_for_all_the_same() -> None:
    show = Show()
    show.come()
    show.send(1_000)
    show.wait(STALL_MS + 1_000)
    show.leave()
    show.wait(1_000)
    show.come()
    show.send(1_000)
    assert (show.frames.starts, show.frames.stops) == (2, 1)
    assert show.frames.media(Kind.VIDEO)[-1].data == stamp(960, 600)


def test_without_picture_silence_goes_on_and_the_host_is_taken_back_at_its_first_sound() -> None:
    show = Show()
    for _ in range(2):
        show.come(configs=CONFIGS[1:])
        show.send(8_000, picture=False)
        show.leave()
        show.wait(1_000)
    assert show.frames.starts == 2
    track = [packet.dts_ms for packet in show.frames.media(Kind.AUDIO)]
    assert all(0 < step <= 60 for step in steps(track))
    assert not show.frames.media(Kind.VIDEO)


def test_without_sound_the_picture_goes_on_and_the_host_is_taken_back_at_its_first_key_frame() -> None:
    show = Show()
    for _ in range(3):
        show.come(configs=CONFIGS[:1])
        show.send(4_000, sound=False)
        show.leave()
        show.wait(1_000)
    track = [packet.dts_ms for packet in show.frames.media(Kind.VIDEO)]
    assert all(0 < step <= PICTURE_MS for step in steps(track))
    assert len([packet for packet in show.frames.media(Kind.VIDEO) if packet.data.startswith(b"at")]) == 250, (
        "the first 2 s of the first run passed before sound was given up, and a key frame came then"
    )


def test_a_large_key_frame_comes_seldom_enough_to_stay_within_the_rate() -> None:
    reel = last_picture(Packet(Kind.VIDEO, Codec.H264, 0, 0, True, False, bytes(1_000_000)))
    assert 1_000 <= reel.length_ms <= 1_001


@pytest.mark.parametrize("codec", [Codec.HEVC, Codec.AV1, Codec.VP9])
def test_other_codecs_come_again_as_they_are(codec: Codec) -> None:
    reel = last_picture(Packet(Kind.VIDEO, codec, 0, 0, True, False, b"picture"))
    assert reel.frames[0][1].data == b"picture"


def test_a_key_frame_that_begins_with_a_delimiter_gets_no_second_one() -> None:
    data = DELIMITER + b"picture"
    assert last_picture(Packet(Kind.VIDEO, Codec.H264, 0, 0, True, False, data)).frames[0][1].data == data


def test_a_reader_that_wants_the_host_alone_is_stopped_and_started() -> None:
    show = Show()
    alone = Frames(show.relay)
    show.relay.attach(alone, show.now_ms, host_only=True)
    show.come()
    show.send(1_000)
    show.leave()
    assert (alone.starts, alone.stops) == (1, 1)
    show.wait(2_000)
    later = Frames(show.relay)
    show.relay.attach(later, show.now_ms, host_only=True)
    assert later.starts == 0
    show.come()
    show.send(1_000)
    assert (alone.starts, alone.stops, later.starts) == (2, 1, 1)
    assert all(packet.data.startswith(b"at") for packet in (*alone.media(Kind.VIDEO), *later.media(Kind.VIDEO)))


def test_a_slate_comes_with_its_own_configuration_and_the_hosts_comes_back_with_the_host() -> None:
    config = Packet(Kind.VIDEO, Codec.H264, 0, 0, True, True, AVCC + b"slate")
    frames = tuple(
        (at, Packet(Kind.VIDEO, Codec.H264, 0, 0, at == 0, False, b"slate%d" % at)) for at in range(0, 1000, 200)
    )
    show = Show(reels={(320, 240): Reel(config, frames, 1_000)})
    show.come()
    show.send(1_000)
    show.leave()
    show.wait(3_000)
    late = Frames(show.relay)
    show.relay.attach(late, show.now_ms)
    assert [packet.data for packet in late.all[:2]] == [AVCC + b"slate", ASC]
    show.come()
    show.send(1_000)
    found = [packet.data for packet in show.frames.all if packet.kind is Kind.VIDEO]
    first = found.index(AVCC + b"slate")
    assert found[first + 1 : first + 7] == [b"slate0", b"slate200", b"slate400", b"slate600", b"slate800", b"slate0"]
    assert found.index(AVCC, first) < found.index(stamp(0, 600), first)
    for times in show.times():
        for track in times.values():
            assert all(step > 0 for step in steps(track))


def test_without_a_slate_of_its_size_the_last_picture_is_shown() -> None:
    show = Show(reels={})
    show.come()
    show.send(1_000)
    show.leave()
    show.wait(1_000)
    assert show.frames.media(Kind.VIDEO)[-1].data.startswith(DELIMITER)


def test_after_the_linger_time_viewers_are_let_go_and_nothing_is_made_any_more() -> None:
    show = Show(DirectoryLimits(linger_ms=5_000))
    show.come()
    show.send(1_000)
    show.leave()
    show.wait(6_000)
    assert show.frames.closes == 1
    count = len(show.frames.all)
    show.wait(1_000)
    assert len(show.frames.all) == count
    assert not show.relay.standing_in


def test_a_loop_that_stood_still_does_not_make_up_for_it() -> None:
    show = Show()
    show.come()
    show.send(1_000)
    show.leave()
    show.wait(1_000)
    count = len(show.frames.all)
    show.now_ms += 14 * 3_600_000
    show.directory.fill(show.now_ms)
    assert len(show.frames.all) - count <= 4
    show.come()
    show.send(1_000)
    for times in show.times():
        for track in times.values():
            assert all(step > 0 for step in steps(track))


def test_what_is_cached_for_new_viewers_stays_bounded_however_long_the_host_is_away() -> None:
    show = Show()
    show.come()
    show.send(1_000)
    show.leave()
    show.wait(30_000)
    assert len(show.relay.gop) < 40
    assert show.relay.gop_overflows == 0


def test_empty_packets_without_end_are_not_kept() -> None:
    show = Show(DirectoryLimits(relay=RelayLimits(gop_packets_max=100)))
    publication = show.come()
    show.send(40)
    for _ in range(500):
        publication.push(Packet(Kind.DATA, Codec.AMF0, 0, 0, False, False, b"\x05"), show.now_ms)
    assert len(show.relay.gop) <= 100
    assert show.relay.gop_overflows == 1


@pytest.mark.parametrize("kind", [Kind.VIDEO, Kind.AUDIO])
def test_another_codec_midway_starts_readers_anew_at_a_key_frame(kind: Kind) -> None:
    show = Show()
    publication = show.come()
    show.send(1_000)
    codec, config = (Codec.HEVC, HVCC) if kind is Kind.VIDEO else (Codec.MP3, b"")
    if config:
        publication.push(Packet(kind, codec, show.raw_ms, 0, True, True, config), show.now_ms)
    for packet in packets_of(2_000, 1_000):
        if packet.kind is kind:
            packet = replace(packet, codec=codec, data=b"another" + packet.data)
        show.now_ms = START_MS + packet.dts_ms
        publication.push(packet, show.now_ms)
    assert (show.frames.starts, show.frames.stops) == (2, 1)
    encoders = [recording.windows for recording in show.recordings]
    mp4 = encoders[2]
    assert isinstance(mp4, Windows)
    assert kind not in mp4.encoder.tracks
    assert b"another" not in show.recordings[2].data


HVCC = bytes.fromhex("0101600000009000000000003cf000fcfdf8f800000f03")
"""A record of the Main profile without parameter sets."""


def packets_of(lasts_ms: int, from_ms: int) -> Iterator[Packet]:
    for at in range(from_ms, from_ms + lasts_ms, 40):
        yield Packet(Kind.VIDEO, Codec.H264, at, 0, (at - from_ms) % 1000 == 0, False, bytes(100))
        yield Packet(Kind.AUDIO, Codec.AAC, at, 0, True, False, bytes(10))


def test_what_is_shown_meanwhile_is_decoded_without_a_complaint(clip: Clip) -> None:
    show = Show()
    show.come(configs=clip.configs)
    publication = show.publication
    assert publication is not None
    for packet in clip.media:
        if packet.dts_ms < 1_900:
            publication.push(packet, show.now_ms + packet.dts_ms)
    show.now_ms += 1_900
    show.leave()
    show.wait(2_000)
    show.directory.close()
    found = packets(show.recordings[0].data)
    decoder = av.CodecContext.create("h264", "r")
    decoder.extradata = next(packet.data for packet in found if packet.config and packet.kind is Kind.VIDEO)
    assert isinstance(decoder, av.VideoCodecContext)
    video = [packet for packet in found if packet.kind is Kind.VIDEO and not packet.config]
    pictures = []
    for packet in video:
        piece = av.Packet(packet.data)
        piece.pts, piece.dts = packet.dts_ms + packet.cts_ms, packet.dts_ms
        pictures += decoder.decode(piece)
    pictures += decoder.decode(None)
    assert len(pictures) == len(video)
    shown = [picture.pts or 0 for picture in pictures]
    assert shown == sorted(set(shown))
    assert len({picture.to_ndarray(format="gray").tobytes() for picture in pictures[-4:]}) == 1


@pytest.mark.parametrize("kind", [Kind.VIDEO, Kind.AUDIO])
def test_a_stream_of_one_track_is_played_in_every_format_and_announced_as_such(kind: Kind) -> None:
    show = Show()
    other = Kind.AUDIO if kind is Kind.VIDEO else Kind.VIDEO
    show.come(configs=tuple(config for config in CONFIGS if config.kind is kind))
    for _ in range(8):
        show.send(1_000, picture=kind is Kind.VIDEO, sound=kind is Kind.AUDIO)
        show.directory.sweep(show.now_ms)
    for times in show.times():
        assert len(times[kind]) > 40
        assert times[other] == []
    assert show.recordings[0].data[4] == (1 if kind is Kind.VIDEO else 4), "the FLV header's flags"
