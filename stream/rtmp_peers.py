"""What an RTMP connection asks of those who take its hosts and players, and the limits they share."""

import asyncio
from dataclasses import dataclass, field
from typing import Protocol

from stream.origin import Origin
from stream.protocol.rtmp_auth import Proof
from stream.protocol.rtmp_events import MediaReceived


@dataclass(frozen=True, slots=True)
class PublishRequest:
    """Who wants to publish what; `key` is empty when the address holds none and is never shown.

    `proof`: of a host that showed its key by answering a challenge; `proof.matches(key)` says whether it is the right
    one, and `proof.user` is to be the room.
    """

    app: str
    room: str
    key: str = field(repr=False)
    address: str
    proof: Proof | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class PlayRequest:
    """Who wants to play what; `token` is empty when the address holds none and is never shown."""

    app: str
    room: str
    token: str = field(repr=False)
    address: str
    low_delay: bool = False
    """Each frame at once (`?delay=low`)."""


class Publisher(Protocol):
    """What an ingest keeps of a host's connection: `close` is called when the room is taken over or closed."""

    def close(self, reason: str) -> None: ...


class Feed(Protocol):
    """A host's hold on a room."""

    def push(self, media: MediaReceived, now_ms: int) -> bool:
        """Take one tag body; whether it says anything to a player."""

    def end(self, reason: str, now_ms: int) -> None:
        """Give the room back."""


class Ingest(Protocol):
    """Where hosts go."""

    async def authorize(self, request: PublishRequest) -> Origin | None:
        """Check the key and say whose it is. Raises PublishRefused."""

    def publish(self, room: str, publisher: Publisher, now_ms: int, origin: Origin | None) -> Feed:
        """Give the room to a host. Raises AlreadyPublishing, PublishRefused."""


class Line(Protocol):
    """What a seat asks of its connection."""

    def not_live(self, detail: str) -> None:
        """Say that there is nothing to play, and close."""

    def over(self) -> None:
        """Say that the broadcast is over, and close."""

    def expelled(self, detail: str) -> None:
        """Say why the player may watch no longer, and close."""


class PlaySeat(Protocol):
    """A player's place in a room: writes to the transport by itself."""

    @property
    def paused(self) -> bool:
        """Whether the transport is over its limit."""

    def sit(self, transport: asyncio.BaseTransport) -> None:
        """Begin to write."""

    def pause_writing(self) -> None: ...
    def resume_writing(self) -> None: ...

    def leave(self) -> None:
        """Write nothing any more."""


class Outlet(Protocol):
    """Where players go."""

    async def authorize(self, request: PlayRequest) -> None:
        """Check the token. Raises PlayRefused."""

    def seat(self, request: PlayRequest, line: Line) -> PlaySeat:
        """Give a player its place; `sit` is called once play was answered."""


@dataclass(frozen=True, slots=True)
class RtmpLimits:
    """Time-outs in seconds and bounds of the RTMP server."""

    handshake_s: float = 10.0
    """From accept to C2: bytes that trickle in do not extend it."""
    publish_s: float = 10.0
    """From the handshake to publish or play, and from their end to the next."""
    authorize_s: float = 5.0
    idle_s: float = 30.0
    """Without a byte of a host that publishes."""
    linger_s: float = 2.0
    """For the peer to read why it must go."""
    reconnect_s: float = 5.0
    """For a peer that was asked to connect anew: its stream goes on until it has."""
    connections_max: int = 10_000
    """Hosts and players; with the HTTP port's own bound it keeps the process under its limit of open files."""
    connections_per_address_max: int = 200
    """A shop's hosts behind one address with reconnects that overlap, and players behind a carrier's."""
    loopback_exempt: bool = True
    """Loopback addresses have no bound of their own: the demo and a proxy on this machine come from there."""
