"""Who may play a room and who may publish into it: what every way in and out asks before it does anything.

`LocalAccess` knows rooms, tokens and keys; an edge (`gateway/edge.py`) asks its origin instead, which takes a moment:
hence `glance`, for what is known already, and `play`, for what is not.
"""

from __future__ import annotations

import enum
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from gateway.auth import TokenError, Tokens
from gateway.client import bearer_token
from gateway.errors import Problem, problem_of
from gateway.rooms import Room, Rooms
from gateway.secrets import Secrets
from stream.errors import PublishRefused
from stream.rtmp_peers import PublishRequest

NO_STREAM: Final = "there is no such stream; playback is /live/ROOM.flv, /live/ROOM.mp4 or /live/ROOM/index.m3u8"
VIA_HEADER: Final = "siyu-via"
"""The edges that a request has come through, each by its node's id: whoever finds its own there is in a ring."""
HOPS_MAX: Final = 8
"""Edges behind one another; beyond that somebody has built a ring of servers that do not know one another."""


def node_id() -> str:
    """A name for one process, other than any before."""
    return secrets.token_hex(8)


@dataclass(frozen=True, slots=True)
class Wish:
    """Somebody wants to play a room."""

    room: str
    token: str = field(repr=False)
    via: tuple[str, ...] = ()


def wish_of(room: str, scope: Any) -> Wish:
    """Read a wish from an ASGI scope."""
    return Wish(room, bearer_token(scope["headers"], scope["query_string"]), _via(scope["headers"]))


def _via(headers: Iterable[tuple[bytes, bytes]]) -> tuple[str, ...]:
    wanted = VIA_HEADER.encode()
    text = ",".join(value.decode("latin-1") for name, value in headers if name == wanted)
    return tuple(part.strip() for part in text.split(",") if part.strip())


class Undecided(enum.Enum):
    """What `glance` gives when somebody has to be asked."""

    YET = enum.auto()


class Access(Protocol):
    """What the ways in and out ask."""

    node: str
    """This process, as `node_id` named it."""
    hosts: bool
    """Whether anybody may publish here at all."""

    def glance(self, wish: Wish) -> Problem | Undecided | None:
        """Why the wish is refused, None when it is granted, as far as is known without asking anybody."""

    async def play(self, wish: Wish) -> Problem | None:
        """Why the wish is refused; None when it is granted."""

    async def publish(self, request: PublishRequest) -> None:
        """Check an RTMP host's key. Raises ``PublishRefused``."""

    async def broadcast(self, room: str, token: str) -> None:
        """Check a WHIP host's key or token. Raises ``Problem``, ``TokenError``."""


class LocalAccess:
    """Decides by rooms, tokens and stream keys of this server."""

    hosts = True

    def __init__(self, *, rooms: Rooms, tokens: Tokens, secrets: Secrets, play_auth: bool, node: str) -> None:
        self.node = node
        self._rooms = rooms
        self._tokens = tokens
        self._secrets = secrets
        self._play_auth = play_auth

    def glance(self, wish: Wish) -> Problem | None:
        """All is known here."""
        room = self._rooms.find(wish.room)
        if room is None:
            return Problem(404, "no_stream", NO_STREAM)
        return self._refuse_player(room, wish.token)

    async def play(self, wish: Wish) -> Problem | None:
        """As ``glance``."""
        return self.glance(wish)

    def refuse(self, room: str, scope: Any) -> Problem | None:
        """Why the bearer of a request's token may not watch ``room``; None when they may."""
        return self.glance(wish_of(room, scope))

    def _refuse_player(self, room: Room, token: str) -> Problem | None:
        if self._play_auth:
            try:
                claims = self._tokens.read(token)
            except TokenError as error:
                return problem_of(error)
            if not claims.may_enter(room.id, room.merchant):
                return Problem(403, "forbidden", "this token is for another room")
        return None

    async def publish(self, request: PublishRequest) -> None:
        """Check a host's stream key. Raises ``PublishRefused``."""
        known = self._rooms.find(request.room) is not None
        # The comparison runs for an unknown room too: an answer's time must not tell which rooms there are.
        good = self._secrets.stream_key_matches(request.room, request.key or "")
        proof = request.proof
        if proof is not None:
            # rtmp://ROOM:KEY@…: the host has shown that it knows the key of the room that it gave as its user.
            good = proof.matches(self._secrets.stream_key(request.room)) and proof.user == request.room
        if not (known and good):
            raise PublishRefused(
                "NetStream.Publish.BadName", "room or stream key is wrong: copy both from the host console"
            )

    async def broadcast(self, room: str, token: str) -> None:
        """Take the stream key, or a token of who may run the room. Raises ``Problem``, ``TokenError``."""
        found = self._rooms.find(room)
        # The comparison runs for an unknown room too: an answer's time must not tell which rooms there are.
        if self._secrets.stream_key_matches(room, token) and found is not None:
            return
        claims = self._tokens.read(token)
        if found is None:
            raise Problem(404, "no_room", "there is no such room")
        if not claims.may_run(found.id, found.merchant):
            raise Problem(403, "forbidden", "only the room's host may broadcast: send its stream key or token")
