"""Bring a room's batches to its sockets: one walk at a time, in slices, in order.

The rule of order. A room's batches are numbered; each socket remembers the last it was given. A pass walks over the
sockets and gives each one *all* batches it lacks, oldest first, in one write. A batch that is cut while a pass is under
way (a P0 event cuts at once, and takes along whatever was waiting) does not start a second pass beside the first: the
walk goes on from where it is with both, and then comes round for those that were passed before. So

- every socket sees every batch once and in order, hence offsets only grow, and a client that resumes from the last
  offset it saw loses nothing and sees nothing twice;
- a P0 event reaches the last socket after at most one write to each socket, however many sockets still waited for the
  batch before it;
- answers and personal events do not wait for a pass: they may come before batches of the same moment.

The walk goes from the last socket to the first. A socket that leaves is replaced by the last of the list, which was
either visited already or is at the walk's head, so none is missed; newcomers come to the end with nothing to catch up.

What a socket lacks by being slow (D3) it lacks on purpose: first P3, then P2, then all until its buffer has drained,
and then it gets the present state. Until then it is out of the list that is walked, and costs the others nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from time import monotonic
from typing import TYPE_CHECKING

from chat.limits import HubLimits
from chat.message import Tier
from chat.room import Batch
from chat.stats import HubCounters

if TYPE_CHECKING:
    from chat.sink import Sink

_CLOCK_STRIDE = 64
"""Sockets between two looks at the clock: 64 writes take about 0.3 ms."""


_Missed = tuple[bytes, int, tuple[tuple[Tier, int], ...]]
"""Frames one after the other, how many messages they hold, and how many of each tier are left out."""


class Audience:
    """The sockets of one room, and the batches on their way to them."""

    __slots__ = (
        "_again",
        "_asleep",
        "_base",
        "_cursor",
        "_joined",
        "_lap_number",
        "_limits",
        "_log",
        "connections",
        "counters",
        "number",
        "pass_started_s",
        "walking",
    )

    def __init__(self, limits: HubLimits, counters: HubCounters) -> None:
        self.connections: list[Sink] = []
        """Those whom a pass visits: all but the ones that are skipped."""
        self.counters = counters
        self.number = 0
        """Number of the newest batch; 0 before the first."""
        self.walking = False
        self.pass_started_s = 0.0
        self._limits = limits
        self._asleep: list[Sink] = []
        self._log: list[Batch] = []
        self._base = 1
        self._cursor = -1
        self._again = False
        self._lap_number = 0
        self._joined: dict[tuple[int, Tier | None], _Missed] = {}

    def add(self, connection: Sink) -> None:
        """Take in a socket that has the state after the newest batch."""
        connection.seen = self.number
        connection.place = len(self.connections)
        self.connections.append(connection)

    def remove(self, connection: Sink) -> None:
        """Let go of a socket; the last of the list takes its place."""
        self._take_out(connection)
        connection.skipping = False

    def _take_out(self, connection: Sink) -> None:
        place = self._asleep if connection.skipping else self.connections
        last = place.pop()
        if last is not connection:
            place[connection.place] = last
            last.place = connection.place

    @property
    def skipping(self) -> int:
        """How many sockets get nothing for now."""
        return len(self._asleep)

    def sockets(self) -> list[Sink]:
        """Return all sockets."""
        return self.connections + self._asleep

    def __len__(self) -> int:
        """Return the count of sockets."""
        return len(self.connections) + len(self._asleep)

    def skip_all(self) -> None:
        """Let no batch reach those who are in, until each was brought up: the room is another one now."""
        while self.connections:
            connection = self.connections[-1]
            self._count_dropped(self._missed(connection.seen, None)[2])
            self._skip(connection)

    def _skip(self, connection: Sink) -> None:
        """Take a socket out of the list that is walked."""
        self._take_out(connection)
        connection.skipping = True
        connection.place = len(self._asleep)
        self._asleep.append(connection)

    def bring_up(self, connection: Sink) -> None:
        """Note that a socket which was skipped is given the state after the newest batch."""
        self._take_out(connection)
        connection.skipping = False
        self.add(connection)

    def push(self, batch: Batch) -> None:
        """Add a batch for everyone; the pass under way, or the next one, brings it."""
        self.number += 1
        self._joined.clear()
        self._log.append(batch)
        if self._asleep:
            self._count_dropped((tier, batch.counts[tier] * len(self._asleep)) for tier in Tier)
        if self.walking:
            self._again = True
        else:
            self.walking = True
            self.pass_started_s = monotonic()
            self._start_lap()

    def _start_lap(self) -> None:
        self._again = False
        self._lap_number = self.number
        self._cursor = len(self.connections) - 1

    def walk(self, sockets_max: int, until_s: float) -> bool:
        """Write to some sockets; tell whether all have all batches."""
        connections = self.connections
        soft = self._limits.soft_bytes
        number = self.number
        missed, messages, _ = self._missed(number - 1, Tier.P3)
        written = 0
        cursor = min(self._cursor, len(connections) - 1)
        stop = cursor - sockets_max
        while cursor >= 0 and cursor > stop:
            connection = connections[cursor]
            cursor -= 1
            # Kept up to date before the write: a write can close the socket and so change the list.
            self._cursor = cursor
            if connection.seen == number:
                continue
            if connection.seen == number - 1 and connection.transport.get_write_buffer_size() <= soft:
                connection.seen = number
                connection.transport.write(missed)
                written += 1
            else:
                self._catch_up(connection)
            if not cursor % _CLOCK_STRIDE and monotonic() >= until_s:
                break
        self.counters.messages_out += written * messages
        self.counters.bytes_out += written * len(missed)
        if cursor >= 0:
            return False
        # Everyone has what was there when this lap began.
        done = self._lap_number - self._base + 1
        if done > 0:
            del self._log[:done]
            self._base += done
        if self._again:
            self._start_lap()
            return False
        self.walking = False
        return True

    def _catch_up(self, connection: Sink) -> None:
        """Give one socket what it lacks, less the more it lags."""
        limits = self._limits
        size = connection.transport.get_write_buffer_size()
        lowest: Tier | None
        if size > limits.skip_bytes:
            lowest = None
        elif size > limits.chat_bytes:
            lowest = Tier.P1
        else:
            lowest = Tier.P2 if size > limits.soft_bytes else Tier.P3
        counters = self.counters
        data, messages, dropped = self._missed(connection.seen, lowest)
        counters.messages_out += messages
        self._count_dropped(dropped)
        connection.seen = self.number
        if lowest is None:
            self._skip(connection)
            counters.slow_skipped += 1
        if data:
            counters.bytes_out += len(data)
            connection.transport.write(data)

    def _count_dropped(self, dropped: Iterable[tuple[Tier, int]]) -> None:
        for tier, count in dropped:
            self.counters.dropped[tier] += count

    def _missed(self, seen: int, lowest: Tier | None) -> _Missed:
        """Return what there is after batch number `seen` for a socket that gets the tiers down to `lowest`."""
        key = (seen, lowest)
        missed = self._joined.get(key)
        if missed is None:
            lacking = self._log[max(0, seen + 1 - self._base) :]
            counts = {tier: sum(batch.counts[tier] for batch in lacking) for tier in Tier}
            got = {tier for tier in Tier if lowest is not None and tier <= lowest}
            missed = self._joined[key] = (
                b"" if lowest is None else b"".join(batch.frame(lowest) for batch in lacking),
                sum(counts[tier] for tier in got),
                tuple((tier, count) for tier, count in counts.items() if count and tier not in got),
            )
        return missed


class Fanout:
    """Take turns between the rooms that have a pass under way, one slice each turn of the loop."""

    def __init__(self, call_soon: Callable[[Callable[[], None]], object], limits: HubLimits) -> None:
        self._call_soon = call_soon
        self._limits = limits
        self._rooms: deque[tuple[Audience, Callable[[float], None]]] = deque()
        self._scheduled = False

    def start(self, audience: Audience, batch: Batch, done: Callable[[float], None], *, urgent: bool) -> None:
        """Bring a batch to an audience; `done` gets the pass's duration in seconds. Urgent rooms come first."""
        walking = audience.walking
        audience.push(batch)
        entry = (audience, done)
        if urgent:
            if walking and entry in self._rooms:
                self._rooms.remove(entry)
                self._rooms.appendleft(entry)
            elif not walking:
                self._rooms.appendleft(entry)
        elif not walking:
            self._rooms.append(entry)
        if not self._scheduled:
            # The first slice goes at once: what is urgent has waited for its turn of the loop already.
            self._scheduled = True
            self._slice()

    def _slice(self) -> None:
        limits = self._limits
        # Taken out for its turn, so that a room which becomes urgent meanwhile finds its place by itself.
        entry = self._rooms.popleft()
        audience, done = entry
        finished = False
        try:
            finished = audience.walk(limits.slice_sockets, monotonic() + limits.slice_ms / 1000)
        finally:
            # Even when a transport fails in an unheard-of way: the walk is past that socket already, and goes on.
            if not finished:
                self._rooms.append(entry)
            if self._rooms:
                self._call_soon(self._slice)
            else:
                self._scheduled = False
        if finished:
            done(monotonic() - audience.pass_started_s)
