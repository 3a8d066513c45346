"""Suppliers, purchase orders and costs as they are read."""

from typing import Any

from sqlalchemy import Connection, Row, text

from commerce.domain.cost import unit_cost
from commerce.domain.ids import AFTER_ALL
from commerce.errors import NotFound
from commerce.ledger_purchases import (
    CostView,
    DeliveredView,
    DeliveryView,
    PurchaseLineView,
    PurchaseStepView,
    PurchaseView,
)

_OWED = (
    "(SELECT coalesce(sum(CASE d.kind WHEN 'receipt' THEN d.amount ELSE -d.amount END), 0) FROM purchase_delivery AS d"
    " JOIN purchase AS p ON p.id = d.purchase WHERE p.supplier = {0})"
    " - (SELECT coalesce(sum(y.amount), 0) FROM supplier_payment AS y WHERE y.supplier = {0})"
)
_ONE_OWED = text(f"SELECT CAST({_OWED.format(':supplier')} AS bigint) AS owed")
_SUPPLIERS = text(
    "SELECT s.id, s.name, s.contact, s.phone, s.note, s.closed_ms,"  # noqa: S608 - constants of this module
    f" CAST({_OWED.format('s.id')} AS bigint) AS owed,"
    " (SELECT count(*) FROM purchase AS p WHERE p.supplier = s.id AND p.state IN ('ordered', 'partly')) AS open_orders"
    " FROM supplier AS s WHERE s.merchant = :merchant AND s.id > :after ORDER BY s.id LIMIT :limit"
)
_PURCHASE = (
    "SELECT p.*, s.name AS supplier_name FROM purchase AS p JOIN supplier AS s ON s.id = p.supplier"
    " WHERE p.merchant = :merchant"
)
_ONE = text(f"{_PURCHASE} AND p.id = :id")
_LIST = text(
    f"{_PURCHASE} AND p.id < :before AND (:state = '' OR p.state = :state)"
    " AND (:supplier = '' OR p.supplier = :supplier) ORDER BY p.id DESC LIMIT :limit"
)
_LINES = text(
    "SELECT l.*, coalesce(d.code, '') AS code, coalesce(d.grams, 0) AS grams, t.title, k.name FROM purchase_line AS l"
    " JOIN sku AS k ON k.id = l.sku JOIN product AS t ON t.id = k.product LEFT JOIN sku_detail AS d ON d.sku = l.sku"
    " WHERE l.purchase = :id ORDER BY l.n"
)
_DELIVERIES = text("SELECT * FROM purchase_delivery WHERE purchase = :id ORDER BY id")
_DELIVERED = text(
    "SELECT l.* FROM purchase_delivery_line AS l JOIN purchase_delivery AS d ON d.id = l.delivery"
    " WHERE d.purchase = :id ORDER BY l.delivery, l.sku"
)
_STEPS = text(
    "SELECT p.step, p.staff, coalesce(s.name, '') AS name, p.why, p.created_ms FROM purchase_step AS p"
    " LEFT JOIN staff AS s ON s.id = p.staff WHERE p.purchase = :id ORDER BY p.id"
)
_COSTS = text(
    "SELECT k.id AS sku, coalesce(d.code, '') AS code, t.title, k.name, k.price,"
    " s.received + s.adjusted - s.shipped AS units, s.cost FROM stock AS s JOIN sku AS k ON k.id = s.sku"
    " JOIN product AS t ON t.id = k.product LEFT JOIN sku_detail AS d ON d.sku = s.sku"
    " WHERE s.merchant = :merchant AND s.sku > :after AND s.received + s.adjusted - s.shipped > 0"
    " AND k.kind = 'goods' AND k.slot_ms IS NULL ORDER BY s.sku LIMIT :limit"
)


def read_owed(connection: Connection, supplier: str) -> int:
    """What a supplier is owed: what came, less what went back and what was paid (分; below 0: they owe us)."""
    return int(connection.execute(_ONE_OWED, {"supplier": supplier}).scalar_one())


def read_suppliers(connection: Connection, merchant: str, after: str, limit: int) -> list[dict[str, Any]]:
    """A merchant's suppliers by age, with what each is owed and how many orders are open."""
    found = connection.execute(_SUPPLIERS, {"merchant": merchant, "after": after, "limit": limit})
    return [dict(row) for row in found.mappings()]


def read_purchase(connection: Connection, merchant: str, purchase: str) -> PurchaseView:
    """A purchase order. Raises NotFound."""
    row = connection.execute(_ONE, {"merchant": merchant, "id": purchase}).one_or_none()
    if row is None:
        raise NotFound("no such purchase order")
    return _view(connection, row)


def read_purchases(
    connection: Connection, merchant: str, state: str, supplier: str, before: str | None, limit: int
) -> list[PurchaseView]:
    """Purchase orders, newest first; of one state or supplier when these are named."""
    asked = {"merchant": merchant, "state": state, "supplier": supplier, "before": before or AFTER_ALL, "limit": limit}
    return [_view(connection, row) for row in connection.execute(_LIST, asked).all()]


def _view(connection: Connection, row: Row[Any]) -> PurchaseView:
    asked = {"id": row.id}
    lines = tuple(
        PurchaseLineView(
            one.sku, one.code, one.title, one.name, one.grams, one.quantity, one.unit_cost, one.received,
            one.returned, one.amount,
        )
        for one in connection.execute(_LINES, asked)
    )  # fmt: skip
    there: dict[str, list[DeliveredView]] = {}
    for one in connection.execute(_DELIVERED, asked):
        there.setdefault(one.delivery, []).append(DeliveredView(one.sku, one.units, one.amount))
    deliveries = tuple(
        DeliveryView(one.id, one.kind, one.number, one.amount, one.why, one.staff, one.created_ms, tuple(there[one.id]))
        for one in connection.execute(_DELIVERIES, asked)
    )
    steps = tuple(
        PurchaseStepView(one.step, one.staff, one.name, one.why, one.created_ms)
        for one in connection.execute(_STEPS, asked)
    )
    return PurchaseView(
        purchase=row.id,
        supplier=row.supplier,
        supplier_name=row.supplier_name,
        number=row.number,
        state=row.state,
        note=row.note,
        expected=row.expected,
        ordered=sum(line.quantity * line.unit_cost for line in lines),
        amount=sum(line.amount for line in lines),
        short=sum(line.quantity - line.received for line in lines),
        created=row.created_ms,
        lines=lines,
        deliveries=deliveries,
        steps=steps,
    )


def read_costs(connection: Connection, merchant: str, after: str, limit: int) -> list[CostView]:
    """What the goods on hand cost, by SKU."""
    found = connection.execute(_COSTS, {"merchant": merchant, "after": after, "limit": limit})
    return [
        CostView(row.sku, row.code, row.title, row.name, row.units, row.cost, unit_cost(row.units, row.cost), row.price)
        for row in found
    ]
