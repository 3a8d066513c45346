"""The bus of one process: what is published is delivered at once, in the caller's own step."""

from __future__ import annotations

from collections.abc import Sequence

from chat.broker import BusStats, Replica
from chat.limits import BusLimits
from chat.message import RoomMessage


class MemoryBroker:
    """A Broker for the one hub of one process."""

    def __init__(self, limits: BusLimits | None = None) -> None:
        self._replicas: dict[str, Replica] = {}
        self._limits = limits or BusLimits()
        self._told: dict[tuple[str, str], None] = {}
        self._entries = 0

    def subscribe(self, room: str, replica: Replica) -> None:
        """Drive `replica` from now on; a second call replaces the first."""
        self._replicas[room] = replica

    def unsubscribe(self, room: str) -> None:
        """Let go of the room's replica."""
        self._replicas.pop(room, None)

    def publish(self, room: str, messages: Sequence[RoomMessage], *, once: str = "") -> None:
        """Deliver to the room's replica before returning; a room without one drops the messages."""
        replica = self._replicas.get(room)
        if replica is None:
            return
        if once:
            if (room, once) in self._told:
                return
            self._told[room, once] = None
            if len(self._told) > self._limits.once_remembered:
                del self._told[next(iter(self._told))]
        self._entries += 1
        replica.deliver(messages, own=True)

    def hold(self, room: str) -> None:
        """Do nothing: a replica of one process is always up to date."""

    def release(self, room: str) -> None:
        """Do nothing: there is nothing to save."""

    async def start(self) -> None:
        """Do nothing: there is nothing to connect to."""

    async def close(self) -> None:
        """Forget all replicas."""
        self._replicas.clear()

    def stats(self) -> BusStats:
        """Return the bus's figures: it is always up."""
        held = len(self._replicas)
        return BusStats(1, held, 0, 0, self._entries, self._entries, 0, 0, 0, 0, 0, 0)
