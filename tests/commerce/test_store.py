"""Opening the shop's database: one writer, migrations, copies, refusals."""

import asyncio
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import OperationalError

from commerce.errors import Busy, StoreError
from commerce.store_sql import migrate, open_store, outside_fault, sqlite_engine
from commerce.turnstile import Turnstile
from tests.schema import metadata


def test_models_and_migrations_agree(tmp_path: Path) -> None:
    migrate(tmp_path / "shop.db")
    engine = sqlite_engine(tmp_path / "shop.db", writing=False)
    with engine.begin() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        checks = connection.execute(text("SELECT count(*) FROM sqlite_master WHERE sql LIKE '%CHECK%'")).scalar_one()
    assert checks > 5
    engine.dispose()


async def test_a_rare_write_has_its_turn_beside_a_ledger_that_never_rests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns = Turnstile()
    monkeypatch.setattr("commerce.store_sql.Turnstile", lambda: turns)
    store = open_store(tmp_path, synchronous="OFF")
    told: list[str] = []
    stop = threading.Event()

    def rush() -> None:
        with store.writer.connect() as connection:
            while not stop.is_set():
                with connection.begin():
                    stop.wait(0.002)
                    told.append("somebody waits" if turns._waiting else "ledger")

    ledger = threading.Thread(target=rush)
    ledger.start()
    try:
        for _ in range(10):
            await store.write(lambda _connection: told.append("rare"))
    finally:
        stop.set()
        ledger.join()
        store.close()
    after = [told[place + 1] for place, one in enumerate(told[:-1]) if one == "somebody waits"]
    assert set(after) <= {"rare"} and told.count("rare") == 10, told


async def test_a_file_that_another_process_keeps_locked_is_busy_and_no_fault_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("commerce.store_sql.BUSY_TIMEOUT_MS", 10)
    store = open_store(tmp_path)
    other = sqlite3.connect(tmp_path / "shop.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Busy):
        await store.write(lambda _connection: None)
    other.execute("ROLLBACK")
    # The turn that came to nothing is over.
    await store.write(lambda _connection: None)
    other.close()
    store.close()


def test_turns_come_in_the_order_in_which_they_were_asked_for_and_not_to_who_has_left() -> None:
    turns, order = Turnstile(), list[int]()
    assert turns.enter(60)

    def wait(number: int) -> None:
        assert turns.enter(60)
        order.append(number)
        turns.leave()

    threads = []
    for number in range(5):
        threads.append(threading.Thread(target=wait, args=(number,)))
        threads[-1].start()
        while len(turns._waiting) <= number:
            pass
    assert not turns.enter(0)
    turns.leave()
    for thread in threads:
        thread.join(60)
    assert order == [0, 1, 2, 3, 4]
    assert turns.enter(0)


def test_a_second_process_is_refused_with_the_holder_named(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    code = "import sys; from commerce.store_sql import open_store; open_store(sys.argv[1])"
    second = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=180)
    store.close()
    assert second.returncode != 0
    assert "StoreError" in second.stderr
    assert "another process" in second.stderr
    open_store(tmp_path).close()


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    open_store(tmp_path).close()
    engine = sqlite_engine(tmp_path / "shop.db", writing=True)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(StoreError, match="newer"):
        open_store(tmp_path)


def test_an_existing_database_is_copied_before_a_migration(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    migrate(path, to="0001")
    assert not list(tmp_path.glob("*.before-*"))
    migrate(path)
    [copy] = tmp_path.glob("shop.db.before-*")
    engine = sqlite_engine(copy, writing=False)
    with engine.begin() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one() == "0001"
    engine.dispose()


def test_an_unknown_database_address_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="postgresql"):
        open_store("postgresql://localhost/shop")


async def test_a_reader_cannot_write_and_does_not_wait_for_a_writer(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    with store.writer.begin():
        assert (
            await asyncio.wait_for(store.read(lambda c: c.execute(text("SELECT count(*) FROM stock")).scalar()), 60)
            == 0
        )
    with pytest.raises(Exception, match="readonly"):
        await store.read(lambda c: c.execute(text("DELETE FROM stock")))
    store.close()


async def test_a_full_disk_is_busy_to_who_writes_seldom_and_nothing_is_left_of_it(tmp_path: Path) -> None:
    store = open_store(tmp_path)

    def fill(connection: Connection) -> None:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
        connection.exec_driver_sql("CREATE TABLE heap (page BLOB)")
        for _ in range(1_000):
            connection.exec_driver_sql("INSERT INTO heap VALUES (zeroblob(4096))")

    with pytest.raises(Busy, match="did not answer"):
        await store.write(fill)
    tables = await store.read(lambda c: inspect(c).get_table_names())
    assert "heap" not in tables
    store.close()


def test_a_lock_or_a_disk_is_told_apart_from_a_statement_of_ours() -> None:
    for code, outside in (
        (sqlite3.SQLITE_BUSY, True),
        (sqlite3.SQLITE_IOERR_FSYNC, True),
        (sqlite3.SQLITE_FULL, True),
        (sqlite3.SQLITE_ERROR, False),
        (sqlite3.SQLITE_CONSTRAINT_CHECK, False),
    ):
        said = sqlite3.OperationalError("said")
        said.sqlite_errorcode = code
        assert outside_fault(OperationalError("SELECT", {}, said)) is outside
