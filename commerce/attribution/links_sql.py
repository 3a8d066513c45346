# ruff: noqa: S608 (statements are put together from this module's constants alone)
"""Statements of the share tree: each function runs inside the caller's transaction."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeAlias

from sqlalchemy import Connection, Row, bindparam, text

from commerce.attribution.links import Link
from commerce.domain.org import Reach
from commerce.errors import NotFound, Refused
from commerce.reach_sql import LINK_REACHED, reach_values

Transaction: TypeAlias = Connection

_COLUMNS = (
    "id, merchant, issuer, role, room, sku, channel, campaign, parent, root, depth, expires_ms, created_ms, content"
)
_ONE = text(f"SELECT {_COLUMNS} FROM link WHERE id = :id")
_CHILD = text(
    f"SELECT {_COLUMNS} FROM link WHERE parent = :parent AND issuer = :issuer AND room = :room AND sku = :sku"
    " AND channel = :channel AND campaign = :campaign AND content = :content"
)
_OF_MERCHANT = (
    f"SELECT {_COLUMNS} FROM link AS l WHERE merchant = :merchant AND id < :before"
    " AND (:issuer = '' OR issuer = :issuer)"
)
_PAGE = text(f"{_OF_MERCHANT} ORDER BY id DESC LIMIT :limit")
_PAGE_REACHED = text(f"{_OF_MERCHANT} AND {LINK_REACHED} ORDER BY id DESC LIMIT :limit")
_INSERT = text(
    f"INSERT INTO link ({_COLUMNS}) VALUES (:id, :merchant, :issuer, :role, :room, :sku, :channel, :campaign,"
    " :parent, :root, :depth, :expires_ms, :created_ms, :content)"
)
# Upwards from some links to their roots; a parent is always older than its child, so this ends.
_WITH_ANCESTORS = text(
    f"WITH RECURSIVE up(id) AS (SELECT id FROM link WHERE merchant = :merchant AND id IN :ids"
    " UNION SELECT link.parent FROM link JOIN up ON link.id = up.id WHERE link.parent IS NOT NULL)"
    f" SELECT {_COLUMNS} FROM link WHERE id IN (SELECT id FROM up) ORDER BY depth, id LIMIT :limit"
).bindparams(bindparam("ids", expanding=True))
_BELONGS = text(
    "SELECT :issuer = :merchant OR EXISTS (SELECT 1 FROM staff WHERE id = :issuer AND merchant = :merchant)"
    " OR EXISTS (SELECT 1 FROM person WHERE id = :issuer AND merchant = :merchant)"
    " OR EXISTS (SELECT 1 FROM partner WHERE id = :issuer AND merchant = :merchant)"
)
_NAMES = text(
    "SELECT id, name FROM staff WHERE merchant = :merchant AND id IN :ids"
    " UNION ALL SELECT id, name FROM person WHERE merchant = :merchant AND id IN :ids"
    " UNION ALL SELECT id, name FROM merchant WHERE id = :merchant AND id IN :ids"
    " UNION ALL SELECT id, name FROM partner WHERE merchant = :merchant AND id IN :ids"
).bindparams(bindparam("ids", expanding=True))

_MAKERS = text("SELECT id, issuer, role FROM link WHERE id IN :ids").bindparams(bindparam("ids", expanding=True))
_INACTIVE = text(
    "SELECT person FROM distributor WHERE merchant = :merchant AND person IN :ids AND state <> 'active'"
    " UNION ALL SELECT staff FROM org_member WHERE merchant = :merchant AND staff IN :ids AND left_ms IS NOT NULL"
).bindparams(bindparam("ids", expanding=True))


def find(db: Connection, link: str) -> Link | None:
    """Read a link by id."""
    row = db.execute(_ONE, {"id": link}).one_or_none()
    return None if row is None else _link(row)


def child(db: Connection, wanted: Link) -> Link | None:
    """Read the link that the same person made before of the same parent for the same target."""
    if wanted.parent is None:
        return None
    row = db.execute(_CHILD, _row(wanted)).one_or_none()
    return None if row is None else _link(row)


def mint(db: Connection, wanted: Link, now_ms: int) -> Link:
    """Write a link, or give back the child that the same person made of the same parent for the same target.

    An own link that lapsed is renewed rather than doubled. Raises ``NotFound`` when issuer, room or SKU are not the
    merchant's, and ``Refused("already")`` when the id is taken (mint again with another).
    """
    if not db.execute(_BELONGS, {"issuer": wanted.issuer, "merchant": wanted.merchant}).scalar_one():
        raise NotFound("no such issuer")
    _require(db, "room", wanted.room, wanted.merchant)
    _require(db, "sku", wanted.sku, wanted.merchant)
    _require(db, "content", wanted.content, wanted.merchant)
    present = child(db, wanted)
    if present is not None and present.lapsed(now_ms):
        renew = text("UPDATE link SET expires_ms = :expires WHERE id = :id")
        db.execute(renew, {"expires": wanted.expires_ms, "id": present.id})
        return replace(present, expires_ms=wanted.expires_ms)
    if present is not None:
        return present
    if find(db, wanted.id) is not None:
        raise Refused("already", "this link id is taken")
    db.execute(_INSERT, _row(wanted))
    return wanted


def page(db: Connection, merchant: str, issuer: str, before: str, limit: int, reach: Reach | None = None) -> list[Link]:
    """List a merchant's links (``issuer`` empty: of everybody), newest first, older than the id ``before``.

    With ``reach`` those that its accounts made, or that lead into its rooms.
    """
    asked = {"merchant": merchant, "issuer": issuer, "before": before, "limit": limit}
    if reach is not None:
        return [_link(row) for row in db.execute(_PAGE_REACHED, asked | reach_values(reach))]
    return [_link(row) for row in db.execute(_PAGE, asked)]


def with_ancestors(db: Connection, merchant: str, ids: Sequence[str], limit: int) -> list[Link]:
    """Read some links and all above them, roots first."""
    if not ids:
        return []
    found = db.execute(_WITH_ANCESTORS, {"merchant": merchant, "ids": list(ids), "limit": limit})
    return [_link(row) for row in found]


def makers(db: Connection, ids: Sequence[str]) -> list[tuple[str, str, str]]:
    """Read who made some links: (link, issuer, role)."""
    return [(row.id, row.issuer, row.role) for row in db.execute(_MAKERS, {"ids": list(ids)})] if ids else []


def inactive(db: Connection, merchant: str, issuers: Sequence[str]) -> frozenset[str]:
    """Those of some issuers who may not be credited now: distributors who are not active, guides who have left."""
    if not issuers:
        return frozenset()
    return frozenset(db.execute(_INACTIVE, {"merchant": merchant, "ids": list(issuers)}).scalars())


def names(db: Connection, merchant: str, ids: Sequence[str]) -> dict[str, str]:
    """Read the names behind ids of staff, persons and the merchant itself."""
    if not ids:
        return {}
    return {row.id: row.name for row in db.execute(_NAMES, {"merchant": merchant, "ids": list(ids)})}


def _require(db: Connection, table: str, wanted: str, merchant: str) -> None:
    if wanted:
        query = text(f"SELECT 1 FROM {table} WHERE id = :id AND merchant = :merchant")
        if db.execute(query, {"id": wanted, "merchant": merchant}).one_or_none() is None:
            raise NotFound(f"no such {table}")


def _row(link: Link) -> dict[str, object]:
    return {
        "id": link.id,
        "merchant": link.merchant,
        "issuer": link.issuer,
        "role": link.role,
        "room": link.room,
        "sku": link.sku,
        "channel": link.channel,
        "campaign": link.campaign,
        "parent": link.parent,
        "root": link.root,
        "depth": link.depth,
        "expires_ms": link.expires_ms,
        "created_ms": link.created_ms,
        "content": link.content,
    }


def _link(row: Row[*tuple[object, ...]]) -> Link:
    return Link(*row)  # type: ignore[arg-type]  # the columns are Link's fields in order
