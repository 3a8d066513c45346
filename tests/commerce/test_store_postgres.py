"""PostgreSQL under the shop: migrations, refusals, time, text in the order of its bytes, and processes side by side."""

import asyncio
import re
import signal
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import fields
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import CheckConstraint, Connection, TextClause, inspect, text

from commerce import holds_sql, outbox_follow_sql, outbox_sql, sales_sql
from commerce.attribution.touches_sql import open_touch_log
from commerce.audit_sql import audit
from commerce.domain.ids import new_id
from commerce.duty_sql import LockDuty
from commerce.errors import Busy, CommerceError, StoreError
from commerce.events import Event, OrderPaid, StockChanged
from commerce.ledger_text_sql import POSTGRES
from commerce.outbox_follow_sql import MISSING_S, Seen
from commerce.outbox_sql import ADOPT_AFTER_MS
from commerce.payment_sandbox import SandboxProvider
from commerce.postgres_sql import check_server, postgres_engine, shown
from commerce.shop import Shop
from commerce.store_sql import check_schema, migrate, open_store, read_engine
from commerce.tables_touches import touches_metadata
from tests.commerce.shop_world import MERCHANT, OTHER_SKU, ROOM, SKU, ManualClock, crash, seed_catalogue
from tests.postgres import Cluster
from tests.schema import metadata

PATIENCE_S = 60


class Process:
    """One gateway process's shop on a database that it shares, here on threads of its own."""

    def __init__(self, address: str, clock: ManualClock, **options: Any) -> None:
        self.store = open_store(address)
        self.provider = SandboxProvider(b"s", clock=clock, deliveries=0)
        self.shop = Shop(self.store, clock=clock, provider=self.provider, sweep_s=0, **options)
        self.heard: list[Event] = []
        self.answered: list[Event] = []
        self.shop.listen(self.heard.append)
        self.shop.answer(self.answered.append)

    async def close(self) -> None:
        await self.provider.aclose()
        await self.shop.close()
        self.store.close()


@asynccontextmanager
async def processes(address: str, count: int = 2, **options: Any) -> AsyncIterator[list[Process]]:
    """So many processes with a seeded catalogue; the audit is clean at the end."""
    clock = ManualClock()
    made = [Process(address, clock, **options) for _ in range(count)]
    await made[0].store.write(seed_catalogue)
    for process in made:
        await process.shop.start()
    try:
        yield made
    finally:
        for process in made:
            await process.close()
    now_ms = None if options.get("database_time") else clock()
    broken = [finding for finding in audit(address, now_ms=now_ms) if not finding.ok]
    assert not broken, broken


async def open_sale(shop: Shop, total: int, per_person: int = 1) -> str:
    await shop.stock_up(MERCHANT, SKU, total)
    sale = await shop.create_sale(MERCHANT, ROOM, SKU, 5_000, 9_900, total, per_person, 300, 600)
    return (await shop.start_sale(MERCHANT, sale.sale, 0)).sale


async def code(awaitable: Any) -> str:
    try:
        await awaitable
    except CommerceError as error:
        return error.code
    return "ok"


# --- schema and address ------------------------------------------------------------------------------------------


def test_models_and_migrations_agree_on_postgres_too(cluster: Cluster) -> None:
    address = cluster.address(cluster.database())
    for where, tables in ((address, metadata), (f"{address}&options=-csearch_path%3Dtouches", touches_metadata)):
        engine = postgres_engine(where, writing=False)
        with engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"compare_type": True})
            assert compare_metadata(context, tables) == []
            for name, table in tables.tables.items():
                checks = {check["name"] for check in inspect(connection).get_check_constraints(name)}
                assert checks == {str(c.name) for c in table.constraints if isinstance(c, CheckConstraint)}, name
        engine.dispose()


