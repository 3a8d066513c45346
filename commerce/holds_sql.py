"""Ending and taking holds outside the fast path: the one place that moves units between counters row by row.

Every hold ends once (held → sold, released or expired), by compare-and-set; what it held goes to sold, back to its
open sale, or back to the SKU's free stock. The arithmetic is in tables_ledger.py's docstring.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, text

from commerce.domain.sale import SaleMode, decide_hold, door
from commerce.errors import Refused
from commerce.events import HoldExpired
from commerce.ledger import PAYMENT_GRACE_MS
from commerce.ledger_batch_sql import Batch, as_rows
from commerce.ledger_text_sql import DUE
from commerce.seats_sql import leave_seats
from commerce.stock_sql import move_stock
from commerce.waiting_sql import serve

_DUE_ANY = text(DUE + " ORDER BY h.expires_ms LIMIT :limit")
_SELL_SALE = text("UPDATE sale SET held = held - :units, sold = sold + :units WHERE id = :id")
_FREE_SALE = text("UPDATE sale SET held = held - :units, free = free + :units WHERE id = :id AND closed_ms IS NULL")
_RETURN_SALE = text("UPDATE sale SET held = held - :units, returned = returned + :units WHERE id = :id")
_TAKE_SALE = text("UPDATE sale SET free = free - :units, held = held + :units WHERE id = :id AND free >= :units")
_LOWER_QUOTA = text("UPDATE quota SET used = used - :units WHERE scope = :scope AND person = :person")
_QUOTA = text("SELECT used FROM quota WHERE scope = :scope AND person = :person")
_INSERT = text(
    "INSERT INTO hold (id, merchant, sale, sku, person, quantity, price, expires_ms, state, order_id,"
    " outlet)"
    " VALUES (:id, :merchant, :sale, :sku, :person, :quantity, :price, :expires_ms, 'held', :order, :outlet)"
)
_OF_ORDER = text("SELECT * FROM hold WHERE order_id = :order AND state = 'held'")


class LostHold(Exception):
    """A hold was not in state held when it was to end: somebody else ended it. The transaction must not go on."""


@dataclass(frozen=True, slots=True)
class Taking:
    """Units to take for an order: of a sale, or of the free stock of ``outlet`` (empty: the warehouse)."""

    merchant: str
    person: str
    sale: str | None
    sku: str
    quantity: int
    price: int
    outlet: str = ""


def holds_of_order(batch: Batch, order: str) -> Sequence[Row[Any]]:
    """The order's holds that are still held."""
    return batch.run(_OF_ORDER, order=order).all()


def sell_holds(batch: Batch, holds: Sequence[Row[Any]]) -> None:
    """held → sold for all of them, which are one order's. Raises LostHold when one is not held any more."""
    _end(batch, holds, "sold")
    skus: Counter[tuple[str, str, str, str]] = Counter()
    sales: Counter[str] = Counter()
    for hold in holds:
        skus[hold.outlet or "", hold.merchant, hold.sku, hold.order_id] += hold.quantity
        if hold.sale is not None:
            sales[hold.sale] += hold.quantity
    for sale, units in sorted(sales.items()):
        batch.run(_SELL_SALE, id=sale, units=units)
        batch.sale_moved(sale)
    for (outlet, merchant, sku, order), units in sorted(skus.items()):
        move_stock(batch, merchant, sku, "sold", order, outlet=outlet, held=-units, sold=units)


