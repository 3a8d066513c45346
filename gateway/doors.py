"""What every way in and out asks before it does anything: who may play a room, who may publish into it.

`ShopDoors` asks `gateway/access.py`, which knows rooms, keys and tokens; an edge (`gateway/edge.py`) asks its origin
instead, which takes a moment: hence `glance`, for what is known already, and `play`, for what is not. Among several
workers `gateway/workers/doors.py` stands in front.
"""

from __future__ import annotations

import enum
import secrets
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from gateway.access import TOKEN_PREFIX, Access, KeyRefused
from gateway.auth import PlayPass, TokenError, Tokens
from gateway.client import bearer_token
from gateway.config import Settings
from gateway.errors import Problem, problem_of
from gateway.publish_hook import PublishHook
from gateway.rooms import Room, Rooms
from stream.directory import Directory
from stream.errors import PublishRefused
from stream.origin import Origin
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


Admitted = PlayPass | Problem | None
"""Who wants to watch; why not; or None: anybody may."""


class Doors(Protocol):
    """What the ways in and out ask."""

    node: str
    """This process, as `node_id` named it."""
    hosts: bool
    """Whether anybody may publish here at all."""

    def glance(self, wish: Wish) -> Admitted | Undecided:
        """Who wants to watch, or why not, as far as is known without asking anybody."""

    async def play(self, wish: Wish) -> Admitted:
        """Who wants to watch, or why not."""

    def is_revoked(self, room: str, play_pass: PlayPass) -> bool:
        """Whether a token that was good once is so no more."""

    async def rtmp_host(self, request: PublishRequest) -> Origin:
        """Check an RTMP host's key. Raises ``PublishRefused``, ``AlreadyPublishing``."""

    def whip_origin(self, room: str, token: str, address: str) -> Origin:
        """Whose broadcast it is that shows a stream key or a host's token. Raises ``Problem`` and ``TokenError``."""

    async def authorize_host(self, room: str, origin: Origin) -> None:
        """Whether a host whose key is good may begin now. Raises ``Problem``, ``AlreadyPublishing``."""


class ShopDoors:
    """Decides by rooms, keys, tokens and hooks of this server."""

    hosts = True

    def __init__(
        self,
        settings: Settings,
        *,
        rooms: Rooms,
        tokens: Tokens,
        access: Access,
        publish_hook: PublishHook,
        directory: Directory,
        node: str,
        may_host: Callable[[str, str], Awaitable[bool]],
    ) -> None:
        self.node = node
        self.hosts_refused = 0
        """Hosts with a good key that were refused, for metrics."""
        self._settings = settings
        self._rooms = rooms
        self._tokens = tokens
        self._access = access
        self._publish_hook = publish_hook
        self._directory = directory
        self._may_host = may_host

    # — playing —

    def glance(self, wish: Wish) -> Admitted:
        """All is known here."""
        room = self._rooms.find(wish.room)
        if room is None:
            return Problem(404, "no_stream", NO_STREAM)
        try:
            return self._access.play_pass(room, wish.token) if self._settings.play_auth else None
        except (Problem, TokenError) as error:
            return problem_of(error)

    async def play(self, wish: Wish) -> Admitted:
        """As ``glance``."""
        return self.glance(wish)

    def is_revoked(self, room: str, play_pass: PlayPass) -> bool:
        """As ``Access`` says."""
        return self._access.is_revoked(room, play_pass)

    def refuse(self, room: str, scope: Any) -> Problem | None:
        """Why the bearer of a request's token may not watch ``room``; None when they may."""
        admitted = self.glance(wish_of(room, scope))
        return admitted if isinstance(admitted, Problem) else None

    # — publishing —

    async def authorize_host(self, room: str, origin: Origin) -> None:
        """Whether a host whose key is good may begin now. Raises ``KeyRefused`` and ``Problem``.

        Nothing waits between its return and the start of the broadcast.
        """
        found = self._rooms.get(room)
        self._check_count(found)
        generation = self._access.generation(room)
        if not await self._may_host(found.merchant, room):
            self.hosts_refused += 1
            words = "this shop wants on record who hosts the room: the merchant writes it down first"
            raise Problem(403, "host_identity", words)
        await self._publish_hook.ask(found.merchant, room, origin)
        # The answers took their time, in which the key may have been revoked and others gone live.
        self._access.still_good(room, origin, generation)
        self._check_count(found)

    def _check_count(self, room: Room) -> None:
        most = self._settings.streams_per_merchant
        others = [name for name in self._directory.origins() if name != room.id]
        if sum(self._merchant_of(name) == room.merchant for name in others) >= most:
            self.hosts_refused += 1
            raise Problem(
                429,
                "too_many_streams",
                f"this merchant is live in {most} rooms, which is as many as may be: end another broadcast first",
                retry_ms=10_000,
            )

    def _merchant_of(self, room: str) -> str | None:
        found = self._rooms.find(room)
        return None if found is None else found.merchant

    async def rtmp_host(self, request: PublishRequest) -> Origin:
        """Check a host's stream key. Raises ``PublishRefused``."""
        try:
            origin = self.rtmp_origin(request)
            await self.authorize_host(request.room, origin)
        except Problem as problem:
            raise publish_refused(problem) from problem
        return origin

    def rtmp_origin(self, request: PublishRequest) -> Origin:
        """Whose broadcast it is. Raises ``KeyRefused``."""
        if request.proof is not None:
            # rtmp://ROOM:KEY@…: the host has shown that it knows a key of the room that it gave as its user.
            return self._access.proof_origin(request.room, request.proof, request.address)
        return self._access.key_origin(request.room, request.key or "", request.address, "rtmp")

    def whip_origin(self, room: str, token: str, address: str) -> Origin:
        """Whose broadcast it is that shows a stream key or a host's token. Raises ``Problem`` and ``TokenError``."""
        try:
            return self._access.key_origin(room, token, address, "whip")
        except KeyRefused as refused:
            if refused.code != "key":
                raise
        claims = self._tokens.read(token)
        found = self._rooms.get(room)
        if not claims.may_run(found.id, found.merchant):
            raise Problem(403, "forbidden", "only the room's host may broadcast: send its stream key or token")
        return Origin("whip", TOKEN_PREFIX + claims.person, claims.name, address)


def publish_refused(problem: Problem) -> PublishRefused:
    """A refusal in RTMP's words."""
    code = "NetStream.Publish.BadName" if isinstance(problem, KeyRefused) else "NetStream.Publish.Denied"
    return PublishRefused(code, problem.detail)
