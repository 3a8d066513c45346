"""The other baseline of holds: a Lua script per request through redis-py, on a server of our own that forgets all.

It keeps nothing on disk (no snapshot, no append-only file), so it promises less than what it is compared with.
"""

from __future__ import annotations

import os
import resource
import shutil
import socket
import subprocess
import time
from multiprocessing.connection import Connection

import redis

from gateway.bench.people import person
from gateway.bench.process import BenchError, Meter
from gateway.bench.sink import HOST

START_S = 10.0
UNITS = 10_000_000
ATTEMPTS_PER_LOOK = 50

_HOLD = """
local answer = redis.call('HGET', KEYS[1], ARGV[1] .. '/' .. ARGV[2])
if answer then return answer end
if tonumber(redis.call('HGET', KEYS[2], ARGV[1]) or '0') >= 1 then return 'limit' end
if tonumber(redis.call('GET', KEYS[3]) or '0') < 1 then return 'sold_out' end
redis.call('DECR', KEYS[3])
redis.call('HINCRBY', KEYS[2], ARGV[1], 1)
redis.call('HSET', 'hold/' .. ARGV[3], 'person', ARGV[1], 'quantity', 1, 'expires', ARGV[4], 'state', 'held')
redis.call('HSET', KEYS[1], ARGV[1] .. '/' .. ARGV[2], ARGV[3])
redis.call('XADD', KEYS[4], '*', 'hold', ARGV[3])
return ARGV[3]
"""


def find_redis() -> str | None:
    """Where redis-server is; None without one."""
    return shutil.which("redis-server")


def redis_holds(pipe: Connection, folder: str, seconds: float, others: set[int]) -> None:
    """Start a server on a free port, hold one unit for each of many people, refuse some, stop the server."""
    with socket.create_server((HOST, 0)) as free:
        port = free.getsockname()[1]
    program = find_redis()
    if program is None:
        raise BenchError("there is no redis-server")
    command = [program, "--bind", HOST, "--port", str(port), "--save", "", "--appendonly", "no", "--dir", folder]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        with redis.Redis(HOST, port) as client:
            _wait(client)
            found = _measure(client, server.pid, others, seconds)
    finally:
        server.terminate()
        server.wait()
    # The server's own time is known when it has ended; its start costs some milliseconds.
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    share = found.pop("holding_s") / found.pop("all_s")
    cpu_s = found.pop("client_cpu_s") + (usage.ru_utime + usage.ru_stime) * share
    pipe.send({**found, "holds_per_cpu_s": found.pop("held") / cpu_s})


def _wait(client: redis.Redis) -> None:
    deadline_s = time.monotonic() + START_S
    while True:
        try:
            client.ping()
            return
        except redis.ConnectionError:
            if time.monotonic() > deadline_s:
                raise
            time.sleep(0.02)


def _measure(client: redis.Redis, server: int, others: set[int], seconds: float) -> dict[str, float]:
    # The client is on this process's core; the server gets the other one.
    os.sched_setaffinity(server, others)
    script = client.register_script(_HOLD)
    keys = ["request", "quota", "stock", "outbox"]
    client.set("stock", UNITS)
    number = 0

    def attempt() -> bool:
        nonlocal number
        number += 1
        identifier = f"{number:020}"
        said = script(keys=keys, args=[person(number), f"key-{number:012}", identifier, 1_800_000_000_000])
        return bool(said == identifier.encode())

    meter, held = Meter(), 0
    while meter.read().wall_s < seconds:
        held += sum(attempt() for _ in range(ATTEMPTS_PER_LOOK))
    spent = meter.read()
    client.set("stock", 0)
    meter, refused = Meter(), 0
    while meter.read().wall_s < seconds / 2:
        refused += sum(not attempt() for _ in range(ATTEMPTS_PER_LOOK))
    refusing = meter.read()
    return {
        "held": held,
        "holds_per_s": held / spent.wall_s,
        "refusals_per_s": refused / refusing.wall_s,
        "client_cpu_s": spent.cpu_s,
        "holding_s": spent.wall_s,
        "all_s": spent.wall_s + refusing.wall_s,
    }
