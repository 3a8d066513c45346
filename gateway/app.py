"""Wiring: every part is made here, by constructor, and handed to those that need it. Nothing else is global."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import ssl
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from chat.broker_memory import MemoryBroker
from chat.errors import TokenRefused
from chat.hub import Hub
from chat.member import Member
from commerce.attribution.service import Attribution
from commerce.attribution.touches_sql import open_touch_log
from commerce.catalogue import Catalogue
from commerce.identity.people import People
from commerce.payment_none import NoProvider
from commerce.payment_sandbox import SandboxProvider
from commerce.shop import Shop
from commerce.store_sql import Store, open_store
from gateway.addresses import Addresses
from gateway.api import Api, openapi
from gateway.auth import Claims, TokenError, Tokens
from gateway.bridge import Bridge
from gateway.client import CORS_HEADERS, Clients, bearer_token, wants_websocket
from gateway.commands import hub_commands
from gateway.config import Settings, tls_context
from gateway.desk import Desk
from gateway.encode import encode_json
from gateway.errors import Problem, problem_of, problem_response
from gateway.gate import FILES_RESERVE, Gate, Taken
from gateway.media import open_media
from gateway.metrics import render_metrics
from gateway.pages import Preflight, page_routes
from gateway.rooms import Room, Rooms
from gateway.routes_auth import auth_operations
from gateway.routes_orders import order_operations
from gateway.routes_people import people_operations
from gateway.routes_rooms import room_operations
from gateway.routes_shows import show_operations
from gateway.routes_webrtc import WebRtcRoutes
from gateway.secrets import Secrets, open_secrets
from gateway.services import Services
from stream.directory import Directory
from stream.errors import PlayRefused, PublishRefused
from stream.ingest_rtmp import RtmpIngest
from stream.ingest_whip import WhipIngest
from stream.output_flv import FlvOutput
from stream.output_hls import HlsOutput
from stream.output_mp4 import Mp4Output
from stream.output_rtmp import RtmpOutput
from stream.output_whep import WhepOutput
from stream.output_wsflv import WsFlvOutput
from stream.rtmp_peers import PlayRequest, PublishRequest, RtmpLimits
from stream.rtmp_server import RtmpServer
from stream.webrtc_transport import TransportLimits, WebRtcTransport

logger = logging.getLogger("siyu.app")

VERSION = "0.1.0"
RTMPS_PORT = 1936
NO_STREAM = "there is no such stream; playback is /live/ROOM.flv, /live/ROOM.mp4 or /live/ROOM/index.m3u8"
MEDIA_FORMATS = (".flv", ".mp4")
# Of the open files that are not in reserve, RTMP's hosts and players may hold one in so many.
RTMP_SHARE = 4
# RFC 9110 section 15.5.22: a 426 names the protocol.
UPGRADE_HEADERS = {"upgrade": "websocket", "connection": "upgrade"}


def system_clock() -> int:
    """Unix time in milliseconds."""
    return time.time_ns() // 1_000_000


class Application:
    """One server's parts and their common life."""

    def __init__(
        self,
        services: Services,
        *,
        bridge: Bridge,
        addresses: Addresses,
        clients: Clients,
        files: int,
        shutters: list[Callable[[], Any]],
    ) -> None:
        self.services = services
        self.bridge = bridge
        self.addresses = addresses
        self.ready = False
        self._shutters = shutters
        settings = services.settings
        self.outputs = {
            ".flv": FlvOutput(services.directory, clock=services.clock),
            ".mp4": Mp4Output(services.directory, clock=services.clock),
        }
        self.hls = HlsOutput(services.directory, clock=services.clock)
        self.webrtc = WebRtcTransport(
            clock=services.clock,
            limits=TransportLimits(
                sessions_per_address_max=settings.connections_per_address, loopback_exempt=settings.loopback_exempt
            ),
        )
        self.whep = WhepOutput(services.directory, self.webrtc, clock=services.clock)
        self.whip = WhipIngest(services.directory, self.webrtc, clock=services.clock)
        # A slow handshake is to RTMP what a slow head is to HTTP, and one setting says how long is too long.
        self.websocket_flv = WsFlvOutput(services.directory, clock=services.clock)
        rtmp_connections = max(32, (files - FILES_RESERVE) // RTMP_SHARE)
        rtmp_limits = RtmpLimits(
            handshake_s=settings.header_timeout_s,
            connections_max=rtmp_connections,
            connections_per_address_max=settings.connections_per_address,
            loopback_exempt=settings.loopback_exempt,
        )
        self.rtmp_output = RtmpOutput(services.directory, self._authorize_play, clock=services.clock)
        self.rtmp = RtmpServer(
            RtmpIngest(services.directory, self._authorize_publish),
            self.rtmp_output,
            clock=services.clock,
            limits=rtmp_limits,
            challenge_hosts=settings.rtmp_challenge,
        )
        self.gate = Gate(
            clients,
            connections_max=max(64, files - FILES_RESERVE - rtmp_connections),
            per_address_max=settings.connections_per_address,
            header_timeout_s=settings.header_timeout_s,
            take=self._take,
        )
        desk = services.desk
        operations = [
            *auth_operations(services),
            *room_operations(services, desk, addresses),
            *order_operations(services, desk),
            *people_operations(services, desk, addresses),
            *show_operations(services.media, services.rooms, desk),
        ]
        api = Api(operations, tokens=services.tokens, clients=clients, public_url=settings.public_url)
        contract = encode_json(openapi(operations, version=VERSION))
        webrtc = WebRtcRoutes(
            services, self.webrtc, {"whep": self.whep, "whip": self.whip}, address=partial(_client_address, clients)
        )
        self.asgi = Starlette(
            routes=[
                *api.routes(),
                *services.media.routes(self._refuse_room),
                *self._probes(contract),
                *webrtc.routes(),
                *page_routes(services.rooms),
            ],
            middleware=[Middleware(Preflight)],
            exception_handlers={404: _not_found, 405: _not_allowed, 500: _broken},
        )

    def _probes(self, contract: bytes) -> list[BaseRoute]:
        async def healthz(request: Request) -> Response:
            return Response(b'{"ok":true}', media_type="application/json")

        async def readyz(request: Request) -> Response:
            if not self.ready:
                return problem_response(Problem(503, "draining", "not ready: starting or stopping", retry_ms=1_000))
            return Response(b'{"ok":true}', media_type="application/json")

        async def metrics(request: Request) -> Response:
            return Response(render_metrics(self), media_type="text/plain; version=0.0.4; charset=utf-8")

        async def described(request: Request) -> Response:
            return Response(contract, media_type="application/json")

        async def hls(request: Request) -> Response:
            room, query = request.path_params["room"], request.query_params
            refused = self._refuse_room(room, request.scope)
            if refused is not None:
                return problem_response(refused)
            answer = await self.hls.answer(room, request.path_params["file"], query)
            if answer.status != 200:
                retry_ms = 3_000 if answer.status in {404, 503} else None
                return problem_response(Problem(answer.status, answer.code, answer.body.decode(), retry_ms=retry_ms))
            headers = {name.decode(): value.decode() for name, value in CORS_HEADERS}
            return Response(answer.body, 200, {**headers, "cache-control": answer.cache}, answer.content_type)

        async def live(request: Request) -> Response:
            """Only what ``_take`` left: a refusal in words."""
            return problem_response(self._playback_problem(request.path_params["file"], request.scope))

        async def hub(request: Request) -> Response:
            return problem_response(
                Problem(426, "upgrade", "this address speaks WebSocket only", headers=UPGRADE_HEADERS)
            )

        return [
            Route("/healthz", healthz),
            Route("/readyz", readyz),
            Route("/metrics", metrics),
            Route("/openapi.json", described),
            Route("/live/{file}", live),
            Route("/live/{room}/{file}", hls),
            Route("/ws/{room}", hub),
        ]

    # — doors —

    def _take(self, scope: dict[str, Any], address: str, on_lost: Callable[[], None]) -> Taken | None:
        """Give hub and playback connections to their own protocols; None leaves the request to Starlette."""
        path: str = scope["path"]
        if path.startswith("/ws/"):
            return Taken(self.services.hub.connection(address, on_lost=on_lost), feed_head=True)
        if scope["method"] not in {"GET", "HEAD"}:
            return None
        file = path.removeprefix("/live/")
        if self._refuse_playback(file, scope) is not None:
            return None
        low_delay = parse_qs(scope["query_string"].decode("latin-1")).get("delay", [""])[0] == "low"
        if wants_websocket(scope["headers"]):
            if not file.endswith(".flv") or scope["method"] != "GET":
                return None
            watcher = self.websocket_flv.websocket(file[:-4], low_delay=low_delay, on_lost=on_lost)
            return Taken(watcher, feed_head=True)
        protocol = self.outputs[file[-4:]].viewer(
            file[:-4],
            head_only=scope["method"] == "HEAD",
            headers=CORS_HEADERS,
            low_delay=low_delay,
            on_lost=on_lost,
        )
        return Taken(protocol, feed_head=False)

    def _refuse_playback(self, file: str, scope: Any) -> Problem | None:
        if file[-4:] not in MEDIA_FORMATS:
            return Problem(404, "no_stream", NO_STREAM)
        return self._refuse_room(file[:-4], scope)

    def _refuse_room(self, room_id: str, scope: Any) -> Problem | None:
        """Why the bearer of a request's token may not watch ``room_id``; None when they may."""
        room = self.services.rooms.find(room_id)
        if room is None:
            return Problem(404, "no_stream", NO_STREAM)
        return self._refuse_player(room, bearer_token(scope["headers"], scope["query_string"]))

    def _refuse_player(self, room: Room, token: str) -> Problem | None:
        """Say why ``token`` does not let its bearer watch ``room``; None when it does, or when watching is public."""
        if self.services.settings.play_auth:
            try:
                claims = self.services.tokens.read(token)
            except TokenError as error:
                return problem_of(error)
            if not claims.may_enter(room.id, room.merchant):
                return Problem(403, "forbidden", "this token is for another room")
        return None

    def _playback_problem(self, file: str, scope: Any) -> Problem:
        refused = self._refuse_playback(file, scope)
        return refused or Problem(405, "method", "playback answers GET and HEAD", headers={"allow": "GET, HEAD"})

    async def _authorize_publish(self, request: PublishRequest) -> None:
        """Check a host's stream key. Raises ``PublishRefused``."""
        secrets = self.services.secrets
        known = self.services.rooms.find(request.room) is not None
        # The comparison runs for an unknown room too: an answer's time must not tell which rooms there are.
        good = secrets.stream_key_matches(request.room, request.key or "")
        proof = request.proof
        if proof is not None:
            # rtmp://ROOM:KEY@…: the host has shown that it knows the key of the room that it gave as its user.
            good = proof.matches(secrets.stream_key(request.room)) and proof.user == request.room
        if not (known and good):
            raise PublishRefused(
                "NetStream.Publish.BadName", "room or stream key is wrong: copy both from the host console"
            )

    async def _authorize_play(self, request: PlayRequest) -> None:
        """Check an RTMP player's room and token. Raises ``PlayRefused``."""
        room = self.services.rooms.find(request.room)
        if room is None:
            raise PlayRefused("NetStream.Play.StreamNotFound", "there is no such room")
        problem = self._refuse_player(room, request.token)
        if problem is not None:
            raise PlayRefused("NetStream.Play.Failed", problem.detail)

    # — life —

    async def start(self) -> None:
        """Open rooms, hub, RTMP and WebRTC. Raises ``OSError`` when a port is taken."""
        services = self.services
        await services.hub.start()
        services.directory.start()
        await services.media.start()
        # The bridge listens before the shop tells what a crash left in its outbox, or nobody would hear it.
        await self.bridge.start()
        await services.shop.start()
        settings = services.settings
        self.addresses.rtmp_port = await self._listen("--rtmp-port", settings.rtmp_port, None)
        context = tls_context(settings)
        if context is not None:
            port = RTMPS_PORT if settings.rtmps_port is None else settings.rtmps_port
            self.addresses.rtmps_port = await self._listen("--rtmps-port", port, context)
        await self._open_webrtc()

    async def _listen(self, flag: str, port: int, context: ssl.SSLContext | None) -> int:
        host = self.services.settings.host
        try:
            return await self.rtmp.start(host, port, context)
        except OSError as error:
            what = "RTMP" if context is None else "RTMPS"
            text = f"cannot listen on {host}:{port} for {what}: {_reason(error)}; choose another {flag}"
            raise OSError(error.errno, text) from error

    async def _open_webrtc(self) -> None:
        settings = self.services.settings
        host, port, public = settings.host, settings.udp_port, settings.udp_host
        try:
            await self.webrtc.start(host, port, addresses=[public] if public else [])
        except OSError as error:
            await self.rtmp.close()
            where = f"cannot use UDP on {host}:{port} for WebRTC"
            text = f"{where}: {_reason(error)}; choose another --udp-port, or a --udp-host that has an address"
            raise OSError(error.errno, text) from error

    async def drain(self) -> None:
        """Tell hosts and viewers to go, in paced batches; returns when they have gone."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.rtmp.drain())
            group.create_task(self.services.hub.drain())
            for output in (*self.outputs.values(), self.websocket_flv):
                group.create_task(output.drain())
            group.create_task(self.whip.drain())
            group.create_task(self.whep.drain())

    async def close(self) -> None:
        """End everything: connections first, then the ledger with what it has acknowledged, then the files.

        What cannot be ended is logged and keeps nothing else from its end.
        """
        services = self.services
        for shut in (
            self.bridge.close,
            self.rtmp.close,
            self.hls.close,
            self.whip.close,
            self.whep.close,
            self.webrtc.close,
            services.hub.close,
            services.directory.close,
            services.media.close,
            *self._shutters,
        ):
            try:
                ended = shut()
                if ended is not None:
                    await ended
            except Exception:
                logger.exception("a part did not end in order")


def _reason(error: OSError) -> str:
    """What the system says; asyncio puts a sentence of its own in its place."""
    return os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)


def _client_address(clients: Clients, request: Request) -> str:
    peer = request.client.host if request.client is not None else "unix"
    return clients.address(peer, request.scope["headers"])


async def _not_found(request: Request, error: Exception) -> Response:
    return problem_response(Problem(404, "not_found", "there is nothing at this address"))


async def _not_allowed(request: Request, error: Exception) -> Response:
    # RFC 9110 section 15.5.6: a 405 names the methods that are answered; Starlette's own exception knows them.
    allow = getattr(error, "headers", None)
    return problem_response(Problem(405, "method", "this address does not answer that method", headers=allow))


async def _broken(request: Request, error: Exception) -> Response:
    return problem_response(Problem(500, "internal", "something broke on our side; it is in the log"))


def _authenticate(tokens: Tokens, rooms: Rooms, room_id: str, token: str) -> Member:
    """Who joins ``room_id`` with ``token``. Raises ``TokenRefused`` with the hub's close code."""
    room = rooms.find(room_id)
    if room is None:
        raise TokenRefused(4404, "no such room")
    try:
        claims: Claims = tokens.read(token)
    except TokenError as error:
        raise TokenRefused(4401, str(error)) from error
    if not claims.may_enter(room.id, room.merchant):
        raise TokenRefused(4401, "this token is for another room")
    return Member(claims.person, claims.name, claims.role, claims.merchant, claims.expires_ms)


def _open_shop(
    settings: Settings, store: Store, secrets: Secrets, clock: Callable[[], int]
) -> tuple[Shop, Callable[[], Awaitable[None]]]:
    """The shop with its payment provider, and what ends the provider."""
    if not settings.sandbox_payments:
        return Shop(store, clock=clock, provider=NoProvider()), _nothing_to_end
    sandbox = SandboxProvider(secrets.key("sandbox"), clock=clock)
    shop = Shop(store, clock=clock, provider=sandbox)
    sandbox.deliver_to(shop.settle)
    return shop, sandbox.aclose


async def _nothing_to_end() -> None:
    """For a shop without a provider."""


async def open_application(
    settings: Settings, *, http_port: int, files: int, clock: Callable[[], int] = system_clock
) -> Application:
    """Open the data folder, wire the parts and start them. Raises ``StoreError``, ``SecretError``, ``OSError``."""
    settings.data.mkdir(parents=True, exist_ok=True)
    secrets = open_secrets(settings.data)
    store = open_store(settings.data)
    catalogue = Catalogue(store, clock=clock)
    touches = open_touch_log(settings.data, clock=clock)
    attribution = Attribution(store, touches, secret=secrets.key("links"), clock=clock)
    people = People(store, touches, clock=clock)
    addresses = Addresses(settings, http_port=http_port, rtmp_port=settings.rtmp_port)
    shop, end_payments = _open_shop(settings, store, secrets, clock)
    tokens = Tokens(secrets.key("tokens"), ttl_s=settings.token_ttl_s, clock=clock)
    rooms = Rooms(
        Room(room.id, room.merchant, room.title, room.host, room.cover) for room in await catalogue.every_room()
    )
    directory = Directory(clock=clock)
    media = open_media(settings, directory=directory, catalogue=catalogue, rooms=rooms, clock=clock)
    clients = Clients(settings)
    desk = Desk(rooms=rooms, catalogue=catalogue, shop=shop, attribution=attribution, directory=directory, clock=clock)
    hub = Hub(
        authenticate=partial(_authenticate, tokens, rooms),
        commands=hub_commands(desk),
        clock=clock,
        broker=MemoryBroker(),
        epoch=hashlib.sha256(os.urandom(16)).hexdigest()[:12],
    )
    services = Services(
        settings=settings,
        clock=clock,
        secrets=secrets,
        tokens=tokens,
        rooms=rooms,
        catalogue=catalogue,
        shop=shop,
        attribution=attribution,
        people=people,
        directory=directory,
        hub=hub,
        desk=desk,
        media=media,
    )
    bridge = Bridge(
        hub=hub,
        directory=directory,
        catalogue=catalogue,
        shop=shop,
        attribution=attribution,
        rooms=rooms,
        shows=media,
        clips=media.clips,
        clock=clock,
    )
    application = Application(
        services,
        bridge=bridge,
        addresses=addresses,
        clients=clients,
        files=files,
        shutters=[shop.close, end_payments, people.close, catalogue.close, touches.close, store.close],
    )
    await application.start()
    return application
