"""One WebRTC peer's transport: who it is, its DTLS, its SRTP keys, and what leaves for it.

Made, fed and ended by `WebRtcTransport`; its owner (a WHIP host, a WHEP viewer) is its `Peer`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

import pylibsrtp

from stream.protocol.rtcp import is_rtcp
from stream.srtp import Run, protect_run, runs_of
from stream.webrtc_tcp import TcpPath

if TYPE_CHECKING:
    from aiortc import RTCCertificate, RTCDtlsFingerprint
    from aiortc.rtcdtlstransport import RTCDtlsTransport

    from stream.webrtc_transport import WebRtcTransport

log = logging.getLogger("siyu.webrtc")

Address = tuple[Any, ...] | TcpPath
"""As the UDP socket gives it: (host, port) or IPv6's four; or a TCP connection."""

DTLS_QUEUE_MAX: Final = 32
"""DTLS records of one session that wait: a handshake's flight has fewer than 10."""


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
    connects: bool = False
    """Whether we begin the DTLS handshake."""
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
        role = "client" if self.connects else "server"
        dtls._set_role(role)  # noqa: SLF001  # as RTCPeerConnection does from the answer's a=setup
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
                    data, size = protect_run(keys, packets, start, end)
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
