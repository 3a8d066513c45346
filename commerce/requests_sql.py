"""Requests for a price and their offers (询价), inside the ledger's transaction.

    asked ──offer──▶ offered ──order──▶ ordered       asked, offered ──▶ declined (staff), withdrawn (the person)
                        ▲  └─ expired (by the clock)     │
                        └── order cancelled unpaid ──────┘

An offer is ordered by the normal way: its line has the agreed price, and with a deposit the order is a presale's.
"""

from collections.abc import Callable, Mapping
from typing import Any

import orjson
from sqlalchemy import Connection, Row, text

from commerce.custom_sql import forms_of, granted, set_form, wishes_text
from commerce.domain.custom import Offer, attached, wish_of
from commerce.domain.ids import AFTER_ALL
from commerce.domain.org import Reach
from commerce.domain.pricing import PricedLine
from commerce.errors import Invalid, NotFound, Refused
from commerce.events import OfferMade
from commerce.ledger_batch_sql import Batch
from commerce.ledger_custom import AskPrice, EndRequest, MakeOffer, RequestView, SetForm
from commerce.pictures_sql import use as use_pictures
from commerce.pricing_sql import Line
from commerce.reach_sql import PERSON_REACHED, ROOMS_REACHED, reach_values

OPEN_MAX = 20
"""Requests of one person that wait for an answer or an order: each is read by somebody."""
LIST_MAX = 200

_SKU = text(
    "SELECT k.id, k.product, k.name, k.kind, p.title, p.on_shelf FROM sku AS k JOIN product AS p ON p.id = k.product"
    " WHERE k.id = :sku AND k.merchant = :merchant"
)
_COUNT = text(
    "SELECT count(*) FROM custom_request WHERE merchant = :merchant AND person = :person"
    " AND state IN ('asked', 'offered')"
)
_INSERT = text(
    "INSERT INTO custom_request (id, merchant, person, room, product, sku, title, quantity, wishes, words, state,"
    " price, answer, created_ms) VALUES (:id, :merchant, :person, :room, :product, :sku, :title, :quantity, :wishes,"
    " :words, 'asked', 0, '', :now)"
)
_ONE = text("SELECT * FROM custom_request WHERE id = :id AND merchant = :merchant")
_OFFER = text(
    "UPDATE custom_request SET state = 'offered', version = version + 1, price = :price, deposit_percent = :percent,"
    " missed = :missed, deliver_ms = :deliver, valid_ms = :valid, answer = :answer, staff = :staff, answered_ms = :now"
    " WHERE id = :id"
)
_CLOSE = text(
    "UPDATE custom_request SET state = :state, answer = CASE WHEN :answer = '' THEN answer ELSE :answer END,"
    " staff = CASE WHEN :staff = '' THEN staff ELSE :staff END, closed_ms = :now WHERE id = :id"
)
_ORDERED = text("UPDATE custom_request SET state = 'ordered', order_id = :order WHERE id = :id AND state = 'offered'")
# The order may be a deposit's, or its balance's: the deposit is what was ordered.
_BACK = text("UPDATE custom_request SET state = 'offered' WHERE order_id = :order AND state = 'ordered'")
_AGAIN = text("UPDATE custom_request SET state = 'ordered' WHERE order_id = :order AND state = 'offered'")
_OF_ORDER = text("SELECT state FROM custom_request WHERE order_id = :order")
_LISTED = (
    "SELECT r.* FROM custom_request AS r WHERE r.merchant = :merchant AND (:person = '' OR r.person = :person)"
    " AND (:state = '' OR r.state = :state) AND r.id < :before"
)
# Of a part of the shop: what was asked in its rooms, and by its customers.
_REACHED = (
    f"(r.room = :reach_room OR r.room IN ({ROOMS_REACHED}) OR EXISTS"  # noqa: S608 - constants
    f" (SELECT 1 FROM person AS p WHERE p.id = r.person AND {PERSON_REACHED}))"
)
_LIST = text(f"{_LISTED} ORDER BY r.id DESC LIMIT :limit")
_LIST_REACHED = text(f"{_LISTED} AND {_REACHED} ORDER BY r.id DESC LIMIT :limit")
_ONE_REACHED = text(f"SELECT 1 FROM custom_request AS r WHERE r.id = :id AND r.merchant = :merchant AND {_REACHED}")  # noqa: S608


