"""What a room's batches go to: a WebSocket, an event stream, a client that polls; and what sockets have in common."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from enum import IntEnum
from typing import TYPE_CHECKING, Protocol, cast

from chat.errors import CloseCode
from chat.member import Member

if TYPE_CHECKING:
    from chat.channel import Channel
    from chat.hub import Hub

TCP_NOTSENT_LOWAT = 25
"""Linux's number (linux/tcp.h); the socket module of Python 3.11 does not name it."""
PEER_LOST = 1006
"""How a connection is counted that ended without a word."""


class Phase(IntEnum):
    """Where a connection is in its life."""

    HEAD = 0
    OPEN = 1
    CLOSING = 2


class Kind(IntEnum):
    """In which form a socket gets a batch: each form is prepared once for all of its kind."""

    FRAME = 0
    """A WebSocket frame."""
    DEFLATED = 1
    """A compressed one (RFC 7692)."""
    EVENT = 2
    """A server-sent event."""
    POLL = 3
    """A part of a JSON array."""
    PADDED = 4
    """A server-sent event, and so much comment behind it that a proxy's buffer is full and lets go of it."""

    @property
    def way(self) -> Kind:
        """The kind that this one is counted as: what a proxy needs is nobody else's concern."""
        return Kind.EVENT if self is Kind.PADDED else self


class Sink(Protocol):
    """One socket of a member, as room, fan-out and wheel see it."""

    kind: Kind
    channel: Channel | None
    member: Member | None
    told_role: str
    """The role that the bearer was told last that they have here."""
    told_muted_ms: int
    """Until when they were told last that they are muted (Unix ms), 0 when they are not."""
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


class Socket(asyncio.Protocol):
    """What every socket of a member does, whatever it speaks: its place in the lists, flow control, its end."""

    __slots__ = (
        "_hub",
        "_on_lost",
        "address",
        "channel",
        "close_by_ms",
        "kind",
        "member",
        "paused_ms",
        "phase",
        "place",
        "seen",
        "skipping",
        "spoke",
        "told_muted_ms",
        "told_role",
        "transport",
    )

    transport: asyncio.Transport

    def __init__(self, hub: Hub, kind: Kind, address: str, on_lost: Callable[[], None] | None) -> None:
        self.address = address
        self.kind = kind
        self.phase = Phase.HEAD
        self.channel: Channel | None = None
        self.member: Member | None = None
        self.told_role = ""
        self.told_muted_ms = 0
        self.place = self.seen = self.spoke = 0
        self.skipping = False
        self.paused_ms = 0
        """Since when the socket has been above the soft limit (Unix ms), 0 while it is not."""
        self.close_by_ms = 0
        self._hub = hub
        self._on_lost = on_lost

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport over."""
        self.transport = cast(asyncio.Transport, transport)
        limits = self._hub.limits
        self.transport.set_write_buffer_limits(high=limits.soft_bytes, low=limits.soft_bytes // 4)
        sock = self.transport.get_extra_info("socket")
        if sock is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
            sock.setsockopt(socket.IPPROTO_TCP, TCP_NOTSENT_LOWAT, limits.notsent_bytes)
        self._hub.wheel.add(self)

    def eof_received(self) -> bool | None:
        """Let the transport close itself: who ends its half has gone."""
        return None

    def connection_lost(self, exc: Exception | None) -> None:
        """Leave the room."""
        if self.phase is Phase.OPEN:
            self._leave(PEER_LOST)
        self._hub.wheel.remove(self)
        on_lost, self._on_lost = self._on_lost, None
        if on_lost is not None:
            on_lost()

    def pause_writing(self) -> None:
        """Note since when the peer has not kept up."""
        self.paused_ms = self._hub.clock()

    def resume_writing(self) -> None:
        """Bring a peer that was skipped to the present state."""
        self.paused_ms = 0
        if self.skipping and self.phase is Phase.OPEN:
            self._hub.refresh(self)

    def send(self, data: bytes) -> None:
        """Write prepared bytes of this socket's own; a peer over the hard limit is closed with 4008."""
        if self.phase is not Phase.OPEN:
            return
        if self.transport.get_write_buffer_size() + len(data) > self._hub.limits.hard_bytes:
            self.close(CloseCode.SLOW, "too slow")
            return
        counters = self._hub.counters
        counters.messages_out += 1
        counters.bytes_out += len(data)
        self.transport.write(data)

    def _leave(self, code: int) -> None:
        self.phase = Phase.CLOSING
        self._hub.leave(self, code)
        self.close_by_ms = self._hub.clock() + self._hub.limits.closing_ms

    def _overdue(self, now_ms: int) -> bool:
        """Look for what ends any socket: true when that was found and done."""
        if self.phase is Phase.CLOSING:
            if now_ms >= self.close_by_ms:
                self.transport.abort()
        elif self.member is not None and 0 < self.member.expires_ms <= now_ms:
            self.close(CloseCode.TOKEN, "token expired")
        elif self.paused_ms and now_ms - self.paused_ms > self._hub.limits.stall_ms:
            self.close(CloseCode.SLOW, "stalled")
        else:
            return False
        return True

    def deliver(self, data: bytes) -> None:
        """Send one event, as JSON, of this socket's own."""
        raise NotImplementedError

    def deliver_state(self, payload: bytes) -> None:
        """Send the room as it is: a JSON array."""
        raise NotImplementedError

    def welcome(self, payload: bytes) -> None:
        """Send the room as it is, to a socket that waited for it."""
        self.deliver_state(payload)

    def close(self, code: int, reason: str) -> None:
        """End the connection with a close code of the hub."""
        raise NotImplementedError

    def turn(self, now_ms: int) -> None:
        """Look after the connection: called by the wheel once a round."""
        raise NotImplementedError
