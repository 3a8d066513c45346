"""Tells merchants by webhook who comes to their rooms: opened, empty, and how many came and went.

The hub counts; every few seconds the counts are compared with the last ones. So joining costs nothing more, a crowd
that comes back after a blink is one event, and a room is empty only when it was so for a while.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from chat.hub import Hub
from gateway.media_events import MediaEvents

logger = logging.getLogger("siyu.hooks")

INTERVAL_S = 5.0
"""Between two looks: an event of a room comes at most so often."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """A room's counts at the last look: people in it on all servers, who came to and went from this one."""

    viewers: int = 0
    joined: int = 0
    left: int = 0


class RoomEvents:
    """Looks at the hub's rooms until closed."""

    def __init__(
        self, hub: Hub, events: MediaEvents, *, clock: Callable[[], int], interval_s: float = INTERVAL_S
    ) -> None:
        self._hub = hub
        self._events = events
        self._clock = clock
        self._interval_s = interval_s
        self._seen: dict[str, _Seen] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name="room-events")

    async def close(self) -> None:
        """Look a last time, for those who were sent away, and end."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self.look()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._interval_s)
            self.look()

    def look(self) -> None:
        """Compare each room's counts with the last ones, and tell what has changed."""
        now_ms = self._clock()
        rooms = set(self._hub.rooms())
        for room in rooms:
            stats = self._hub.stats(room)
            now, before = _Seen(stats.viewers, stats.joined, stats.left), self._seen.get(room, _Seen())
            self._seen[room] = now
            if now != before:
                self._tell(room, now_ms, now, before)
        for gone in self._seen.keys() - rooms:
            del self._seen[gone]

    def _tell(self, room: str, now_ms: int, now: _Seen, before: _Seen) -> None:
        joined, left = now.joined - before.joined, now.left - before.left
        # A server at which nobody came or went leaves it to those where somebody did.
        if not (joined or left):
            return
        body: dict[str, Any] = {"viewers": now.viewers}
        if joined and not before.viewers:
            self._events.tell("room.opened", room, now_ms, body)
        self._events.tell("room.visited", room, now_ms, {**body, "joined": joined, "left": left})
        if left and not now.viewers:
            self._events.tell("room.empty", room, now_ms, body)
