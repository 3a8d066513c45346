"""Who is watching now over a connection of its own: counted per client address, found again when a token is revoked.

An entry is made when an output takes a viewer and goes when its connection does. Nothing here is on the path of media.
HLS has no connection: its viewers ask for each file, and are refused at the next one.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from gateway.auth import PlayPass
from stream.viewer import DRAIN_BATCH


class Watcher(Protocol):
    """What is asked of an output's viewer."""

    def expel(self, code: str, detail: str) -> None:
        """Close it; the reason is told where the protocol has a way to."""


@dataclass(slots=True, eq=False)
class Visit:
    """One viewer's connection; ``play_pass`` is None where watching is public."""

    number: int
    room: str
    protocol: str
    address: str
    play_pass: PlayPass | None
    watcher: Watcher
    started_ms: int


@dataclass(slots=True)
class VisitStats:
    """Figures for metrics."""

    present: int = 0
    expelled: int = 0
    refused_address: int = 0


class Visits:
    """All viewers on connections. ``exempt`` says whose address is not bounded."""

    def __init__(self, *, clock: Callable[[], int], per_address_max: int, exempt: Callable[[str], bool]) -> None:
        self._clock = clock
        self._per_address_max = per_address_max
        self._exempt = exempt
        self._rooms: dict[str, dict[Visit, None]] = {}
        self._by_address: Counter[str] = Counter()
        self._listeners: list[Callable[[Visit, bool], None]] = []
        self._stats = VisitStats()
        self._number = 0

    def listen(self, callback: Callable[[Visit, bool], None]) -> None:
        """Call ``callback`` with each visit as it begins (True) and ends (False): it must be quick and not raise."""
        self._listeners.append(callback)

    def full(self, address: str) -> bool:
        """Whether this client address watches as often as it may."""
        return not self._exempt(address) and self._by_address[address] >= self._per_address_max

    def refused(self) -> None:
        """Count a viewer whose address was full."""
        self._stats.refused_address += 1

    def enter(
        self, room: str, protocol: str, address: str, play_pass: PlayPass | None, watcher: Watcher
    ) -> Callable[[], None]:
        """Enter a viewer; gives what is to be called, once, when its connection is gone."""
        self._number += 1
        visit = Visit(self._number, room, protocol, address, play_pass, watcher, self._clock())
        self._rooms.setdefault(room, {})[visit] = None
        self._by_address[address] += 1
        self._stats.present += 1
        for listener in self._listeners:
            listener(visit, True)
        return lambda: self._leave(visit)

    def _leave(self, visit: Visit) -> None:
        visits = self._rooms.get(visit.room, {})
        if visit not in visits:
            return
        del visits[visit]
        if not visits:
            del self._rooms[visit.room]
        self._by_address[visit.address] -= 1
        if self._by_address[visit.address] <= 0:
            del self._by_address[visit.address]
        self._stats.present -= 1
        for listener in self._listeners:
            listener(visit, False)

    async def expel(self, room: str, which: Callable[[PlayPass], bool], code: str, detail: str) -> int:
        """Close the room's viewers whose pass ``which`` picks, in batches that let others go on; how many."""
        picked = [v for v in self._rooms.get(room, ()) if v.play_pass is not None and which(v.play_pass)]
        for start in range(0, len(picked), DRAIN_BATCH):
            for visit in picked[start : start + DRAIN_BATCH]:
                visit.watcher.expel(code, detail)
            await asyncio.sleep(0)
        self._stats.expelled += len(picked)
        return len(picked)

    def stats(self) -> VisitStats:
        """Figures for metrics."""
        return self._stats
