"""One end of the socket pair between supervisor and worker: messages out, messages in, and the end."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar, cast

import msgspec

from gateway.workers.messages import LINE_BYTES_MAX

logger = logging.getLogger("siyu.workers")

UNREAD_BYTES_MAX: Final = 16 * 1024 * 1024
"""Lines that the other side has not read: beyond it, it hangs, and is given up."""

Message = TypeVar("Message")


class Link(asyncio.Protocol, Generic[Message]):
    """`kind` is the union of what comes in; `on_lost` is called once, when the other side is gone."""

    def __init__(self, kind: Any, on_message: Callable[[Message], None], on_lost: Callable[[], None]) -> None:
        self._decoder = msgspec.json.Decoder(kind)
        self._encoder = msgspec.json.Encoder()
        self._on_message = on_message
        self._on_lost = on_lost
        self._pending = b""
        self._transport: asyncio.Transport | None = None

    async def open(self, end: socket.socket) -> None:
        """Speak over one end of a socket pair, which is the link's from now on."""
        end.setblocking(False)
        await asyncio.get_running_loop().create_connection(lambda: self, sock=end)

    def send(self, message: msgspec.Struct) -> None:
        """Send one message; to a side that is gone, nothing happens."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        transport.write(self._encoder.encode(message) + b"\n")
        if transport.get_write_buffer_size() > UNREAD_BYTES_MAX:
            logger.error("the other side of a worker's link does not read, given up")
            transport.abort()

    def close(self) -> None:
        """End it."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Take whole lines."""
        *lines, self._pending = (self._pending + data).split(b"\n")
        if len(self._pending) > LINE_BYTES_MAX and self._transport is not None:
            logger.error("a line of more than %d bytes on a worker's link, given up", LINE_BYTES_MAX)
            self._transport.abort()
            return
        for line in lines:
            self._on_message(self._decoder.decode(line))

    def connection_lost(self, error: Exception | None) -> None:
        """Tell."""
        self._transport = None
        self._on_lost()
