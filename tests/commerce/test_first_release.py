"""The first release's database, on both engines, with goods, orders and money in it: upgraded, audited, sold from."""

from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from commerce.audit_sql import audit
from commerce.books import Books
from commerce.domain.day import day_of
from commerce.payment_sandbox import SandboxProvider
from commerce.postgres_sql import postgres_engine
from commerce.replay_sql import replay
from commerce.shop import Shop
from commerce.store_sql import migrate, open_store, sqlite_engine
from tests.commerce.shop_world import MERCHANT, OTHER_SKU, ROOM, ManualClock, seed_catalogue
from tests.commerce.test_refund_migration import BEFORE
from tests.postgres import Cluster

FIRST_RELEASE = "0004"
"""The schema of 0.1.0: ledger, people, clips, bans."""


@pytest.fixture(params=["sqlite", "postgres"])
def old(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path | str, Path | str]:
    """Where a shop of that release is kept, as the store opens it and as migrations do."""
    if request.param == "sqlite":
        return tmp_path, tmp_path / "shop.db"
    cluster: Cluster = request.getfixturevalue("cluster")
    address = cluster.address(cluster.database("template0"))
    return address, address


def engine_of(where: Path | str) -> Engine:
    return sqlite_engine(where, writing=True) if isinstance(where, Path) else postgres_engine(where, writing=True)


async def test_a_shop_of_the_first_release_is_upgraded_audits_clean_and_sells_on(
    old: tuple[Path | str, Path | str],
) -> None:
    place, where = old
    migrate(where, to=FIRST_RELEASE)
    engine = engine_of(where)
    with engine.begin() as connection:
        seed_catalogue(connection)
        for statement in BEFORE:
            connection.execute(text(statement))
        before = connection.execute(text("SELECT id, status, amount FROM orders ORDER BY id")).all()
    engine.dispose()
    migrate(where)
    clock = ManualClock()
    broken = [finding for finding in audit(place, now_ms=6) + replay(place) if not finding.ok]
    assert not broken, broken
    store = open_store(place)
    try:
        shop = Shop(store, clock=clock, provider=SandboxProvider(b"sandbox-secret", clock=clock), sweep_s=0)
        await shop.start()
        after = await store.read(lambda db: db.execute(text("SELECT id, status, amount FROM orders ORDER BY id")).all())
        assert after == before
        order = await shop.create_order(MERCHANT, ROOM, "two", "new", lines=[(OTHER_SKU, 1)])
        assert order.amount == 2_000
        book = await Books(store, clock=clock).book(MERCHANT, day_of(clock()))
        # What was paid and not handed over, less what is owed back, is with the provider: as it was before.
        figures = {one.account: one.closing for one in book.accounts}
        assert figures["1012.sandbox"] == figures["2205"] + figures["2241.01"] == 4_000 + 4_000 + 2_000
        await shop.close()
    finally:
        store.close()
