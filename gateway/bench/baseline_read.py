"""The baseline of many hosts: a loop of ``recv`` over the sockets that are ready, nothing else."""

from __future__ import annotations

import select
import socket
import time
from multiprocessing.connection import Connection

from gateway.bench.baseline_write import BACKLOG
from gateway.bench.process import WAIT_S, Meter
from gateway.bench.sink import HOST, READ_BYTES, READY_MAX


def read_loop(pipe: Connection, count: int, greeting: bytes, settle_s: float, seconds: float) -> None:
    """Take ``count`` connections, send each ``greeting``, read what comes; after ``settle_s`` measure ``seconds``."""
    epoll = select.epoll()
    accepted: dict[int, socket.socket] = {}
    with socket.create_server((HOST, 0), backlog=BACKLOG) as listener:
        listener.settimeout(WAIT_S)
        pipe.send(listener.getsockname()[1])
        for _ in range(count):
            client, _ = listener.accept()
            client.sendall(greeting)
            client.setblocking(False)
            accepted[client.fileno()] = client
            epoll.register(client.fileno(), select.EPOLLIN)
    _read(epoll, accepted, settle_s)
    meter = Meter()
    got = _read(epoll, accepted, seconds)
    spent = meter.read()
    pipe.send({"cpu_s": spent.cpu_s, "wall_s": spent.wall_s, "bytes": got / count})
    for client in accepted.values():
        client.close()


def _read(epoll: select.epoll, accepted: dict[int, socket.socket], seconds: float) -> int:
    buffer = bytearray(READ_BYTES)
    got = 0
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        for number, _ in epoll.poll(0.1, READY_MAX):
            got += accepted[number].recv_into(buffer)
    return got
