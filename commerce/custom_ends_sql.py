"""The making of custom orders from stage to stage, and its buyer's change of mind, inside the ledger's transaction."""

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Row, text

from commerce.domain.custom import BEFORE_MAKING, stage_refused
from commerce.domain.order import NOT_YET, Fulfilment, OrderStatus
from commerce.errors import Refused
from commerce.events import OrderMaking, OrderView, RefundView
from commerce.ledger import Refund
from commerce.ledger_batch_sql import Batch
from commerce.ledger_custom import CancelMade, Produce
from commerce.orders_sql import find_order
from commerce.refunds_sql import refund_order
from commerce.views_sql import order_view

_PRODUCTION = text("SELECT * FROM production WHERE id = :id AND merchant = :merchant")
_BALANCE = text("SELECT balance FROM presale WHERE id = :id")
_STAGE = {
    stage: text(f"UPDATE production SET stage = '{stage}', {stage}_ms = :now WHERE id = :id")  # noqa: S608 - constants
    for stage in ("confirmed", "making", "ready")
}
_DUE = text("UPDATE production SET due_ms = :due WHERE id = :id")


def produce(batch: Batch, command: Produce) -> OrderView:
    """One stage on, and/or another day. Raises NotFound, Refused (not_open, already, gone)."""
    row, made = _made(batch, command.merchant, command.order)
    if made.ended_ms is not None:
        raise Refused("gone", "this order has ended: nothing is made for it", order=row.id)
    if command.stage:
        why = stage_refused(made.stage, command.stage)
        if why is not None:
            raise Refused(why, f"the order is {made.stage}", order=row.id, stage=made.stage)
        batch.run(_STAGE[command.stage], id=made.id, now=batch.now_ms)
    elif made.stage == "sent":
        raise Refused("already", "the goods were sent", order=row.id)
    if command.due_ms is not None:
        batch.run(_DUE, id=made.id, due=command.due_ms)
    goods = _goods_order(batch, made)
    view = order_view(batch.connection, goods)
    batch.emit(OrderMaking(batch.mint(), goods.merchant, goods.room, batch.now_ms, goods.person, view))
    return view


def cancel_made(batch: Batch, command: CancelMade) -> RefundView:
    """Give all of an order back whose making has not begun; a paid balance takes its deposit with it.

    Raises NotFound, Conflict, Refused (not_open, already).
    """
    row, made = _made(batch, command.merchant, command.order, command.person)
    goods = _goods_order(batch, made)
    # The balance that is paid brings the goods back, and its deposit follows by the presale's rule.
    of = find_order(batch, row.merchant, made.id) if OrderStatus(goods.status) in NOT_YET else goods
    stock = "none" if of.presale == of.id else "sellable"
    terms = (command.key, command.hash, None, None, stock, "cancelled by its buyer before the making")
    refund = Refund(row.merchant, command.person, of.id, *terms)
    known = batch.replay(command.merchant, command.person, "refund", command.key, command.hash)
    if known is None:
        if made.ended_ms is not None:
            raise Refused("already", "this order has ended", order=row.id)
        if made.stage not in BEFORE_MAKING or goods.fulfilment != Fulfilment.OPEN:
            raise Refused("already", "the making has begun: ask the shop", order=row.id, stage=made.stage)
    return refund_order(batch, refund)


def _made(batch: Batch, merchant: str, order: str, person: str | None = None) -> tuple[Row[Any], Row[Any]]:
    row = find_order(batch, merchant, order, person)
    made = batch.one(_PRODUCTION, id=row.presale or row.id, merchant=merchant)
    if made is None:
        raise Refused("not_open", "nothing of this order is made to wishes, or it is not paid yet", order=row.id)
    return row, made


def _goods_order(batch: Batch, made: Row[Any]) -> Row[Any]:
    """The order whose goods they are: of a deposit, its balance."""
    balance = batch.run(_BALANCE, id=made.id).scalar()
    return find_order(batch, made.merchant, balance or made.id)


HANDLERS: Mapping[type, Callable[[Batch, Any], Any]] = {Produce: produce, CancelMade: cancel_made}