def ask_price(batch: Batch, command: AskPrice) -> RequestView:
    """Write a request down. Raises NotFound, Conflict, Invalid, Refused (gone, limit)."""
    stored = batch.replay(command.merchant, command.person, "custom.ask", command.key, command.hash)
    if stored is not None:
        return request_view(_find(batch, command.merchant, stored), batch.now_ms)
    sku = batch.one(_SKU, sku=command.sku, merchant=command.merchant)
    form = None if sku is None else forms_of(batch.connection, command.merchant, [(sku.product, sku.id)]).get(sku.id)
    if sku is None or form is None or not form.asked:
        raise NotFound("there are no such goods whose price is asked for", sku=command.sku)
    if not sku.on_shelf:
        raise Refused("gone", "the product is off the shelf", sku=command.sku)
    if int(batch.run(_COUNT, merchant=command.merchant, person=command.person).scalar_one()) >= OPEN_MAX:
        raise Refused("limit", f"{OPEN_MAX} requests are open: order or withdraw one of them first")
    try:
        wishes = (*(granted(form, sku.id, command.wanted) or ()), *attached(command.pictures))
    except ValueError as error:
        raise Invalid(str(error), field="pictures") from error
    use_pictures(batch, command.merchant, command.person, wishes)
    request = batch.mint()
    batch.run(
        _INSERT,
        id=request,
        merchant=command.merchant,
        person=command.person,
        room=command.room,
        product=sku.product,
        sku=sku.id,
        title=f"{sku.title} {sku.name}".strip()[:200],
        quantity=command.quantity,
        wishes=wishes_text(wishes),
        words=command.words,
        now=batch.now_ms,
    )
    batch.remember(command.merchant, command.person, "custom.ask", command.key, command.hash, request)
    return request_view(_find(batch, command.merchant, request), batch.now_ms)


def make_offer(batch: Batch, command: MakeOffer) -> RequestView:
    """Answer with a price; the one before it is no longer good. Raises NotFound, Refused (already)."""
    row = _find(batch, command.merchant, command.request)
    if row.state not in ("asked", "offered"):
        raise Refused("already", f"the request is {row.state}", state=row.state)
    offer = command.offer
    batch.run(
        _OFFER,
        id=row.id,
        price=offer.price,
        percent=offer.deposit_percent,
        missed=offer.missed,
        deliver=offer.deliver_ms,
        valid=offer.valid_ms,
        answer=command.answer,
        staff=command.staff,
        now=batch.now_ms,
    )
    return _told(batch, command.merchant, row.id)


def end_request(batch: Batch, command: EndRequest) -> RequestView:
    """Decline or withdraw; what is so already is given as it is. Raises NotFound, Refused (already)."""
    row = _find(batch, command.merchant, command.request, command.person)
    state = "declined" if command.person is None else "withdrawn"
    if row.state == state:
        return request_view(row, batch.now_ms)
    if row.state not in ("asked", "offered"):
        raise Refused("already", f"the request is {row.state}", state=row.state)
    batch.run(_CLOSE, id=row.id, state=state, answer=command.answer, staff=command.staff, now=batch.now_ms)
    if command.person is None:
        return _told(batch, command.merchant, row.id)
    return request_view(_find(batch, command.merchant, row.id), batch.now_ms)


