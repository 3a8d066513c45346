"""Tells merchants of their streams by webhook: published, unpublished, played, stopped, recorded.

stream and visits → a bounded queue → once a second into the shop's database, with the webhooks' other deliveries

Nothing of it is on the path of media: an event is a tuple in a list. Viewers that came and went within a second are
told together, up to ``VIEWERS_AN_EVENT`` in one event. What is over the queue's bound is dropped and counted. A crash
loses up to a second of events; what the database has is delivered at least once.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from commerce.fresh_ids import fresh_id
from commerce.webhooks_sql import MediaEvent, Webhooks
from gateway.rooms import Rooms
from gateway.visits import Visit
from stream.directory import StreamEvent, StreamStarted, StreamStopped
from stream.record import ShowEnded, ShowEvent

logger = logging.getLogger("siyu.hooks")

INTERVAL_S = 1.0
STREAM_EVENTS_MAX = 1_000
"""Of hosts and recordings, waiting for the next second."""
VIEWER_EVENTS_MAX = 20_000
"""Of viewers: a whole audience that comes back at once."""
VIEWERS_AN_EVENT = 200
"""An event of so many viewers has about 20 KB."""


@dataclass(slots=True)
class MediaEventStats:
    """Figures for metrics."""

    queued: int = 0
    told: int = 0
    dropped: int = 0


class MediaEvents:
    """Hears of streams, shows and visits; ``wake`` is called when something was written for the sender."""

    def __init__(self, webhooks: Webhooks, rooms: Rooms, *, clock: Callable[[], int], wake: Callable[[], None]) -> None:
        self._webhooks = webhooks
        self._rooms = rooms
        self._clock = clock
        self._wake = wake
        self._wanted: dict[str, frozenset[str]] = {}
        self._events: deque[MediaEvent] = deque()
        self._viewers: deque[tuple[str, str, str, dict[str, Any]]] = deque()
        self._stats = MediaEventStats()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Read who wants to hear what, then write until ``close``."""
        await self.refresh()
        self._task = asyncio.get_running_loop().create_task(self._run(), name="media-events")

    async def close(self) -> None:
        """Write what waits, and end."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            await self._flush()

    async def refresh(self) -> None:
        """Read anew who wants to hear what: a webhook was made or removed."""
        self._wanted = await self._webhooks.wanted()

    def stats(self) -> MediaEventStats:
        """Figures for metrics."""
        self._stats.queued = len(self._events) + len(self._viewers)
        return self._stats

    # — what happens —

    def stream(self, event: StreamEvent) -> None:
        """A host began or ended."""
        if isinstance(event, StreamStarted):
            info = event.info
            body = {"video": info.video_codec, "audio": info.audio_codec, "width": info.width, "height": info.height}
            self.tell("stream.published", event.room, event.now_ms, {**_who(event), **body})
        elif isinstance(event, StreamStopped):
            self.tell("stream.unpublished", event.room, event.now_ms, {**_who(event), "reason": event.reason})

    def show(self, event: ShowEvent) -> None:
        """A recording began or ended; its end is told."""
        if isinstance(event, ShowEnded):
            body = {"show": event.show, "replay": f"/replay/{event.room}/{event.show}/index.m3u8"}
            self.tell("stream.recorded", event.room, event.now_ms, body)

    def visit(self, visit: Visit, began: bool) -> None:
        """A viewer came or went."""
        kind = "stream.played" if began else "stream.stopped"
        merchant = self._listener(kind, visit.room)
        if merchant is None:
            return
        if len(self._viewers) >= VIEWER_EVENTS_MAX:
            self._stats.dropped += 1
            return
        now_ms = self._clock()
        viewer: dict[str, Any] = {"viewer": visit.number, "protocol": visit.protocol, "at": now_ms}
        found = visit.play_pass
        if found is not None:
            viewer |= {"token": found.token} if found.token else {"person": found.person}
        if not began:
            viewer["watched_ms"] = max(0, now_ms - visit.started_ms)
        self._viewers.append((kind, merchant, visit.room, viewer))

    def _listener(self, kind: str, room: str) -> str | None:
        """The room's merchant, if it wants to hear of ``kind``."""
        if not self._wanted:
            return None
        found = self._rooms.find(room)
        return found.merchant if found is not None and kind in self._wanted.get(found.merchant, ()) else None

    def tell(self, kind: str, room: str, now_ms: int, body: dict[str, Any]) -> None:
        """Queue an event of a room, if its merchant wants to hear of ``kind``."""
        merchant = self._listener(kind, room)
        if merchant is None:
            return
        if len(self._events) >= STREAM_EVENTS_MAX:
            self._stats.dropped += 1
            return
        self._events.append(MediaEvent(self._id(), kind, merchant, room, now_ms, body))

    def _id(self) -> str:
        return fresh_id(self._clock())

    # — writing —

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL_S)
            await self._flush()

    async def _flush(self) -> None:
        events = [*self._events, *self._of_viewers()]
        self._events.clear()
        if not events:
            return
        try:
            dropped = await self._webhooks.tell(events)
        except Exception:
            # Whatever the driver has: the next second's events must not wait for the next start.
            self._stats.dropped += len(events)
            logger.exception("%d events of streams could not be written", len(events))
            return
        self._stats.dropped += dropped
        self._stats.told += len(events)
        self._wake()

    def _of_viewers(self) -> list[MediaEvent]:
        together: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
        while self._viewers:
            kind, merchant, room, viewer = self._viewers.popleft()
            together.setdefault((kind, merchant, room), []).append(viewer)
        now_ms = self._clock()
        return [
            MediaEvent(self._id(), kind, merchant, room, now_ms, {"viewers": viewers[at : at + VIEWERS_AN_EVENT]})
            for (kind, merchant, room), viewers in together.items()
            for at in range(0, len(viewers), VIEWERS_AN_EVENT)
        ]


def _who(event: StreamEvent) -> dict[str, Any]:
    origin = event.origin
    if origin is None:
        return {}
    return {"protocol": origin.protocol, "key": origin.credential, "name": origin.name}
