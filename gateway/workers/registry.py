"""Which worker has which room: the supervisor's decisions, as (worker, message) to send. Sans-I/O.

    free ──Claim──► owned ──Claim of another──► asked (Yield to the owner) ──Yielded gone──► owned by the other
      ◄──Release, or the worker is gone──┘            └──Yielded not gone──► owned, the other is Refused

One claim of a room is decided at a time; a second one meanwhile is refused. An owner that does not answer in time has
lost the room: a process that hangs serves nobody, and when it wakes, `Owner` tells it so.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from gateway.workers.messages import Granted, Owner, Refused, StreamTold, Told, ToWorker, Yield

YIELD_MS: Final = 800
"""An owner looks for half a second whether its host is alive; takeover is to take less than one."""
TOLD_MAX: Final = 10_000
"""Rooms whose last state is kept; the one that changed longest ago goes."""

Send = tuple[int, ToWorker]


@dataclass(slots=True)
class _Asked:
    claimant: int
    claim: int
    number: int
    until_ms: int


class Registry:
    """Rooms and workers of one supervisor. `now_ms` is Unix time."""

    def __init__(self) -> None:
        self.owners: dict[str, int] = {}
        self.told: OrderedDict[str, StreamTold] = OrderedDict()
        self._workers: set[int] = set()
        self._asked: dict[str, _Asked] = {}
        self._number = 0

    def joined(self, worker: int) -> None:
        """A worker is there."""
        self._workers.add(worker)

    def left(self, worker: int, now_ms: int) -> list[Send]:
        """A worker is gone, and its rooms with it."""
        self._workers.discard(worker)
        out: list[Send] = []
        for room, asked in tuple(self._asked.items()):
            if asked.claimant == worker:
                del self._asked[room]
            elif self.owners.get(room) == worker:
                out += self._decide(room, asked, now_ms)
        for room, owner in tuple(self.owners.items()):
            if owner == worker:
                out += self._free(room)
        return out

    def claim(self, worker: int, number: int, room: str, now_ms: int, *, pull: bool = False) -> list[Send]:
        """A worker wants a room."""
        owner = self.owners.get(room)
        if room in self._asked:
            return [(worker, Refused(number))]
        if owner is None or owner == worker:
            return self._give(room, worker, number, now_ms)
        if pull:
            return [(worker, Refused(number, owner))]
        self._number += 1
        self._asked[room] = _Asked(worker, number, self._number, now_ms + YIELD_MS)
        return [(owner, Yield(self._number, room))]

    def yielded(self, worker: int, number: int, now_ms: int, *, gone: bool) -> list[Send]:
        """The owner's answer; one that comes too late is not heard."""
        for room, asked in self._asked.items():
            if asked.number == number and self.owners.get(room) == worker:
                if gone:
                    return self._decide(room, asked, now_ms)
                del self._asked[room]
                return [(asked.claimant, Refused(asked.claim, worker))]
        return []

    def release(self, worker: int, room: str) -> list[Send]:
        """A worker gives a room back; not heard from one that has lost it already."""
        if self.owners.get(room) != worker or room in self._asked:
            return []
        return self._free(room)

    def tell(self, worker: int, room: str, stream: StreamTold) -> list[Send]:
        """How the stream is; only its owner knows."""
        if self.owners.get(room) != worker:
            return []
        self.told[room] = stream
        self.told.move_to_end(room)
        if len(self.told) > TOLD_MAX:
            self.told.popitem(last=False)
        return [(other, Told(room, stream)) for other in sorted(self._workers - {worker})]

    def tick(self, now_ms: int) -> list[Send]:
        """Let time pass."""
        late = [(room, asked) for room, asked in self._asked.items() if now_ms >= asked.until_ms]
        return [message for room, asked in late for message in self._decide(room, asked, now_ms)]

    def _decide(self, room: str, asked: _Asked, now_ms: int) -> list[Send]:
        del self._asked[room]
        return self._give(room, asked.claimant, asked.claim, now_ms)

    def _give(self, room: str, worker: int, number: int, now_ms: int) -> list[Send]:
        told = self.told.get(room)
        media_ms = None if told is None else told.media_clock_ms + max(0, now_ms - told.now_ms)
        changed = self.owners.get(room) != worker
        self.owners[room] = worker
        # Who hears of the new owner first leaves the old one before it must.
        out: list[Send] = [(worker, Granted(number, media_ms))]
        return [*out, *self._broadcast(room, worker)] if changed else out

    def _free(self, room: str) -> list[Send]:
        del self.owners[room]
        return self._broadcast(room, None)

    def _broadcast(self, room: str, owner: int | None) -> list[Send]:
        return [(worker, Owner(room, owner)) for worker in sorted(self._workers)]
