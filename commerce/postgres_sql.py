"""PostgreSQL as the shop's database: its address, its engines, and what a server must be like to be trusted.

    writer    READ COMMITTED, ``synchronous_commit = on``: each statement sees what was committed before it, so what is
              read after a lock is the truth; a commit returns when it is on disk
    reader    REPEATABLE READ, read only: all figures of one answer are of one moment, as on SQLite
    touches   ``synchronous_commit = off``, a schema of their own: never worth waiting for a disk

No transaction may hold others up for ever: waiting for a lock, one statement, and idling inside a transaction (a
process that hangs) are all bounded by the server itself.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError

from commerce.errors import StoreError

log = logging.getLogger(__name__)

SCHEMES = ("postgresql", "postgres", "postgresql+psycopg")
SERVER_VERSION_MIN = 130000
"""PostgreSQL 13 is the oldest that its makers still mend."""
CONNECT_TIMEOUT_S = 5
LOCK_TIMEOUT_MS = 5_000
"""How long one writer waits for another's turn, as on SQLite; turns last milliseconds."""
STATEMENT_TIMEOUT_MS = 15_000
"""One statement: the slowest (a day's books of a large shop) takes about a second."""
IDLE_TIMEOUT_MS = 10_000
"""A process that stands still inside a transaction holds its locks this long, then the server ends its session."""
_INT8_OID, _NUMERIC_OID, _TEXT_FORMAT = 20, 1700, 0
_RETRIABLE_STATES = frozenset({"40001", "40P01"})
"""serialization_failure, deadlock_detected: the server took the transaction back, and asks to have it again."""


def is_postgres(where: object) -> bool:
    """Whether an address names a PostgreSQL server."""
    return str(where).partition("://")[0] in SCHEMES and "://" in str(where)


def shown(where: object) -> str:
    """A place of a database for people and logs: an address without its password, or a path."""
    if "://" not in str(where):
        return str(where)
    try:
        return make_url(str(where)).render_as_string(hide_password=True)
    except (ArgumentError, ValueError):
        return str(where).partition("://")[0] + "://…"


def _url(where: str) -> URL:
    try:
        url = make_url(where)
    except (ArgumentError, ValueError) as error:
        raise StoreError(
            "--database-url is not an address: give postgresql://USER:PASSWORD@HOST:5432/DATABASE"
        ) from error
    if not url.database:
        raise StoreError(f"{shown(where)} names no database: give postgresql://USER:PASSWORD@HOST:5432/DATABASE")
    return url.set(drivername="postgresql+psycopg")


def postgres_engine(
    where: str,
    *,
    writing: bool,
    synchronous: str = "FULL",
    pool_size: int = 2,
    schema: str | None = None,
    patient: bool = False,
) -> Engine:
    """An engine on a PostgreSQL database; ``synchronous`` other than FULL gives commits that a crash may take back.

    ``schema`` is the only one to be seen, when given. A ``patient`` one may run for hours (a migration, an audit of a
    large shop). Raises StoreError for an address that is none, or without the
    driver. Connects to nothing yet.
    """
    url = _url(where)
    given = url.query.get("options", "")
    settings = {
        # A plan made while a table was empty is kept by the server and halved the speed of holds; and what one JSON
        # parameter holds differs from batch to batch.
        "plan_cache_mode": "force_custom_plan",
        "jit": "off",
        "timezone": "UTC",
        "lock_timeout": LOCK_TIMEOUT_MS,
        "statement_timeout": 0 if patient else STATEMENT_TIMEOUT_MS,
        "idle_in_transaction_session_timeout": 0 if patient else IDLE_TIMEOUT_MS,
    }
    promised = {
        "synchronous_commit": "on" if synchronous == "FULL" else "off",
        "default_transaction_read_only": "off" if writing else "on",
    }
    if schema is not None:
        promised["search_path"] = schema
    # The last one counts: an address may say how long to wait, and not whether to be durable.
    options = " ".join([_flags(settings), *([given] if isinstance(given, str) else given), _flags(promised)])
    try:
        engine = create_engine(
            url,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=30,
            # A server that was restarted is met with a new connection instead of an error.
            pool_pre_ping=True,
            isolation_level="READ COMMITTED" if writing else "REPEATABLE READ",
            connect_args={"options": options, "connect_timeout": CONNECT_TIMEOUT_S, "application_name": "siyu"},
        )
    except ModuleNotFoundError as error:
        raise StoreError("PostgreSQL needs its driver: pip install 'siyu-live[postgres]'") from error

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: object) -> None:
        # Sums of money come back as numeric; all our figures are whole, and are to be int as on SQLite.
        whole = connection.adapters.get_loader(_INT8_OID, _TEXT_FORMAT)
        connection.adapters.register_loader(_NUMERIC_OID, whole)

    return engine


