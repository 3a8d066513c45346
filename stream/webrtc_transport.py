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
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

import pylibsrtp

from stream.errors import OfferRefused, RtpError, StunError
from stream.protocol import stun
from stream.protocol.rtcp import is_rtcp
from stream.srtp import Run, protect_run, runs_of
from stream.webrtc_addresses import own_addresses
from stream.webrtc_sdp import LocalEnd

if TYPE_CHECKING:
    from aiortc import RTCCertificate, RTCDtlsFingerprint
    from aiortc.rtcdtlstransport import RTCDtlsTransport

log = logging.getLogger("siyu.webrtc")

Address = tuple[Any, ...]
"""As the socket gives it: (host, port) or IPv6's four."""

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
DTLS_QUEUE_MAX: Final = 32
"""DTLS records of one session that wait: a handshake's flight has fewer than 10."""
SWEEP_INTERVAL_S: Final = 1.0


class Peer(Protocol):
    """What a session's owner is told."""

    def on_connected(self, now_ms: int) -> None:
        """Keys are there: media can be sent."""

    def on_rtp(self, data: bytes, now_ms: int) -> None:
        """One RTP packet, decrypted."""

    def on_rtcp(self, data: bytes, now_ms: int) -> None:
        """One RTCP compound packet, decrypted."""

    def on_closed(self, reason: str, now_ms: int) -> None:
        """The session is over; called once."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """What an offer is answered with: the session's id (secret: it is the right to end it), its entity tag, the SDP."""

    id: str
    etag: str
    sdp: str


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


@dataclass(slots=True, eq=False)
class Session:
    """One peer's transport."""

    id: str
    transport: WebRtcTransport
    client: str
    ufrag: str
    password: str
    remote_ufrag: str
    fingerprints: tuple[RTCDtlsFingerprint, ...]
    peer: Peer
    heard_ms: int
    address: Address | None = None
    connected: bool = False
    closed: bool = False
    segments: bool = True
    """Whether UDP segmentation works on the way to this peer."""
    addresses: set[Address] = field(default_factory=set)
    keys: Any = None
    """libsrtp's session for what we send, once connected."""
    role: str = "controlled"
    task: asyncio.Task[None] | None = None
    _dtls: RTCDtlsTransport | None = None
    _records: asyncio.Queue[bytes | None] = field(default_factory=lambda: asyncio.Queue(DTLS_QUEUE_MAX))

    @property
    def name(self) -> str:
        """What logs call it: too little of the id to end the session with."""
        return self.id.partition(".")[2][:6]

    async def _recv(self) -> bytes:
        """Give aiortc the next DTLS record. Raises ConnectionError at the end, as it expects."""
        data = await self._records.get()
        if data is None or self.closed:
            raise ConnectionError
        return data

    async def _send(self, data: bytes) -> None:
        """Send what aiortc wrote."""
        if self.address is not None:
            self.transport.write(data, len(data), self.address)

    def record(self, data: bytes) -> None:
        """Take one DTLS record; one too many is lost, as on the way."""
        if not self._records.full():
            self._records.put_nowait(data)

    async def handshake(self, certificate: RTCCertificate) -> str | None:
        """Do the DTLS handshake; give why it failed."""
        from aiortc import RTCDtlsParameters
        from aiortc.rtcdtlstransport import RTCDtlsTransport

        dtls = RTCDtlsTransport(self, [certificate])  # type: ignore[arg-type]  # it uses role, _recv and _send only
        dtls._set_role("server")  # noqa: SLF001  # as RTCPeerConnection does from the answer's a=setup
        self._dtls = dtls
        dtls.on("statechange", self._on_state)
        await dtls.start(RTCDtlsParameters(fingerprints=list(self.fingerprints)))
        if dtls.state != "connected":
            return "the DTLS handshake failed"
        self.keys = dtls._tx_srtp  # noqa: SLF001  # there is no public way to hand over packed RTP
        return None

    def send_rtp(self, packets: list[bytes], runs: Sequence[Run] | None = None) -> None:
        """Encrypt and send packets; `runs` are theirs (see `runs_of`), for who sends the same to many."""
        address = self.address
        if not self.connected or address is None:
            return
        keys = self.keys
        write = self.transport.write
        try:
            if self.segments:
                for start, end in runs or runs_of(packets):
                    whole = end - start == len(packets)
                    data, size = protect_run(keys, packets if whole else packets[start:end])
                    if not write(data, size, address):
                        self.segments = False
                        for at in range(0, len(data), size):
                            write(data[at : at + size], size, address)
                        packets = packets[end:]
                        break
                else:
                    return
            for packet in packets:
                data, size = protect_run(keys, (packet,))
                write(data, size, address)
        except pylibsrtp.Error as error:
            # Too old to be sent again, or the key's life is over (2**48 packets): the peer asks for a key frame.
            self.transport.counts.write_errors += 1
            log.debug("session %s: %s", self.name, error)

    def send_rtcp(self, data: bytes) -> None:
        """Encrypt and send one RTCP compound packet."""
        if self._dtls is not None and self.connected and self.address is not None:
            out = self.keys.protect_rtcp(data)
            self.transport.write(out, len(out), self.address)

    def unprotect(self, data: bytes) -> bytes | None:
        """Decrypt RTP or RTCP; None when it is not authentic."""
        dtls = self._dtls
        if dtls is None or not self.connected:
            return None
        keys = dtls._rx_srtp  # noqa: SLF001
        try:
            plain: bytes = keys.unprotect_rtcp(data) if is_rtcp(data) else keys.unprotect(data)
        except (pylibsrtp.Error, ValueError):
            return None
        return plain

    async def farewell(self) -> None:
        """Stop DTLS: tells the peer."""
        dtls, self._dtls = self._dtls, None
        if dtls is not None:
            dtls.remove_all_listeners()
            await dtls.stop()

    def _on_state(self) -> None:
        if self._dtls is not None and self.connected and self._dtls.state in ("closed", "failed"):
            self.transport.close_session(self, "the peer closed")


