"""WebRTC's way to the network: one UDP port for all sessions, ICE-lite, DTLS by aiortc, SRTP by libsrtp.

What comes in is told apart by its first byte (RFC 7983 section 7): STUN 0–3, DTLS 20–63, RTP and RTCP 128–191. A
session is found by the user name of a signed STUN check, from then on by the peer's address. STUN is answered here;
DTLS goes to aiortc's `RTCDtlsTransport`, which needs of its transport only `role`, `_recv` and `_send`; media is
decrypted and handed to the session's `Peer` at once, without a task or a queue on the way.

aiortc and ifaddr are imported when the port is opened: ifaddr runs a program to find the C library.

    new ─signed check─► connecting (DTLS) ─keys─► connected ─no authentic packet for consent_ms─► closed
     └─────────── setup_ms ───────────────┘            └──── peer's DTLS close, or `close_session` ─┘
"""

from __future__ import annotations

import asyncio
import errno
import logging
import secrets
import socket
import struct
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from stream.errors import OfferRefused, RtpError, StunError
from stream.protocol import stun
from stream.protocol.rtcp import is_rtcp
from stream.webrtc_addresses import WILDCARDS, candidate_addresses, unmapped
from stream.webrtc_sdp import LocalEnd
from stream.webrtc_session import Address, Peer, Session
from stream.webrtc_tcp import TcpDoor, TcpPath

if TYPE_CHECKING:
    from aiortc import RTCCertificate, RTCDtlsFingerprint

log = logging.getLogger("siyu.webrtc")

UDP_SEGMENT: Final = 103
"""linux/udp.h: the kernel cuts one write into datagrams of this size."""
SOCKET_BUFFER_BYTES: Final = 4 * 1024 * 1024
"""Asked of the kernel for each direction: a key frame to 40 viewers."""
SEND_QUEUE_BYTES_MAX: Final = 16 * 1024 * 1024
"""Of writes that wait for the kernel: over a tenth of a second of a full 1 Gbit/s link. What comes on top of it is
lost and asked for again, as on the way."""
DATAGRAMS_PER_WAKE: Final = 128
"""Read at once before the loop may do something else."""
DATAGRAM_BYTES_MAX: Final = 2048
SWEEP_INTERVAL_S: Final = 1.0
FREE_PORT_TRIES: Final = 10
"""Ports that are tried until one is free for UDP and TCP alike."""


@dataclass(frozen=True, slots=True)
class TransportLimits:
    """Bounds and time-outs of all sessions."""

    sessions_max: int = 5_000
    sessions_per_address_max: int = 100
    """Of one client address as HTTP saw it: a shop's or a phone network's gateway has many viewers."""
    loopback_exempt: bool = True
    setup_ms: int = 15_000
    """From the answer to the keys: ICE checks of a phone may take seconds."""
    consent_ms: int = 8_000
    """Without an authentic packet. Peers check each 4 to 6 s at most (RFC 7675 section 5.1), and report each second."""


@dataclass(slots=True)
class TransportStats:
    """Counts for /metrics."""

    connections: int = 0
    accepted: int = 0
    refused: int = 0
    connected: int = 0
    consent_lost: int = 0
    setup_timeouts: int = 0
    dtls_failed: int = 0
    datagrams_in: int = 0
    datagrams_out: int = 0
    writes_queued: int = 0
    writes_dropped: int = 0
    write_errors: int = 0
    ignored: int = 0
    """Datagrams of nobody, or broken."""
    tcp_connections: int = 0


