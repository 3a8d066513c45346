"""Holds: what a flash sale's rush costs. Each hold is durable before it is answered (``synchronous=FULL``).

The shop is the real one on a database in a temporary folder; people come in no order, each once, with a key of their
own. The baselines do equal work for each hold, alone: request key, stock, quota, hold, outbox row.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from statistics import median

import uvloop

from commerce.domain.sale import UNITS_MAX
from commerce.errors import Refused
from commerce.ledger import HoldGranted
from commerce.ledger_process import ProcessLedger
from gateway.bench.baseline_redis import find_redis, redis_holds
from gateway.bench.baseline_sqlite import sqlite_holds
from gateway.bench.people import World, person
from gateway.bench.process import Child, Meter, cores
from gateway.bench.report import Baseline, Figure, Goal, Report
from gateway.bench.scale import Scale
from gateway.bench.waiting import until

HOLDS_GOAL = Goal(50_000)
BUSY_GOAL = Goal(40_000)
REFUSALS_GOAL = Goal(100_000)

SYNCS = 200
SYNC_BYTES = 4_096
"""One page of SQLite's log."""
SMALL_SALE_UNITS = 100
REFUSALS_PER_TURN = 100
BUSY_TURN_S = 0.002
"""Longest time for which the busy loop computes before it lets other callbacks run: as long as a slice of a fan-out.

Each turn is as long as it happens to be. Turns of one length fell in step with the kernel's ticks: the loop was then
always interrupted while it had the interpreter's lock, and the ledger's thread never got it.
"""

Measured = dict[str, float]


def run_holds(scale: Scale) -> Report:
    """Measure; takes about ten times ``scale.seconds``."""
    with tempfile.TemporaryDirectory(prefix="siyu-bench-") as folder:
        synced_ms = sync_ms(Path(folder))
        ours, busy, apart, busy_apart = (
            _ask(shop_holds, folder, scale.seconds, scale.outstanding, busy, core)
            for core in (None, cores()[1])
            for busy in (False, True)
        )
        rows = _ask(sqlite_holds, folder, scale.seconds)
        refused = _ask(shop_refusals, folder, scale.seconds)
        redis = _ask(redis_holds, folder, scale.seconds, cores()[1]) if find_redis() else None
    each = [("SQLite, row by row", rows)] + ([("Redis Lua, in memory only", redis)] if redis else [])
    figures = (
        _figure("durable holds", "holds / s", ours["holds_per_s"], each, "holds_per_s", HOLDS_GOAL),
        _figure("durable holds", "holds / CPU s", ours["holds_per_cpu_s"], each, "holds_per_cpu_s"),
        _figure(
            "beside a busy loop", "holds / s", busy["holds_per_s"], [("a quiet loop", ours)], "holds_per_s", BUSY_GOAL
        ),
        _figure("process apart", "holds / s", apart["holds_per_s"], [("a thread", ours)], "holds_per_s"),
        _figure(
            "process apart, busy loop",
            "holds / s",
            busy_apart["holds_per_s"],
            [("a quiet loop", apart), ("a thread", busy)],
            "holds_per_s",
            BUSY_GOAL,
        ),
        _figure("refusals, sold out", "refusals / s", refused["per_s"], each, "refusals_per_s", REFUSALS_GOAL),
    )
    about = {
        "outstanding": scale.outstanding,
        "holds per commit": ours["holds_per_commit"],
        "fdatasync ms": synced_ms,
        "redis": "measured" if redis else "no redis-server here",
    }
    return Report("holds", about, figures)


def _figure(
    name: str, unit: str, value: float, others: list[tuple[str, Measured]], what: str, goal: Goal | None = None
) -> Figure:
    return Figure(name, unit, value, tuple(Baseline(other, found[what]) for other, found in others), goal)


def _ask(target: Callable[..., None], folder: str, *arguments: object) -> Measured:
    """Run one measurement in a process and a folder of its own, on one core."""
    with (
        tempfile.TemporaryDirectory(dir=folder) as own,
        Child(target, own, *arguments, cpus=cores()[0]) as child,
    ):
        found: Measured = child.receive()
        return found


def sync_ms(folder: Path) -> float:
    """The median time in ms in which this disk makes one page durable."""
    page = os.urandom(SYNC_BYTES)
    number = os.open(folder / "sync", os.O_WRONLY | os.O_CREAT)
    try:
        times = []
        for _ in range(SYNCS):
            os.write(number, page)
            start_s = time.perf_counter()
            os.fdatasync(number)
            times.append(time.perf_counter() - start_s)
    finally:
        os.close(number)
    return median(times) * 1000


