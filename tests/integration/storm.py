"""Clients in a process of their own that drop all at once and come back with `since`, from many addresses."""

from __future__ import annotations

import random
import re
import select
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

from gateway.bench.process import told
from gateway.bench.sink import READ_BYTES, READY_MAX
from tests.integration.masses import PONG

_OFFSET = re.compile(rb'"o":(\d+)')
_ROOM = re.compile(rb'^\[\{"t":"room","epoch":"([^"]+)","offset":(\d+),"resumed":(true|false)')
_RETRY = re.compile(rb"retry_ms=(\d+)")
OPENING_MAX = 500
"""Connections being opened at a time by the whole storm: what a backlog of 4,096 takes without a word."""
BACKOFF_S = 0.3
"""Spread over which clients come back that were not told when."""
TIMEOUT_S = 300.0


@dataclass(slots=True)
class Client:
    """One viewer; `last` is the highest offset it has seen."""

    target: str
    address: str
    sock: socket.socket | None = None
    buffer: bytes = b""
    head: bool = False
    epoch: str = ""
    last: int = -1
    due_s: float = 0.0
    dropped_s: float = 0.0
    lost: int = 0
    doubled: int = 0
    afresh: int = 0

    def request(self) -> bytes:
        """What it joins with."""
        since = f"&since={self.epoch}:{self.last}" if self.epoch else ""
        return (
            f"GET {self.target}{since} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        ).encode()

    def note(self, payload: bytes) -> None:
        """Look at the offsets of a frame: each must follow the last."""
        room = _ROOM.match(payload)
        if room is not None and room[3] == b"false":
            self.afresh += bool(self.epoch)
            self.epoch, self.last = room[1].decode(), int(room[2])
            return
        for found in _OFFSET.finditer(payload):
            offset = int(found[1])
            if offset <= self.last:
                self.doubled += 1
            elif offset > self.last + 1:
                self.lost += offset - self.last - 1
            self.last = max(self.last, offset)


@dataclass(slots=True)
class Storm:
    """What happened, of all clients together."""

    recovered_ms: list[float] = field(default_factory=list)
    """From the drop to the room's first frame, of each client."""
    refused: int = 0
    """Joins that were told to come later."""
    resets: int = 0
    """Joins that ended without a word."""
    codes: dict[int, int] = field(default_factory=dict)
    lost: int = 0
    doubled: int = 0
    afresh: int = 0
    """Clients that got the state in place of what they had missed."""
    last: list[int] = field(default_factory=list)
    """The highest and the lowest offset that any has seen in the end."""


def storm(pipe: Connection, port: int, targets: Sequence[str], addresses: Sequence[str]) -> None:
    """Join; say "in"; when told, drop all at once and come back; say "back"; when told, say `Storm`."""
    _Sea(pipe, port, [Client(target, address) for target, address in zip(targets, addresses, strict=True)]).run()


class _Sea:
    def __init__(self, pipe: Connection, port: int, clients: list[Client]) -> None:
        self._pipe = pipe
        self._port = port
        self._clients = clients
        self._epoll = select.epoll()
        self._open: dict[int, Client] = {}
        self._away = list(clients)
        self._opening = 0
        self._storm = Storm()

    def run(self) -> None:
        self._until(lambda: self._in == len(self._clients))
        self._pipe.send("in")
        self._until(lambda: told(self._pipe))
        now_s = time.monotonic()
        for client in self._clients:
            self._drop(client)
            client.dropped_s = now_s
            client.due_s = now_s + random.random() * BACKOFF_S
        self._until(lambda: self._in == len(self._clients))
        self._pipe.send("back")
        self._until(lambda: told(self._pipe))
        found = self._storm
        for client in self._clients:
            found.lost += client.lost
            found.doubled += client.doubled
            found.afresh += client.afresh
            self._drop(client)
        ends = [client.last for client in self._clients]
        found.last = [max(ends), min(ends)]
        self._pipe.send(found)

    @property
    def _in(self) -> int:
        return len(self._clients) - len(self._away) - self._opening

    def _until(self, condition: object) -> None:
        assert callable(condition)
        deadline_s = time.monotonic() + TIMEOUT_S
        while not condition():
            assert time.monotonic() < deadline_s, f"{self._in} of {len(self._clients)} are in"
            self._come()
            for number, event in self._epoll.poll(0.01, READY_MAX):
                client = self._open.get(number)
                if client is not None:
                    self._turn(client, event)

    def _come(self) -> None:
        now_s = time.monotonic()
        late = []
        for client in self._away:
            if client.due_s > now_s or self._opening >= OPENING_MAX:
                late.append(client)
                continue
            sock = client.sock = socket.socket()
            sock.setblocking(False)
            # All of 127.0.0.0/8 is this machine: each address has ports of its own.
            sock.bind((client.address, 0))
            sock.connect_ex(("127.0.0.1", self._port))
            self._open[sock.fileno()] = client
            self._epoll.register(sock.fileno(), select.EPOLLOUT)
            self._opening += 1
        self._away = late

    def _turn(self, client: Client, event: int) -> None:
        sock = client.sock
        assert sock is not None
        try:
            if event & select.EPOLLOUT:
                sock.sendall(client.request())
                self._epoll.modify(sock.fileno(), select.EPOLLIN)
                return
            data = sock.recv(READ_BYTES)
        except ConnectionError:
            data = b""
        if not data:
            self._storm.resets += 1
            self._again(client, BACKOFF_S * random.random())
            return
        client.buffer += data
        if not client.head:
            head, mark, rest = client.buffer.partition(b"\r\n\r\n")
            if not mark:
                return
            assert head.startswith(b"HTTP/1.1 101"), head[:200]
            client.head, client.buffer = True, rest
        self._frames(client)

    def _frames(self, client: Client) -> None:
        data, at = client.buffer, 0
        while len(data) - at >= 2:
            length, start = data[at + 1], at + 2
            if length >= 126:
                start += 2 if length == 126 else 8
                length = int.from_bytes(data[at + 2 : start], "big")
            if len(data) < start + length:
                break
            payload = data[start : start + length]
            if data[at] & 0x0F == 8:
                self._closed(client, payload)
                return
            if data[at] & 0x0F == 9 and client.sock is not None:
                client.sock.sendall(PONG)
            elif data[at] & 0x0F == 1:
                client.note(payload)
                if client.due_s >= 0:
                    self._arrived(client)
            at = start + length
        client.buffer = data[at:]

    def _arrived(self, client: Client) -> None:
        client.due_s = -1
        self._opening -= 1
        if client.dropped_s:
            self._storm.recovered_ms.append((time.monotonic() - client.dropped_s) * 1000)

    def _closed(self, client: Client, payload: bytes) -> None:
        code = int.from_bytes(payload[:2], "big")
        self._storm.codes[code] = self._storm.codes.get(code, 0) + 1
        retry = _RETRY.search(payload)
        assert code == 4229 and retry is not None, payload
        self._storm.refused += 1
        self._again(client, int(retry[1]) / 1000)

    def _again(self, client: Client, seconds: float) -> None:
        self._drop(client)
        client.due_s = time.monotonic() + seconds

    def _drop(self, client: Client) -> None:
        """Cut it without a word; it may come again when it is due."""
        sock = client.sock
        if sock is None:
            return
        if client.due_s >= 0:
            self._opening -= 1
        client.sock, client.buffer, client.head = None, b"", False
        client.due_s = 0.0
        del self._open[sock.fileno()]
        sock.close()
        self._away.append(client)
