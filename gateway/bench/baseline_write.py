"""The baseline of every fan-out: a loop of ``os.write`` over the sockets, nothing else. No Python server is faster."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection

from gateway.bench.process import WAIT_S, Meter, Spent
from gateway.bench.sink import HOST

BACKLOG = 4_096
SETTLE_S = 0.3


def write_loop(pipe: Connection, count: int, payloads: Sequence[bytes], interval_s: float, seconds: float) -> None:
    """Write the payloads in turn to ``count`` sockets, one each ``interval_s`` (0: without a pause)."""
    with socket.create_server((HOST, 0), backlog=BACKLOG) as listener:
        listener.settimeout(WAIT_S)
        pipe.send(listener.getsockname()[1])
        sockets = [listener.accept()[0] for _ in range(count)]
    for accepted in sockets:
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        accepted.setblocking(True)
    numbers = [accepted.fileno() for accepted in sockets]
    time.sleep(SETTLE_S)
    passes, spent = write_passes(numbers, payloads, interval_s, seconds)
    sent = sum(len(payloads[turn % len(payloads)]) for turn in range(passes))
    pipe.send({"cpu_s": spent.cpu_s, "wall_s": spent.wall_s, "bytes": sent})
    for accepted in sockets:
        accepted.close()


def write_passes(
    sockets: Sequence[int], payloads: Sequence[bytes], interval_s: float, seconds: float
) -> tuple[int, Spent]:
    """Write the payloads in turn to each file descriptor, for so long; give the number of passes and their cost.

    The sockets block meanwhile: a loop that has to look for short writes would be no bare one.
    """
    write = os.write
    passes = 0
    blocking = [os.get_blocking(number) for number in sockets]
    for number in sockets:
        os.set_blocking(number, True)
    meter = Meter()
    start_s = time.perf_counter()
    while time.perf_counter() - start_s < seconds:
        data = payloads[passes % len(payloads)]
        for number in sockets:
            write(number, data)
        passes += 1
        if interval_s:
            time.sleep(max(0.0, start_s + passes * interval_s - time.perf_counter()))
    spent = meter.read()
    for number, before in zip(sockets, blocking, strict=True):
        os.set_blocking(number, before)
    return passes, spent
