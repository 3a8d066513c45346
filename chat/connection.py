"""One WebSocket connection: bytes of a transport to commands, frames to the transport.

`websockets.server.ServerProtocol` parses and keeps the rules of RFC 6455; the shell around it holds a connection's
place in its room. There is no task and no timer per connection, and what only some need is made when they need it: an
idle viewer is this object, the parser and the transport.

A connection lives through three phases: HEAD (the request has not come whole), OPEN, CLOSING (a close frame was sent
or received; nothing else is written any more, what comes is thrown away, and the wheel cuts the socket after a while).
"""

from __future__ import annotations

import asyncio
import logging
import zlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, cast

from websockets.datastructures import Headers
from websockets.exceptions import WebSocketException
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.frames import CloseCode as WireCode
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import Protocol as WireProtocol
from websockets.protocol import State
from websockets.server import ServerProtocol

from chat import frame
from chat.errors import BadFrame, CloseCode, TokenRefused
from chat.message import decode
from chat.sink import Kind, Phase, Socket
from chat.work import Work

if TYPE_CHECKING:
    from chat.hub import Hub

REASON_BYTES_MAX = 123
"""A control frame's payload is at most 125 bytes, two of them the code (RFC 6455 section 5.5)."""

PEER_CLOSED = 1000
"""How a close that the peer began is counted, whatever code it gave."""

# Neither side keeps a dictionary from message to message: a frame is compressed once for all sockets of a room, and a
# socket costs no window of 32 KB (RFC 7692 sections 7.1.1.1 and 7.1.1.2; a server may ask for either unasked).
_EXTENSIONS = (ServerPerMessageDeflateFactory(server_no_context_takeover=True, client_no_context_takeover=True),)

# Above DEBUG for good: at DEBUG the parser logs the request line, and with it the token.
_wire_log = logging.getLogger("chat.wire")
_wire_log.setLevel(logging.WARNING)


_SWITCHING = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "


class _Wire(ServerProtocol):
    """The parser, with our close code for a message over the limit."""

    between = True
    """Whether all that was read ends with a frame's last byte, so that what comes next begins one."""

    def receive_data(self, data: bytes | bytearray) -> None:
        """Read on."""
        self.between = False
        super().receive_data(data)

    def recv_frame(self, received: Frame) -> None:
        """Take in a frame; called by the parser when its last byte was read."""
        self.between = not self.reader.buffer
        super().recv_frame(received)

    def switch(self, request: Request) -> bytes:
        """Open with a request that is in order; return the response. Raises WebSocketException for any other.

        It is what `accept` and `send_response` make, less the date: nobody keeps a 101 (RFC 9110 section 6.6.1 asks
        for it of 2xx to 4xx), and building it anew for each was an eighth of a join.
        """
        accept, extensions, _ = self.process_request(request)
        self.state = State.OPEN
        extra = "" if extensions is None else f"Sec-WebSocket-Extensions: {extensions}\r\n"
        return f"{_SWITCHING}{accept}\r\n{extra}\r\n".encode("ascii")

    def fail(self, code: WireCode | int, reason: str = "") -> None:
        if code == WireCode.MESSAGE_TOO_BIG:
            code, reason = CloseCode.TOO_LONG, f"a message has at most {self.max_message_size} bytes"
        super().fail(code, fitting_reason(reason))


def fitting_reason(reason: str) -> str:
    """Return as much of a reason as a close frame holds, without half a character at its end."""
    return reason.encode()[:REASON_BYTES_MAX].decode(errors="ignore")


