"""Renditions of a stream: smaller pictures for slow lines, and one without B-frames for WebRTC.

packets of the room → a thread: decode once, scale and encode each rendition that somebody watches → relays of their own
(`ROOM~480`), in the room's own time. Nothing here can hold up the original: what the thread is too slow for is dropped
up to the next key frame, and counted. Sound passes through beside the pictures, as it is.

Each rendition has its key frames where the room has them (and some between, where those lie far apart), so that a
player can change from one to another at any of them.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import av
from av.error import FFmpegError
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from stream.encode_av import H264Encoder, level_of
from stream.packet import Codec, Kind, Packet

log = logging.getLogger("siyu.transcode")

QUEUE_PACKETS_MAX: Final = 600
"""About 8 s of picture and sound: a cached GOP, which comes at once, and 2 s. Over it the thread is too slow."""
QUEUE_BYTES_MAX: Final = 24 * 1024 * 1024
KEY_MS_MAX: Final = 4_000
"""A rendition gets a key frame of its own when the room has none for so long."""
KEY_MS_WEBRTC: Final = 2_000
BITS_PER_S_720: Final = 2_000_000
"""At 720 lines; others by the power of 1.5 of their height."""
_GIVEN_OUT: Final = (Kind.AUDIO, Kind.DATA)

_DECODERS: Final = {
    Codec.H264: "h264",
    Codec.HEVC: "hevc",
    Codec.AV1: "libdav1d",
    Codec.VP8: "vp8",
    Codec.VP9: "vp9",
}


@dataclass(frozen=True, slots=True)
class Rendition:
    """What to make. `height`: pixels of the picture's shorter side; `name` stands behind the room's."""

    name: str
    height: int
    key_ms: int = KEY_MS_MAX

    def size_of(self, width: int, height: int) -> tuple[int, int]:
        """Give the size for a source of this one: both even, never larger than the source."""
        scale = min(1.0, self.height / min(width, height))
        return max(2, round(width * scale / 2) * 2), max(2, round(height * scale / 2) * 2)

    def codec_of(self, width: int, height: int) -> str:
        """Give the codec (RFC 6381) for a source of this size: constrained baseline."""
        return f"avc1.42c0{level_of(*self.size_of(width, height)):02x}"

    @property
    def bits_per_s(self) -> int:
        """Give the bits a second of its picture, on average."""
        return round(BITS_PER_S_720 * float((self.height / 720) ** 1.5))


class _Track:
    """One rendition's encoder. Used on the thread."""

    def __init__(self, rendition: Rendition) -> None:
        self.rendition = rendition
        self._encoder: H264Encoder | None = None
        self._size: tuple[int, int] | None = None
        self._keyed_ms = 0
        self._newest_ms = -1

    def encode(self, picture: VideoFrame, at_ms: int, *, key: bool) -> Iterator[Packet]:
        size = self.rendition.size_of(picture.width, picture.height)
        if self._encoder is None or size != self._size:
            self._encoder = H264Encoder(*size, bits_per_s=self.rendition.bits_per_s)
            self._size, key = size, True
            yield self._encoder.config
        if at_ms <= self._newest_ms:
            return
        self._newest_ms = at_ms
        key = key or at_ms - self._keyed_ms >= self.rendition.key_ms
        if key:
            self._keyed_ms = at_ms
        yield from self._encoder.encode(picture.reformat(*size, "yuv420p"), at_ms, key=key)


