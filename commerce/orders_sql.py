"""Orders inside the ledger's transaction: create, cancel, expire."""

import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import orjson
from sqlalchemy import Row, text

from commerce.domain.coupon import unusable
from commerce.domain.order import LINES_MAX, OrderStatus, sum_lines
from commerce.domain.pricing import CouponTerms, Price, PricedLine, price_order
from commerce.domain.sale import QUANTITY_MAX
from commerce.errors import Invalid, NotFound, Refused
from commerce.events import OrderCancelled, OrderCreated, OrderView
from commerce.holds_sql import Taking, expire_due, holds_of_order, release_holds, take_units
from commerce.ledger import ORDER_HOLD_MS, CancelOrder, CreateOrder
from commerce.ledger_batch_sql import Batch, as_rows
from commerce.views_sql import order_view

_HOLD = text("SELECT * FROM hold WHERE id = :id")
_GIVE_HOLD = text("UPDATE hold SET order_id = :order WHERE id = :id AND state = 'held' AND order_id IS NULL")
_SALE = text("SELECT product, title, list_price, room FROM sale WHERE id = :id")
_COUPON = text("SELECT * FROM coupon WHERE id = :id AND merchant = :merchant AND person = :person")
_LOCK_COUPON = text("UPDATE coupon SET state = 'locked', order_id = :order WHERE id = :id AND state = 'unused'")
_UNLOCK_COUPON = text(
    "UPDATE coupon SET state = 'unused', order_id = NULL WHERE order_id = :order AND state = 'locked'"
)
_INSERT_ORDER = text(
    "INSERT INTO orders (id, merchant, room, person, status, goods, discount, amount, coupon, steps, decision, card,"
    " entered_ms, created_ms, expires_ms, delivery) VALUES (:id, :merchant, :room, :person, 'pending', :goods,"
    " :discount, :amount, :coupon, :steps, :decision, :card, :entered_ms, :now, :expires_ms, :delivery)"
)
_INSERT_LINE = text(
    "INSERT INTO order_line (order_id, n, hold, sale, product, sku, title, quantity, price, list_price, discount)"
    " VALUES (:order, :n, :hold, :sale, :product, :sku, :title, :quantity, :price, :list_price, :discount)"
)
_ORDER = text("SELECT * FROM orders WHERE id = :id AND merchant = :merchant")
_CANCEL = text(
    "UPDATE orders SET status = 'cancelled', cancelled_ms = :now, reason = :reason"
    " WHERE id = :id AND status = 'pending'"
)
_STARTED = text("SELECT id FROM payment WHERE order_id = :order AND state = 'started'")
_CLOSE_PAYMENTS = text("UPDATE payment SET state = 'closed' WHERE order_id = :order AND state IN ('started')")

PICKUP_CODE_DIGITS = 6
"""As on a parcel locker: it is checked by staff, one order at a time."""


@dataclass(frozen=True, slots=True)
class _Line:
    """A line on its way into an order; ``hold`` is None until its units are taken."""

    priced: PricedLine
    hold: str | None
    sale: str | None
    product: str
    title: str


def find_order(batch: Batch, merchant: str, order: str, person: str | None = None) -> Row[Any]:
    """The order's row. Raises NotFound for another merchant's or person's."""
    row = batch.one(_ORDER, id=order, merchant=merchant)
    if row is None or (person is not None and row.person != person):
        raise NotFound("no such order")
    return row


def create_order(batch: Batch, command: CreateOrder) -> OrderView:
    """Make a pending order.

    Raises NotFound, Invalid, Conflict, or Refused (gone, already, price_changed, sold_out, coupon_invalid).
    """
    stored = batch.replay(command.merchant, command.person, "order", command.key, command.hash)
    if stored is not None:
        return order_view(batch.connection, find_order(batch, command.merchant, stored))
    if command.hold is None and not command.lines:
        raise Invalid("an order needs a hold or lines")
    order = batch.mint()
    expires_ms = batch.now_ms + ORDER_HOLD_MS
    lines: list[_Line] = []
    if command.hold is not None:
        line, expires_ms = _line_of_hold(batch, command, command.hold, order)
        lines.append(line)
    for line in _lines_of_skus(batch, command):
        units = line.priced
        taking = Taking(command.merchant, command.person, None, units.sku, units.quantity, units.price)
        hold = take_units(batch, taking, order, expires_ms)
        lines.append(_Line(units, hold, None, line.product, line.title))
    price = _price(batch, command, [line.priced for line in lines], order)
    _insert(batch, command, order, lines, price, expires_ms)
    batch.remember(command.merchant, command.person, "order", command.key, command.hash, order)
    view = order_view(batch.connection, find_order(batch, command.merchant, order))
    batch.emit(OrderCreated(batch.mint(), command.merchant, command.room, batch.now_ms, command.person, view))
    return view


def _line_of_hold(batch: Batch, command: CreateOrder, hold_id: str, order: str) -> tuple[_Line, int]:
    hold = batch.one(_HOLD, id=hold_id)
    if hold is None or hold.merchant != command.merchant or hold.person != command.person or hold.sale is None:
        raise NotFound("no such hold")
    sale = batch.one(_SALE, id=hold.sale)
    if sale is None or sale.room != command.room:
        raise NotFound("no such hold in this room")
    if hold.order_id is not None:
        raise Refused("already", "the hold is in an order", order=hold.order_id)
    if hold.state != "held" or hold.expires_ms <= batch.now_ms:
        raise Refused("gone", "the hold has ended")
    batch.run(_GIVE_HOLD, id=hold_id, order=order)
    # A struck-through price below the flash price would make the flash a surcharge.
    shelf = max(sale.list_price, hold.price)
    line = _Line(PricedLine(hold.sku, hold.quantity, shelf, hold.price), hold_id, hold.sale, sale.product, sale.title)
    return line, hold.expires_ms


