"""H.264 as every player and WebRTC takes it, by x264 in PyAV: no B-frames, one picture in, one packet out.

Used on worker threads only; the encoder frees the interpreter's lock. Not thread-safe.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Final

import av
from av.codec.context import Flags
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType, VideoFrame
from av.video.stream import VideoStream

from stream.packet import Codec, Kind, Packet
from stream.protocol import h264

SPS: Final = 7
PPS: Final = 8
_NO_FRAME: Final = frozenset((6, SPS, PPS, 9, 12))
"""Supplements, parameter sets, delimiters, filler: what the configuration has, or nobody needs."""


def level_of(width: int, height: int) -> int:
    """Give the level_idc for a picture of this size at up to 30 a second (ITU-T H.264 table A-1)."""
    blocks = -(-width // 16) * -(-height // 16)
    return 31 if blocks <= 3600 else 40 if blocks <= 8192 else 51


class H264Encoder:
    """Pictures of one size. `config` is the decoder's configuration, good for all that comes.

    `width`, `height`: even; `bits_per_s` on average, at most half as much again in a second; `frames_per_s` what is
    expected (times are the pictures' own).
    """

    def __init__(self, width: int, height: int, *, bits_per_s: int, frames_per_s: int = 30) -> None:
        encoder = VideoCodecContext.create("libx264", "w")
        encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
        encoder.time_base = Fraction(1, 1000)
        encoder.framerate = Fraction(frames_per_s, 1)
        encoder.thread_count = 1
        encoder.max_b_frames = 0
        encoder.flags |= Flags.global_header
        encoder.options = {
            "preset": "veryfast",
            # Nothing held back, and nothing that a decoder of the constrained baseline profile lacks.
            "tune": "zerolatency",
            "profile": "baseline",
            "level": f"{level_of(width, height) / 10:.1f}",
            # Key frames come when they are asked for.
            "g": "100000",
            "sc_threshold": "0",
            "forced-idr": "1",
            "b": str(bits_per_s),
            "maxrate": str(bits_per_s * 3 // 2),
            "bufsize": str(bits_per_s),
        }
        encoder.open()
        sets = {unit[0] & 31: unit for unit in h264.split_annexb(bytes(encoder.extradata or b""))}
        self.config = Packet(Kind.VIDEO, Codec.H264, 0, 0, True, True, h264.make_avcc(sets[SPS], sets[PPS]))
        self._encoder = encoder

    def encode(self, frame: VideoFrame, at_ms: int, *, key: bool) -> list[Packet]:
        """Encode a picture of the encoder's size and format at its time; times grow."""
        frame.pts, frame.time_base = at_ms, Fraction(1, 1000)
        frame.pict_type = PictureType.I if key else PictureType.NONE
        return [self._packet(packet) for packet in self._encoder.encode(frame)]

    def _packet(self, packet: av.Packet[VideoStream]) -> Packet:
        units = [unit for unit in h264.split_annexb(bytes(packet)) if unit[0] & 31 not in _NO_FRAME]
        data = b"".join(len(unit).to_bytes(4, "big") + unit for unit in units)
        return Packet(Kind.VIDEO, Codec.H264, int(packet.pts or 0), 0, packet.is_keyframe, False, data)
