"""What partners bear of coupons that they hand out: booked as an order is paid, and back with what of it goes back.

A coupon of a partner's takes something off an order; of that the partner bears the part that its contract said when
the offer began: an ended contract does not leave the shop with what was promised under it. The part goes off the
partner's share, below 0 if it has earned less: carried, as a share that was taken back.
"""

from typing import Any

from sqlalchemy import Row, text

from commerce.accounts_sql import move
from commerce.domain.accounts import SHOP, Leg
from commerce.domain.partner import borne, borne_back
from commerce.ledger_batch_sql import Batch

_TERMS = text(
    "SELECT t.id, t.coupon_bp FROM coupon AS c JOIN drop_ AS d ON d.id = c.drop_id JOIN partner_contract AS t"
    " ON t.partner = d.issuer AND t.merchant = d.merchant AND t.state IN ('agreed', 'closed')"
    " AND t.decided_ms <= d.starts_ms AND (t.closed_ms IS NULL OR t.closed_ms > d.starts_ms)"
    " WHERE c.id = :coupon AND d.way = 'partner' ORDER BY t.decided_ms DESC, t.id DESC LIMIT 1"
)
_USE = text(
    "INSERT INTO partner_coupon_use (order_id, coupon, merchant, partner, contract, took, borne, back, created_ms)"
    " VALUES (:order, :coupon, :merchant, :partner, :contract, :took, :borne, 0, :now)"
)
_OF_ORDER = text("SELECT * FROM partner_coupon_use WHERE order_id = :order ORDER BY coupon")
_BACK = text("UPDATE partner_coupon_use SET back = :back WHERE order_id = :order AND coupon = :coupon")


def used(batch: Batch, order: Row[Any], coupon: Row[Any]) -> None:
    """An order is paid with a coupon that somebody issued (``id``, ``issuer``, ``took``): a partner bears its part."""
    terms = batch.one(_TERMS, coupon=coupon.id)
    if terms is None:
        return
    part = borne(coupon.took, terms.coupon_bp)
    row = {"merchant": order.merchant, "partner": coupon.issuer, "contract": terms.id, "now": batch.now_ms}
    batch.run(_USE, order=order.id, coupon=coupon.id, took=coupon.took, borne=part, **row)
    _move(batch, order, coupon.issuer, part)


def refunded(batch: Batch, order: Row[Any]) -> None:
    """Something of an order goes back: of what partners bore the same part, all of it with the last 分."""
    for row in batch.run(_OF_ORDER, order=order.id).all():
        back = max(row.back, borne_back(row.borne, order.amount, order.refunded))
        batch.run(_BACK, order=order.id, coupon=row.coupon, back=back)
        _move(batch, order, row.partner, row.back - back)


def _move(batch: Batch, order: Row[Any], partner: str, part: int) -> None:
    if part:
        legs = [Leg(partner, "share_available", -part), Leg(SHOP, "share_coupon", part)]
        move(batch, order.merchant, "coupon", order.id, legs)
