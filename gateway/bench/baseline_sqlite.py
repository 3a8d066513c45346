"""The baseline of durable holds: the usual way, one transaction for each request, on SQLite without anything above.

Same file, same tables, same pragmas as the shop's (``synchronous=FULL``), Python's own driver, one writer (SQLite has
but one): no event loop, no SQLAlchemy, no answer to send.
"""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from multiprocessing.connection import Connection

from commerce.domain.sale import UNITS_MAX
from commerce.store_sql import WAL_CHECKPOINT_PAGES, WRITE_CACHE_KIB, database_path
from gateway.bench.clock import system_clock
from gateway.bench.people import World, person
from gateway.bench.process import Meter

ATTEMPTS_PER_LOOK = 50
"""Requests between two looks at the clock."""

_TAKE = "UPDATE sale SET free = free - 1, held = held + 1 WHERE id = ? AND free >= 1"
_SEEN = "SELECT hash, answer FROM request WHERE merchant = ? AND route = ? AND person = ? AND key = ?"
_USED = "SELECT used FROM quota WHERE scope = ? AND person = ?"
_RAISE = (
    "INSERT INTO quota (scope, person, used) VALUES (?, ?, 1) ON CONFLICT (scope, person) DO UPDATE SET used = used + 1"
)
_HOLD = (
    "INSERT INTO hold (id, merchant, sale, sku, person, quantity, price, expires_ms, state)"
    " VALUES (?, ?, ?, ?, ?, 1, 9900, ?, 'held')"
)
_REMEMBER = (
    "INSERT INTO request (merchant, route, person, key, hash, answer, created_ms) VALUES (?, ?, ?, ?, '1/None', ?, ?)"
)
_EVENT = "INSERT INTO outbox (id, type, body, created_ms) VALUES (?, 'StockChanged', ?, ?)"


def sqlite_holds(pipe: Connection, folder: str, seconds: float) -> None:
    """Hold one unit for each of many people, then refuse as many as there is time for."""
    merchant, sale, sku = asyncio.run(_prepare(folder))
    with closing(sqlite3.connect(database_path(folder), isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA cache_size = -{WRITE_CACHE_KIB}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {WAL_CHECKPOINT_PAGES}")
        desk = Desk(connection, merchant, sale, sku)
        meter, held = Meter(), 0
        while meter.read().wall_s < seconds:
            held += sum(desk.hold() for _ in range(ATTEMPTS_PER_LOOK))
        spent = meter.read()
        connection.execute("UPDATE sale SET returned = returned + free, free = 0 WHERE id = ?", (sale,))
        meter, refused = Meter(), 0
        while meter.read().wall_s < seconds / 2:
            refused += sum(not desk.hold() for _ in range(ATTEMPTS_PER_LOOK))
        refusing = meter.read()
    pipe.send(
        {
            "holds_per_s": held / spent.wall_s,
            "holds_per_cpu_s": held / spent.cpu_s,
            "refusals_per_s": refused / refusing.wall_s,
        }
    )


async def _prepare(folder: str) -> tuple[str, str, str]:
    """Make the shop's own tables with a sale in them."""
    world = World(folder)
    sale = await world.open(UNITS_MAX)
    await world.close()
    return world.merchant, sale.sale, sale.sku


class Desk:
    """One request after the other, each in its own synced transaction."""

    def __init__(self, connection: sqlite3.Connection, merchant: str, sale: str, sku: str) -> None:
        self._run = connection.execute
        self._merchant = merchant
        self._sale = sale
        self._sku = sku
        self._number = 0

    def hold(self) -> bool:
        """Try to hold a unit for the next person."""
        self._number += 1
        who, key, identifier = person(self._number), f"key-{self._number:012}", f"{self._number:020}"
        run, merchant, sale, now_ms = self._run, self._merchant, self._sale, system_clock()
        route = f"hold/{sale}"
        run("BEGIN IMMEDIATE")
        if run(_SEEN, (merchant, route, who, key)).fetchone() or run(_USED, (sale, who)).fetchone():
            run("ROLLBACK")
            return False
        if run(_TAKE, (sale,)).rowcount != 1:
            run("ROLLBACK")
            return False
        run(_RAISE, (sale, who))
        run(_HOLD, (identifier, merchant, sale, self._sku, who, now_ms + 900_000))
        run(_REMEMBER, (merchant, route, who, key, identifier, now_ms))
        run(_EVENT, (identifier, f'{{"sale":"{sale}","left":{self._number}}}', now_ms))
        run("COMMIT")
        return True
