"""What a membership has brought its buyer so far: read to say what is given back of it.

Coupons of it that are on orders, what its price took off orders, points beyond the plain ones: each of them as far as
the order that had them was not given back. An unpaid order counts, as it has its price.
"""

from collections.abc import Iterable
from typing import Any

import orjson
from sqlalchemy import Connection, Row, text

from commerce.coupons_taken_sql import take_back
from commerce.domain.membership import given_back, unused
from commerce.domain.money import portion
from commerce.domain.pricing import POINT_FEN
from commerce.ledger_batch_sql import Batch

_COUPONS = text(
    "SELECT c.id, coalesce(u.amount, 0) AS took, coalesce(o.amount, 0) AS amount, coalesce(o.refunded, 0) AS refunded"
    " FROM coupon AS c JOIN drop_ AS d ON d.id = c.drop_id AND d.way = 'member' AND d.title = :title"
    " LEFT JOIN orders AS o ON o.id = c.order_id LEFT JOIN order_coupon AS u ON u.order_id = o.id AND u.coupon = c.id"
    " WHERE c.merchant = :merchant AND c.person = :person AND c.created_ms BETWEEN :since AND :last"
    " AND c.amount = :coupon_amount AND c.threshold = :coupon_threshold ORDER BY c.id LIMIT :coupons"
)
_PRICED = text(
    "SELECT steps, amount, refunded FROM orders WHERE merchant = :merchant AND person = :person"
    " AND created_ms BETWEEN :since AND :last AND status <> 'cancelled' AND steps LIKE '%\"member\"%'"
)
_POINTS = text(
    "SELECT l.granted, coalesce(o.amount, r.amount) AS amount, coalesce(o.refunded, r.refunded) AS refunded"
    " FROM points_lot AS l LEFT JOIN orders AS o ON o.id = l.ref LEFT JOIN pos_receipt AS r ON r.id = l.ref"
    " WHERE l.merchant = :merchant AND l.person = :person AND l.created_ms BETWEEN :since AND :last"
    " AND l.why = 'order' AND l.ref <> :order_id AND coalesce(o.id, r.id) IS NOT NULL"
)


def worth(db: Connection, row: Row[Any], now_ms: int) -> tuple[int, int]:
    """(分 of a ``membership`` row's payment that go back now, 分 that it has brought its buyer)."""
    if row.state != "active":
        return 0, 0
    left = unused(row.paid, row.refund, row.from_ms, row.until_ms, now_ms)
    if not left or now_ms < row.from_ms:
        return left, 0
    enjoyed = _enjoyed(db, row)
    return given_back(row.paid, left, enjoyed), enjoyed


def _enjoyed(db: Connection, row: Row[Any]) -> int:
    asked = _asked(row)
    found = sum(_kept(one.took, one) for one in db.execute(_COUPONS, asked))
    if row.price_percent < 100:
        found += sum(_kept(_off(one.steps), one) for one in db.execute(_PRICED, asked))
    if row.points_percent > 100:
        more, of = row.points_percent - 100, row.points_percent
        found += sum(_kept(one.granted, one) * more // of * POINT_FEN for one in db.execute(_POINTS, asked))
    return found


def take_coupons(batch: Batch, memberships: Iterable[Row[Any]]) -> None:
    """Memberships were given back: their coupons go, too."""
    for row in memberships:
        take_back(batch, [coupon.id for coupon in batch.run(_COUPONS, **_asked(row))])


def _asked(row: Row[Any]) -> dict[str, Any]:
    names = ("merchant", "person", "title", "coupon_amount", "coupon_threshold", "coupons", "order_id")
    return {name: getattr(row, name) for name in names} | {"since": row.from_ms, "last": row.until_ms - 1}


def _kept(amount: int, order: Row[Any]) -> int:
    """What of an order's advantage stays, when part of the order was given back."""
    return amount - portion(amount, order.refunded, order.amount)


def _off(steps: str) -> int:
    return sum(-int(step["amount"]) for step in orjson.loads(steps) if step["step"] == "member")