class VideoPipeline:
    """Packets of one room in, (rendition's name, packet) out. Not thread-safe."""

    def __init__(self) -> None:
        self._decoder: VideoCodecContext | None = None
        self._config: Packet | None = None
        self._tracks: dict[str, _Track] = {}
        self._kept: dict[Kind, Packet] = {}
        self._waits = True

    def prime(self, packets: Sequence[Packet]) -> None:
        """Decode what was before, so that a rendition can begin with the very next picture."""
        for packet in packets:
            for _ in self.take(packet, {}):
                pass

    def renew(self) -> list[str]:
        """Begin anew, with configurations; give the names of those that do."""
        names = list(self._tracks)
        self._tracks.clear()
        self._kept.clear()
        self._decoder, self._config, self._waits = None, None, True
        return names

    def skip(self) -> None:
        """Packets are missing: go on at the next key frame."""
        self._waits = True

    def take(self, packet: Packet, wanted: Mapping[str, Rendition]) -> Iterator[tuple[str, Packet]]:
        """Give what `packet` completes. Broken pictures are left out."""
        for name in [name for name in self._tracks if name not in wanted]:
            del self._tracks[name]
        for name, rendition in wanted.items():
            if name not in self._tracks:
                self._tracks[name] = _Track(rendition)
                yield from ((name, kept) for kept in self._kept.values())
        if packet.kind in _GIVEN_OUT:
            if packet.config or packet.kind is Kind.DATA:
                self._kept[packet.kind] = packet
            yield from ((name, packet) for name in self._tracks)
        elif packet.config:
            self._config, self._decoder, self._waits = packet, None, True
        elif packet.key or not self._waits:
            self._waits = False
            for picture in self._decode(packet):
                key = bool(picture.key_frame)
                for name, track in self._tracks.items():
                    yield from ((name, made) for made in track.encode(picture, picture.pts or 0, key=key))

    def _decode(self, packet: Packet) -> list[VideoFrame]:
        decoder = self._decoder
        if decoder is None:
            made = VideoCodecContext.create(_DECODERS[packet.codec], "r")
            assert isinstance(made, VideoCodecContext)
            decoder = made
            decoder.thread_count = 1
            if self._config is not None and self._config.data and packet.codec is not Codec.VP9:
                decoder.extradata = self._config.data
            self._decoder = decoder
        piece = av.Packet(packet.data)
        piece.pts, piece.dts = packet.dts_ms + packet.cts_ms, packet.dts_ms
        try:
            return decoder.decode(piece)
        except FFmpegError as error:
            log.debug("a picture that cannot be decoded: %s", error)
            self._waits = True
            return []


Made = list[tuple[str, Packet | None]]
"""Rendition's name and packet; None: a new run begins there."""


class VideoTranscoder:
    """Runs a pipeline on a thread. `deliver` is called on the loop with what was made, in order.

    `call_soon` hands a call to the loop from another thread (`loop.call_soon_threadsafe`).
    """

    def __init__(
        self, deliver: Callable[[Made], None], call_soon: Callable[[Callable[[Made], None], Made], object]
    ) -> None:
        self.dropped = 0
        """Packets that the thread was too slow for."""
        self.wanted: Mapping[str, Rendition] = {}
        """Replaced as a whole, never changed in place: the thread reads it."""
        self._deliver = deliver
        self._call_soon = call_soon
        self._queue: queue.SimpleQueue[Callable[[VideoPipeline], Made] | None] = queue.SimpleQueue()
        self._queued_bytes = 0
        self._taken_bytes = 0
        self._dropping = False
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="renditions", daemon=True)
        self._thread.start()

    @property
    def behind(self) -> int:
        """Packets that wait for the thread."""
        return self._queue.qsize()

    def push(self, packet: Packet) -> None:
        """Hand over one packet; when the thread is too far behind, drop up to a key frame."""
        if self._closed:
            return
        full = self._queue.qsize() >= QUEUE_PACKETS_MAX or self._queued_bytes - self._taken_bytes >= QUEUE_BYTES_MAX
        if packet.kind is Kind.VIDEO and not packet.config and packet.key:
            self._dropping = full
        elif full:
            self._dropping = True
        if self._dropping and not packet.config:
            self.dropped += 1
            return
        self._queued_bytes += len(packet.data)
        self._queue.put(partial(self._take, packet))

    def prime(self, packets: Sequence[Packet]) -> None:
        """Hand over what was before: it is decoded and not shown."""
        self._queue.put(partial(_prime, tuple(packets)))

    def renew(self) -> None:
        """Say that another run begins."""
        self._queue.put(_renew)

    def close(self) -> None:
        """End the thread; nothing is delivered any more."""
        self._closed = True
        self._queue.put(None)

    def _run(self) -> None:
        pipeline = VideoPipeline()
        while (work := self._queue.get()) is not None and not self._closed:
            try:
                out = work(pipeline)
            except (FFmpegError, ValueError, KeyError) as error:
                log.warning("a picture cannot be transcoded: %s", error)
                pipeline.skip()
                continue
            if out:
                try:
                    self._call_soon(self._hand_over, out)
                except RuntimeError:
                    # The loop is closed: the process ends.
                    return

    def _take(self, packet: Packet, pipeline: VideoPipeline) -> Made:
        self._taken_bytes += len(packet.data)
        return list(pipeline.take(packet, self.wanted))

    def _hand_over(self, made: Made) -> None:
        if not self._closed:
            self._deliver(made)


def _prime(packets: Sequence[Packet], pipeline: VideoPipeline) -> Made:
    pipeline.prime(packets)
    return []


def _renew(pipeline: VideoPipeline) -> Made:
    return [(name, None) for name in pipeline.renew()]
