"""Silence that is written without an encoder, read by FFmpeg's decoders."""

from collections.abc import Sequence
from typing import Any

import av
import numpy as np
import pytest

from stream.packet import Codec
from stream.protocol.silence import silent_frame

OPUS_HEAD = b"OpusHead" + bytes((1, 2, 0, 0)) + (48_000).to_bytes(4, "little") + bytes(3)
HE_AAC = (5 << 27 | 7 << 23 | 2 << 19 | 4 << 15 | 2 << 10).to_bytes(4, "big")
"""Spectral band replication said outright: 22.05 kHz below, 44.1 kHz above."""


def lc(layout: int, rate_index: int = 4) -> bytes:
    return (2 << 11 | rate_index << 7 | layout << 3).to_bytes(2, "big")


def decode(codec: str, data: bytes, count: int, extradata: bytes = b"", **settings: Any) -> Sequence[av.AudioFrame]:
    decoder = av.CodecContext.create(codec, "r")
    assert isinstance(decoder, av.AudioCodecContext)
    if extradata:
        decoder.extradata = extradata
    for name, value in settings.items():
        setattr(decoder, name, value)
    return [frame for _ in range(count) for frame in decoder.decode(av.Packet(data))]


def loudest(frames: Sequence[av.AudioFrame]) -> float:
    return max(float(np.abs(frame.to_ndarray()).max()) for frame in frames)


@pytest.mark.parametrize(("layout", "channels"), [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (6, 6)])
def test_silent_aac_decodes_to_nothing_in_each_layout(layout: int, channels: int) -> None:
    data, frame_ms = silent_frame(Codec.AAC, lc(layout), b"") or (b"", 0)
    frames = decode("aac", data, 5, lc(layout))
    assert len(frames) == 5
    assert {(frame.samples, len(frame.layout.channels)) for frame in frames} == {(1024, channels)}
    assert loudest(frames) == 0
    assert frame_ms == pytest.approx(1024 / 44.1)


def test_silent_aac_fits_a_decoder_of_he_aac() -> None:
    data, frame_ms = silent_frame(Codec.AAC, HE_AAC, b"") or (b"", 0)
    frames = decode("aac", data, 5, HE_AAC)
    assert {frame.samples * 1000 / frame.sample_rate for frame in frames} == {frame_ms}
    assert loudest(frames) == 0


@pytest.mark.parametrize("last", [b"\x78rest", b"\x7crest"], ids=["mono", "stereo"])
def test_silent_opus_decodes_to_nothing(last: bytes) -> None:
    data, frame_ms = silent_frame(Codec.OPUS, OPUS_HEAD, last) or (b"", 0)
    assert data[0] & 4 == last[0] & 4
    frames = decode("opus", data, 5, OPUS_HEAD)
    assert sum(frame.samples for frame in frames) >= 4 * 48 * frame_ms
    assert loudest(frames) == 0


def test_silent_mp3_is_as_long_as_the_hosts_frames_and_decodes_to_nothing() -> None:
    encoder = av.CodecContext.create("libmp3lame", "w")
    assert isinstance(encoder, av.AudioCodecContext)
    encoder.sample_rate, encoder.layout, encoder.format, encoder.bit_rate = 44_100, "stereo", "s16p", 128_000
    noise = np.random.default_rng(1).integers(-9000, 9000, (2, 1152)).astype(np.int16)
    frame = av.AudioFrame.from_ndarray(noise, "s16p", "stereo")
    frame.sample_rate = 44_100
    last = b""
    for index in range(8):
        frame.pts = index * 1152
        last = next((bytes(packet) for packet in encoder.encode(frame)), last)
    data, frame_ms = silent_frame(Codec.MP3, b"", last) or (b"", 0)
    assert len(data) == len(last)
    assert frame_ms == pytest.approx(1152 / 44.1)
    frames = decode("mp3", data, 6)
    assert len(frames) >= 5
    assert loudest(frames) == 0


@pytest.mark.parametrize(
    ("codec", "config", "last"),
    [
        (Codec.FLAC, b"fLaC", b"frame"),
        (Codec.AAC, b"\xff", b""),
        (Codec.AAC, (23 << 11 | 4 << 7 | 2 << 3).to_bytes(2, "big"), b""),
        (Codec.MP3, b"", b"ID3"),
        (Codec.MP3, b"", bytes.fromhex("fffb0f00")),
    ],
    ids=["FLAC", "cut off", "low delay", "no frame", "reserved rate"],
)
def test_where_there_is_no_silence_none_is_made_up(codec: Codec, config: bytes, last: bytes) -> None:
    assert silent_frame(codec, config, last) is None
