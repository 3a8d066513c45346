"""Sound from one codec to another, off the loop."""

import asyncio
import fractions
import logging

import av
import numpy as np
import pytest

from stream.packet import Codec, Kind, Packet
from stream.transcode_audio import AudioTranscoder


def encoded(codec: Codec, name: str) -> list[Packet]:
    """A second of a tone, its configuration first where FFmpeg gives one."""
    encoder = av.CodecContext.create(name, "w")
    assert isinstance(encoder, av.AudioCodecContext)
    form = "s16" if codec is Codec.FLAC else "fltp"
    encoder.sample_rate, encoder.layout, encoder.format = 48_000, "stereo", form
    encoder.open()
    found = [Packet(Kind.AUDIO, codec, 0, 0, True, True, bytes(encoder.extradata or b""))]
    size = encoder.frame_size
    for index in range(48_000 // size):
        wave = np.sin((index * size + np.arange(size)) * 2 * np.pi * 440 / 48_000)
        if form == "s16":
            frame = av.AudioFrame.from_ndarray(np.repeat(wave * 8000, 2).astype(np.int16)[None], form, "stereo")
        else:
            frame = av.AudioFrame.from_ndarray(np.stack([wave, wave]).astype(np.float32) / 4, form, "stereo")
        frame.sample_rate, frame.pts, frame.time_base = 48_000, index * size, fractions.Fraction(1, 48_000)
        for packet in encoder.encode(frame):
            time_ms = (packet.pts or 0) * 1000 // 48_000
            found.append(Packet(Kind.AUDIO, codec, max(0, time_ms), 0, True, False, bytes(packet)))
    return found


@pytest.mark.parametrize(
    ("codec", "name"),
    [
        (Codec.AAC, "aac"),
        (Codec.MP3, "libmp3lame"),
        (Codec.FLAC, "flac"),
        (Codec.AC3, "ac3"),
        (Codec.EAC3, "eac3"),
    ],
)
async def test_sound_of_every_codec_that_hosts_send_becomes_opus(codec: Codec, name: str) -> None:
    found: list[Packet] = []
    transcoder = AudioTranscoder(Codec.OPUS, found.extend)
    for packet in encoded(codec, name):
        transcoder.push(packet)
    async with asyncio.timeout(60):
        while len(found) < 40:
            await asyncio.sleep(0.01)
    transcoder.close()
    assert {p.codec for p in found} == {Codec.OPUS}
    decoder = av.CodecContext.create("libopus", "r")
    assert isinstance(decoder, av.AudioCodecContext)
    decoder.sample_rate, decoder.layout, decoder.format = 48_000, "stereo", "s16"
    loudest = max(int(np.abs(f.to_ndarray()).max()) for p in found for f in decoder.decode(av.Packet(p.data)))
    assert loudest > 2000


async def test_flac_with_its_marker_is_decoded_as_well() -> None:
    config, *sound = encoded(Codec.FLAC, "flac")
    block = config.data
    whole = Packet(Kind.AUDIO, Codec.FLAC, 0, 0, True, True, b"fLaC\x80\0\0\x22" + block)
    found: list[Packet] = []
    transcoder = AudioTranscoder(Codec.OPUS, found.extend)
    for packet in (whole, *sound):
        transcoder.push(packet)
    async with asyncio.timeout(60):
        while len(found) < 40:
            await asyncio.sleep(0.01)
    transcoder.close()


async def test_a_codec_that_nothing_decodes_is_complained_of_once(caplog: pytest.LogCaptureFixture) -> None:
    transcoder = AudioTranscoder(Codec.OPUS, lambda packets: None)
    with caplog.at_level(logging.WARNING, "siyu.transcode"):
        for number in range(50):
            transcoder.push(Packet(Kind.AUDIO, Codec.VP8, number, 0, True, False, b"x"))
        async with asyncio.timeout(60):
            while transcoder.failed < 50:
                await asyncio.sleep(0.01)
    transcoder.close()
    assert len(caplog.records) == 1