def _flags(settings: Mapping[str, object]) -> str:
    return " ".join(f"-c {name}={value}" for name, value in settings.items())


@contextmanager
def reached(engine: Engine, where: str) -> Iterator[Connection]:
    """A connection for looking around. Raises StoreError when the server cannot be reached."""
    try:
        with engine.connect() as connection:
            yield connection
    except OperationalError as error:
        reason = str(error.orig).strip().splitlines()[0]
        raise StoreError(f"{shown(where)} cannot be used: {reason}") from error


def check_server(engine: Engine, where: str) -> None:
    """Connect once. Raises StoreError when the server cannot be reached, is too old, or does not keep UTF-8."""
    with reached(engine, where) as connection:
        version, encoding, fsync = connection.execute(
            text(
                "SELECT current_setting('server_version_num'), current_setting('server_encoding'),"
                " current_setting('fsync')"
            )
        ).one()
    if int(version) < SERVER_VERSION_MIN:
        raise StoreError(f"{shown(where)} is PostgreSQL {int(version) // 10_000}; 13 or newer is needed")
    if encoding != "UTF8":
        raise StoreError(f"{shown(where)} keeps {encoding}; make the database with ENCODING 'UTF8' TEMPLATE template0")
    if fsync != "on":
        log.warning("%s runs with fsync off: a power cut can lose what was answered", shown(where))


def touches_schema(where: str) -> str:
    """The schema of the touch log: "touches" beside the usual one, "NAME_touches" beside another. Raises StoreError."""
    engine = postgres_engine(where, writing=False, pool_size=1)
    try:
        check_server(engine, where)
        with reached(engine, where) as connection:
            own: str = connection.execute(text("SELECT current_schema()")).scalar_one()
    finally:
        engine.dispose()
    return "touches" if own == "public" else f"{own}_touches"


_NOT_BY_BYTES = text(
    "SELECT format('ALTER TABLE %I ALTER COLUMN %I TYPE %s COLLATE \"C\"', c.relname, a.attname,"
    " format_type(a.atttypid, a.atttypmod)) FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid"
    " JOIN pg_type AS t ON t.oid = a.atttypid WHERE c.relnamespace = CAST(current_schema() AS regnamespace)"
    " AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped AND t.typcollation <> 0"
    " AND a.attcollation <> CAST('\"C\"' AS regcollation) ORDER BY c.relname, a.attnum"
)


def order_by_bytes(connection: Connection) -> None:
    """Have every text column of the present schema compare byte by byte, whatever the database's language.

    Ids begin with their time and are compared as text; a language's order would put "a" beside "A". To be called after
    a migration: of tables made before, nothing is left to change.
    """
    for statement in connection.execute(_NOT_BY_BYTES).scalars().all():
        connection.exec_driver_sql(statement)


def connection_lost(error: DBAPIError) -> bool:
    """Whether the server is gone from under a connection, so that nobody knows yet what became of a commit."""
    return error.connection_invalidated


def taken_back(error: DBAPIError) -> bool:
    """Whether the server took a transaction back so that others could go on: it may be run again at once."""
    return getattr(error.orig, "sqlstate", None) in _RETRIABLE_STATES
