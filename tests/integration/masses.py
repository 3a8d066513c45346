"""Masses of viewers in a process of their own, who only look for marks, and the raw writes to compare them with.

A mark is a text `@P0-NUMBER-NANOSECONDS@` in what the room is told; the nanoseconds are the machine's monotonic clock
when it was sent, so a delay is what lies between the sender's clock and the reader's read, in whichever process each
is.
"""

from __future__ import annotations

import contextlib
import itertools
import re
import select
import socket
import time
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection

from gateway.bench.herd import Joined, join
from gateway.bench.process import WAIT_S, told
from gateway.bench.sink import HOST, READ_BYTES, READY_MAX

_MARK = re.compile(rb"@P0-(\d+)-(\d+)@")
_OPENING = b"@P0-"
_MARK_BYTES = 40
STALLED_BYTES = 16 * 1024
"""What the kernel keeps for who never reads: with its own choice it would be megabytes before the server notices."""
PONG = b"\x8a\x80\0\0\0\0"
"""Unasked, which RFC 6455 section 5.5.3 allows: that nobody takes a reader for dead costs no look at each frame."""
SPEAK_S = 20.0
QUIET_S = 0.5
"""So long nothing has come when all has."""


def mark(number: int) -> str:
    """The mark of an event that is sent now."""
    return f"@P0-{number}-{time.monotonic_ns()}@"


@dataclass(frozen=True, slots=True)
class Seen:
    """What the readers of a mass have seen."""

    delays_ms: array[float]
    """Of each mark at each reader."""
    seen: dict[int, int]
    """How often each mark was seen, all readers together."""
    most: int
    """How often one reader saw one mark at most."""
    closed: int
    """Readers whom the server closed."""
    bytes: int

    def p99_ms(self) -> float:
        """The delay that 99 of 100 do not exceed."""
        return percentile(self.delays_ms, 0.99)


def percentile(values: Sequence[float], part: float) -> float:
    """The value that so many do not exceed."""
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


def audience(pipe: Connection, port: int, requests: Sequence[bytes], per_s: float, stalled: Sequence[bytes]) -> None:
    """Join; those who are `stalled` never read. Says `Joined`, reads until told, says `Seen`."""
    joined, sockets = join(port, requests, per_s)
    idle = join(port, stalled, per_s, receive_bytes=STALLED_BYTES)[1] if stalled else {}
    pipe.send(joined)
    pipe.send(_watch(pipe, sockets, speaks=True))
    for client in (*sockets.values(), *idle.values()):
        client.close()


def raw_audience(pipe: Connection, port: int, count: int) -> None:
    """As `audience`, of a server that says nothing but marks."""
    start_s = time.perf_counter()
    sockets = {client.fileno(): client for client in (socket.create_connection((HOST, port)) for _ in range(count))}
    for client in sockets.values():
        client.setblocking(False)
    pipe.send(Joined(time.perf_counter() - start_s, 0.0, 0))
    pipe.send(_watch(pipe, sockets, speaks=False))
    for client in sockets.values():
        client.close()


def _watch(pipe: Connection, sockets: dict[int, socket.socket], *, speaks: bool) -> Seen:
    speakers = itertools.cycle(list(sockets.values()))
    spoken, start_s = 0, time.monotonic()
    delays_ms, seen = array("d"), Counter[int]()
    each: Counter[tuple[int, int]] = Counter()
    tails: dict[int, bytes | bytearray] = {}
    buffer = bytearray(READ_BYTES)
    total = closed = 0
    last_s = deadline_s = time.monotonic()
    leaving = False
    with select.epoll() as epoll:
        for number in sockets:
            epoll.register(number, select.EPOLLIN)
        while time.monotonic() < deadline_s + 4 * WAIT_S:
            leaving = leaving or told(pipe)
            if leaving and time.monotonic() - last_s > QUIET_S:
                break
            while speaks and spoken < (time.monotonic() - start_s) / SPEAK_S * len(sockets):
                with contextlib.suppress(OSError):
                    next(speakers).send(PONG)
                spoken += 1
            ready = epoll.poll(0.02, READY_MAX)
            if ready:
                last_s = time.monotonic()
            for number, _ in ready:
                try:
                    size = sockets[number].recv_into(buffer)
                except ConnectionError:
                    size = 0
                if not size:
                    epoll.unregister(number)
                    closed += 1
                    continue
                total += size
                # Most of it is chat, which costs a look and no copy: the readers share their cores with the server.
                begun = buffer.find(_OPENING, 0, size) >= 0 or buffer.find(b"@", max(0, size - _MARK_BYTES), size) >= 0
                if not begun and number not in tails:
                    continue
                data = tails.pop(number, b"") + buffer[:size]
                now_ns, end = time.monotonic_ns(), 0
                for found in _MARK.finditer(data):
                    delays_ms.append((now_ns - int(found[2])) / 1e6)
                    seen[int(found[1])] += 1
                    each[number, int(found[1])] += 1
                    end = found.end()
                # A mark may be cut by the end of a read.
                rest = data[max(end, len(data) - _MARK_BYTES) :]
                if b"@" in rest:
                    tails[number] = rest
    return Seen(delays_ms, dict(seen), max(each.values(), default=0), closed, total)


def raw_writer(pipe: Connection, count: int, length: int, passes: int) -> None:
    """Write a mark to `count` sockets in a bare loop, `passes` times; says its port, then how long a pass took (ms)."""
    with socket.create_server((HOST, 0), backlog=4_096) as listener:
        listener.settimeout(WAIT_S)
        pipe.send(listener.getsockname()[1])
        clients = [listener.accept()[0] for _ in range(count)]
    pipe.send("begun")
    while not told(pipe):
        time.sleep(0.01)
    took_ms = []
    for turn in range(passes):
        data = mark(turn).encode().ljust(length, b" ")
        start_s = time.perf_counter()
        for client in clients:
            client.sendall(data)
        took_ms.append((time.perf_counter() - start_s) * 1000)
        time.sleep(QUIET_S)
    pipe.send(took_ms)
    for client in clients:
        client.close()
