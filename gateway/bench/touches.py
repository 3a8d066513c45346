"""Touches: what it costs to write down who met the shop, and whether the room's commands wait for it.

over the hub   a whole server on its core; people on sockets of their own send what they looked at, as the viewer page
               does; CPU of the server's process from the first command until the last touch is in the log
the room       holds of a flash sale at a steady pace over the hub, without touches and beside a stream of them

in the process the log alone, fed by the loop; beside the usual way, one transaction for each touch into the same table
"""

from __future__ import annotations

import asyncio
import select
import socket
import sqlite3
import tempfile
import time
from contextlib import closing
from multiprocessing.connection import Connection
from pathlib import Path

import uvloop

from commerce.attribution.touch import Touch, TouchKind
from commerce.attribution.touches_sql import open_touch_log, touch_log_path
from commerce.store_sql import WRITE_CACHE_KIB
from gateway.bench.clock import system_clock
from gateway.bench.hub_rush import ANSWER, Door, command_frame, enter, hold_frame, hub_up, send_waves
from gateway.bench.people import person
from gateway.bench.process import WAIT_S, BenchError, Child, Meter, cores
from gateway.bench.report import Baseline, Figure, Goal, Report
from gateway.bench.scale import Scale
from gateway.bench.sink import READ_BYTES, READY_MAX
from gateway.bench.waiting import until, until_told

TOUCHES_GOAL = Goal(10_000)
ROOM_GOAL = Goal(most=1.5, of_ratio=True)
TOUCHES_EACH = 20
"""Of one person: what somebody who looks through a shelf clicks, and under the hub's bound for a burst (40)."""
HOLDS_PER_S = 200
TOUCHES_PER_S = 2_000
"""Beside the holds: a room of 20,000 people of whom each clicks once in ten seconds."""
TOUCHERS = 200
"""Ten touches a second each: half of what the hub takes of one connection."""
QUEUED_MAX = 5_000
"""A quarter of what the log takes: it never refuses any."""
ROWS_PER_LOOK = 20
"""Rows between two looks at the clock."""

Measured = dict[str, float]


def run_touches(scale: Scale) -> Report:
    """Measure; takes about four times ``scale.seconds`` and some seconds to connect."""
    hub = _over_the_hub(scale.sockets)
    with tempfile.TemporaryDirectory(prefix="siyu-bench-") as folder, _child(row_by_row, folder, scale.seconds) as rows:
        alone: Measured = rows.receive()
    with tempfile.TemporaryDirectory(prefix="siyu-bench-") as folder, _child(in_process, folder, scale.seconds) as log:
        log_alone: Measured = log.receive()
    quiet, beside = (_room(scale.seconds, per_s) for per_s in (0, TOUCHES_PER_S))
    return Report(
        "touches",
        {"people": scale.sockets, "touches": hub["touches"], "beside per s": beside["touches_per_s"]},
        (
            Figure(
                "touches over the hub",
                "touches / CPU s",
                hub["per_cpu_s"],
                (Baseline("in the process", log_alone["per_cpu_s"]),),
                TOUCHES_GOAL,
            ),
            Figure(
                "touches in the process",
                "touches / CPU s",
                log_alone["per_cpu_s"],
                (Baseline("a transaction for each", alone["per_cpu_s"]),),
            ),
            Figure(
                "holds beside touches, 99 of 100",
                "ms",
                beside["p99_ms"],
                (Baseline("without touches", quiet["p99_ms"]),),
                ROOM_GOAL,
            ),
        ),
    )


def _child(target: object, *arguments: object) -> Child:
    assert callable(target)
    return Child(target, *arguments, cpus=cores()[0])


def _over_the_hub(people: int) -> Measured:
    """Let people tell what they look at, each so many times. Raises BenchError."""
    frames = [
        command_frame({"id": n + 1, "cmd": "touch", "kind": "card_click", "sku": f"sku{n}"})
        for n in range(TOUCHES_EACH)
    ]
    with tempfile.TemporaryDirectory(prefix="siyu-bench-") as folder, _child(touch_server, folder, people, 1) as server:
        door = server.receive()
        with Child(send_waves, door, frames, cpus=cores()[1]) as clients:
            clients.receive()
            server.tell()
            server.receive()
            clients.tell()
            counted: Measured = clients.receive()
            server.tell()
            spent: Measured = server.receive()
    if counted["answered"] != people * TOUCHES_EACH:
        raise BenchError(f"{counted['answered']:.0f} answers came to {people * TOUCHES_EACH} touches")
    return spent


def _room(seconds: float, touches_per_s: int) -> Measured:
    """Holds at a pace, beside so many touches a second. Raises BenchError."""
    holders = max(1, int(seconds * HOLDS_PER_S))
    with (
        tempfile.TemporaryDirectory(prefix="siyu-bench-") as folder,
        _child(touch_server, folder, holders + TOUCHERS, holders) as server,
    ):
        door = server.receive()
        with Child(pace, door, seconds, touches_per_s, cpus=cores()[1]) as clients:
            clients.receive()
            server.tell()
            server.receive()
            clients.tell()
            found: Measured = clients.receive()
            server.tell()
            server.receive()
    return found


def touch_server(pipe: Connection, folder: str, people: int, units: int) -> None:
    """Serve, and say what the touches cost this process until they were all in the log."""
    uvloop.run(_touch_server(pipe, Path(folder), people, units))


