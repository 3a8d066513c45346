"""``/whep/ROOM`` and ``/whip/ROOM``: WebRTC sessions over HTTP, after RFC 9725 (WHIP) and its sister draft (WHEP).

POST an SDP offer, get the answer with 201, Location, ETag. The session's address is a secret of 18 random bytes and is
the right to PATCH (trickle ICE, ICE restart) and DELETE it, as players leave without keeping their token.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, Protocol

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from gateway.api import read_body
from gateway.auth import PlayPass, TokenError
from gateway.client import CORS_HEADERS, CORS_PREFLIGHT_HEADERS, bearer_token
from gateway.config import Settings
from gateway.doors import Doors, Wish, wish_of
from gateway.errors import Problem, problem_of, problem_response
from gateway.routing import route_of
from gateway.visits import Watcher
from stream.directory import DirectoryFull
from stream.errors import AlreadyPublishing, OfferRefused, PublishRefused
from stream.ingest_whip import WhipIngest
from stream.output_whep import WhepOutput
from stream.webrtc_sdp import ice_fragment
from stream.webrtc_session import Accepted, Session, worker_of
from stream.webrtc_transport import WebRtcTransport

SDP_TYPE: Final = "application/sdp"
FRAGMENT_TYPE: Final = "application/trickle-ice-sdpfrag"
WILDCARD_HOSTS: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 — compared, not bound

TAKEOVER_TRIES: Final = 3
TAKEOVER_PAUSE_S: Final = 0.25
"""Between tries to become a room's host: a bit more than the silence after which the one before gives way, in all."""

Handler = Callable[[Request], Awaitable[Response]]
Work = Callable[[Request, str], Awaitable[Response]]


class Way(Protocol):
    """WHEP's output or WHIP's ingest, as far as sessions go."""

    def find(self, room: str, number: str) -> Any: ...
    def leave(self, room: str, number: str) -> bool: ...


class Fleet(Protocol):
    """The workers, for one of them: sessions belong to a process, requests come to any."""

    number: int

    async def forward(self, worker: int, request: Request) -> Response:
        """Have another worker answer. Raises ``Problem``."""


Enter = Callable[[str, str, str, PlayPass | None, Watcher], Callable[[], None]]
"""Enters a viewer (room, protocol, address, pass, watcher); gives what is to be called when it is gone."""


