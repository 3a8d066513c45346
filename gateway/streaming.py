"""The streaming side of the server: every way in for hosts, every way out for viewers, and who may use which.

stream knows no room, key or token; this module makes its parts, has keys and tokens checked for them
(`gateway/access.py`), and gives their HTTP addresses to the app.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import partial
from typing import Any, Protocol
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from gateway.access import NO_STREAM, Access, Wish, wish_of
from gateway.addresses import Addresses
from gateway.client import CORS_HEADERS, Clients, wants_websocket
from gateway.config import Settings, tls_context
from gateway.encode import encode_json
from gateway.errors import Problem, problem_response
from gateway.gate import Taken
from gateway.lobby import Lobby
from gateway.metrics import Figures
from gateway.routes_webrtc import Fleet, Way, WebRtcRoutes
from stream.directory import Clock, Directory
from stream.errors import PlayRefused
from stream.ingest_pull import NODE_HEADER, Puller, PullStats, playing
from stream.ingest_rtmp import RtmpIngest
from stream.ingest_whip import WhipIngest
from stream.output_flv import FlvOutput
from stream.output_hls import HlsOutput
from stream.output_mp4 import Mp4Output
from stream.output_rtmp import RtmpOutput
from stream.output_whep import WhepOutput
from stream.output_wsflv import WsFlvOutput
from stream.rtmp_peers import PlayRequest, RtmpLimits
from stream.rtmp_server import RtmpServer
from stream.webrtc_transport import TransportLimits, WebRtcTransport

RTMPS_PORT = 1936
MEDIA_FORMATS = (".flv", ".mp4")
AUTHORIZE_S = 5.0
"""An RTMP connection waits so long for its key or token to be checked."""
PULL_WAIT_S = 10.0
"""A WHEP offer waits so long for a stream that has to be pulled first, as other viewers wait for a host."""
_JSON = {"content-type": "application/json", "cache-control": "no-store"}


class StreamFleet(Fleet, Protocol):
    """The workers, as streaming sees them."""

    def is_elsewhere(self, room: str) -> bool:
        """Whether a room can be pulled."""


class Streaming:
    """Hosts by RTMP and WHIP; viewers by FLV, MP4, HLS, RTMP, WebSocket and WHEP.

    ``rtmp_connections`` bounds the connections of the RTMP port.
    """

    def __init__(
        self,
        settings: Settings,
        directory: Directory,
        access: Access,
        *,
        clock: Clock,
        addresses: Addresses,
        clients: Clients,
        rtmp_connections: int,
        puller: Puller | None = None,
        fleet: StreamFleet | None = None,
    ) -> None:
        """``fleet``: of a worker among others, which listens on ports that it shares with them."""
        self._fleet = fleet
        self._settings = settings
        self._directory = directory
        self._access = access
        self._clock = clock
        self._addresses = addresses
        self._clients = clients
        self._puller = puller
        self._lobby: set[Lobby] = set()
        self._headers = (*CORS_HEADERS, (NODE_HEADER.encode(), access.node.encode()))
        self.outputs = {".flv": FlvOutput(directory, clock=clock), ".mp4": Mp4Output(directory, clock=clock)}
        self.websocket_flv = WsFlvOutput(directory, clock=clock)
        self.hls = HlsOutput(directory, clock=clock)
        self.webrtc = WebRtcTransport(
            clock=clock,
            limits=TransportLimits(
                sessions_per_address_max=settings.connections_per_address, loopback_exempt=settings.loopback_exempt
            ),
        )
        self.whep = WhepOutput(directory, self.webrtc, clock=clock)
        self.whip = WhipIngest(directory, self.webrtc, clock=clock)
        self.rtmp_output = RtmpOutput(directory, self._authorize_play, clock=clock)
        self.rtmp = RtmpServer(
            RtmpIngest(directory, access.publish),
            self.rtmp_output,
            clock=clock,
            limits=RtmpLimits(
                # A slow handshake is to RTMP what a slow head is to HTTP, and one setting says how long is too long.
                handshake_s=settings.header_timeout_s,
                authorize_s=AUTHORIZE_S if puller is None else PULL_WAIT_S + AUTHORIZE_S,
                connections_max=rtmp_connections,
                connections_per_address_max=settings.connections_per_address,
                loopback_exempt=settings.loopback_exempt,
            ),
            challenge_hosts=settings.rtmp_challenge,
        )
        self.webrtc_routes = self._webrtc_routes()

    # — addresses —

    def routes(self) -> list[BaseRoute]:
        """What of playback goes through Starlette: HLS, WHIP and WHEP, an edge's question, and refusals in words."""
        access = self._access

        async def hls(request: Request) -> Response:
            room, query = request.path_params["room"], request.query_params
            refused = await access.play(wish_of(room, request.scope))
            if refused is not None:
                return problem_response(refused)
            answer = await self.hls.answer(room, request.path_params["file"], query)
            if answer.status != 200:
                retry_ms = 3_000 if answer.status in {404, 503} else None
                return problem_response(Problem(answer.status, answer.code, answer.body.decode(), retry_ms=retry_ms))
            headers = {name.decode(): value.decode() for name, value in CORS_HEADERS}
            return Response(answer.body, 200, {**headers, "cache-control": answer.cache}, answer.content_type)

        async def live(request: Request) -> Response:
            """Only what ``take`` left: a refusal in words."""
            return problem_response(await self._playback_problem(request.path_params["file"], request.scope))

        async def edge(request: Request) -> Response:
            """May the bearer play this room? Asked by an edge for its viewer."""
            wish = wish_of(request.path_params["room"], request.scope)
            refused = await access.play(wish)
            if refused is not None:
                return problem_response(refused)
            live = self._directory.info(wish.room).live
            return Response(encode_json({"room": wish.room, "live": live, "node": access.node}), 200, _JSON)

        return [
            Route("/live/{file}", live),
            Route("/live/{room}/{file}", hls),
            Route("/edge/{room}", edge),
            *self.webrtc_routes.routes(),
        ]

    def _webrtc_routes(self) -> WebRtcRoutes:
        ways: dict[str, Way] = {"whep": self.whep, "whip": self.whip} if self._access.hosts else {"whep": self.whep}
        return WebRtcRoutes(
            self._settings,
            self._access,
            self.webrtc,
            ways,
            address=partial(_client_address, self._clients),
            playing=self._playing,
            fleet=self._fleet,
        )

    def _playing(self, room: str) -> AbstractAsyncContextManager[None]:
        """Lasts as long as ``room`` is wanted; begins when it plays, where it may have to be pulled first."""
        if self._puller is None or (self._fleet is not None and not self._fleet.is_elsewhere(room)):
            return nullcontext()
        return playing(self._directory, room, self._clock, PULL_WAIT_S)

    def take(self, scope: dict[str, Any], on_lost: Callable[[], None]) -> Taken | None:
        """Give a connection that asks for ``/live/ROOM.flv|mp4`` to its output; None leaves it to Starlette."""
        if scope["method"] not in {"GET", "HEAD"}:
            return None
        file = scope["path"].removeprefix("/live/")
        if file[-4:] not in MEDIA_FORMATS:
            return None
        websocket = wants_websocket(scope["headers"])
        if websocket and (not file.endswith(".flv") or scope["method"] != "GET"):
            return None
        wish = wish_of(file[:-4], scope)
        decided = self._access.glance(wish)
        if isinstance(decided, Problem):
            return None
        enter = partial(self._viewer, file, scope, websocket=websocket, on_lost=on_lost)
        if decided is None:
            return Taken(enter(), feed_head=websocket)
        decide = partial(self._access.play, wish)
        return Taken(Lobby(decide, enter, on_lost=on_lost, waiting=self._lobby), feed_head=websocket)

    def _viewer(
        self, file: str, scope: dict[str, Any], *, websocket: bool, on_lost: Callable[[], None]
    ) -> asyncio.Protocol:
        low_delay = parse_qs(scope["query_string"].decode("latin-1")).get("delay", [""])[0] == "low"
        if websocket:
            return self.websocket_flv.websocket(file[:-4], low_delay=low_delay, on_lost=on_lost)
        return self.outputs[file[-4:]].viewer(
            file[:-4],
            head_only=scope["method"] == "HEAD",
            headers=self._headers,
            low_delay=low_delay,
            on_lost=on_lost,
        )

    async def _playback_problem(self, file: str, scope: Any) -> Problem:
        if file[-4:] not in MEDIA_FORMATS:
            return Problem(404, "no_stream", NO_STREAM)
        refused = await self._access.play(wish_of(file[:-4], scope))
        return refused or Problem(405, "method", "playback answers GET and HEAD", headers={"allow": "GET, HEAD"})

    async def _authorize_play(self, request: PlayRequest) -> None:
        """Check an RTMP player's room and token. Raises ``PlayRefused``."""
        problem = await self._access.play(Wish(request.room, request.token))
        if problem is not None:
            code = "NetStream.Play.StreamNotFound" if problem.status == 404 else "NetStream.Play.Failed"
            raise PlayRefused(code, problem.detail)

    # — life —

    async def start(self) -> None:
        """Open the ports of RTMP, RTMPS and WebRTC. Raises ``OSError`` when one is taken."""
        settings = self._settings
        self._addresses.rtmp_port = await self._listen("--rtmp-port", settings.rtmp_port, None)
        context = tls_context(settings)
        if context is not None:
            port = RTMPS_PORT if settings.rtmps_port is None else settings.rtmps_port
            self._addresses.rtmps_port = await self._listen("--rtmps-port", port, context)
        await self._open_webrtc()

    async def _listen(self, flag: str, port: int, context: ssl.SSLContext | None) -> int:
        host = self._settings.host
        try:
            return await self.rtmp.start(host, port, context, shared=self._fleet is not None)
        except OSError as error:
            what = "RTMP" if context is None else "RTMPS"
            text = f"cannot listen on {host}:{port} for {what}: {_reason(error)}; choose another {flag}"
            raise OSError(error.errno, text) from error

    async def _open_webrtc(self) -> None:
        settings = self._settings
        host, port, public = settings.host, settings.udp_port, settings.udp_host
        try:
            await self.webrtc.start(host, port, addresses=[public] if public else [])
        except OSError as error:
            await self.rtmp.close()
            where = f"cannot use UDP on {host}:{port} for WebRTC"
            text = f"{where}: {_reason(error)}; choose another --udp-port, or a --udp-host that has an address"
            raise OSError(error.errno, text) from error

    def figures(self) -> Figures:
        """What /metrics shows of each part."""
        yield "rtmp", self.rtmp.stats()
        yield "stream", self._directory.stats()
        yield "playback_hls", self.hls.stats()
        for name, output in self.outputs.items():
            yield f"playback_{name[1:]}", output.stats()
        yield "webrtc", self.webrtc.stats()
        yield "playback_whep", self.whep.stats()
        yield "whip", self.whip.stats()
        yield "playback_wsflv", self.websocket_flv.stats()
        yield "playback_rtmp", self.rtmp_output.stats()
        yield "pull", PullStats() if self._puller is None else self._puller.stats()

    async def drain(self) -> None:
        """Tell hosts and viewers to go, in paced batches; returns when they have gone."""
        for waiting in tuple(self._lobby):
            waiting.refuse(Problem(503, "draining", "the server is restarting, come back", retry_ms=1_000))
        viewers = [output.drain() for output in (*self.outputs.values(), self.websocket_flv)]
        await asyncio.gather(self.rtmp.drain(), self.whip.drain(), self.whep.drain(), *viewers)

    def shutters(self) -> list[Callable[[], Any]]:
        """What ends the parts, in order."""
        return [self.rtmp.close, self.hls.close, self.whip.close, self.whep.close, self.webrtc.close]


def _reason(error: OSError) -> str:
    """What the system says; asyncio puts a sentence of its own in its place."""
    return os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)


def _client_address(clients: Clients, request: Request) -> str:
    peer = request.client.host if request.client is not None else "unix"
    return clients.address(peer, request.scope["headers"])