def test_an_older_release_s_schema_goes_up_to_this_one_and_is_refused_until_it_did(cluster: Cluster) -> None:
    address = cluster.address(cluster.database("template0"))
    engine = postgres_engine(address, writing=True)
    with pytest.raises(StoreError, match=r"is empty.*siyu migrate"):
        open_store(address)
    for release in ("0001", "0004"):
        migrate(address, to=release)
        with pytest.raises(StoreError, match=rf"has schema {release}.*siyu migrate"):
            open_store(address)
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO stock (sku, merchant, received, free) VALUES ('k', 'm', 3, 3)"))
    migrate(address)
    check_schema(engine, address)
    with engine.begin() as connection:
        assert connection.execute(text("SELECT kind, free FROM stock_entry")).all() == [("opening", 3)]
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match="newer"):
        open_store(address)
    with pytest.raises(StoreError, match="newer"):
        migrate(address)
    engine.dispose()


def test_ids_are_compared_byte_by_byte_whatever_the_database_s_language(cluster: Cluster) -> None:
    """Ids begin with their time in base 62: in a language's order "a" stands beside "A", and pages would go astray."""
    name = "of_a_language"
    cluster.execute(
        f"CREATE DATABASE {name} TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en-US' LOCALE 'C.UTF-8'"
    )
    address = cluster.address(name)
    migrate(address)
    ids = [new_id(1_800_000_000_000 + 7_919 * n, bytes(8)) for n in range(200)] + ["a", "B", "Z", "b"]
    engine = postgres_engine(address, writing=True)
    with engine.begin() as connection:
        loose = connection.execute(text("SELECT 'a' < 'B'")).scalar_one()
        for identifier in ids:
            connection.execute(
                text("INSERT INTO merchant (id, name, created_ms) VALUES (:id, '', 0)"), {"id": identifier}
            )
        assert connection.execute(text("SELECT id FROM merchant ORDER BY id")).scalars().all() == sorted(ids)
    assert loose, "this database compares by bytes anyway: nothing was tried"
    engine.dispose()


def test_what_cannot_be_an_address_is_refused_in_words() -> None:
    for where, words in (
        ("postgresql://localhost", "names no database"),
        ("postgresql://u:geheim@localhost:no/x", "is not an address"),
        ("mysql://localhost/x", "no driver for mysql"),
    ):
        with pytest.raises(StoreError, match=words) as error:
            open_store(where)
        assert "geheim" not in str(error.value)
    assert "geheim" not in shown("postgres://u:geheim@localhost/x")


def test_a_server_that_is_away_is_told_of_without_its_password(cluster: Cluster) -> None:
    away = cluster.address("postgres").replace("postgres@", "postgres:geheim@").replace("siyu-pg", "siyu-no")
    engine = postgres_engine(away, writing=False)
    with pytest.raises(StoreError, match="cannot be used") as error:
        check_server(engine, away)
    assert "geheim" not in str(error.value)


async def test_a_reader_cannot_write_and_sees_one_moment(database: str) -> None:
    store = open_store(database)

    def look(connection: Connection) -> tuple[int, int]:
        count = text("SELECT count(*) FROM merchant")
        before = connection.execute(count).scalar_one()
        with store.writer.begin() as other:
            other.execute(text("INSERT INTO merchant (id, name, created_ms) VALUES ('m', 'm', 0)"))
        return before, connection.execute(count).scalar_one()

    assert await store.read(look) == (0, 0)
    with pytest.raises(Exception, match="read-only"):
        await store.read(lambda c: c.execute(text("DELETE FROM merchant")))
    store.close()


async def test_touches_are_written_to_a_schema_of_their_own_without_waiting_for_the_disk(database: str) -> None:
    log = open_touch_log(database, clock=ManualClock())
    names = "SELECT current_schema(), current_setting('synchronous_commit')"
    with log._writer.connect() as connection:
        assert tuple(connection.execute(text(names)).one()) == ("touches", "off")
    log.close()
    store = open_store(database)
    with store.writer.connect() as connection:
        assert tuple(connection.execute(text(names)).one()) == ("public", "on")
    store.close()


