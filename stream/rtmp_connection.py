"""One RTMP connection: the asyncio shell around `RtmpSession`.

Bytes are parsed and pushed into the relay inside `data_received`: no task, no queue and no await between a host's
packet and its room. Only `authorize` is awaited, once per publish or play, with the transport's reading paused.

Each connection has one timer at a time:

    handshake_s ─handshake─► publish_s ─publish─► authorize_s ─accepted─► idle_s (counts from the last byte)
                                       ─play────► authorize_s ─accepted─► none: the seat's own time-outs count

Once it is to go, the answer is sent and our side closed, so that the peer can read why; after linger_s it is cut.
"""

import asyncio
import functools
import logging
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Final, cast

from stream.errors import AlreadyPublishing, PeerError, PlayRefused, PublishRefused
from stream.meter import Protocol
from stream.origin import Origin
from stream.protocol.rtmp_events import (
    MediaReceived,
    PeerRejected,
    PlayEnded,
    PlayRequested,
    PublishEnded,
    PublishRequested,
    SessionFailed,
)
from stream.protocol.rtmp_handshake import ENTROPY_BYTES
from stream.protocol.rtmp_session import State
from stream.rtmp_peers import Feed, Outlet, PlayRequest, PlaySeat, PublishRequest
from stream.tcp_info import tcp_rtt_ms

if TYPE_CHECKING:
    from stream.rtmp_server import RtmpServer

log = logging.getLogger("siyu.rtmp")

TAKEOVER_SLACK_MS: Final = 200
"""Media of the room's host that comes this long after a second one may have been under way; later, the host lives."""

TAKEOVER_WAIT_S: Final = 1.0
"""How long a second host may wait for the first one to be silent."""

UNREAD_ANSWERS_BYTES_MAX: Final = 64 * 1024
"""Answers behind media that a player does not read; one that only plays gets none."""

_BAD_NAME = "NetStream.Publish.BadName"
_FAILED = "NetStream.Publish.Failed"
_PLAY_FAILED = "NetStream.Play.Failed"
_NOT_FOUND = "NetStream.Play.StreamNotFound"
_SHUTDOWN = "NetConnection.Connect.AppShutdown"
_SHUTDOWN_TEXT = "The server restarts. Connect again."


