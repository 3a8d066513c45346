"""Goods on their way, inside the ledger's transaction: shipped, picked up, done.

What leaves is what was bought less what came back before: those units go sold → shipped, and with them the left side of
``received + adjusted − shipped = free + held + sold + quarantined`` falls.
"""

import hmac
from collections.abc import Callable, Mapping
from typing import Any

import orjson
from sqlalchemy import Row, text

from commerce.aftersale_sql import WENT_OUT, requests_overtaken
from commerce.custom_sql import check_made, production_sent
from commerce.domain.order import GOODS_AFTER, STATUS_AFTER, Fulfilment, OrderStatus, Step, refuse_step
from commerce.errors import Refused
from commerce.events import OrderDone, OrderFulfilled, OrderView
from commerce.ledger import FINISH_AFTER_MS, Finish, Fulfil
from commerce.ledger_batch_sql import Batch
from commerce.members_sql import order_done
from commerce.orders_sql import find_order
from commerce.seats_sql import waits_for_team
from commerce.stock_sql import move_stock
from commerce.views_sql import order_view

_UNITS = text(
    "SELECT l.sku, coalesce(h.outlet, '') AS outlet, sum(l.quantity - coalesce(r.returned, 0)) AS units"
    " FROM order_line AS l LEFT JOIN hold AS h ON h.id = l.hold LEFT JOIN"
    " (SELECT n, sum(returned) AS returned FROM refund_line WHERE order_id = :order GROUP BY n) AS r ON r.n = l.n"
    " WHERE l.order_id = :order GROUP BY l.sku, coalesce(h.outlet, '') ORDER BY 2, 1"
)
_SEND = text(
    "UPDATE orders SET fulfilment = :fulfilment, status = :status, delivery = :delivery, fulfilled_ms = :now"
    " WHERE id = :id"
)
_FINISH = text("UPDATE orders SET fulfilment = :fulfilment, status = :status, done_ms = :now WHERE id = :id")
_ERRAND = text("SELECT 1 FROM courier_errand WHERE order_id = :order AND ended_ms IS NULL")
_SENT = text(
    "SELECT * FROM orders WHERE fulfilment IN ('shipped', 'picked_up') AND fulfilled_ms <= :before"
    " ORDER BY fulfilled_ms LIMIT :limit"
)


def fulfil(batch: Batch, command: Fulfil) -> OrderView:
    """Ship an order or hand it over.

    Raises NotFound, Refused (not_open: unpaid, refunded or to be fetched another way; already; bad_code; courier: one
    is on its way for it).
    """
    row = find_order(batch, command.merchant, command.order)
    if batch.one(_ERRAND, order=row.id) is not None:
        raise Refused("courier", "a courier is on the way for this order: call that off first", order=row.id)
    carried = {"carrier": command.carrier, "number": command.number}
    return send(batch, row, command.step, carried, code=command.code)


def send(batch: Batch, row: Row[Any], step: Step, carried: Mapping[str, str], *, code: str = "") -> OrderView:
    """Let goods go with what is known of the carrier, or by the code that its buyer shows. Raises Refused."""
    status, goods = OrderStatus(row.status), Fulfilment(row.fulfilment)
    wrong = refuse_step(status, goods, step)
    if wrong is not None:
        raise Refused(wrong, _WHY[wrong], order=row.id)
    if row.presale == row.id:
        raise Refused("not_open", "a deposit has no goods: those are of its balance order", order=row.id)
    check_made(batch, row)
    if waits_for_team(batch, row.id):
        raise Refused("not_open", "its group is not full yet, or its lottery not drawn", order=row.id)
    delivery: dict[str, Any] = {} if row.delivery is None else orjson.loads(row.delivery)
    if step is Step.PICK_UP:
        if delivery.get("method") != "pickup":
            raise Refused("not_open", "this order is not to be picked up", order=row.id)
        if not hmac.compare_digest(str(delivery["code"]).encode(), code.encode()):
            raise Refused("bad_code", "this is not the order's pickup code", order=row.id)
    elif delivery.get("method") == "pickup":
        raise Refused("not_open", "this order is to be picked up with its code", order=row.id)
    else:
        delivery |= carried
    units = [line for line in batch.run(_UNITS, order=row.id).all() if line.units > 0]
    if not units:
        raise Refused("not_open", "all of its units came back", order=row.id)
    for line in units:
        gone = {"sold": -line.units, "shipped": line.units}
        move_stock(batch, row.merchant, line.sku, "shipped", row.id, outlet=line.outlet, **gone)
    after = {
        "fulfilment": str(GOODS_AFTER[goods, step]),
        "status": str(STATUS_AFTER[status, step]),
        "delivery": orjson.dumps(delivery).decode(),
    }
    batch.run(_SEND, id=row.id, now=batch.now_ms, **after)
    production_sent(batch, row)
    requests_overtaken(batch, row, WENT_OUT)
    row = find_order(batch, row.merchant, row.id)
    view = order_view(batch.connection, row)
    batch.emit(OrderFulfilled(batch.mint(), row.merchant, row.room, batch.now_ms, row.person, view))
    return view


_WHY = {
    "not_open": "the order is not at this step yet",
    "already": "the order is past this step",
}


def finish(batch: Batch, command: Finish) -> OrderView:
    """The buyer has the goods. Raises NotFound, Refused (not_open, already)."""
    row = find_order(batch, command.merchant, command.order, command.person)
    code = refuse_step(OrderStatus(row.status), Fulfilment(row.fulfilment), Step.FINISH)
    if code is not None:
        raise Refused(code, _WHY[code], order=row.id)
    return finish_order(batch, row)


def finish_order(batch: Batch, row: Row[Any]) -> OrderView:
    """Let an order that was sent be done."""
    after = {
        "fulfilment": str(GOODS_AFTER[Fulfilment(row.fulfilment), Step.FINISH]),
        # All money of goods that were sent may have gone back: then the status goes on saying so.
        "status": str(STATUS_AFTER.get((OrderStatus(row.status), Step.FINISH), row.status)),
    }
    batch.run(_FINISH, id=row.id, now=batch.now_ms, **after)
    order_done(batch, row)
    if row.presale is not None:
        order_done(batch, find_order(batch, row.merchant, row.presale))
    row = find_order(batch, row.merchant, row.id)
    view = order_view(batch.connection, row)
    batch.emit(OrderDone(batch.mint(), row.merchant, row.room, batch.now_ms, row.person, view))
    return view


def finish_sent(batch: Batch, limit: int) -> None:
    """Finish what was sent long ago and nobody said a word about."""
    for row in batch.run(_SENT, before=batch.now_ms - FINISH_AFTER_MS, limit=limit).all():
        finish_order(batch, row)


HANDLERS: Mapping[type, Callable[[Batch, Any], Any]] = {Fulfil: fulfil, Finish: finish}
