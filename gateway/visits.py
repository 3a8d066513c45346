"""Who is watching now over a connection of its own: counted per client address, found again when a token is revoked.

An entry is made when an output takes a viewer and goes when its connection does. Nothing here is on the path of media.
HLS has no connection: whoever asked for a playlist within the last half minute is a viewer, and one whose token is no
good any more is refused at the next request.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from gateway.auth import EXPIRED, PlayPass
from stream.viewer import DRAIN_BATCH

SWEEP_S = 5.0
"""How often is looked for play tokens that have expired and for HLS viewers who left."""
HLS_IDLE_MS = 30_000
"""Players ask for a playlist each few seconds; one that is paused asks for none."""
HLS_VISITS_MAX = 20_000
"""HLS viewers told apart; more of them watch all the same, and are not counted here."""
EXPELLED_A_SWEEP_MAX = 1_000
"""Viewers closed in one turn of the loop, the others of them five seconds later."""


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
    counted: bool
    """Whether it holds a connection of its address."""


class _HlsViewer:
    """Nothing to close: the next request is refused."""

    def expel(self, code: str, detail: str) -> None:
        return


@dataclass(slots=True)
class _HlsVisit:
    asked_ms: int
    leave: Callable[[], None]


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
        self._hls: dict[tuple[str, str], _HlsVisit] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._stats = VisitStats()
        self._number = 0

    def start(self) -> None:
        """Look for what is over, until ``close``."""
        self._timer = asyncio.get_running_loop().call_later(SWEEP_S, self._on_timer)

    def close(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

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
        self,
        room: str,
        protocol: str,
        address: str,
        play_pass: PlayPass | None,
        watcher: Watcher,
        *,
        counted: bool = True,
    ) -> Callable[[], None]:
        """Enter a viewer; gives what is to be called, once, when its connection is gone."""
        self._number += 1
        visit = Visit(self._number, room, protocol, address, play_pass, watcher, self._clock(), counted)
        self._rooms.setdefault(room, {})[visit] = None
        self._by_address[address] += counted
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
        self._by_address[visit.address] -= visit.counted
        if self._by_address[visit.address] <= 0:
            del self._by_address[visit.address]
        self._stats.present -= 1
        for listener in self._listeners:
            listener(visit, False)

    def asked(self, room: str, address: str, agent: str, play_pass: PlayPass | None) -> None:
        """Somebody got a playlist: enter them, or put off the end of their visit."""
        who = f"{address} {agent}"
        if play_pass is not None:
            who = play_pass.token or play_pass.person
        now_ms = self._clock()
        visit = self._hls.get((room, who))
        if visit is not None:
            visit.asked_ms = now_ms
        elif len(self._hls) < HLS_VISITS_MAX:
            leave = self.enter(room, "hls", address, play_pass, _HlsViewer(), counted=False)
            self._hls[room, who] = _HlsVisit(now_ms, leave)

    def sweep(self, now_ms: int) -> None:
        """End the visits of HLS viewers who left and of play tokens that have expired since."""
        for key, visit in tuple(self._hls.items()):
            if now_ms - visit.asked_ms >= HLS_IDLE_MS:
                del self._hls[key]
                visit.leave()
        over = [visit for visits in self._rooms.values() for visit in visits if _expired(visit, now_ms)]
        for gone in over[:EXPELLED_A_SWEEP_MAX]:
            gone.watcher.expel("token_expired", EXPIRED)
            self._stats.expelled += 1

    def _on_timer(self) -> None:
        # The next timer first: an error shows in the log, and the sweeping goes on.
        self.start()
        self.sweep(self._clock())

    async def expel(self, room: str, which: Callable[[PlayPass], bool], code: str, detail: str) -> int:
        """Close the room's viewers whose pass ``which`` picks, in batches that let others go on; how many."""
        present = (visit for visit in self._rooms.get(room, ()) if visit.counted)
        picked = [visit for visit in present if visit.play_pass is not None and which(visit.play_pass)]
        for start in range(0, len(picked), DRAIN_BATCH):
            for visit in picked[start : start + DRAIN_BATCH]:
                visit.watcher.expel(code, detail)
            await asyncio.sleep(0)
        self._stats.expelled += len(picked)
        return len(picked)

    def stats(self) -> VisitStats:
        """Figures for metrics."""
        return self._stats


def _expired(visit: Visit, now_ms: int) -> bool:
    """Whether it watches with a play token that is over. A person's token is asked for again at their next coming."""
    found = visit.play_pass
    return visit.counted and found is not None and found.token != "" and found.expires_ms <= now_ms