class WebRtcTransport:
    """The UDP port and its sessions.

    `clock` gives Unix milliseconds. `worker` is this process's number among those that share an HTTP port: session ids
    begin with it, so that a request for a session finds the process that has it (`worker_of`).
    """

    def __init__(self, *, clock: Callable[[], int], limits: TransportLimits | None = None, worker: int = 0) -> None:
        self.clock = clock
        self.worker = worker
        self.limits = limits or TransportLimits()
        self.counts = TransportStats()
        self.port = 0
        self.addresses: tuple[str, ...] = ()
        self._socket: socket.socket | None = None
        self._door = TcpDoor(self._on_framed, self._forget_path)
        self._sessions: dict[str, Session] = {}
        self._by_ufrag: dict[str, Session] = {}
        self._by_address: dict[Address, Session] = {}
        self._per_client: Counter[str] = Counter()
        self._queue: deque[tuple[bytes, int, Address]] = deque()
        self._queue_bytes = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._segments = True
        self._closing = False
        self._certificate: RTCCertificate | None = None
        self._fingerprint = ""

    # -- life --------------------------------------------------------------------------------------------------------

    async def start(self, host: str, port: int, *, addresses: Sequence[str] = ()) -> int:
        """Listen on `host`:`port` (0: any), UDP and TCP, and give the port.

        `addresses` (or names) go into the candidates, none: `host`, or for a wildcard the machine's own. Raises OSError
        when the port cannot be had, or no address be reached by way of it.
        """
        from aiortc import RTCCertificate

        self._loop = loop = asyncio.get_running_loop()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        resolved = await loop.getaddrinfo(host, port, family=family, type=socket.SOCK_DGRAM)
        bound = str(resolved[0][4][0])
        self.addresses = await candidate_addresses(bound, addresses)
        for attempt in range(1 if port else FREE_PORT_TRIES):
            sock = _open_udp(bound, port)
            self.port = int(sock.getsockname()[1])
            try:
                await self._door.open(bound, self.port)
                break
            except OSError as error:
                # With port 0: free for UDP, in use for TCP.
                sock.close()
                if port or attempt + 1 == FREE_PORT_TRIES:
                    text = f"cannot listen on {host}:{self.port} for ICE over TCP: {error.strerror}"
                    raise OSError(error.errno, text) from error
        self._socket = sock
        self._certificate = RTCCertificate.generateCertificate()
        self._fingerprint = next(f.value for f in self._certificate.getFingerprints() if f.algorithm == "sha-256")
        loop.add_reader(sock.fileno(), self._on_readable)
        self._timer = loop.call_later(SWEEP_INTERVAL_S, self._on_timer)
        return self.port

    async def drain(self) -> None:
        """Take no new session and close those there are."""
        self._closing = True
        for session in tuple(self._sessions.values()):
            self.close_session(session, "the server is going down")
        if self._tasks:
            await asyncio.wait(tuple(self._tasks), timeout=2)

    async def close(self) -> None:
        """Close everything and the port."""
        await self.drain()
        if self._timer is not None:
            self._timer.cancel()
        if self._socket is not None:
            self._loop.remove_reader(self._socket.fileno())
            self._loop.remove_writer(self._socket.fileno())
            self._socket.close()
            self._socket = None
        self._door.close()

    def stats(self) -> TransportStats:
        """Return the present counts."""
        self.counts.connections = len(self._sessions)
        self.counts.tcp_connections = self._door.connections
        return self.counts

    # -- sessions ----------------------------------------------------------------------------------------------------

    def open_session(
        self,
        peer: Peer,
        *,
        client: str,
        remote_ufrag: str,
        fingerprints: tuple[RTCDtlsFingerprint, ...],
        connects: bool = False,
    ) -> Session:
        """Make a session that waits for the peer's checks. Raises OfferRefused 503 or 429 above a limit."""
        limits, client = self.limits, unmapped(client)
        if self._closing or self._socket is None or len(self._sessions) >= limits.sessions_max:
            self.counts.refused += 1
            raise OfferRefused(503, "full", "the server takes no more WebRTC sessions now", retry_ms=5_000)
        exempt = limits.loopback_exempt and (client.startswith("127.") or client in ("::1", "unix"))
        if not exempt and self._per_client[client] >= limits.sessions_per_address_max:
            self.counts.refused += 1
            raise OfferRefused(429, "too_many_sessions", "too many WebRTC sessions from this address", retry_ms=10_000)
        self._per_client[client] += 1
        self.counts.accepted += 1
        session = Session(
            id=f"{self.worker}.{secrets.token_urlsafe(18)}",
            transport=self,
            client=client,
            ufrag=secrets.token_hex(8),
            password=secrets.token_hex(16),
            remote_ufrag=remote_ufrag,
            fingerprints=fingerprints,
            peer=peer,
            heard_ms=self.clock(),
            connects=connects,
        )
        self._sessions[session.id] = self._by_ufrag[session.ufrag] = session
        return session

    def local_end(self, session: Session, reached: str | None = None) -> LocalEnd:
        """Give what an answer says of us; `reached` is the address that the client used, for a wildcard host."""
        addresses = tuple(dict.fromkeys((unmapped(reached), *self.addresses))) if reached else self.addresses
        kept = tuple(a for a in addresses if a not in WILDCARDS) or ("127.0.0.1",)
        return LocalEnd(session.ufrag, session.password, kept, self.port, self._fingerprint, tcp=True)

    def restart_ice(self, session: Session, remote_ufrag: str) -> None:
        """Give the session new credentials; the old path stays until the new one is checked (RFC 8445 section 2.4)."""
        self._by_ufrag.pop(session.ufrag, None)
        session.ufrag, session.password = secrets.token_hex(8), secrets.token_hex(16)
        session.remote_ufrag = remote_ufrag
        self._by_ufrag[session.ufrag] = session

    def close_session(self, session: Session, reason: str) -> None:
        """End a session; a second call does nothing."""
        if session.closed:
            return
        session.closed = True
        was, session.connected = session.connected, False
        self._sessions.pop(session.id, None)
        self._by_ufrag.pop(session.ufrag, None)
        for address in session.addresses:
            if self._by_address.get(address) is session:
                del self._by_address[address]
        self._per_client[session.client] -= 1
        if self._per_client[session.client] <= 0:
            del self._per_client[session.client]
        log.info("session %s of %s ended: %s", session.name, session.client, reason)
        if session.task is not None and not session.task.done():
            session.task.cancel()
        paths = [address for address in session.addresses if isinstance(address, TcpPath)]
        if was:
            self._spawn(self._part(session, paths))
        else:
            for path in paths:
                path.close()
        session.peer.on_closed(reason, self.clock())

    async def _part(self, session: Session, paths: list[TcpPath]) -> None:
        """Say goodbye, then hang up."""
        await session.farewell()
        for path in paths:
            path.finish()

    def _forget_path(self, path: TcpPath) -> None:
        """A TCP connection is gone: its session is heard again by another way, or consent ends it."""
        session = self._by_address.pop(path, None)
        if session is not None:
            session.addresses.discard(path)
            if session.address is path:
                session.address = next(iter(session.addresses), None)

    def _spawn(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a session's task failed", exc_info=error)

    async def _connect(self, session: Session) -> None:
        assert self._certificate is not None
        failed = await session.handshake(self._certificate)
        if session.closed:
            return
        if failed is not None:
            self.counts.dtls_failed += 1
            # Not from within: closing cancels this very task.
            session.task = None
            self.close_session(session, failed)
            return
        session.connected = True
        session.heard_ms = self.clock()
        self.counts.connected += 1
        session.peer.on_connected(session.heard_ms)

    def _on_timer(self) -> None:
        self._timer = self._loop.call_later(SWEEP_INTERVAL_S, self._on_timer)
        self.sweep(self.clock())

    def sweep(self, now_ms: int) -> None:
        """Close the sessions whose peer was not heard in time."""
        limits = self.limits
        for session in tuple(self._sessions.values()):
            silent_ms = now_ms - session.heard_ms
            if session.connected and silent_ms >= limits.consent_ms:
                self.counts.consent_lost += 1
                self.close_session(session, f"not heard for {silent_ms} ms")
            elif not session.connected and silent_ms >= limits.setup_ms:
                self.counts.setup_timeouts += 1
                self.close_session(session, "not connected in time")

    # -- datagrams in ------------------------------------------------------------------------------------------------

    def _on_readable(self) -> None:
        sock = self._socket
        assert sock is not None
        now_ms = self.clock()
        for _ in range(DATAGRAMS_PER_WAKE):
            try:
                data, address = sock.recvfrom(DATAGRAM_BYTES_MAX)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                # An ICMP answer to something we sent: consent ends that session.
                log.debug("UDP read: %s", error)
                return
            self.counts.datagrams_in += 1
            if data:
                self.receive(data, address, now_ms)
            if self._socket is None:
                return

    def _on_framed(self, data: bytes, path: TcpPath) -> None:
        self.counts.datagrams_in += 1
        self.receive(data, path, self.clock())

    def receive(self, data: bytes, address: Address, now_ms: int) -> None:
        """Take one datagram."""
        first = data[0]
        if first < 4:
            self._on_stun(data, address, now_ms)
            return
        session = self._by_address.get(address)
        if session is None:
            self.counts.ignored += 1
        elif 20 <= first < 64:
            session.record(data)
        elif 128 <= first < 192:
            plain = session.unprotect(data)
            if plain is None:
                self.counts.ignored += 1
                return
            session.heard_ms = now_ms
            try:
                if is_rtcp(data):
                    session.peer.on_rtcp(plain, now_ms)
                else:
                    session.peer.on_rtp(plain, now_ms)
            except RtpError as error:
                self.counts.ignored += 1
                log.debug("session %s: %s", session.name, error)
        else:
            self.counts.ignored += 1

    def _on_stun(self, data: bytes, address: Address, now_ms: int) -> None:
        try:
            request = stun.parse_binding_request(data)
        except StunError:
            self.counts.ignored += 1
            return
        if request is None:
            return
        session = self._by_ufrag.get(request.username.partition(":")[0])
        if session is None or not request.authentic(session.password):
            self.counts.ignored += 1
            return
        if request.controlled:
            answer = stun.role_conflict(request.transaction, session.password)
            self.write(answer, len(answer), address)
            return
        host, port = address.peer if isinstance(address, TcpPath) else address[:2]
        answer = stun.binding_success(request.transaction, str(host), int(port), session.password)
        self.write(answer, len(answer), address)
        if session.connected:
            session.heard_ms = now_ms
        self._place(session, address, nominated=request.use_candidate)

    def _place(self, session: Session, address: Address, *, nominated: bool) -> None:
        """Note a path that a signed check came by; the nominated one is used (RFC 8445 section 7.3.1.5)."""
        if isinstance(address, TcpPath):
            address.checked()
        if address not in session.addresses:
            if len(session.addresses) >= PATHS_MAX:
                oldest = next(a for a in session.addresses if a != session.address)
                session.addresses.discard(oldest)
                self._by_address.pop(oldest, None)
            session.addresses.add(address)
        self._by_address[address] = session
        if session.address is None or nominated:
            session.address = address
        if session.task is None:
            session.task = self._spawn(self._connect(session))

    # -- datagrams out -----------------------------------------------------------------------------------------------

    def write(self, data: bytes | memoryview, size: int, address: Address) -> bool:
        """Send datagrams of `size` bytes, the last one what is left; false when segmentation does not work there."""
        if isinstance(address, TcpPath):
            sent = address.send(data, size)
            self.counts.datagrams_out += sent
            self.counts.writes_dropped += not sent
            return True
        if self._queue:
            self._enqueue(data, size, address)
            return True
        sock = self._socket
        if sock is None:
            return True
        total = len(data)
        try:
            if total <= size:
                sock.sendto(data, address)
            elif self._segments:
                sock.sendmsg((data,), _SEGMENT_OF.get(size) or _segment(size), 0, address)
            else:
                return False
        except (BlockingIOError, InterruptedError):
            self._enqueue(data, size, address)
            return True
        except OSError as error:
            if total > size and error.errno in (errno.EIO, errno.EMSGSIZE, errno.EINVAL, errno.ENOPROTOOPT):
                if error.errno in (errno.EIO, errno.ENOPROTOOPT):
                    # The device or the kernel cannot do it at all.
                    self._segments = False
                return False
            # The way is gone for now (no route, refused): consent ends the session if it stays so.
            self.counts.write_errors += 1
            return True
        self.counts.datagrams_out += -(-total // size)
        return True

    def _enqueue(self, data: bytes | memoryview, size: int, address: Address) -> None:
        if self._socket is None:
            return
        if self._queue_bytes + len(data) > SEND_QUEUE_BYTES_MAX:
            self.counts.writes_dropped += 1
            return
        if not self._queue:
            self._loop.add_writer(self._socket.fileno(), self._on_writable)
        self.counts.writes_queued += 1
        self._queue.append((bytes(data), size, address))
        self._queue_bytes += len(data)

    def _on_writable(self) -> None:
        waiting, self._queue, self._queue_bytes = self._queue, deque(), 0
        assert self._socket is not None
        self._loop.remove_writer(self._socket.fileno())
        while waiting:
            data, size, address = waiting.popleft()
            if not self.write(data, size, address):
                for at in range(0, len(data), size):
                    self.write(data[at : at + size], size, address)
            if self._queue:
                # Full again: what is left goes behind, in its order.
                self._queue.extend(waiting)
                self._queue_bytes += sum(len(data) for data, _, _ in waiting)
                return


def _open_udp(host: str, port: int) -> socket.socket:
    """Open the UDP port. Raises OSError with a sentence."""
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            sock.setsockopt(socket.SOL_SOCKET, option, SOCKET_BUFFER_BYTES)
        if host == "::":
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        raise OSError(error.errno, f"cannot use UDP on {host}:{port}: {error.strerror}") from error
    return sock


_SEGMENT_OF: Final[dict[int, list[tuple[int, int, bytes]]]] = {}
"""Ancillary data by segment size, at most one for each size of a datagram."""


def _segment(size: int) -> list[tuple[int, int, bytes]]:
    data = _SEGMENT_OF[size] = [(socket.IPPROTO_UDP, UDP_SEGMENT, struct.pack("H", size))]
    return data


PATHS_MAX: Final = 8
"""Addresses of one peer that are known at once: its interfaces, and what their gateways make of them."""
