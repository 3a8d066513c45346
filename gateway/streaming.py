"""The streaming side of the server: every way in for hosts, every way out for viewers, and who may use which.

stream knows no room, key or token; this module makes its parts, checks keys and tokens for them, and gives their HTTP
addresses to the app.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from gateway.access import REVOKED, TOKEN_PREFIX, KeyRefused
from gateway.addresses import Addresses
from gateway.auth import PlayPass, TokenError
from gateway.client import CORS_HEADERS, Clients, bearer_token, wants_websocket
from gateway.config import Settings, SettingsError, tls_context
from gateway.errors import Problem, problem_of, problem_response
from gateway.gate import Taken
from gateway.rooms import Room
from gateway.routes_webrtc import WebRtcRoutes
from gateway.services import Services
from gateway.visits import Visits, Watcher
from stream.directory import Directory, DirectoryLimits
from stream.errors import PlayRefused, PublishRefused
from stream.ingest_rtmp import RtmpIngest
from stream.ingest_whip import WhipIngest
from stream.origin import Origin
from stream.output_flv import FlvOutput
from stream.output_hls import HlsOutput, hls_limits
from stream.output_mp4 import Mp4Output
from stream.output_rtmp import RtmpOutput
from stream.output_whep import WhepOutput
from stream.output_wsflv import WsFlvOutput
from stream.packet import Codec
from stream.relay import SEPARATOR, Relay
from stream.renditions import WEBRTC, Renditions, needs_rendition
from stream.rtmp_peers import PlayRequest, PublishRequest, RtmpLimits
from stream.rtmp_server import RtmpServer
from stream.slate_av import FileSlate, SlateError
from stream.viewer import Seat
from stream.webrtc_transport import TransportLimits, WebRtcTransport

RTMPS_PORT = 1936
AGENT_CHARACTERS_MAX = 200
"""Of a player's name: it tells viewers behind one address apart."""
NO_STREAM = "there is no such stream; playback is /live/ROOM.flv, /live/ROOM.mp4 or /live/ROOM/index.m3u8"
MEDIA_FORMATS = (".flv", ".mp4")
NO_RENDITION = Problem(404, "no_rendition", "there is no such rendition of this room now", retry_ms=3_000)
RENDITION_WAIT_S = 5.0
"""How long a WebRTC viewer waits for the first picture of a rendition: a key frame and what decoding it takes."""


def open_directory(settings: Settings, clock: Callable[[], int], slate: FileSlate | None) -> Directory:
    """The rooms' relays, with the operator's limits and what is shown while a host is away."""
    return Directory(clock, DirectoryLimits(host_bits_per_s_max=settings.host_kbps_max * 1000), slate=slate)


