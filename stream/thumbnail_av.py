"""One key frame to a small JPEG, by PyAV. Runs on a worker's thread; the decoder frees the interpreter's lock."""

from __future__ import annotations

from fractions import Fraction
from typing import Final, cast

import av
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from stream.errors import PeerError
from stream.packet import Codec

WIDTH: Final = 320
HEIGHT_MAX: Final = 1024
"""A picture narrower than one third of its height would become a tower."""
JPEG_BYTES_MAX: Final = 60_000
QUALITIES: Final = (4, 8, 14, 22, 31)
"""FFmpeg's quantiser scale for MJPEG, best first; 31 is its coarsest."""


DECODERS: Final = {Codec.H264: "h264", Codec.HEVC: "hevc", Codec.AV1: "libdav1d"}


class BrokenPicture(PeerError):
    """The key frame cannot be decoded."""


def decode_jpeg(codec: Codec, record: bytes, frame: bytes) -> bytes:
    """Decode a key frame to a JPEG of width 320, at most 60 kB.

    `codec`: one of DECODERS; `record`: its avcC, hvcC or av1C. Raises BrokenPicture.
    """
    try:
        picture = _decode(codec, record, frame)
        width, height = WIDTH, max(2, round(picture.height * WIDTH / picture.width / 2) * 2)
        if height > HEIGHT_MAX:
            width, height = max(2, round(WIDTH * HEIGHT_MAX / height / 2) * 2), HEIGHT_MAX
        small = picture.reformat(width, height, "yuvj420p", dst_color_range="JPEG")
        for quality in QUALITIES:
            jpeg = encode_jpeg(small, quality)
            if len(jpeg) <= JPEG_BYTES_MAX:
                return jpeg
    except (av.FFmpegError, ValueError, ZeroDivisionError) as error:
        raise BrokenPicture(f"the key frame cannot be decoded: {error}") from error
    raise BrokenPicture("the picture does not fit")


def _decode(codec: Codec, record: bytes, frame: bytes) -> VideoFrame:
    decoder = cast(VideoCodecContext, VideoCodecContext.create(DECODERS[codec], "r"))
    # More threads would hold the frame back and wake the whole machine for one picture.
    decoder.thread_count = 1
    decoder.extradata = record
    pictures = decoder.decode(av.Packet(frame)) or decoder.decode(None)
    if not pictures or pictures[0].width < 2 or pictures[0].height < 2:
        raise BrokenPicture("the key frame holds no picture")
    return pictures[0]


def encode_jpeg(frame: VideoFrame, quality: int) -> bytes:
    """A yuvj420p frame as a JPEG. `quality`: FFmpeg's quantiser scale, 1 (best) to 31. Raises av.FFmpegError."""
    encoder = VideoCodecContext.create("mjpeg", "w")
    encoder.width, encoder.height, encoder.pix_fmt = frame.width, frame.height, "yuvj420p"
    encoder.time_base = Fraction(1, 25)
    encoder.thread_count = 1
    encoder.qmin = encoder.qmax = quality
    encoder.options = {"qmin": str(quality), "qmax": str(quality)}
    frame.pts, frame.time_base = 0, Fraction(1, 25)
    packets = encoder.encode(frame) + encoder.encode(None)
    return b"".join(bytes(packet) for packet in packets)
