"""WeCom contacts: codes to add staff by, and who has whom; each function runs inside the caller's transaction."""

from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, text

Row = dict[str, Any]

LIST_MAX = 200

_ADD_WAY = text(
    "INSERT INTO contact_way (id, merchant, link, config, qr_code, users, name, staff, created_ms)"
    " VALUES (:id, :merchant, :link, :config, :qr_code, :users, :name, :staff, :now)"
)
_WAYS = text("SELECT * FROM contact_way WHERE merchant = :merchant ORDER BY id DESC LIMIT :limit")
_CONTACT = text(
    "SELECT added_ms, ended_ms FROM wecom_contact WHERE merchant = :merchant AND external = :external"
    ' AND "user" = :user'
)
_PUT = text(
    'INSERT INTO wecom_contact (merchant, external, "user", state, added_ms, ended_ms)'
    ' VALUES (:merchant, :external, :user, :state, :added, NULL) ON CONFLICT (merchant, external, "user") DO UPDATE'
    " SET state = excluded.state, added_ms = excluded.added_ms, ended_ms = NULL"
)
_END = text(
    'UPDATE wecom_contact SET ended_ms = :now WHERE merchant = :merchant AND external = :external AND "user" = :user'
    " AND ended_ms IS NULL AND added_ms <= :now"
)


class Added(StrEnum):
    """What an event that a contact was added is."""

    NEW = "new"
    AGAIN = "again"
    KNOWN = "known"


def add_way(db: Connection, **row: Any) -> None:
    """Keep a code."""
    db.execute(_ADD_WAY, row)


def ways(db: Connection, merchant: str) -> list[Row]:
    """A merchant's codes, newest first."""
    return [dict(row) for row in db.execute(_WAYS, {"merchant": merchant, "limit": LIST_MAX}).mappings()]


def added(db: Connection, merchant: str, external: str, user: str, state: str, at_ms: int) -> Added:
    """A customer added a member of staff at a moment: for the first time, again, or this was known already."""
    key = {"merchant": merchant, "external": external, "user": user}
    row = db.execute(_CONTACT, key).one_or_none()
    # Events are repeated, and one that was under way for long may come after the end that it was before.
    if row is not None and (row.ended_ms is None or at_ms <= row.ended_ms):
        return Added.KNOWN
    db.execute(_PUT, {**key, "state": state[:64], "added": at_ms})
    return Added.NEW if row is None else Added.AGAIN


def ended(db: Connection, merchant: str, external: str, user: str, at_ms: int) -> bool:
    """One of the two removed the other; whether they had them."""
    key = {"merchant": merchant, "external": external, "user": user}
    return bool(db.execute(_END, {**key, "now": at_ms}).rowcount)