def release_holds(batch: Batch, holds: Sequence[Row[Any]], state: str) -> None:
    """held → released or expired; units go back to their open sale or to free stock, and quotas are credited."""
    _end(batch, holds, state)
    skus: Counter[tuple[str, str, str, str]] = Counter()
    sales: Counter[tuple[str, str, str]] = Counter()
    quotas: Counter[tuple[str, str]] = Counter()
    for hold in holds:
        if hold.sale is None:
            skus[hold.outlet or "", hold.merchant, hold.sku, hold.order_id or ""] += hold.quantity
        else:
            sales[hold.sale, hold.merchant, hold.sku] += hold.quantity
            quotas[hold.sale, hold.person] += hold.quantity
    for (sale, merchant, sku), units in sorted(sales.items()):
        if not batch.run(_FREE_SALE, id=sale, units=units).rowcount:
            batch.run(_RETURN_SALE, id=sale, units=units)
            skus["", merchant, sku, sale] += units
        batch.sale_moved(sale)
    for (outlet, merchant, sku, ref), units in sorted(skus.items()):
        move_stock(batch, merchant, sku, "released", ref, outlet=outlet, held=-units, free=units)
    lowered = [{"scope": scope, "person": person, "units": units} for (scope, person), units in sorted(quotas.items())]
    batch.run_many(_LOWER_QUOTA, lowered)
    for row in batch.sales({sale for sale, _, _ in sales}).values():
        if row.mode == SaleMode.TEAM:
            leave_seats(batch, [hold.id for hold in holds if hold.sale == row.id])
        elif row.waiting:
            serve(batch, row)


def _end(batch: Batch, holds: Sequence[Row[Any]], state: str) -> None:
    ended = batch.run(batch.texts.end_holds, rows=as_rows(hold.id for hold in holds), state=state).rowcount
    if ended != len(holds):
        raise LostHold(f"{len(holds) - ended} of {len(holds)} holds were not held")


def take_units(batch: Batch, taking: Taking, order: str, expires_ms: int) -> str:
    """Take units for an order outside the fast path; the new hold's id. Raises Refused (sold_out, limit, closed …)."""
    if taking.sale is None:
        units = taking.quantity
        what, place = (taking.merchant, taking.sku, "held", order), taking.outlet
        if not move_stock(batch, *what, outlet=place, free=-units, held=units):
            raise Refused("sold_out", "not that many are left" + (" in this store" if place else ""), sku=taking.sku)
    else:
        _take_of_sale(batch, taking, taking.sale)
    identifier = batch.mint()
    batch.run(
        _INSERT,
        id=identifier,
        merchant=taking.merchant,
        sale=taking.sale,
        sku=taking.sku,
        person=taking.person,
        quantity=taking.quantity,
        price=taking.price,
        expires_ms=expires_ms,
        order=order,
        outlet=taking.outlet or None,
    )
    return identifier


def _take_of_sale(batch: Batch, taking: Taking, sale_id: str) -> None:
    sale = batch.sales([sale_id])[sale_id]
    closed = door(sale, batch.now_ms)
    # Money that came in just after the doors closed still buys units that are free in a sale not yet wound up.
    if sale.closed_ms is not None or closed in ("not_open", "by_draw", "by_team"):
        raise Refused("closed", "the sale has closed")
    row = batch.one(_QUOTA, scope=sale_id, person=taking.person)
    code = decide_hold(sale.free, 0 if row is None else row.used, sale.per_person, taking.quantity)
    if code is not None:
        raise Refused(code, "the units are gone")
    batch.run(_TAKE_SALE, id=sale_id, units=taking.quantity)
    batch.run(batch.texts.raise_quotas, rows=as_rows([(taking.person, taking.quantity, None)]), scope=sale_id)
    batch.sale_moved(sale_id)


def expire_due(batch: Batch, limit: int, sales: Iterable[str] | None = None) -> tuple[int, list[str]]:
    """End due holds (of ``sales``, or of all) that no order has; returns how many are due and the due orders.

    Holds of an order end with it, in orders_sql.expire_orders, which the caller does next.
    """
    parameters: dict[str, Any] = {"now": batch.now_ms, "grace": batch.now_ms - PAYMENT_GRACE_MS, "limit": limit}
    if sales is None:
        due = batch.run(_DUE_ANY, **parameters).all()
    else:
        due = batch.run(batch.texts.due_of_sales, rows=as_rows(sales), **parameters).all()
    if not due:
        return 0, []
    loose = [hold for hold in due if hold.order_id is None]
    orders = sorted({hold.order_id for hold in due if hold.order_id is not None})
    if loose:
        release_holds(batch, loose, "expired")
        rooms = {sale.id: sale.room for sale in batch.sales({hold.sale for hold in loose}).values()}
        for hold in loose:
            common = (batch.mint(), hold.merchant, rooms[hold.sale], batch.now_ms)
            batch.emit(HoldExpired(*common, hold.person, hold.id, hold.sale))
    return len(due), orders
