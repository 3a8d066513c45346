"""Rows → the views that clients see; read by queries and by the ledger inside its own transaction."""

from collections.abc import Iterable
from typing import Any

import orjson
from sqlalchemy import Connection, Row, RowMapping, text

from commerce.domain.coupon import DropRow, drop_state
from commerce.domain.ids import time_prefix
from commerce.domain.org import Reach
from commerce.domain.sale import SaleRow, SaleState, draws_ms, state_of
from commerce.events import (
    CouponView,
    DropView,
    OrderLineView,
    OrderView,
    PresaleView,
    ProductionView,
    RefundLineView,
    RefundView,
    SaleView,
    SoldView,
)
from commerce.freight_sql import CARRIED, GOODS, freight_paid
from commerce.reach_sql import ORDER_REACHED, reach_values

CLOSED_SHOWN_MS = 600_000
"""A room's list keeps a closed sale or drop for ten minutes, so that late-comers see what they missed."""
LIST_MAX = 100
"""Rows in one answer."""


def sale_row(row: RowMapping) -> SaleRow:
    """A ``SELECT *`` row of ``sale`` as a value."""
    return SaleRow(**row)


def drop_row(row: RowMapping) -> DropRow:
    """A ``SELECT *`` row of ``drop_`` as a value."""
    return DropRow(**row)


def sale_view(sale: SaleRow, now_ms: int, state: SaleState | None = None) -> SaleView:
    """A sale as clients see it at a time."""
    return SaleView(
        sale=sale.id,
        room=sale.room,
        product=sale.product,
        sku=sale.sku,
        title=sale.title,
        image=sale.image,
        price=sale.price,
        list_price=sale.list_price,
        version=sale.version,
        state=str(state or state_of(sale, now_ms)),
        opens=sale.opens_ms,
        closes=sale.closes_ms,
        total=sale.total,
        left=sale.free,
        per_person=sale.per_person,
        hold_s=sale.hold_ms // 1000,
        mode=sale.mode,
        live_only=bool(sale.live_only),
        waiting=sale.waiting,
        reserved=sale.reserved,
        draw=sale.draw,
        draws=draws_ms(sale),
        team_size=sale.team_size,
        team_winners=sale.team_winners,
        team_s=sale.team_ms // 1000,
        deposit=sale.deposit,
        balance_from=sale.balance_from_ms,
        balance_until=sale.balance_until_ms,
        balance_missed=sale.balance_missed,
    )


def drop_view(drop: DropRow, now_ms: int) -> DropView:
    """A drop as clients see it at a time."""
    return DropView(
        drop=drop.id,
        room=drop.room,
        title=drop.title,
        reason=drop.reason,
        amount=drop.amount,
        threshold=drop.threshold,
        total=drop.total,
        left=drop.total - drop.issued,
        per_person=drop.per_person,
        starts=drop.starts_ms,
        ends=drop.ends_ms,
        state=str(drop_state(drop, now_ms)),
        percent=drop.percent,
        stack=drop.stack,
        audience=drop.whom,
        issuer=drop.issuer,
        way=drop.way,
    )


def coupon_view(row: Row[Any], now_ms: int) -> CouponView:
    """A ``SELECT *`` row of ``coupon`` as its owner sees it; unused past its date shows as expired."""
    expired = row.state == "unused" and now_ms >= row.expires_ms
    return CouponView(
        row.id,
        row.drop_id,
        row.title,
        row.amount,
        row.threshold,
        row.expires_ms,
        "expired" if expired else row.state,
        row.percent,
        row.stack,
        row.reason,
    )


_ORDER_COUPONS = text("SELECT coupon FROM order_coupon WHERE order_id = :order ORDER BY n")
_LINES = text("SELECT * FROM order_line WHERE order_id = :order ORDER BY n")


def order_view(connection: Connection, row: Row[Any]) -> OrderView:
    """A ``SELECT *`` row of ``orders`` with its lines."""
    lines = connection.execute(_LINES, {"order": row.id}).all()
    freight = 0 if row.delivery is None else freight_paid(connection, row.id)[0]
    return OrderView(
        order=row.id,
        room=row.room,
        person=row.person,
        status=row.status,
        goods=row.goods - freight,
        freight=freight,
        discount=row.discount,
        amount=row.amount,
        lines=tuple(
            OrderLineView(
                line.product,
                line.sku,
                line.title,
                line.quantity,
                line.price,
                line.discount,
                _wishes(line.wishes),
                line.category,
            )
            for line in lines
        ),
        steps=tuple(orjson.loads(row.steps)),
        coupon=row.coupon,
        created=row.created_ms,
        expires=row.expires_ms,
        paid=row.paid_ms,
        cancelled=row.cancelled_ms,
        reason=row.reason,
        decision=None if row.decision is None else orjson.loads(row.decision),
        refunded=row.refunded,
        fulfilment=row.fulfilment,
        delivery=None if row.delivery is None else orjson.loads(row.delivery),
        fulfilled=row.fulfilled_ms,
        done=row.done_ms,
        kind=row.kind,
        stored=row.stored,
        points=row.points,
        due=row.amount - row.stored,
        coupons=() if row.coupon is None else tuple(connection.execute(_ORDER_COUPONS, {"order": row.id}).scalars()),
        presale=None if row.presale is None else _presale_view(connection, row),
        production=_production_view(connection, row) if any(line.wishes is not None for line in lines) else None,
    )


