# ruff: noqa: S608 (statements are put together from this module's constants alone)
"""Statements of the content library: each runs inside the caller's transaction and names the merchant."""

from collections.abc import Sequence
from typing import Any

import orjson
from sqlalchemy import BindParameter, Connection, bindparam, text

from commerce.domain.org import Reach
from commerce.errors import NotFound, Refused
from commerce.freight_sql import BACK, CARRIED, GOODS

CONTENTS_MAX = 5_000
"""Pieces of one merchant: a search reads all their texts, some 10 MB at the very most of usual articles."""
VERSIONS_MAX = 200

_HEAD = (
    "c.id, c.merchant, c.kind, c.category, c.audience, c.sharers, c.room, c.version, c.published, c.created_ms,"
    " c.updated_ms"
)
_TEXT = "v.title, v.summary, v.body, v.cover, v.pictures, v.clips, v.skus, v.show, v.version AS shown"
_ANY = f"SELECT {_HEAD}, {_TEXT} FROM content AS c JOIN content_version AS v ON v.content = c.id"
_ONE = text(f"{_ANY} AND v.version = coalesce(:version, c.version) WHERE c.id = :id AND c.merchant = :merchant")
_PUBLISHED = text(f"{_ANY} AND v.version = c.published WHERE c.id = :id")
_FOUND = (
    " WHERE c.merchant = :merchant AND c.id < :before AND (:category = '' OR c.category = :category)"
    " AND (:words = '' OR lower(v.title) LIKE :words ESCAPE '!' OR lower(v.summary) LIKE :words ESCAPE '!'"
    " OR lower(v.body) LIKE :words ESCAPE '!' OR lower(c.category) LIKE :words ESCAPE '!')"
    " ORDER BY c.id DESC LIMIT :limit"
)
_ALL = text(f"{_ANY} AND v.version = c.version{_FOUND}")
_SHOWN = text(f"{_ANY} AND v.version = c.published{_FOUND}")
_CATEGORIES = text(
    "SELECT category, count(*) AS n FROM content WHERE merchant = :merchant AND (:drafts OR published IS NOT NULL)"
    " GROUP BY category ORDER BY category"
)
_VERSIONS = text(
    "SELECT v.version, v.title, v.staff, s.name, v.created_ms FROM content_version AS v"
    " LEFT JOIN staff AS s ON s.id = v.staff WHERE v.content = :id ORDER BY v.version DESC"
)
_COUNT = text("SELECT count(*) FROM content WHERE merchant = :merchant")
_INSERT = text(
    "INSERT INTO content (id, merchant, kind, category, audience, sharers, room, version, published, staff, created_ms,"
    " updated_ms) VALUES (:id, :merchant, :kind, :category, :audience, :sharers, :room, 1, NULL, :staff, :now, :now)"
)
_CHANGE = text(
    "UPDATE content SET kind = :kind, category = :category, audience = :audience, sharers = :sharers, room = :room,"
    " version = version + 1, updated_ms = :now WHERE id = :id AND merchant = :merchant AND version = :base"
)
_INSERT_VERSION = text(
    "INSERT INTO content_version (content, version, title, summary, body, cover, pictures, clips, skus, show,"
    " staff, created_ms) VALUES (:id, :version, :title, :summary, :body, :cover, :pictures, :clips, :skus, :show,"
    " :staff, :now)"
)
_PUBLISH = text("UPDATE content SET published = :version, updated_ms = :now WHERE id = :id AND merchant = :merchant")
_OWN_ROOM = text("SELECT 1 FROM room WHERE id = :id AND merchant = :merchant")
_OWN_CLIPS = text("SELECT id FROM clip WHERE merchant = :merchant AND id IN :ids").bindparams(
    bindparam("ids", expanding=True)
)
_SKUS = text(
    "SELECT s.id AS sku, s.name, p.title, p.image, s.price, s.list_price FROM sku AS s"
    " JOIN product AS p ON p.id = s.product WHERE s.merchant = :merchant AND s.id IN :ids"
).bindparams(bindparam("ids", expanding=True))
_OF_ISSUERS = " AND l.issuer IN :issuers"
_SHARES = "SELECT l.content, count(*) AS shares FROM link AS l WHERE l.merchant = :merchant AND l.content IN :contents"
_ORDERS = (
    f"SELECT l.content, count(*) AS orders, sum({GOODS} - {BACK}) AS amount FROM link AS l"
    f" JOIN order_credit AS k ON k.link = l.id AND k.model = 'default' JOIN orders AS o ON o.id = k.order_id {CARRIED}"
    " WHERE l.merchant = :merchant AND l.content IN :contents AND o.kind = 'goods'"
    " AND o.status NOT IN ('pending', 'cancelled')"
)
_NOT_NONE = " AND l.content <> '' GROUP BY l.content"
_STAFF_WITHIN = text(
    "SELECT m.staff FROM org_member AS m JOIN org_above AS a ON a.node = m.node"
    " WHERE m.merchant = :merchant AND a.above = :node"
)

Row = dict[str, Any]


def one(db: Connection, merchant: str, content: str, version: int | None = None) -> Row:
    """A piece as staff see it, in its newest or another version. Raises NotFound."""
    found = db.execute(_ONE, {"id": content, "merchant": merchant, "version": version}).mappings().one_or_none()
    if found is None:
        raise NotFound("no such content, or not in this version")
    return dict(found)


def published(db: Connection, content: str) -> Row:
    """A piece as readers see it, whoever's it is. Raises NotFound."""
    found = db.execute(_PUBLISHED, {"id": content}).mappings().one_or_none()
    if found is None:
        raise NotFound("no such content, or it was taken back")
    return dict(found)


