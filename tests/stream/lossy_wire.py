"""A wire between a WebRTC peer and the server that loses what a script says: a UDP relay on loopback.

With `tcp` the server is reached by ICE over TCP, whatever the peer knows of that.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

from stream.protocol.rtcp import is_rtcp

Loses = Callable[[bytes, bool], bool]
"""Whether a datagram is lost; the flag says that it comes from the server."""


def is_media(data: bytes) -> bool:
    """RTP or RTCP; aiortc does not repeat a handshake's flight, so that one has to arrive."""
    return 128 <= data[0] < 192


def by_chance(share: float, seed: int = 1) -> Loses:
    """Lose this share of media and reports, the same ones in each run."""
    chance = random.Random(seed)
    return lambda data, from_server: is_media(data) and chance.random() < share


class LossyWire:
    """Send to `port` what is meant for the server."""

    def __init__(self, server_port: int, loses: Loses, *, tcp: bool = False) -> None:
        self.loses = loses
        self.tcp = tcp
        self.lost = {True: 0, False: 0}
        self.carried = 0
        self.port = 0
        self._server_port = server_port
        self._front: asyncio.DatagramTransport | None = None
        self._backs: dict[Any, asyncio.DatagramTransport | _Framed] = {}
        self._opening: dict[Any, list[bytes]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        self._front, _ = await loop.create_datagram_endpoint(lambda: _End(self._up), local_addr=("127.0.0.1", 0))
        self.port = self._front.get_extra_info("sockname")[1]

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        for transport in (self._front, *self._backs.values()):
            if transport is not None:
                transport.close()

    def rewrite(self, answer: str) -> str:
        """The answer, with this wire in the server's place."""
        return answer.replace(f" {self._server_port} typ host", f" {self.port} typ host")

    def _passes(self, data: bytes, from_server: bool) -> bool:
        if self.loses(data, from_server):
            self.lost[from_server] += 1
            return False
        self.carried += 1
        return True

    def _up(self, data: bytes, address: Any) -> None:
        if not self._passes(data, False):
            return
        back = self._backs.get(address)
        if back is not None:
            back.sendto(data)
        elif address in self._opening:
            self._opening[address].append(data)
        else:
            self._opening[address] = [data]
            task = asyncio.create_task(self._open_back(address))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _open_back(self, address: Any) -> None:
        def down(data: bytes, _: Any) -> None:
            if self._front is not None and self._passes(data, True):
                self._front.sendto(data, address)

        loop = asyncio.get_running_loop()
        server = ("127.0.0.1", self._server_port)
        back: asyncio.DatagramTransport | _Framed
        if self.tcp:
            _, back = await loop.create_connection(lambda: _Framed(down), *server)
        else:
            back, _ = await loop.create_datagram_endpoint(lambda: _End(down), remote_addr=server)
        self._backs[address] = back
        for data in self._opening.pop(address):
            back.sendto(data)


class _End(asyncio.DatagramProtocol):
    def __init__(self, receive: Callable[[bytes, Any], None]) -> None:
        self._receive = receive

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, address: Any) -> None:
        if data:
            self._receive(data, address)


class _Framed(asyncio.Protocol):
    """Datagrams over TCP (RFC 4571)."""

    def __init__(self, receive: Callable[[bytes, Any], None]) -> None:
        self._receive = receive
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._data += data
        while len(self._data) >= 2 and len(self._data) >= 2 + (size := int.from_bytes(self._data[:2], "big")):
            datagram, self._data = self._data[2 : 2 + size], self._data[2 + size :]
            self._receive(datagram, None)

    def sendto(self, data: bytes) -> None:
        self.transport.write(len(data).to_bytes(2, "big") + data)

    def close(self) -> None:
        self.transport.abort()


@contextlib.asynccontextmanager
async def lossy_wire(server_port: int, loses: Loses, *, tcp: bool = False) -> AsyncIterator[LossyWire]:
    wire = LossyWire(server_port, loses, tcp=tcp)
    await wire.open()
    try:
        yield wire
    finally:
        await wire.close()


def is_retransmission(data: bytes, payload_type: int) -> bool:
    """Whether a datagram is RTP of this payload type."""
    return is_media(data) and not is_rtcp(data) and data[1] & 0x7F == payload_type
