"""Asking another server of ours over HTTP, by TCP, TLS or a Unix socket: the asyncio shell around `HttpExchange`."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from stream.errors import ProtocolError
from stream.protocol.http_exchange import Answered, Body, Ended, Headers, HttpExchange

READ_BYTES: Final = 64 * 1024
ANSWER_BYTES_MAX: Final = 16 * 1024 * 1024
"""A whole answer kept in memory; the longest is a busy server's /metrics."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A server to connect to: `host` and `port`, or the path of its Unix socket."""

    host: str
    port: int = 0
    tls: ssl.SSLContext | None = None
    unix: str | None = None

    @property
    def authority(self) -> str:
        """What stands in the Host header (RFC 9112 section 3.2)."""
        if self.unix is not None:
            return "localhost"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    def __str__(self) -> str:
        return self.unix or self.authority


class Response:
    """A response whose head has been read; close it."""

    def __init__(
        self, status: int, headers: dict[str, str], exchange: HttpExchange, early: list[Body | Ended], peer: "_Socket"
    ) -> None:
        self.status = status
        self.headers = headers
        self._exchange = exchange
        self._early = early
        self._peer = peer

    async def chunks(self, idle_s: float) -> AsyncIterator[bytes]:
        """Give the body as it comes. Raises TimeoutError after `idle_s` of silence, OSError, ProtocolError."""
        events: list[Answered | Body | Ended] = [*self._early]
        while True:
            for event in events:
                if isinstance(event, Body):
                    yield event.data
                elif isinstance(event, Ended):
                    return
            async with asyncio.timeout(idle_s):
                data = await self._peer.reader.read(READ_BYTES)
            events = self._exchange.receive_data(data)

    async def read(self, timeout_s: float, bytes_max: int = ANSWER_BYTES_MAX) -> bytes:
        """Give the whole body. Raises as `chunks` does, ProtocolError above `bytes_max`."""
        out = bytearray()
        async with asyncio.timeout(timeout_s):
            async for chunk in self.chunks(timeout_s):
                out += chunk
                if len(out) > bytes_max:
                    raise ProtocolError(f"an answer of more than {bytes_max} bytes")
        return bytes(out)

    def close(self) -> None:
        """Let go of the connection."""
        self._peer.close()


@dataclass(slots=True)
class _Socket:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def close(self) -> None:
        # Nothing is owed to the peer, and a peer that does not read must not keep us.
        self.writer.transport.abort()


async def ask(
    peer: Peer, method: str, target: str, *, headers: Headers = (), body: bytes = b"", timeout_s: float
) -> Response:
    """Send a request and wait for the response's head, `timeout_s` in all.

    Raises OSError (TimeoutError among them) when the peer cannot be reached, ProtocolError when it answers no HTTP.
    """
    async with asyncio.timeout(timeout_s):
        connection = await _connect(peer)
        try:
            exchange = HttpExchange()
            connection.writer.write(exchange.request(method, target, [("host", peer.authority), *headers], body))
            while True:
                data = await connection.reader.read(READ_BYTES)
                events = exchange.receive_data(data)
                if events and isinstance(events[0], Answered):
                    rest = [event for event in events[1:] if not isinstance(event, Answered)]
                    return Response(events[0].status, events[0].headers, exchange, rest, connection)
                if not data:
                    raise ConnectionResetError("the connection ended before the answer")
        except BaseException:
            connection.close()
            raise


async def _connect(peer: Peer) -> _Socket:
    if peer.unix is not None:
        return _Socket(*await asyncio.open_unix_connection(peer.unix))
    return _Socket(*await asyncio.open_connection(peer.host, peer.port, ssl=peer.tls))
