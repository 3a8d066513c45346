"""Files of strangers to JPEGs of ours, by PyAV: decoded within limits and encoded anew, on a thread.

What is kept has no name, no place and no time in it (EXIF), nothing behind its end, and the right way up.
"""

from __future__ import annotations

import hashlib
from fractions import Fraction
from typing import Final, cast

import av
from av.filter import Graph
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from commerce.pictures import Drawn
from stream.thumbnail_av import encode_jpeg

PIXELS_MAX: Final = 40_000_000
"""Of what is sent: a phone's 36 megapixels and some. A few kilobytes of PNG can hold a gigabyte of white."""
SIDE_MAX: Final = 1_600
"""Pixels of the longer side of what is kept: an engraving or a floor plan can be read, a page shows it at once."""
SIDE_MIN: Final = 16
RATIO_MAX: Final = 12
"""The longer side over the shorter: a screenshot of a long conversation still passes."""
QUALITIES: Final = (3, 5, 8, 14, 22)
"""FFmpeg's quantiser scale for MJPEG, best first."""
JPEG_BYTES_MAX: Final = 400_000

_SIGNS: Final = ((b"\xff\xd8\xff", b"\xff\xd9", "mjpeg"), (b"\x89PNG\r\n\x1a\n", b"IEND", "png"))
"""How a file begins, what ends its picture (phones write films behind it), and FFmpeg's decoder."""
_TURNS: Final = {90: "transpose=cclock", -90: "transpose=clock", 180: "hflip,vflip", -180: "hflip,vflip"}
"""Degrees against the clock by which a camera was held, as FFmpeg reads them from EXIF → what rights it."""


class NotPicture(ValueError):
    """What was sent is none of JPEG, PNG and WebP."""


class BadPicture(ValueError):
    """It is one, and broken or beyond the limits; the message says which."""


def draw(data: bytes) -> Drawn:
    """The picture in a file, anew: at most ``SIDE_MAX`` pixels a side, upright, on white, within ``JPEG_BYTES_MAX``.

    Raises NotPicture, BadPicture.
    """
    try:
        upright = _fit(_decode(data, _codec(data)))
        for quality in QUALITIES:
            jpeg = encode_jpeg(upright, quality)
            if len(jpeg) <= JPEG_BYTES_MAX:
                return Drawn(jpeg, upright.width, upright.height, hashlib.sha256(data).hexdigest())
    except (av.FFmpegError, MemoryError) as error:
        raise BadPicture(f"it is broken, or has more than {PIXELS_MAX:,} pixels") from error
    raise BadPicture("it is too detailed to be kept: send a smaller one")


def _codec(data: bytes) -> str:
    for sign, end, codec in _SIGNS:
        if data.startswith(sign):
            # Of half a file a decoder makes a picture that is half grey.
            if end not in data:
                raise BadPicture("its end is missing: send it again")
            return codec
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        if int.from_bytes(data[4:8], "little") + 8 > len(data):
            raise BadPicture("its end is missing: send it again")
        return "webp"
    raise NotPicture("a picture is a JPEG, PNG or WebP file")


def _decode(data: bytes, codec: str) -> VideoFrame:
    decoder = cast(VideoCodecContext, VideoCodecContext.create(codec, "r"))
    decoder.thread_count = 1
    # Checked where the header is read, before anything of that size is allocated.
    decoder.options = {"max_pixels": str(PIXELS_MAX), "err_detect": "explode"}
    frames = decoder.decode(av.Packet(data)) or decoder.decode(None)
    if not frames:
        raise BadPicture("there is no picture in it")
    frame = frames[0]
    shorter, longer = sorted((frame.width, frame.height))
    if shorter < SIDE_MIN or longer > shorter * RATIO_MAX:
        raise BadPicture(f"a side has {SIDE_MIN} pixels or more, and is at most {RATIO_MAX} times the other")
    return frame


def _fit(frame: VideoFrame) -> VideoFrame:
    """Scaled down, on white where it lets through, and upright."""
    scale = min(1.0, SIDE_MAX / max(frame.width, frame.height))
    # Even, as its colours have half the pixels.
    width, height = (max(2, round(side * scale / 2) * 2) for side in (frame.width, frame.height))
    graph = Graph()
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 25))
    scaled = graph.add("scale", f"{width}:{height}:flags=area:out_range=full")
    clear = graph.add("format", "pix_fmts=rgba")
    white = graph.add("color", f"white:s={width}x{height}:r=25")
    laid = graph.add("overlay", "format=rgb:shortest=1")
    source.link_to(scaled)
    scaled.link_to(clear)
    white.link_to(laid, 0, 0)
    clear.link_to(laid, 0, 1)
    last = laid
    for turn in filter(None, _TURNS.get(frame.rotation, "").split(",")):
        name, _, terms = turn.partition("=")
        turned = graph.add(name, terms or None)
        last.link_to(turned)
        last = turned
    out = graph.add("buffersink")
    last.link_to(out)
    graph.configure()
    frame.pts, frame.time_base = 0, Fraction(1, 25)
    graph.push(frame)
    graph.push(None)
    return cast(VideoFrame, graph.pull()).reformat(format="yuvj420p", dst_color_range="JPEG")
