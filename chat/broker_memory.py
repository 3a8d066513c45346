"""The bus of one process: what is published is delivered at once, in the caller's own step."""

from __future__ import annotations

from collections.abc import Sequence

from chat.broker import Deliver
from chat.message import RoomMessage


class MemoryBroker:
    """A Broker for the one hub of one process."""

    def __init__(self) -> None:
        self._subscribers: dict[str, Deliver] = {}

    def subscribe(self, room: str, deliver: Deliver) -> None:
        """Call `deliver` with what is published to the room from now on; a second call replaces the first."""
        self._subscribers[room] = deliver

    def unsubscribe(self, room: str) -> None:
        """Stop delivering the room's messages."""
        self._subscribers.pop(room, None)

    def publish(self, room: str, messages: Sequence[RoomMessage]) -> None:
        """Deliver to the room's subscriber before returning; a room without one drops the messages."""
        deliver = self._subscribers.get(room)
        if deliver is not None:
            deliver(room, messages)

    async def start(self) -> None:
        """Do nothing: there is nothing to connect to."""

    async def close(self) -> None:
        """Forget all subscribers."""
        self._subscribers.clear()
