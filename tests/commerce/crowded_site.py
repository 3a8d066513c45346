"""Where the interleaver's crowded shop is kept: furnished once, and a fresh copy for each of tens of thousands of runs.

On SQLite a copy is the file's image written over the one file, beneath connections that stay open: they keep their
prepared statements, which cost more than all that a run does with them.
"""

import asyncio
import os
import shutil
import sqlite3
import tempfile
from pathlib import Path
from unittest.mock import patch

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text

from commerce import postgres_sql
from commerce.batch_writer_sql import HOT
from commerce.courier_sandbox import SandboxCourier
from commerce.handlers_sql import HANDLERS
from commerce.payment_sandbox import SandboxProvider
from commerce.store_sql import READ_THREADS, Store, open_store
from commerce.transfer_sandbox import SandboxTransfers
from commerce.turns_sql import SqliteTurns
from tests.commerce.crowded_checks import clean
from tests.commerce.crowded_desk import Desk, Names, Wallet
from tests.commerce.crowded_shop import furnish
from tests.commerce.crowded_state import Written, rows_of
from tests.commerce.interleaver import Run
from tests.commerce.shop_world import ManualClock, seed_catalogue
from tests.commerce.test_ledger_machine import template
from tests.postgres import Cluster

STATEMENTS_MAX = 4_000
"""Statements kept prepared per connection: more than the shop, its audit and its replay have between them."""
PATIENCE_MS = 300_000
COMMITS_MAX = 10_000
"""Commits of one run; the file's change counter goes on by as much from image to image."""
CHANGE_COUNTER = slice(24, 28)
VERSION_VALID_FOR = slice(92, 96)
"""https://www.sqlite.org/fileformat2.html 1.3.8 and 1.3.22: by these a connection sees that its pages are stale."""


class Site:
    """The crowded shop, and copies of it, one at a time."""

    processes = 1

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.provider = SandboxProvider(b"s", clock=self.clock, deliveries=0)
        self.courier = SandboxCourier(b"c", clock=self.clock)
        self.names: Names = {}
        self.known: set[type] = set()
        self.loop = asyncio.new_event_loop()
        self.at_rest: set[bytes] = set()
        """Digests of what was brought to rest, and was right then."""
        self.alone: dict[str, Run] = {}
        self.loop.run_until_complete(self._furnish())
        self.begun_ms = self.clock()

    async def _furnish(self) -> None:
        store = self.first()
        with store.writer.begin() as connection:
            if not connection.execute(text("SELECT count(*) FROM merchant")).scalar_one():
                seed_catalogue(connection)
        wallet, transfers = Wallet(b"w", clock=self.clock), SandboxTransfers(b"t")
        desk = Desk(store, self.clock, self.provider, wallet, transfers, self.courier)
        self.known = {*HANDLERS, *HOT}
        await desk.shop.start()
        try:
            self.names = await furnish(desk)
            await desk.shop.payments.idle()
            await clean(desk)
        finally:
            await desk.close()
            store.close()

    def first(self) -> Store:
        """The store to be furnished."""
        raise NotImplementedError

    def copy(self) -> list[Store]:
        """Stores of as many processes on a fresh copy of it; the former copy is not needed any more."""
        raise NotImplementedError

    def rows(self) -> object | None:
        """What was changed in the copy; None where that is not looked for."""
        return None

    def unseen(self) -> set[str]:
        """Tables of the copy that are not as they were, though ``rows`` does not tell of them."""
        return set()

    def close(self) -> None:
        """Nor is the original."""
        self.loop.close()


