"""``/whep/ROOM`` and ``/whip/ROOM``: WebRTC sessions over HTTP, after RFC 9725 (WHIP) and its sister draft (WHEP).

POST an SDP offer, get the answer with 201, Location, ETag. The session's address is a secret of 18 random bytes and is
the right to PATCH (trickle ICE, ICE restart) and DELETE it, as players leave without keeping their token.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any, Final, Protocol

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from gateway.access import Access, wish_of
from gateway.api import read_body
from gateway.auth import TokenError
from gateway.client import CORS_HEADERS, CORS_PREFLIGHT_HEADERS
from gateway.config import Settings
from gateway.errors import Problem, problem_of, problem_response
from stream.directory import DirectoryFull
from stream.errors import OfferRefused
from stream.webrtc_sdp import ice_fragment
from stream.webrtc_transport import Session, WebRtcTransport

SDP_TYPE: Final = "application/sdp"
FRAGMENT_TYPE: Final = "application/trickle-ice-sdpfrag"
WILDCARD_HOSTS: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 — compared, not bound

Handler = Callable[[Request], Awaitable[Response]]
Work = Callable[[Request, str], Awaitable[Response]]


class Accepted(Protocol):
    """What a way in or out answers an offer with."""

    @property
    def id(self) -> str: ...
    @property
    def etag(self) -> str: ...
    @property
    def sdp(self) -> str: ...


class Holder(Protocol):
    """Whoever has a session."""

    session: Session | None


class Way(Protocol):
    """WHEP's output or WHIP's ingest."""

    def join(self, room: str, offer: str, *, client: str, reached: str | None = None) -> Accepted: ...
    def find(self, room: str, number: str) -> Any: ...
    def leave(self, room: str, number: str) -> bool: ...


class Fleet(Protocol):
    """The workers, for one of them: sessions belong to a process, requests come to any."""

    number: int

    async def forward(self, worker: int, request: Request) -> Response:
        """Have another worker answer. Raises ``Problem``."""


class WebRtcRoutes:
    """The routes of both, over one transport. A worker's sessions carry its number: ``/whep/ROOM/NUMBER.SESSION``."""

    def __init__(
        self,
        settings: Settings,
        access: Access,
        transport: WebRtcTransport,
        ways: dict[str, Way],
        *,
        address: Callable[[Request], str],
        playing: Callable[[str], AbstractAsyncContextManager[None]],
        fleet: Fleet | None = None,
    ) -> None:
        self._fleet = fleet
        self._settings = settings
        self._access = access
        self._playing = playing
        self._transport = transport
        self._ways = ways
        self._address = address

    def routes(self) -> list[BaseRoute]:
        """``/whep/{room}``, ``/whip/{room}`` and their sessions."""
        out: list[BaseRoute] = []
        for name in self._ways:
            out += [
                Route(f"/{name}/{{room}}", self._handle(name, self._open), methods=["POST"]),
                Route(f"/{name}/{{room}}", self._handle(name, self._options), methods=["OPTIONS"]),
                Route(f"/{name}/{{room}}/{{session}}", self._handle(name, self._options), methods=["OPTIONS"]),
            ]
        return [*out, *self._session_routes(self._passed_on)]

    def own_sessions(self) -> list[BaseRoute]:
        """The routes of this worker's sessions, for what other workers pass on."""
        return self._session_routes(lambda work: work)

    def _session_routes(self, wrap: Callable[[Work], Work]) -> list[BaseRoute]:
        out: list[BaseRoute] = []
        for name in self._ways:
            out += [
                Route(f"/{name}/{{room}}/{{session}}", self._handle(name, wrap(self._patch)), methods=["PATCH"]),
                Route(f"/{name}/{{room}}/{{session}}", self._handle(name, wrap(self._delete)), methods=["DELETE"]),
            ]
        return out

    def _passed_on(self, work: Work) -> Work:
        """Do ``work`` here for our own sessions; have others do it for theirs."""

        async def here_or_there(request: Request, name: str) -> Response:
            worker, dot, _ = request.path_params["session"].partition(".")
            fleet = self._fleet
            if fleet is None or not dot or not worker.isdecimal() or int(worker) == fleet.number:
                return await work(request, name)
            return await fleet.forward(int(worker), request)

        return here_or_there

    def _handle(self, name: str, work: Work) -> Handler:
        async def handle(request: Request) -> Response:
            try:
                return await work(request, name)
            except ClientDisconnect:
                return Response(status_code=400)
            except OfferRefused as refused:
                return problem_response(
                    Problem(refused.status, refused.code, refused.detail, retry_ms=refused.retry_ms)
                )
            except DirectoryFull as full:
                return problem_response(Problem(503, "busy", str(full), retry_ms=3_000))
            except (Problem, TokenError) as error:
                return problem_response(problem_of(error))

        return handle

    # — the endpoint —

    async def _open(self, request: Request, name: str) -> Response:
        room = request.path_params["room"]
        await self._authorize(request, name)
        _check_type(request, SDP_TYPE)
        offer = await _text(request)
        reached = None
        server = request.scope.get("server")
        if self._settings.udp_host is None and self._settings.host in WILDCARD_HOSTS and server:
            # The address by which the client got here is one by which its media gets here.
            reached = str(server[0])
        async with self._playing(room) if name == "whep" else nullcontext():
            accepted = self._ways[name].join(room, offer, client=self._address(request), reached=reached)
        headers = _headers()
        worker = "" if self._fleet is None else f"{self._fleet.number}."
        headers["location"] = f"/{name}/{room}/{worker}{accepted.id}"
        headers["etag"] = f'"{accepted.etag}"'
        headers["accept-patch"] = FRAGMENT_TYPE
        return Response(accepted.sdp, 201, headers, SDP_TYPE)

    async def _authorize(self, request: Request, name: str) -> None:
        """Check the bearer. Raises ``Problem`` and ``TokenError``."""
        wish = wish_of(request.path_params["room"], request.scope)
        if name == "whip":
            await self._access.broadcast(wish.room, wish.token)
            return
        refused = await self._access.play(wish)
        if refused is not None and refused.code == "no_stream":
            raise Problem(404, "no_room", "there is no such room")
        if refused is not None:
            raise refused

    async def _options(self, request: Request, name: str) -> Response:
        headers = {key.decode(): value.decode() for key, value in CORS_PREFLIGHT_HEADERS}
        headers["accept-post"] = SDP_TYPE
        headers["accept-patch"] = FRAGMENT_TYPE
        headers["allow"] = "PATCH, DELETE, OPTIONS" if "session" in request.path_params else "POST, OPTIONS"
        return Response(status_code=204, headers=headers)

    # — the session —

    def _session(self, request: Request, name: str) -> Session:
        found = self._ways[name].find(request.path_params["room"], _number(request))
        session: Session | None = found.session if found is not None else None
        if session is None:
            raise Problem(404, "no_session", "this session is over, or never was")
        return session

    async def _patch(self, request: Request, name: str) -> Response:
        """Trickle ICE (204) or ICE restart (200), RFC 9725 sections 4.3.2 and 4.3.3."""
        session = self._session(request, name)
        _check_type(request, FRAGMENT_TYPE)
        match = request.headers.get("if-match")
        if match is None:
            raise Problem(428, "no_if_match", "send If-Match with the session's ETag, or * to restart ICE")
        ufrag = ice_fragment(await _text(request))
        restart = ufrag is not None and ufrag != session.remote_ufrag
        if not restart:
            if match not in ("*", f'"{session.ufrag}"'):
                raise Problem(412, "stale", "ICE was restarted since: this ETag is of an older session")
            # The client's candidates are not needed: it checks ours, and we answer where its checks come from.
            return Response(status_code=204, headers=_headers())
        if match != "*":
            raise Problem(412, "stale", "an ICE restart needs If-Match: *")
        assert ufrag is not None
        self._transport.restart_ice(session, ufrag)
        local = self._transport.local_end(session)
        lines = [f"a=ice-ufrag:{local.ufrag}", f"a=ice-pwd:{local.password}", "a=ice-lite"]
        headers = {**_headers(), "etag": f'"{session.ufrag}"'}
        return Response("\r\n".join(lines) + "\r\n", 200, headers, FRAGMENT_TYPE)

    async def _delete(self, request: Request, name: str) -> Response:
        if not self._ways[name].leave(request.path_params["room"], _number(request)):
            raise Problem(404, "no_session", "this session is over, or never was")
        return Response(status_code=200, headers=_headers())


def _number(request: Request) -> str:
    """A session's own part of its address, behind the worker's."""
    session: str = request.path_params["session"]
    return session.rpartition(".")[2]


def _headers() -> dict[str, str]:
    return {**{key.decode(): value.decode() for key, value in CORS_HEADERS}, "cache-control": "no-store"}


def _check_type(request: Request, wanted: str) -> None:
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given != wanted:
        raise Problem(415, "media_type", f"the body has to be {wanted}")


async def _text(request: Request) -> str:
    try:
        return (await read_body(request)).decode("utf-8")
    except UnicodeDecodeError as error:
        raise Problem(400, "bad_sdp", "SDP is UTF-8 text") from error
