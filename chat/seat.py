"""A room's place on the bus, as one node sees it: what waits to be said, how far the log was followed. No I/O.

A seat is in one of two states. *In step*: the replica has each entry of the log up to `sequence`, and what this node
says counts when it comes back. *Apart*: nobody is here, or the bus is lost; what this node says is applied at once, and
what others must hear of it waits. Between the two lies catching up, during which what is said waits unapplied.

    waiting ──▶ outgoing (sent, or its fate unknown) ──▶ unheard (in the log) ──▶ heard: applied

Apart and back again the replica takes over the others' state, after they were told what waited. So nothing that staff
decided or that must arrive is lost, chat of the time apart is heard by those who were there, and nothing is applied
twice.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from chat.broker import Replica
from chat.entry import Entry, Stamp, decode_messages, droppable, encode_message, outlives
from chat.errors import BadEntry
from chat.limits import BusLimits
from chat.message import Latest, Likes, RoomMessage

NOBODY = Stamp("", 0)
"""Who made the entry before the first."""


@dataclass(slots=True, eq=False)
class Item:
    """Messages that were said in one step; `applied` tells whether the replica has them, as they were said apart."""

    messages: tuple[RoomMessage, ...]
    once: str
    data: bytes
    applied: bool

    def become(self, messages: Iterable[RoomMessage]) -> None:
        """Say something else instead; nothing at all when there are no messages."""
        self.messages = tuple(messages)
        self.data = b",".join(encode_message(message, self.once) for message in self.messages)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """An entry of this node: sent again under its number when its fate is unknown."""

    number: int
    items: list[Item]

    def parts(self) -> list[tuple[str, bytes]]:
        """Return what the log takes: ids and messages."""
        return [(item.once, item.data) for item in self.items]


class Seat:
    """One room's place."""

    def __init__(self, room: str, node: str, replica: Replica, limits: BusLimits) -> None:
        self.room = room
        self.replica = replica
        self.epoch = ""
        """Epoch of the log that was followed; empty before the first, and once something was applied apart."""
        self.sequence = 0
        self.stamp = NOBODY
        self.apart = True
        self.in_step = False
        self.catching_up = False
        self.dropped = 0
        self.broken = 0
        self._node = node
        self._limits = limits
        self._number = 0
        self._waiting: deque[Item] = deque()
        self._waiting_bytes = 0
        self._outgoing: deque[Outgoing] = deque()
        self._unheard: deque[Outgoing] = deque()
        self._early: deque[Entry] = deque()
        self._likes: Item | None = None
        self._latest: dict[str, Item] = {}
        self._told: dict[str, None] = {}

    # What is said here

    def say(self, messages: Sequence[RoomMessage], once: str, *, bus_up: bool) -> None:
        """Take in what this node says. Raises TypeError and ValueError for what cannot be sent."""
        if once in self._told:
            return
        local = self.apart and not self.catching_up
        item = Item((), once, b"", local)
        item.become(messages)
        if once:
            self._tell(once)
        if local:
            self.epoch = ""
            self.replica.deliver(messages, own=True)
            if not bus_up:
                item.become(message for message in messages if outlives(message))
        if item.data:
            self._wait(item)

    def _tell(self, once: str) -> None:
        self._told[once] = None
        if len(self._told) > self._limits.once_remembered:
            del self._told[next(iter(self._told))]

    def _wait(self, item: Item) -> None:
        limits = self._limits
        size = self._waiting_bytes + len(item.data)
        passing = all(droppable(message) for message in item.messages)
        if size > limits.waiting_bytes_max or (passing and size > limits.waiting_bytes):
            self.dropped += len(item.messages)
        elif not self._merged(item):
            self._waiting.append(item)
            self._waiting_bytes += len(item.data)

    def _merged(self, item: Item) -> bool:
        """Add likes to likes that wait, and let a value replace the older one; tell whether that was all."""
        if len(item.messages) > 1 or item.once:
            return False
        message = item.messages[0]
        if isinstance(message, Likes):
            older = self._likes
            if older is not None and older.applied == item.applied:
                before = older.messages[0]
                assert isinstance(before, Likes)
                self._replace(older, Likes(before.count + message.count))
                return True
            self._likes = item
        elif isinstance(message, Latest):
            replaced = self._latest.get(message.key)
            if replaced is not None:
                # Its place is where the new value stands, after what came between.
                self._replace(replaced)
            self._latest[message.key] = item
        return False

    def _replace(self, item: Item, *messages: RoomMessage) -> None:
        self._waiting_bytes -= len(item.data)
        item.become(messages)
        self._waiting_bytes += len(item.data)

    @property
    def has_to_say(self) -> bool:
        """Tell whether something waits, or has an unknown fate."""
        return bool(self._waiting or self._outgoing)

    @property
    def owes(self) -> bool:
        """Tell whether those who are here have not seen all that this node said."""
        return not self.apart and (self.has_to_say or bool(self._unheard))

    @property
    def waiting(self) -> int:
        """Return how many messages wait."""
        return sum(len(item.messages) for item in self._waiting)

    def next_entry(self) -> Outgoing | None:
        """Return what is to be sent now: what was sent and not answered, or as much of what waits as an entry holds."""
        while self._outgoing:
            entry = self._outgoing[0]
            entry.items[:] = [item for item in entry.items if item.data]
            if entry.items:
                return entry
            self._outgoing.popleft()
        items: list[Item] = []
        size = 0
        while self._waiting and (not items or size + len(self._waiting[0].data) <= self._limits.entry_bytes):
            item = self._waiting.popleft()
            if item.data:
                items.append(item)
                size += len(item.data)
        self._waiting_bytes -= size
        self._stop_merging()
        if not items:
            return None
        self._number += 1
        self._outgoing.append(Outgoing(self._number, items))
        return self._outgoing[0]

    def _stop_merging(self) -> None:
        self._likes = None
        self._latest.clear()

    def answered(self, entry: Outgoing) -> None:
        """Note that the log has an entry that was sent."""
        # It may have been heard before the answer came.
        if self._outgoing and self._outgoing[0] is entry:
            self._outgoing.popleft()
            if self.in_step:
                self._unheard.append(entry)

    # What comes from the bus

    def hear(self, entry: Entry) -> bool:
        """Take an entry in; False when the room must catch up with its log."""
        if not self.in_step:
            if self.catching_up and len(self._early) < self._limits.early_entries:
                self._early.append(entry)
            return True
        if entry.epoch != self.epoch:
            return False
        if entry.sequence > self.sequence + 1:
            return False
        if entry.sequence > self.sequence:
            self.follow(entry)
        return True

    def follow(self, entry: Entry) -> None:
        """Apply the next entry of the log."""
        self.sequence, self.stamp = entry.sequence, entry.stamp
        own = entry.stamp.node == self._node
        for mine in (self._unheard, self._outgoing) if own else ():
            while mine and mine[0].number <= entry.stamp.number:
                mine.popleft()
        try:
            messages, told = decode_messages(entry.data)
        except BadEntry:
            # By a newer version, or by nobody of ours: it counts, or the nodes would part over it.
            self.broken += 1
            return
        if told:
            self._leave_out(told)
        self.replica.deliver(messages, own=own)

    def _leave_out(self, told: set[str]) -> None:
        """Say nothing more of what another node has told."""
        for once in told:
            self._tell(once)
        sent = (*self._unheard, *self._outgoing)
        for item in [*(item for entry in sent for item in entry.items), *self._waiting]:
            if item.once in told:
                item.become(())
        self._waiting_bytes = sum(len(item.data) for item in self._waiting)

    # From one state to the other

    def begin_catching_up(self) -> None:
        """Apply nothing more, until the log was read."""
        self.in_step = False
        self.catching_up = True

    def give_up_catching_up(self) -> None:
        """The bus was lost on the way."""
        self.catching_up = False

    def settle(self, epoch: str, sequence: int, stamp: Stamp, entries: Iterable[Entry]) -> bool:
        """Be in step after these entries and those that came meanwhile; False when some are missing still.

        What the log has of this node's own is in them.
        """
        self.epoch, self.sequence, self.stamp = epoch, sequence, stamp
        self.apart = self.catching_up = False
        self.in_step = True
        for entry in entries:
            self.follow(entry)
        self._unheard.clear()
        early, self._early = self._early, deque()
        return all(self.hear(entry) for entry in early)

    def found(self, epoch: str) -> None:
        """Be in step with a log that begins with this replica's state: what it has applied is in that."""
        self.epoch, self.sequence, self.stamp = epoch, 0, NOBODY
        self.forget_applied()
        self.replica.rebase(epoch)
        self.apart = self.catching_up = False
        self.in_step = True
        self._early.clear()

    def applied_ids(self) -> list[str]:
        """Return the ids of what was said apart and waits for others."""
        items = [*(item for entry in self._outgoing for item in entry.items), *self._waiting]
        return [item.once for item in items if item.applied and item.once]

    def forget_applied(self) -> None:
        """Let go of what waits for others and has become a part of what they begin with."""
        self._outgoing = deque((*self._unheard, *self._outgoing))
        self._unheard.clear()
        for entry in self._outgoing:
            entry.items[:] = [item for item in entry.items if not item.applied]
        self._keep(item for item in self._waiting if not item.applied)

    def _keep(self, items: Iterable[Item]) -> None:
        self._waiting = deque(items)
        self._waiting_bytes = sum(len(item.data) for item in self._waiting)
        self._stop_merging()

    def part(self, epoch: str) -> None:
        """Go on alone, under an epoch of this node's own: what was on its way becomes real here, at once."""
        if not self.apart:
            self.apart = True
            self.replica.rebase(epoch)
        self.epoch = ""
        self.in_step = self.catching_up = False
        self._early.clear()
        self._outgoing = deque((*self._unheard, *self._outgoing))
        self._unheard.clear()
        for item in [*(item for entry in self._outgoing for item in entry.items), *self._waiting]:
            if not item.applied:
                item.applied = True
                if item.messages:
                    self.replica.deliver(item.messages, own=True)
                item.become(message for message in item.messages if outlives(message))
        for entry in self._outgoing:
            entry.items[:] = [item for item in entry.items if item.data]
        self._keep(item for item in self._waiting if item.data)

    def let_go(self) -> None:
        """Follow the log no more: nobody is here."""
        self.apart = True
        self.in_step = self.catching_up = False
        self._early.clear()
        self._unheard.clear()
