"""A rush as shoppers have it: over the hub, at a steady pace, and on PostgreSQL beside the usual row lock.

over the hub   a whole server on its core, people on sockets of their own, 100 units; CPU of the server's process
at a pace      so many attempts a second in the process; how long until each hold is durable and answered
PostgreSQL     ``SIYU_BENCH_POSTGRES`` names an empty database of a server on this machine; without it, left out
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

import uvloop

from commerce.domain.sale import UNITS_MAX
from commerce.store_sql import migrate
from gateway.bench.baseline_postgres_sql import row_lock_holds
from gateway.bench.holds import shop_holds, shop_refusals, sync_ms
from gateway.bench.hub_rush import hub_server, rush
from gateway.bench.people import World, person
from gateway.bench.process import Child, cores
from gateway.bench.report import Baseline, Figure, Goal, Report
from gateway.bench.scale import Scale

HUB_GOAL = Goal(20_000)
PACE_GOAL = Goal(most=50)
POSTGRES_GOAL = Goal(10, of_ratio=True)

ATTEMPTS_EACH = 20
"""Attempts of one person: under the hub's own bound for a burst (40)."""
PACE_PER_S = 10_000
TICK_S = 0.001
POSTGRES = "SIYU_BENCH_POSTGRES"
CLIENTS = 32
"""Row-lock clients: more only wait longer for each other."""

Measured = dict[str, float]


def run_orders(scale: Scale) -> Report:
    """Measure; takes about six times ``scale.seconds`` and some seconds to connect."""
    with tempfile.TemporaryDirectory(prefix="siyu-bench-") as folder:
        sync = sync_ms(Path(folder))
        hub = _over_the_hub(scale.sockets)
        alone = _in_a_process(shop_refusals, scale.seconds)
        paced = _in_a_process(shop_pace, scale.seconds, min(PACE_PER_S, scale.outstanding * 10))
    figures = [
        Figure(
            "over the hub, 100 units",
            "attempts / CPU s",
            hub["per_cpu_s"],
            (Baseline("in the process", alone["per_cpu_s"]),),
            HUB_GOAL,
        ),
        Figure(
            "durable holds at a pace, 99 of 100",
            "ms",
            paced["p99_ms"],
            (Baseline("one fdatasync", sync),),
            PACE_GOAL,
        ),
    ]
    address = os.environ.get(POSTGRES)
    if address:
        figures.append(_on_postgres(address, scale))
    about: dict[str, float | int | str] = {
        "people": scale.sockets,
        "attempts": hub["attempts"],
        "of these decided by the ledger": hub["asked"],
        "pace per s": paced["per_s"],
        "fdatasync ms": sync,
        "postgres": "measured" if address else f"not measured: {POSTGRES} names no empty database",
    }
    return Report("orders", about, tuple(figures))


def _in_a_process(target: object, *arguments: object) -> Measured:
    with tempfile.TemporaryDirectory(prefix="siyu-bench-") as own:
        return _ask(target, own, *arguments)


def _ask(target: object, *arguments: object) -> Measured:
    assert callable(target)
    with Child(target, *arguments, cpus=cores()[0]) as child:
        found: Measured = child.receive()
        return found


def _over_the_hub(people: int) -> Measured:
    """Let people rush at a server. Raises BenchError."""
    ours, theirs = cores()
    with (
        tempfile.TemporaryDirectory(prefix="siyu-bench-") as folder,
        Child(hub_server, folder, people, cpus=ours) as server,
    ):
        door = server.receive()
        with Child(rush, door, ATTEMPTS_EACH, cpus=theirs) as clients:
            clients.receive()
            server.tell()
            server.receive()
            clients.tell()
            counted: Measured = clients.receive()
            server.tell()
            spent: Measured = server.receive()
    return {
        "per_cpu_s": counted["answered"] / spent["cpu_s"],
        "attempts": counted["answered"],
        "asked": spent["asked"],
    }


def _on_postgres(address: str, scale: Scale) -> Figure:
    migrate(address)
    ours = _ask(shop_holds, address, scale.seconds, scale.outstanding, False)
    locked = _ask(row_lock_holds, address, scale.seconds, CLIENTS)
    return Figure(
        "durable holds on PostgreSQL",
        "holds / s",
        ours["holds_per_s"],
        (Baseline(f"row lock, {CLIENTS} clients", locked["holds_per_s"]),),
        POSTGRES_GOAL,
    )


def shop_pace(pipe: Connection, folder: str, seconds: float, per_s: int) -> None:
    """Ask for so many holds a second and look how long each takes."""
    uvloop.run(_shop_pace(pipe, folder, seconds, per_s))


async def _shop_pace(pipe: Connection, folder: str, seconds: float, per_s: int) -> None:
    world = World(folder)
    sale = (await world.open(UNITS_MAX)).sale
    took_s: list[float] = []
    asked = 0

    def ask(number: int) -> None:
        began_s = time.perf_counter()
        future = world.shop.hold(world.merchant, world.room, person(number), sale, 1, f"key-{number:012}")
        future.add_done_callback(lambda done: took_s.append(time.perf_counter() - began_s) if done.result() else None)

    began_s = time.perf_counter()
    while (gone_s := time.perf_counter() - began_s) < seconds:
        # By the clock, not by the tick: who falls behind asks for all at once, as a crowd would.
        while asked < gone_s * per_s:
            asked += 1
            ask(asked)
        await asyncio.sleep(TICK_S)
    wall_s = time.perf_counter() - began_s
    async with asyncio.timeout(60):
        while len(took_s) < asked:  # noqa: ASYNC110 - their callbacks are all there is
            await asyncio.sleep(0.01)
    took_s.sort()
    pipe.send({"p99_ms": took_s[len(took_s) * 99 // 100] * 1000, "per_s": asked / wall_s})
    await world.close()
