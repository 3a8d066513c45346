"""The shop's database file: open, lock, migrate, and the ways in.

A data directory holds ``shop.db`` (SQLite, WAL), ``shop.lock`` (held by the one process that may write) and copies
made before a migration (``shop.db.before-REVISION``). Reads go through a small executor and never block the loop; the
group-commit ledger owns one writing connection; rare writers (catalogue) take short ``BEGIN IMMEDIATE`` turns.
"""

import asyncio
import fcntl
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, TypeVar

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event

from commerce.errors import Busy, StoreError

T = TypeVar("T")

BUSY_TIMEOUT_MS = 5_000
"""How long one writer waits for another's turn; turns last milliseconds."""
READ_THREADS = 2
"""Readers beside the loop and the writer: more would only fight for the interpreter lock."""
READS_WAITING_MAX = 2_000
"""Queries waiting for a reader; beyond it they are refused early (busy), as each holds a request open."""
WAL_CHECKPOINT_PAGES = 16_000
"""64 MB of 4 KB pages: a checkpoint writes and syncs the whole file; a rush should not meet one every few commits."""
READ_CACHE_KIB = 8_192
WRITE_CACHE_KIB = 65_536
"""Page cache of the writing connection: the hot indexes of a rush stay in memory."""


def sqlite_engine(path: Path, *, writing: bool, synchronous: str = "FULL", pool_size: int = READ_THREADS) -> Engine:
    """An engine on one SQLite file whose transactions begin explicitly.

    Writing ones begin IMMEDIATE, so that two writers take turns instead of failing half-way; reading ones are
    ``query_only``. ``synchronous`` is FULL (a commit survives power loss) or, for data that may be lost, NORMAL.
    """
    engine = create_engine(f"sqlite:///{path}", pool_size=pool_size, max_overflow=0, pool_timeout=30)
    begin = "BEGIN IMMEDIATE" if writing else "BEGIN"
    cache = WRITE_CACHE_KIB if writing else READ_CACHE_KIB

    @event.listens_for(engine, "connect")
    def _connect(connection: sqlite3.Connection, _record: object) -> None:
        # The driver's own BEGIN comes too late (before the first write) and would read outside the transaction.
        connection.isolation_level = None
        connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        if writing:
            connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute(f"PRAGMA cache_size = -{cache}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {WAL_CHECKPOINT_PAGES}")
        connection.execute("PRAGMA temp_store = MEMORY")
        if not writing:
            connection.execute("PRAGMA query_only = ON")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def migrate(path: Path, package: str = "commerce.migrations", *, to: str = "head") -> None:
    """Bring one SQLite file to the newest schema; an existing database is copied beside itself first.

    ``package`` holds the alembic scripts (env.py, versions/) and is read from the installed package.
    Raises StoreError when the file was written by a newer program.
    """
    root, _, folder = package.rpartition(".")
    with as_file(files(root) / folder) as scripts:
        config = Config()
        config.set_main_option("script_location", str(scripts).replace("%", "%%"))
        directory = ScriptDirectory.from_config(config)
        engine = sqlite_engine(path, writing=True, pool_size=1)
        try:
            with engine.connect() as connection:
                present = MigrationContext.configure(connection).get_current_revision()
            _check_known(directory, present, path)
            if present == directory.get_current_head():
                return
            if present is not None:
                _copy(path, path.with_name(f"{path.name}.before-{directory.get_current_head()}"))
            with engine.begin() as connection:
                config.attributes["connection"] = connection
                command.upgrade(config, to)
        finally:
            engine.dispose()


def _check_known(directory: ScriptDirectory, present: str | None, path: Path) -> None:
    known = {script.revision for script in directory.walk_revisions()}
    if present is not None and present not in known:
        raise StoreError(f"{path} has schema {present}, newer than this program knows; install the newer release")