def shop_holds(
    pipe: Connection, folder: str, seconds: float, outstanding: int, busy: bool, core: set[int] | None
) -> None:
    """Keep so many hold requests waiting for as long, and count those granted.

    The ledger writes on a thread, or on a ``core`` of its own in a process of its own.
    """
    uvloop.run(_shop_holds(pipe, folder, seconds, outstanding, busy, core))


async def _shop_holds(
    pipe: Connection, folder: str, seconds: float, outstanding: int, busy: bool, core: set[int] | None
) -> None:
    world = World(folder, writer_process=core is not None)
    sale = (await world.open(UNITS_MAX)).sale
    ledger = world.shop.ledger
    if core is not None and isinstance(ledger, ProcessLedger) and ledger.pid is not None:
        os.sched_setaffinity(ledger.pid, core)
    loop = asyncio.get_running_loop()
    rush = Rush(world, sale)
    if busy:
        loop.call_soon(_keep_busy, loop, rush, Random(1))  # noqa: S311 - no secret
    rush.begin(outstanding)
    await asyncio.sleep(seconds / 4)
    granted, batches, meter = rush.granted, ledger.batches, Meter()
    await asyncio.sleep(seconds)
    await until(lambda: ledger.batches > batches)
    spent = meter.read()
    granted, batches = rush.granted - granted, ledger.batches - batches
    await rush.end()
    pipe.send(
        {
            "holds_per_s": granted / spent.wall_s,
            "holds_per_cpu_s": granted / spent.cpu_s,
            "holds_per_commit": granted / max(1, batches),
        }
    )
    await world.close()


class Rush:
    """People who all want one unit: whenever one is answered, the next one asks."""

    def __init__(self, world: World, sale: str) -> None:
        self.granted = 0
        self.going = True
        self._world = world
        self._sale = sale
        self._asked = 0
        self._answered = 0
        self._over = asyncio.Event()

    def begin(self, outstanding: int) -> None:
        """Let so many ask."""
        for _ in range(outstanding):
            self._ask()

    async def end(self) -> None:
        """Let nobody ask any more, and wait until all are answered."""
        self.going = False
        async with asyncio.timeout(30):
            await self._over.wait()

    def _ask(self) -> None:
        world = self._world
        self._asked += 1
        number = self._asked
        world.shop.hold(
            world.merchant, world.room, person(number), self._sale, 1, f"key-{number:012}"
        ).add_done_callback(self._answer)

    def _answer(self, future: asyncio.Future[HoldGranted]) -> None:
        future.result()
        self.granted += 1
        self._answered += 1
        if self.going:
            self._ask()
        elif self._answered == self._asked:
            self._over.set()


def _keep_busy(loop: asyncio.AbstractEventLoop, rush: Rush, random: Random) -> None:
    """Compute without end, in short turns: the loop of a server whose rooms are all hot."""
    until_s = time.perf_counter() + random.random() * BUSY_TURN_S
    while time.perf_counter() < until_s:
        pass
    if rush.going:
        loop.call_soon(_keep_busy, loop, rush, random)


def shop_refusals(pipe: Connection, folder: str, seconds: float) -> None:
    """Ask for what is sold out, one after the other."""
    uvloop.run(_shop_refusals(pipe, folder, seconds))


async def _shop_refusals(pipe: Connection, folder: str, seconds: float) -> None:
    world = World(folder)
    sale = (await world.open(SMALL_SALE_UNITS)).sale
    shop, merchant, room = world.shop, world.merchant, world.room
    for number in range(SMALL_SALE_UNITS):
        await shop.hold(merchant, room, person(number), sale, 1, "key")
    refused, number, meter = 0, SMALL_SALE_UNITS, Meter()
    while meter.read().wall_s < seconds:
        for _ in range(REFUSALS_PER_TURN):
            number += 1
            future = shop.hold(merchant, room, person(number), sale, 1, "key")
            if not future.done():
                # The latch had lapsed: this one asks the database, and sets the latch anew.
                await asyncio.wait([future])
            error = future.exception()
            if not isinstance(error, Refused):
                raise RuntimeError(f"somebody got a unit of a sale that was sold out ({error!r})")
            refused += 1
        await asyncio.sleep(0)
    spent = meter.read()
    pipe.send({"per_s": refused / spent.wall_s, "per_cpu_s": refused / spent.cpu_s})
    await world.close()