class WebRtcRoutes:
    """The routes of both, over one transport. A worker's sessions carry its number: ``/whep/ROOM/NUMBER.SESSION``."""

    def __init__(
        self,
        settings: Settings,
        transport: WebRtcTransport,
        *,
        whip: WhipIngest,
        whep: WhepOutput,
        doors: Doors,
        enter: Enter,
        address: Callable[[Request], str],
        prepare: Callable[[str, str], Awaitable[None]],
        playing: Callable[[str], AbstractAsyncContextManager[None]],
        fleet: Fleet | None = None,
    ) -> None:
        self._prepare = prepare
        self._playing = playing
        self._fleet = fleet
        self._settings = settings
        self._enter = enter
        self._transport = transport
        self._whip = whip
        self._whep = whep
        self._ways: dict[str, Way] = {"whep": whep, "whip": whip} if doors.hosts else {"whep": whep}
        self._doors = doors
        self._address = address

    def routes(self) -> list[BaseRoute]:
        """``/whep/{room}``, ``/whip/{room}`` and their sessions."""
        out: list[BaseRoute] = []
        for name in self._ways:
            here = {"POST": self._handle(name, self._open), "OPTIONS": self._handle(name, self._options)}
            out.append(route_of(f"/{name}/{{room}}", here))
        return [*out, *self._session_routes(self._passed_on)]

    def own_sessions(self) -> list[BaseRoute]:
        """The routes of this worker's sessions, for what other workers pass on."""
        return self._session_routes(lambda work: work)

    def _session_routes(self, wrap: Callable[[Work], Work]) -> list[BaseRoute]:
        out: list[BaseRoute] = []
        for name in self._ways:
            works = {"PATCH": wrap(self._patch), "DELETE": wrap(self._delete), "OPTIONS": self._options}
            methods = {method: self._handle(name, work) for method, work in works.items()}
            out.append(route_of(f"/{name}/{{room}}/{{session}}", methods))
        return out

    def _passed_on(self, work: Work) -> Work:
        """Do ``work`` here for our own sessions; have others do it for theirs."""

        async def here_or_there(request: Request, name: str) -> Response:
            worker, fleet = worker_of(request.path_params["session"]), self._fleet
            if fleet is None or worker is None or worker == fleet.number:
                return await work(request, name)
            return await fleet.forward(worker, request)

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
            except AlreadyPublishing:
                text = "this room is live already: stop the other encoder first"
                return problem_response(Problem(409, "live", text, retry_ms=1_000))
            except PublishRefused as refused:
                return problem_response(Problem(503, "refused", refused.description, retry_ms=5_000))
            except (Problem, TokenError) as error:
                return problem_response(problem_of(error))

        return handle

    # — the endpoint —

    async def _open(self, request: Request, name: str) -> Response:
        asked, client = request.path_params["room"], self._address(request)
        token = bearer_token(request.scope["headers"], request.scope["query_string"])
        accepted = await (self._host if name == "whip" else self._watch)(request, asked, token, client)
        headers = _headers()
        headers["location"] = f"/{name}/{asked}/{accepted.id}"
        headers["etag"] = f'"{accepted.etag}"'
        headers["accept-patch"] = FRAGMENT_TYPE
        return Response(accepted.sdp, 201, headers, SDP_TYPE)

    async def _host(self, request: Request, asked: str, token: str, client: str) -> Accepted:
        """Raises ``Problem``, ``TokenError``, ``OfferRefused``."""
        self._doors.whip_origin(asked, token, client)
        offer = await _offer(request)
        # Once more: the body took its time, in which the key may have been revoked.
        origin = self._doors.whip_origin(asked, token, client)
        await self._doors.authorize_host(asked, origin)
        reached = self._reached(request)
        for _ in range(TAKEOVER_TRIES):
            try:
                return self._whip.join(asked, offer, client=client, reached=reached, origin=origin)
            except OfferRefused as refused:
                # It waits a moment for the host that is there to be silent: it may be itself, of before.
                if refused.code != "live":
                    raise
            await asyncio.sleep(TAKEOVER_PAUSE_S)
            origin = self._doors.whip_origin(asked, token, client)
        return self._whip.join(asked, offer, client=client, reached=reached, origin=origin)

    async def _watch(self, request: Request, asked: str, token: str, client: str) -> Accepted:
        """Raises ``Problem``, ``TokenError``, ``OfferRefused``."""
        wish = wish_of(asked, request.scope)
        await self._play_pass(wish)
        offer = await _offer(request)
        async with self._playing(asked):
            await self._prepare(asked, offer)
            # Once more: offer and stream took their time, in which the token may have been revoked.
            found = await self._play_pass(wish)
            accepted = self._whep.join(asked, offer, client=client, reached=self._reached(request))
        viewer = self._whep.find(asked, accepted.id)
        if viewer is not None:
            viewer.on_lost = self._enter(asked, "whep", client, found, viewer)
        return accepted

    async def _play_pass(self, wish: Wish) -> PlayPass | None:
        """Who watches; None: anybody may. Raises ``Problem``."""
        admitted = await self._doors.play(wish)
        if isinstance(admitted, Problem):
            raise Problem(404, "no_room", "there is no such room") if admitted.code == "no_stream" else admitted
        return admitted

    def _reached(self, request: Request) -> str | None:
        """The address by which the client got here, where its media gets here as well."""
        server = request.scope.get("server")
        if self._settings.udp_host is None and self._settings.host in WILDCARD_HOSTS and server:
            return str(server[0])
        return None

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


async def _offer(request: Request) -> str:
    """Raises ``Problem``."""
    _check_type(request, SDP_TYPE)
    return await _text(request)


def _check_type(request: Request, wanted: str) -> None:
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given != wanted:
        raise Problem(415, "media_type", f"the body has to be {wanted}")


async def _text(request: Request) -> str:
    try:
        return (await read_body(request)).decode("utf-8")
    except UnicodeDecodeError as error:
        raise Problem(400, "bad_sdp", "SDP is UTF-8 text") from error
