"""ICE over TCP for peers behind networks that let no UDP through: RFC 6544 passive candidates, RFC 4571 framing.

The client connects; every datagram that UDP would carry (STUN, DTLS, SRTP) stands behind its length in two bytes. A
connection is a path like an address of UDP: it belongs to nobody until a signed check comes by it, and one by which
none comes is closed.

    |  length (16)  |  one datagram  |  length (16)  |  one datagram  …
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Final, cast

FRAME_BYTES_MAX: Final = 2048
"""No datagram is longer (see `webrtc_transport.DATAGRAM_BYTES_MAX`)."""
UNSENT_BYTES_MAX: Final = 1024 * 1024
"""Over it what comes next is lost, as on the way: 4 s of 2 Mbit/s, after which the picture has to begin anew anyway."""
UNCHECKED_S: Final = 10.0
"""A connection has so long for its first signed check."""
CONNECTIONS_MAX: Final = 2_000
"""Of all clients: each may hold a megabyte."""
CONNECTIONS_PER_ADDRESS_MAX: Final = 100

Receive = Callable[[bytes, "TcpPath"], None]


class TcpPath(asyncio.Protocol):
    """One connection."""

    def __init__(self, door: TcpDoor) -> None:
        self.peer: tuple[str, int] = ("", 0)
        self.lost = 0
        """Datagrams that did not fit."""
        self._door = door
        self._data = bytearray()
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the first check."""
        self._transport = cast(asyncio.Transport, transport)
        host, port = transport.get_extra_info("peername")[:2]
        self.peer = (str(host), int(port))
        self._transport.set_write_buffer_limits(high=UNSENT_BYTES_MAX)
        if not self._door.admit(self):
            self._transport.abort()
            return
        self._timer = asyncio.get_running_loop().call_later(UNCHECKED_S, self.close)

    def checked(self) -> None:
        """A signed check came by it."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def data_received(self, data: bytes) -> None:
        """Hand on whole datagrams."""
        waiting = self._data
        waiting += data
        at = 0
        while at + 2 <= len(waiting):
            size = waiting[at] << 8 | waiting[at + 1]
            if size > FRAME_BYTES_MAX:
                self.close()
                return
            if at + 2 + size > len(waiting):
                break
            if size:
                self._door.receive(bytes(waiting[at + 2 : at + 2 + size]), self)
            at += 2 + size
            if self._transport is None:
                return
        del waiting[:at]

    def eof_received(self) -> bool:
        """Let it close."""
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """The path is gone; its session has until consent is over to find another."""
        self.checked()
        self._transport = None
        self._data.clear()
        self._door.gone(self)

    def send(self, data: bytes | memoryview, size: int) -> int:
        """Send datagrams of `size` bytes, the last one what is left; give how many went out."""
        transport = self._transport
        count = -(-len(data) // size)
        if transport is None or transport.is_closing():
            return 0
        if transport.get_write_buffer_size() + len(data) > UNSENT_BYTES_MAX:
            self.lost += count
            return 0
        parts: list[bytes | memoryview] = []
        for at in range(0, len(data), size):
            piece = data[at : at + size]
            parts += (struct.pack("!H", len(piece)), piece)
        transport.write(b"".join(parts))
        return count

    def finish(self) -> None:
        """End the connection once what was sent is out; a peer that does not read has UNCHECKED_S for it."""
        if self._transport is not None and not self._transport.is_closing():
            self._timer = asyncio.get_running_loop().call_later(UNCHECKED_S, self.close)
            self._transport.close()

    def close(self) -> None:
        """End the connection."""
        if self._transport is not None:
            self._transport.abort()
            self._transport = None


class TcpDoor:
    """The TCP port beside the UDP one. `receive` gets each datagram, `forget` each path that is gone."""

    def __init__(self, receive: Receive, forget: Callable[[TcpPath], None]) -> None:
        self.receive = receive
        self._forget = forget
        self._paths: set[TcpPath] = set()
        self._server: asyncio.Server | None = None

    async def open(self, host: str, port: int) -> None:
        """Listen. Raises OSError when the port is taken."""
        loop = asyncio.get_running_loop()
        sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if host == "::":
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            sock.setblocking(False)
            sock.bind((host, port))
            self._server = await loop.create_server(lambda: TcpPath(self), sock=sock)
        except OSError:
            sock.close()
            raise

    def admit(self, path: TcpPath) -> bool:
        """Whether there is room for one more."""
        same = sum(other.peer[0] == path.peer[0] for other in self._paths)
        if len(self._paths) >= CONNECTIONS_MAX or same >= CONNECTIONS_PER_ADDRESS_MAX:
            return False
        self._paths.add(path)
        return True

    def gone(self, path: TcpPath) -> None:
        """A connection is over."""
        self._paths.discard(path)
        self._forget(path)

    @property
    def connections(self) -> int:
        """Connections now."""
        return len(self._paths)

    def close(self) -> None:
        """End all connections and the port."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for path in tuple(self._paths):
            path.close()
