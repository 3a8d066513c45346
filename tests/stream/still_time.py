"""Time that passes when a test says so, for what asks its event loop for it."""

import asyncio
from collections.abc import Callable


class StillTime:
    """A connection's loop as far as time goes: it passes, and timers ring, when the test says so."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.create_task = asyncio.get_running_loop().create_task
        self._due: list[tuple[float, asyncio.Handle]] = []

    def time(self) -> float:
        return self.now_s

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> asyncio.Handle:
        handle = asyncio.Handle(callback, (), asyncio.get_running_loop())
        self._due.append((self.now_s + delay_s, handle))
        return handle

    def advance(self, seconds: float) -> None:
        self.now_s += seconds
        due, self._due = self._due, []
        for at_s, handle in due:
            if at_s > self.now_s:
                self._due.append((at_s, handle))
            elif not handle.cancelled():
                handle._run()