FILL = (
    "INSERT INTO quota SELECT 'sale', lpad(n::text, 20, '0'), 1, lpad(n::text, 20, '0')"
    " FROM generate_series(1, {n}) AS n",
    "INSERT INTO hold SELECT lpad(n::text, 20, '0'), 'm', 'sale', 'sku', lpad(n::text, 20, '0'), 1, 1, n,"
    " CASE WHEN n % 10 = 0 THEN 'held' ELSE 'sold' END, 'o' || n, 'k', 'h', NULL FROM generate_series(1, {n}) AS n",
    "INSERT INTO request SELECT 'm', 'hold/sale', lpad(n::text, 20, '0'), 'k', 'h', 'a', n"
    " FROM generate_series(1, 5 * {n}) AS n",
    "INSERT INTO outbox SELECT n, lpad(n::text, 20, '0'), 't', repeat('x', 200), n, n, 'w'"
    " FROM generate_series(1, {n}) AS n",
)
BIG = ("quota", "hold", "request", "outbox")
VALUES: dict[str, object] = {
    "rows": '[["1","2","3","4",1,1]]',
    **dict.fromkeys(
        ("merchant", "outlet", "person", "route", "key", "scope", "sale", "drop", "sku", "title", "state", "draw"), "x"
    ),
    **dict.fromkeys(("id", "answer", "hash", "writer", "provider", "order", "body", "type"), "x"),
    **dict.fromkeys(("now", "grace", "before", "price", "amount", "threshold", "expires_ms", "limit", "high"), 500),
    "missing": "[7]",
    "tag": "x",
}


def test_no_statement_of_the_rush_scans_a_table_that_was_never_analysed(cluster: Cluster) -> None:
    """Before its first ANALYZE the planner guesses; by a wrong guess, one batch's look at the quotas took minutes."""
    engine = postgres_engine(cluster.address(cluster.database()), writing=True)
    statements = {field.name: getattr(POSTGRES, field.name) for field in fields(POSTGRES)}
    for module in (holds_sql, sales_sql, outbox_sql, outbox_follow_sql):
        statements |= {
            f"{module.__name__}.{name}": value for name, value in vars(module).items() if isinstance(value, TextClause)
        }
    # Looks at the lowest and highest numbers, once at a start.
    del statements["commerce.outbox_follow_sql._HIGHEST"]
    slow = []
    with engine.connect() as connection:
        for table in BIG:
            connection.execute(text(f"ALTER TABLE {table} SET (autovacuum_enabled = false)"))
        for fill in FILL:
            connection.execute(text(fill.format(n=20_000)))
        for name, statement in statements.items():
            asked = {key: VALUES.get(key, 1) for key in statement.compile().params}
            rows = connection.execute(text(f"EXPLAIN {statement.text}"), asked).scalars().all()
            slow += [
                (name, row.strip()) for row in rows if re.search(rf"Join Filter|Seq Scan on ({'|'.join(BIG)})", row)
            ]
        connection.rollback()
    engine.dispose()
    assert len(statements) > 40
    assert not slow, "\n".join(f"{name}: {row}" for name, row in slow)


# --- several processes -------------------------------------------------------------------------------------------


async def test_processes_that_sell_at_once_sell_what_there_is(database: str) -> None:
    async with processes(database, 3) as many:
        sale = await open_sale(many[0].shop, 100)
        people = [f"p{n}" for n in range(200)]
        # Everybody asks twice, at two processes, under one key: a repeat is a repeat wherever it goes.
        codes = await asyncio.gather(
            *(
                code(process.shop.hold(MERCHANT, ROOM, person, sale, 1, "k"))
                for n, person in enumerate(people)
                for process in (many[n % 3], many[(n + 1) % 3])
            )
        )
        assert set(codes) <= {"ok", "sold_out"}
        with many[0].store.reader.connect() as connection:
            held = connection.execute(text("SELECT person FROM hold")).scalars().all()
        assert len(held) == len(set(held)) == 100
        assert codes.count("ok") >= 100


