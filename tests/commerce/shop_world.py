"""A shop for tests: a real database in a folder, a manual clock, one merchant with a room and products."""

import contextlib
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, text

from commerce.audit_sql import audit
from commerce.events import Event, SaleView
from commerce.payment_sandbox import SandboxProvider
from commerce.replay_sql import replay
from commerce.shop import Shop
from commerce.store_sql import Store, migrate, open_store, sqlite_engine
from tests.commerce.template import migrated

MERCHANT, ROOM, SKU, OTHER_SKU = "m1", "r1", "k1", "k2"
PRICE, LIST_PRICE = 5_000, 9_900
START_MS = 1_800_000_000_000


class ManualClock:
    """Unix milliseconds that move when told."""

    def __init__(self, now_ms: int = START_MS) -> None:
        self.now_ms = now_ms

    def __call__(self) -> int:
        return self.now_ms

    def advance(self, ms: int) -> None:
        self.now_ms += ms


def seed_catalogue(connection: Connection) -> None:
    """Two merchants, a room each, three products."""
    for merchant in ("m1", "m2"):
        connection.execute(text("INSERT INTO merchant (id, name, created_ms) VALUES (:id, :id, 0)"), {"id": merchant})
    for product, sku, merchant, price in (
        ("p1", "k1", "m1", 9_900),
        ("p2", "k2", "m1", 2_000),
        ("p3", "k3", "m2", 100),
    ):
        connection.execute(
            text(
                "INSERT INTO product (id, merchant, title, image, detail, on_shelf, created_ms)"
                " VALUES (:p, :m, :title, '', '', true, 0)"
            ),
            {"p": product, "m": merchant, "title": f"tea {product}"},
        )
        connection.execute(
            text(
                "INSERT INTO sku (id, product, merchant, name, price, list_price, version)"
                " VALUES (:k, :p, :m, '', :price, :price, 1)"
            ),
            {"k": sku, "p": product, "m": merchant, "price": price},
        )


def upgraded(folder: Path, revision: str, before: Iterable[str]) -> Engine:
    """A shop's database as it was at a revision, with a catalogue and these statements' rows, carried on to today's.

    Its engine writes; whoever asked for it disposes of it.
    """
    path = folder / "shop.db"
    migrate(path, to=revision)
    engine = sqlite_engine(path, writing=True)
    with engine.begin() as connection:
        seed_catalogue(connection)
        for statement in before:
            connection.execute(text(statement))
    migrate(path)
    return engine


async def crash(shop: Shop) -> None:
    """End a shop's threads as a crash does, and close its store: nothing is marked, nobody is told."""
    await shop.ledger.close()
    if shop._follower is not None:
        await shop._follower.close()
    shop._store.close()


class World:
    """The shop with what tests look at."""

    def __init__(self, store: Store, clock: ManualClock, shop: Shop, provider: SandboxProvider) -> None:
        self.store = store
        self.clock = clock
        self.shop = shop
        self.provider = provider
        self.events: list[Event] = []
        shop.listen(self.events.append)

    async def sale(self, total: int = 10, per_person: int = 2, *, hold_s: int = 300, start: bool = True) -> SaleView:
        """A sale of ``SKU`` with fresh stock; started without a countdown."""
        await self.shop.stock_up(MERCHANT, SKU, total)
        view = await self.shop.create_sale(MERCHANT, ROOM, SKU, PRICE, LIST_PRICE, total, per_person, hold_s, 600)
        return await self.shop.start_sale(MERCHANT, view.sale, 0) if start else view

    async def drop(self, total: int = 10, per_person: int = 1, amount: int = 1_000, threshold: int = 0) -> Any:
        """A coupon drop of a minute, coupons good for an hour."""
        return await self.shop.start_drop(
            MERCHANT, ROOM, "anniversary", "店庆", amount, threshold, total, per_person, 60, 3_600
        )

    async def hold(self, sale: str, person: str, quantity: int = 1, key: str | None = None, **more: Any) -> Any:
        """A hold request; the key defaults to one of its own."""
        return await self.shop.hold(MERCHANT, ROOM, person, sale, quantity, key or f"{person}-{id(more)}", **more)

    async def told(self) -> list[Event]:
        """The events, when all that is committed was told of."""
        await self.shop.told()
        return self.events

    def assert_clean(self) -> None:
        """The audit finds nothing, and every balance can be rebuilt."""
        findings = audit(self.store.where, now_ms=self.clock()) + replay(self.store.where)
        broken = [finding for finding in findings if not finding.ok]
        assert not broken, broken

    async def query(self, statement: str, **parameters: Any) -> list[Any]:
        """Rows of a query."""
        return await self.store.read(lambda connection: list(connection.execute(text(statement), parameters)))


@contextlib.asynccontextmanager
async def shop_world(where: Path | str, *, synchronous: str = "FULL", **provider: Any) -> AsyncIterator[World]:
    """An open shop without a sweeper; the audit is clean when it closes. ``synchronous``: as of ``open_store``."""
    clock = ManualClock()
    migrated(where)
    store = open_store(where, synchronous=synchronous)
    try:
        await store.write(seed_catalogue)
        sandbox = SandboxProvider(b"sandbox-secret", clock=clock, callback_delay_s=0.01, **provider)
        shop = Shop(store, clock=clock, provider=sandbox, sweep_s=0)
        sandbox.deliver_to(shop.settle)
        world = World(store, clock, shop, sandbox)
        await shop.start()
        try:
            yield world
        finally:
            await sandbox.aclose()
            await shop.close()
        world.assert_clean()
    finally:
        store.close()
