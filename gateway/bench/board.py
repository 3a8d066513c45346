"""The board over a made-up month of 1,000,000 touches and the orders that came of them, on SQLite and on PostgreSQL.

The baseline counts the same period touch by touch, as any period that is not made of whole days is counted. What is
measured is the wall time of one answer, the middle of some, from the request to the finished tables; beside the board
itself, the lists that its figures open to: the first page of 50, and the page that begins in the middle. The CPU of an
answer stands beside it on SQLite, all of which is in the process: to be compared where the machine has other work, too.
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

from commerce.attribution.board import Period
from commerce.attribution.reach import DAY_MS, day_ms, day_of
from commerce.attribution.service import Attribution
from commerce.attribution.touches_sql import migrate_touch_log, open_touch_log, touch_engine
from commerce.catalogue import Catalogue
from commerce.postgres_sql import is_postgres
from commerce.store_sql import migrate, open_store
from gateway.bench.board_sql import (
    CHANNELS,
    DAYS,
    ISSUER,
    PEOPLE,
    clip_name,
    host_name,
    person_name,
    room_name,
    write_month,
)
from gateway.bench.clock import system_clock
from gateway.bench.process import Child, cores
from gateway.bench.report import Baseline, Figure, Goal, Report
from gateway.bench.scale import Scale

GOAL_MS = Goal(most=1_000)
ANSWERS = 5
ROW_ANSWERS = 2
SECRET = b"a secret of the benchmark"
POSTGRES = "SIYU_BENCH_POSTGRES"

PAGE = 50
"""Rows of a list on the page."""

Measured = dict[str, float]
Ask = Callable[[], Awaitable[Any]]


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
        Figure(f"{name}, {what}", "ms", took_ms, (Baseline("touch by touch", one["rows"]),), GOAL_MS)
        for name, one in found.items()
        for what, took_ms in one.items()
        if what not in ("rows", "orders")
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
    asked: dict[str, Ask] = {
        "the month": lambda: attribution.board(*period),
        "models": lambda: attribution.models(*period),
        "cohorts": lambda: attribution.cohorts(merchant, until_ms),
        **_opened(attribution, Period(*period)),
    }
    found: Measured = {}
    for what, ask in asked.items():
        began_s = time.process_time()
        found[what] = await _ms(ask, ANSWERS)
        # PostgreSQL works in processes of its own.
        if not is_postgres(where):
            found[f"{what}, CPU"] = (time.process_time() - began_s) * 1000 / ANSWERS
    # One millisecond more at the front is no whole day.
    found["rows"] = await _ms(lambda: attribution.board(merchant, start_ms - 1, until_ms), ROW_ANSWERS)
    pipe.send({"orders": float(orders), **found})
    await attribution.binder.close()
    log.close()
    store.close()


def _opened(attribution: Attribution, month: Period) -> dict[str, Ask]:
    """The first page of what a figure opens to, and one from the middle of the month's people."""
    rows = attribution.rows
    host, room, person = host_name(room_name(1)), room_name(1), person_name(PEOPLE // 2)

    def people(step: str, dimension: str, key: str, after: str = "") -> Ask:
        return lambda: rows.people(month, step, dimension, key, after, PAGE)

    def orders(state: str, dimension: str, key: str) -> Ask:
        return lambda: rows.orders(month, state, dimension, key, "", PAGE)

    return {
        "who came": people("visit", "", ""),
        "who clicked": people("click", "", ""),
        "who clicked, from the middle": people("click", "", "", person),
        "who clicked at a host's": people("click", "host", host),
        "who clicked in a room": people("click", "room", room),
        "who watched an explanation": people("click", "clip", clip_name(room)),
        "who came by a channel": people("visit", "channel", CHANNELS[0]),
        "who came by an issuer": people("visit", "issuer", ISSUER),
        "who was passed on": people("entry", "shared", ""),
        "a host's orders": orders("all", "host", host),
        "orders of who bought again": orders("repeat", "", ""),
        "orders after an explanation": orders("paid", "clip", clip_name(room)),
    }


async def _ms(ask: Ask, times: int) -> float:
    took = []
    for _ in range(times):
        began_s = time.perf_counter()
        await ask()
        took.append((time.perf_counter() - began_s) * 1000)
        await asyncio.sleep(0)
    return median(took)
