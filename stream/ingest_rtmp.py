"""RTMP hosts: the asyncio shell around `RtmpSession`, one Protocol per connection.

Bytes are parsed and pushed into the relay inside `data_received`: no task, no queue and no await between a host's
packet and its room. Only `authorize` is awaited, once per publish, with the transport's reading paused.

Each connection has one timer at a time:

    handshake_s ─handshake─► publish_s ─publish─► authorize_s ─accepted─► idle_s (counts from the last byte)

Once it is to go, the answer is sent and our side closed, so that the peer can read why; after linger_s it is cut.
"""

import asyncio
import ipaddress
import logging
import os
import ssl as tls
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol, cast

from stream.errors import AlreadyPublishing, PeerError, PublishRefused
from stream.packet import Kind, Packet
from stream.protocol.flv import parse_audio_body, parse_data_body, parse_video_body
from stream.protocol.rtmp_handshake import ENTROPY_BYTES
from stream.protocol.rtmp_session import (
    MediaReceived,
    PeerRejected,
    PublishEnded,
    PublishRequested,
    RtmpSession,
    SessionFailed,
    State,
)

log = logging.getLogger("siyu.rtmp")

DRAIN_BATCH = 50
"""Hosts told to go at once when draining; they come back as many to whoever takes over."""
DRAIN_INTERVAL_S = 0.05
REFUSED_LOG_INTERVAL_S = 10.0
"""Refusals above a connection limit are counted, and logged this often: a flood must not fill the log."""

_BAD_NAME = "NetStream.Publish.BadName"
_FAILED = "NetStream.Publish.Failed"
_SHUTDOWN = "NetConnection.Connect.AppShutdown"


@dataclass(frozen=True, slots=True)
class PublishRequest:
    """Who wants to publish what; `key` is empty when the address holds none and is never shown."""

    app: str
    room: str
    key: str = field(repr=False)
    address: str


class Publication(Protocol):
    """A host's hold on a room."""

    def push(self, packet: Packet, now_ms: int) -> None: ...
    def end(self, reason: str, now_ms: int) -> None: ...


class Publisher(Protocol):
    """What a directory keeps of a host: `close` is called when the room is taken over or closed."""

    def close(self, reason: str) -> None: ...


class PublicationDirectory(Protocol):
    """Where rooms are published; raises AlreadyPublishing or PublishRefused."""

    def publish(self, room: str, publisher: Publisher, now_ms: int, /) -> Publication: ...