def worker_of(session_id: str) -> int | None:
    """Give the number of the process that has a session, by the session's id; None when it is not one."""
    number, dot, rest = session_id.partition(".")
    return int(number) if dot and rest and number.isascii() and number.isdigit() and len(number) <= 4 else None


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
        """Listen on `host`:`port` (0: any) and give the port; `addresses` go into the candidates (empty: `host`).

        Raises OSError when the port cannot be had or an address not be resolved.
        """
        from aiortc import RTCCertificate

        self._loop = loop = asyncio.get_running_loop()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_DGRAM)
        try:
            sock.setblocking(False)
            for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
                sock.setsockopt(socket.SOL_SOCKET, option, SOCKET_BUFFER_BYTES)
            if family == socket.AF_INET6 and host == "::":
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            resolved = await loop.getaddrinfo(host, port, family=family, type=socket.SOCK_DGRAM)
            sock.bind(resolved[0][4])
            found: list[str] = []
            for name in addresses or own_addresses(host, family):
                entries = await loop.getaddrinfo(name, None, type=socket.SOCK_DGRAM)
                found.append(str(entries[0][4][0]))
        except OSError as error:
            sock.close()
            raise OSError(error.errno, f"cannot use UDP on {host}:{port}: {error.strerror}") from error
        self.addresses = tuple(dict.fromkeys(found))
        self._socket = sock
        self.port = int(sock.getsockname()[1])
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

    def stats(self) -> TransportStats:
        """Return the present counts."""
        self.counts.connections = len(self._sessions)
        return self.counts

    # -- sessions ----------------------------------------------------------------------------------------------------

    def open_session(
        self, peer: Peer, *, client: str, remote_ufrag: str, fingerprints: tuple[RTCDtlsFingerprint, ...]
    ) -> Session:
        """Make a session that waits for the peer's checks. Raises OfferRefused 503 or 429 above a limit."""
        limits = self.limits
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
        )
        self._sessions[session.id] = self._by_ufrag[session.ufrag] = session
        return session

    def local_end(self, session: Session, reached: str | None = None) -> LocalEnd:
        """Give what an answer says of us; `reached` is the address that the client used, for a wildcard host."""
        addresses = tuple(dict.fromkeys((reached, *self.addresses))) if reached else self.addresses
        kept = tuple(a for a in addresses if a not in ("0.0.0.0", "::")) or ("127.0.0.1",)  # noqa: S104  # compared
        return LocalEnd(session.ufrag, session.password, kept, self.port, self._fingerprint)

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
        if was:
            self._spawn(session.farewell())
        session.peer.on_closed(reason, self.clock())

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
        answer = stun.binding_success(request.transaction, str(address[0]), int(address[1]), session.password)
        self.write(answer, len(answer), address)
        if session.connected:
            session.heard_ms = now_ms
        self._place(session, address, nominated=request.use_candidate)

    def _place(self, session: Session, address: Address, *, nominated: bool) -> None:
        """Note a path that a signed check came by; the nominated one is used (RFC 8445 section 7.3.1.5)."""
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


_SEGMENT_OF: Final[dict[int, list[tuple[int, int, bytes]]]] = {}
"""Ancillary data by segment size, at most one for each size of a datagram."""


def _segment(size: int) -> list[tuple[int, int, bytes]]:
    data = _SEGMENT_OF[size] = [(socket.IPPROTO_UDP, UDP_SEGMENT, struct.pack("H", size))]
    return data


PATHS_MAX: Final = 8
"""Addresses of one peer that are known at once: its interfaces, and what their gateways make of them."""
