"""Stores of a merchant: read by orders that are picked up, kept by whoever runs the shop."""

from typing import Any

from sqlalchemy import Connection, text

from commerce.errors import NotFound, Refused

OUTLETS_MAX = 500
"""Stores of one merchant: all of them are looked at for the nearest."""

_INSERT = text(
    "INSERT INTO outlet (id, merchant, name, address, phone, lat_e6, lng_e6, pickup, key_digest, created_ms)"
    " VALUES (:id, :merchant, :name, :address, :phone, :lat_e6, :lng_e6, :pickup, :key_digest, :now)"
)
_ALL = text("SELECT * FROM outlet WHERE merchant = :merchant AND closed_ms IS NULL ORDER BY id LIMIT :limit")
_PICKS_UP = text("SELECT 1 FROM outlet WHERE id = :id AND merchant = :merchant AND closed_ms IS NULL AND pickup")
_BY_KEY = text("SELECT id, merchant FROM outlet WHERE key_digest = :digest AND closed_ms IS NULL")
_CLOSE = text("UPDATE outlet SET closed_ms = :now WHERE id = :id AND merchant = :merchant AND closed_ms IS NULL")


def add(db: Connection, **row: Any) -> None:
    """Write a store. Raises Refused (limit)."""
    if len(every(db, row["merchant"])) >= OUTLETS_MAX:
        raise Refused("limit", f"a shop has at most {OUTLETS_MAX} stores")
    db.execute(_INSERT, row)


def every(db: Connection, merchant: str) -> list[dict[str, Any]]:
    """A merchant's open stores."""
    return [dict(row) for row in db.execute(_ALL, {"merchant": merchant, "limit": OUTLETS_MAX}).mappings()]


def picks_up(db: Connection, merchant: str, outlet: str) -> bool:
    """Whether goods can be picked up there."""
    return db.execute(_PICKS_UP, {"merchant": merchant, "id": outlet}).first() is not None


def close(db: Connection, merchant: str, outlet: str, now_ms: int) -> None:
    """Close a store: its till's key opens nothing any more. Raises NotFound."""
    if not db.execute(_CLOSE, {"merchant": merchant, "id": outlet, "now": now_ms}).rowcount:
        raise NotFound("no such store")


def of_key(db: Connection, digest: str) -> tuple[str, str] | None:
    """Store and merchant of a till's key."""
    row = db.execute(_BY_KEY, {"digest": digest}).one_or_none()
    return None if row is None else (row.id, row.merchant)
