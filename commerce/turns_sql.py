"""Who may write when: the one place where the engines differ in locks, time and the outcome of a commit.

SQLite has one writer: ``BEGIN IMMEDIATE`` is its turn, and the file's lock keeps other processes out.

On PostgreSQL several gateway processes write at once. A batch takes, in this order and each kind sorted:

    the ledger's lock   shared; alone by a batch that looks at all merchants (the sweep)
    merchants           one lock each, of those whom the batch's commands name
    activities          rows of its sales and drops   (FOR UPDATE, ledger_text_sql)
    stock               rows of their SKUs            (by their UPDATE, sorted, in holds_sql)
    quotas              rows of their people          (FOR UPDATE, ledger_text_sql)

All that a command reads to decide belongs to its merchant, so what one batch has read cannot change under it, and
statements that read and then write are as safe as on SQLite; the rows' own locks and CHECKs stand against everybody who
does not take turns. Batches of different merchants run side by side. All of these locks end with the transaction.

A batch also signs with its writer's running number, in its own transaction. When a connection is lost at COMMIT the
signature tells whether the batch is there: it is never run again on a guess.
"""

import secrets
from collections.abc import Iterable
from typing import Protocol

import orjson
from sqlalchemy import Connection, text

CHANNEL = "siyu_outbox"
"""What PostgreSQL's LISTEN and NOTIFY call our wake-up."""
_SPACE = 0x73697975
"""The first half of our advisory locks' numbers ("siyu"): other programs' locks in the database are not ours."""
_LEDGER, _RARE, _MIGRATION = 0, 1, 2
MERCHANTS = _SPACE + 1
DUTIES = _SPACE + 2

_NOW = "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint)"
_TURN_OF_ALL = text(f"SELECT pg_advisory_xact_lock({_SPACE}, {_LEDGER})")
_TURN_SHARED = text(f"SELECT pg_advisory_xact_lock_shared({_SPACE}, {_LEDGER})")
_TURN_OF_MERCHANTS = text(
    f"SELECT pg_advisory_xact_lock({MERCHANTS}, k.number) FROM"  # noqa: S608 - constants of this module
    " (SELECT DISTINCT hashtext(value) AS number FROM jsonb_array_elements_text(CAST(:merchants AS jsonb))"
    " ORDER BY number) AS k"
)
_TURN_OF_RARE = text(f"SELECT pg_advisory_xact_lock({_SPACE}, {_RARE})")
_TURN_OF_MIGRATION = text(f"SELECT pg_advisory_xact_lock({_SPACE}, {_MIGRATION})")
_TIME = text(f"SELECT {_NOW}")
_SIGN = text(
    "INSERT INTO ledger_writer (id, batch, signed_ms) VALUES (:id, :batch, :now)"
    " ON CONFLICT (id) DO UPDATE SET batch = excluded.batch, signed_ms = excluded.signed_ms"
)
# Waits for the lost session's transaction, should that still be ending, and then reads what it left.
_SIGNED = text(
    "INSERT INTO ledger_writer (id, batch, signed_ms) VALUES (:id, -1, 0)"
    " ON CONFLICT (id) DO UPDATE SET batch = ledger_writer.batch RETURNING batch"
)
_NOTIFY = text(f"SELECT pg_notify('{CHANNEL}', :id)")
_FORGET_WRITERS = text("DELETE FROM ledger_writer WHERE signed_ms < :before")


class Turns(Protocol):
    """What the ledger and the rare writers ask of an engine around their transactions."""

    writer: str | None
    """This process in the outbox, where there may be others."""

    def take(self, connection: Connection, merchants: Iterable[str] | None) -> int | None:
        """Wait for the turn of these merchants (None: of all); the database's time (Unix ms) if that is to be used."""

    def take_rare(self, connection: Connection) -> None:
        """Wait for the turn of those who write rarely, and neither stock nor money."""

    def sign(self, connection: Connection, batch: int, now_ms: int) -> None:
        """Write down that batch number ``batch`` of this process is part of this transaction."""

    def signed(self, connection: Connection, batch: int) -> bool | None:
        """Whether that batch was committed; None when the engine cannot say."""

    def tell(self, connection: Connection) -> None:
        """Wake the other processes: there are events."""

    def forget(self, connection: Connection, before_ms: int) -> None:
        """Forget processes that wrote nothing since ``before_ms``."""


class SqliteTurns:
    """One writer at a time, by the file itself."""

    writer: str | None = None

    def take(self, _connection: Connection, _merchants: Iterable[str] | None) -> int | None:
        """``BEGIN IMMEDIATE`` has done it; one process, one clock."""
        return None

    def take_rare(self, connection: Connection) -> None:
        """``BEGIN IMMEDIATE`` has done it."""

    def sign(self, connection: Connection, batch: int, now_ms: int) -> None:
        """A file has no connection to lose."""

    def signed(self, _connection: Connection, _batch: int) -> bool | None:
        """A commit that failed did not happen, as far as SQLite can tell; the request key tells for certain."""
        return None

    def tell(self, connection: Connection) -> None:
        """There is nobody else."""

    def forget(self, connection: Connection, before_ms: int) -> None:
        """There is nobody else."""


class PostgresTurns:
    """Turns between processes, by transaction-scoped advisory locks. ``writer``: for whom, when not for ourselves."""

    def __init__(self, writer: str | None = None) -> None:
        self.writer: str | None = writer or secrets.token_hex(8)

    def take(self, connection: Connection, merchants: Iterable[str] | None) -> int | None:
        """See the module's docstring for the order; the time is read after the locks: commits and times agree."""
        if merchants is None:
            connection.execute(_TURN_OF_ALL)
        else:
            connection.execute(_TURN_SHARED)
            names = orjson.dumps(sorted(set(merchants))).decode()
            connection.execute(_TURN_OF_MERCHANTS, {"merchants": names})
        now_ms: int = connection.execute(_TIME).scalar_one()
        return now_ms

    def take_rare(self, connection: Connection) -> None:
        """One lock for them all: they read and then write, as they may on SQLite."""
        connection.execute(_TURN_OF_RARE)

    def sign(self, connection: Connection, batch: int, now_ms: int) -> None:
        """One row per process, updated in place."""
        connection.execute(_SIGN, {"id": self.writer, "batch": batch, "now": now_ms})

    def signed(self, connection: Connection, batch: int) -> bool | None:
        """Asked on a new connection after one was lost."""
        return bool(connection.execute(_SIGNED, {"id": self.writer}).scalar_one() == batch)

    def tell(self, connection: Connection) -> None:
        """After the commit, in a transaction of its own: within it, all commits of the cluster would queue for it."""
        with connection.begin():
            connection.execute(_NOTIFY, {"id": self.writer})

    def forget(self, connection: Connection, before_ms: int) -> None:
        """Processes come with each start, and go."""
        connection.execute(_FORGET_WRITERS, {"before": before_ms})


def take_migration_turn(connection: Connection) -> None:
    """Two programs that migrate one PostgreSQL database do it one after the other."""
    connection.execute(_TURN_OF_MIGRATION)