def _wishes(kept: str | None) -> tuple[dict[str, Any], ...] | None:
    return None if kept is None else tuple(orjson.loads(kept))


_PRODUCTION = text("SELECT * FROM production WHERE id = :id")


def _production_view(connection: Connection, row: Row[Any]) -> ProductionView | None:
    one = connection.execute(_PRODUCTION, {"id": row.presale or row.id}).one_or_none()
    if one is None:
        return None
    times = (one.paid_ms, one.confirmed_ms, one.making_ms, one.ready_ms, one.sent_ms)
    return ProductionView(one.stage, one.due_ms, *times, one.ended_ms)


_PRESALE = text("SELECT p.*, o.amount FROM presale AS p JOIN orders AS o ON o.id = p.id WHERE p.id = :id")


def _presale_view(connection: Connection, row: Row[Any]) -> PresaleView | None:
    found = connection.execute(_PRESALE, {"id": row.presale}).one_or_none()
    if found is None:
        return None
    part = "deposit" if row.id == found.id else "balance"
    return PresaleView(
        part, found.id, found.balance, found.amount, found.from_ms, found.until_ms, found.missed, found.ended_ms
    )


_REFUND_LINES = text("SELECT * FROM refund_line WHERE refund = :refund ORDER BY n")


def refund_view(connection: Connection, row: Row[Any]) -> RefundView:
    """A ``SELECT *`` row of ``refund`` with its lines."""
    lines = connection.execute(_REFUND_LINES, {"refund": row.id})
    return RefundView(
        refund=row.id,
        order=row.order_id,
        kind=row.kind,
        state=row.state,
        amount=row.amount,
        reason=row.reason,
        stock=row.stock,
        lines=tuple(RefundLineView(line.sku, line.quantity, line.returned, line.amount) for line in lines),
        created=row.created_ms,
        done=row.done_ms,
        number=row.number,
        error=row.error,
        stored=row.stored,
        points=row.points,
    )


_SALES_OF_ROOM = text(
    "SELECT * FROM sale WHERE room = :room AND (closed_ms IS NULL OR closed_ms > :since)"
    " ORDER BY created_ms DESC, id DESC LIMIT :limit"
)
_DROPS_OF_ROOM = text(
    "SELECT * FROM drop_ WHERE room = :room AND way = 'drop' AND (closed_ms IS NULL OR closed_ms > :since)"
    " ORDER BY starts_ms DESC, id DESC LIMIT :limit"
)
_GIVINGS_OF_ROOM = text(
    "SELECT * FROM drop_ WHERE room = :room AND way <> 'drop' AND closed_ms IS NULL AND ends_ms > :now"
    " ORDER BY id DESC LIMIT :limit"
)
_PRODUCT = text(
    "SELECT k.product, p.title, p.image FROM sku AS k JOIN product AS p ON p.id = k.product"
    " WHERE k.id = :sku AND k.merchant = :merchant"
)
_SALE = text("SELECT * FROM sale WHERE id = :id")
_DROP = text("SELECT * FROM drop_ WHERE id = :id")
_COUPONS = text("SELECT * FROM coupon WHERE merchant = :merchant AND person = :person ORDER BY id DESC LIMIT :limit")
_SOLD = text(
    f"SELECT count(*) AS orders, coalesce(sum({GOODS}), 0) AS amount FROM orders AS o {CARRIED}"  # noqa: S608 - constants
    " WHERE o.merchant = :merchant AND o.room = :room AND o.id >= :lowest AND o.kind = 'goods'"
    " AND o.status NOT IN ('pending', 'cancelled')"
)
_ORDER = text("SELECT * FROM orders WHERE id = :id AND merchant = :merchant")
_PAYMENT = text("SELECT merchant, provider FROM payment WHERE id = :id")