def page(
    db: Connection, merchant: str, category: str, words: str, before: str, limit: int, *, drafts: bool
) -> list[Row]:
    """Pieces, newest first; ``drafts``: in their newest version and those not published, too."""
    escaped = words.lower().replace("!", "!!").replace("%", "!%").replace("_", "!_")
    asked = {"merchant": merchant, "category": category, "before": before, "limit": limit}
    asked["words"] = f"%{escaped}%" if words else ""
    return [dict(row) for row in db.execute(_ALL if drafts else _SHOWN, asked).mappings()]


def categories(db: Connection, merchant: str, *, drafts: bool) -> dict[str, int]:
    """How many pieces there are in each category."""
    rows = db.execute(_CATEGORIES, {"merchant": merchant, "drafts": drafts})
    return {row.category: row.n for row in rows}


def versions(db: Connection, merchant: str, content: str) -> list[Row]:
    """All versions of a piece, newest first, without their texts. Raises NotFound."""
    one(db, merchant, content)
    return [dict(row) for row in db.execute(_VERSIONS, {"id": content}).mappings()]


def add(db: Connection, head: Row, written: Row) -> None:
    """Write a new piece, not yet published. Raises Refused (limit), NotFound."""
    _require(db, head["merchant"], head["room"], written)
    if db.execute(_COUNT, {"merchant": head["merchant"]}).scalar_one() >= CONTENTS_MAX:
        raise Refused("limit", f"a library has at most {CONTENTS_MAX} pieces")
    db.execute(_INSERT, head)
    db.execute(_INSERT_VERSION, {**head, **_stored(written), "version": 1})


def change(db: Connection, head: Row, written: Row, base: int) -> None:
    """Write the version after ``base``. Raises NotFound, Refused (already: somebody else wrote it; limit)."""
    one(db, head["merchant"], head["id"])
    _require(db, head["merchant"], head["room"], written)
    if base >= VERSIONS_MAX:
        raise Refused("limit", f"a piece has at most {VERSIONS_MAX} versions: begin another")
    if not db.execute(_CHANGE, {**head, "base": base}).rowcount:
        raise Refused("already", "somebody has written another version meanwhile: read it first")
    db.execute(_INSERT_VERSION, {**head, **_stored(written), "version": base + 1})


def publish(db: Connection, merchant: str, content: str, version: int | None, now_ms: int) -> None:
    """Show readers a version, or (None) nothing. Raises NotFound."""
    one(db, merchant, content, version)
    db.execute(_PUBLISH, {"id": content, "merchant": merchant, "version": version, "now": now_ms})


def goods(db: Connection, merchant: str, skus: Sequence[str]) -> list[Row]:
    """What is said of recommended SKUs, in their order; one that is gone is left out."""
    if not skus:
        return []
    found = {row["sku"]: dict(row) for row in db.execute(_SKUS, {"merchant": merchant, "ids": list(skus)}).mappings()}
    return [found[sku] for sku in skus if sku in found]


def own_clips(db: Connection, merchant: str, clips: Sequence[str]) -> list[str]:
    """Those of some clips that are there and the merchant's, in their order."""
    if not clips:
        return []
    there = set(db.execute(_OWN_CLIPS, {"merchant": merchant, "ids": list(clips)}).scalars())
    return [clip for clip in clips if clip in there]


def brought(
    db: Connection, merchant: str, contents: Sequence[str], issuers: Sequence[str] | None
) -> dict[str, tuple[int, int, int]]:
    """Shares of some pieces, and what came of them: links, orders that were paid, 分 less what was refunded.

    With ``issuers`` of their links alone.
    """
    if not contents or (issuers is not None and not issuers):
        return {}
    asked: Row = {"merchant": merchant, "contents": list(contents)}
    whose = ""
    expanding: list[BindParameter[Any]] = [bindparam("contents", expanding=True)]
    if issuers is not None:
        asked["issuers"] = list(issuers)
        whose = _OF_ISSUERS
        expanding.append(bindparam("issuers", expanding=True))
    shares = db.execute(text(_SHARES + whose + _NOT_NONE).bindparams(*expanding), asked)
    found = {row.content: (row.shares, 0, 0) for row in shares}
    for row in db.execute(text(_ORDERS + whose + _NOT_NONE).bindparams(*expanding), asked):
        found[row.content] = (found[row.content][0], row.orders, int(row.amount))
    return found


def staff_within(db: Connection, merchant: str, reach: Reach) -> list[str]:
    """The accounts of a subtree, those who left included."""
    return list(db.execute(_STAFF_WITHIN, {"merchant": merchant, "node": reach.node}).scalars())


def _require(db: Connection, merchant: str, room: str, written: Row) -> None:
    """Raises NotFound when a piece names a room, clip or SKU that is not the merchant's."""
    if room and db.execute(_OWN_ROOM, {"id": room, "merchant": merchant}).one_or_none() is None:
        raise NotFound("no such room")
    if len(own_clips(db, merchant, written["clips"])) < len(written["clips"]):
        raise NotFound("no such clip")
    if len(goods(db, merchant, written["skus"])) < len(written["skus"]):
        raise NotFound("no such sku")


def _stored(written: Row) -> Row:
    from_lists = {name: _json(written[name]) for name in ("pictures", "clips", "skus")}
    return {**written, **from_lists}


def _json(values: Sequence[str]) -> str:
    return orjson.dumps(list(values)).decode()
