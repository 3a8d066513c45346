"""Who may publish where rooms may be elsewhere: whoever the server lets in must get the room from the others, too."""

from __future__ import annotations

from typing import Final, Protocol

from gateway.auth import PlayPass
from gateway.doors import Admitted, Doors, Undecided, Wish
from gateway.errors import Problem
from gateway.nodes import Nodes
from stream.origin import Origin
from stream.rtmp_peers import PublishRequest

NOT_HERE: Final = Problem(404, "not_live", "this server does not have the room", retry_ms=1_000)


class Claims(Protocol):
    """Who decides where a room is."""

    async def claim(self, room: str) -> None:
        """Make a room ours, for a host that may publish it. Raises ``AlreadyPublishing``, ``PublishRefused``."""


class ClaimingDoors:
    """Doors that claim rooms for hosts."""

    def __init__(self, doors: Doors, claims: Claims) -> None:
        self.node = doors.node
        self.hosts = doors.hosts
        self._doors = doors
        self._claims = claims

    def glance(self, wish: Wish) -> Admitted | Undecided:
        """As of the server itself."""
        return self._doors.glance(wish)

    async def play(self, wish: Wish) -> Admitted:
        """As of the server itself."""
        return await self._doors.play(wish)

    def is_revoked(self, room: str, play_pass: PlayPass) -> bool:
        """As of the server itself."""
        return self._doors.is_revoked(room, play_pass)

    async def rtmp_host(self, request: PublishRequest) -> Origin:
        """Check the key, then claim the room. Raises ``PublishRefused``, ``AlreadyPublishing``."""
        origin = await self._doors.rtmp_host(request)
        await self._claims.claim(request.room)
        return origin

    def whip_origin(self, room: str, token: str, address: str) -> Origin:
        """As of the server itself."""
        return self._doors.whip_origin(room, token, address)

    async def authorize_host(self, room: str, origin: Origin) -> None:
        """Ask the server, then claim the room. Raises ``Problem``, ``AlreadyPublishing``, ``PublishRefused``."""
        await self._doors.authorize_host(room, origin)
        await self._claims.claim(room)


class NodeDoors(ClaimingDoors):
    """Those of one node among several: another one gets from here what is here, never what is pulled."""

    def __init__(self, doors: Doors, nodes: Nodes) -> None:
        super().__init__(doors, nodes)
        self._nodes = nodes

    def glance(self, wish: Wish) -> Admitted | Undecided:
        """As of the server itself, but for rings."""
        if self._nodes.knows(wish.via) and self._nodes.is_elsewhere(wish.room):
            return NOT_HERE
        return super().glance(wish)

    async def play(self, wish: Wish) -> Admitted:
        """As of the server itself, but for rings."""
        if self._nodes.knows(wish.via) and self._nodes.is_elsewhere(wish.room):
            return NOT_HERE
        return await super().play(wish)
