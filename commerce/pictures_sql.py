"""Buyers' pictures, in the database: so copies, other nodes and erasures have them with what they belong to."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, bindparam, text

from commerce.domain.custom import Wish
from commerce.domain.org import Reach
from commerce.errors import Invalid, NotFound, Refused
from commerce.ledger_batch_sql import Batch
from commerce.reach_sql import PERSON_REACHED, ROOMS_REACHED, reach_values

UNUSED_OF_PERSON_MAX = 30
"""Pictures of one person that no order or request names yet: three forms of nine, and some thought better of."""
UNUSED_OF_SHOP_MAX = 2_000
"""Of all persons of a shop: about 600 MB that somebody with many guests' tokens could fill, for a day."""
FORGET_MAX = 200
"""Pictures deleted in one transaction: their pages are some 60 MB."""

_FACTS = "id, merchant, person, room, width, height, created_ms, used_ms, length(jpeg) AS bytes"
_SAME = text(
    f"SELECT {_FACTS} FROM custom_picture WHERE merchant = :merchant AND person = :person AND digest = :digest"  # noqa: S608
    " ORDER BY id LIMIT 1"
)
_UNUSED = text(
    "SELECT count(*) AS shop, coalesce(sum(CASE WHEN person = :person THEN 1 ELSE 0 END), 0) AS own"
    " FROM custom_picture WHERE merchant = :merchant AND used_ms IS NULL"
)
_INSERT = text(
    "INSERT INTO custom_picture (id, merchant, person, room, digest, jpeg, width, height, created_ms)"
    " VALUES (:id, :merchant, :person, :room, :digest, :jpeg, :width, :height, :now)"
)
_OWN = text("SELECT jpeg FROM custom_picture WHERE id = :id AND merchant = :merchant AND person = :person")
_ANY = text("SELECT jpeg FROM custom_picture WHERE id = :id AND merchant = :merchant")
_REACHED = text(
    "SELECT c.jpeg FROM custom_picture AS c WHERE c.id = :id AND c.merchant = :merchant AND (c.room = :reach_room"  # noqa: S608
    f" OR c.room IN ({ROOMS_REACHED}) OR EXISTS (SELECT 1 FROM person AS p WHERE p.id = c.person AND {PERSON_REACHED}))"
)
_DROP = text(
    "DELETE FROM custom_picture WHERE id = :id AND merchant = :merchant AND person = :person AND used_ms IS NULL"
)
_USE = text(
    "UPDATE custom_picture SET used_ms = :now WHERE merchant = :merchant AND person = :person AND id IN :ids"
).bindparams(bindparam("ids", expanding=True))
_FORGET_UNUSED = text(
    "DELETE FROM custom_picture WHERE id IN (SELECT id FROM custom_picture WHERE used_ms IS NULL"
    " AND created_ms < :unused LIMIT :limit)"
)
# What is still being made or asked for is kept however old it is.
_FORGET_OLD = text(
    "DELETE FROM custom_picture WHERE id IN (SELECT c.id FROM custom_picture AS c WHERE c.used_ms < :used"
    " AND NOT EXISTS (SELECT 1 FROM orders AS o WHERE o.merchant = c.merchant AND o.person = c.person"
    " AND o.status IN ('pending', 'paid', 'fulfilled', 'partly_refunded'))"
    " AND NOT EXISTS (SELECT 1 FROM custom_request AS r WHERE r.merchant = c.merchant AND r.person = c.person"
    " AND r.state IN ('asked', 'offered')) ORDER BY c.used_ms LIMIT :limit)"
)


@dataclass(frozen=True, slots=True)
class PictureFacts:
    """A kept picture: its size in pixels and bytes, and when it was sent (Unix ms)."""

    picture: str
    width: int
    height: int
    bytes: int
    created: int


def add(db: Connection, row: dict[str, Any]) -> PictureFacts:
    """Keep a picture; the one that is there when it was sent before. Raises Refused (limit)."""
    same = db.execute(_SAME, {name: row[name] for name in ("merchant", "person", "digest")}).one_or_none()
    if same is not None:
        return _facts(same)
    counts = db.execute(_UNUSED, {"merchant": row["merchant"], "person": row["person"]}).one()
    if counts.own >= UNUSED_OF_PERSON_MAX or counts.shop >= UNUSED_OF_SHOP_MAX:
        raise Refused("limit", "too many pictures wait for an order: order, or take some of them away")
    db.execute(_INSERT, row)
    return PictureFacts(row["id"], row["width"], row["height"], len(row["jpeg"]), row["now"])


def _facts(row: Row[Any]) -> PictureFacts:
    return PictureFacts(row.id, row.width, row.height, row.bytes, row.created_ms)


def read(db: Connection, merchant: str, picture: str, person: str = "", reach: Reach | None = None) -> bytes:
    """The JPEG, for its person, or (empty) for staff within a reach. Raises NotFound."""
    asked = {"id": picture, "merchant": merchant}
    if person:
        row = db.execute(_OWN, asked | {"person": person}).one_or_none()
    elif reach is None:
        row = db.execute(_ANY, asked).one_or_none()
    else:
        row = db.execute(_REACHED, asked | reach_values(reach)).one_or_none()
    if row is None:
        raise NotFound("no such picture")
    return bytes(row.jpeg)


def drop(db: Connection, merchant: str, person: str, picture: str) -> None:
    """Take a picture away that nothing names yet. Raises NotFound."""
    if not db.execute(_DROP, {"id": picture, "merchant": merchant, "person": person}).rowcount:
        raise NotFound("no such picture, or an order or a request names it")


def use(batch: Batch, merchant: str, person: str, wishes: Iterable[Wish]) -> None:
    """An order or a request names some of its person's pictures. Raises Invalid."""
    ids = sorted({picture for wish in wishes for picture in wish.pictures})
    if ids and batch.run(_USE, merchant=merchant, person=person, ids=ids, now=batch.now_ms).rowcount != len(ids):
        raise Invalid("a picture is not there (any more): attach it again", field="custom")


def forget(db: Connection, unused_ms: int, used_ms: int | None) -> int:
    """Delete some that nothing names and are older than ``unused_ms``, and those last named before ``used_ms``.

    How many were deleted; at ``FORGET_MAX`` and more there may be others.
    """
    gone = db.execute(_FORGET_UNUSED, {"unused": unused_ms, "limit": FORGET_MAX}).rowcount
    if used_ms is not None:
        gone += db.execute(_FORGET_OLD, {"used": used_ms, "limit": FORGET_MAX}).rowcount
    return gone