async def _touch_server(pipe: Connection, folder: Path, people: int, units: int) -> None:
    async with hub_up(folder, people, units) as (server, door):
        attribution = server.services.attribution
        pipe.send(door)
        await until_told(pipe)
        before, meter = attribution.stats().written, Meter()
        pipe.send("measuring")
        await until_told(pipe)
        await until(lambda: attribution.stats().written == attribution.stats().recorded)
        spent, stats = meter.read(), attribution.stats()
    if stats.refused or stats.lost:
        raise BenchError(f"{stats.refused} touches were refused, {stats.lost} lost")
    touches = stats.written - before
    pipe.send({"touches": touches, "per_cpu_s": touches / spent.cpu_s})


def pace(pipe: Connection, door: Door, seconds: float, touches_per_s: int) -> None:
    """Hold a unit for one person after the other while others tell what they look at; how long the holds take."""
    sockets = [enter(door, token) for token in door.tokens]
    touchers, holders = sockets[:TOUCHERS], sockets[TOUCHERS:]
    pipe.send("connected")
    pipe.recv()
    pacer = Pacer(door, touchers, holders)
    began_s = time.perf_counter()
    while (gone_s := time.perf_counter() - began_s) < seconds:
        pacer.send(min(len(holders), int(gone_s * HOLDS_PER_S)), int(gone_s * touches_per_s))
        pacer.read(0.001)
    wall_s, touched = time.perf_counter() - began_s, pacer.touched
    while pacer.waiting:
        if time.perf_counter() - began_s > WAIT_S:
            raise BenchError(f"{len(pacer.waiting)} holds were not answered")
        pacer.read(0.5)
    took = sorted(pacer.took_s)
    pipe.send({"p99_ms": took[len(took) * 99 // 100] * 1000, "touches_per_s": touched / wall_s})
    for client in sockets:
        client.close()


class Pacer:
    """Sends what is due by the clock, and looks how long each hold waits for its answer."""

    def __init__(self, door: Door, touchers: list[socket.socket], holders: list[socket.socket]) -> None:
        self.touched = 0
        self.took_s: list[float] = []
        self.waiting: dict[int, float] = {}
        self._held = 0
        self._touchers = touchers
        self._holders = holders
        self._frame = hold_frame(door, 0)
        self._sockets = {client.fileno(): client for client in (*touchers, *holders)}
        self._epoll = select.epoll()
        self._buffer = bytearray(READ_BYTES)
        for number in self._sockets:
            self._epoll.register(number, select.EPOLLIN)

    def send(self, holds: int, touches: int) -> None:
        """Go on until so many of each are sent in all."""
        while self.touched < touches:
            number, self.touched = self.touched, self.touched + 1
            # Each socket's ids must be new to it.
            frame = command_frame({"id": number, "cmd": "touch", "kind": "card_click", "sku": f"sku{number % 20}"})
            self._touchers[number % len(self._touchers)].sendall(frame)
        while self._held < holds:
            client = self._holders[self._held]
            self._held += 1
            self.waiting[client.fileno()] = time.perf_counter()
            client.sendall(self._frame)

    def read(self, wait_s: float) -> None:
        """Read what is there; a holder gets one answer in all, a few bytes, in one piece."""
        for number, _ in self._epoll.poll(wait_s, READY_MAX):
            size = self._sockets[number].recv_into(self._buffer)
            if not size:
                raise BenchError("the hub closed a socket")
            if number in self.waiting and self._buffer.find(ANSWER, 0, size) >= 0:
                self.took_s.append(time.perf_counter() - self.waiting.pop(number))


def in_process(pipe: Connection, folder: str, seconds: float) -> None:
    """Record for so long, and count what that cost until it was all written."""
    uvloop.run(_in_process(pipe, folder, seconds))


async def _in_process(pipe: Connection, folder: str, seconds: float) -> None:
    log = open_touch_log(folder, clock=system_clock)
    meter, number = Meter(), 0
    while meter.read().wall_s < seconds:
        while log.stats().queued < QUEUED_MAX:
            sku = f"sku{number % TOUCHES_EACH}"
            who = person(number // TOUCHES_EACH)
            log.record(Touch("m0000000000000000000", who, TouchKind.CARD_CLICK, room="r0000000000000000000", sku=sku))
            number += 1
        await asyncio.sleep(0.001)
    if not await log.flushed(WAIT_S):
        raise BenchError("the log did not write all that it took")
    pipe.send({"per_cpu_s": number / meter.read().cpu_s})
    log.close()


def row_by_row(pipe: Connection, folder: str, seconds: float) -> None:
    """Write one touch after the other, each in a transaction of its own."""
    open_touch_log(folder, clock=system_clock).close()
    with closing(sqlite3.connect(touch_log_path(folder), isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute(f"PRAGMA cache_size = -{WRITE_CACHE_KIB}")
        meter, written = Meter(), 0
        while meter.read().wall_s < seconds:
            for _ in range(ROWS_PER_LOOK):
                _write_one(db, written)
                written += 1
        spent = meter.read()
    pipe.send({"per_cpu_s": written / spent.cpu_s})


def _write_one(db: sqlite3.Connection, number: int) -> None:
    now_ms = system_clock()
    db.execute("BEGIN IMMEDIATE")
    db.execute(
        "INSERT INTO touch (id, ms, merchant, person, kind, channel, room, sku, link, issuer, role, root, depth,"
        " evidence, reason) VALUES (?, ?, 'm0000000000000000000', ?, 'card_click', '', 'r0000000000000000000', ?,"
        " NULL, '', '', '', 0, '{}', NULL)",
        (f"{now_ms:010}{number:010}", now_ms, person(number // TOUCHES_EACH), f"sku{number % TOUCHES_EACH}"),
    )
    db.execute("COMMIT")
