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

from gateway.addresses import Addresses
from gateway.auth import TokenError
from gateway.client import CORS_HEADERS, Clients, bearer_token, wants_websocket
from gateway.config import Settings, SettingsError, tls_context
from gateway.errors import Problem, problem_of, problem_response
from gateway.gate import Taken
from gateway.rooms import Room
from gateway.routes_webrtc import WebRtcRoutes
from gateway.services import Services
from stream.errors import PlayRefused, PublishRefused
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
from stream.renditions import WEBRTC, Renditions, needs_rendition
from stream.rtmp_peers import PlayRequest, PublishRequest, RtmpLimits
from stream.rtmp_server import RtmpServer
from stream.slate_av import FileSlate, SlateError
from stream.webrtc_transport import TransportLimits, WebRtcTransport

RTMPS_PORT = 1936
NO_STREAM = "there is no such stream; playback is /live/ROOM.flv, /live/ROOM.mp4 or /live/ROOM/index.m3u8"
MEDIA_FORMATS = (".flv", ".mp4")
NO_RENDITION = Problem(404, "no_rendition", "there is no such rendition of this room now", retry_ms=3_000)
RENDITION_WAIT_S = 5.0
"""How long a WebRTC viewer waits for the first picture of a rendition: a key frame and what decoding it takes."""


class Streaming:
    """Hosts by RTMP and WHIP; viewers by FLV, MP4, HLS, RTMP, WebSocket and WHEP.

    ``rtmp_connections`` bounds the connections of the RTMP port.
    """

    def __init__(self, services: Services, *, addresses: Addresses, clients: Clients, rtmp_connections: int) -> None:
        self._services = services
        self._addresses = addresses
        self._clients = clients
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
        self.rtmp_output = RtmpOutput(directory, self._authorize_play, clock=clock)
        self.rtmp = RtmpServer(
            RtmpIngest(directory, self._authorize_publish),
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
            room, query = request.path_params["room"], request.query_params
            refused = self.refuse_room(room, request.scope)
            if refused is not None:
                return problem_response(refused)
            name = self._rendition(room, query.get("rendition"), h264_only=True)
            if name is None:
                return problem_response(NO_RENDITION)
            answer = await self.hls.answer(name, request.path_params["file"], query)
            if answer.status != 200:
                retry_ms = 3_000 if answer.status in {404, 503} else None
                return problem_response(Problem(answer.status, answer.code, answer.body.decode(), retry_ms=retry_ms))
            headers = {name.decode(): value.decode() for name, value in CORS_HEADERS}
            return Response(answer.body, 200, {**headers, "cache-control": answer.cache}, answer.content_type)

        async def live(request: Request) -> Response:
            """Only what ``_take`` left: a refusal in words."""
            return problem_response(self._playback_problem(request.path_params["file"], request.scope))

        webrtc = WebRtcRoutes(
            self._services,
            self.webrtc,
            {"whep": self.whep, "whip": self.whip},
            address=partial(_client_address, self._clients),
            prepare=self._prepare_webrtc,
        )
        return [Route("/live/{file}", live), Route("/live/{room}/{file}", hls), *webrtc.routes()]

    def take(self, scope: dict[str, Any], on_lost: Callable[[], None]) -> Taken | None:
        """Give a connection that asks for ``/live/ROOM.flv|mp4`` to its output; None leaves it to Starlette."""
        path: str = scope["path"]
        if scope["method"] not in {"GET", "HEAD"}:
            return None
        file = path.removeprefix("/live/")
        if self._refuse_playback(file, scope) is not None:
            return None
        query = parse_qs(scope["query_string"].decode("latin-1"))
        low_delay = query.get("delay", [""])[0] == "low"
        room = self._rendition(file[:-4], query.get("rendition", [None])[0], h264_only=file.endswith(".mp4"))
        if room is None:
            return None
        if wants_websocket(scope["headers"]):
            if not file.endswith(".flv") or scope["method"] != "GET":
                return None
            watcher = self.websocket_flv.websocket(room, low_delay=low_delay, on_lost=on_lost)
            return Taken(watcher, feed_head=True)
        protocol = self.outputs[file[-4:]].viewer(
            room,
            head_only=scope["method"] == "HEAD",
            headers=CORS_HEADERS,
            low_delay=low_delay,
            on_lost=on_lost,
        )
        return Taken(protocol, feed_head=False)

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

    def _refuse_playback(self, file: str, scope: Any) -> Problem | None:
        if file[-4:] not in MEDIA_FORMATS:
            return Problem(404, "no_stream", NO_STREAM)
        return self.refuse_room(file[:-4], scope)

    def refuse_room(self, room_id: str, scope: Any) -> Problem | None:
        """Why the bearer of a request's token may not watch ``room_id``; None when they may."""
        room = self._services.rooms.find(room_id)
        if room is None:
            return Problem(404, "no_stream", NO_STREAM)
        return self._refuse_player(room, bearer_token(scope["headers"], scope["query_string"]))

    def _refuse_player(self, room: Room, token: str) -> Problem | None:
        """Say why ``token`` does not let its bearer watch ``room``; None when it does, or when watching is public."""
        if self._services.settings.play_auth:
            try:
                claims = self._services.tokens.read(token)
            except TokenError as error:
                return problem_of(error)
            if not claims.may_enter(room.id, room.merchant):
                return Problem(403, "forbidden", "this token is for another room")
        return None

    def _playback_problem(self, file: str, scope: Any) -> Problem:
        refused = self._refuse_playback(file, scope)
        if refused is None and b"rendition=" in scope["query_string"] and scope["method"] in {"GET", "HEAD"}:
            return NO_RENDITION
        return refused or Problem(405, "method", "playback answers GET and HEAD", headers={"allow": "GET, HEAD"})

    # — keys and tokens —

    async def _authorize_publish(self, request: PublishRequest) -> None:
        """Check a host's stream key. Raises ``PublishRefused``."""
        secrets = self._services.secrets
        known = self._services.rooms.find(request.room) is not None
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
        room = self._services.rooms.find(request.room)
        if room is None:
            raise PlayRefused("NetStream.Play.StreamNotFound", "there is no such room")
        problem = self._refuse_player(room, request.token)
        if problem is not None:
            raise PlayRefused("NetStream.Play.Failed", problem.detail)

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
            where = f"cannot use UDP on {host}:{port} for WebRTC"
            text = f"{where}: {_reason(error)}; choose another --udp-port, or a --udp-host that has an address"
            raise OSError(error.errno, text) from error

    async def drain(self) -> None:
        """Tell hosts and viewers to go, in paced batches; returns when they have gone."""
        viewers = [output.drain() for output in (*self.outputs.values(), self.websocket_flv)]
        await asyncio.gather(self.rtmp.drain(), self.whip.drain(), self.whep.drain(), *viewers)

    def shutters(self) -> list[Callable[[], Any]]:
        """What ends the parts, in order."""
        first = [self.renditions.close] if self.renditions else []
        return [*first, self.rtmp.close, self.hls.close, self.whip.close, self.whep.close, self.webrtc.close]


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
