"""FLV over WebSocket: `ws://HOST/live/ROOM.flv`, on the URL of HTTP-FLV, what flv.js and mpegts.js play as well.

Each window is one binary message, framed once and the same bytes for every viewer; joined, the messages are the FLV
file. websockets' sans-I/O core has the handshake, pings and the close (RFC 6455).

    close code  1000 the broadcast is over   4000 the server restarts: come back at once, with jitter
                4204 not live                4229 too many streams: both come back after the time in the reason
                4401 the token was revoked: do not come back without another one
"""

import asyncio
from collections.abc import Callable
from typing import Final, cast

from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol

from stream.directory import Clock, Directory
from stream.fanout import ViewerLimits
from stream.tag_encoder import FlvEncoder
from stream.viewer import ProgressiveOutput, Seat

MESSAGE_BYTES_MAX: Final = 4096
"""A viewer has nothing to say; some players send a greeting."""

SAID_BYTES_MAX: Final = 64 * 1024
"""All that a viewer may say beside pings."""

UNREAD_PONGS_BYTES_MAX: Final = 16 * 1024
"""Pongs behind media that the viewer does not read; one that only watches sends a ping now and then."""

_CLOSE_CODES: Final = {"not_live": 4204, "busy": 4229, "draining": 4000}
_TOKEN_CODE: Final = 4401
_RETRY_MS: Final = 3000


class WsFlvEncoder(FlvEncoder):
    """FLV in WebSocket messages."""

    def wrap(self, tags: bytes) -> bytes:
        """Frame what is sent at once as one binary message (RFC 6455 section 5.2)."""
        return Frame(Opcode.BINARY, tags).serialize(mask=False)


class WsViewer(Seat, asyncio.Protocol):
    """One WebSocket connection, its request included."""

    __slots__ = ("_on_lost", "_pong_bytes", "_said_bytes", "_wire")

    def __init__(self, output: ProgressiveOutput, room: str, *, low_delay: bool, on_lost: Callable[[], None]) -> None:
        super().__init__(output, room, low_delay=low_delay)
        self._on_lost = on_lost
        self._wire = ServerProtocol(max_size=MESSAGE_BYTES_MAX)
        self._said_bytes = 0
        self._pong_bytes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the request."""
        self.transport = cast(asyncio.Transport, transport)
        self.write = self.transport.write

    def data_received(self, data: bytes) -> None:
        """Take the request, then pings and the close."""
        transport = self.transport
        if transport is None or transport.is_closing():
            return
        wire = self._wire
        wire.receive_data(data)
        joins = False
        for event in wire.events_received():
            if isinstance(event, Request):
                response = wire.accept(event)
                wire.send_response(response)
                joins = response.status_code == 101
            elif isinstance(event, Frame) and event.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
                self._said_bytes += len(event.data)
        self._answer(transport)
        if self._said_bytes > SAID_BYTES_MAX:
            self.stop()
            transport.abort()
        elif wire.state is not State.OPEN:
            self.stop()
            transport.close()
        elif joins:
            self.sit(transport)

    def _answer(self, transport: asyncio.Transport) -> None:
        answer = b"".join(self._wire.data_to_send())
        if not answer:
            return
        self._pong_bytes = self._pong_bytes + len(answer) if self.paused else 0
        if self._pong_bytes > UNREAD_PONGS_BYTES_MAX:
            self.stop()
            transport.abort()
            return
        transport.write(answer)

    def eof_received(self) -> bool:
        """Let the transport close."""
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """Leave the room."""
        self.leave()
        self._on_lost()

    def farewell(self, *, going_down: bool) -> bytes:
        """Give the close frame."""
        if going_down:
            return self._close(_CLOSE_CODES["draining"], "the server restarts")
        return self._close(1000, "the broadcast is over")

    def refuse(self, status: int, phrase: str, code: str, detail: str) -> None:
        """Close with a code: a browser sees no HTTP status."""
        if not self._ended:
            self.send(self._close(_CLOSE_CODES[code], f"{detail} retry_ms={_RETRY_MS}"))
            self.end()

    def expel(self, code: str, detail: str) -> None:
        """Close with the code of a token that is no good, whether it plays or waits."""
        if not self._ended and self.transport is not None:
            if self.paused:
                self.stop()
                self.transport.abort()
                return
            self.send(self._close(_TOKEN_CODE, detail))
            self.stop()
            self.transport.close()

    def _close(self, code: int, reason: str) -> bytes:
        try:
            self._wire.send_close(code, reason)
        except ConnectionClosed:
            return b""  # the peer closes already
        return b"".join(self._wire.data_to_send())


class WsFlvOutput(ProgressiveOutput):
    """Viewers of FLV over WebSocket."""

    def __init__(self, directory: Directory, clock: Clock, limits: ViewerLimits | None = None) -> None:
        super().__init__(directory, WsFlvEncoder, clock=clock, limits=limits, fixed_tracks=False)

    def websocket(
        self, room: str, *, low_delay: bool = False, on_lost: Callable[[], None] = lambda: None
    ) -> asyncio.Protocol:
        """Give the protocol for a connection; after `connection_made(transport)` it is fed the request itself."""
        return WsViewer(self, room, low_delay=low_delay, on_lost=on_lost)
