"""What a room did second by second, for its host's console: a short series of each room that anybody is in."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from chat.hub import Hub
from chat.room_figures import summed

logger = logging.getLogger("siyu.app")

INTERVAL_S = 1.0
SECONDS_KEPT = 300
"""Five minutes: what fits a console's width. About 30 KB a room."""


@dataclass(frozen=True, slots=True)
class Second:
    """One look at a room: its viewers, and what came and went since the look before."""

    at: int
    viewers: int
    lines: int
    messages: int
    dropped: int


@dataclass(slots=True)
class _Series:
    """A room's seconds, and over how many servers what came to which sums at the last look."""

    seconds: deque[Second]
    servers: int = 0
    lines: int = 0
    messages: int = 0
    dropped: int = 0


class RoomFigures:
    """Looks at the hub's rooms each second until closed."""

    def __init__(self, hub: Hub, *, clock: Callable[[], int]) -> None:
        self._hub = hub
        self._clock = clock
        self._series: dict[str, _Series] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name="room-figures")

    async def close(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL_S)
            self.look()

    def look(self) -> None:
        """Take one second of each room; one that was empty for as long as is kept is forgotten."""
        now_ms = self._clock()
        rooms = self._hub.rooms()
        for room in rooms:
            channel = self._hub.channel(room)
            stats = summed([channel.counted(), *channel.others])
            dropped = sum(stats.dropped.values())
            known = self._series.get(room)
            if known is None:
                if not stats.connections:
                    continue
                known = self._series[room] = _Series(deque(maxlen=SECONDS_KEPT))
            if known.servers != 1 + len(channel.others):
                # What a server that comes or goes has counted all its life is not of this second.
                known.servers = 1 + len(channel.others)
                known.lines, known.messages, known.dropped = stats.chat_lines, stats.messages_out, dropped
            known.seconds.append(
                Second(
                    now_ms,
                    channel.viewers + channel.elsewhere,
                    max(0, stats.chat_lines - known.lines),
                    max(0, stats.messages_out - known.messages),
                    max(0, dropped - known.dropped),
                )
            )
            known.lines, known.messages, known.dropped = stats.chat_lines, stats.messages_out, dropped
            quiet = not stats.connections and not any(second.viewers for second in known.seconds)
            if quiet and len(known.seconds) == SECONDS_KEPT:
                del self._series[room]
        for gone in self._series.keys() - set(rooms):
            del self._series[gone]

    def of(self, room: str) -> list[Second]:
        """The seconds of a room, oldest first."""
        known = self._series.get(room)
        return [] if known is None else list(known.seconds)
