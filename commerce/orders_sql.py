"""Orders inside the ledger's transaction: create, cancel, expire."""

import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, replace
from typing import Any

import orjson
from sqlalchemy import Row, text

from commerce.attribution.order_credits_sql import INSERT as INSERT_CREDIT
from commerce.attribution.order_credits_sql import order_credits
from commerce.custom_sql import wishes_text, with_wishes
from commerce.deposits_sql import balance_ended, open_deposit, open_offer
from commerce.domain.freight import Freight
from commerce.domain.order import OrderStatus
from commerce.domain.pricing import Price, Purse, price_order
from commerce.errors import Invalid, NotFound, Refused
from commerce.events import OrderCancelled, OrderCreated, OrderView
from commerce.freight_sql import read_freight, write_freight
from commerce.holds_sql import Taking, expire_due, holds_of_order, release_holds, take_units
from commerce.ledger import ORDER_HOLD_MS, CancelOrder, CreateOrder
from commerce.ledger_batch_sql import Batch, as_rows
from commerce.mall_sql import exchange_of, write_exchange
from commerce.memberships_sql import at_member_price
from commerce.outlets_sql import Handing, hands_over
from commerce.pictures_sql import use as use_pictures
from commerce.pricing_sql import Line, find_coupons, line_of_hold, lines_fault, lines_of_skus
from commerce.requests_sql import line_of_offer, offer_back, offer_ordered
from commerce.signups_sql import order_places
from commerce.stations_sql import give_place, leader_of, take_place
from commerce.unheard_sql import expect_word
from commerce.views_sql import order_view
from commerce.wallet_sql import check_stored_room, purse_of
from commerce.wallet_sql import hold as hold_spending
from commerce.wallet_sql import release as release_spending

_GIVE_HOLD = text("UPDATE hold SET order_id = :order WHERE id = :id AND state = 'held' AND order_id IS NULL")
_LOCK_COUPON = text("UPDATE coupon SET state = 'locked', order_id = :order WHERE id = :id AND state = 'unused'")
_UNLOCK_COUPON = text(
    "UPDATE coupon SET state = 'unused', order_id = NULL WHERE order_id = :order AND state = 'locked'"
)
_INSERT_ORDER = text(
    "INSERT INTO orders (id, merchant, room, person, status, goods, discount, amount, coupon, steps, decision, card,"
    " entered_ms, created_ms, expires_ms, delivery, kind, stored, bonus, points, node, presale, outlet)"
    " VALUES (:id, :merchant,"
    " :room, :person, 'pending', :goods, :discount, :amount, :coupon, :steps, :decision, :card, :entered_ms, :now,"
    " :expires_ms, :delivery, :kind, :stored, :bonus, :points, :node, :presale, :outlet)"
)
_INSERT_COUPON = text("INSERT INTO order_coupon (order_id, n, coupon, amount) VALUES (:order, :n, :coupon, :amount)")
_INSERT_LINE = text(
    "INSERT INTO order_line (order_id, n, hold, sale, product, sku, title, quantity, price, list_price, discount,"
    " wishes, category) VALUES (:order, :n, :hold, :sale, :product, :sku, :title, :quantity, :price, :list_price,"
    " :discount, :wishes, coalesce((SELECT p.category FROM product AS p WHERE p.id = :of), ''))"
)
_ORDER = text("SELECT * FROM orders WHERE id = :id AND merchant = :merchant")
_CANCEL = text(
    "UPDATE orders SET status = 'cancelled', cancelled_ms = :now, reason = :reason"
    " WHERE id = :id AND status = 'pending'"
)
_STARTED = text("SELECT id FROM payment WHERE order_id = :order AND state = 'started'")
_CLOSE_PAYMENTS = text("UPDATE payment SET state = 'closed' WHERE order_id = :order AND state IN ('started')")

_ADDRESS = frozenset({"method", "name", "phone", "address"})

LINE_TITLE_CHARACTERS_MAX = 200
PICKUP_CODE_DIGITS = 6
"""As on a parcel locker: it is checked by staff, one order at a time."""


def find_order(batch: Batch, merchant: str, order: str, person: str | None = None) -> Row[Any]:
    """The order's row. Raises NotFound for another merchant's or person's."""
    row = batch.one(_ORDER, id=order, merchant=merchant)
    if row is None or (person is not None and row.person != person):
        raise NotFound("no such order")
    return row


