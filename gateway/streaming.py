"""The streaming side of the server: every way in for hosts, every way out for viewers, and who may use which.

stream knows no room, key or token; this module makes its parts, has keys and tokens checked for them
(`gateway/doors.py`), and gives their HTTP addresses to the app.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from gateway.access import REVOKED
from gateway.addresses import Addresses
from gateway.auth import PlayPass, TokenError
from gateway.client import CORS_HEADERS, Clients, opens_websocket, wants_websocket
from gateway.config import Settings, SettingsError, tls_context
from gateway.doors import NO_STREAM, Doors, Undecided, Wish, wish_of
from gateway.encode import encode_json
from gateway.errors import Problem, no_handshake, problem_of, problem_response
from gateway.gate import Taken
from gateway.lobby import Lobby
from gateway.metrics import Figures
from gateway.routes_webrtc import Fleet, WebRtcRoutes
from gateway.visits import Visits
from stream.directory import Clock, Directory, DirectoryLimits
from stream.errors import PlayRefused
from stream.ingest_pull import NODE_HEADER, Puller, PullStats, playing
from stream.ingest_rtmp import RtmpIngest
from stream.ingest_whip import WhipIngest
from stream.output_flv import FlvOutput
from stream.output_hls import HlsOutput, hls_limits
from stream.output_mp4 import Mp4Output
from stream.output_rtmp import RtmpOutput
from stream.output_whep import WhepOutput
from stream.output_wsflv import WsFlvOutput
from stream.packet import Codec
from stream.relay import SEPARATOR, Relay
from stream.renditions import WEBRTC, Renditions, RenditionStats, needs_rendition
from stream.rtmp_peers import PlayRequest, RtmpLimits
from stream.rtmp_server import RtmpServer
from stream.slate_av import FileSlate, SlateError
from stream.viewer import Seat
from stream.webrtc_transport import TransportLimits, WebRtcTransport

RTMPS_PORT = 1936
AGENT_CHARACTERS_MAX = 200
"""Of a player's name: it tells viewers behind one address apart."""
MEDIA_FORMATS = (".flv", ".mp4")
NO_RENDITION = Problem(404, "no_rendition", "there is no such rendition of this room now", retry_ms=3_000)
AUTHORIZE_S = 5.0
"""An RTMP connection waits so long for its key or token to be checked."""
PULL_WAIT_S = 10.0
"""A WHEP offer waits so long for a stream that has to be pulled first, as other viewers wait for a host."""
_JSON = {"content-type": "application/json", "cache-control": "no-store"}
HOST_CODECS = {False: (Codec.H264,), True: (Codec.H264, Codec.VP8, Codec.AV1)}
"""Of WebRTC hosts, by whether there is a transcoder. VP8 is what every browser has (RFC 7742 section 5): WebRTC viewers
get it as it came, and AV1 if they have it; the others get it re-encoded."""
RENDITION_WAIT_S = 5.0
"""How long a WebRTC viewer waits for the first picture of a rendition: a key frame and what decoding it takes."""


