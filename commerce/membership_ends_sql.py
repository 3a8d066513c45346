"""A membership inside the ledger's transaction: its monthly coupons, its end, what is given back of it.

An order of nothing but memberships is done when the last of them has ended: there is nothing else to send.
"""

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Row, text

from commerce.deadlines_sql import arm, disarm
from commerce.domain.day import DAY_MS
from commerce.domain.membership import coupon_times
from commerce.domain.order import OrderStatus, Step
from commerce.drops_sql import start_drop
from commerce.errors import CommerceError, NotFound, Refused
from commerce.events import RefundView
from commerce.fulfilment_sql import finish, fulfil
from commerce.guide_sql import MOMENT_MS
from commerce.ledger import Claim, Finish, Fulfil, Refund, StartDrop
from commerce.ledger_batch_sql import Batch
from commerce.ledger_hot_sql import run_claims
from commerce.ledger_memberships import RefundMembership, SetPlan
from commerce.membership_worth_sql import take_coupons, worth
from commerce.memberships_sql import DUE, set_plan
from commerce.orders_sql import find_order
from commerce.refunds_sql import refund_order

WAY = "member"
"""The way of drops that give members their monthly coupon: nobody taps for these."""
_BY_ID = text("SELECT * FROM membership WHERE id = :id")
_GIVEN = text("UPDATE membership SET coupons = coupons + 1 WHERE id = :id")
_CLOSE_DROP = text("UPDATE drop_ SET closed_ms = :now WHERE id = :id")
_END = text("UPDATE membership SET state = :state WHERE id = :id AND state = 'active'")
_OPEN = text("SELECT 1 FROM membership WHERE order_id = :order AND state = 'active' LIMIT 1")
_OTHERS = text(
    "SELECT 1 FROM order_line AS l WHERE l.order_id = :order AND l.sku NOT IN"
    " (SELECT sku FROM membership WHERE order_id = :order) LIMIT 1"
)
_LATER = text(
    "SELECT 1 FROM membership WHERE merchant = :merchant AND person = :person AND state = 'active'"
    " AND from_ms >= :until_ms AND id <> :id LIMIT 1"
)
# What is neither sent nor picked up.
_NO_METHOD = text("UPDATE orders SET delivery = NULL WHERE id = :id")


def membership_due(batch: Batch, membership: str) -> None:
    """A membership's coupon comes, or its time is over; however late, each coupon comes once."""
    row = batch.one(_BY_ID, id=membership)
    if row is None or row.state != "active":
        return
    times = [*(coupon_times(row.from_ms, row.months) if row.coupon_amount else ()), row.until_ms]
    due = min(row.coupons, len(times) - 1)
    if batch.now_ms < times[due]:
        arm(batch, DUE, membership, times[due])
    elif due < len(times) - 1:
        _give_coupon(batch, row)
        arm(batch, DUE, membership, times[due + 1])
    else:
        batch.run(_END, id=row.id, state="ended")
        close_order(batch, row)


def _give_coupon(batch: Batch, row: Row[Any]) -> None:
    valid_ms = row.coupon_days * DAY_MS
    terms = (row.title, "member", row.coupon_amount, row.coupon_threshold)
    drop = start_drop(batch, StartDrop(row.merchant, row.room, *terms, 1, 1, MOMENT_MS, valid_ms, way=WAY))
    [granted] = run_claims(
        batch, [Claim(row.merchant, row.room, row.person, drop.drop, f"member-{row.coupons}", "", WAY)]
    )
    if isinstance(granted, CommerceError):
        raise granted
    batch.run(_CLOSE_DROP, id=drop.drop, now=batch.now_ms)
    batch.run(_GIVEN, id=row.id)


def close_order(batch: Batch, row: Row[Any]) -> None:
    """All memberships of an order have ended: what it sold is with its buyer."""
    if batch.one(_OPEN, order=row.order_id) is not None or batch.one(_OTHERS, order=row.order_id) is not None:
        return
    order = find_order(batch, row.merchant, row.order_id)
    if order.status not in (OrderStatus.PAID, OrderStatus.PARTLY_REFUNDED) or order.fulfilment != "open":
        return
    batch.run(_NO_METHOD, id=order.id)
    fulfil(batch, Fulfil(order.merchant, order.id, Step.SHIP, carrier="member", number=row.id))
    finish(batch, Finish(order.merchant, order.id, None))


def refund_membership(batch: Batch, command: RefundMembership) -> RefundView:
    """Give back what the terms say. Raises NotFound, Conflict, Refused (already; limit: a later one is bought)."""
    row = batch.one(_BY_ID, id=command.membership)
    if row is None or row.merchant != command.merchant:
        raise NotFound("no such membership")
    amount, _ = worth(batch.connection, row, batch.now_ms)
    if batch.replay(command.merchant, command.staff, "refund", command.key, command.hash) is None:
        if row.state != "active" or not amount:
            raise Refused("already", "nothing of this membership is given back by its terms", state=row.state)
        if batch.one(_LATER, merchant=row.merchant, person=row.person, until_ms=row.until_ms, id=row.id) is not None:
            raise Refused("limit", "give back the one that follows it first")
        # Before the money, so that a refund that leaves nothing finds this one ended.
        batch.run(_END, id=row.id, state="refunded")
        disarm(batch, DUE, row.id)
        take_coupons(batch, [row])
    order = find_order(batch, row.merchant, row.order_id)
    amount = min(amount, order.amount - order.refunded) or amount
    terms = (command.key, command.hash, None, amount, "none", command.reason)
    view = refund_order(batch, Refund(row.merchant, command.staff, row.order_id, *terms))
    close_order(batch, row)
    return view


HANDLERS: Mapping[type, Callable[[Batch, Any], Any]] = {SetPlan: set_plan, RefundMembership: refund_membership}
