"""Coupons that are taken back: what they were given for was given back.

Their time ends now, whatever they are on. Unused ones are spent by nobody, and are their issuer's budget again with the
next sweep; on an order that is unpaid or paid they count for that, and do not come back from it.
"""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Row, text

from commerce.freight_sql import earning_of
from commerce.ledger_batch_sql import Batch
from commerce.wallet_sql import read_program

_END = text("UPDATE coupon SET expires_ms = :now WHERE id = :id AND expires_ms > :now")
# A gift remembers its first coupon. The others are known by their moment, in which its buyer has no other gift: of two
# that were paid in one millisecond they stay.
_OF_GIFT = text(
    "SELECT c.id FROM payment_gift AS g JOIN coupon AS c ON c.merchant = g.merchant AND c.person = g.person"
    " AND c.created_ms = g.created_ms JOIN drop_ AS d ON d.id = c.drop_id AND d.way = 'gift'"
    " WHERE g.order_id = :order AND (c.id = g.coupon OR NOT EXISTS (SELECT 1 FROM payment_gift AS o"
    " WHERE o.merchant = g.merchant AND o.person = g.person AND o.created_ms = g.created_ms AND o.order_id <> :order))"
)


def take_back(batch: Batch, coupons: Iterable[str]) -> None:
    """End coupons now; those that have ended stay as they are."""
    batch.run_many(_END, [{"id": coupon, "now": batch.now_ms} for coupon in coupons])


def gift_refunded(batch: Batch, before: Row[Any], after: Row[Any]) -> None:
    """A payment's gift goes back when what is left of the payment would not have been given it.

    ``before`` and ``after`` are the order around a refund. A shop that asks for more than it did takes nothing from an
    order that had too little by then: that one keeps its gift until nothing is left.
    """
    if after.kind != "goods":
        return
    least = max(1, read_program(batch.connection, after.merchant).gift_amount)
    earning = earning_of(batch.connection, after.id, after.amount)
    was, left = earning - min(before.refunded, earning), earning - min(after.refunded, earning)
    if left == 0 or left < least <= was:
        take_back(batch, batch.run(_OF_GIFT, order=after.id).scalars().all())