async def test_one_person_at_two_processes_gets_no_more_than_the_limit(database: str) -> None:
    async with processes(database) as (one, two):
        sale = await open_sale(one.shop, 50, per_person=3)
        codes = await asyncio.gather(
            *(code(p.shop.hold(MERCHANT, ROOM, "greedy", sale, 1, f"k{n}")) for n in range(20) for p in (one, two))
        )
        # A key that both got is one hold: count what is there.
        with one.store.reader.connect() as connection:
            assert connection.execute(text("SELECT sum(quantity) FROM hold")).scalar_one() == 3
        assert "limit" in codes


async def test_an_order_paid_and_cancelled_at_two_processes_is_one_or_the_other(database: str) -> None:
    async with processes(database) as (one, two):
        await one.shop.stock_up(MERCHANT, OTHER_SKU, 20)
        for n in range(10):
            order = (await one.shop.create_order(MERCHANT, ROOM, "p", f"o{n}", lines=[(OTHER_SKU, 1)])).order
            paid, cancelled = await asyncio.gather(
                code(one.shop.pay_order(MERCHANT, "p", order, f"p{n}")),
                code(two.shop.cancel_order(MERCHANT, "p", order)),
            )
            view = await two.shop.order(MERCHANT, order)
            assert view.status in ("paid", "cancelled")
            assert (paid == "ok") or (cancelled == "ok")


async def test_every_process_hears_everything_in_the_order_of_commits_and_one_answers_for_it(database: str) -> None:
    async with processes(database, 3) as many:
        sale = await open_sale(many[0].shop, 60)
        for n in range(20):
            await asyncio.gather(*(p.shop.hold(MERCHANT, ROOM, f"{n}-{k}", sale, 1, "k") for k, p in enumerate(many)))
        for process in many:
            await process.shop.told()
        heard = [[event.id for event in process.heard] for process in many]
        assert heard[0] == heard[1] == heard[2]
        left = [event.left for event in many[2].heard if isinstance(event, StockChanged)]
        assert left == sorted(left, reverse=True)
        answered = [event.id for process in many for event in process.answered]
        assert sorted(answered) == sorted(heard[0])
        assert all(process.answered for process in many)


async def test_what_a_process_left_untold_is_answered_for_by_another_once_it_is_certainly_gone(database: str) -> None:
    clock = ManualClock()
    async with processes(database, 1) as (living,):
        lost = Process(database, clock)
        await lost.shop.start()
        await lost.shop.stock_up(MERCHANT, OTHER_SKU, 1)
        order = await lost.shop.create_order(MERCHANT, ROOM, "p", "o", lines=[(OTHER_SKU, 1)])
        await lost.shop.pay_order(MERCHANT, "p", order.order, "p")
        await crash(lost.shop)
        await living.shop.told()
        assert any(isinstance(event, OrderPaid) for event in living.heard)
        await living.shop.sweep()
        assert living.answered == []
        heard = len(living.heard)
        living.shop.ledger._clock.advance(ADOPT_AFTER_MS)  # type: ignore[attr-defined]
        for _ in range(2):
            await living.shop.sweep()
        assert [type(event) for event in living.answered].count(OrderPaid) == 1
        # It had heard of them when they were committed.
        assert len(living.heard) == heard
        await living.shop.sweep()
        with living.store.reader.connect() as connection:
            assert connection.execute(text("SELECT count(*) FROM outbox WHERE delivered_ms IS NULL")).scalar_one() == 0


def test_numbers_that_were_skipped_are_looked_for_until_they_cannot_come_any_more() -> None:
    seen = Seen(10, [8], now_s=0)
    seen.read([11, 14], now_s=1)
    assert (seen.high, seen.missing) == (14, [8, 12, 13])
    seen.read([12], now_s=2)
    assert seen.missing == [8, 13]
    seen.read([], now_s=MISSING_S + 0.5)
    assert seen.missing == [13]
    seen.read([15], now_s=MISSING_S + 2)
    assert (seen.high, seen.missing) == (15, [])


