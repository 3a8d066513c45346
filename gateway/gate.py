"""The door of the HTTP port: counts connections, bounds them per address, and takes hub and playback off ASGI.

uvicorn accepts protocol classes. ``DoorProtocol`` is its HTTP/1.1 protocol with one seam: when a request's head is
complete and it asks for ``/ws/ROOM``, ``/sse/ROOM`` or ``/live/ROOM.flv|mp4``, the transport is handed to our own
protocol and uvicorn forgets it (design D1). Everything else goes to Starlette. Decided per request: browsers reuse
connections.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast
from urllib.parse import unquote

import h11
import orjson
from uvicorn.protocols.http.h11_impl import H11Protocol

from gateway.client import CORS_HEADERS, Clients, opens_websocket, wants_websocket
from gateway.errors import TITLES, Problem
from gateway.plain_head import read_plain_head

logger = logging.getLogger("siyu.http")

# Descriptors kept free for the database, logs, RTMP hosts and our own needs.
FILES_RESERVE = 500
# Of the open files that are not in reserve, RTMP's hosts and players may hold one in so many.
RTMP_SHARE = 5
REQUEST_HEAD_BYTES_MAX = 32 * 1024
# What the hub's handshake reads (RFC 6455 section 4.2.1), and the token.
HANDSHAKE_HEADERS = frozenset(
    {
        b"host",
        b"upgrade",
        b"connection",
        b"origin",
        b"authorization",
        b"sec-websocket-key",
        b"sec-websocket-version",
        b"sec-websocket-protocol",
        b"sec-websocket-extensions",
    }
)


@dataclass(frozen=True, slots=True)
class Taken:
    """Who gets the connection: ``feed_head`` says whether it parses the request itself (WebSocket) or not.

    ``begin`` takes target, headers and what came behind the head instead, where these are known to be well-formed.
    """

    protocol: asyncio.Protocol
    feed_head: bool
    begin: Callable[[str, Sequence[tuple[str, str]], bytes], None] | None = None


@dataclass(slots=True)
class GateCounts:
    """What /metrics shows of the door."""

    connections: int = 0
    accepted: int = 0
    taken: int = 0
    refused_full: int = 0
    refused_address: int = 0
    head_timeouts: int = 0
    tls_handshakes: int = 0
    """Under way."""
    tls_refusing: int = 0
    """Of these, those made only to refuse in words."""
    tls_failed: int = 0


def _refusal(
    status: int,
    phrase: str,
    code: str,
    detail: str,
    retry_s: int | None = None,
    headers: Sequence[tuple[bytes, bytes]] = (),
) -> bytes:
    """A whole HTTP response in bytes, for a connection that gets nothing else (RFC 9457 body)."""
    problem = {"type": "about:blank", "title": phrase, "status": status, "code": code, "detail": detail}
    retry = ""
    if retry_s is not None:
        problem["retry_ms"] = retry_s * 1000
        retry = f"Retry-After: {retry_s}\r\n"
    body = orjson.dumps(problem)
    head = (
        f"HTTP/1.1 {status} {phrase}\r\nContent-Type: application/problem+json\r\n{retry}"
        f"Connection: close\r\nContent-Length: {len(body)}\r\n"
    )
    extra = b"".join(b"%b: %b\r\n" % header for header in headers)
    return head.encode() + extra + b"\r\n" + body


def origin_form(target: bytes) -> bytes:
    """A request's target without the scheme and authority that it may begin with (RFC 9112 section 3.2.2)."""
    scheme, mark, rest = target.partition(b"://")
    if not mark or scheme.lower() not in {b"http", b"https"}:
        return target
    start = min((at for at in (rest.find(b"/"), rest.find(b"?")) if at >= 0), default=len(rest))
    return rest[start:] if rest[start : start + 1] == b"/" else b"/" + rest[start:]


