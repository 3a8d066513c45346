"""A room as server-sent events (WHATWG HTML, section 9.2), for clients whose way to us lets no WebSocket through.

The same batches as on a WebSocket, read-only: commands go over HTTP. Each batch is one event

    id: EPOCH:OFFSET
    data: [event, event, …]

prepared once for all streams of a room. The browser sends the last id back as `Last-Event-ID` when it comes again,
which is all that a resumption needs. What a close code is to a WebSocket is the event `close` here, with code and
reason; a stream that may not begin is refused with an HTTP status where coming back is of no use, and otherwise with
`retry`, because a browser never comes back after a status other than 200. For a client behind a proxy that keeps what
comes until a buffer is full, all that is written has a comment behind it that fills one.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from chat.errors import NOT_AGAIN, CloseCode, TokenRefused
from chat.forms import PADDING
from chat.message import JoinRequest, encode
from chat.sink import Kind, Phase, Socket

if TYPE_CHECKING:
    from chat.hub import Hub

KEEP_ALIVE = b":\n\n"
"""A comment: proxies see that the stream lives, clients ignore it."""
IGNORED_BYTES_MAX = 16 * 1024
"""What a client may send after its request before it is cut: nothing of it is read."""
COME_BACK_MS = 1_000
"""When to come back where the reason does not say."""

_RETRY = re.compile(r"retry_ms=(\d+)")

Refuse = Callable[[int, str], bytes]
"""Makes a whole HTTP response of a close code and its reason."""


class EventStream(Socket):
    """One stream. Made by `Hub.event_stream`; the gateway gives it the transport when the request was read."""

    __slots__ = ("_beat_ms", "_headers", "_ignored", "_padding", "_refuse", "_request")

    def __init__(
        self,
        hub: Hub,
        request: JoinRequest,
        address: str,
        *,
        headers: Sequence[tuple[bytes, bytes]],
        refuse: Refuse,
        padded: bool = False,
        on_lost: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(hub, Kind.PADDED if padded else Kind.EVENT, address, on_lost)
        self._padding = PADDING if padded else b""
        self._request = request
        self._headers = headers
        self._refuse = refuse
        self._ignored = 0
        self._beat_ms = 0

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport over and answer the request."""
        super().connection_made(transport)
        sock = self.transport.get_extra_info("socket")
        if sock is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
            # Nobody answers a comment, so a peer that is gone shows only by what it does not acknowledge.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, self._hub.limits.silent_ms)
        self._beat_ms = self._hub.clock()
        try:
            payload = self._hub.join_stream(self, self._request)
        except TokenRefused as refused:
            self._turn_away(refused)
            return
        self.phase = Phase.OPEN
        out = self._head()
        if self.channel is not None:
            out += b"id: %b\ndata: %b\n\n" % (self.channel.room.position(), payload)
        out += self._padding
        self._hub.counters.bytes_out += len(out)
        self.transport.write(out)

    def data_received(self, data: bytes) -> None:
        """Throw away what comes: a stream is read-only."""
        self._hub.counters.bytes_in += len(data)
        self._ignored += len(data)
        if self._ignored > IGNORED_BYTES_MAX:
            self.transport.abort()

    # Out

    def _head(self) -> bytes:
        extra = b"".join(b"%b: %b\r\n" % header for header in self._headers)
        # nginx buffers what it passes on, unless it is told not to; others do when they compress.
        return (
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store, no-transform\r\n"
            b"X-Accel-Buffering: no\r\nConnection: close\r\n%b\r\n" % extra
        )

    def _turn_away(self, refused: TokenRefused) -> None:
        self.phase = Phase.CLOSING
        self.close_by_ms = self._hub.clock() + self._hub.limits.closing_ms
        self._hub.counters.closed(refused.code)
        if CloseCode.DRAIN <= refused.code < NOT_AGAIN:
            self.transport.write(self._head() + self._farewell(refused.code, refused.reason))
        else:
            self.transport.write(self._refuse(refused.code, refused.reason))
        self.transport.close()

    def deliver(self, data: bytes) -> None:
        """Send one event, as JSON, of this stream's own; it has no id, so that it moves no position."""
        self.send(b"data: [%b]\n\n%b" % (data, self._padding))

    def deliver_state(self, payload: bytes) -> None:
        """Send the room as it is."""
        if self.channel is not None:
            self.send(b"id: %b\ndata: %b\n\n%b" % (self.channel.room.position(), payload, self._padding))

    # The end

    def close(self, code: int, reason: str) -> None:
        """Say goodbye and leave the room; the transport closes when the rest is written, or the wheel cuts it."""
        if self.phase is Phase.OPEN:
            self._leave(code)
            self.transport.write(self._farewell(code, reason))
            self.transport.close()

    def turn(self, now_ms: int) -> None:
        """Look after the stream: called by the wheel once a round."""
        if not self._overdue(now_ms) and not self.paused_ms and now_ms - self._beat_ms >= self._hub.limits.ping_ms:
            self._beat_ms = now_ms
            self.transport.write(KEEP_ALIVE + self._padding)

    def _farewell(self, code: int, reason: str) -> bytes:
        found = _RETRY.search(reason)
        retry_ms = int(found[1]) if found else COME_BACK_MS
        retry = b"retry: %d\n" % retry_ms if code < NOT_AGAIN else b""
        told = encode({"code": int(code), "reason": reason})
        return b"%bevent: close\ndata: %b\n\n%b" % (retry, told, self._padding)
