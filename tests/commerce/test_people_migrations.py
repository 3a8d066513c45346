"""The migrations of the merchant's side and of the touch log give exactly the tables in the code."""

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import CheckConstraint, MetaData, inspect, text
from sqlalchemy.exc import IntegrityError

from commerce.errors import StoreError
from commerce.store_sql import migrate, sqlite_engine
from commerce.tables_touches import touches_metadata
from tests.schema import metadata


@pytest.mark.parametrize(
    ("package", "tables"), [("commerce.migrations", metadata), ("commerce.migrations_touches", touches_metadata)]
)
def test_the_migrated_schema_is_the_one_in_the_code(tmp_path: Path, package: str, tables: MetaData) -> None:
    path = tmp_path / "x.db"
    migrate(path, package)
    engine = sqlite_engine(path, writing=True)
    with engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), tables)
        assert differences == []
        for name, table in tables.tables.items():
            checks = {check["name"] for check in inspect(connection).get_check_constraints(name)}
            assert checks == {str(c.name) for c in table.constraints if isinstance(c, CheckConstraint)}, name
    engine.dispose()


def test_the_touch_log_migrates_twice_and_refuses_a_newer_file(tmp_path: Path) -> None:
    path = tmp_path / "touches.db"
    migrate(path, "commerce.migrations_touches")
    migrate(path, "commerce.migrations_touches")
    engine = sqlite_engine(path, writing=True)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'touches_9999'"))
    engine.dispose()
    with pytest.raises(StoreError, match="newer"):
        migrate(path, "commerce.migrations_touches")


def test_the_database_itself_allows_one_explained_product_a_room(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    migrate(path)
    engine = sqlite_engine(path, writing=True)
    with engine.begin() as connection:
        for statement in (
            "INSERT INTO merchant VALUES ('m', 'M', 0)",
            "INSERT INTO room VALUES ('r', 'm', 'R', '', '', 0, NULL)",
            "INSERT INTO product VALUES ('p', 'm', 'P', '', '', true, 0, ''), ('q', 'm', 'Q', '', '', true, 0, '')",
            "INSERT INTO pin VALUES ('r', 'p', true, 0, NULL)",
        ):
            connection.execute(text(statement))
    with pytest.raises(IntegrityError), engine.begin() as connection:
        connection.execute(text("INSERT INTO pin VALUES ('r', 'q', true, 0, NULL)"))
    engine.dispose()
