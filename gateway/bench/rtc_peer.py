"""A WebRTC client that costs little: a UDP socket, one signed ICE check, aiortc's DTLS, and then only datagrams.

It offers what a browser offers (H.264 in packetization mode 1 with NACK and PLI, Opus, playout-delay), and is DTLS's
active side. An ICE agent of the other side may check it, too: it answers.

aiortc and aioice are imported when they are used: their import runs a program to find the C library.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gateway.bench.process import WAIT_S, BenchError
from gateway.bench.sink import HOST
from stream.errors import StunError
from stream.protocol import stun
from stream.protocol.rtcp import is_rtcp

if TYPE_CHECKING:
    from aiortc import RTCCertificate, RTCDtlsFingerprint

CHECK_INTERVAL_S = 0.1
"""Until the first answer; the last one may be lost."""
ALIVE_INTERVAL_S = 1.0
"""Between the reports and consent checks of one that listens."""
VIDEO_PAYLOAD_TYPE, AUDIO_PAYLOAD_TYPE = 96, 111
SSRC = 0x51A0
BUFFER_BYTES = 1024 * 1024
"""Asked of the kernel for what came and was not read yet."""
DATAGRAM_BYTES_MAX = 2048
LINE_BYTES_MAX = 256 * 1024


@dataclass(frozen=True, slots=True)
class Remote:
    """What an answer says of the other side."""

    ufrag: str
    password: str
    address: tuple[str, int]
    fingerprints: tuple[RTCDtlsFingerprint, ...]


class RtcPeer:
    """One peer on the running loop; `certificate` may be shared by many."""

    role = "controlling"

    def __init__(self, certificate: RTCCertificate, *, sending: bool = False) -> None:
        from aiortc.rtcdtlstransport import RTCDtlsTransport

        self.ufrag, self.password = secrets.token_hex(4), secrets.token_hex(12)
        self.remote: Remote | None = None
        self.dtls = RTCDtlsTransport(self, [certificate])  # type: ignore[arg-type]  # role, _recv and _send are all
        self.dtls._set_role("client")  # noqa: SLF001  # as RTCPeerConnection does from the answer's a=setup
        self._sending = sending
        self._fingerprint = next(f.value for f in certificate.getFingerprints() if f.algorithm == "sha-256")
        self._records: asyncio.Queue[bytes] = asyncio.Queue()
        self._checked = asyncio.Event()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        self.socket.setblocking(False)

    # what aiortc's DTLS asks of its transport

    async def _recv(self) -> bytes:
        return await self._records.get()

    async def _send(self, data: bytes) -> None:
        self.socket.send(data)

    # signalling

    def offer(self, address: str) -> str:
        """An offer; `address` is of this host as the other side reaches it."""
        # Bound now, as an agent of the other side wants a candidate.
        self.socket.bind((address, 0))
        port = self.socket.getsockname()[1]
        direction = "sendonly" if self._sending else "recvonly"
        common = [
            f"a={direction}",
            "a=rtcp-mux",
            "a=setup:active",
            f"a=ice-ufrag:{self.ufrag}",
            f"a=ice-pwd:{self.password}",
            f"a=fingerprint:sha-256 {self._fingerprint}",
            f"a=candidate:1 1 udp 2130706431 {address} {port} typ host",
        ]
        video, audio = VIDEO_PAYLOAD_TYPE, AUDIO_PAYLOAD_TYPE
        lines = ["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "t=0 0", "a=group:BUNDLE 0 1"]
        lines += [f"m=video {port} UDP/TLS/RTP/SAVPF {video}", f"c=IN IP4 {address}", "a=mid:0", *common]
        lines += [f"a=rtpmap:{video} H264/90000", f"a=rtcp-fb:{video} nack", f"a=rtcp-fb:{video} nack pli"]
        lines += [f"a=fmtp:{video} level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"]
        lines += ["a=extmap:5 http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"]
        lines += [f"m=audio {port} UDP/TLS/RTP/SAVPF {audio}", f"c=IN IP4 {address}", "a=mid:1", *common]
        lines += [f"a=rtpmap:{audio} opus/48000/2"]
        if self._sending:
            lines.append(f"a=ssrc:{SSRC + 1} cname:bench")
            lines.insert(lines.index(f"m=audio {port} UDP/TLS/RTP/SAVPF {audio}"), f"a=ssrc:{SSRC} cname:bench")
        return "\r\n".join(lines) + "\r\n"

    async def connect(self, answer: str) -> None:
        """Check the way and do the DTLS handshake. Raises BenchError."""
        from aiortc import RTCDtlsParameters

        self.remote = remote = parse_answer(answer)
        self.socket.connect(remote.address)
        loop = asyncio.get_running_loop()
        loop.add_reader(self.socket.fileno(), self._on_readable)
        try:
            async with asyncio.timeout(WAIT_S):
                while not self._checked.is_set():
                    self.check()
                    async with asyncio.TaskGroup() as group:
                        group.create_task(self._answered())
                await self.dtls.start(RTCDtlsParameters(fingerprints=list(remote.fingerprints)))
        except TimeoutError:
            raise BenchError("a WebRTC client was not let in") from None
        finally:
            loop.remove_reader(self.socket.fileno())
        if self.dtls.state != "connected":
            raise BenchError(f"a WebRTC client's DTLS handshake ended as {self.dtls.state}")

    async def _answered(self) -> None:
        try:
            async with asyncio.timeout(CHECK_INTERVAL_S):
                await self._checked.wait()
        except TimeoutError:
            return

    def check(self) -> None:
        """Send an ICE check that takes this way (RFC 8445 section 7.2.2); later ones are the consent of RFC 7675."""
        from aioice import stun as ice

        remote = self.remote
        assert remote is not None
        request = ice.Message(message_method=ice.Method.BINDING, message_class=ice.Class.REQUEST)
        request.attributes["USERNAME"] = f"{remote.ufrag}:{self.ufrag}"
        request.attributes["PRIORITY"] = 1853824767
        request.attributes["ICE-CONTROLLING"] = 1
        request.attributes["USE-CANDIDATE"] = None
        request.add_message_integrity(remote.password.encode())
        self.socket.send(bytes(request))

    def answer_check(self, data: bytes) -> None:
        """Take a STUN message: answer a check, note an answer."""
        remote = self.remote
        assert remote is not None
        try:
            request = stun.parse_binding_request(data)
        except StunError as error:
            raise BenchError(f"the server sent a broken STUN message: {error}") from error
        if request is None:
            self._checked.set()
            return
        self.socket.send(stun.binding_success(request.transaction, *remote.address, self.password))

    def send_report(self) -> None:
        """Send an empty receiver report: what a client does each second."""
        plain = bytes((0x80, 201, 0, 1)) + SSRC.to_bytes(4, "big")
        encrypted: bytes = self.dtls._tx_srtp.protect_rtcp(plain)  # noqa: SLF001  # there is no public way
        self.socket.send(encrypted)

    def send_rtp(self, data: bytes) -> None:
        """Encrypt and send one RTP packet."""
        self.socket.send(self.dtls._tx_srtp.protect(data))  # noqa: SLF001  # as above

    def send_rtcp(self, data: bytes) -> None:
        """Encrypt and send one RTCP compound packet."""
        self.socket.send(self.dtls._tx_srtp.protect_rtcp(data))  # noqa: SLF001  # as above

    async def listen(self, take: Callable[[bytes], None]) -> None:
        """Give each RTP and RTCP packet to `take`, decrypted, and keep the connection alive; until cancelled."""
        loop = asyncio.get_running_loop()
        keys = self.dtls._rx_srtp  # noqa: SLF001  # as above

        def on_readable() -> None:
            while True:
                try:
                    data = self.socket.recv(DATAGRAM_BYTES_MAX)
                except (BlockingIOError, ConnectionRefusedError):
                    return
                if data[0] < 4:
                    self.answer_check(data)
                elif data[0] >= 128:
                    take(keys.unprotect_rtcp(data) if is_rtcp(data) else keys.unprotect(data))

        loop.add_reader(self.socket.fileno(), on_readable)
        try:
            while True:
                self.send_report()
                self.check()
                await asyncio.sleep(ALIVE_INTERVAL_S)
        finally:
            loop.remove_reader(self.socket.fileno())

    async def close(self) -> None:
        """Say goodbye and close the socket."""
        await self.dtls.stop()
        self.socket.close()

    def _on_readable(self) -> None:
        while True:
            try:
                data = self.socket.recv(DATAGRAM_BYTES_MAX)
            except (BlockingIOError, ConnectionRefusedError):
                return
            if data[0] < 4:
                self.answer_check(data)
            elif data[0] < 64:
                self._records.put_nowait(data)


def certificate() -> RTCCertificate:
    """A certificate for any number of peers."""
    from aiortc import RTCCertificate

    return RTCCertificate.generateCertificate()


def parse_answer(text: str) -> Remote:
    """Read what is needed of an answer. Raises BenchError."""
    from aiortc import RTCDtlsFingerprint

    values: dict[str, str] = {}
    addresses: list[tuple[str, int]] = []
    fingerprints: list[RTCDtlsFingerprint] = []
    for line in text.splitlines():
        name, _, value = line.removeprefix("a=").partition(":")
        if name == "candidate":
            parts = value.split()
            if parts[2].lower() == "udp" and ipaddress.ip_address(parts[4]).version == 4:
                addresses.append((parts[4], int(parts[5])))
        elif name == "fingerprint":
            algorithm, _, digest = value.partition(" ")
            fingerprints.append(RTCDtlsFingerprint(algorithm=algorithm, value=digest))
        else:
            values.setdefault(name, value)
    if not addresses or not fingerprints or "ice-ufrag" not in values:
        raise BenchError("the server's answer has no way to it")
    return Remote(values["ice-ufrag"], values["ice-pwd"], addresses[0], tuple(fingerprints))


async def exchange(port: int, offer: str) -> str:
    """Hand an offer to a measured server and give its answer; see `Signalling`."""
    reader, writer = await asyncio.open_connection(HOST, port, limit=LINE_BYTES_MAX)
    try:
        writer.write(json.dumps(offer).encode() + b"\n")
        async with asyncio.timeout(WAIT_S):
            line = await reader.readline()
    finally:
        writer.close()
    if not line:
        raise BenchError("the server refused an offer; its own words stand above")
    answer: str = json.loads(line)
    return answer


async def signalling(answer: Any) -> asyncio.Server:
    """A port for `exchange`: one JSON line each way, `answer(offer)` is awaited."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(json.dumps(await answer(json.loads(await reader.readline()))).encode() + b"\n")
            await writer.drain()
        finally:
            writer.close()

    return await asyncio.start_server(serve, HOST, 0, limit=LINE_BYTES_MAX, backlog=1024)