def line_of_offer(
    connection: Connection, merchant: str, room: str, person: str, request: str, version: int, now_ms: int
) -> tuple[Line, Offer]:
    """The line of an offer that stands. Raises NotFound, Refused (not_open, already, gone, expired, price_changed)."""
    row = connection.execute(_ONE, {"id": request, "merchant": merchant}).one_or_none()
    if row is None or row.person != person or row.room != room:
        raise NotFound("no such request in this room")
    if row.state == "asked":
        raise Refused("not_open", "this request was not answered yet")
    if row.state == "ordered":
        raise Refused("already", "this offer is in an order", order=row.order_id)
    if row.state != "offered":
        raise Refused("gone", f"the request is {row.state}")
    if row.valid_ms <= now_ms:
        raise Refused("expired", "the offer stood until then: ask again", valid=row.valid_ms)
    if row.version != version:
        raise Refused("price_changed", "there is another offer", price=row.price, version=row.version)
    offer = _offer(row)
    # A price that was agreed is the same for members: none of the shop's discounts is taken off it.
    priced = PricedLine(row.sku, row.quantity, row.price, row.price)
    presale_price = row.price if offer.deposit else 0
    if presale_price:
        priced = PricedLine(row.sku, row.quantity, offer.deposit)
    wishes = tuple(map(wish_of, orjson.loads(row.wishes)))
    line = Line(priced, None, None, row.product, row.title, presale_price=presale_price, wishes=wishes, request=row.id)
    return line, offer


def offer_ordered(batch: Batch, request: str, order: str) -> None:
    """An order was made of an offer."""
    batch.run(_ORDERED, id=request, order=order)


def offer_back(batch: Batch, order: str) -> None:
    """The order of an offer ended unpaid: it can be ordered again while it stands."""
    batch.run(_BACK, order=order)


def retake_offer(batch: Batch, order: str) -> None:
    """Money for a cancelled order of an offer came late. Raises Refused (gone) when the request has ended since."""
    state = batch.run(_OF_ORDER, order=order).scalar()
    if state in ("declined", "withdrawn"):
        raise Refused("gone", "the request has ended")
    batch.run(_AGAIN, order=order)


def read_requests(
    connection: Connection,
    merchant: str,
    person: str,
    state: str,
    before: str | None,
    limit: int,
    now_ms: int,
    reach: Reach | None = None,
) -> list[RequestView]:
    """Requests, newest first: of a person, or (empty) of all within a reach."""
    asked: dict[str, Any] = {"merchant": merchant, "person": person, "state": state, "before": before or AFTER_ALL}
    asked |= {"limit": min(limit, LIST_MAX)} | ({} if reach is None else reach_values(reach))
    rows = connection.execute(_LIST if reach is None else _LIST_REACHED, asked)
    return [request_view(row, now_ms) for row in rows]


def reaches_request(connection: Connection, merchant: str, request: str, reach: Reach) -> bool:
    """Whether a request was made in a room within a reach, or by one of its customers."""
    asked = {"id": request, "merchant": merchant, **reach_values(reach)}
    return connection.execute(_ONE_REACHED, asked).first() is not None


def request_view(row: Row[Any], now_ms: int) -> RequestView:
    """A ``SELECT *`` row of ``custom_request``."""
    state = "expired" if row.state == "offered" and row.valid_ms <= now_ms else row.state
    return RequestView(
        row.id, row.person, row.room, row.product, row.sku, row.title, row.quantity, tuple(orjson.loads(row.wishes)),
        row.words, state, row.version, row.price, _offer(row).deposit if row.version else 0, row.deposit_percent,
        row.missed, row.deliver_ms, row.valid_ms, row.answer, row.order_id, row.created_ms, row.answered_ms,
    )  # fmt: skip


def _offer(row: Row[Any]) -> Offer:
    return Offer(row.price, row.deposit_percent, row.missed, row.deliver_ms, row.valid_ms)


def _find(batch: Batch, merchant: str, request: str, person: str | None = None) -> Row[Any]:
    row = batch.one(_ONE, id=request, merchant=merchant)
    if row is None or (person is not None and row.person != person):
        raise NotFound("no such request")
    return row


def _told(batch: Batch, merchant: str, request: str) -> RequestView:
    row = _find(batch, merchant, request)
    batch.emit(
        OfferMade(batch.mint(), merchant, row.room, batch.now_ms, row.person, row.id, row.title, row.state, row.price)
    )
    return request_view(row, batch.now_ms)


HANDLERS: Mapping[type, Callable[[Batch, Any], Any]] = {
    SetForm: set_form,
    AskPrice: ask_price,
    MakeOffer: make_offer,
    EndRequest: end_request,
}