class Connection(asyncio.Protocol):
    """One peer's connection; a Publisher while it publishes, a Line while it plays."""

    def __init__(self, server: "RtmpServer", loop: asyncio.AbstractEventLoop) -> None:
        self._server = server
        self._loop = loop
        self._session = server.session(ENTROPY_BYTES)
        self._transport: asyncio.Transport | None = None
        self._address = "unknown"
        self._room = ""
        self._feed: Feed | None = None
        self._seat: PlaySeat | None = None
        self._deciding: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._last_byte_s = 0.0
        self._unread_answers_bytes = 0
        self._greeted = False
        self._leaving = False

    @property
    def publishing(self) -> bool:
        """Whether it holds a room."""
        return self._feed is not None

    @property
    def playing(self) -> bool:
        """Whether it has a seat in a room."""
        return self._seat is not None

    @property
    def ignored_messages(self) -> int:
        """Messages its session took no notice of."""
        return self._session.ignored_messages

    # -- asyncio.Protocol --------------------------------------------------------------------------------------------

    @property
    def protocol(self) -> Protocol:
        """What hosts by this connection speak."""
        return "rtmp"

    def rtt_ms(self) -> int | None:
        """The kernel's smoothed round trip (tcpi_rtt); None where it does not tell."""
        return None if self._transport is None else tcp_rtt_ms(self._transport)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        peer = transport.get_extra_info("peername")
        address = str(peer[0]) if isinstance(peer, tuple) else "unknown"
        refusal = self._server.admit(self, address, self._loop.time())
        if refusal == "":
            self._leaving = True
            cast(asyncio.Transport, transport).abort()
            return
        self._session.refusal = refusal or ""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's does not inherit from it
        self._address = address
        self._arm(self._server.limits.handshake_s, self._handshake_late)

    def data_received(self, data: bytes) -> None:
        if self._leaving:
            return
        self._server.counters.received_bytes += len(data)
        self._last_byte_s = self._loop.time()
        self._session.receive_data(data)
        if not self._greeted and self._session.state is not State.HANDSHAKE:
            self._greeted = True
            self._arm(self._server.limits.publish_s, self._publish_late)
        self._pump()

    def eof_received(self) -> None:
        return  # the transport closes

    def pause_writing(self) -> None:
        if self._seat is not None:
            self._seat.pause_writing()
            return
        # A host is sent a few hundred bytes; one that lets 64 KB of answers pile up only asks and never reads.
        log.warning("%s does not read its answers, cut", self._address)
        self.abort()

    def resume_writing(self) -> None:
        if self._seat is not None:
            self._seat.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._deciding is not None:
            self._deciding.cancel()
        self._end("the connection was lost" if exc else "the host left")
        self._leaving = True
        if self._transport is not None:
            self._transport = None
            self._server.forget(self, self._address)

    # -- Publisher ---------------------------------------------------------------------------------------------------

    def close(self, reason: str) -> None:
        """Let go of the room: another host took it over, or it was closed."""
        self._end(reason)
        self.leave(reason, _BAD_NAME, f"This broadcast was ended by the server: {reason}.")

    # -- Line --------------------------------------------------------------------------------------------------------

    def not_live(self, detail: str) -> None:
        """Say that there is nothing to play."""
        self.leave("nothing to play", _NOT_FOUND, f"There is nothing to play: {detail}.")

    def over(self) -> None:
        """Say that the broadcast is over."""
        self._session.end_play()
        self._finish("the broadcast is over")

    def expelled(self, detail: str) -> None:
        """Say why it may watch no longer."""
        self.leave("may watch no longer", _PLAY_FAILED, detail)

    # -- leaving -----------------------------------------------------------------------------------------------------

    def leave(self, reason: str, code: str, description: str) -> None:
        """Tell the peer why, then close."""
        self._session.close(code, description)
        self._finish(reason)

    def drain(self) -> None:
        """Tell the peer to come back to whoever takes over; one that can do that by itself goes on until it has."""
        reason = "the server is going down"
        if not self._leaving and self._session.request_reconnect("The server restarts. Connect again."):
            self._write_answers()
            limit_s = self._server.limits.reconnect_s
            self._arm(limit_s, functools.partial(self.leave, reason, _SHUTDOWN, _SHUTDOWN_TEXT))
        else:
            self.leave(reason, _SHUTDOWN, _SHUTDOWN_TEXT)

    def abort(self) -> None:
        """Cut the connection."""
        self._leaving = True
        if self._transport is not None:
            self._transport.abort()

    def _finish(self, reason: str) -> None:
        """Send what is to be sent, close our side, and cut the connection when the peer does not close its own in time.

        Closing at once with bytes unread makes the kernel send a reset, and the peer loses the answer that says why.
        """
        transport = self._transport
        if self._leaving or transport is None:
            return
        self._leaving = True
        self._end(reason)
        if self._deciding is not None:
            self._deciding.cancel()
        out = self._session.data_to_send()
        if out:
            transport.write(out)
        self._arm(self._server.limits.linger_s, self.abort)
        if out and transport.can_write_eof():
            transport.write_eof()
            transport.resume_reading()
        else:
            transport.close()

    def _end(self, reason: str) -> None:
        feed, self._feed = self._feed, None
        if feed is not None:
            log.info("room %s: host at %s ended: %s", self._room, self._address, reason)
            feed.end(reason, self._server.clock())
        self._stand_up(reason)

    def _stand_up(self, reason: str) -> None:
        seat, self._seat = self._seat, None
        if seat is not None:
            log.info("room %s: player at %s ended: %s", self._room, self._address, reason)
            seat.leave()

    # -- timers ------------------------------------------------------------------------------------------------------

    def _arm(self, delay_s: float, callback: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(delay_s, callback)

    def _handshake_late(self) -> None:
        self._time_out(f"no RTMP handshake within {self._server.limits.handshake_s:g} s")

    def _publish_late(self) -> None:
        self._time_out(f"nothing published or played within {self._server.limits.publish_s:g} s")

    def _check_idle(self) -> None:
        left_s = self._last_byte_s + self._server.limits.idle_s - self._loop.time()
        if left_s > 0:
            self._arm(left_s, self._check_idle)
        else:
            self._time_out(f"silent for {self._server.limits.idle_s:g} s")

    def _time_out(self, reason: str) -> None:
        self._server.counters.timed_out += 1
        log.warning("%s closed: %s", self._address, reason)
        self.leave(reason, "NetConnection.Connect.IdleTimeOut", f"Closed: {reason}.")

    # -- events ------------------------------------------------------------------------------------------------------

    def _pump(self) -> None:
        """Act on what the session has to say, then write its answers once."""
        events = self._session.events_received()
        if events:
            now_ms = self._server.clock()
            try:
                for event in events:
                    if type(event) is MediaReceived:
                        self._push(event, now_ms)
                    else:
                        self._on_event(event)
                    if self._leaving:
                        return
            except PeerError as error:
                self._fail(error)
                return
        self._write_answers()

    def _write_answers(self) -> None:
        out = self._session.data_to_send()
        if not out or self._transport is None:
            return
        if self._seat is not None and self._seat.paused:
            # Answers must not grow without bound behind media that the peer does not read.
            self._unread_answers_bytes += len(out)
            if self._unread_answers_bytes > UNREAD_ANSWERS_BYTES_MAX:
                log.warning("%s does not read its answers, cut", self._address)
                self.abort()
                return
        self._transport.write(out)

    def _push(self, event: MediaReceived, now_ms: int) -> None:
        if self._feed is not None and self._feed.push(event, now_ms):
            self._server.counters.packets += 1
        else:
            self._server.counters.ignored += 1

    def _on_event(self, event: object) -> None:
        match event:
            case PublishRequested():
                request = PublishRequest(event.app, event.room, event.key, self._address, event.proof)
                self._decide(self._authorize(request))
            case PlayRequested():
                low_delay = event.query.get("delay") == "low"
                wish = PlayRequest(event.app, event.room, event.token, self._address, low_delay)
                self._decide(self._authorize_play(wish))
            case PlayEnded():
                self._stand_up("the player stopped")
                self._arm(self._server.limits.publish_s, self._publish_late)
            case PublishEnded():
                self._end("the host stopped")
                self._arm(self._server.limits.publish_s, self._publish_late)
            case PeerRejected(challenged=True):
                self._finish("challenged")
            case PeerRejected():
                self._server.counters.rejected += 1
                log.warning("%s rejected: %s", self._address, event.code)
                self._finish(event.code)
            case SessionFailed():
                self._fail(event.error)

    def _fail(self, error: PeerError) -> None:
        self._server.counters.failed += 1
        log.warning("%s closed: %s: %s", self._address, type(error).__name__, error)
        self._finish(str(error))

    def _decide(self, deciding: Coroutine[None, None, None]) -> None:
        assert self._transport is not None
        self._transport.pause_reading()  # the session holds what is already read
        if self._timer is not None:
            self._timer.cancel()
        self._deciding = self._loop.create_task(deciding)
        self._deciding.add_done_callback(self._decided)

    async def _authorize(self, request: PublishRequest) -> None:
        try:
            async with asyncio.timeout(self._server.limits.authorize_s):
                origin = await self._server.ingest.authorize(request)
            feed = await self._take_room(request.room, origin)
            self._deciding = None  # from here on nothing waits, so there is nothing to cancel
            self._accept(request, feed)
        except TimeoutError:
            self._reject(_FAILED, "The stream key could not be checked in time. Try again.")
        except AlreadyPublishing:
            log.warning("room %s: a second host at %s refused", request.room, self._address)
            self._reject(_BAD_NAME, "This room is live already. Stop the other encoder first, then start again.")
        except PublishRefused as refused:
            self._reject(refused.code, refused.description)

    async def _take_room(self, room: str, origin: Origin | None) -> Feed:
        """Become the room's host; from one that looks alive only if it says nothing more for a moment.

        A phone that changed its network is back before its old connection counts as silent, and a refusal would cost it
        one of its three tries.
        """
        asked_ms, latest_s = self._server.clock(), self._loop.time() + TAKEOVER_WAIT_S
        while True:
            try:
                return self._server.ingest.publish(room, self, self._server.clock(), origin)
            except AlreadyPublishing as busy:
                if busy.heard_ms > asked_ms + TAKEOVER_SLACK_MS or self._loop.time() >= latest_s:
                    raise
                await asyncio.sleep(max(busy.retry_ms, 10) / 1000)

    def _accept(self, request: PublishRequest, feed: Feed) -> None:
        assert self._transport is not None  # connection_lost cancels the task that called
        self._feed = feed
        self._room = request.room
        log.info("room %s: host at %s publishes", request.room, self._address)
        self._last_byte_s = self._loop.time()
        self._arm(self._server.limits.idle_s, self._check_idle)
        self._transport.resume_reading()
        self._session.accept_publish()
        self._pump()

    async def _authorize_play(self, request: PlayRequest) -> None:
        outlet = self._server.outlet
        try:
            if outlet is None:
                raise PlayRefused(_PLAY_FAILED, "Playing over RTMP is not offered here. Open /live/ROOM.flv over HTTP.")
            async with asyncio.timeout(self._server.limits.authorize_s):
                await outlet.authorize(request)
            self._deciding = None
            self._play(outlet, request)
        except TimeoutError:
            self._reject_play(_PLAY_FAILED, "The token could not be checked in time. Try again.")
        except PlayRefused as refused:
            self._reject_play(refused.code, refused.description)

    def _play(self, outlet: Outlet, request: PlayRequest) -> None:
        transport = self._transport
        if self._leaving or transport is None:
            return
        self._room = request.room
        log.info("room %s: player at %s", request.room, self._address)
        transport.resume_reading()
        self._session.accept_play()
        self._pump()
        if self._leaving or self._session.state is not State.PLAYING:
            return
        self._unread_answers_bytes = 0
        self._seat = outlet.seat(request, self)
        self._seat.sit(transport)

    def _reject_play(self, code: str, description: str) -> None:
        self._deciding = None
        if self._leaving:
            return
        self._server.counters.rejected += 1
        log.warning("%s rejected: %s", self._address, code)
        self._session.reject_play(code, description)
        self._finish(code)

    def _reject(self, code: str, description: str) -> None:
        """Refuse; the room is not logged, as a key typed into the wrong field would be one."""
        self._deciding = None
        if self._leaving:
            return
        self._server.counters.rejected += 1
        log.warning("%s rejected: %s", self._address, code)
        self._session.reject_publish(code, description)
        self._finish(code)

    def _decided(self, task: asyncio.Task[None]) -> None:
        if self._deciding is task:
            self._deciding = None
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            log.error("publish or play of %s could not be decided", self._address, exc_info=error)
            self.leave("internal error", _FAILED, "The server could not check the key or token. Try again.")
