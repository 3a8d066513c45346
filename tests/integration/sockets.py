"""Thousands of hub clients on plain sockets in one thread: a raw WebSocket client (RFC 6455) over one selector.

It keeps the protocol's rules (masks what it sends, answers pings and closes) and can break each of them on purpose:
``frame`` builds any frame, ``HubClient.send_bytes`` sends anything. One ``Crowd`` drives all its clients; nothing
happens outside ``Crowd.pump`` and what is built on it.
"""

from __future__ import annotations

import base64
import itertools
import json
import os
import resource
import selectors
import socket
import struct
import time
from collections import deque
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any
from urllib.parse import quote

import orjson

PATIENCE_S = 90.0
"""How long anything is waited for: the machine may be busy, and a test that fails should fail with words."""
READ_BYTES = 256 * 1024
EVENTS_KEPT = 20_000
"""Events that a watching client remembers: more than any test sends."""

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
LOST = 1006


def mask(data: bytes, key: bytes) -> bytes:
    """XOR with the repeated key (RFC 6455 section 5.3)."""
    pattern = (key * (len(data) // 4 + 1))[: len(data)]
    return (int.from_bytes(data, "big") ^ int.from_bytes(pattern, "big")).to_bytes(len(data), "big")


def frame(payload: bytes, opcode: int = TEXT, *, fin: bool = True, masked: bool = True, rsv: int = 0) -> bytes:
    """One client frame (RFC 6455 section 5.2); ``masked=False`` and ``rsv`` are for clients that break the rules."""
    length = len(payload)
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    bit = 0x80 if masked else 0
    if length < 126:
        head = struct.pack("!BB", first, bit | length)
    elif length < 65_536:
        head = struct.pack("!BBH", first, bit | 126, length)
    else:
        head = struct.pack("!BBQ", first, bit | 127, length)
    if not masked:
        return head + payload
    key = os.urandom(4)
    return head + key + mask(payload, key)


def raise_file_limit(wanted: int = 8_192) -> None:
    """Let this process open ``wanted`` files, as far as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class HubClient:
    """One connection to the hub: what came, which answers, how it ended. Made by ``Crowd.join``.

    A client that does not ``watch`` parses only its first frame and those that hold answers: a crowd of 2,000 has no
    time to read everything 2,000 times.
    """

    __slots__ = (
        "_crowd",
        "_head",
        "_ids",
        "_in",
        "_out",
        "_socket",
        "answered",
        "answers",
        "closed",
        "events",
        "frames",
        "person",
        "pongs",
        "room",
        "token",
        "watch",
    )

    def __init__(self, crowd: Crowd, sock: socket.socket, *, person: str, token: str, watch: bool) -> None:
        self.person = person
        self.token = token
        self.watch = watch
        self.room: dict[str, Any] | None = None
        """The newest ``room`` object."""
        self.events: deque[dict[str, Any]] = deque(maxlen=EVENTS_KEPT)
        """What came and is no answer, in order."""
        self.answers: dict[int, dict[str, Any]] = {}
        self.answered = crowd.answered
        """Called with each answer as it comes."""
        self.closed: tuple[int, str] | None = None
        """Close code and reason; 1006 when the connection ended without a close frame."""
        self.frames = 0
        self.pongs = 0
        self._crowd = crowd
        self._socket = sock
        self._head = False
        self._in = bytearray()
        self._out = bytearray()
        self._ids = itertools.count(1)

    @property
    def port(self) -> int:
        """Our own TCP port, by which a trace names this connection."""
        port: int = self._socket.getsockname()[1]
        return port

    def fileno(self) -> int:
        return self._socket.fileno()

    # Out

    def send_bytes(self, data: bytes) -> None:
        """Send bytes as they are; what the kernel does not take now goes out while the crowd is pumped."""
        if self.closed is not None:
            return
        if not self._out:
            try:
                sent = self._socket.send(data)
            except BlockingIOError:
                sent = 0
            except (BrokenPipeError, ConnectionResetError):
                # What the peer said before it went is still to be read.
                return
            if sent == len(data):
                return
            data = data[sent:]
        self._out += data
        self._crowd.want_write(self, True)

    def send_json(self, value: Any) -> None:
        """Send one text frame; the standard library's JSON, as it writes any integer."""
        self.send_bytes(frame(json.dumps(value, ensure_ascii=False).encode()))

    def send(self, cmd: str, **arguments: Any) -> int:
        """Send one command; its id."""
        number = next(self._ids)
        self.send_json({"id": number, "cmd": cmd, **arguments})
        return number

    def command(self, cmd: str, **arguments: Any) -> dict[str, Any]:
        """Send one command and wait for its answer."""
        number = self.send(cmd, **arguments)
        self._crowd.run(lambda: number in self.answers or self.closed is not None, f"the answer to {cmd}")
        assert number in self.answers, f"{cmd} was answered by a close: {self.closed}"
        return self.answers[number]

    def flush(self) -> None:
        """Send what waits. Called by the crowd."""
        try:
            sent = self._socket.send(self._out)
        except BlockingIOError:
            return
        except (BrokenPipeError, ConnectionResetError):
            sent = len(self._out)
        del self._out[:sent]
        if not self._out:
            self._crowd.want_write(self, False)

    # In

    def receive(self) -> None:
        """Read what is there. Called by the crowd."""
        try:
            data = self._socket.recv(READ_BYTES)
        except BlockingIOError:
            return
        except ConnectionResetError:
            data = b""
        if not data:
            self._end(LOST, "")
            return
        self._in += data
        if not self._head:
            head, mark_, rest = bytes(self._in).partition(b"\r\n\r\n")
            if not mark_:
                return
            assert head.startswith(b"HTTP/1.1 101 "), head[:400]
            self._head = True
            self._in = bytearray(rest)
        self._read_frames()

    def _read_frames(self) -> None:
        data, at = bytes(self._in), 0
        while len(data) - at >= 2 and self.closed is None:
            first, length, start = data[at], data[at + 1], at + 2
            if length == 126:
                length = int.from_bytes(data[start : start + 2], "big")
                start += 2
            elif length == 127:
                length = int.from_bytes(data[start : start + 8], "big")
                start += 8
            if len(data) < start + length:
                break
            assert first & 0x70 == 0, "the server set a reserved bit"
            self._read_frame(first & 0x0F, data[start : start + length])
            at = start + length
        self._in = bytearray(data[at:])

    def _read_frame(self, opcode: int, payload: bytes) -> None:
        if opcode == TEXT:
            self.frames += 1
            if self.watch or self.room is None or b'"re":' in payload:
                self._read_objects(orjson.loads(payload))
        elif opcode == PING:
            self.send_bytes(frame(payload, PONG))
        elif opcode == PONG:
            self.pongs += 1
        elif opcode == CLOSE:
            self.send_bytes(frame(payload[:2], CLOSE))
            code = int.from_bytes(payload[:2], "big") if payload else 1005
            self._end(code, payload[2:].decode())
        else:
            raise AssertionError(f"the server sent a frame of kind {opcode}")

    def _read_objects(self, objects: list[dict[str, Any]]) -> None:
        for item in objects:
            if "re" in item:
                number = item["re"]
                assert number not in self.answers, f"command {number} was answered twice: {item}"
                self.answers[number] = item
                if self.answered is not None:
                    self.answered(self, number, item)
                continue
            if item["t"] == "room":
                self.room = item
            if self.watch:
                self.events.append(item)

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The events of one kind that came."""
        return [event for event in self.events if event["t"] == kind]

    # The end

    def cut(self) -> None:
        """Drop the connection without a word, as a phone in a tunnel does."""
        self._end(LOST, "cut by ourselves")

    def _end(self, code: int, reason: str) -> None:
        if self.closed is None:
            self.closed = (code, reason)
            self._crowd.forget(self)
            self._socket.close()


class Crowd:
    """All clients of one test, on one selector."""

    def __init__(self, http_port: int) -> None:
        self._port = http_port
        self._selector = selectors.DefaultSelector()
        self.answered: Callable[[HubClient, int, dict[str, Any]], None] | None = None
        """Called with each answer as it comes, by clients that join from then on."""
        self.clients: list[HubClient] = []

    def __enter__(self) -> Crowd:
        raise_file_limit()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for client in self.clients:
            client.cut()
        self._selector.close()

    def knock(
        self,
        room: str,
        token: str,
        *,
        since: str | None = None,
        person: str = "",
        watch: bool = True,
        headers: Mapping[str, str] | None = None,
    ) -> HubClient:
        """Connect and ask for the hub, without waiting for what it says."""
        sock = socket.create_connection(("127.0.0.1", self._port), timeout=PATIENCE_S)
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client = HubClient(self, sock, person=person, token=token, watch=watch)
        self.clients.append(client)
        self._selector.register(sock, selectors.EVENT_READ, client)
        query = f"?token={quote(token)}" if token else ""
        if since is not None:
            query += f"{'&' if query else '?'}since={quote(since)}"
        lines = [
            f"GET /ws/{quote(room)}{query} HTTP/1.1",
            f"Host: 127.0.0.1:{self._port}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
            "Sec-WebSocket-Version: 13",
            *(f"{name}: {value}" for name, value in (headers or {}).items()),
        ]
        client.send_bytes("\r\n".join([*lines, "", ""]).encode())
        return client

    def join(self, room: str, token: str, **options: Any) -> HubClient:
        """Connect and wait for the room."""
        client = self.knock(room, token, **options)
        self.settle([client])
        return client

    def settle(self, clients: list[HubClient]) -> None:
        """Wait until all of ``clients`` are in the room."""
        waiting = list(clients)

        def all_in() -> bool:
            waiting[:] = [client for client in waiting if client.room is None]
            for client in waiting:
                assert client.closed is None, f"the join ended with {client.closed}"
            return not waiting

        self.run(all_in, "every client in the room")

    def pump(self, timeout_s: float = 0.0) -> None:
        """Move what can be moved, waiting ``timeout_s`` for the first of it."""
        for key, mask_ in self._selector.select(timeout_s):
            client: HubClient = key.data
            if mask_ & selectors.EVENT_WRITE:
                client.flush()
            if mask_ & selectors.EVENT_READ and client.closed is None:
                client.receive()

    def run(self, until: Callable[[], bool], what: str, timeout_s: float = PATIENCE_S) -> None:
        """Pump until ``until()``; fails with ``what`` when that never comes."""
        deadline = time.monotonic() + timeout_s
        while not until():
            assert time.monotonic() < deadline, f"never came: {what}"
            self.pump(0.02)

    def idle(self, seconds: float) -> None:
        """Pump for a while."""
        deadline = time.monotonic() + seconds
        while (rest := deadline - time.monotonic()) > 0:
            self.pump(min(rest, 0.02))

    def want_write(self, client: HubClient, wanted: bool) -> None:
        """Watch a client's socket for room to write, or stop to."""
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if wanted else 0)
        self._selector.modify(client, events, client)

    def forget(self, client: HubClient) -> None:
        """Stop watching a client that has ended."""
        self._selector.unregister(client)