class Connection(Socket):
    """A client of the hub. Made by `Hub.connection`; the gateway gives it the transport and the request."""

    __slots__ = ("_buffer", "_flood", "_stamp_ms", "_tokens", "_wire", "heard_ms", "work")

    def __init__(self, hub: Hub, address: str, on_lost: Callable[[], None] | None = None) -> None:
        super().__init__(hub, Kind.FRAME, address, on_lost)
        self.work: Work | None = None
        self.heard_ms = 0
        self._buffer: bytearray | None = None
        self._wire = _Wire(max_size=hub.limits.frame_bytes, logger=_wire_log, extensions=_EXTENSIONS)
        self._tokens = float(hub.limits.commands_burst)
        self._flood = float(hub.limits.flood_burst)
        self._stamp_ms = 0

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport over."""
        self.heard_ms = self._stamp_ms = self._hub.clock()
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Parse what came, act on it, answer."""
        hub = self._hub
        hub.counters.bytes_in += len(data)
        if self.phase is Phase.OPEN:
            self.heard_ms = hub.clock()
            if self.member is None:
                self._hold_back(data)
            else:
                self._feed(data)
        elif self.phase is Phase.HEAD:
            self._read_head(data)
        else:
            self._discard(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Leave the room, and let go of the parser: it and its generator hold one another."""
        super().connection_lost(exc)
        self._wire.parser.close()

    # Handshake

    def _read_head(self, data: bytes) -> None:
        if self._buffer is not None:
            data = bytes(self._buffer) + data
        head, mark, rest = data.partition(b"\r\n\r\n")
        if not mark:
            self._buffer = bytearray(data)
            if len(data) > self._hub.limits.head_bytes:
                self.transport.abort()
            return
        self._buffer = None
        self._wire.receive_data(head + mark)
        events = self._wire.events_received()
        if events:
            self._accept(cast(Request, events[0]), rest)
        else:
            self._turn_away()

    def begin(self, target: str, headers: Sequence[tuple[str, str]], rest: bytes) -> None:
        """Take a GET of HTTP/1.1 that was read, and found well-formed, by somebody else; `rest` came behind it."""
        self._accept(Request(target, Headers(headers)), rest)

    def _turn_away(self) -> None:
        """End a connection whose request is none, or not for a WebSocket, with the parser's answer."""
        self.phase = Phase.CLOSING
        self.transport.write(b"".join(self._wire.data_to_send()))
        self.transport.close()

    def _accept(self, request: Request, rest: bytes) -> None:
        wire = self._wire
        try:
            out = wire.switch(request)
        except WebSocketException:
            wire.send_response(wire.accept(request))
            self._turn_away()
            return
        # The parser that read the request holds it, headers and all, for as long as it lives (1–3 KB a connection);
        # the bytes after the head were kept back, so a fresh one starts at a frame's first byte.
        wire.parser = WireProtocol.parse(wire)
        next(wire.parser)
        wire.between = True
        self.phase = Phase.OPEN
        # Who wants a shorter window than everybody's gets frames as they are, which the extension allows.
        if any(getattr(extension, "local_max_window_bits", 0) == zlib.MAX_WBITS for extension in wire.extensions):
            self.kind = Kind.DEFLATED
        bearer = request.headers.get_all("Authorization")
        self._join(out, request.path, bearer[0] if bearer else None)
        if rest:
            self.data_received(rest)

    def _join(self, handshake: bytes, target: str, authorization: str | None) -> None:
        try:
            snapshot = self._hub.join(self, target, authorization)
        except TokenRefused as refused:
            self.transport.write(handshake)
            self.close(refused.code, refused.reason)
            return
        self._hub.counters.bytes_out += len(handshake) + len(snapshot)
        self.transport.write(handshake + snapshot)

    def _hold_back(self, data: bytes) -> None:
        """Keep what comes before the room is there; reading is paused, so it is what was on its way."""
        self._buffer = (self._buffer or bytearray()) + data
        if len(self._buffer) > self._hub.limits.head_bytes:
            self.transport.abort()

    def welcome(self, payload: bytes) -> None:
        """Send the room as it is, to a connection that waited for it; what it has sent meanwhile counts from now on."""
        self.deliver_state(payload)
        held, self._buffer = self._buffer, None
        if held and self.phase is Phase.OPEN:
            self._feed(bytes(held))

    # Frames in

    def _feed(self, data: bytes) -> None:
        wire = self._wire
        if wire.between and self._buffer is None:
            data = self._feed_plain(data)
            if not data:
                return
        wire.receive_data(data)
        events = wire.events_received()
        # The parser has read everything by now, and its pongs wait: each goes out before the answers to what came
        # after its ping, and what else the parser says (its answer to a close frame) after all of them.
        waiting = wire.data_to_send()
        for event in events:
            if self.phase is not Phase.OPEN:
                break
            received = cast(Frame, event)
            if received.opcode is Opcode.PING and waiting:
                self.transport.write(waiting.pop(0))
            self._read_frame(received)
        # A frame that broke the rules has ended our half: of what waited, nothing can be sent any more.
        if not wire.eof_sent or b"" in waiting:
            wire.writes[:0] = waiting
        self._write_wire()

    def _feed_plain(self, data: bytes) -> bytes:
        """Act on the plain frames that `data` begins with, past the parser; return what is left for it."""
        hub = self._hub
        bytes_max = hub.limits.frame_bytes
        start = 0
        while (found := frame.whole_text(data, start, bytes_max)) is not None:
            payload, start = found
            hub.counters.frames_in += 1
            self._read_message(payload)
            if start == len(data) or self.phase is not Phase.OPEN:
                return b""
        return data[start:] if start else data

    def _read_frame(self, received: Frame) -> None:
        hub = self._hub
        hub.counters.frames_in += 1
        opcode = received.opcode
        if opcode is Opcode.BINARY:
            self._violate(CloseCode.BAD_FRAME, "text frames only")
            return
        if opcode is not Opcode.TEXT and opcode is not Opcode.CONT:
            # Pings and pongs cost as well; a close frame is the parser's affair.
            self._spend_flood(1)
            return
        data = received.data
        # RFC 6455 section 5.4: the parser checks the order and the sum of fragments, putting together is ours.
        if self._buffer is not None:
            self._buffer += data
            data = self._buffer
        if not received.fin:
            if self._spend_flood(1):
                self._buffer = bytearray(data)
            return
        self._buffer = None
        self._read_message(data)

    def _read_message(self, data: bytes | bytearray | memoryview) -> None:
        """Run the commands of one whole text message."""
        hub = self._hub
        try:
            commands = decode(data, hub.limits.commands_per_frame)
        except BadFrame as error:
            self._violate(CloseCode.BAD_FRAME, str(error))
            return
        if not self._spend_flood(len(commands)):
            return
        hub.counters.commands_in += len(commands)
        work = self.work
        if work is None:
            work = self.work = Work()
        work.gathering = True
        for command in commands:
            hub.dispatcher.perform(self, command)
            if self.phase is not Phase.OPEN:
                return
        work.gathering = False
        self._write_answers()

    def _spend_flood(self, count: int) -> bool:
        self._refill()
        self._flood -= count
        if self._flood >= 0:
            return True
        self._violate(CloseCode.FLOODING, "too many messages")
        return False

    def spend_command(self) -> int:
        """Pay for one command; return 0, or the milliseconds until it can be paid."""
        if self._tokens >= 1:
            self._tokens -= 1
            return 0
        return max(1, int((1 - self._tokens) * 1000 / self._hub.limits.commands_per_s))

    def _refill(self) -> None:
        elapsed_ms = self.heard_ms - self._stamp_ms
        self._stamp_ms = self.heard_ms
        if elapsed_ms > 0:
            limits = self._hub.limits
            self._tokens = min(limits.commands_burst, self._tokens + elapsed_ms * limits.commands_per_s / 1000)
            self._flood = min(limits.flood_burst, self._flood + elapsed_ms * limits.flood_per_s / 1000)

    # Frames out

    def deliver(self, data: bytes) -> None:
        """Send one event, as JSON, of this connection's own."""
        self.send(frame.array((data,)))

    def deliver_state(self, payload: bytes) -> None:
        """Send the room as it is: a JSON array."""
        self.send(frame.text(payload))

    def answer(self, data: bytes) -> None:
        """Send an answer; answers to one frame are gathered into one frame."""
        if self.work is not None and self.work.gathering:
            self.work.answers.append(data)
        else:
            self.send(frame.array((data,)))

    def _write_answers(self) -> None:
        work = self.work
        if work is not None and work.answers:
            answers, work.answers = work.answers, []
            self.send(frame.array(answers))

    def _write_wire(self) -> None:
        wire = self._wire
        if wire.state is not State.OPEN and self.phase is Phase.OPEN:
            ours = wire.close_rcvd is None and wire.close_sent is not None
            self._leave(wire.close_sent.code if ours and wire.close_sent else PEER_CLOSED)
        for data in wire.data_to_send():
            if data:
                self.transport.write(data)
            elif wire.close_rcvd is not None or not self.transport.can_write_eof():
                self.transport.close()
            else:
                # Closing while the peer still sends would reset the connection, and the peer might never read the
                # close frame: end our half, throw away what comes, let the peer or the wheel end the rest.
                self.transport.write_eof()

    # The end

    def close(self, code: int, reason: str) -> None:
        """Send a close frame and leave the room; the peer answers it, or the wheel cuts the socket."""
        if self.phase is Phase.OPEN and self._wire.state is State.OPEN:
            self._finish(code)
            self._wire.send_close(code, fitting_reason(reason))
            self._write_wire()

    def _violate(self, code: int, reason: str) -> None:
        """Close a connection whose peer broke the rules: nothing it sends is parsed any more."""
        if self._wire.state is State.OPEN:
            self._finish(code)
            self._wire.fail(code, reason)
            self._write_wire()

    def _finish(self, code: int) -> None:
        if self.work is not None:
            self.work.gathering = False
            self._write_answers()
        if self.phase is Phase.OPEN:
            self._leave(code)

    def _leave(self, code: int) -> None:
        super()._leave(code)
        # From here on counts what may still be thrown away.
        self._flood = float(self._hub.limits.discard_bytes)

    def _discard(self, data: bytes) -> None:
        self._flood -= len(data)
        if self._flood < 0:
            self.transport.abort()
            return
        self._wire.receive_data(data)
        self._wire.events_received()
        self._write_wire()

    def turn(self, now_ms: int) -> None:
        """Look after the connection: called by the wheel once a round."""
        limits = self._hub.limits
        if self._overdue(now_ms):
            return
        if now_ms - self.heard_ms > limits.silent_ms:
            self.close(CloseCode.SLOW, "silent")
        elif now_ms - self.heard_ms >= limits.ping_ms and self.phase is Phase.OPEN and not self.paused_ms:
            self.transport.write(frame.PING)