async def test_an_event_that_becomes_visible_late_is_heard_all_the_same(database: str) -> None:
    """Merchants do not wait for each other, so a lower number may be committed after a higher one."""
    async with processes(database, 1) as (process,):
        writing = process.store.writer.connect()
        transaction = writing.begin()
        [body] = writing.execute(text("SELECT 1")).scalars()
        assert body == 1
        view = '{"id":"late","merchant":"m2","room":"r2","now_ms":0,"sale":"s","left":1,"state":"open"}'
        writing.execute(
            text("INSERT INTO outbox (id, type, body, created_ms, writer) VALUES ('late', 'StockChanged', :b, 0, 'x')"),
            {"b": view},
        )
        await process.shop.stock_up(MERCHANT, OTHER_SKU, 1)
        await open_sale(process.shop, 5)
        await process.shop.told()
        assert process.heard and "late" not in [event.id for event in process.heard]
        transaction.commit()
        writing.close()
        async with asyncio.timeout(PATIENCE_S):
            while "late" not in [event.id for event in process.heard]:
                await asyncio.sleep(0.02)
        ids = [event.id for event in process.heard]
        assert len(ids) == len(set(ids))
        await process.store.write(
            lambda c: c.execute(text("UPDATE outbox SET delivered_ms = 1 WHERE id = 'late'")).rowcount
        )


async def test_merchants_do_not_wait_for_each_other_but_the_sweep_waits_for_all(database: str) -> None:
    async with processes(database) as (one, two):
        with one.store.writer.connect() as connection, connection.begin():
            one.store.turns.take(connection, ["m2"])
            await asyncio.wait_for(two.shop.stock_up(MERCHANT, OTHER_SKU, 1), PATIENCE_S)
            other = asyncio.ensure_future(two.shop.stock_up("m2", "k3", 1))
            await asyncio.wait([other], timeout=0.3)
            assert not other.done()
        await asyncio.wait_for(other, PATIENCE_S)


async def test_a_turn_that_does_not_come_is_refused_with_a_time_to_return(database: str) -> None:
    async with processes(f"{database}&options=-clock_timeout%3D200", 1) as (process,):
        with process.store.writer.connect() as connection, connection.begin():
            process.store.turns.take(connection, [MERCHANT])
            with pytest.raises(Busy) as refused:
                await process.shop.stock_up(MERCHANT, OTHER_SKU, 1)
            assert refused.value.retry_ms
        assert (await process.shop.stock_up(MERCHANT, OTHER_SKU, 1)).free == 1


async def test_the_database_s_clock_decides_where_it_is_asked_to(database: str) -> None:
    """Two nodes whose clocks differ by an hour agree on when a sale is open."""
    async with processes(database, 2, database_time=True) as (one, two):
        two.shop.ledger._clock = lambda: 0
        sale = await open_sale(one.shop, 5)
        assert await code(two.shop.hold(MERCHANT, ROOM, "p", sale, 1, "k")) == "ok"
        for process in (one, two):
            assert abs(process.shop.ledger.now() - time.time() * 1000) < 3_600_000
        view = await two.shop.sale(sale)
        assert view.opens is not None and abs(view.opens - time.time() * 1000) < 3_600_000
        one.shop.ledger._clock = two.shop.ledger._clock = lambda: time.time_ns() // 1_000_000


# --- lost connections --------------------------------------------------------------------------------------------


class CutAtCommit:
    """Cuts a ledger's connection at its next COMMIT: before the server has it, or after it was carried out."""

    def __init__(self, process: Process, monkeypatch: pytest.MonkeyPatch, *, arrives: bool) -> None:
        self.cuts = 1
        turns = process.store.turns
        sign = turns.sign

        def sign_and_cut(connection: Connection, batch: int, now_ms: int) -> None:
            sign(connection, batch, now_ms)
            if self.cuts:
                self.cuts -= 1
                driver: Any = connection.connection.dbapi_connection
                if arrives:
                    driver.execute("COMMIT")
                driver.close()

        monkeypatch.setattr(turns, "sign", sign_and_cut)


