"""A blocking WebSocket client over websockets' sans-I/O core.

It uses plain sockets and locks: under Locust these are gevent's, so one greenlet reads while others send; in a test
without Locust they are threads'.
"""

from __future__ import annotations

import socket
import ssl
import threading
from urllib.parse import urlencode, urlsplit

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidHandshake
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import State
from websockets.uri import parse_uri

CONNECT_TIMEOUT_S = 10.0
SILENCE_S = 90.0
"""The server pings after 25 s of silence: three missed ones, and the connection is dead."""
READ_BYTES = 65_536
MESSAGE_BYTES_MAX = 4 * 1_048_576
"""A resumption holds at most 512 KB of events; sections come on top."""
LOST = 1006
"""Lost without a close frame (RFC 6455 section 7.1.5)."""

# What a phone's browser sends along; the server has to read it past.
BROWSER_HEADERS = (
    (
        "User-Agent",
        "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130 Mobile",
    ),
    ("Accept-Language", "zh-CN,zh;q=0.9,en;q=0.8"),
    ("Cache-Control", "no-cache"),
    ("Pragma", "no-cache"),
)


class HubLost(ConnectionError):
    """The connection is over; ``code`` and ``reason`` are those of the close frame, 1006 when there was none."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code} {reason}".strip())
        self.code = code
        self.reason = reason


def hub_url(base: str, room: str, token: str, since: str) -> str:
    """The hub's address of a room under the server's ``base`` URL."""
    parts = urlsplit(base)
    scheme = "wss" if parts.scheme == "https" else "ws"
    query = {"token": token, **({"since": since} if since else {})}
    return f"{scheme}://{parts.netloc}/ws/{room}?{urlencode(query)}"


class HubClient:
    """One connection. ``read`` is called by one reader; ``send`` and ``close`` by anyone."""

    def __init__(self, url: str, origin: str) -> None:
        """Connect and shake hands. Raises ``OSError`` (``HubLost`` is one)."""
        uri = parse_uri(url)
        raw = socket.create_connection((uri.host, uri.port), timeout=CONNECT_TIMEOUT_S)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = ssl.create_default_context().wrap_socket(raw, server_hostname=uri.host) if uri.secure else raw
        self._writing = threading.Lock()
        self._protocol = ClientProtocol(uri, max_size=MESSAGE_BYTES_MAX)
        self._parts: list[bytes] = []
        self._messages: list[bytes] = []
        request = self._protocol.connect()
        request.headers["Origin"] = origin
        for name, value in BROWSER_HEADERS:
            request.headers[name] = value
        try:
            self._protocol.send_request(request)
            self._flush()
            while self._protocol.state is State.CONNECTING:
                self._pump()
        except BaseException:
            self._socket.close()
            raise
        self._socket.settimeout(SILENCE_S)

    def read(self) -> bytes:
        """The next message. Raises ``HubLost`` when the connection is over."""
        while not self._messages:
            if self._protocol.state is State.CLOSED:
                raise self._lost()
            self._pump()
        return self._messages.pop(0)

    def send(self, text: bytes) -> None:
        """Send one text message. Raises ``HubLost`` when the connection is over."""
        if self._protocol.state is not State.OPEN:
            raise self._lost()
        self._protocol.send_text(text)
        self._flush()

    def close(self) -> None:
        """Say goodbye as a browser does that leaves the page (1001) and let the socket go."""
        try:
            if self._protocol.state is State.OPEN:
                self._protocol.send_close(1001)
                self._flush()
        except OSError:
            # The peer was faster; there is nobody left to be told.
            return
        finally:
            self._socket.close()

    def _lost(self) -> HubLost:
        sent = self._protocol.close_rcvd
        return HubLost(sent.code, sent.reason) if sent is not None else HubLost(LOST, "")

    def _flush(self) -> None:
        """Write what the core has for the peer, whole frames one after the other."""
        with self._writing:
            for data in self._protocol.data_to_send():
                try:
                    if data:
                        self._socket.sendall(data)
                    else:
                        self._socket.shutdown(socket.SHUT_WR)
                except OSError as error:
                    raise self._lost() from error

    def _pump(self) -> None:
        """Read once and hand it to the core; pongs go out with the flush."""
        try:
            data = self._socket.recv(READ_BYTES)
        except OSError as error:
            raise self._lost() from error
        if data:
            self._protocol.receive_data(data)
        else:
            self._protocol.receive_eof()
        events = self._protocol.events_received()
        if self._protocol.handshake_exc is not None:
            refused = self._protocol.handshake_exc
            raise HubLost(LOST, str(refused) if isinstance(refused, InvalidHandshake) else "no handshake")
        for event in events:
            if isinstance(event, Response):
                continue
            self._take(event)
        try:
            self._flush()
        except HubLost:
            # A pong or a close echo that no longer arrives: what was read is still good.
            if not self._messages:
                raise

    def _take(self, frame: object) -> None:
        if not isinstance(frame, Frame) or frame.opcode not in {Opcode.TEXT, Opcode.CONT}:
            return
        self._parts.append(bytes(frame.data))
        if frame.fin:
            self._messages.append(b"".join(self._parts))
            self._parts.clear()
