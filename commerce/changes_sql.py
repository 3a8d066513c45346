"""The trail of manual changes: who changed a price or a count of stock, when, from what to what, and why.

A row is written in the transaction of the change itself, and never changed (a trigger refuses it). Programs (the seed,
the clock, orders) leave none: what stock does by itself is in ``stock_entry``.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, text

from commerce.changes import WHY_CHARACTERS_MAX, Change, Hand
from commerce.domain.ids import AFTER_ALL

CHANGES_PAGE_MAX = 200

_NOTE = text(
    "INSERT INTO manual_change (id, merchant, sku, what, before, after, staff, why, import_run, created_ms,"
    " outlet, before_text, after_text) VALUES (:id, :merchant, :sku, :what, :before, :after, :staff, :why, :run, :now,"
    " :outlet, :before_text, :after_text)"
)
_READ = text(
    "SELECT c.id, c.sku, coalesce(p.title, '') AS title, coalesce(k.name, '') AS variant, c.what, c.before, c.after,"
    " c.before_text, c.after_text,"
    " c.staff, coalesce(s.name, '') AS name, coalesce(s.login, '') AS login, c.why, c.import_run, c.created_ms,"
    " c.outlet, coalesce(o.name, '') AS outlet_name FROM manual_change AS c LEFT JOIN outlet AS o ON o.id = c.outlet"
    " LEFT JOIN sku AS k ON k.id = c.sku LEFT JOIN product AS p ON p.id = k.product"
    " LEFT JOIN staff AS s ON s.id = c.staff WHERE c.merchant = :merchant AND c.id < :before"
    " AND (:sku = '' OR c.sku = :sku) ORDER BY c.id DESC LIMIT :limit"
)


def note(db: Connection, merchant: str, by: Hand, changes: Sequence[Change], ids: Iterable[str], now_ms: int) -> None:
    """Write changes down, one id for each."""
    if changes:
        same = {
            "merchant": merchant,
            "staff": by.staff,
            "why": by.why[:WHY_CHARACTERS_MAX],
            "run": by.run,
            "now": now_ms,
        }
        db.execute(
            _NOTE,
            [
                same
                | {"id": one, "sku": made.sku, "what": made.what, "outlet": made.outlet}
                | {"before": made.before, "after": made.after}
                | {"before_text": made.before_text, "after_text": made.after_text}
                for made, one in zip(changes, ids, strict=True)
            ],
        )


def read_changes(db: Connection, merchant: str, sku: str, before: str | None, limit: int) -> list[dict[str, Any]]:
    """A merchant's manual changes, newest first, those older than the id ``before``; of one SKU when one is named."""
    asked = {"merchant": merchant, "sku": sku, "before": before or AFTER_ALL, "limit": min(limit, CHANGES_PAGE_MAX)}
    return [dict(row) for row in db.execute(_READ, asked).mappings()]
