"""The shop's database: open, lock, migrate, and the ways in. It is an SQLite file or a PostgreSQL database.

A data directory holds ``shop.db`` (SQLite, WAL), ``shop.lock`` (held by the one process that may write) and copies
made before a migration (``shop.db.before-REVISION``). Reads go through a small executor and never block the loop; the
group-commit ledger owns one writing connection; rare writers (catalogue) take short turns. What is PostgreSQL's own is
in postgres_sql, who may write when in turns_sql, the statements that differ in ledger_text_sql.
"""

import asyncio
import fcntl
import logging
import os
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path
from time import monotonic, sleep
from typing import Any, TypeVar

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.schema import CreateSchema

from commerce.errors import Busy, StoreError
from commerce.postgres_sql import (
    check_server,
    connection_lost,
    is_postgres,
    order_by_bytes,
    postgres_engine,
    reached,
    shown,
)
from commerce.turns_sql import PostgresTurns, SqliteTurns, Turns, take_migration_turn
from commerce.turnstile import Turnstile

T = TypeVar("T")

log = logging.getLogger(__name__)

BUSY_TIMEOUT_MS = 5_000
"""How long one writer waits for another's turn; turns last milliseconds."""
TURN_TIMEOUT_S = 20.0
"""How long a thread waits for the others of its process to write: a machine that is overrun needs seconds for a turn,
and a request has 30."""
ENDING_S = 20.0
"""How long the ledger's own process gets to end after its server was killed: it finishes a batch, and then reads that
nobody is there."""
READ_THREADS = 2
"""Readers beside the loop and the writer: more would only fight for the interpreter lock."""
READS_WAITING_MAX = 2_000
"""Queries waiting for a reader; beyond it they are refused early (busy), as each holds a request open."""
WAL_CHECKPOINT_PAGES = 16_000
"""64 MB of 4 KB pages: a checkpoint writes and syncs the whole file; a rush should not meet one every few commits."""
READ_CACHE_KIB = 8_192
WRITE_CACHE_KIB = 65_536
"""Page cache of the writing connection: the hot indexes of a rush stay in memory."""
TO_DO = {
    sqlite3.SQLITE_PERM: "run this as the user whose server it is",
    sqlite3.SQLITE_BUSY: "another process keeps it locked: wait for it, or stop it",
    sqlite3.SQLITE_READONLY: "run this as the user whose server it is, in a folder that may be written to",
    sqlite3.SQLITE_IOERR: "look at the disk and at the system's log",
    sqlite3.SQLITE_CORRUPT: "keep it as it is, and siyu restore the last backup into another folder",
    sqlite3.SQLITE_FULL: "make room on the disk",
    sqlite3.SQLITE_CANTOPEN: "file and folder must be there, and this user's to read and write",
    sqlite3.SQLITE_NOTADB: "name the right one, or siyu restore the last backup into another folder",
}
"""What an operator can do about SQLite's result codes; any other is a mistake of ours and stays one."""
PASSING = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN}
"""Those that end by themselves, or once there is room; a file that is damaged or another's stays so."""