def _lines_of_skus(batch: Batch, command: CreateOrder) -> list[_Line]:
    wanted = sum_lines(command.lines)
    if len(command.lines) > LINES_MAX or any(not 0 < line.quantity <= QUANTITY_MAX for line in wanted):
        raise Invalid(f"an order has up to {LINES_MAX} lines of 1 to {QUANTITY_MAX} units")
    if not wanted:
        return []
    found = batch.run(batch.texts.prices, rows=as_rows(line.sku for line in wanted), merchant=command.merchant)
    prices = {row.id: row for row in found}
    lines = []
    for line in wanted:
        row = prices.get(line.sku)
        if row is None:
            raise NotFound("no such product", sku=line.sku)
        if not row.on_shelf:
            raise Refused("gone", "the product is off the shelf", sku=line.sku)
        if line.version is not None and line.version != row.version:
            raise Refused("price_changed", "the price has changed", sku=line.sku, price=row.price, version=row.version)
        lines.append(_Line(PricedLine(line.sku, line.quantity, row.price), None, None, row.product, row.title))
    return lines


def _price(batch: Batch, command: CreateOrder, lines: list[PricedLine], order: str) -> Price:
    terms = None
    if command.coupon is not None:
        row = batch.one(_COUPON, id=command.coupon, merchant=command.merchant, person=command.person)
        if row is None:
            raise NotFound("no such coupon")
        goods = sum(line.quantity * line.price for line in lines)
        why = unusable(row.state, row.expires_ms, row.threshold, goods, batch.now_ms)
        if why is not None or not batch.run(_LOCK_COUPON, id=row.id, order=order).rowcount:
            raise Refused("coupon_invalid", why or "the coupon is on another order")
        terms = CouponTerms(row.id, row.title, row.amount)
    return price_order(lines, terms)


def _insert(batch: Batch, command: CreateOrder, order: str, lines: list[_Line], price: Price, expires_ms: int) -> None:
    batch.run(
        _INSERT_ORDER,
        id=order,
        merchant=command.merchant,
        room=command.room,
        person=command.person,
        goods=price.goods,
        discount=price.discount,
        amount=price.amount,
        coupon=command.coupon,
        steps=orjson.dumps([step.as_json() for step in price.steps]).decode(),
        decision=None if command.decision is None else orjson.dumps(command.decision).decode(),
        card=command.card,
        entered_ms=command.entered_ms,
        now=batch.now_ms,
        expires_ms=expires_ms,
        delivery=_delivery(command),
    )
    batch.run_many(
        _INSERT_LINE,
        [
            {
                "order": order,
                "n": n,
                "hold": line.hold,
                "sale": line.sale,
                "product": line.product,
                "sku": line.priced.sku,
                "title": line.title,
                "quantity": line.priced.quantity,
                "price": line.priced.price,
                "list_price": line.priced.shelf_price,
                "discount": discount,
            }
            for n, (line, discount) in enumerate(zip(lines, price.line_discounts, strict=True))
        ],
    )


def _delivery(command: CreateOrder) -> str | None:
    """The delivery as it is stored; what is picked up gets a code that only the buyer is told."""
    if command.delivery is None:
        return None
    fields: dict[str, Any] = asdict(command.delivery)
    if command.delivery.method == "pickup":
        fields["code"] = f"{secrets.randbelow(10**PICKUP_CODE_DIGITS):0{PICKUP_CODE_DIGITS}}"
    return orjson.dumps(fields).decode()


def cancel_order(batch: Batch, command: CancelOrder) -> OrderView:
    """End a pending order; one that is cancelled already is given back as it is. Raises Refused (already) when paid."""
    row = find_order(batch, command.merchant, command.order, command.person)
    if row.status not in (OrderStatus.PENDING, OrderStatus.CANCELLED):
        if command.reason == "expired":
            return order_view(batch.connection, row)
        raise Refused("already", "the order is paid")
    if row.status == OrderStatus.CANCELLED or (command.reason == "expired" and row.expires_ms > batch.now_ms):
        return order_view(batch.connection, row)
    return end_order(batch, row, command.reason)


def end_order(batch: Batch, row: Row[Any], reason: str) -> OrderView:
    """pending → cancelled: release the holds, give the coupon back, close the payments; ``reason`` is kept."""
    state = "expired" if reason == "expired" else "released"
    release_holds(batch, holds_of_order(batch, row.id), state)
    batch.run(_UNLOCK_COUPON, order=row.id)
    payments = tuple(batch.run(_STARTED, order=row.id).scalars())
    batch.run(_CLOSE_PAYMENTS, order=row.id)
    batch.run(_CANCEL, id=row.id, now=batch.now_ms, reason=reason)
    view = order_view(batch.connection, find_order(batch, row.merchant, row.id))
    batch.emit(OrderCancelled(batch.mint(), row.merchant, row.room, batch.now_ms, row.person, view, payments))
    return view


def reclaim(batch: Batch, limit: int, sales: Iterable[str] | None = None) -> int:
    """End due holds and the due orders that have them; how many holds were due (``limit`` means there may be more)."""
    due, orders = expire_due(batch, limit, sales)
    if orders:
        for row in batch.run(batch.texts.pending_orders, rows=as_rows(orders)).all():
            end_order(batch, row, "expired")
    return due


HANDLERS: Mapping[type, Callable[[Batch, Any], Any]] = {CreateOrder: create_order, CancelOrder: cancel_order}
