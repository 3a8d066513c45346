"""Errands of couriers inside the ledger's transaction: begun, told about once, and what they do to their orders.

A callback is written first, unique by provider and event, in the transaction of its effect (as promise P6 has it for
payments); what an answer says goes the same way without one. The order is sent and done when its goods are delivered.
Until then the buyer sees the rider in the order's delivery, and nobody ships it another way; after a failure they may.
"""

from collections.abc import Callable, Mapping
from typing import Any

import orjson
from sqlalchemy import Connection, Row, text

from commerce.courier import CourierRequest, CourierState, Stop
from commerce.custom_sql import check_made
from commerce.domain.courier import DELIVERED, ENDED, ask_again_ms, moves
from commerce.domain.order import Fulfilment, OrderStatus, Step, refuse_step
from commerce.errors import CommerceError, NotFound, Refused
from commerce.events import OrderOnItsWay
from commerce.fulfilment_sql import finish_order, send
from commerce.ledger_batch_sql import Batch
from commerce.ledger_courier import CallCourier, ErrandView, MoveErrand
from commerce.orders_sql import find_order
from commerce.views_sql import order_view

DUE_MAX = 200
"""Errands asked about in one round."""
RAW_CHARACTERS_MAX = 16_384
UNIT_GRAMS = 500
"""What a unit of goods by the piece is taken to weigh."""

_OPEN = text("SELECT * FROM courier_errand WHERE order_id = :order AND ended_ms IS NULL")
_ONE = text("SELECT * FROM courier_errand WHERE id = :id AND merchant = :merchant")
_BY_NUMBER = text("SELECT merchant FROM courier_errand WHERE id = :id AND provider = :provider")
_INSERT = text(
    "INSERT INTO courier_errand (id, merchant, order_id, outlet, provider, state, staff, ask_ms, created_ms)"
    " VALUES (:id, :merchant, :order, :outlet, :provider, 'asked', :staff, :ask_ms, :now)"
)
_RECORD = text(
    "INSERT INTO courier_event (id, provider, event, errand, kind, raw, received_ms)"
    " VALUES (:id, :provider, :event, :errand, :kind, :raw, :now) ON CONFLICT (provider, event) DO NOTHING"
)
_MOVE = text(
    "UPDATE courier_errand SET state = :state, fee = coalesce(:fee, fee), charged = :charged, rider = :rider,"
    " phone = :phone, reason = :reason, tries = :tries, ask_ms = :ask_ms, ended_ms = :ended WHERE id = :id"
)
_STILL = text("UPDATE courier_errand SET tries = tries + 1, ask_ms = :ask_ms, reason = :reason WHERE id = :id")
_DELIVERY = text("UPDATE orders SET delivery = :delivery WHERE id = :id")
_OF_ORDER = text("SELECT * FROM courier_errand WHERE order_id = :order AND merchant = :merchant ORDER BY id DESC")
_DUE = text(
    "SELECT e.*, o.status FROM courier_errand AS e JOIN orders AS o ON o.id = e.order_id"
    " WHERE e.ended_ms IS NULL AND e.ask_ms <= :now ORDER BY e.ask_ms LIMIT :limit"
)
_ERRAND = text(
    "SELECT e.id, e.merchant, e.order_id, e.outlet, o.delivery, o.amount, x.name, x.phone, x.address, x.lat_e6,"
    " x.lng_e6 FROM courier_errand AS e JOIN orders AS o ON o.id = e.order_id JOIN outlet AS x ON x.id = e.outlet"
    " WHERE e.id = :id"
)
_PLANNED = text(
    "SELECT '' AS id, o.merchant, o.id AS order_id, o.outlet, o.delivery, o.amount, x.name, x.phone, x.address,"
    " x.lat_e6, x.lng_e6 FROM orders AS o JOIN outlet AS x ON x.id = o.outlet"
    " WHERE o.id = :order AND o.merchant = :merchant"
)
_GRAMS = text(
    "SELECT coalesce(sum(l.quantity * CASE WHEN coalesce(d.grams, 0) > 0 THEN d.grams ELSE :unit END), 0)"
    " FROM order_line AS l LEFT JOIN sku_detail AS d ON d.sku = l.sku WHERE l.order_id = :order"
)


def call_courier(batch: Batch, command: CallCourier) -> ErrandView:
    """Begin an errand. Raises NotFound, Refused (not_open, already)."""
    row = find_order(batch, command.merchant, command.order)
    delivery = {} if row.delivery is None else orjson.loads(row.delivery)
    code = refuse_step(OrderStatus(row.status), Fulfilment(row.fulfilment), Step.SHIP)
    if code is not None:
        raise Refused(code, "the order is not there to be sent", order=row.id)
    if delivery.get("method") != "courier" or not row.outlet:
        raise Refused("not_open", "this order is not brought by a courier", order=row.id)
    check_made(batch, row)
    if batch.one(_OPEN, order=row.id) is not None:
        raise Refused("already", "a courier is on this errand", order=row.id)
    identifier = batch.mint()
    batch.run(
        _INSERT,
        id=identifier,
        merchant=row.merchant,
        order=row.id,
        outlet=row.outlet,
        provider=command.provider,
        staff=command.staff,
        ask_ms=batch.now_ms + ask_again_ms(0),
        now=batch.now_ms,
    )
    return errand_view(_found(batch, row.merchant, identifier), "moved")