def sqlite_engine(
    path: Path,
    *,
    writing: bool,
    synchronous: str = "FULL",
    pool_size: int = READ_THREADS,
    turnstile: Turnstile | None = None,
) -> Engine:
    """An engine on one SQLite file whose transactions begin explicitly.

    Writing ones begin IMMEDIATE, so that two writers take turns instead of failing half-way; reading ones are
    ``query_only``. ``synchronous`` is FULL (a commit survives power loss) or, for data that may be lost, NORMAL.
    ``turnstile``: where the writing threads queue; one of their own without it.
    """
    engine = create_engine(
        URL.create("sqlite", database=str(path)), pool_size=pool_size, max_overflow=0, pool_timeout=30
    )
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

    turns = (turnstile or Turnstile()) if writing else None

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # Who waited in vain asks SQLite, which says that the file is locked.
        connection.info["turn"] = turns is not None and turns.enter(TURN_TIMEOUT_S)
        try:
            connection.exec_driver_sql(begin)
        except BaseException:
            _end(connection)
            raise

    def _end(connection: Connection) -> None:
        if connection.info.pop("turn", False) and turns is not None:
            turns.leave()

    # Before the commit is synced: whoever is next waits for that alone, and nobody overtakes.
    for what in ("commit", "rollback"):
        event.listen(engine, what, _end)
    return engine


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Say as a ``StoreError`` what SQLite or the disk has against the file ``path``, and what to do about it."""
    try:
        yield
    except (sqlite3.Error, DBAPIError) as error:
        said = error.orig if isinstance(error, DBAPIError) else error
        advice = TO_DO.get(getattr(said, "sqlite_errorcode", 0) & 0xFF)
        if advice is None:
            raise
        raise StoreError(f"{path} cannot be used: {said}; {advice}") from error


def outside_fault(error: DBAPIError) -> bool:
    """Whether disk, lock or server is at fault, not a statement of ours: a sentence says it, a traceback hides it."""
    said = error.orig
    if isinstance(said, sqlite3.Error):
        return getattr(said, "sqlite_errorcode", 0) & 0xFF in TO_DO
    return isinstance(error, OperationalError)


def may_pass(error: DBAPIError) -> bool:
    """Whether the same may go well later, with nothing of ours changed: a lock, a full disk, a server that is away."""
    said = error.orig
    if isinstance(said, sqlite3.Error):
        return getattr(said, "sqlite_errorcode", 0) & 0xFF in PASSING
    return connection_lost(error) or isinstance(error, OperationalError)


@contextmanager
def answered() -> Iterator[None]:
    """Raise ``Busy`` for a fault of the database that may pass."""
    try:
        yield
    except DBAPIError as error:
        if not may_pass(error):
            raise
        log.error("the database did not answer: %s", error.orig)
        raise Busy("the database did not answer") from error


def migrate(where: Path | str, package: str = "commerce.migrations", *, to: str = "head", schema: str = "") -> None:
    """Bring one database (an SQLite file or a ``postgresql://`` address) to the newest schema, all of it or nothing.

    ``package`` holds the alembic scripts (env.py, versions/) and is read from the installed package. An existing SQLite
    file is copied beside itself first. ``schema`` is PostgreSQL's, "" for the connection's own. Raises StoreError when
    the database was written by a newer program, is none, or cannot be opened.
    """
    with nullcontext() if is_postgres(where) else told(Path(where)):
        _migrate(where, package, to, schema)


def _migrate(where: Path | str, package: str, to: str, schema: str) -> None:
    postgres = is_postgres(where)
    engine = (
        postgres_engine(str(where), writing=True, patient=True)
        if postgres
        else sqlite_engine(Path(where), writing=True)
    )
    try:
        if postgres:
            check_server(engine, str(where))
        with engine.begin() as connection:
            if postgres:
                take_migration_turn(connection)
                _enter_schema(connection, schema)
            present = MigrationContext.configure(connection).get_current_revision()
            if present == _head(package):
                return
            if present is None and not postgres and inspect(connection).get_table_names():
                raise StoreError(f"{where} is another program's database; choose another --data")
            with _scripts(package) as (config, directory):
                _check_known(directory, present, where)
                if present is not None and not postgres:
                    # Reads beside this very transaction, which has written nothing yet.
                    _copy(Path(where), Path(where).with_name(f"{Path(where).name}.before-{_head(package)}"))
                config.attributes["connection"] = connection
                command.upgrade(config, to)
            if postgres:
                order_by_bytes(connection)
    finally:
        engine.dispose()


@contextmanager
def _scripts(package: str) -> Iterator[tuple[Config, ScriptDirectory]]:
    root, _, folder = package.rpartition(".")
    with as_file(files(root) / folder) as scripts:
        config = Config()
        config.set_main_option("script_location", str(scripts).replace("%", "%%"))
        yield config, ScriptDirectory.from_config(config)


@cache
def _head(package: str) -> str | None:
    with _scripts(package) as (_, directory):
        return directory.get_current_head()


def check_copy(file: Path, package: str = "commerce.migrations") -> None:
    """Raise StoreError unless ``file`` is a copy of a shop, of this release or an earlier one."""
    with told(file), closing(sqlite3.connect(reading(file, live=False), uri=True)) as copy:
        named = copy.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone()
        present = named and copy.execute("SELECT version_num FROM alembic_version").fetchone()
        if not present:
            raise StoreError(f"{file} is no backup of a shop; name the FILE that siyu backup wrote")
        whole = copy.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if whole != "ok":
        raise StoreError(f"{file} is damaged ({' '.join(whole.split())}); restore another backup")
    with _scripts(package) as (_, directory):
        _check_known(directory, present[0], file)


def reading(path: Path, *, live: bool) -> str:
    """The address under which SQLite opens a file to read it.

    One that is not ``live``, a copy that no process has open, needs no lock and none of the files that locks are kept
    in: it is read from a disk that cannot be written to as well.
    """
    alone = not live and not path.with_name(f"{path.name}-wal").exists()
    return f"{path.absolute().as_uri()}?mode=ro{'&immutable=1' if alone else ''}"


def _enter_schema(connection: Connection, schema: str) -> None:
    if schema:
        connection.execute(CreateSchema(schema, if_not_exists=True))
        connection.execute(text("SELECT set_config('search_path', :schema, true)"), {"schema": schema})


def _check_known(directory: ScriptDirectory, present: str | None, where: Path | str) -> None:
    known = {script.revision for script in directory.walk_revisions()}
    if present is not None and present not in known:
        raise StoreError(
            f"{shown(where)} has schema {present}, newer than this program knows; install the newer release"
        )


def check_schema(engine: Engine, where: Path | str, package: str = "commerce.migrations") -> None:
    """Raise StoreError unless a database has this program's schema: who only reads, and who serves from PostgreSQL,
    never migrates by the way."""
    with reached(engine, str(where)) if is_postgres(where) else engine.connect() as connection:
        present = MigrationContext.configure(connection).get_current_revision()
    head = _head(package)
    if present == head:
        return
    with _scripts(package) as (_, directory):
        _check_known(directory, present, where)
    there = "is empty" if present is None else f"has schema {present}"
    place = "--database-url with the same address" if is_postgres(where) else f"--data {Path(where).parent}"
    raise StoreError(
        f"{shown(where)} {there}, this program needs {head}: stop its servers, then run siyu migrate {place}"
    )


def _copy(source: Path, target: Path) -> None:
    """A consistent copy of a live database by SQLite's backup API."""
    with closing(sqlite3.connect(source)) as reading, closing(sqlite3.connect(target)) as writing:
        reading.backup(writing)


class WriterLock:
    """An advisory lock on a file beside the database: one writing process per data directory.

    The kernel drops it when the process dies, however it dies, and the one that writes for it has ended, too. Raises
    StoreError when another process holds it.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self._take(monotonic() + ENDING_S)
        except OSError as error:
            holder = self._holder()
            os.close(self._descriptor)
            raise StoreError(
                f"{path.parent} is in use by another process (pid {holder}): one writer per data directory; "
                "stop it, choose another --data, or use PostgreSQL for several workers"
            ) from error
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def _take(self, until_s: float) -> None:
        while True:
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except OSError:
                holder = self._holder()
                if monotonic() >= until_s or not holder.isdigit() or Path(f"/proc/{holder}").exists():
                    raise
            # Whoever had it is gone; what wrote for it ends when its batch is done.
            sleep(0.02)

    def _holder(self) -> str:
        return os.pread(self._descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"

    @property
    def descriptor(self) -> int:
        """The open file: who inherits it keeps the lock, too."""
        return self._descriptor

    def release(self) -> None:
        """Give the directory back; safe to call twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


@dataclass(frozen=True, slots=True)
class WriterPlace:
    """What another process needs to write to the same database for us: the SQLite file or PostgreSQL's address, and by
    which name the outbox knows us (None on SQLite)."""

    where: Path | str
    synchronous: str
    writer: str | None

    def open(self) -> tuple[Engine, Turns]:
        """A writing engine of one connection, and the turns."""
        if isinstance(self.where, Path):
            return sqlite_engine(self.where, writing=True, synchronous=self.synchronous, pool_size=1), SqliteTurns()
        engine = postgres_engine(self.where, writing=True, synchronous=self.synchronous, pool_size=1)
        return engine, PostgresTurns(self.writer)


class Store:
    """An open database: ``writer`` (engine of writing connections), ``reader``, and coroutines on top of them.

    ``turns`` says who may write when. ``where`` is the SQLite file's folder or the PostgreSQL address. ``place``,
    ``turnstile`` and ``lock`` are what a process that writes for us has to know, to wait for and to keep.
    """

    def __init__(
        self,
        where: Path | str,
        writer: Engine,
        reader: Engine,
        turns: Turns,
        *,
        place: WriterPlace | None = None,
        turnstile: Turnstile | None = None,
        lock: WriterLock | None = None,
    ) -> None:
        self.where = where
        self.place = place
        self.turnstile = turnstile
        self.turns = turns
        self.lock = lock
        self.writer = writer
        self.reader = reader
        self._readers = ThreadPoolExecutor(READ_THREADS, thread_name_prefix="shop-read")
        self._rare = ThreadPoolExecutor(1, thread_name_prefix="shop-write")
        self._waiting = 0

    @property
    def shared(self) -> bool:
        """Whether other processes may write to this database, too."""
        return self.turns.writer is not None

    @contextmanager
    def session(self) -> Iterator[Connection]:
        """A connection of its own, outside the pools and every statement a transaction: for a thread that listens or
        keeps a lock of its session. It is closed for good at the end."""
        with self.writer.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.detach()
            yield connection

    async def read(self, query: Callable[[Connection], T]) -> T:
        """Run ``query`` in one read transaction on a reader's thread. Raises Busy when too many wait."""
        return await self._run(self._readers, self.reader, query)

    async def write(self, change: Callable[[Connection], T]) -> T:
        """Run ``change`` in one short synced write transaction of its own: for rare writes, not for stock or money."""

        def in_turn(connection: Connection) -> T:
            self.turns.take_rare(connection)
            return change(connection)

        return await self._run(self._rare, self.writer, in_turn)

    async def _run(self, executor: ThreadPoolExecutor, engine: Engine, work: Callable[[Connection], T]) -> T:
        if self._waiting >= READS_WAITING_MAX:
            raise Busy("too many queries are waiting")

        def call() -> T:
            with answered(), engine.begin() as connection:
                return work(connection)

        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(executor, call)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """End the threads, close the connections and release the lock."""
        self._readers.shutdown(wait=True)
        self._rare.shutdown(wait=True)
        self.reader.dispose()
        self.writer.dispose()
        if self.lock is not None:
            self.lock.release()


def database_path(where: Path | str) -> Path:
    """The database file of a data directory or of a ``sqlite:///FILE`` address. Raises StoreError for others."""
    address = str(where)
    if address.startswith("sqlite:///"):
        return Path(address.removeprefix("sqlite:///"))
    if "://" in address:
        scheme = address.partition("://")[0]
        raise StoreError(f"there is no driver for {scheme}: a shop is kept in SQLite (--data) or at postgresql://…")
    return Path(address) / "shop.db"


def open_store(where: Path | str, *, synchronous: str = "FULL") -> Store:
    """Open the shop's database for writing: in a data directory or at ``sqlite:///FILE`` (made, migrated), or at a
    ``postgresql://`` address, which is left as it is.

    ``synchronous`` other than FULL gives up the promise that an answered hold is durable: for tests only.
    Raises StoreError when another process writes to the file, the schema is newer, PostgreSQL cannot be reached or was
    not migrated.
    """
    if is_postgres(where):
        return _open_postgres(str(where), synchronous)
    path = database_path(where)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = WriterLock(path.with_suffix(".lock"))
    try:
        migrate(path)
        # One for the ledger's thread, one for the rare writers, who take turns on the file.
        turnstile = Turnstile()
        writer = sqlite_engine(path, writing=True, synchronous=synchronous, pool_size=2, turnstile=turnstile)
        place = WriterPlace(path, synchronous, None)
        reader = sqlite_engine(path, writing=False)
        return Store(path.parent, writer, reader, SqliteTurns(), place=place, turnstile=turnstile, lock=lock)
    except BaseException:
        lock.release()
        raise


def _open_postgres(where: str, synchronous: str) -> Store:
    writer = postgres_engine(where, writing=True, synchronous=synchronous, pool_size=2)
    try:
        check_server(writer, where)
        check_schema(writer, where)
    except BaseException:
        writer.dispose()
        raise
    turns = PostgresTurns()
    place = WriterPlace(where, synchronous, turns.writer)
    return Store(where, writer, postgres_engine(where, writing=False, pool_size=READ_THREADS), turns, place=place)


def read_engine(where: Path | str) -> Engine:
    """A read-only engine on a live or a stopped database, without the writer's lock (``siyu audit``).

    Raises StoreError when there is no database, or none of this program's schema.
    """
    if is_postgres(where):
        engine = postgres_engine(str(where), writing=False, pool_size=1, patient=True)
        try:
            check_server(engine, str(where))
            check_schema(engine, str(where))
        except BaseException:
            engine.dispose()
            raise
        return engine
    path = database_path(where)
    if not path.exists():
        raise StoreError(f"no database at {path}")
    engine = sqlite_engine(path, writing=False, pool_size=1)
    try:
        with told(path):
            check_schema(engine, path)
    except BaseException:
        engine.dispose()
        raise
    return engine


def rows(connection: Connection, statement: Any, **parameters: Any) -> list[dict[str, Any]]:
    """All rows of a text or Core statement as dictionaries."""
    return [dict(row) for row in connection.execute(statement, parameters).mappings()]