def open_directory(settings: Settings, clock: Callable[[], int], slate: FileSlate | None) -> Directory:
    """The rooms' relays, with the operator's limits and what is shown while a host is away."""
    return Directory(clock, DirectoryLimits(host_bits_per_s_max=settings.host_kbps_max * 1000), slate=slate)


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request for a stream over a connection of its own; ``name`` is the room, or a rendition of it."""

    name: str
    format: str
    address: str
    low_delay: bool
    head_only: bool
    websocket: bool


class Streaming:
    """Hosts by RTMP and WHIP; viewers by FLV, MP4, HLS, RTMP, WebSocket and WHEP.

    ``rtmp_connections`` bounds the connections of the RTMP port.
    """

    def __init__(
        self,
        settings: Settings,
        directory: Directory,
        doors: Doors,
        *,
        clock: Clock,
        addresses: Addresses,
        clients: Clients,
        rtmp_connections: int,
        puller: Puller | None = None,
        fleet: Fleet | None = None,
        is_elsewhere: Callable[[str], bool] | None = None,
    ) -> None:
        """``puller``: of a server whose rooms may be elsewhere. ``fleet``: of a worker, which shares its ports.

        ``is_elsewhere`` says whether a room can be pulled; without it any may be.
        """
        self._settings = settings
        self._directory = directory
        self._doors = doors
        self._clock = clock
        self._addresses = addresses
        self._clients = clients
        self._puller = puller
        self._fleet = fleet
        self._is_elsewhere = is_elsewhere
        self._lobby: set[Lobby] = set()
        self._headers = (*CORS_HEADERS, (NODE_HEADER.encode(), doors.node.encode()))
        self.outputs = {".flv": FlvOutput(directory, clock=clock), ".mp4": Mp4Output(directory, clock=clock)}
        self.websocket_flv = WsFlvOutput(directory, clock=clock)
        heights = [int(rung) for rung in settings.abr]
        self.renditions = Renditions(directory, clock=clock, heights=heights) if settings.transcode or heights else None
        self.hls = HlsOutput(
            directory,
            clock=clock,
            limits=hls_limits(settings.hls_window_s),
            variants=self.renditions.variants if self.renditions else lambda room: (),
        )
        self.webrtc = WebRtcTransport(
            clock=clock,
            worker=0 if fleet is None else fleet.number,
            limits=TransportLimits(
                sessions_per_address_max=settings.connections_per_address, loopback_exempt=settings.loopback_exempt
            ),
        )
        self.whep = WhepOutput(directory, self.webrtc, clock=clock)
        if settings.transcode:
            self.whep.substitute = self._webrtc_safe
        self.whip = WhipIngest(directory, self.webrtc, clock=clock, codecs=HOST_CODECS[settings.transcode])
        self.visits = Visits(clock=clock, per_address_max=settings.connections_per_address, exempt=clients.exempt)
        self.rtmp_output = RtmpOutput(
            directory, self._authorize_play, clock=clock, on_seat=self._on_seat, source=self._rtmp_source
        )
        self.rtmp_ingest = RtmpIngest(directory, doors.rtmp_host)
        self.rtmp = RtmpServer(
            self.rtmp_ingest,
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
        doors = self._doors

        async def hls(request: Request) -> Response:
            room, file, query = request.path_params["room"], request.path_params["file"], request.query_params
            admitted = await doors.play(wish_of(room, request.scope))
            if isinstance(admitted, Problem):
                return problem_response(admitted)
            name = self._rendition(room, query.get("rendition"), everywhere=True)
            if name is None:
                return problem_response(NO_RENDITION)
            client = _client_address(self._clients, request)
            answer = await self.hls.answer(name, file, query, client=client)
            if admitted is not None and doors.is_revoked(room, admitted):
                # The answer may have been held for seconds.
                return problem_response(problem_of(TokenError(REVOKED, revoked=True)))
            if answer.status != 200:
                retry_ms = 3_000 if answer.status in {404, 503} else None
                return problem_response(Problem(answer.status, answer.code, answer.body.decode(), retry_ms=retry_ms))
            if file.endswith(".m3u8"):
                agent = request.headers.get("user-agent", "")[:AGENT_CHARACTERS_MAX]
                self.visits.asked(name, _client_address(self._clients, request), agent, admitted)
            headers = {name.decode(): value.decode() for name, value in CORS_HEADERS}
            cache = answer.cache.replace("public", "private") if self._settings.play_auth else answer.cache
            return Response(answer.body, 200, {**headers, "cache-control": cache}, answer.content_type)

        async def live(request: Request) -> Response:
            """Only what ``take`` left: a refusal in words."""
            address = _client_address(self._clients, request)
            return problem_response(await self._playback_problem(request.path_params["file"], request.scope, address))

        async def edge(request: Request) -> Response:
            """May the bearer play this room? Asked by an edge for its viewer."""
            wish = wish_of(request.path_params["room"], request.scope)
            admitted = await doors.play(wish)
            if isinstance(admitted, Problem):
                return problem_response(admitted)
            live = self._directory.info(wish.room).live
            return Response(encode_json({"room": wish.room, "live": live, "node": doors.node}), 200, _JSON)

        return [
            Route("/live/{file}", live),
            Route("/live/{room}/{file}", hls),
            Route("/edge/{room}", edge),
            *self.webrtc_routes.routes(),
        ]

    def _webrtc_routes(self) -> WebRtcRoutes:
        return WebRtcRoutes(
            self._settings,
            self.webrtc,
            whip=self.whip,
            whep=self.whep,
            doors=self._doors,
            enter=self.visits.enter,
            address=partial(_client_address, self._clients),
            prepare=self._prepare_webrtc,
            playing=self._playing,
            fleet=self._fleet,
        )

    def _playing(self, room: str) -> AbstractAsyncContextManager[None]:
        """Lasts as long as ``room`` is wanted; begins when it plays, where it may have to be pulled first."""
        if self._puller is None or (self._is_elsewhere is not None and not self._is_elsewhere(room)):
            return nullcontext()
        return playing(self._directory, room, self._clock, PULL_WAIT_S)

    def take(self, scope: dict[str, Any], address: str, on_lost: Callable[[], None]) -> Taken | None:
        """Give a connection that asks for ``/live/ROOM.flv|mp4`` to its output; None leaves it to Starlette."""
        if scope["method"] not in {"GET", "HEAD"}:
            return None
        file = scope["path"].removeprefix("/live/")
        if file[-4:] not in MEDIA_FORMATS or self.visits.full(address):
            return None
        websocket = wants_websocket(scope["headers"])
        if websocket and (not file.endswith(".flv") or scope["method"] != "GET"):
            return None
        room, query = file[:-4], parse_qs(scope["query_string"].decode("latin-1"))
        wish = wish_of(room, scope)
        admitted = self._doors.glance(wish)
        if isinstance(admitted, Problem):
            return None
        name = self._rendition(room, query.get("rendition", [None])[0], everywhere=file.endswith(".mp4"))
        if name is None:
            return None
        low_delay = query.get("delay", [""])[0] == "low"
        ask = _Asked(name, file[-3:], address, low_delay, head_only=scope["method"] == "HEAD", websocket=websocket)
        if not isinstance(admitted, Undecided):
            return Taken(self._viewer(ask, room, on_lost, admitted), feed_head=websocket)
        enter = partial(self._viewer, ask, room, on_lost)
        lobby = Lobby(partial(self._doors.play, wish), enter, on_lost=on_lost, waiting=self._lobby)
        return Taken(lobby, feed_head=websocket)

    def _viewer(
        self, ask: _Asked, room: str, on_lost: Callable[[], None], admitted: PlayPass | None
    ) -> asyncio.Protocol:
        gone = _Gone(on_lost)
        watcher: Any
        if ask.websocket:
            watcher = self.websocket_flv.websocket(ask.name, low_delay=ask.low_delay, on_lost=gone)
        else:
            watcher = self.outputs["." + ask.format].viewer(
                ask.name, head_only=ask.head_only, headers=self._headers, low_delay=ask.low_delay, on_lost=gone
            )
        protocol = "wsflv" if ask.websocket else ask.format
        gone.also(self.visits.enter(room, protocol, ask.address, admitted, watcher))
        made: asyncio.Protocol = watcher
        return made

    # — renditions —

    def _rendition(self, room: str, asked: str | None, *, everywhere: bool) -> str | None:
        """Name the relay that has what a viewer asks for; None when there is no such rendition.

        ``everywhere``: the format is for players of every kind: a room of another codec than H.264 is played
        re-encoded, where that is on.
        """
        if asked:
            return None if self.renditions is None else self.renditions.watch(room, asked)
        relay = self._directory.find(room)
        if self.renditions is None or not self._settings.transcode or relay is None or relay.video is None:
            return room
        codec = relay.video.codec
        if codec is Codec.H264 or not (everywhere or codec is Codec.VP8):
            return room
        return self.renditions.watch(room, WEBRTC.name) or room

    def _rtmp_source(self, room: str) -> str:
        return self._rendition(room, None, everywhere=False) or room

    async def _prepare_webrtc(self, room: str, offer: str) -> None:
        """Wait until a room can be played by the viewer of this offer, where that takes a rendition."""
        relay = self._directory.find(room)
        if self.renditions is None or not self._settings.transcode or relay is None:
            return
        if needs_rendition(relay, offer):
            await self.renditions.webrtc(room, RENDITION_WAIT_S)

    def _webrtc_safe(self, relay: Relay, offer: str) -> Relay | None:
        if self.renditions is None or not needs_rendition(relay, offer):
            return None
        made = self._directory.find(relay.room + SEPARATOR + WEBRTC.name)
        return made if made is not None and made.playing else None

    async def _playback_problem(self, file: str, scope: Any, address: str) -> Problem:
        if file[-4:] not in MEDIA_FORMATS:
            return Problem(404, "no_stream", NO_STREAM)
        if self.visits.full(address):
            self.visits.refused()
            return too_many_plays()
        admitted = await self._doors.play(wish_of(file[:-4], scope))
        if isinstance(admitted, Problem):
            return admitted
        if scope["method"] == "GET" and wants_websocket(scope["headers"]):
            if not file.endswith(".flv"):
                return Problem(404, "no_stream", "over a WebSocket FLV alone is played: /live/ROOM.flv")
            if not opens_websocket(scope["headers"]):
                return no_handshake()
        if b"rendition=" in scope["query_string"] and scope["method"] in {"GET", "HEAD"}:
            return NO_RENDITION
        return Problem(405, "method", "playback answers GET and HEAD", headers={"allow": "GET, HEAD"})

    async def expel_revoked(self, room: str) -> int:
        """Close who watches a room with a token that was revoked; how many."""
        return await self.visits.expel(room, partial(self._doors.is_revoked, room), "token_revoked", REVOKED)

    # — players —

    async def _authorize_play(self, request: PlayRequest) -> None:
        """Check an RTMP player's room and token. Raises ``PlayRefused``."""
        if self.visits.full(request.address):
            self.visits.refused()
            raise PlayRefused("NetStream.Play.Failed", too_many_plays().detail)
        admitted = await self._doors.play(Wish(request.room, request.token))
        if isinstance(admitted, Problem):
            unknown = admitted.code == "no_stream"
            code = "NetStream.Play.StreamNotFound" if unknown else "NetStream.Play.Failed"
            raise PlayRefused(code, "there is no such room" if unknown else admitted.detail)

    def _on_seat(self, request: PlayRequest, seat: Seat) -> Callable[[], None]:
        # Asked a moment ago by ``_authorize_play``, so the answer is known and the same.
        admitted = self._doors.glance(Wish(request.room, request.token))
        found = admitted if isinstance(admitted, PlayPass) else None
        return self.visits.enter(request.room, "rtmp", request.address, found, seat)

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
        self.visits.start()

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
            where = f"cannot use UDP and TCP on {host}:{port} for WebRTC"
            text = f"{where}: {_reason(error)}; choose another --udp-port, or a --udp-host that has an address"
            raise OSError(error.errno, text) from error

    def figures(self) -> Figures:
        """What /metrics shows of each part."""
        yield "rtmp", self.rtmp.stats()
        yield "rtmp_ingest", self.rtmp_ingest.stats()
        yield "stream", self._directory.stats()
        yield "playback_hls", self.hls.stats()
        yield "renditions", RenditionStats() if self.renditions is None else self.renditions.stats()
        for name, output in self.outputs.items():
            yield f"playback_{name[1:]}", output.stats()
        yield "webrtc", self.webrtc.stats()
        yield "playback_whep", self.whep.stats()
        yield "whip", self.whip.stats()
        yield "playback_wsflv", self.websocket_flv.stats()
        yield "playback_rtmp", self.rtmp_output.stats()
        yield "plays", self.visits.stats()
        yield "pull", PullStats() if self._puller is None else self._puller.stats()

    async def drain(self) -> None:
        """Tell hosts and viewers to go, in paced batches; returns when they have gone."""
        for waiting in tuple(self._lobby):
            waiting.refuse(Problem(503, "draining", "the server is restarting, come back", retry_ms=1_000))
        viewers = [output.drain() for output in (*self.outputs.values(), self.websocket_flv)]
        await asyncio.gather(self.rtmp.drain(), self.whip.drain(), self.whep.drain(), *viewers)

    def shutters(self) -> list[Callable[[], Any]]:
        """What ends the parts, in order."""
        outputs = [self.hls.close, self.whip.close, self.whep.close, self.webrtc.close]
        renditions = [self.renditions.close] if self.renditions else []
        return [self.visits.close, *renditions, self.rtmp.close, *outputs]


class _Gone:
    """Calls what is to be called when a connection is gone; what is known only after it was made is added."""

    __slots__ = ("_calls",)

    def __init__(self, first: Callable[[], None]) -> None:
        self._calls: tuple[Callable[[], None], ...] = (first,)

    def also(self, call: Callable[[], None]) -> None:
        """Call this as well."""
        self._calls = (*self._calls, call)

    def __call__(self) -> None:
        for call in self._calls:
            call()


def too_many_plays() -> Problem:
    """The refusal of an address that watches as often as it may, in the words of the door."""
    return Problem(429, "too_many_connections", "Too many connections from this address", retry_ms=10_000)


def open_slate(settings: Settings) -> FileSlate | None:
    """What viewers see while a host is away, if there is a file for it. Raises ``SettingsError`` for one of no use."""
    if settings.slate is None:
        return None
    try:
        return FileSlate(settings.slate)
    except SlateError as error:
        raise SettingsError(f"--slate: {error}") from error


def _reason(error: OSError) -> str:
    """What the system says; asyncio puts a sentence of its own in its place."""
    return os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)


def _client_address(clients: Clients, request: Request) -> str:
    peer = request.client.host if request.client is not None else "unix"
    return clients.address(peer, request.scope["headers"])
