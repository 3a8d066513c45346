"""The slate: a picture or a short video that viewers see while their host is away (`--slate FILE`).

It is encoded once per picture size, on a thread of its own, as soon as a stream of that size is live; so it is there
when the host drops. The whole file is fitted into the stream's picture, with black beside it. Its sound is not used.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import av
from av.error import FFmpegError
from av.filter import Graph
from av.video.frame import VideoFrame

from stream.encode_av import H264Encoder
from stream.errors import LocalError
from stream.packet import Packet
from stream.stand_in import Reel

log = logging.getLogger("siyu.slate")

STILL_FRAME_MS: Final = 100
"""Ten pictures a second of a still: three of them are an LL-HLS part."""
STILL_MS: Final = 1_000
VIDEO_FRAME_MS: Final = 40
"""25 pictures a second of a video, whatever its own rate."""
VIDEO_MS_MAX: Final = 30_000
"""A longer video is shown up to here, over and over."""
KEY_MS: Final = 1_000
BITS_PER_S: Final = 1_000_000
REEL_BYTES_MAX: Final = 8 * 1024 * 1024
"""Of one size: twice what 30 s take at the rate above."""
SIZES_MAX: Final = 8
"""Sizes kept; streams of yet another size show their last picture."""
PIXELS_MAX: Final = 4096 * 2304


class SlateError(LocalError):
    """The file cannot be used; the text says why and what to give instead."""


class FileSlate:
    """Makes and keeps the slate in each size that is asked for. `prepare` and `reel` are called on one thread.

    Raises SlateError when `file` is no picture and no video.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._reels: dict[tuple[int, int], Reel | None] = {}
        self._worker = ThreadPoolExecutor(1, "slate")
        self._closed = False
        try:
            first = next(_pictures(file), None)
        except (OSError, FFmpegError, ValueError) as error:
            raise SlateError(f"{file} cannot be read: {error}; give a PNG or JPEG, or a short MP4") from error
        if first is None:
            raise SlateError(f"{file} holds no picture; give a PNG or JPEG, or a short MP4")

    def prepare(self, width: int, height: int) -> None:
        """Begin to make the slate of this size, unless it is there or under way."""
        size = width, height
        if self._closed or size in self._reels or len(self._reels) >= SIZES_MAX or width * height > PIXELS_MAX:
            return
        self._reels[size] = None
        self._worker.submit(self._make, size)

    def reel(self, width: int, height: int) -> Reel | None:
        """Give the slate of this size; None while it is not ready."""
        return self._reels.get((width, height))

    def close(self) -> None:
        """Make no more; one that is under way ends soon."""
        self._closed = True
        self._worker.shutdown(wait=False, cancel_futures=True)

    def _make(self, size: tuple[int, int]) -> None:
        try:
            reel = self._encode(*size)
        except (OSError, FFmpegError, ValueError) as error:
            log.warning("no slate of %d x %d: %s", *size, error)
            return
        self._reels[size] = reel
        log.info("slate of %d x %d: %d ms", *size, reel.length_ms)

    def _encode(self, width: int, height: int) -> Reel:
        width, height = width // 2 * 2, height // 2 * 2
        encoder = H264Encoder(width, height, bits_per_s=BITS_PER_S, frames_per_s=1000 // VIDEO_FRAME_MS)
        frames: list[tuple[int, Packet]] = []
        count, left_bytes = 0, REEL_BYTES_MAX
        picture: VideoFrame | None = None
        for picture in _fitted(self._file, width, height):
            at_ms = count * VIDEO_FRAME_MS
            if self._closed or at_ms >= VIDEO_MS_MAX or left_bytes < 0:
                break
            for packet in encoder.encode(picture, at_ms, key=at_ms % KEY_MS == 0):
                frames.append((packet.dts_ms, packet))
                left_bytes -= len(packet.data)
            count += 1
        if picture is None:
            raise ValueError("it holds no picture")
        if count > 1:
            return Reel(encoder.config, tuple(frames), count * VIDEO_FRAME_MS)
        for at_ms in range(STILL_FRAME_MS, STILL_MS, STILL_FRAME_MS):
            frames += [(packet.dts_ms, packet) for packet in encoder.encode(picture, at_ms, key=False)]
        return Reel(encoder.config, tuple(frames), STILL_MS)


def _pictures(file: Path) -> Iterator[VideoFrame]:
    with av.open(str(file)) as container:
        if not container.streams.video:
            return
        yield from container.decode(video=0)


def _fitted(file: Path, width: int, height: int) -> Iterator[VideoFrame]:
    """Yield the file's pictures at 25 a second, in this size and yuv420p; of a still, one."""
    graph: Graph | None = None
    for picture in _pictures(file):
        if graph is None:
            graph = Graph()
            source = graph.add_buffer(
                width=picture.width, height=picture.height, format=picture.format, time_base=picture.time_base
            )
            steps = [
                graph.add("scale", f"{width}:{height}:force_original_aspect_ratio=decrease:force_divisible_by=2"),
                graph.add("pad", f"{width}:{height}:(ow-iw)/2:(oh-ih)/2:black"),
                graph.add("format", "yuv420p"),
                graph.add("fps", str(1000 // VIDEO_FRAME_MS)),
                graph.add("buffersink"),
            ]
            for before, after in zip((source, *steps), steps, strict=False):
                before.link_to(after)
            graph.configure()
        graph.push(picture)
        yield from _pulled(graph)
    if graph is not None:
        graph.push(None)
        yield from _pulled(graph)


def _pulled(graph: Graph) -> Iterator[VideoFrame]:
    while True:
        try:
            picture = graph.pull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return
        if isinstance(picture, VideoFrame):
            yield picture
