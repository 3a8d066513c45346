"""What a room's batches go to: a WebSocket (`chat/connection.py`) or an event stream (`chat/event_stream.py`)."""

from __future__ import annotations

import asyncio
from enum import IntEnum
from typing import TYPE_CHECKING, ClassVar, Protocol

from chat.member import Member

if TYPE_CHECKING:
    from chat.channel import Channel

TCP_NOTSENT_LOWAT = 25
"""Linux's number (linux/tcp.h); the socket module of Python 3.11 does not name it."""
PEER_LOST = 1006
"""How a connection is counted that ended without a word."""


class Phase(IntEnum):
    """Where a connection is in its life."""

    HEAD = 0
    OPEN = 1
    CLOSING = 2


class Sink(Protocol):
    """One socket of a member, as room, fan-out and wheel see it."""

    listens: ClassVar[bool]
    """Whether it gets event streams and not WebSocket frames."""
    channel: Channel | None
    member: Member | None
    phase: Phase
    place: int
    """Index in the audience's list."""
    seen: int
    """Number of the newest batch of the room that this socket was given."""
    skipping: bool
    """Whether it is so slow that it gets nothing of the room for now."""
    spoke: int
    """Index in the wheel's list."""
    transport: asyncio.Transport

    def deliver(self, data: bytes) -> None:
        """Send one event, as JSON, of this socket's own."""

    def welcome(self, payload: bytes) -> None:
        """Send the room as it is, to a socket that waited for it; what it has sent meanwhile counts from now on."""

    def deliver_state(self, payload: bytes) -> None:
        """Send the room as it is: a JSON array."""

    def close(self, code: int, reason: str) -> None:
        """End the connection with a close code of the hub."""

    def turn(self, now_ms: int) -> None:
        """Look after the connection: called by the wheel once a round."""
