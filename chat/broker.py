"""The bus between the nodes that have a room.

What is published becomes real only when it comes back by `Replica.deliver`, so each node sees one order per room, and
with it the same offsets. One message carries what a node gathered in a tick.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from chat.message import RoomMessage


class Replica(Protocol):
    """A room's state on this node, as the bus drives it; all calls come on the event loop's thread."""

    @property
    def viewers(self) -> int:
        """People here, staff not counted."""

    def deliver(self, messages: Sequence[RoomMessage], *, own: bool) -> None:
        """Apply messages, in order; `own` tells whether this node said them."""

    def state(self) -> bytes:
        """Return the state after all that was delivered, as JSON: `chat/checkpoint.py` says what is in it."""

    def restore(self, epoch: str, state: bytes, *, last: bool) -> None:
        """Become the state that another node wrote down, under its epoch; who is in is given it afresh.

        `last` tells that no other node is left: what this one's shop says of the room is newer then. Raises ValueError
        for a state of another version.
        """

    def rebase(self, epoch: str) -> None:
        """Go on under another epoch; who is in is told of it."""

    def count(self, elsewhere: int) -> None:
        """Take note of the people on other nodes."""

    @property
    def looked_at(self) -> bool:
        """Whether somebody here looks at the room's figures: those of the other nodes are wanted."""

    def figures(self) -> bytes:
        """Return what this node counts of the room, as the others get it."""

    def hear_figures(self, told: Sequence[bytes]) -> None:
        """Take note of what the other nodes count, as they told it last."""


class Broker(Protocol):
    """Carry room messages to every replica of the room, this node's included, in one order per room."""

    def subscribe(self, room: str, replica: Replica) -> None:
        """Drive `replica` from now on; a second call replaces the first."""

    def unsubscribe(self, room: str) -> None:
        """Let go of the room's replica."""

    def publish(self, room: str, messages: Sequence[RoomMessage], *, once: str = "") -> None:
        """Send messages to the room. Never blocks; a bus that is down lets the room go on alone.

        Of those published under the same `once` (by several nodes that heard of one event, or again after a crash) the
        bus takes the first. Raises TypeError and ValueError for messages that cannot be sent.
        """

    def hold(self, room: str) -> asyncio.Future[None] | None:
        """Keep the replica up to date from now on: somebody is here. None when it is already, else wait for it."""

    def release(self, room: str) -> None:
        """Nobody is here any more: after a while nothing of the room comes to this node."""

    async def start(self) -> None:
        """Connect, on the running loop."""

    async def close(self) -> None:
        """Let go of connections."""

    def stats(self) -> BusStats:
        """Return the bus's figures."""


@dataclass(frozen=True, slots=True)
class BusStats:
    """The bus at this moment; counts are since it was made."""

    up: int
    """1 while it answers."""
    held: int
    """Rooms that come to this node."""
    alone: int
    """Rooms with people here that go on without the others for now."""
    waiting: int
    """Messages that wait to be sent."""
    entries_out: int
    entries_in: int
    bytes_in: int
    dropped: int
    """Messages the bus could not carry: chat and sums while it is down or behind."""
    lost: int
    """Times that it stopped answering."""
    caught_up: int
    """Times that a room had missed entries and read them from its log."""
    restored: int
    """Times that a room took over another node's state."""
    broken: int
    """Entries that no node of this version makes; skipped."""
