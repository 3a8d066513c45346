"""The view that turns Opus into AAC: what its readers get, in which order, through returns and changes of codec."""

import fractions
from dataclasses import replace

import av
import numpy as np
import pytest

from stream.aac_view import AacView
from stream.directory import Directory, Publication
from stream.packet import Codec, Kind, Packet
from stream.protocol import opus
from tests.stream.media import Clip, make_clip
from tests.stream.stage import Host, clock_ms
from tests.stream.webrtc_host import Listener


@pytest.fixture(scope="module")
def opus_clip() -> Clip:
    """A picture, and a tone in Opus packets of 20 ms."""
    clip = make_clip(3, (160, 96), b_frames=0)
    encoder = av.CodecContext.create("libopus", "w")
    assert isinstance(encoder, av.AudioCodecContext)
    encoder.sample_rate, encoder.layout, encoder.format = 48_000, "stereo", "s16"
    encoder.options = {"frame_duration": "20"}
    sound = [Packet(Kind.AUDIO, Codec.OPUS, 0, 0, True, True, opus.head())]
    for index in range(150):
        wave = np.sin((index * 960 + np.arange(960)) * 2 * np.pi * 440 / 48_000) * 8000
        frame = av.AudioFrame.from_ndarray(np.repeat(wave, 2).astype(np.int16)[None], "s16", "stereo")
        frame.sample_rate, frame.pts, frame.time_base = 48_000, index * 960, fractions.Fraction(1, 48_000)
        made = encoder.encode(frame)
        sound += [Packet(Kind.AUDIO, Codec.OPUS, index * 20, 0, True, False, bytes(packet)) for packet in made]
    picture = clip.only(Kind.VIDEO)
    media = sorted([p for p in (*picture, *sound) if not p.config], key=lambda p: p.dts_ms)
    configs = tuple(p for p in (*picture, *sound) if p.config)
    return Clip((*configs, *media), configs, tuple(media))


def push(publication: Publication, packets: tuple[Packet, ...], shift_ms: int = 0) -> None:
    for packet in packets:
        publication.push(replace(packet, dts_ms=packet.dts_ms + shift_ms), clock_ms())


async def test_readers_get_aac_that_sounds_like_the_opus_and_lies_where_it_lay(opus_clip: Clip) -> None:
    directory = Directory(clock_ms)
    publication = directory.publish("room", Host(), clock_ms())
    view = directory.aac("room")
    listener = Listener(view, clock_ms())
    push(publication, (*opus_clip.configs, *opus_clip.media))
    await listener.until(130, Kind.AUDIO)
    assert {p.codec for p in listener.packets if p.kind is Kind.AUDIO} == {Codec.AAC}
    (config,) = [p for p in listener.packets if p.kind is Kind.AUDIO and p.config]
    times = [p.dts_ms for p in listener.sound()]
    assert times == sorted(set(times))
    from_ms = listener.pictures()[0].dts_ms
    # An AAC frame lasts 21.3 ms; the first holds what the encoder puts before.
    assert abs(times[0] - from_ms) <= 50
    assert abs(times[-1] - times[0] - (len(times) - 1) * 1024 / 48) < 2
    decoder = av.CodecContext.create("aac", "r")
    assert isinstance(decoder, av.AudioCodecContext)
    decoder.extradata = config.data
    waves = [frame.to_ndarray() for p in listener.sound() for frame in decoder.decode(av.Packet(p.data))]
    whole = np.concatenate(waves, axis=1)[0][9600:57_600]
    loudest = np.abs(np.fft.rfft(whole)).argmax() * 48_000 / len(whole)
    assert abs(loudest - 440) < 5
    assert view.info().audio_codec == "mp4a.40.2"
    assert directory.info("room").audio_codec == "opus"
    directory.close()


async def test_a_reader_that_comes_later_starts_with_the_pictures_and_the_aac_since_the_key_frame(
    opus_clip: Clip,
) -> None:
    directory = Directory(clock_ms)
    publication = directory.publish("room", Host(), clock_ms())
    view = directory.aac("room")
    first = Listener(view, clock_ms())
    push(publication, (*opus_clip.configs, *opus_clip.media))
    await first.until(130, Kind.AUDIO)
    second = Listener(view, clock_ms())
    media = [p for p in second.packets if not p.config]
    assert media[0].key
    assert media[0].kind is Kind.VIDEO
    assert {p.codec for p in media} == {Codec.H264, Codec.AAC}
    assert [p.dts_ms for p in media] == sorted(p.dts_ms for p in media)
    assert min(p.dts_ms for p in media) == media[0].dts_ms
    directory.close()