def read_sales(connection: Connection, room: str, now_ms: int) -> list[SaleView]:
    """Sales of a room, newest first: all that are not closed, and those closed a moment ago."""
    parameters = {"room": room, "since": now_ms - CLOSED_SHOWN_MS, "limit": LIST_MAX}
    return [sale_view(sale_row(row), now_ms) for row in connection.execute(_SALES_OF_ROOM, parameters).mappings()]


def read_drops(connection: Connection, room: str, now_ms: int) -> list[DropView]:
    """Coupon drops of a room, newest first."""
    parameters = {"room": room, "since": now_ms - CLOSED_SHOWN_MS, "limit": LIST_MAX}
    return [drop_view(drop_row(row), now_ms) for row in connection.execute(_DROPS_OF_ROOM, parameters).mappings()]


def read_givings(connection: Connection, room: str, now_ms: int) -> list[DropView]:
    """Givings of a room that go on, newest first."""
    found = connection.execute(_GIVINGS_OF_ROOM, {"room": room, "now": now_ms, "limit": LIST_MAX})
    return [drop_view(drop_row(row), now_ms) for row in found.mappings()]


def read_product(connection: Connection, merchant: str, sku: str) -> tuple[str, str, str] | None:
    """Product, title and image of a merchant's SKU."""
    row = connection.execute(_PRODUCT, {"sku": sku, "merchant": merchant}).one_or_none()
    return None if row is None else (row.product, row.title, row.image or "")


def read_sale(connection: Connection, sale: str) -> SaleRow | None:
    """One sale's row."""
    row = connection.execute(_SALE, {"id": sale}).mappings().one_or_none()
    return None if row is None else sale_row(row)


def read_drop(connection: Connection, drop: str) -> DropRow | None:
    """One drop's row."""
    row = connection.execute(_DROP, {"id": drop}).mappings().one_or_none()
    return None if row is None else drop_row(row)


def read_coupons(connection: Connection, merchant: str, person: str, now_ms: int) -> list[CouponView]:
    """A person's coupons, newest first."""
    found = connection.execute(_COUPONS, {"merchant": merchant, "person": person, "limit": LIST_MAX})
    return [coupon_view(row, now_ms) for row in found]


def read_sold(connection: Connection, merchant: str, room: str, since_ms: int) -> SoldView:
    """What a room has sold since a moment: a range of ids, as these begin with their time."""
    asked = {"merchant": merchant, "room": room, "lowest": time_prefix(since_ms)}
    row = connection.execute(_SOLD, asked).one()
    return SoldView(since_ms, row.orders, row.amount)


def read_order(connection: Connection, merchant: str, order: str, person: str | None) -> OrderView | None:
    """One order of a merchant (and, when given, of a person)."""
    row = connection.execute(_ORDER, {"id": order, "merchant": merchant}).one_or_none()
    if row is None or (person is not None and row.person != person):
        return None
    return order_view(connection, row)


_REFUNDS = text("SELECT * FROM refund WHERE order_id = :order AND merchant = :merchant ORDER BY id DESC LIMIT :limit")


def read_payment(connection: Connection, payment: str) -> tuple[str, str] | None:
    """Merchant and provider of a payment."""
    row = connection.execute(_PAYMENT, {"id": payment}).one_or_none()
    return None if row is None else (row.merchant, row.provider)


def read_refunds(connection: Connection, merchant: str, order: str, person: str | None) -> list[RefundView] | None:
    """The refunds of one order, newest first; None when there is no such order of theirs."""
    if read_order(connection, merchant, order, person) is None:
        return None
    found = connection.execute(_REFUNDS, {"order": order, "merchant": merchant, "limit": LIST_MAX})
    return [refund_view(connection, row) for row in found]


def read_orders(
    connection: Connection,
    merchant: str,
    person: str | None,
    room: str | None,
    after: str | None,
    limit: int,
    reach: Reach | None = None,
) -> list[OrderView]:
    """Orders of a merchant, or of a part of it, newest first; ``after`` is the last id of the page before."""
    conditions = ["merchant = :merchant"]
    parameters: dict[str, Any] = {"merchant": merchant, "limit": max(1, min(limit, LIST_MAX))}
    filters: Iterable[tuple[str, str, str | None]] = (
        ("person = :person", "person", person),
        ("room = :room", "room", room),
        ("id < :after", "after", after),
    )
    for condition, name, value in filters:
        if value is not None:
            conditions.append(condition)
            parameters[name] = value
    if reach is not None:
        conditions.append(ORDER_REACHED)
        parameters |= reach_values(reach)
    # Only the fixed conditions above go into the text; values are bound.
    statement = text(f"SELECT * FROM orders AS o WHERE {' AND '.join(conditions)} ORDER BY id DESC LIMIT :limit")  # noqa: S608
    return [order_view(connection, row) for row in connection.execute(statement, parameters)]