def create_order(batch: Batch, command: CreateOrder) -> OrderView:
    """Make a pending order.

    Raises NotFound, Invalid, Conflict, or Refused (gone, already, price_changed, sold_out, coupon_invalid,
    insufficient, way, too_far, closed).
    """
    stored = batch.replay(command.merchant, command.person, "order", command.key, command.hash)
    if stored is not None:
        return order_view(batch.connection, find_order(batch, command.merchant, stored))
    if command.hold is None and command.offer is None and not command.lines:
        raise Invalid("an order needs a hold or lines")
    handing = hands_over(batch.connection, command.merchant, command.delivery, batch.now_ms)
    order = batch.mint()
    expires_ms = batch.now_ms + ORDER_HOLD_MS
    lines: list[Line] = []
    if command.hold is not None:
        who = (batch.connection, command.merchant, command.room, command.person)
        line, expires_ms = line_of_hold(*who, command.hold, batch.now_ms, command.wanted)
        batch.run(_GIVE_HOLD, id=command.hold, order=order)
        lines.append(line)
        if line.presale_price and line.sale is not None:
            open_deposit(batch, order, line.sale, line.presale_price)
    if command.offer is not None:
        lines.append(_offered(batch, command, command.offer, order))
    exchange = None
    if command.mall:
        exchange = exchange_of(batch.connection, command.merchant, command.person, command.lines, batch.now_ms)
        write_exchange(batch, command.merchant, order, exchange)
        lines.append(exchange.line)
    else:
        lines += lines_of_skus(batch.connection, command.merchant, command.lines, batch.now_ms, handing.stock)
    fault = lines_fault(lines, command.coupons, bool(command.points or command.stored))
    if fault is not None:
        raise Invalid(fault, field="lines")
    check_stored_room(batch, command.merchant, command.person, lines)
    lines = with_wishes(batch.connection, command.merchant, lines)
    use_pictures(batch, command.merchant, command.person, (wish for line in lines for wish in line.wishes or ()))
    if exchange is None:
        lines = at_member_price(batch.connection, command.merchant, command.person, lines, batch.now_ms)
    order_places(batch, command.merchant, command.person, lines, order, expires_ms)
    taken = (handing.stock, order, expires_ms)
    lines = [line if line.hold is not None else _take(batch, command, line, *taken) for line in lines]
    command, delivery = _delivered(batch, command, order, lines)
    freight = _freight(batch, command, lines, handing)
    price = _price(batch, command, lines, order, handing, None if exchange is None else exchange.purse, freight)
    write_freight(batch.connection, command.merchant, order, freight, price.freight)
    _insert(batch, command, order, lines, price, expires_ms, delivery, handing)
    batch.remember(command.merchant, command.person, "order", command.key, command.hash, order)
    view = order_view(batch.connection, find_order(batch, command.merchant, order))
    batch.emit(OrderCreated(batch.mint(), command.merchant, command.room, batch.now_ms, command.person, view))
    return view


def _offered(batch: Batch, command: CreateOrder, asked: tuple[str, int], order: str) -> Line:
    """The line of an offer, which is in this order from now on."""
    who = (batch.connection, command.merchant, command.room, command.person)
    line, offer = line_of_offer(*who, *asked, batch.now_ms)
    offer_ordered(batch, line.request, order)
    if line.presale_price:
        open_offer(batch, command.merchant, order, line.presale_price, offer.deliver_ms, offer.missed)
    return line


def _take(batch: Batch, command: CreateOrder, line: Line, outlet: str, order: str, expires_ms: int) -> Line:
    units = line.priced
    taking = Taking(command.merchant, command.person, None, units.sku, units.quantity, units.price, outlet)
    return replace(line, hold=take_units(batch, taking, order, expires_ms))


def _freight(batch: Batch, command: CreateOrder, lines: list[Line], handing: Handing) -> Freight | None:
    """What bringing it costs. A deposit brings nothing yet, and its balance is what was agreed on with it."""
    wanted = command.delivery
    if wanted is None or any(line.presale_price for line in lines):
        return None
    return read_freight(batch.connection, command.merchant, wanted.method, handing.outlet, wanted.place)


def _price(
    batch: Batch,
    command: CreateOrder,
    lines: list[Line],
    order: str,
    handing: Handing,
    purse: Purse | None,
    freight: Freight | None,
) -> Price:
    priced = [line.priced for line in lines]
    goods = sum(line.quantity * line.price for line in priced)
    who = (batch.connection, command.merchant, command.person)
    coupons = find_coupons(*who, command.coupons, goods, batch.now_ms, handing.outlet)
    price = price_order(priced, coupons, purse or purse_of(*who, command.points, command.stored), freight)
    for coupon, took in price.coupons:
        if not took:
            raise Refused("coupon_invalid", "the coupon takes nothing off", coupon=coupon)
        if not batch.run(_LOCK_COUPON, id=coupon, order=order).rowcount:
            raise Refused("coupon_invalid", "the coupon is on another order", coupon=coupon)
    return price