async def test_a_host_of_aac_is_passed_on_untouched_and_starts_nothing(clip: Clip) -> None:
    directory = Directory(clock_ms)
    publication = directory.publish("room", Host(), clock_ms())
    plain, viewed = Listener(directory.relay("room"), 0), Listener(directory.aac("room"), 0)
    push(publication, clip.packets)
    assert [id(p) for p in plain.packets] == [id(p) for p in viewed.packets]
    assert directory.stats().aac_rooms == 0
    assert directory.aac("room").gop is directory.relay("room").gop
    directory.close()


async def test_hosts_of_either_codec_may_follow_one_another(opus_clip: Clip, clip: Clip) -> None:
    directory = Directory(clock_ms)
    listener = Listener(directory.aac("room"), clock_ms())
    for clip_of_host in (clip, opus_clip, clip):
        publication = directory.publish("room", Host(), clock_ms())
        before = len(listener.sound())
        push(publication, (*clip_of_host.configs, *clip_of_host.media))
        await listener.until(before + 100, Kind.AUDIO)
        publication.end("changed", clock_ms())
    assert directory.stats().aac_rooms == 0
    assert {p.codec for p in listener.packets if p.kind is Kind.AUDIO} == {Codec.AAC}
    times = [p.dts_ms for p in listener.sound()]
    assert times == sorted(set(times))
    directory.close()


async def test_a_host_that_changes_its_codec_without_leaving_is_followed_from_its_next_key_frame(
    opus_clip: Clip, clip: Clip
) -> None:
    directory = Directory(clock_ms)
    listener = Listener(directory.aac("room"), clock_ms())
    publication = directory.publish("room", Host(), clock_ms())
    push(publication, (*clip.configs, *clip.media))
    aac = len(listener.sound())
    push(publication, (*opus_clip.configs, *opus_clip.media), 4_000)
    await listener.until(aac + 100, Kind.AUDIO)
    configs = [p for p in listener.packets if p.kind is Kind.AUDIO and p.config]
    assert len(configs) == 2
    assert directory.stats().aac_rooms == 1
    directory.close()


class Tape(Listener):
    """A reader of the host alone."""

    def __init__(self, view: AacView, now_ms: int) -> None:
        self.packets: list[Packet] = []
        self.relay = view
        self.starts = self.stops = 0
        view.attach(self, now_ms, host_only=True)

    def on_start(self, now_ms: int) -> None:
        self.starts += 1
        super().on_start(now_ms)

    def on_stop(self, now_ms: int) -> None:
        self.stops += 1


async def test_who_reads_the_host_alone_gets_no_stand_in_and_goes_on_with_the_next_host(clip: Clip) -> None:
    directory = Directory(clock_ms)
    view = directory.aac("room")
    tape, listener = Tape(view, clock_ms()), Listener(view, clock_ms())
    for times in (1, 2):
        publication = directory.publish("room", Host(), clock_ms())
        push(publication, (*clip.configs, *clip.media))
        assert (tape.starts, tape.stops) == (times, times - 1)
        publication.end("gone", clock_ms())
        assert (tape.starts, tape.stops) == (times, times)
        assert view.standing_in
        taped, seen = len(tape.packets), len(listener.packets)
        directory.relay("room").fill(clock_ms() + 2_000)
        assert len(listener.packets) > seen
        assert len(tape.packets) == taped
    directory.close()


async def test_the_end_of_the_stream_reaches_the_readers_of_the_view(opus_clip: Clip) -> None:
    class Last(Listener):
        closed = 0

        def on_close(self, now_ms: int) -> None:
            self.closed += 1

    directory = Directory(clock_ms)
    publication = directory.publish("room", Host(), clock_ms())
    view = directory.aac("room")
    listener = Last(view, clock_ms())
    push(publication, (*opus_clip.configs, *opus_clip.media[:60]))
    assert view.transcodes
    directory.close()
    assert listener.closed == 1
    assert not view.transcodes
    assert not view.has_readers
