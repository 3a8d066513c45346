"""Sound made into another codec, through FFmpeg's own encoders."""

from itertools import pairwise

import av
import numpy as np
import pytest

from stream.packet import Codec, Kind, Packet
from stream.protocol import aac
from stream.transcode_audio import DRIFT_MS_KEPT, RATE, AudioPipeline

FRAMES = {Codec.OPUS: 960, Codec.AAC: aac.SAMPLES_PER_FRAME}


def tone(codec: Codec, count: int) -> list[Packet]:
    """`count` frames of 1 kHz from 0 on, and before them AAC's configuration."""
    encoder = av.CodecContext.create("libopus" if codec is Codec.OPUS else "aac", "w")
    assert isinstance(encoder, av.AudioCodecContext)
    encoder.sample_rate, encoder.layout, encoder.format = RATE, "stereo", "s16" if codec is Codec.OPUS else "fltp"
    encoder.open()
    samples = FRAMES[codec]
    out = []
    for number in range(count):
        at = np.arange(number * samples, (number + 1) * samples)
        wave = (np.sin(2 * np.pi * 1000 * at / RATE) * 0.5).astype(np.float32)
        data = np.vstack([wave, wave]) if codec is Codec.AAC else np.repeat(wave * 32_767, 2).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(data, format=encoder.format.name, layout="stereo")
        frame.sample_rate, frame.pts = RATE, number * samples
        out += [bytes(packet) for packet in encoder.encode(frame)]
    packets = [
        Packet(Kind.AUDIO, codec, round(number * samples * 1000 / RATE), 0, True, False, data)
        for number, data in enumerate(out)
    ]
    if codec is Codec.AAC:
        packets.insert(0, Packet(Kind.AUDIO, codec, 0, 0, True, True, bytes(encoder.extradata or b"")))
    return packets


def moved(packets: list[Packet], by_ms: int) -> list[Packet]:
    return [Packet(p.kind, p.codec, p.dts_ms + by_ms, p.cts_ms, p.key, p.config, p.data) for p in packets]


@pytest.mark.parametrize(("source", "target"), [(Codec.OPUS, Codec.AAC), (Codec.AAC, Codec.OPUS)])
@pytest.mark.parametrize("step_ms", [-2_000, -150, -70, 70, 500])
def test_time_never_goes_back_whatever_the_host_s_clock_does(source: Codec, target: Codec, step_ms: int) -> None:
    packets = tone(source, 60)
    pipeline = AudioPipeline(target)
    out = []
    for packet in packets[:30] + moved(packets[30:], step_ms):
        out += [made for made in pipeline.take(packet) if not made.config]
    frame_ms = FRAMES[target] * 1000 // RATE
    steps = [after.dts_ms - before.dts_ms for before, after in pairwise(out)]
    assert len(out) > 20
    assert min(steps) >= frame_ms


@pytest.mark.parametrize(("source", "target"), [(Codec.OPUS, Codec.AAC), (Codec.AAC, Codec.OPUS)])
def test_a_clock_that_begins_anew_is_followed(source: Codec, target: Codec) -> None:
    packets = tone(source, 200)
    pipeline = AudioPipeline(target)
    before = [made for packet in packets[:150] for made in pipeline.take(packet)]
    after = [made for packet in moved(packets[150:], -60_000) for made in pipeline.take(packet)]
    assert before
    assert len(after) > 20


def late_ms(out: list[Packet], source: list[Packet]) -> float:
    """How far the newest sound told lies behind the newest sound taken; both begin at 0, encoders hold some back."""
    return source[-1].dts_ms - out[-1].dts_ms


@pytest.mark.parametrize(("source", "target"), [(Codec.OPUS, Codec.AAC), (Codec.AAC, Codec.OPUS)])
@pytest.mark.parametrize("step_ms", [-45, 45])
def test_sound_that_stays_off_by_little_is_followed_within_two_seconds(
    source: Codec, target: Codec, step_ms: int
) -> None:
    packets = tone(source, 250)
    steady, stepped = AudioPipeline(target), AudioPipeline(target)
    plain = [made for packet in packets for made in steady.take(packet)]
    off = packets[:100] + moved(packets[100:], step_ms)
    out = [made for packet in off for made in stepped.take(packet)]
    assert late_ms(out, off) == pytest.approx(late_ms(plain, packets), abs=DRIFT_MS_KEPT)


def test_a_host_whose_sound_is_stamped_unevenly_keeps_its_encoder() -> None:
    packets = tone(Codec.AAC, 200)
    pipeline = AudioPipeline(Codec.OPUS)
    encoders = set()
    for number, packet in enumerate(packets):
        (uneven,) = moved([packet], 25 if number % 2 else -25)
        list(pipeline.take(uneven))
        encoders.add(id(pipeline._encoder))
    # One before the first sound, and one for all of it: a new one is heard as a click.
    assert len(encoders) <= 2