def _copy(source: Path, target: Path) -> None:
    """A consistent copy of a live database by SQLite's backup API."""
    with closing(sqlite3.connect(source)) as reading, closing(sqlite3.connect(target)) as writing:
        reading.backup(writing)


class WriterLock:
    """An advisory lock on a file beside the database: one writing process per data directory.

    The kernel drops it when the process dies, however it dies. Raises StoreError when another process holds it.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(self._descriptor, 32).decode("ascii", "replace").strip() or "unknown"
            os.close(self._descriptor)
            raise StoreError(
                f"{path.parent} is in use by another process (pid {holder}): one writer per data directory; "
                "stop it, choose another --data, or use PostgreSQL for several workers"
            ) from error
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Give the directory back; safe to call twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class Store:
    """An open database: ``writer`` (engine of writing connections), ``reader``, and coroutines on top of them."""

    def __init__(self, path: Path, lock: WriterLock, *, synchronous: str = "FULL") -> None:
        self.path = path
        self._lock = lock
        # One for the ledger's thread, one for the rare writers, who take turns on the file.
        self.writer = sqlite_engine(path, writing=True, synchronous=synchronous, pool_size=2)
        self.reader = sqlite_engine(path, writing=False)
        self._readers = ThreadPoolExecutor(READ_THREADS, thread_name_prefix="shop-read")
        self._rare = ThreadPoolExecutor(1, thread_name_prefix="shop-write")
        self._waiting = 0

    async def read(self, query: Callable[[Connection], T]) -> T:
        """Run ``query`` in one read transaction on a reader's thread. Raises Busy when too many wait."""
        return await self._run(self._readers, self.reader, query)

    async def write(self, change: Callable[[Connection], T]) -> T:
        """Run ``change`` in one short synced write transaction of its own: for rare writes, not for stock or money."""
        return await self._run(self._rare, self.writer, change)

    async def _run(self, executor: ThreadPoolExecutor, engine: Engine, work: Callable[[Connection], T]) -> T:
        if self._waiting >= READS_WAITING_MAX:
            raise Busy("too many queries are waiting")

        def call() -> T:
            with engine.begin() as connection:
                return work(connection)

        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(executor, call)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """End the threads, close the file and release the lock."""
        self._readers.shutdown(wait=True)
        self._rare.shutdown(wait=True)
        self.reader.dispose()
        self.writer.dispose()
        self._lock.release()


def database_path(where: Path | str) -> Path:
    """The database file of a data directory or of a ``sqlite:///FILE`` address. Raises StoreError for others."""
    text = str(where)
    if text.startswith("sqlite:///"):
        return Path(text.removeprefix("sqlite:///"))
    if "://" in text:
        raise StoreError(f"this release keeps the shop in SQLite; it has no driver for {text.partition('://')[0]}")
    return Path(text) / "shop.db"


def open_store(where: Path | str, *, synchronous: str = "FULL") -> Store:
    """Open (make, migrate) the shop's database in a data directory or at ``sqlite:///FILE``, for writing.

    ``synchronous`` other than FULL gives up the promise that an answered hold is durable: for tests only.
    Raises StoreError when another process writes there or the schema is newer.
    """
    path = database_path(where)
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = WriterLock(path.with_suffix(".lock"))
    try:
        migrate(path)
        return Store(path, lock, synchronous=synchronous)
    except BaseException:
        lock.release()
        raise


def read_engine(where: Path | str) -> Engine:
    """A read-only engine on a live or a stopped database, without the writer's lock (``siyu audit``).

    Raises StoreError when there is no database.
    """
    path = database_path(where)
    if not path.exists():
        raise StoreError(f"no database at {path}")
    return sqlite_engine(path, writing=False, pool_size=1)


def rows(connection: Connection, statement: Any, **parameters: Any) -> list[dict[str, Any]]:
    """All rows of a text or Core statement as dictionaries."""
    return [dict(row) for row in connection.execute(statement, parameters).mappings()]