Authorize = Callable[[PublishRequest], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class RtmpLimits:
    """Time-outs in seconds and bounds of the RTMP server."""

    handshake_s: float = 10.0
    """From accept to C2: bytes that trickle in do not extend it."""
    publish_s: float = 10.0
    """From the handshake to publish, and from unpublish to the next publish."""
    authorize_s: float = 5.0
    idle_s: float = 30.0
    """Without a byte of a host that publishes."""
    linger_s: float = 2.0
    """For the peer to read why it must go."""
    connections_max: int = 1_000
    connections_per_address_max: int = 20
    """A shop's hosts behind one address, with reconnects that overlap."""
    loopback_exempt: bool = True
    """Loopback addresses have no bound of their own: the demo and a proxy on this machine come from there."""


@dataclass(frozen=True, slots=True)
class RtmpStats:
    """Counts for /metrics: `connections` and `publishing` are present ones, all others totals since the start."""

    connections: int
    publishing: int
    accepted: int
    refused: int
    """Above a connection limit."""
    rejected: int
    """Told to go: wrong app, wrong key, second publisher."""
    failed: int
    """Broke the protocol."""
    timed_out: int
    received_bytes: int
    packets: int
    ignored: int
    """Messages and tags that say nothing to a player."""


@dataclass(slots=True)
class _Counters:
    accepted: int = 0
    refused: int = 0
    rejected: int = 0
    failed: int = 0
    timed_out: int = 0
    received_bytes: int = 0
    packets: int = 0
    ignored: int = 0


class RtmpIngest:
    """The RTMP server.

    `authorize` is awaited for each publish and raises PublishRefused; `clock` gives Unix milliseconds.
    """

    def __init__(
        self,
        directory: PublicationDirectory,
        authorize: Authorize,
        *,
        clock: Callable[[], int],
        limits: RtmpLimits | None = None,
        entropy: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self.directory = directory
        self.authorize = authorize
        self.clock = clock
        self.limits = limits or RtmpLimits()
        self.entropy = entropy
        self.counters = _Counters()
        self._connections: set[_Connection] = set()
        self._by_address: Counter[str] = Counter()
        self._server: asyncio.Server | None = None
        self._gone = asyncio.Event()
        self._refused_logged_s = 0.0

    async def start(self, host: str, port: int, ssl: tls.SSLContext | None = None) -> int:
        """Listen, and return the port. Raises OSError when the address cannot be had."""
        loop = asyncio.get_running_loop()
        handshake_s = self.limits.handshake_s if ssl else None
        self._server = await loop.create_server(
            lambda: _Connection(self, loop), host, port, ssl=ssl, ssl_handshake_timeout=handshake_s
        )
        return int(self._server.sockets[0].getsockname()[1])

    async def drain(self) -> None:
        """Stop listening, tell every host to go, in batches, and wait until they are gone (`linger_s` at most)."""
        self._stop_listening()
        for number, connection in enumerate(tuple(self._connections), 1):
            connection.leave("the server is going down", _SHUTDOWN, "The server restarts. Connect again.")
            if number % DRAIN_BATCH == 0:
                await asyncio.sleep(DRAIN_INTERVAL_S)
        await self._wait_gone()

    async def close(self) -> None:
        """Stop listening and cut every connection."""
        self._stop_listening()
        for connection in tuple(self._connections):
            connection.abort()
        await self._wait_gone()

    def stats(self) -> RtmpStats:
        """Return the present counts."""
        counters = self.counters
        return RtmpStats(
            connections=len(self._connections),
            publishing=sum(connection.publishing for connection in self._connections),
            accepted=counters.accepted,
            refused=counters.refused,
            rejected=counters.rejected,
            failed=counters.failed,
            timed_out=counters.timed_out,
            received_bytes=counters.received_bytes,
            packets=counters.packets,
            ignored=counters.ignored + sum(connection.ignored_messages for connection in self._connections),
        )

    def admit(self, connection: "_Connection", address: str, now_s: float) -> bool:
        """Enter a new connection, unless a limit is reached."""
        limits = self.limits
        exempt = limits.loopback_exempt and _is_loopback(address)
        over_address = not exempt and self._by_address[address] >= limits.connections_per_address_max
        if over_address or len(self._connections) >= limits.connections_max:
            self.counters.refused += 1
            if now_s - self._refused_logged_s >= REFUSED_LOG_INTERVAL_S:
                self._refused_logged_s = now_s
                what = "from one address" if over_address else "in all"
                log.warning("refused %s: too many connections %s (%d so far)", address, what, self.counters.refused)
            return False
        self.counters.accepted += 1
        self._by_address[address] += 1
        self._connections.add(connection)
        return True

    def forget(self, connection: "_Connection", address: str) -> None:
        """Take out a connection that was admitted."""
        self.counters.ignored += connection.ignored_messages
        self._connections.discard(connection)
        self._by_address[address] -= 1
        if not self._by_address[address]:
            del self._by_address[address]
        if not self._connections:
            self._gone.set()

    def _stop_listening(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _wait_gone(self) -> None:
        self._gone.clear()
        if not self._connections:
            return
        try:
            async with asyncio.timeout(self.limits.linger_s + 1):
                await self._gone.wait()
        except TimeoutError:
            log.warning("%d connections did not end in time", len(self._connections))


class _Connection(asyncio.Protocol):
    """One host's connection; a Publisher."""

    def __init__(self, ingest: RtmpIngest, loop: asyncio.AbstractEventLoop) -> None:
        self._ingest = ingest
        self._loop = loop
        self._session = RtmpSession(ingest.entropy(ENTROPY_BYTES))
        self._transport: asyncio.Transport | None = None
        self._address = "unknown"
        self._room = ""
        self._publication: Publication | None = None
        self._deciding: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._last_byte_s = 0.0
        self._greeted = False
        self._leaving = False

    @property
    def publishing(self) -> bool:
        """Whether it holds a room."""
        return self._publication is not None

    @property
    def ignored_messages(self) -> int:
        """Messages its session took no notice of."""
        return self._session.ignored_messages

    # -- asyncio.Protocol --------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        peer = transport.get_extra_info("peername")
        address = str(peer[0]) if isinstance(peer, tuple) else "unknown"
        if not self._ingest.admit(self, address, self._loop.time()):
            self._leaving = True
            cast(asyncio.Transport, transport).abort()
            return
        self._transport = cast(asyncio.Transport, transport)  # uvloop's does not inherit from it
        self._address = address
        self._arm(self._ingest.limits.handshake_s, self._handshake_late)

    def data_received(self, data: bytes) -> None:
        if self._leaving:
            return
        self._ingest.counters.received_bytes += len(data)
        self._last_byte_s = self._loop.time()
        self._session.receive_data(data)
        if not self._greeted and self._session.state is not State.HANDSHAKE:
            self._greeted = True
            self._arm(self._ingest.limits.publish_s, self._publish_late)
        self._pump()

    def eof_received(self) -> None:
        return  # the transport closes

    def pause_writing(self) -> None:
        # A host is sent a few hundred bytes; one that lets 64 KB of answers pile up only asks and never reads.
        log.warning("%s does not read its answers, cut", self._address)
        self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._deciding is not None:
            self._deciding.cancel()
        self._end("the connection was lost" if exc else "the host left")
        self._leaving = True
        if self._transport is not None:
            self._transport = None
            self._ingest.forget(self, self._address)

    # -- Publisher ---------------------------------------------------------------------------------------------------

    def close(self, reason: str) -> None:
        """Let go of the room: another host took it over, or it was closed."""
        self._end(reason)
        self.leave(reason, _BAD_NAME, f"This broadcast was ended by the server: {reason}.")

    # -- leaving -----------------------------------------------------------------------------------------------------

    def leave(self, reason: str, code: str, description: str) -> None:
        """Tell the peer why, then close."""
        self._session.close(code, description)
        self._finish(reason)

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
        self._arm(self._ingest.limits.linger_s, self.abort)
        if out and transport.can_write_eof():
            transport.write_eof()
            transport.resume_reading()
        else:
            transport.close()

    def _end(self, reason: str) -> None:
        publication, self._publication = self._publication, None
        if publication is not None:
            log.info("room %s: host at %s ended: %s", self._room, self._address, reason)
            publication.end(reason, self._ingest.clock())

    # -- timers ------------------------------------------------------------------------------------------------------

    def _arm(self, delay_s: float, callback: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(delay_s, callback)

    def _handshake_late(self) -> None:
        self._time_out(f"no RTMP handshake within {self._ingest.limits.handshake_s:g} s")

    def _publish_late(self) -> None:
        self._time_out(f"nothing published within {self._ingest.limits.publish_s:g} s")

    def _check_idle(self) -> None:
        left_s = self._last_byte_s + self._ingest.limits.idle_s - self._loop.time()
        if left_s > 0:
            self._arm(left_s, self._check_idle)
        else:
            self._time_out(f"silent for {self._ingest.limits.idle_s:g} s")

    def _time_out(self, reason: str) -> None:
        self._ingest.counters.timed_out += 1
        log.warning("%s closed: %s", self._address, reason)
        self.leave(reason, "NetConnection.Connect.IdleTimeOut", f"Closed: {reason}.")

    # -- events ------------------------------------------------------------------------------------------------------

    def _pump(self) -> None:
        """Act on what the session has to say, then write its answers once."""
        session = self._session
        now_ms = self._ingest.clock()
        try:
            for event in session.events_received():
                if type(event) is MediaReceived:
                    self._push(event, now_ms)
                else:
                    self._on_event(event)
                if self._leaving:
                    return
        except PeerError as error:
            self._fail(error)
            return
        out = session.data_to_send()
        if out and self._transport is not None:
            self._transport.write(out)

    def _push(self, event: MediaReceived, now_ms: int) -> None:
        kind = event.kind
        if kind == Kind.VIDEO:
            packet = parse_video_body(event.body, event.dts_ms)
        elif kind == Kind.AUDIO:
            packet = parse_audio_body(event.body, event.dts_ms)
        else:
            packet = parse_data_body(event.body, event.dts_ms)
        if packet is None or self._publication is None:
            self._ingest.counters.ignored += 1
            return
        self._ingest.counters.packets += 1
        self._publication.push(packet, now_ms)

    def _on_event(self, event: object) -> None:
        match event:
            case PublishRequested():
                self._decide(PublishRequest(event.app, event.room, event.key, self._address))
            case PublishEnded():
                self._end("the host stopped")
                self._arm(self._ingest.limits.publish_s, self._publish_late)
            case PeerRejected():
                self._ingest.counters.rejected += 1
                log.warning("%s rejected: %s", self._address, event.code)
                self._finish(event.code)
            case SessionFailed():
                self._fail(event.error)

    def _fail(self, error: PeerError) -> None:
        self._ingest.counters.failed += 1
        log.warning("%s closed: %s: %s", self._address, type(error).__name__, error)
        self._finish(str(error))

    def _decide(self, request: PublishRequest) -> None:
        assert self._transport is not None
        self._transport.pause_reading()  # the session holds what is already read
        if self._timer is not None:
            self._timer.cancel()
        self._deciding = self._loop.create_task(self._authorize(request))
        self._deciding.add_done_callback(self._decided)

    async def _authorize(self, request: PublishRequest) -> None:
        try:
            async with asyncio.timeout(self._ingest.limits.authorize_s):
                await self._ingest.authorize(request)
            self._deciding = None  # from here on nothing waits, so there is nothing to cancel
            self._accept(request)
        except TimeoutError:
            self._reject(_FAILED, "The stream key could not be checked in time. Try again.")
        except AlreadyPublishing:
            log.warning("room %s: a second host at %s refused", request.room, self._address)
            self._reject(_BAD_NAME, "This room is live already. Stop the other encoder first, then start again.")
        except PublishRefused as refused:
            self._reject(refused.code, refused.description)

    def _accept(self, request: PublishRequest) -> None:
        if self._leaving or self._transport is None:
            return
        self._publication = self._ingest.directory.publish(request.room, self, self._ingest.clock())
        self._room = request.room
        log.info("room %s: host at %s publishes", request.room, self._address)
        self._last_byte_s = self._loop.time()
        self._arm(self._ingest.limits.idle_s, self._check_idle)
        self._transport.resume_reading()
        self._session.accept_publish()
        self._pump()

    def _reject(self, code: str, description: str) -> None:
        """Refuse; the room is not logged, as a key typed into the wrong field would be one."""
        self._deciding = None
        if self._leaving:
            return
        self._ingest.counters.rejected += 1
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
            log.error("publish of %s could not be decided", self._address, exc_info=error)
            self.leave("internal error", _FAILED, "The server could not check the stream key. Try again.")


def _is_loopback(address: str) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return bool((mapped or parsed).is_loopback)
