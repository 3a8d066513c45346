"""The clients of a measurement: plain sockets in a process of their own that only read and count."""

from __future__ import annotations

import select
import socket
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from gateway.bench.process import WAIT_S, BenchError, Child, cores

READ_BYTES = 256 * 1024
READY_MAX = 4_096
"""Sockets handled between two looks at epoll."""

HOST = "127.0.0.1"

UPGRADE = (
    b"GET /ws/bench HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
"""A WebSocket request, with the key of RFC 6455's example (section 1.3)."""
UPGRADE_DEFLATE = UPGRADE[:-2] + b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"
"""The same with what browsers offer."""


@dataclass(frozen=True, slots=True)
class Received:
    """Bytes that the sockets got, and those of the sockets that got least and most."""

    total: int
    least: int
    most: int


def sink(pipe: Connection, port: int, count: int, request: bytes, least_bytes: int = 0) -> None:
    """Open ``count`` connections, send ``request`` on each, read all until the server has closed them.

    With ``least_bytes`` it says "begun" once each socket has got so many, for a server that cannot tell.
    """
    buffer = bytearray(READ_BYTES)
    epoll = select.epoll()
    open_sockets: dict[int, socket.socket] = {}
    got: dict[int, int] = {}
    for _ in range(count):
        client = socket.create_connection((HOST, port), timeout=WAIT_S)
        client.sendall(request)
        client.setblocking(False)
        open_sockets[client.fileno()] = client
        epoll.register(client.fileno(), select.EPOLLIN)
        got[client.fileno()] = 0
    deadline_s = time.monotonic() + WAIT_S
    begun = not least_bytes
    while open_sockets and time.monotonic() < deadline_s:
        if not begun and min(got.values()) >= least_bytes:
            begun = True
            pipe.send("begun")
        for number, _ in epoll.poll(0.5, READY_MAX):
            try:
                size = open_sockets[number].recv_into(buffer)
            except BlockingIOError:
                continue
            except ConnectionError:
                size = 0
            if size:
                got[number] += size
            else:
                epoll.unregister(number)
                open_sockets.pop(number).close()
    pipe.send(Received(sum(got.values()), min(got.values()), max(got.values())))


def measure(server: Any, count: int, request: bytes, *arguments: Any) -> dict[str, float]:
    """Run ``server(pipe, count, *arguments)`` against ``count`` sockets and return what it found.

    The server sends its port, then its findings, then closes the sockets after their last byte. Its finding ``bytes``
    is what each socket must have got; raises BenchError when one got less: a rate of losing bytes is no figure.
    """
    ours, theirs = cores()
    with Child(server, count, *arguments, cpus=ours) as serving:
        port = serving.receive()
        with Child(sink, port, count, request, cpus=theirs) as clients:
            found: dict[str, float] = serving.receive()
            received: Received = clients.receive()
    if received.least < found["bytes"]:
        raise BenchError(f"{server.__name__} sent {found['bytes']:.0f} bytes to each, one socket got {received.least}")
    return found
