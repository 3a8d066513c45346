"""A copy of the shop's database in one file, from a running or a stopped server, and back.

The file is an SQLite database with the shop's schema, whichever engine it came from, and goes back into either: so it
is the way from SQLite to PostgreSQL when one machine is outgrown. On PostgreSQL all tables are read in one snapshot.
"""

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, MetaData, Table, select, text

from commerce.postgres_sql import is_postgres, postgres_engine, reached, shown
from commerce.store_sql import check_copy, check_schema, database_path, migrate, read_engine, reading, told

ROWS_AT_ONCE = 2_000
"""Rows in memory at a time: some megabytes of orders."""
VERSION_TABLE = "alembic_version"


def backup(where: Path | str, file: Path) -> None:
    """Write a consistent copy to ``file``. Raises FileExistsError, FileNotFoundError, StoreError."""
    if file.exists():
        raise FileExistsError(f"{file} exists already; name a new file")
    if is_postgres(where):
        part = _part_of(file)
        try:
            with told(file):
                _from_postgres(str(where), part)
            _keep(part, file)
        except BaseException:
            _part_of(file)
            raise
        return
    source_path = database_path(where)
    if not source_path.exists():
        raise FileNotFoundError(f"{source_path} does not exist: nothing to back up")
    copy_sqlite(source_path, file)


def copy_sqlite(source_path: Path, target_path: Path, *, live: bool = True) -> None:
    """Copy a database that may be in use; it is there under its name only when it is whole and on the disk.

    ``live`` False: a copy, which is in nobody's use. Raises StoreError when the one cannot be read, or the other not
    be written.
    """
    part = _part_of(target_path)
    try:
        with told(source_path), closing(sqlite3.connect(reading(source_path, live=live), uri=True)) as source:
            source.execute("SELECT count(*) FROM sqlite_master")
            with told(target_path), closing(sqlite3.connect(part)) as target:
                source.backup(target)
                # One file that can be carried about, and read from a disk that cannot be written to.
                target.execute("PRAGMA journal_mode = DELETE")
        _keep(part, target_path)
    except BaseException:
        _part_of(target_path)
        raise


def _part_of(path: Path) -> Path:
    """Where a copy grows, with nothing there: neither of this one nor of one that was broken off."""
    part = path.with_name(path.name + ".part")
    for end in ("", "-journal", "-wal", "-shm"):
        part.with_name(part.name + end).unlink(missing_ok=True)
    return part


def _keep(part: Path, path: Path) -> None:
    # People's names and orders: its owner's to read.
    part.chmod(0o600)
    with part.open("rb") as written:
        os.fsync(written.fileno())
    part.rename(path)


def restore(where: Path | str, file: Path) -> None:
    """Put a copy where there is nothing yet. Raises FileExistsError, FileNotFoundError, StoreError."""
    if not file.exists():
        raise FileNotFoundError(f"{file} does not exist")
    check_copy(file)
    if is_postgres(where):
        _into_postgres(str(where), file)
        return
    target_path = database_path(where)
    if target_path.exists():
        raise FileExistsError(f"{target_path} exists already; restore into another folder or move it away")
    target_path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    copy_sqlite(file, target_path, live=False)


def _tables(connection: Connection) -> list[Table]:
    """The tables that there are, each after those that it refers to."""
    found = MetaData()
    found.reflect(connection)
    return [table for table in found.sorted_tables if table.name != VERSION_TABLE]


def _from_postgres(where: str, part: Path) -> None:
    engine = read_engine(where)
    try:
        migrate(part)
        with engine.begin() as connection, closing(sqlite3.connect(part)) as target:
            for table in _tables(connection):
                marks = ", ".join("?" * len(table.columns))
                names = ", ".join(f'"{column.name}"' for column in table.columns)
                into = f'INSERT INTO "{table.name}" ({names}) VALUES ({marks})'  # noqa: S608 - names of our own schema
                rows = connection.execution_options(yield_per=ROWS_AT_ONCE).execute(select(table))
                for some in rows.partitions():
                    target.executemany(into, [tuple(row) for row in some])
            target.commit()
            # One file that can be carried about, without a log beside it.
            target.execute("PRAGMA journal_mode = DELETE")
    finally:
        engine.dispose()


def _into_postgres(where: str, file: Path) -> None:
    engine = postgres_engine(where, writing=True, pool_size=1, patient=True)
    try:
        # Before anything is changed: a shop of an earlier release that is still served would lose its schema.
        _refuse_shop(engine, where)
        with tempfile.TemporaryDirectory(prefix="siyu-restore-") as folder:
            copy = Path(folder) / "shop.db"
            shutil.copyfile(file, copy)
            # A copy of an older release is brought to this one's schema first.
            migrate(copy)
            migrate(where)
            check_schema(engine, where)
            with engine.begin() as connection, closing(sqlite3.connect(copy)) as source:
                tables = _tables(connection)
                _refuse_rows(connection, tables, where)
                for table in tables:
                    _fill(connection, table, source)
                _go_on_counting(connection, tables)
    finally:
        engine.dispose()


def _refuse_shop(engine: Engine, where: str) -> None:
    with reached(engine, where) as connection:
        _refuse_rows(connection, _tables(connection), where)


def _refuse_rows(connection: Connection, tables: list[Table], where: str) -> None:
    for table in tables:
        if connection.execute(select(table).limit(1)).first() is not None:
            raise FileExistsError(f"{shown(where)} has a shop in it; restore into an empty database")


def _rows(source: sqlite3.Connection, table: Table) -> Iterator[tuple[object, ...]]:
    names = ", ".join(f'"{column.name}"' for column in table.columns)
    yield from source.execute(f'SELECT {names} FROM "{table.name}"')  # noqa: S608 - names of our own schema


def _fill(connection: Connection, table: Table, source: sqlite3.Connection) -> None:
    """One COPY: its references to itself (share links) are checked at its end."""
    names = ", ".join(f'"{column.name}"' for column in table.columns)
    driver: Any = connection.connection.dbapi_connection
    with driver.cursor() as cursor, cursor.copy(f'COPY "{table.name}" ({names}) FROM STDIN') as copy:
        for row in _rows(source, table):
            copy.write_row(row)


def _go_on_counting(connection: Connection, tables: list[Table]) -> None:
    for table in tables:
        for column in table.primary_key.columns:
            sequence = connection.execute(
                text("SELECT pg_get_serial_sequence(:table, :column)"), {"table": table.name, "column": column.name}
            ).scalar_one()
            if sequence is not None:
                connection.execute(
                    text(
                        f'SELECT setval(CAST(:sequence AS regclass), max("{column.name}")) FROM "{table.name}"'  # noqa: S608
                        f' HAVING max("{column.name}") IS NOT NULL'
                    ),
                    {"sequence": sequence},
                )
