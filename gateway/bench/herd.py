"""Clients that join a WebSocket server as browsers do, and stay: plain sockets and epoll in a process of their own."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection

from gateway.bench.process import WAIT_S, BenchError, told
from gateway.bench.sink import HOST, READ_BYTES, READY_MAX

OPENING_MAX = 64
"""Joins under way at a time: enough to keep a server busy, few enough for its backlog."""
HEAD_BYTES_MAX = 64 * 1024

BROWSER = (
    "GET {target} HTTP/1.1\r\nHost: live.example.com\r\nConnection: Upgrade\r\nPragma: no-cache\r\n"
    "Cache-Control: no-cache\r\nUser-Agent: Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like "
    "Gecko) Chrome/131.0.0.0 Mobile Safari/537.36\r\nUpgrade: websocket\r\nOrigin: https://live.example.com\r\n"
    "Sec-WebSocket-Version: 13\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n"
    "Accept-Language: zh-CN,zh;q=0.9,en;q=0.8\r\n"
    "Cookie: sid=3f0a5c1e9b7d4826a1c0f5e2d7b94831; lang=zh-CN; theme=dark; _ga=GA1.1.1403201883.1760000000\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"
)
"""What Chrome sends, some 700 bytes without the target."""


def browser_request(target: str) -> bytes:
    """The request of a browser for a WebSocket at `target`."""
    return BROWSER.format(target=target).encode()


@dataclass(frozen=True, slots=True)
class Joined:
    """How a herd came in."""

    wall_s: float
    p99_ms: float
    """From the beginning of the connection to the last byte of the first message."""
    first_bytes: int
    """Length of the first message of the first socket."""


def herd(pipe: Connection, port: int, requests: Sequence[bytes], per_s: float) -> None:
    """Join with each request, at most so many a second (0: as fast as it goes); say `Joined`, stay until told to go."""
    found, sockets = join(port, requests, per_s)
    pipe.send(found)
    buffer = bytearray(READ_BYTES)
    deadline_s = time.monotonic() + WAIT_S
    with select.epoll() as epoll:
        for number in sockets:
            epoll.register(number, select.EPOLLIN)
        while not told(pipe) and time.monotonic() < deadline_s:
            for number, _ in epoll.poll(0.05, READY_MAX):
                if not sockets[number].recv_into(buffer):
                    raise BenchError("the server closed a socket that was idle")
    for client in sockets.values():
        client.close()


def join(
    port: int, requests: Sequence[bytes], per_s: float, *, receive_bytes: int = 0
) -> tuple[Joined, dict[int, socket.socket]]:
    """Join with each request; give how it went, and the sockets by their numbers in the order of the requests.

    `receive_bytes` is what the kernel keeps for a socket that is not read (0: what it likes). Raises BenchError.
    """
    sockets: dict[int, socket.socket] = {}
    opening: dict[int, tuple[float, bytes, bytearray]] = {}
    took_s: list[float] = []
    first_bytes = asked = 0
    start_s = time.perf_counter()
    with select.epoll() as epoll:
        while len(took_s) < len(requests):
            now_s = time.perf_counter()
            if now_s - start_s > WAIT_S:
                raise BenchError(f"{len(took_s)} of {len(requests)} joined in {WAIT_S:.0f} s")
            allowed = len(requests) if not per_s else int((now_s - start_s) * per_s) + 1
            while asked < min(allowed, len(requests)) and len(opening) < OPENING_MAX:
                client = socket.socket()
                if receive_bytes:
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
                client.setblocking(False)
                client.connect_ex((HOST, port))
                sockets[client.fileno()] = client
                opening[client.fileno()] = (time.perf_counter(), requests[asked], bytearray())
                epoll.register(client.fileno(), select.EPOLLOUT)
                asked += 1
            for number, event in epoll.poll(0.005):
                begun_s, request, got = opening[number]
                if event & select.EPOLLOUT and not got:
                    sockets[number].sendall(request)
                    epoll.modify(number, select.EPOLLIN)
                    continue
                got += _received(sockets[number])
                size = first_message(got)
                if size is not None:
                    first_bytes = first_bytes or size
                    took_s.append(time.perf_counter() - begun_s)
                    del opening[number]
                    epoll.unregister(number)
    wall_s = time.perf_counter() - start_s
    return Joined(wall_s, sorted(took_s)[len(took_s) * 99 // 100] * 1000, first_bytes), sockets


def _received(client: socket.socket) -> bytes:
    data = client.recv(READ_BYTES)
    if not data:
        raise BenchError("the server closed a socket that was joining")
    return data


def first_message(got: bytes | bytearray) -> int | None:
    """Length of the first message behind the response's head; None until it is whole. Raises BenchError."""
    head, mark, rest = bytes(got).partition(b"\r\n\r\n")
    if not mark:
        if len(head) > HEAD_BYTES_MAX:
            raise BenchError("the answer to a join is no HTTP response")
        return None
    if not head.startswith(b"HTTP/1.1 101"):
        raise BenchError(f"a join was refused: {head[:100]!r}")
    if len(rest) < 2:
        return None
    if rest[0] & 0x0F != 1:
        raise BenchError(f"a join was answered by {rest[:130]!r}")
    size, start = rest[1], 2
    if size >= 126:
        start = 4 if size == 126 else 10
        size = int.from_bytes(rest[2:start], "big")
    return size if len(rest) >= start + size else None