class Streaming:
    """Hosts by RTMP and WHIP; viewers by FLV, MP4, HLS, RTMP, WebSocket and WHEP.

    ``rtmp_connections`` bounds the connections of the RTMP port.
    """

    def __init__(self, services: Services, *, addresses: Addresses, clients: Clients, rtmp_connections: int) -> None:
        self._services = services
        self._addresses = addresses
        self._clients = clients
        self.hosts_refused = 0
        """Hosts with a good key that were refused, for metrics."""
        settings, directory, clock = services.settings, services.directory, services.clock
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
            limits=TransportLimits(
                sessions_per_address_max=settings.connections_per_address, loopback_exempt=settings.loopback_exempt
            ),
        )
        self.whep = WhepOutput(directory, self.webrtc, clock=clock)
        if settings.transcode:
            self.whep.substitute = self._webrtc_safe
        self.whip = WhipIngest(directory, self.webrtc, clock=clock)
        self.visits = Visits(clock=clock, per_address_max=settings.connections_per_address, exempt=clients.exempt)
        self.rtmp_output = RtmpOutput(directory, self._authorize_play, clock=clock, on_seat=self._on_seat)
        self.rtmp_ingest = RtmpIngest(directory, self._authorize_publish)
        self.rtmp = RtmpServer(
            self.rtmp_ingest,
            self.rtmp_output,
            clock=clock,
            limits=RtmpLimits(
                # A slow handshake is to RTMP what a slow head is to HTTP, and one setting says how long is too long.
                handshake_s=settings.header_timeout_s,
                connections_max=rtmp_connections,
                connections_per_address_max=settings.connections_per_address,
                loopback_exempt=settings.loopback_exempt,
            ),
            challenge_hosts=settings.rtmp_challenge,
        )

    # — addresses —

    def routes(self) -> list[BaseRoute]:
        """What of playback goes through Starlette: HLS, WHIP and WHEP, and refusals in words."""

        async def hls(request: Request) -> Response:
            room, file, query = request.path_params["room"], request.path_params["file"], request.query_params
            admitted = self._admit_to(room, request.scope)
            if isinstance(admitted, Problem):
                return problem_response(admitted)
            name = self._rendition(room, query.get("rendition"), h264_only=True)
            if name is None:
                return problem_response(NO_RENDITION)
            client = _client_address(self._clients, request)
            answer = await self.hls.answer(name, file, query, client=client)
            if admitted is not None and self._services.access.is_revoked(room, admitted):
                # The answer may have been held for seconds.
                return problem_response(problem_of(TokenError(REVOKED, revoked=True)))
            if answer.status != 200:
                retry_ms = 3_000 if answer.status in {404, 503} else None
                return problem_response(Problem(answer.status, answer.code, answer.body.decode(), retry_ms=retry_ms))
            if file.endswith(".m3u8"):
                agent = request.headers.get("user-agent", "")[:AGENT_CHARACTERS_MAX]
                self.visits.asked(name, _client_address(self._clients, request), agent, admitted)
            headers = {name.decode(): value.decode() for name, value in CORS_HEADERS}
            cache = answer.cache.replace("public", "private") if self._services.settings.play_auth else answer.cache
            return Response(answer.body, 200, {**headers, "cache-control": cache}, answer.content_type)

        async def live(request: Request) -> Response:
            """Only what ``take`` left: a refusal in words."""
            address = _client_address(self._clients, request)
            return problem_response(self._playback_problem(request.path_params["file"], request.scope, address))

        webrtc = WebRtcRoutes(
            self._services,
            self.webrtc,
            whip=self.whip,
            whep=self.whep,
            doors=self,
            address=partial(_client_address, self._clients),
            prepare=self._prepare_webrtc,
        )
        return [Route("/live/{file}", live), Route("/live/{room}/{file}", hls), *webrtc.routes()]

    def take(self, scope: dict[str, Any], address: str, on_lost: Callable[[], None]) -> Taken | None:
        """Give a connection that asks for ``/live/ROOM.flv|mp4`` to its output; None leaves it to Starlette."""
        path: str = scope["path"]
        if scope["method"] not in {"GET", "HEAD"}:
            return None
        file = path.removeprefix("/live/")
        admitted = self._admit(file, scope, address)
        if isinstance(admitted, Problem):
            return None
        room, query = file[:-4], parse_qs(scope["query_string"].decode("latin-1"))
        low_delay = query.get("delay", [""])[0] == "low"
        name = self._rendition(room, query.get("rendition", [None])[0], h264_only=file.endswith(".mp4"))
        if name is None:
            return None
        gone = _Gone(on_lost)
        watcher: Any
        if wants_websocket(scope["headers"]):
            if not file.endswith(".flv") or scope["method"] != "GET":
                return None
            watcher = self.websocket_flv.websocket(name, low_delay=low_delay, on_lost=gone)
            gone.also(self.visits.enter(room, "wsflv", address, admitted, watcher))
            return Taken(watcher, feed_head=True)
        watcher = self.outputs[file[-4:]].viewer(
            name,
            head_only=scope["method"] == "HEAD",
            headers=CORS_HEADERS,
            low_delay=low_delay,
            on_lost=gone,
        )
        gone.also(self.visits.enter(room, file[-3:], address, admitted, watcher))
        return Taken(watcher, feed_head=False)

    # — renditions —

    def _rendition(self, room: str, asked: str | None, *, h264_only: bool) -> str | None:
        """Name the relay that has what a viewer asks for; None when there is no such rendition.

        ``h264_only``: the format carries nothing else: a room of another codec is played re-encoded, where that is on.
        """
        if asked:
            return None if self.renditions is None else self.renditions.watch(room, asked)
        relay = self._services.directory.find(room)
        if self.renditions is None or not self._services.settings.transcode or relay is None or relay.video is None:
            return room
        codec = relay.video.codec
        if codec is Codec.H264 or not (h264_only or codec is Codec.VP8):
            return room
        return self.renditions.watch(room, WEBRTC.name) or room

    async def _prepare_webrtc(self, room: str) -> None:
        """Wait until a room can be played over WebRTC, where that takes a rendition."""
        relay = self._services.directory.find(room)
        if self.renditions is None or not self._services.settings.transcode or relay is None:
            return
        if needs_rendition(relay):
            await self.renditions.webrtc(room, RENDITION_WAIT_S)

    def _webrtc_safe(self, relay: Relay) -> Relay | None:
        if self.renditions is None or not needs_rendition(relay):
            return None
        made = self._services.directory.find(relay.room + SEPARATOR + WEBRTC.name)
        return made if made is not None and made.playing else None

    def _admit(self, file: str, scope: Any, address: str) -> PlayPass | Problem | None:
        """Who wants to watch over a connection (None: anybody may), or why not."""
        if file[-4:] not in MEDIA_FORMATS:
            return Problem(404, "no_stream", NO_STREAM)
        if self.visits.full(address):
            return too_many_plays()
        return self._admit_to(file[:-4], scope)

    def _admit_to(self, room_id: str, scope: Any) -> PlayPass | Problem | None:
        """Who wants to watch a room (None: anybody may), or why not."""
        room = self._services.rooms.find(room_id)
        if room is None:
            return Problem(404, "no_stream", NO_STREAM)
        try:
            return self.play_pass(room, bearer_token(scope["headers"], scope["query_string"]))
        except (Problem, TokenError) as error:
            return problem_of(error)

    def refuse_room(self, room_id: str, scope: Any) -> Problem | None:
        """Why the bearer of a request's token may not watch ``room_id``; None when they may."""
        admitted = self._admit_to(room_id, scope)
        return admitted if isinstance(admitted, Problem) else None

    def play_pass(self, room: Room, token: str) -> PlayPass | None:
        """Who watches with ``token``; None where watching is public. Raises ``Problem``, ``TokenError``."""
        return self._services.access.play_pass(room, token) if self._services.settings.play_auth else None

    def enter(
        self, room: str, protocol: str, address: str, play_pass: PlayPass | None, watcher: Watcher
    ) -> Callable[[], None]:
        """Enter a viewer of an output; gives what is to be called when it is gone."""
        return self.visits.enter(room, protocol, address, play_pass, watcher)

    def _playback_problem(self, file: str, scope: Any, address: str) -> Problem:
        admitted = self._admit(file, scope, address)
        if isinstance(admitted, Problem):
            if admitted.status == 429:
                self.visits.refused()
            return admitted
        if b"rendition=" in scope["query_string"] and scope["method"] in {"GET", "HEAD"}:
            return NO_RENDITION
        return Problem(405, "method", "playback answers GET and HEAD", headers={"allow": "GET, HEAD"})

    async def revoke_token(self, room: str, token: str) -> int:
        """Make a play token worthless and close who watches with it; how many. Raises Invalid, Refused (limit)."""
        await self._services.access.revoke_token(room, token)
        return await self._expel(room)

    async def revoke_all_tokens(self, room: str) -> int:
        """Make all play tokens made up to now worthless and close who watches with them; how many."""
        await self._services.access.revoke_all_tokens(room)
        return await self._expel(room)

    async def _expel(self, room: str) -> int:
        return await self.visits.expel(room, partial(self._services.access.is_revoked, room), "token_revoked", REVOKED)

    # — keys and tokens —

    async def authorize_host(self, room_id: str, origin: Origin) -> None:
        """Whether a host whose key is good may begin now. Raises ``KeyRefused`` and ``Problem``.

        Nothing waits between its return and the start of the broadcast.
        """
        room = self._services.rooms.get(room_id)
        self._check_count(room)
        access = self._services.access
        generation = access.generation(room.id)
        if await self._services.publish_hook.ask(room.merchant, room.id, origin):
            # The answer took its time, in which the key may have been revoked and others gone live.
            access.still_good(room.id, origin, generation)
            self._check_count(room)

    def _check_count(self, room: Room) -> None:
        most = self._services.settings.streams_per_merchant
        others = [name for name in self._services.directory.origins() if name != room.id]
        if sum(self._merchant_of(name) == room.merchant for name in others) >= most:
            self.hosts_refused += 1
            raise Problem(
                429,
                "too_many_streams",
                f"this merchant is live in {most} rooms, which is as many as may be: end another broadcast first",
                retry_ms=10_000,
            )

    def _merchant_of(self, room: str) -> str | None:
        found = self._services.rooms.find(room)
        return None if found is None else found.merchant

    async def _authorize_publish(self, request: PublishRequest) -> Origin:
        """Check a host's stream key. Raises ``PublishRefused``."""
        access = self._services.access
        try:
            if request.proof is not None:
                # rtmp://ROOM:KEY@…: the host has shown that it knows a key of the room that it gave as its user.
                origin = access.proof_origin(request.room, request.proof, request.address)
            else:
                origin = access.key_origin(request.room, request.key or "", request.address, "rtmp")
            await self.authorize_host(request.room, origin)
        except KeyRefused as refused:
            raise PublishRefused("NetStream.Publish.BadName", refused.detail) from refused
        except Problem as problem:
            raise PublishRefused("NetStream.Publish.Denied", problem.detail) from problem
        return origin

    def whip_origin(self, room_id: str, token: str, address: str) -> Origin:
        """Whose broadcast it is that shows a stream key or a host's token. Raises ``Problem`` and ``TokenError``."""
        try:
            return self._services.access.key_origin(room_id, token, address, "whip")
        except KeyRefused as refused:
            if refused.code != "key":
                raise
        claims = self._services.tokens.read(token)
        room = self._services.rooms.get(room_id)
        if not claims.may_run(room.id, room.merchant):
            raise Problem(403, "forbidden", "only the room's host may broadcast: send its stream key or token")
        return Origin("whip", TOKEN_PREFIX + claims.person, claims.name, address)

    async def _authorize_play(self, request: PlayRequest) -> None:
        """Check an RTMP player's room and token. Raises ``PlayRefused``."""
        room = self._services.rooms.find(request.room)
        if room is None:
            raise PlayRefused("NetStream.Play.StreamNotFound", "there is no such room")
        try:
            if self.visits.full(request.address):
                self.visits.refused()
                raise too_many_plays()
            self.play_pass(room, request.token)
        except (Problem, TokenError) as error:
            raise PlayRefused("NetStream.Play.Failed", problem_of(error).detail) from error

    def _on_seat(self, request: PlayRequest, seat: Seat) -> Callable[[], None]:
        room = self._services.rooms.find(request.room)
        try:
            # Nothing was awaited since ``_authorize_play``, so the answer is the same.
            found = None if room is None else self.play_pass(room, request.token)
        except (Problem, TokenError):
            found = None
        return self.visits.enter(request.room, "rtmp", request.address, found, seat)

    # — life —

    async def start(self) -> None:
        """Open the ports of RTMP, RTMPS and WebRTC. Raises ``OSError`` when one is taken."""
        settings = self._services.settings
        self._addresses.rtmp_port = await self._listen("--rtmp-port", settings.rtmp_port, None)
        context = tls_context(settings)
        if context is not None:
            port = RTMPS_PORT if settings.rtmps_port is None else settings.rtmps_port
            self._addresses.rtmps_port = await self._listen("--rtmps-port", port, context)
        await self._open_webrtc()
        self.visits.start()

    async def _listen(self, flag: str, port: int, context: ssl.SSLContext | None) -> int:
        host = self._services.settings.host
        try:
            return await self.rtmp.start(host, port, context)
        except OSError as error:
            what = "RTMP" if context is None else "RTMPS"
            text = f"cannot listen on {host}:{port} for {what}: {_reason(error)}; choose another {flag}"
            raise OSError(error.errno, text) from error

    async def _open_webrtc(self) -> None:
        settings = self._services.settings
        host, port, public = settings.host, settings.udp_port, settings.udp_host
        try:
            await self.webrtc.start(host, port, addresses=[public] if public else [])
        except OSError as error:
            await self.rtmp.close()
            where = f"cannot use UDP and TCP on {host}:{port} for WebRTC"
            text = f"{where}: {_reason(error)}; choose another --udp-port, or a --udp-host that has an address"
            raise OSError(error.errno, text) from error

    async def drain(self) -> None:
        """Tell hosts and viewers to go, in paced batches; returns when they have gone."""
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