def refusal_of(problem: Problem) -> bytes:
    """A whole HTTP response for a connection that was taken off Starlette and is refused after all."""
    retry_s = None if problem.retry_ms is None else max(1, -(-problem.retry_ms // 1000))
    phrase = TITLES.get(problem.status, "Error")
    return _refusal(problem.status, phrase, problem.code, problem.detail, retry_s, CORS_HEADERS)


REFUSE_FULL = _refusal(503, "Service Unavailable", "full", "The server has no connection left: come back later", 5)
REFUSE_ADDRESS = _refusal(
    429, "Too Many Requests", "too_many_connections", "Too many connections from this address", 10
)
REFUSE_SLOW_HEAD = _refusal(408, "Request Timeout", "slow_request", "The request's head did not end in time", 1)
REFUSE_LONG_HEAD = _refusal(
    431,
    "Request Header Fields Too Large",
    "head_too_long",
    f"A request's head has at most {REQUEST_HEAD_BYTES_MAX} bytes",
)
REFUSE_GARBAGE = _refusal(400, "Bad Request", "bad_request", "This is not an HTTP/1.1 request")


# What stands for the hub's close codes before an event stream has begun.
_STREAM_REFUSALS = {
    4401: (401, "Unauthorized", "token"),
    4403: (403, "Forbidden", "banned"),
    4404: (404, "Not Found", "no_room"),
}


def refuse_stream(code: int, reason: str) -> bytes:
    """The response to a request for an event stream that the hub refuses with a close code."""
    status, phrase, name = _STREAM_REFUSALS.get(code, (500, "Internal Server Error", "internal"))
    return _refusal(status, phrase, name, reason, headers=CORS_HEADERS)


class Gate:
    """Bounds and counts every connection of the HTTP port.

    ``take`` gets a request's ASGI scope, the client's address and a callback for the connection's end, and answers
    with the protocol that takes the connection over, or None to leave it to Starlette.
    """

    def __init__(
        self,
        clients: Clients,
        *,
        connections_max: int,
        per_address_max: int,
        header_timeout_s: float,
        handshake_timeout_s: float | None = None,
        take: Callable[[dict[str, Any], str, Callable[[], None]], Taken | None],
    ) -> None:
        self.clients = clients
        self.connections_max = connections_max
        self.per_address_max = per_address_max
        self.header_timeout_s = header_timeout_s
        self.handshake_timeout_s = handshake_timeout_s or header_timeout_s
        """For TLS: as long as a head, unless said otherwise."""
        self.take = take
        self.counts = GateCounts()
        self._by_address: Counter[str] = Counter()

    def enter(self, peer: str) -> bytes | None:
        """Count one connection from ``peer`` in, or give the bytes with which it is refused."""
        if self.counts.connections >= self.connections_max:
            self.counts.refused_full += 1
            return REFUSE_FULL
        if not self.clients.exempt(peer):
            if self._by_address[peer] >= self.per_address_max:
                self.counts.refused_address += 1
                return REFUSE_ADDRESS
            self._by_address[peer] += 1
        self.counts.connections += 1
        self.counts.accepted += 1
        return None

    def leave(self, peer: str) -> None:
        """Count one connection from ``peer`` out."""
        self.counts.connections -= 1
        if not self.clients.exempt(peer):
            self._by_address[peer] -= 1
            if self._by_address[peer] <= 0:
                del self._by_address[peer]

    def door(self) -> type[asyncio.Protocol]:
        """The protocol class to give to uvicorn as ``http=``."""
        return cast(type[asyncio.Protocol], type("Door", (DoorProtocol,), {"gate": self}))


class DoorProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 protocol with the seam, a time-out for request heads and the bounds of the gate."""

    gate: Gate
    _peer: str = ""
    _entered: bool = False
    _gone: bool = False
    _head_timer: asyncio.TimerHandle | None = None
    _taken: Taken | None = None

    def entered_by(self, peer: str) -> None:
        """Say that the connection was counted in, from ``peer``, before its TLS handshake."""
        self._peer, self._entered = peer, True

    def leave_gate(self) -> None:
        """Count the connection out, once."""
        if self._entered:
            self._entered = False
            self.gate.leave(self._peer)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        refusal = None
        # Over TLS it was entered before its handshake.
        if not self._entered:
            peer = transport.get_extra_info("peername")
            self._peer = peer[0] if isinstance(peer, tuple) else "unix"
            refusal = self.gate.enter(self._peer)
        super().connection_made(transport)
        if refusal is not None:
            self._gone = True
            transport.write(refusal)
            transport.close()
            return
        self._entered = True
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel_head_timer()
        self.leave_gate()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._gone or (data.startswith(b"GET /ws/") and self._take_plain(data)):
            return
        super().data_received(data)
        if self._gone:
            return
        # A client that begins a request must also end its head in time, on a kept connection as well.
        if self.conn.their_state is h11.IDLE:
            if self.conn.trailing_data[0]:
                self._await_head()
        elif not self._answered_early:
            self._cancel_head_timer()

    def _take_plain(self, data: bytes) -> bool:
        """Hand a WebSocket over without h11, when nothing else is under way and its head is plain."""
        conn = self.conn
        if conn.their_state is not h11.IDLE or conn.our_state is not h11.IDLE or conn.trailing_data[0]:
            return False
        plain = read_plain_head(data, REQUEST_HEAD_BYTES_MAX)
        if plain is None:
            return False
        self.headers = plain.headers
        scope = {"method": "GET", "path": plain.path, "query_string": plain.query, "headers": plain.headers}
        if not self._is_taken(scope):
            return False
        taken = self._taken
        assert taken is not None
        if taken.begin is None:
            self._hand_over(self._rebuilt_head(b"GET", plain.target) + plain.rest)
        else:
            self._hand_over(b"")
            if not self.transport.is_closing():
                taken.begin(plain.target.decode("ascii"), self._handshake_headers(), plain.rest)
        return True

    @property
    def _answered_early(self) -> bool:
        """Whether the answer is out and the request's body is not in: nobody reads it any more."""
        return self.conn.our_state is not h11.SEND_RESPONSE and self.conn.their_state is h11.SEND_BODY

    def on_response_complete(self) -> None:
        """Called by uvicorn when the answer is out."""
        super().on_response_complete()
        if self._answered_early and not self.transport.is_closing():
            # Each byte would put off uvicorn's keep-alive time-out: the rest of the body has as long as a head.
            self._await_head()

    def eof_received(self) -> bool:  # type: ignore[override]
        """Answer a client that closed its side behind a whole request, and close then."""
        cycle = self.cycle
        if self._gone or cycle is None or cycle.response_complete or cycle.more_body:
            return False
        cycle.keep_alive = False
        return True

    def send_400_response(self, msg: str) -> None:
        """Refuse what h11 cannot read; called by uvicorn, which does not say why."""
        self._gone = True
        self._cancel_head_timer()
        # Behind an answer there is no room for another one: the peer still sends the body of what was answered.
        if self.conn.our_state in {h11.IDLE, h11.SEND_RESPONSE, h11.ERROR} and not self._answering:
            too_long = len(self.conn.trailing_data[0]) > REQUEST_HEAD_BYTES_MAX
            self.transport.write(REFUSE_LONG_HEAD if too_long else REFUSE_GARBAGE)
        self.transport.close()

    @property
    def _answering(self) -> bool:
        return self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete

    def _await_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self.gate.header_timeout_s, self._head_too_slow)

    def _cancel_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_too_slow(self) -> None:
        self._head_timer = None
        self.gate.counts.head_timeouts += 1
        self._gone = True
        self._unset_keepalive_if_required()
        if self.transport.is_closing():
            return
        # Browsers open connections in advance: an answer to no request would be taken for that to their next one.
        if self.conn.their_state is h11.IDLE and self.conn.trailing_data[0]:
            self.transport.write(REFUSE_SLOW_HEAD)
        self.transport.close()

    def _should_upgrade(self) -> bool:
        """Called by uvicorn when a request's head is complete and before anything is done with it."""
        scope = cast(dict[str, Any], self.scope)
        if not scope["raw_path"].startswith(b"/"):
            scope["raw_path"] = origin_form(scope["raw_path"])
            scope["path"] = unquote(scope["raw_path"].decode("ascii"))
        return self._is_taken(scope)

    def _is_taken(self, scope: dict[str, Any]) -> bool:
        """Whether somebody takes a request; by then its headers are known."""
        self._cancel_head_timer()
        path = scope["path"]
        if not path.startswith(("/ws/", "/live/", "/sse/")):
            return False
        # A handshake that is none is told so by the route behind; playback without one is HTTP's.
        asks = path.startswith("/ws/") or wants_websocket(self.headers)
        if asks and not (scope["method"] == "GET" and opens_websocket(self.headers)):
            return False
        address = self.gate.clients.address(self._peer, self.headers)
        self._taken = self.gate.take(
            # The callback must not hold this object: a taken connection outlives it by hours.
            scope,
            address,
            partial(self.gate.leave, self._peer),
        )
        return self._taken is not None

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Hand the transport over; uvicorn's own name for the place where it would do so."""
        feeds = self._taken is not None and self._taken.feed_head
        head = self._rebuilt_head(event.method, origin_form(event.target)) if feeds else b""
        self._hand_over(head + self.conn.trailing_data[0])

    def _hand_over(self, first: bytes) -> None:
        taken = self._taken
        assert taken is not None
        self._taken = None
        self._gone = True
        self._unset_keepalive_if_required()
        self.connections.discard(self)
        self._entered = False
        self.gate.counts.taken += 1
        transport = self.transport
        # Protocol first: a take-over may write, and its flow control must reach the new owner.
        transport.set_protocol(taken.protocol)
        taken.protocol.connection_made(transport)
        if self.flow.write_paused:
            # The transport told us, and will not tell again: without it the new owner would write without bound.
            taken.protocol.pause_writing()
        if first:
            taken.protocol.data_received(first)

    def _handshake_headers(self) -> list[tuple[str, str]]:
        return [(name.decode(), value.decode("latin-1")) for name, value in self.headers if name in HANDSHAKE_HEADERS]

    def _rebuilt_head(self, method: bytes, target: bytes) -> bytes:
        parts = [method, b" ", target, b" HTTP/1.1\r\n"]
        for name, value in self.headers:
            # A browser sends a kilobyte of others; each costs the WebSocket's parser time at every join.
            if name in HANDSHAKE_HEADERS:
                parts += [name, b": ", value, b"\r\n"]
        parts.append(b"\r\n")
        return b"".join(parts)
