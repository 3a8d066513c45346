"""The bus between the nodes that have a room.

What is published becomes real only when it comes back by `deliver`, so each node sees one order per room, and with it
the same offsets. One message carries what a node gathered in a tick.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from chat.message import RoomMessage

Deliver = Callable[[str, Sequence[RoomMessage]], None]
"""Gets the room and its messages, in order, on the event loop's thread."""


class Broker(Protocol):
    """Carry room messages to every subscriber of the room, this node included, in one order per room."""

    def subscribe(self, room: str, deliver: Deliver) -> None:
        """Call `deliver` with what is published to the room from now on."""

    def unsubscribe(self, room: str) -> None:
        """Stop delivering the room's messages to this node."""

    def publish(self, room: str, messages: Sequence[RoomMessage]) -> None:
        """Send messages to the room. Never blocks; a bus that is down drops and counts."""

    async def start(self) -> None:
        """Connect, on the running loop."""

    async def close(self) -> None:
        """Let go of connections."""
