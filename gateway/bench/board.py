"""The board over a made-up month of 1,000,000 touches and the orders that came of them, on SQLite and on PostgreSQL.

The baseline counts the same period touch by touch, as any period that is not made of whole days is counted. What is
measured is the wall time of one answer, the middle of some, from the request to the finished tables.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection
from statistics import median
from typing import Any

import uvloop

from commerce.attribution.reach import DAY_MS, day_ms, day_of
from commerce.attribution.service import Attribution
from commerce.attribution.touches_sql import migrate_touch_log, open_touch_log, touch_engine
from commerce.catalogue import Catalogue
from commerce.store_sql import migrate, open_store
from gateway.bench.board_sql import DAYS, write_month
from gateway.bench.clock import system_clock
from gateway.bench.process import Child, cores
from gateway.bench.report import Baseline, Figure, Goal, Report
from gateway.bench.scale import Scale

GOAL_MS = Goal(most=1_000)
ANSWERS = 5
ROW_ANSWERS = 2
SECRET = b"a secret of the benchmark"
POSTGRES = "SIYU_BENCH_POSTGRES"

Measured = dict[str, float]


def run_board(scale: Scale) -> Report:
    """Measure; writing the month takes a minute or two on each database."""
    with tempfile.TemporaryDirectory(prefix="siyu-bench-") as folder:
        found = {"SQLite": _ask(folder, scale.touches)}
    address = os.environ.get(POSTGRES)
    if address:
        migrate(address)
        migrate_touch_log(address)
        found["PostgreSQL"] = _ask(address, scale.touches)
    figures = [
        Figure(f"{name}, {what}", "ms", one[key], (Baseline("touch by touch", one["rows_ms"]),), GOAL_MS)
        for name, one in found.items()
        for what, key in (("the month", "board_ms"), ("models", "models_ms"), ("cohorts", "cohorts_ms"))
    ]
    about: dict[str, float | int | str] = {"touches": scale.touches, "orders": found["SQLite"]["orders"]}
    about["postgres"] = "measured" if address else f"not measured: {POSTGRES} names no empty database"
    return Report("board", about, tuple(figures))


def _ask(where: str, touches: int) -> Measured:
    with Child(board_month, where, touches, cpus=cores()[0]) as child:
        found: Measured = child.receive(MONTH_S)
        return found


MONTH_S = 900.0
"""Longest wait for a written month and its answers."""


def board_month(pipe: Connection, where: str, touches: int) -> None:
    """Write a month, then ask for its board."""
    uvloop.run(_board_month(pipe, where, touches))


async def _board_month(pipe: Connection, where: str, touches: int) -> None:
    store = open_store(where)
    log = open_touch_log(where, clock=system_clock)
    catalogue = Catalogue(store, clock=system_clock)
    merchant = (await catalogue.create_merchant("bench")).id
    await catalogue.close()
    now_ms = system_clock()
    start_ms = day_ms(day_of(now_ms)) - (DAYS - 1) * DAY_MS
    writer = touch_engine(where)
    orders = write_month(store.writer, writer, merchant, start_ms, touches)
    writer.dispose()
    attribution = Attribution(store, log, secret=SECRET, clock=system_clock)
    until_ms = start_ms + DAYS * DAY_MS
    period = (merchant, start_ms, until_ms)
    pipe.send(
        {
            "orders": float(orders),
            "board_ms": await _ms(lambda: attribution.board(*period), ANSWERS),
            "models_ms": await _ms(lambda: attribution.models(*period), ANSWERS),
            "cohorts_ms": await _ms(lambda: attribution.cohorts(merchant, until_ms), ANSWERS),
            # One millisecond more at the front is no whole day.
            "rows_ms": await _ms(lambda: attribution.board(merchant, start_ms - 1, until_ms), ROW_ANSWERS),
        }
    )
    await attribution.binder.close()
    log.close()
    store.close()


async def _ms(ask: Callable[[], Awaitable[Any]], times: int) -> float:
    took = []
    for _ in range(times):
        began_s = time.perf_counter()
        await ask()
        took.append((time.perf_counter() - began_s) * 1000)
        await asyncio.sleep(0)
    return median(took)
