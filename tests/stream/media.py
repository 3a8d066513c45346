"""Synthetic H.264 and AAC for tests, made once by the encoders in PyAV, as packets a host would send."""

import fractions
import io
from collections.abc import Iterator
from dataclasses import dataclass, replace

import av
import numpy as np

from stream.packet import Kind, Packet
from stream.protocol import flv

AVCC = bytes.fromhex("0164000dffe100186764000dacd94141fa1000000300100000030320f142996001000468ef8fcbfdf8f800")
"""A record of libx264's: High profile, 320×240."""
ASC = bytes.fromhex("121056e500")
"""AAC LC, 44.1 kHz, stereo, as FFmpeg's encoder writes it."""
DELIMITER = bytes.fromhex("000000020910")
"""What stands before a key frame that is shown again while its host is away."""
SILENCE = bytes.fromhex("21000000001c")
"""A frame of AAC stereo with nothing in it."""

FRAMES_PER_S = 25
GOP_FRAMES = 25


@dataclass(frozen=True)
class Clip:
    """A few seconds of picture (a key frame each second) and sound, in decoding order, times in ms from 0."""

    packets: tuple[Packet, ...]
    configs: tuple[Packet, ...]
    media: tuple[Packet, ...]

    def only(self, kind: Kind) -> tuple[Packet, ...]:
        """Give one track, its configuration first."""
        return tuple(packet for packet in self.packets if packet.kind is kind)

    def looped(self, seconds: int) -> Iterator[Packet]:
        """Give configurations once, then the media over and over with times that go on."""
        yield from self.configs
        length_ms = 1 + max(packet.dts_ms for packet in self.media)
        length_ms = -(-length_ms // 1000) * 1000
        for base_ms in range(0, seconds * 1000, length_ms):
            for packet in self.media:
                if base_ms + packet.dts_ms < seconds * 1000:
                    yield replace(packet, dts_ms=base_ms + packet.dts_ms)


def tags(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Read (type, time in ms, body) of each tag of an FLV file; a tag that is cut off at the end is left out."""
    assert data[:3] == b"FLV"
    at = 13
    while at + 11 <= len(data):
        size = int.from_bytes(data[at + 1 : at + 4], "big")
        if at + 15 + size > len(data):
            return
        time = int.from_bytes(data[at + 4 : at + 7], "big") | data[at + 7] << 24
        yield data[at], time, data[at + 11 : at + 11 + size]
        at += size + 15
        assert int.from_bytes(data[at - 4 : at], "big") == size + 11


def packets(data: bytes) -> list[Packet]:
    """Read the packets of an FLV file."""
    parsers = {8: flv.parse_audio_body, 9: flv.parse_video_body, 18: flv.parse_data_body}
    return [packet for kind, time, body in tags(data) if (packet := parsers[kind](body, time)) is not None]


def make_clip(
    seconds: int = 4, size: tuple[int, int] = (320, 240), b_frames: int = 2, gop_frames: int = GOP_FRAMES
) -> Clip:
    """Encode a moving gradient and a tone into FLV with libx264 and aac, and read the packets of it."""
    sink = io.BytesIO()
    with av.open(sink, "w", format="flv") as container:
        video = container.add_stream("libx264", rate=FRAMES_PER_S)
        video.width, video.height, video.pix_fmt = *size, "yuv420p"
        video.options = {"g": str(gop_frames), "keyint_min": str(gop_frames), "sc_threshold": "0", "preset": "veryfast"}
        video.codec_context.max_b_frames = b_frames
        audio = container.add_stream("aac", rate=44100, layout="stereo")
        ramp = np.add.outer(np.arange(size[1]), np.arange(size[0]))
        for index in range(seconds * FRAMES_PER_S):
            picture = np.stack([(ramp + index * step) % 256 for step in (3, 5, 7)], axis=-1).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = index
            container.mux(video.encode(frame))
            start = index * 44100 // FRAMES_PER_S
            wave = np.sin((start + np.arange(44100 // FRAMES_PER_S)) * 2 * np.pi * 440 / 44100) / 4
            sound = av.AudioFrame.from_ndarray(np.stack([wave, wave]).astype(np.float32), "fltp", "stereo")
            sound.sample_rate, sound.pts = 44100, start
            sound.time_base = fractions.Fraction(1, 44100)
            container.mux(audio.encode(sound))
        container.mux(video.encode())
        container.mux(audio.encode())
    found = packets(sink.getvalue())
    # The encoder's delay lets the sound end a little after the picture: leave that out, so that the clip can be looped.
    frames = [p for p in found if not p.config and p.kind is not Kind.DATA and p.dts_ms < seconds * 1000]
    media = tuple(sorted(frames, key=lambda p: p.dts_ms))
    return Clip(tuple(found), tuple(p for p in found if p.config or p.kind is Kind.DATA), media)
