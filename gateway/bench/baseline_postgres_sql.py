"""The baseline on PostgreSQL: the usual way, a row lock and a transaction for each request, many clients at once.

Equal work on the shop's own tables: the key looked up, stock, quota, hold and outbox row, synced at each commit.
"""

from __future__ import annotations

import asyncio
import threading
import time
from itertools import count
from multiprocessing.connection import Connection

from sqlalchemy import Engine, text

from commerce.domain.sale import UNITS_MAX
from commerce.postgres_sql import postgres_engine
from gateway.bench.clock import system_clock
from gateway.bench.people import World, person

_SALE = text("SELECT free FROM sale WHERE id = :sale FOR UPDATE")
_USED = text("SELECT used, latest FROM quota WHERE scope = :sale AND person = :person")
_TAKE = text("UPDATE sale SET free = free - 1, held = held + 1 WHERE id = :sale AND free >= 1")
_RAISE = text(
    "INSERT INTO quota (scope, person, used, latest) VALUES (:sale, :person, 1, :id)"
    " ON CONFLICT (scope, person) DO UPDATE SET used = quota.used + 1, latest = excluded.latest"
)
_HOLD = text(
    "INSERT INTO hold (id, merchant, sale, sku, person, quantity, price, expires_ms, state, key, hash)"
    " VALUES (:id, :merchant, :sale, :sku, :person, 1, 9900, :expires_ms, 'held', :key, '1/None')"
)
_EVENT = text(
    "INSERT INTO outbox (id, type, body, created_ms, delivered_ms) VALUES (:id, 'StockChanged', :body, :now, :now)"
)


def row_lock_holds(pipe: Connection, address: str, seconds: float, clients: int) -> None:
    """Hold one unit for each of many people, with so many clients."""
    merchant, sale, sku = asyncio.run(_prepare(address))
    engine = postgres_engine(address, writing=True, pool_size=clients)
    numbers, ending, held = count(1), threading.Event(), [0] * clients

    def work(place: int) -> None:
        while not ending.is_set():
            _hold(engine, merchant, sale, sku, next(numbers))
            held[place] += 1

    threads = [threading.Thread(target=work, args=(place,), daemon=True) for place in range(clients)]
    began_s = time.perf_counter()
    for thread in threads:
        thread.start()
    time.sleep(seconds)
    ending.set()
    for thread in threads:
        thread.join()
    wall_s = time.perf_counter() - began_s
    engine.dispose()
    pipe.send({"holds_per_s": sum(held) / wall_s})


async def _prepare(address: str) -> tuple[str, str, str]:
    """A sale of its own in the shop's tables."""
    world = World(address)
    sale = await world.open(UNITS_MAX)
    await world.close()
    return world.merchant, sale.sale, sale.sku


def _hold(engine: Engine, merchant: str, sale: str, sku: str, number: int) -> None:
    who, now_ms = person(number), system_clock()
    common = {"sale": sale, "person": who, "id": f"{sale[-6:]}{number:014}", "now": now_ms}
    with engine.begin() as connection:
        connection.execute(_SALE, common)
        if connection.execute(_USED, common).one_or_none() is not None:
            return
        connection.execute(_TAKE, common)
        more = {"merchant": merchant, "sku": sku, "expires_ms": now_ms + 900_000, "key": f"key-{number:012}"}
        connection.execute(_HOLD, common | more)
        connection.execute(_RAISE, common)
        connection.execute(_EVENT, common | {"body": f'{{"sale":"{sale}","left":{number}}}'})
