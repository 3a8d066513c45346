"""Accounts at channels, and broadcasts: each function runs inside the caller's transaction."""

from typing import Any

from sqlalchemy import Connection, text

Row = dict[str, Any]

BROADCASTS_SHOWN_MAX = 50

_ACCOUNT = text("SELECT settings, sealed FROM channel_account WHERE merchant = :merchant AND channel = :channel")
_SET_ACCOUNT = text(
    "INSERT INTO channel_account (merchant, channel, settings, sealed, updated_ms)"
    " VALUES (:merchant, :channel, :settings, :sealed, :now) ON CONFLICT (merchant, channel) DO UPDATE SET"
    " settings = excluded.settings, sealed = excluded.sealed, updated_ms = excluded.updated_ms"
)
_ADD = text(
    "INSERT INTO broadcast (id, merchant, name, condition, channel, body, people, upto, staff, created_ms)"
    " VALUES (:id, :merchant, :name, :condition, :channel, :body, 0, '', :staff, :now)"
)
_LIST = text("SELECT * FROM broadcast WHERE merchant = :merchant ORDER BY id DESC LIMIT :limit")
_FILLING = text("SELECT * FROM broadcast WHERE upto IS NOT NULL ORDER BY id LIMIT 1")
_FILLED = text("UPDATE broadcast SET upto = :upto, people = people + :n WHERE id = :id AND upto IS NOT NULL")


def account(db: Connection, merchant: str, channel: str) -> Row | None:
    """A merchant's account, its secrets sealed."""
    found = db.execute(_ACCOUNT, {"merchant": merchant, "channel": channel}).mappings().one_or_none()
    return None if found is None else dict(found)


def set_account(db: Connection, **row: Any) -> None:
    """Write a merchant's account."""
    db.execute(_SET_ACCOUNT, row)


def add_broadcast(db: Connection, **row: Any) -> None:
    """Begin a broadcast."""
    db.execute(_ADD, row)


def broadcasts(db: Connection, merchant: str) -> list[Row]:
    """A merchant's broadcasts, newest first."""
    return [dict(row) for row in db.execute(_LIST, {"merchant": merchant, "limit": BROADCASTS_SHOWN_MAX}).mappings()]


def filling(db: Connection) -> Row | None:
    """The oldest broadcast whose messages are not all written."""
    found = db.execute(_FILLING).mappings().one_or_none()
    return None if found is None else dict(found)


def filled(db: Connection, identifier: str, upto: str | None, n: int) -> None:
    """Note up to whom messages are written; None: all are."""
    db.execute(_FILLED, {"id": identifier, "upto": upto, "n": n})
