"""Opening the shop's database: one writer, migrations, copies, refusals."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text

from commerce.errors import StoreError
from commerce.store_sql import migrate, open_store, sqlite_engine
from tests.schema import metadata


def test_models_and_migrations_agree(tmp_path: Path) -> None:
    migrate(tmp_path / "shop.db")
    engine = sqlite_engine(tmp_path / "shop.db", writing=False)
    with engine.begin() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        checks = connection.execute(text("SELECT count(*) FROM sqlite_master WHERE sql LIKE '%CHECK%'")).scalar_one()
    assert checks > 5
    engine.dispose()


def test_a_second_process_is_refused_with_the_holder_named(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    code = "import sys; from commerce.store_sql import open_store; open_store(sys.argv[1])"
    second = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=60)
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
            await asyncio.wait_for(store.read(lambda c: c.execute(text("SELECT count(*) FROM stock")).scalar()), 5) == 0
        )
    with pytest.raises(Exception, match="readonly"):
        await store.read(lambda c: c.execute(text("DELETE FROM stock")))
    store.close()