@pytest.mark.parametrize("arrives", [True, False])
async def test_a_connection_lost_at_commit_is_resolved_and_nothing_is_done_twice(
    database: str, monkeypatch: pytest.MonkeyPatch, arrives: bool
) -> None:
    async with processes(database, 1) as (process,):
        sale = await open_sale(process.shop, 10)
        CutAtCommit(process, monkeypatch, arrives=arrives)
        # Receiving stock has no key: run again on a guess it would be twice as much.
        up, held = await asyncio.gather(
            process.shop.stock_up(MERCHANT, OTHER_SKU, 7), process.shop.hold(MERCHANT, ROOM, "p", sale, 1, "k")
        )
        assert up.free == 7
        assert (await process.shop.hold(MERCHANT, ROOM, "p", sale, 1, "k")).hold == held.hold
        with process.store.reader.connect() as connection:
            assert connection.execute(text("SELECT received FROM stock WHERE sku = 'k2'")).scalar_one() == 7
            assert connection.execute(text("SELECT count(*) FROM hold")).scalar_one() == 1


async def test_a_server_that_restarts_in_the_middle_of_a_rush_costs_no_answer_and_no_unit(cluster: Cluster) -> None:
    own = Cluster(cluster.programs)
    own.start()
    own.template()
    address = own.address(own.database())
    try:
        async with processes(address) as many:
            sale = await open_sale(many[0].shop, 5_000)
            acknowledged: dict[str, str] = {}
            going = True

            async def buy(number: int) -> None:
                process, n = many[number % 2], 0
                while going:
                    n += 1
                    person = f"{number}-{n}"
                    while True:
                        try:
                            held = await process.shop.hold(MERCHANT, ROOM, person, sale, 1, "k")
                        except Busy:
                            await asyncio.sleep(0.05)
                            continue
                        break
                    acknowledged[person] = held.hold
                    await asyncio.sleep(0.01)

            buyers = [asyncio.ensure_future(buy(number)) for number in range(10)]
            for _ in range(2):
                await asyncio.sleep(0.3)
                await asyncio.get_running_loop().run_in_executor(None, own.kill, signal.SIGKILL)
                await asyncio.get_running_loop().run_in_executor(None, own.start)
            before = len(acknowledged)
            async with asyncio.timeout(PATIENCE_S):
                while len(acknowledged) < before + 50:
                    await asyncio.sleep(0.02)
            going = False
            await asyncio.gather(*buyers)
            engine = read_engine(address)
            with engine.connect() as connection:
                kept = {row.person: row.id for row in connection.execute(text("SELECT person, id FROM hold"))}
            engine.dispose()
            assert acknowledged == kept
    finally:
        own.close()


async def test_who_has_the_duty_keeps_it_until_it_ends_and_then_another_has_it(database: str) -> None:
    one, two = open_store(database), open_store(database)
    duties = [LockDuty(store, "sweep", try_s=0.02) for store in (one, two)]

    async def until(index: int) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not duties[index].held():
                await asyncio.sleep(0.01)

    duties[0].start()
    await until(0)
    duties[1].start()
    await asyncio.sleep(0.2)
    assert not duties[1].held()
    # Its session ends as when its process dies.
    with one.writer.connect() as connection, connection.begin():
        connection.execute(
            text(
                "SELECT pg_terminate_backend(l.pid) FROM pg_locks AS l WHERE l.locktype = 'advisory'"
                " AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            )
        )
    duties[0].close()
    await until(1)
    assert not duties[0].held()
    duties[1].close()
    one.close()
    two.close()
    assert threading.active_count() < 100
