"""One timer for all connections: each is looked after once a round, a part of them each turn."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from chat.limits import HubLimits

if TYPE_CHECKING:
    from chat.sink import Sink


class Wheel:
    """Walk over all connections in a circle; without connections there is no timer."""

    def __init__(self, clock: Callable[[], int], limits: HubLimits) -> None:
        self.connections: list[Sink] = []
        self._clock = clock
        self._limits = limits
        self._cursor = 0
        self._timer: asyncio.TimerHandle | None = None
        self._empty = asyncio.Event()
        self._empty.set()

    def add(self, connection: Sink) -> None:
        """Take in a connection; starts the timer with the first."""
        connection.spoke = len(self.connections)
        self.connections.append(connection)
        self._empty.clear()
        if self._timer is None:
            self._arm()

    def remove(self, connection: Sink) -> None:
        """Let go of a connection; the last of the list takes its place."""
        last = self.connections.pop()
        if last is not connection:
            self.connections[connection.spoke] = last
            last.spoke = connection.spoke
        if not self.connections:
            self._empty.set()

    async def wait_empty(self, seconds: float) -> bool:
        """Wait until all connections have gone, for so long at most; tell whether they have."""
        try:
            async with asyncio.timeout(seconds):
                await self._empty.wait()
        except TimeoutError:
            return False
        return True

    def stop(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._limits.wheel_ms / 1000, self._turn)

    def _turn(self) -> None:
        self._timer = None
        if not self.connections:
            return
        self._arm()
        limits = self._limits
        now_ms = self._clock()
        # Downwards, as a connection that leaves is replaced by the last of the list, which was visited.
        part = -(-len(self.connections) * limits.wheel_ms // limits.wheel_round_ms)
        for _ in range(part):
            if self._cursor <= 0 or self._cursor > len(self.connections):
                self._cursor = len(self.connections)
            if not self._cursor:
                return
            self._cursor -= 1
            self.connections[self._cursor].turn(now_ms)