def move_errand(batch: Batch, command: MoveErrand) -> ErrandView:
    """Let what a courier says act once. Raises NotFound."""
    row = _found(batch, command.merchant, command.errand)
    if row.provider != command.provider:
        raise NotFound("no such errand")
    told = command.state
    if command.event:
        fresh = batch.run(
            _RECORD,
            id=batch.mint(),
            provider=command.provider,
            event=command.event[:200],
            errand=row.id,
            kind=told.kind,
            raw=command.raw[:RAW_CHARACTERS_MAX],
            now=batch.now_ms,
        ).rowcount
        if not fresh:
            return errand_view(row, "repeat")
    if not moves(row.state, told.kind):
        if row.ended_ms is None:
            ask_ms = batch.now_ms + ask_again_ms(row.tries + 1)
            batch.run(_STILL, id=row.id, ask_ms=ask_ms, reason=told.reason[:200])
        return errand_view(_found(batch, row.merchant, row.id))
    batch.run(
        _MOVE,
        id=row.id,
        state=told.kind,
        fee=told.fee,
        charged=_charged(row, told),
        rider=(told.rider or row.rider)[:40],
        phone=(told.phone or row.phone)[:32],
        reason=told.reason[:200],
        tries=0,
        ask_ms=batch.now_ms + ask_again_ms(0),
        ended=batch.now_ms if told.kind in ENDED else None,
    )
    row = _found(batch, row.merchant, row.id)
    _tell(batch, row)
    if row.state == DELIVERED:
        _delivered(batch, row)
    return errand_view(_found(batch, row.merchant, row.id), "moved")


def _charged(row: Row[Any], told: CourierState) -> int:
    """What an errand that ends has cost."""
    if told.kind == DELIVERED:
        return int((row.fee if told.fee is None else told.fee) or 0)
    return max(0, told.penalty) if told.kind in ENDED else 0


def _tell(batch: Batch, row: Row[Any]) -> None:
    """The buyer sees who brings it."""
    order = find_order(batch, row.merchant, row.order_id)
    delivery = orjson.loads(order.delivery)
    delivery["courier"] = {"state": row.state, "rider": row.rider, "phone": row.phone, "provider": row.provider}
    batch.run(_DELIVERY, id=order.id, delivery=orjson.dumps(delivery).decode())
    order = find_order(batch, row.merchant, row.order_id)
    common = (batch.mint(), order.merchant, order.room, batch.now_ms)
    batch.emit(OrderOnItsWay(*common, order.person, order_view(batch.connection, order)))


def _delivered(batch: Batch, row: Row[Any]) -> None:
    try:
        with batch.connection.begin_nested():
            order = find_order(batch, row.merchant, row.order_id)
            send(batch, order, Step.SHIP, {"carrier": row.provider, "number": row.id})
            finish_order(batch, find_order(batch, row.merchant, row.order_id))
    except CommerceError as error:
        # Refunded while it was on its way: the goods are with the buyer, and staff see why nothing was booked.
        batch.run(_STILL, id=row.id, ask_ms=row.ask_ms, reason=f"delivered, but: {error.message}"[:200])


def _found(batch: Batch, merchant: str, errand: str) -> Row[Any]:
    row = batch.one(_ONE, id=errand, merchant=merchant)
    if row is None:
        raise NotFound("no such errand")
    return row


def errand_view(row: Row[Any], effect: str = "still") -> ErrandView:
    """A ``SELECT *`` row of ``courier_errand``."""
    return ErrandView(
        row.id, row.order_id, row.outlet, row.provider, row.state, row.fee, row.rider, row.phone, row.reason,
        row.created_ms, row.ended_ms, effect, row.charged,
    )  # fmt: skip


HANDLERS: Mapping[type, Callable[[Batch, Any], Any]] = {CallCourier: call_courier, MoveErrand: move_errand}


# --- outside the ledger ----------------------------------------------------------------------------------------------


def read_errands(db: Connection, merchant: str, order: str) -> list[ErrandView]:
    """An order's errands, newest first."""
    return [errand_view(row) for row in db.execute(_OF_ORDER, {"order": order, "merchant": merchant})]


def read_due(db: Connection, now_ms: int) -> list[tuple[ErrandView, str, str]]:
    """Errands that their courier is to be asked about, with merchant and the order's status."""
    rows = db.execute(_DUE, {"now": now_ms, "limit": DUE_MAX}).all()
    return [(errand_view(row), row.merchant, row.status) for row in rows]


def merchant_of(db: Connection, provider: str, errand: str) -> str:
    """Whose errand a courier tells of. Raises NotFound."""
    row = db.execute(_BY_NUMBER, {"id": errand, "provider": provider}).one_or_none()
    if row is None:
        raise NotFound("no such errand")
    return str(row.merchant)


def read_request(db: Connection, merchant: str, order: str, errand: str = "") -> CourierRequest:
    """What a courier is asked for: of an errand, or of an order that would have one. Raises NotFound, Refused."""
    asked = {"id": errand} if errand else {"order": order, "merchant": merchant}
    row = db.execute(_ERRAND if errand else _PLANNED, asked).one_or_none()
    if row is None or row.merchant != merchant:
        raise NotFound("no such order of a store")
    delivery = orjson.loads(row.delivery)
    if delivery.get("method") != "courier":
        raise Refused("not_open", "this order is not brought by a courier", order=row.order_id)
    target = Stop(delivery["name"], delivery["phone"], delivery["address"], delivery["lat_e6"], delivery["lng_e6"])
    source = Stop(row.name, row.phone, row.address, row.lat_e6, row.lng_e6)
    grams = int(db.execute(_GRAMS, {"order": row.order_id, "unit": UNIT_GRAMS}).scalar_one())
    return CourierRequest(row.id, row.merchant, row.order_id, row.outlet, source, target, row.amount, grams)
