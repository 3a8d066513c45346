"""Viewers of WebRTC in processes of their own: aiortc's, and readers that only count once they are connected."""

from __future__ import annotations

import asyncio
import os
import select
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

import uvloop

from gateway.bench.process import WAIT_S, told
from gateway.bench.rtc_peer import DATAGRAM_BYTES_MAX, RtcPeer, certificate, exchange
from gateway.bench.sink import READY_MAX

if TYPE_CHECKING:
    from aiortc import RTCPeerConnection

REPORT_INTERVAL_S = 1.0
CHECK_INTERVAL_S = 5.0
"""As browsers do (RFC 7675 section 5.1)."""
NICE = 15
SETTLE_S = 0.5
"""For what is on its way when it ends."""
LOOK_INTERVAL_S = 0.005
"""Readers sleep in between: to wake one for each datagram costs the sender 5 µs, which a network card would not."""
DATAGRAMS_PER_WAKE = 64
CONNECTING = 8
"""Clients that connect at the same time."""


@dataclass(frozen=True, slots=True)
class Counted:
    """RTP packets of the picture over all viewers, and the bytes of the one that got least."""

    received: int
    lost: int
    least_bytes: int


def readers(pipe: Connection, port: int, count: int, address: str) -> None:
    """Connect so many readers, then count until the server falls silent; tell what they got."""
    peers = uvloop.run(_connect(port, count, address))
    pipe.send(_count(peers, lambda: told(pipe)))


async def _connect(port: int, count: int, address: str) -> list[RtcPeer]:
    shared = certificate()
    gate = asyncio.Semaphore(CONNECTING)
    loop = asyncio.get_running_loop()
    waiting = True

    async def one(connected: list[RtcPeer]) -> None:
        async with gate:
            peer = RtcPeer(shared)
            await peer.connect(await exchange(port, peer.offer(address)))
            connected.append(peer)

    def keep(peers: list[RtcPeer]) -> None:
        """The first ones must not be given up while the last ones connect."""
        for peer in peers:
            peer.send_report()
        if waiting:
            loop.call_later(REPORT_INTERVAL_S, keep, peers)

    connected: list[RtcPeer] = []
    keep(connected)
    await asyncio.gather(*(one(connected) for _ in range(count)))
    waiting = False
    return connected


class _Reader:
    """What one has got: the picture's packets are those of the source that sends most bytes at a time."""

    __slots__ = ("bytes", "first", "last", "packets", "peer")

    def __init__(self, peer: RtcPeer) -> None:
        self.peer = peer
        self.bytes = self.packets = 0
        self.first = self.last = -1


def _count(peers: list[RtcPeer], ended: Callable[[], bool]) -> Counted:
    """Read all sockets until it has `ended`, and what is there then."""
    epoll = select.epoll()
    reading = {peer.socket.fileno(): _Reader(peer) for peer in peers}
    for number, one in reading.items():
        _drain(one.peer)
        epoll.register(number, select.EPOLLIN)
    buffer = bytearray(DATAGRAM_BYTES_MAX)
    report_s = check_s = time.monotonic()
    last = False
    while not last:
        last = ended()
        time.sleep(LOOK_INTERVAL_S)
        ready = epoll.poll(0, READY_MAX)
        while sum([_read(reading[number], buffer) for number, _ in ready]) and last:
            ready = epoll.poll(0, READY_MAX)
        now_s = time.monotonic()
        if now_s - report_s >= REPORT_INTERVAL_S:
            report_s = now_s
            for peer in peers:
                _say(peer.send_report)
        if now_s - check_s >= CHECK_INTERVAL_S:
            check_s = now_s
            for peer in peers:
                _say(peer.check)
    for peer in peers:
        peer.socket.close()
    received = sum(one.packets for one in reading.values())
    expected = sum((one.last - one.first) % 65_536 + 1 for one in reading.values() if one.packets)
    return Counted(received, max(0, expected - received), min(one.bytes for one in reading.values()))


def _read(one: _Reader, buffer: bytearray) -> int:
    """Take what is there; give the number of datagrams."""
    receive = one.peer.socket.recv_into
    for count in range(DATAGRAMS_PER_WAKE):
        try:
            size = receive(buffer)
        except (BlockingIOError, ConnectionRefusedError):
            return count
        one.bytes += size
        # Payload type with the marker: 96 is the picture, and RTCP never looks like it (RFC 5761 section 4).
        if buffer[1] & 0x7F == 96 and buffer[0] >= 0x80:
            one.packets += 1
            one.last = buffer[2] << 8 | buffer[3]
            if one.first < 0:
                one.first = one.last
        elif buffer[0] < 4:
            one.peer.answer_check(bytes(buffer[:size]))
    return DATAGRAMS_PER_WAKE


def _say(send: Callable[[], object]) -> None:
    try:
        send()
    except ConnectionRefusedError:
        return  # the server has closed; its silence ends the count


def _drain(peer: RtcPeer) -> None:
    """Throw away what came while others connected: more than the socket could keep."""
    try:
        while True:
            peer.socket.recv(DATAGRAM_BYTES_MAX)
    except BlockingIOError:
        return


def aiortc_viewers(pipe: Connection, port: int, count: int) -> None:
    """Play with so many of aiortc's peer connections until the server closes them; frames are counted, not decoded."""
    from aiortc import rtcrtpreceiver

    # A hundred take more than a core: they use what is left of both, behind the server and the readers.
    os.nice(NICE)
    rtcrtpreceiver.decoder_worker = _swallow
    pipe.send(uvloop.run(_aiortc_viewers(port, count, lambda: told(pipe))))


def _swallow(loop: Any, input_q: Any, output_q: Any, decode_error: Any) -> None:
    while input_q.get() is not None:
        pass


async def _aiortc_viewers(port: int, count: int, ended: Callable[[], bool]) -> Counted:
    from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

    connections: list[RTCPeerConnection] = []
    for _ in range(count):
        connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        connections.append(connection)
        for kind in ("video", "audio"):
            connection.addTransceiver(kind, direction="recvonly")
        await connection.setLocalDescription(await connection.createOffer())
        answer = await exchange(port, connection.localDescription.sdp)
        await connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))
    async with asyncio.timeout(WAIT_S):
        while any(connection.connectionState != "connected" for connection in connections):  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    while not ended():  # noqa: ASYNC110 - a pipe has no event
        await asyncio.sleep(0.1)
    await asyncio.sleep(SETTLE_S)
    after = await _packets(connections)
    received = sum(packets for packets, _ in after)
    found = Counted(received, sum(lost for _, lost in after), min(packets for packets, _ in after))
    for connection in connections:
        await connection.close()
    return found


async def _packets(connections: list[RTCPeerConnection]) -> list[tuple[int, int]]:
    """Packets received and lost of each connection's picture."""
    found: list[tuple[int, int]] = []
    for connection in connections:
        video = next(r for r in connection.getReceivers() if r.track.kind == "video")
        stats = [s for s in (await video.getStats()).values() if s.type == "inbound-rtp"]
        found.append((sum(s.packetsReceived for s in stats), sum(s.packetsLost for s in stats)))
    return found