def _insert(
    batch: Batch,
    command: CreateOrder,
    order: str,
    lines: list[Line],
    price: Price,
    expires_ms: int,
    delivery: str | None,
    handing: Handing,
) -> None:
    bonus = hold_spending(batch, command.merchant, command.person, order, price)
    stored = any(line.kind == "stored" for line in lines)
    batch.run(
        _INSERT_ORDER,
        id=order,
        merchant=command.merchant,
        room=command.room,
        person=command.person,
        goods=price.goods + price.freight,
        discount=price.discount,
        amount=price.amount,
        coupon=price.coupons[0][0] if price.coupons else None,
        steps=orjson.dumps([step.as_json() for step in price.steps]).decode(),
        decision=None if command.decision is None else orjson.dumps(command.decision).decode(),
        card=command.card,
        entered_ms=command.entered_ms,
        now=batch.now_ms,
        expires_ms=expires_ms,
        delivery=delivery,
        kind="stored" if stored else "goods",
        stored=price.stored,
        bonus=sum(line.bonus * line.priced.quantity for line in lines) if stored else bonus,
        points=price.points,
        node=command.node or handing.node,
        outlet=handing.outlet,
        presale=order if any(line.presale_price for line in lines) else None,
    )
    batch.run_many(INSERT_CREDIT, order_credits(order, command.decision))
    coupons = [{"order": order, "n": n, "coupon": one, "amount": took} for n, (one, took) in enumerate(price.coupons)]
    batch.run_many(_INSERT_COUPON, coupons)
    batch.run_many(
        _INSERT_LINE,
        [
            {
                "order": order,
                "n": n,
                "hold": line.hold,
                "sale": line.sale,
                "product": line.product,
                "of": line.product,
                "sku": line.priced.sku,
                "title": line.title[:LINE_TITLE_CHARACTERS_MAX],
                "quantity": line.priced.quantity,
                "price": line.priced.price,
                "list_price": line.priced.shelf_price + line.priced.extra,
                "discount": discount,
                "wishes": wishes_text(line.wishes),
            }
            for n, (line, discount) in enumerate(zip(lines, price.line_discounts, strict=True))
        ],
    )


def _delivered(batch: Batch, command: CreateOrder, order: str, lines: list[Line]) -> tuple[CreateOrder, str | None]:
    """The delivery as it is stored; what is picked up gets a code that only the buyer is told.

    Who hands over at a pickup station is credited with the order where nobody else brought its buyer.
    """
    wanted = command.delivery
    if wanted is None:
        return command, None
    said = {key: value for key, value in asdict(wanted).items() if value not in ("", None) or key in _ADDRESS}
    fields: dict[str, Any] = {key: value for key, value in said.items() if key != "station"}
    if wanted.station:
        if any(line.presale_price for line in lines):
            raise Invalid("a presale is not fetched at a station: its day is not known yet", field="delivery")
        fields |= take_place(batch, command.merchant, order, wanted.station)
        leader = leader_of(batch, command.merchant, wanted.station)
        if leader != command.person:
            command = replace(command, decision=_credited(command.decision, leader, batch.now_ms))
    elif wanted.method == "pickup":
        fields["code"] = f"{secrets.randbelow(10**PICKUP_CODE_DIGITS):0{PICKUP_CODE_DIGITS}}"
    return command, orjson.dumps(fields).decode()


def _credited(decision: Mapping[str, Any] | None, leader: str, now_ms: int) -> Mapping[str, Any] | None:
    """The decision with the leader as distributor, if it credits none."""
    if decision is None or (decision.get("credits") or {}).get("distributor"):
        return decision
    credit = {
        "issuer": leader,
        "link": None,
        "channel": "station",
        "source": "station",
        "ms": now_ms,
        "rule": "station",
    }
    return {**decision, "credits": {**(decision.get("credits") or {}), "distributor": credit}}


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
    release_spending(batch, row)
    payments = tuple(batch.run(_STARTED, order=row.id).scalars())
    expect_word(batch, row.id)
    batch.run(_CLOSE_PAYMENTS, order=row.id)
    batch.run(_CANCEL, id=row.id, now=batch.now_ms, reason=reason)
    balance_ended(batch, row)
    give_place(batch, row.id)
    offer_back(batch, row.id)
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