def _engine(path: Path, begin: str) -> Engine:
    """As ``sqlite_engine`` makes them, but with a rollback journal: it knows of a new image by the file alone."""
    engine = create_engine(
        f"sqlite:///{path}",
        pool_size=READ_THREADS,
        max_overflow=0,
        query_cache_size=STATEMENTS_MAX,
        connect_args={"cached_statements": STATEMENTS_MAX},
    )

    @event.listens_for(engine, "connect")
    def _connect(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None
        for pragma in ("journal_mode = MEMORY", "synchronous = OFF", "foreign_keys = ON", "busy_timeout = 5000"):
            connection.execute(f"PRAGMA {pragma}")
        if begin == "BEGIN":
            connection.execute("PRAGMA query_only = ON")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


class SqliteSite(Site):
    """One process and a file."""

    def __init__(self) -> None:
        # In memory where there is such a folder: tens of thousands of copies are no matter of the disk.
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.folder = Path(tempfile.mkdtemp(prefix="interleaver-", dir=memory))
        super().__init__()
        path = self.folder / "shop.db"
        with sqlite3.connect(path) as connection:
            connection.execute("PRAGMA journal_mode = DELETE")
        connection.close()
        self._image = bytearray(path.read_bytes())
        self._file = os.open(path, os.O_RDWR)
        self._alone = sqlite3.connect(path, isolation_level=None, timeout=60)
        writer = _engine(path, "BEGIN IMMEDIATE")
        self.written = Written(writer)
        self._store = Store(self.folder, writer, _engine(path, "BEGIN"), SqliteTurns())
        names = inspect(writer).get_table_names()
        self.columns = {name: tuple(one["name"] for one in inspect(writer).get_columns(name)) for name in names}
        self.before = dict(zip(names, rows_of(self._alone, self.columns, names), strict=True))

    def first(self) -> Store:
        shutil.copyfile(template() / "shop.db", self.folder / "shop.db")
        return open_store(self.folder, synchronous="OFF")

    def copy(self) -> list[Store]:
        counter = int.from_bytes(self._image[CHANGE_COUNTER]) + COMMITS_MAX
        self._image[CHANGE_COUNTER] = self._image[VERSION_VALID_FOR] = counter.to_bytes(4)
        # Nobody of the former run is within a transaction any more.
        self._alone.execute("BEGIN EXCLUSIVE")
        os.pwrite(self._file, self._image, 0)
        os.ftruncate(self._file, len(self._image))
        self._alone.execute("ROLLBACK")
        self.written.clear()
        return [self._store]

    def rows(self) -> object | None:
        tables = sorted(self.written.tables)
        return tables, rows_of(self._alone, self.columns, tables)

    def unseen(self) -> set[str]:
        rest = sorted(self.columns.keys() - self.written.tables)
        return {
            name
            for name, rows in zip(rest, rows_of(self._alone, self.columns, rest), strict=True)
            if rows != self.before[name]
        }

    def close(self) -> None:
        self._store.close()
        self._alone.close()
        os.close(self._file)
        shutil.rmtree(self.folder, ignore_errors=True)
        super().close()


class PostgresSite(Site):
    """Two processes and a database; it may forget a power cut."""

    processes = 2

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.original = self.cluster.database()
        self.admin = create_engine(
            self.cluster.address().replace("postgresql:", "postgresql+psycopg:"), isolation_level="AUTOCOMMIT"
        )
        self._stores: list[Store] = []
        super().__init__()

    def first(self) -> Store:
        return self._open(self.original)

    def _open(self, name: str) -> Store:
        # A process of a shop does not think for ten seconds within a transaction; a test on a full machine may.
        with patch.object(postgres_sql, "IDLE_TIMEOUT_MS", PATIENCE_MS):
            return open_store(self.cluster.address(name), synchronous="OFF")

    def copy(self) -> list[Store]:
        self._drop()
        with self.admin.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {self.original}_copy TEMPLATE {self.original}"))
        self._stores = [self._open(f"{self.original}_copy") for _ in range(self.processes)]
        return self._stores

    def _drop(self) -> None:
        for store in self._stores:
            store.close()
        with self.admin.connect() as connection:
            connection.execute(text(f"DROP DATABASE IF EXISTS {self.original}_copy WITH (FORCE)"))

    def close(self) -> None:
        self._drop()
        self.admin.dispose()
        super().close()
