"""A thumbnail of each live room every ten seconds, decoded from the last key frame.

One picture at a time, on one thread, which rests four times as long as a picture took: however many rooms are live,
thumbnails take a fifth of a core at most, and no time of the event loop.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from stream.directory import Clock, Directory, StreamEvent, StreamStarted, StreamStopped
from stream.packet import Kind, Packet
from stream.thumbnail_av import DECODERS, BrokenPicture, decode_jpeg

logger = logging.getLogger("siyu.thumbnail")

INTERVAL_MS: Final = 10_000
TICK_S: Final = 0.5
REST_SHARE: Final = 4
PIXELS_MAX: Final = 4096 * 2304
"""A larger picture is not decoded: a hostile host's 16k frame takes a gigabyte."""
PICTURES_MAX: Final = 500
"""Pictures kept in memory, the newest rooms' ones: 30 MB."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A JPEG, and when its frame was taken: Unix ms and the room's media time."""

    jpeg: bytes
    taken_ms: int
    media_ms: int


@dataclass(slots=True)
class ThumbnailStats:
    """Figures for metrics."""

    pictures: int = 0
    broken: int = 0


class Thumbnails:
    """The newest picture of each room, and who wants to hear of it."""

    def __init__(self, directory: Directory, *, clock: Clock) -> None:
        self._directory = directory
        self._clock = clock
        self._due: dict[str, int] = {}
        """Live rooms, and when their next picture is due."""
        self._pictures: OrderedDict[str, Picture] = OrderedDict()
        self._listeners: list[Callable[[str, Picture], None]] = []
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="thumbnail")
        self._task: asyncio.Task[None] | None = None
        self._stats = ThumbnailStats()

    def start(self) -> None:
        """Follow the directory's rooms until `close`."""
        self._directory.listen(self._on_stream)
        self._task = asyncio.get_running_loop().create_task(self._run(), name="thumbnails")

    async def close(self) -> None:
        """End it; a picture under way is not waited for."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._thread.shutdown(wait=False, cancel_futures=True)

    def listen(self, callback: Callable[[str, Picture], None]) -> None:
        """Call `callback(room, picture)` on the loop with each new picture."""
        self._listeners.append(callback)

    def latest(self, room: str) -> Picture | None:
        """The room's newest picture."""
        return self._pictures.get(room)

    def stats(self) -> ThumbnailStats:
        """Give figures for metrics."""
        return self._stats

    def _on_stream(self, event: StreamEvent) -> None:
        if isinstance(event, StreamStarted):
            self._due.setdefault(event.room, event.now_ms)
        elif isinstance(event, StreamStopped):
            self._due.pop(event.room, None)

    async def _run(self) -> None:
        while True:
            took_s = 0.0
            now_ms = self._clock()
            due = sorted((at_ms, room) for room, at_ms in self._due.items() if at_ms <= now_ms)
            for _, room in due:
                frame = self._key_frame(room)
                if frame is not None:
                    self._due[room] = now_ms + INTERVAL_MS
                    took_s = await self._take(room, *frame)
                    break
            await asyncio.sleep(max(TICK_S if len(due) <= 1 else 0.0, took_s * REST_SHARE))

    def _key_frame(self, room: str) -> tuple[Packet, Packet] | None:
        """The configuration and the last key frame; None when there is none that can be decoded."""
        relay = self._directory.find(room)
        if relay is None or not relay.playing or not relay.live:
            return None
        if relay.video is None or relay.video.codec not in DECODERS:
            return None
        info = relay.info()
        if (info.width or 0) * (info.height or 0) > PIXELS_MAX:
            return None
        key = next((packet for packet in relay.gop if packet.kind is Kind.VIDEO and packet.key), None)
        config = next((packet for packet in relay.configs() if packet.kind is Kind.VIDEO), None)
        return None if key is None or config is None else (config, key)

    async def _take(self, room: str, config: Packet, key: Packet) -> float:
        """Make and tell a picture; how long the thread took, in seconds."""
        started_s = time.monotonic()
        loop = asyncio.get_running_loop()
        try:
            jpeg = await loop.run_in_executor(self._thread, decode_jpeg, config.codec, config.data, key.data)
        except BrokenPicture as error:
            self._stats.broken += 1
            logger.info("no thumbnail: %s", error, extra={"fields": {"room": room}})
            return time.monotonic() - started_s
        picture = Picture(jpeg, self._clock(), key.dts_ms + key.cts_ms)
        self._pictures[room] = picture
        self._pictures.move_to_end(room)
        if len(self._pictures) > PICTURES_MAX:
            self._pictures.popitem(last=False)
        self._stats.pictures += 1
        for listener in self._listeners:
            listener(room, picture)
        return time.monotonic() - started_s
