"""A pass inside the ledger's transaction: used with its code, past its time, refunded for what is left of it.

An order of nothing but passes is done when the last of them has ended: there is nothing else to send.
"""

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Row, text

from commerce.deadlines_sql import arm, disarm
from commerce.domain.order import OrderStatus, Step
from commerce.domain.passes import PassState, decide_use, unused_share
from commerce.errors import NotFound, Refused
from commerce.events import RefundView
from commerce.fulfilment_sql import finish, fulfil
from commerce.ledger import Finish, Fulfil, Refund
from commerce.ledger_batch_sql import Batch
from commerce.ledger_passes import PassView, RefundPass, SetPassTerms, UsePass
from commerce.orders_sql import find_order
from commerce.passes_sql import DUE, pass_view, set_terms
from commerce.refunds_sql import refund_order
from commerce.seats_sql import waits_for_team

_BY_CODE = text("SELECT * FROM pass_ WHERE merchant = :merchant AND code = :code")
_BY_USE = text("SELECT p.* FROM pass_use AS u JOIN pass_ AS p ON p.id = u.pass_id WHERE u.id = :id")
_BY_ID = text("SELECT * FROM pass_ WHERE id = :id")
_USE = text(
    "UPDATE pass_ SET left_uses = left_uses - :units, state = CASE WHEN left_uses = :units THEN 'used' ELSE state END"
    " WHERE id = :id AND state = 'active' AND left_uses >= :units"
)
_WRITE_USE = text(
    "INSERT INTO pass_use (id, pass_id, merchant, units, place, staff, created_ms)"
    " VALUES (:id, :card, :merchant, :units, :place, :staff, :now)"
)
_END = text("UPDATE pass_ SET state = :state WHERE id = :id AND state IN ('active', 'expired')")
_OPEN = text("SELECT 1 FROM pass_ WHERE order_id = :order AND state = 'active' LIMIT 1")
_USED = text("SELECT 1 FROM pass_ WHERE order_id = :order AND left_uses < uses LIMIT 1")
_OTHERS = text(
    "SELECT 1 FROM order_line AS l WHERE l.order_id = :order AND l.sku NOT IN"
    " (SELECT sku FROM pass_ WHERE order_id = :order) LIMIT 1"
)
# What is used with a code at a place is neither sent nor picked up.
_NO_METHOD = text("UPDATE orders SET delivery = NULL WHERE id = :id")


def use_pass(batch: Batch, command: UsePass) -> PassView:
    """Take uses off a pass.

    Raises NotFound, Conflict, Refused (not_open, expired, already: used up or refunded; insufficient: fewer are left).
    """
    route = "pass.use"
    stored = batch.replay(command.merchant, command.staff, route, command.key, command.hash)
    if stored is not None:
        row = batch.one(_BY_USE, id=stored)
        assert row is not None
        return pass_view(batch.connection, row)
    row = batch.one(_BY_CODE, merchant=command.merchant, code=command.code)
    if row is None:
        raise NotFound("no pass has this code")
    code = decide_use(PassState(row.state, row.left_uses, row.from_ms, row.until_ms), command.units, batch.now_ms)
    if code is not None:
        raise Refused(code, _WHY[code], left=row.left_uses, opens=row.from_ms, until=row.until_ms)
    if waits_for_team(batch, row.order_id):
        raise Refused("not_open", "its group is not full yet, or its lottery not drawn")
    batch.run(_USE, id=row.id, units=command.units)
    use = {"card": row.id, "merchant": row.merchant, "units": command.units, "place": command.place}
    written = batch.mint()
    batch.run(_WRITE_USE, id=written, staff=command.staff, now=batch.now_ms, **use)
    batch.remember(command.merchant, command.staff, route, command.key, command.hash, written)
    after = batch.one(_BY_ID, id=row.id)
    assert after is not None
    if after.state == "used":
        disarm(batch, DUE, row.id)
        _close_order(batch, after)
    return pass_view(batch.connection, after)


_WHY = {
    "not_open": "this pass cannot be used yet",
    "expired": "the time of this pass is over",
    "already": "this pass was used up or refunded",
    "insufficient": "fewer uses than that are left",
}


def _close_order(batch: Batch, card: Row[Any]) -> None:
    """All passes of an order have ended: what it sold is with its buyer."""
    if batch.one(_OPEN, order=card.order_id) is not None or batch.one(_OTHERS, order=card.order_id) is not None:
        return
    order = find_order(batch, card.merchant, card.order_id)
    if order.status not in (OrderStatus.PAID, OrderStatus.PARTLY_REFUNDED) or order.fulfilment != "open":
        return
    if batch.one(_USED, order=order.id) is None:
        # Nothing of it was used: what the shop kept it may still be asked to give back.
        return
    batch.run(_NO_METHOD, id=order.id)
    fulfil(batch, Fulfil(order.merchant, order.id, Step.SHIP, carrier="pass", number=card.id))
    finish(batch, Finish(order.merchant, order.id, None))


def pass_due(batch: Batch, card: str) -> None:
    """A pass's time is over."""
    row = batch.one(_BY_ID, id=card)
    if row is None or row.state != "active":
        return
    if batch.now_ms < row.until_ms:
        arm(batch, DUE, card, row.until_ms)
        return
    batch.run(_END, id=card, state="expired")
    _close_order(batch, row)


def refund_pass(batch: Batch, command: RefundPass) -> RefundView:
    """Refund the unused part of a pass, also of an expired one. Raises NotFound, Conflict, Refused (already)."""
    row = batch.one(_BY_ID, id=command.card)
    if row is None or row.merchant != command.merchant:
        raise NotFound("no such pass")
    amount = unused_share(row.paid, row.uses, row.left_uses)
    if batch.replay(command.merchant, command.staff, "refund", command.key, command.hash) is None:
        if row.state not in ("active", "expired") or not amount:
            raise Refused("already", "nothing of this pass is left to refund", state=row.state)
        # Before the money, so that a refund that leaves nothing finds this one ended.
        batch.run(_END, id=row.id, state="refunded")
        disarm(batch, DUE, row.id)
    order = find_order(batch, row.merchant, row.order_id)
    amount = min(amount, order.amount - order.refunded) or amount
    view = refund_order(
        batch,
        Refund(
            row.merchant, command.staff, row.order_id, command.key, command.hash, None, amount, "none", command.reason
        ),
    )
    _close_order(batch, row)
    return view


HANDLERS: Mapping[type, Callable[[Batch, Any], Any]] = {
    SetPassTerms: set_terms,
    UsePass: use_pass,
    RefundPass: refund_pass,
}
