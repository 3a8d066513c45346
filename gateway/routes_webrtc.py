"""``/whep/ROOM`` and ``/whip/ROOM``: WebRTC sessions over HTTP, after RFC 9725 (WHIP) and its sister draft (WHEP).

POST an SDP offer, get the answer with 201, Location, ETag. The session's address is a secret of 18 random bytes and is
the right to PATCH (trickle ICE, ICE restart) and DELETE it, as players leave without keeping their token.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from gateway.api import read_body
from gateway.auth import TokenError
from gateway.client import CORS_HEADERS, CORS_PREFLIGHT_HEADERS, bearer_token
from gateway.errors import Problem, problem_of, problem_response
from gateway.rooms import Room
from gateway.services import Services
from stream.errors import OfferRefused
from stream.webrtc_sdp import ice_fragment
from stream.webrtc_transport import Session, WebRtcTransport

SDP_TYPE: Final = "application/sdp"
FRAGMENT_TYPE: Final = "application/trickle-ice-sdpfrag"
WILDCARD_HOSTS: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 — compared, not bound

TAKEOVER_TRIES: Final = 3
TAKEOVER_PAUSE_S: Final = 0.25
"""Between tries to become a room's host: a bit more than the silence after which the one before gives way, in all."""

Handler = Callable[[Request], Awaitable[Response]]


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


class WebRtcRoutes:
    """The routes of both, over one transport."""

    def __init__(
        self,
        services: Services,
        transport: WebRtcTransport,
        ways: dict[str, Way],
        *,
        address: Callable[[Request], str],
        prepare: Callable[[str], Awaitable[None]],
    ) -> None:
        self._prepare = prepare
        self._services = services
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
                Route(f"/{name}/{{room}}/{{session}}", self._handle(name, self._patch), methods=["PATCH"]),
                Route(f"/{name}/{{room}}/{{session}}", self._handle(name, self._delete), methods=["DELETE"]),
                Route(f"/{name}/{{room}}/{{session}}", self._handle(name, self._options), methods=["OPTIONS"]),
            ]
        return out

    def _handle(self, name: str, work: Callable[[Request, str], Awaitable[Response]]) -> Handler:
        async def handle(request: Request) -> Response:
            try:
                return await work(request, name)
            except ClientDisconnect:
                return Response(status_code=400)
            except OfferRefused as refused:
                return problem_response(
                    Problem(refused.status, refused.code, refused.detail, retry_ms=refused.retry_ms)
                )
            except (Problem, TokenError) as error:
                return problem_response(problem_of(error))

        return handle

    # — the endpoint —

    async def _open(self, request: Request, name: str) -> Response:
        room = self._services.rooms.find(request.path_params["room"])
        self._authorize(request, name, request.path_params["room"], room)
        assert room is not None
        _check_type(request, SDP_TYPE)
        offer = await _text(request)
        reached = None
        server = request.scope.get("server")
        if self._services.settings.udp_host is None and self._services.settings.host in WILDCARD_HOSTS and server:
            # The address by which the client got here is one by which its media gets here.
            reached = str(server[0])
        if name == "whep":
            await self._prepare(room.id)
        accepted = await self._join(name, room.id, offer, client=self._address(request), reached=reached)
        headers = _headers()
        headers["location"] = f"/{name}/{room.id}/{accepted.id}"
        headers["etag"] = f'"{accepted.etag}"'
        headers["accept-patch"] = FRAGMENT_TYPE
        return Response(accepted.sdp, 201, headers, SDP_TYPE)

    async def _join(self, name: str, room: str, offer: str, *, client: str, reached: str | None) -> Accepted:
        """Join; a host waits a moment for the one that is there to be silent: it may be itself, of before."""
        for _ in range(TAKEOVER_TRIES):
            try:
                return self._ways[name].join(room, offer, client=client, reached=reached)
            except OfferRefused as refused:
                if refused.code != "live":
                    raise
            await asyncio.sleep(TAKEOVER_PAUSE_S)
        return self._ways[name].join(room, offer, client=client, reached=reached)

    def _authorize(self, request: Request, name: str, asked: str, room: Room | None) -> None:
        """Check the bearer. Raises ``Problem`` and ``TokenError``."""
        services = self._services
        token = bearer_token(request.scope["headers"], request.scope["query_string"])
        if name == "whep":
            if room is None:
                raise Problem(404, "no_room", "there is no such room")
            if services.settings.play_auth and not services.tokens.read(token).may_enter(room.id, room.merchant):
                raise Problem(403, "forbidden", "this token is for another room")
            return
        # The comparison runs for an unknown room too: an answer's time must not tell which rooms there are.
        if services.secrets.stream_key_matches(asked, token) and room is not None:
            return
        claims = services.tokens.read(token)
        if room is None:
            raise Problem(404, "no_room", "there is no such room")
        if not claims.may_run(room.id, room.merchant):
            raise Problem(403, "forbidden", "only the room's host may broadcast: send its stream key or token")

    async def _options(self, request: Request, name: str) -> Response:
        headers = {key.decode(): value.decode() for key, value in CORS_PREFLIGHT_HEADERS}
        headers["accept-post"] = SDP_TYPE
        headers["accept-patch"] = FRAGMENT_TYPE
        headers["allow"] = "PATCH, DELETE, OPTIONS" if "session" in request.path_params else "POST, OPTIONS"
        return Response(status_code=204, headers=headers)

    # — the session —

    def _session(self, request: Request, name: str) -> Session:
        found = self._ways[name].find(request.path_params["room"], request.path_params["session"])
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
        if not self._ways[name].leave(request.path_params["room"], request.path_params["session"]):
            raise Problem(404, "no_session", "this session is over, or never was")
        return Response(status_code=200, headers=_headers())


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
