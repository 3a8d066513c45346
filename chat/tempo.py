"""How long a room gathers what is said before it makes a frame of it: the tick."""

from __future__ import annotations

from chat.limits import HubLimits
from chat.sink import Kind

PASSES_PER_TICK = 3
"""A tick lasts at least so many times a pass over all sockets."""
HEAT_S = 0.5
"""Over so long the lines of chat are counted."""


class Tempo:
    """The tick of one room. It grows with the chat, which nobody reads line by line, and with the time a pass takes."""

    __slots__ = ("_cut_s", "_limits", "_lines_per_s", "_passed_s", "tick_s")

    def __init__(self, limits: HubLimits) -> None:
        self.tick_s = limits.tick_ms / 1000
        self._limits = limits
        self._lines_per_s = 0.0
        self._cut_s = 0.0
        self._passed_s = [0.0] * len(Kind)

    def cut(self, lines: int, now_s: float) -> None:
        """Note that all that waited was cut, with so many lines of chat, at a time of the monotonic clock."""
        elapsed_s, self._cut_s = max(1e-6, now_s - self._cut_s), now_s
        weight = min(1.0, elapsed_s / HEAT_S)
        self._lines_per_s += (lines / elapsed_s - self._lines_per_s) * weight
        self._set()

    def due_s(self, at_least_s: float = 0.0) -> float:
        """Return when the next frame is due (monotonic clock); what can wait waits `at_least_s` after the last."""
        return self._cut_s + max(self.tick_s, at_least_s)

    def passed(self, kind: Kind, duration_s: float) -> None:
        """Note how long it took until all sockets of a kind had a frame; 0 when there are none any more."""
        self._passed_s[kind] = duration_s
        self._set()

    def _set(self) -> None:
        limits = self._limits
        hot_ms = min(limits.tick_ms_hot, self._lines_per_s * limits.tick_ms_per_line)
        passes_ms = min(limits.tick_ms_max, sum(self._passed_s) * PASSES_PER_TICK * 1000)
        self.tick_s = max(limits.tick_ms, hot_ms, passes_ms) / 1000
