"""The clips' statements: each function runs inside the caller's transaction, and names the merchant where one acts."""

from collections.abc import Sequence

from sqlalchemy import Connection, RowMapping, bindparam, text

from commerce.catalogue_views import ClipView
from commerce.errors import NotFound

CLIPS_PAGE_MAX = 200

_CLIP = (
    "SELECT c.id, c.merchant, c.room, c.product, p.title, c.show, c.start_ms, c.end_ms, c.length_ms, c.bytes, c.file,"
    " c.created_ms FROM clip c JOIN product p ON p.id = c.product"
)
_EXPLAINING = text(
    "SELECT id FROM clip WHERE merchant = :merchant AND id IN :clips"
    " AND product IN (SELECT product FROM sku WHERE id IN :skus)"
).bindparams(bindparam("clips", expanding=True), bindparam("skus", expanding=True))


def insert(db: Connection, clip: ClipView) -> None:
    """Write a new clip."""
    db.execute(
        text(
            "INSERT INTO clip"
            " (id, merchant, room, product, show, start_ms, end_ms, length_ms, bytes, file, created_ms)"
            " VALUES (:id, :merchant, :room, :product, :show, :start, :end, :length, :bytes, :file, :created)"
        ),
        {
            "id": clip.clip,
            "merchant": clip.merchant,
            "room": clip.room,
            "product": clip.product,
            "show": clip.show,
            "start": clip.start_ms,
            "end": clip.end_ms,
            "length": clip.length_ms,
            "bytes": clip.bytes,
            "file": clip.file,
            "created": clip.created_ms,
        },
    )


def one(db: Connection, clip: str) -> ClipView:
    """Read a clip. Raises ``NotFound``."""
    row = db.execute(text(f"{_CLIP} WHERE c.id = :id"), {"id": clip}).mappings().one_or_none()
    if row is None:
        raise NotFound("there is no such clip")
    return _view(row)


def explaining(db: Connection, merchant: str, clips: Sequence[str], skus: Sequence[str]) -> set[str]:
    """Those of some clips that explain a product of which one of these SKUs is."""
    found = db.execute(_EXPLAINING, {"merchant": merchant, "clips": list(clips), "skus": list(skus)})
    return set(found.scalars())


def of_room(db: Connection, room: str, after: str, limit: int) -> list[ClipView]:
    """List a room's clips, newest first, those older than the id ``after`` when one is given."""
    older = " AND c.id < :after" if after else ""
    query = text(f"{_CLIP} WHERE c.room = :room{older} ORDER BY c.id DESC LIMIT :limit")
    return [_view(row) for row in db.execute(query, {"room": room, "after": after, "limit": limit}).mappings()]


def delete(db: Connection, merchant: str, room: str, clip: str) -> ClipView:
    """Take a clip away and say what it was. Raises ``NotFound``."""
    found = one(db, clip)
    if (found.merchant, found.room) != (merchant, room):
        raise NotFound("there is no such clip")
    db.execute(text("DELETE FROM clip WHERE id = :id"), {"id": clip})
    return found


def delete_before(db: Connection, before_ms: int, limit: int) -> list[ClipView]:
    """Take away up to ``limit`` clips made before ``before_ms``, the oldest first."""
    query = text(f"{_CLIP} WHERE c.created_ms < :before ORDER BY c.created_ms LIMIT :limit")
    found = [_view(row) for row in db.execute(query, {"before": before_ms, "limit": limit}).mappings()]
    for clip in found:
        db.execute(text("DELETE FROM clip WHERE id = :id"), {"id": clip.clip})
    return found


def _view(row: RowMapping) -> ClipView:
    return ClipView(
        clip=row["id"],
        merchant=row["merchant"],
        room=row["room"],
        product=row["product"],
        title=row["title"],
        show=row["show"],
        start_ms=row["start_ms"],
        end_ms=row["end_ms"],
        length_ms=row["length_ms"],
        bytes=row["bytes"],
        file=row["file"],
        created_ms=row["created_ms"],
    )
