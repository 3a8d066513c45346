"""Events inside the ledger's transaction: terms, tickets, the waiting list, and what an order of a place does.

Called from where orders are made, paid and refunded; what ends an event is in signup_ends_sql.
"""

import secrets
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, bindparam, text

from commerce.deadlines_sql import arm, disarm
from commerce.domain.signup import CODE_DIGITS, refuse_check_in, ticket_after_sign_up
from commerce.errors import Invalid, NotFound, Refused
from commerce.ledger import PAYMENT_GRACE_MS
from commerce.ledger_batch_sql import Batch
from commerce.ledger_signup import EventView, LeaveEvent, SaveEvent, SignUp, TicketView
from commerce.pricing_sql import Line

DUE, TICKET_DUE = "event", "ticket"
"""Kinds of deadlines: of an event (its end, or going on with calling it off), of a place that waits for payment."""
LIST_MAX = 200
WAITING_MAX = 2_000
"""People in one waiting list: twice as many as the largest event has places."""

_SKU = text("SELECT kind, slot_ms FROM sku WHERE id = :sku AND merchant = :merchant")
_OF_SKU = text("SELECT id FROM event_ WHERE sku = :sku AND state = 'open'")
_EVENT = text("SELECT * FROM event_ WHERE id = :id AND merchant = :merchant")
_INSERT = text(
    "INSERT INTO event_ (id, merchant, title, detail, place, starts_ms, ends_ms, closes_ms, places, sku, pay_ms, state,"
    " staff, created_ms) VALUES (:id, :merchant, :title, :detail, :place, :starts_ms, :ends_ms, :closes_ms, :places,"
    " :sku, :pay_ms, 'open', :staff, :now)"
)
_UPDATE = text(
    "UPDATE event_ SET title = :title, detail = :detail, place = :place, starts_ms = :starts_ms, ends_ms = :ends_ms,"
    " closes_ms = :closes_ms, places = :places, pay_ms = :pay_ms WHERE id = :id"
)
_TAKE = text("UPDATE event_ SET taken = taken + 1 WHERE id = :id AND taken < places AND state = 'open'")
_GIVE_BACK = text("UPDATE event_ SET taken = taken - 1 WHERE id = :id")
_MINE = text("SELECT * FROM ticket WHERE event = :event AND person = :person AND state <> 'cancelled'")
_WAITS = text("SELECT count(*) FROM ticket WHERE event = :event AND state = 'waiting'")
_ADD = text(
    "INSERT INTO ticket (id, merchant, event, person, name, code, state, until_ms, order_id, created_ms)"
    " VALUES (:id, :merchant, :event, :person, :name, :code, :state, :until_ms, :order, :now)"
)
_SET = text("UPDATE ticket SET state = :state, until_ms = :until_ms, used_ms = NULL, used_by = NULL WHERE id = :id")
_ORDERED = text("UPDATE ticket SET order_id = :order, until_ms = :until_ms WHERE id = :id")
_WAS_PLACE = text("SELECT 1 FROM ticket WHERE order_id = :order LIMIT 1")
_PAID = text("UPDATE ticket SET state = 'good', until_ms = NULL, order_id = :order WHERE id = :id")
_USE = text("UPDATE ticket SET state = 'used', used_ms = :now, used_by = :staff WHERE id = :id")
_BY_ID = text("SELECT * FROM event_ WHERE id = :id")
_NEXT = text("SELECT * FROM ticket WHERE event = :event AND state = 'waiting' ORDER BY created_ms, id LIMIT 1")
_PAID_EVENTS = text("SELECT * FROM event_ WHERE merchant = :merchant AND state = 'open' AND sku IN :skus").bindparams(
    bindparam("skus", expanding=True)
)
_LINES = text("SELECT sku FROM order_line WHERE order_id = :order")
_OF_ORDER = text("SELECT * FROM ticket WHERE order_id = :order AND state IN ('reserved', 'good')")
_EVENTS = (
    "SELECT e.*, k.price, k.version, p.image, (SELECT count(*) FROM ticket AS t WHERE t.event = e.id"
    " AND t.state = 'waiting') AS waiting FROM event_ AS e LEFT JOIN sku AS k ON k.id = e.sku LEFT JOIN product AS p"
    " ON p.id = k.product WHERE e.merchant = :merchant"
)
_ONE_EVENT = text(f"{_EVENTS} AND e.id = :event")
_COMING = text(f"{_EVENTS} AND e.ends_ms > :since ORDER BY e.starts_ms, e.id LIMIT :limit")
_TICKETS = (
    "SELECT t.*, e.title, (SELECT count(*) FROM ticket AS w WHERE w.event = t.event AND w.state = 'waiting'"
    " AND t.state = 'waiting' AND (w.created_ms < t.created_ms OR (w.created_ms = t.created_ms AND w.id < t.id)))"
    " AS ahead FROM ticket AS t JOIN event_ AS e ON e.id = t.event WHERE t.merchant = :merchant"
)
_OWN_TICKETS = text(f"{_TICKETS} AND t.person = :person ORDER BY t.id DESC LIMIT :limit")
_EVENT_TICKETS = text(
    f"{_TICKETS} AND t.event = :event AND t.id > :after AND t.state <> 'cancelled' ORDER BY t.id LIMIT :limit"
)
_ONE_TICKET = text(f"{_TICKETS} AND t.id = :id")


def save_event(batch: Batch, command: SaveEvent) -> EventView:
    """Write an event. Raises NotFound, Invalid, Refused (already: the SKU pays another; limit: places are taken)."""
    terms, event = command.terms, command.event or batch.mint()
    fields = {
        "title": terms.title,
        "detail": terms.detail,
        "place": terms.place,
        "starts_ms": terms.starts_ms,
        "ends_ms": terms.ends_ms,
        "closes_ms": terms.closes_ms,
        "places": terms.places,
        "pay_ms": terms.pay_s * 1000,
    }
    if command.event is None:
        _check_sku(batch, command.merchant, terms.sku)
        who = {"merchant": command.merchant, "staff": command.staff, "now": batch.now_ms}
        batch.run(_INSERT, id=event, sku=terms.sku, **who, **fields)
    else:
        row = find_event(batch, command.merchant, event)
        if row.sku != terms.sku:
            raise Invalid("what pays a place stays: make another event", field="sku")
        if row.taken > terms.places:
            raise Refused("limit", "more places than that are taken", taken=row.taken)
        batch.run(_UPDATE, id=event, **fields)
        promote(batch, event)
    arm(batch, DUE, event, terms.ends_ms)
    return read_event(batch.connection, command.merchant, event)


def _check_sku(batch: Batch, merchant: str, sku: str | None) -> None:
    if sku is None:
        return
    row = batch.one(_SKU, sku=sku, merchant=merchant)
    if row is None:
        raise NotFound("no such product")
    if row.kind != "goods" or row.slot_ms is not None:
        raise Invalid("stored value and bookable times pay no place", field="sku")
    if batch.one(_OF_SKU, sku=sku) is not None:
        raise Refused("already", "this SKU pays the places of another event")


def find_event(batch: Batch, merchant: str, event: str) -> Row[Any]:
    """The event's row. Raises NotFound, Refused (closed) when it was called off or is over."""
    row = batch.one(_EVENT, id=event, merchant=merchant)
    if row is None:
        raise NotFound("no such event")
    if row.state != "open":
        raise Refused("closed", "the event is over or was called off")
    return row


def sign_up(batch: Batch, command: SignUp) -> TicketView:
    """Give a place, or one in the waiting list. Raises NotFound, Refused (closed, limit: too many wait)."""
    row = find_event(batch, command.merchant, command.event)
    there = batch.one(_MINE, event=row.id, person=command.person)
    if there is not None:
        return read_ticket(batch.connection, command.merchant, there.id)
    if batch.now_ms >= row.closes_ms:
        raise Refused("closed", "nobody signs up for this event any more")
    state = ticket_after_sign_up(row.taken, row.places, paid=row.sku is not None)
    if state == "waiting" and batch.run(_WAITS, event=row.id).scalar_one() >= WAITING_MAX:
        raise Refused("limit", "too many wait for a place already")
    ticket = _add(batch, row, command.person, command.name, state)
    return read_ticket(batch.connection, command.merchant, ticket)


def _add(batch: Batch, event: Row[Any], person: str, name: str, state: str, order: str | None = None) -> str:
    ticket = batch.mint()
    until_ms = batch.now_ms + event.pay_ms if state == "reserved" else None
    if state != "waiting":
        assert batch.run(_TAKE, id=event.id).rowcount
    code = f"{secrets.randbelow(10**CODE_DIGITS):0{CODE_DIGITS}}"
    known = {"merchant": event.merchant, "event": event.id, "person": person, "name": name, "order": order}
    batch.run(_ADD, id=ticket, code=code, state=state, until_ms=until_ms, now=batch.now_ms, **known)
    if until_ms is not None:
        arm(batch, TICKET_DUE, ticket, until_ms)
    return ticket


def leave_event(batch: Batch, command: LeaveEvent) -> TicketView:
    """Give a place or one's wait up. Raises NotFound, Refused (not_open: paid, the shop refunds it; already: used)."""
    row = batch.one(_MINE, event=command.event, person=command.person)
    if row is None or row.merchant != command.merchant:
        raise NotFound("no such ticket")
    if row.state == "used":
        raise Refused("already", "this ticket was used")
    if row.state == "good" and row.order_id is not None:
        raise Refused("not_open", "a place that was paid is given back by its order's refund", order=row.order_id)
    end_ticket(batch, row)
    return read_ticket(batch.connection, command.merchant, row.id)


def end_ticket(batch: Batch, row: Row[Any]) -> None:
    """End a ticket (a used one only when its event is called off); its place is the next one's."""
    batch.run(_SET, id=row.id, state="cancelled", until_ms=None)
    disarm(batch, TICKET_DUE, row.id)
    if row.state != "waiting":
        batch.run(_GIVE_BACK, id=row.event)
        promote(batch, row.event)


def promote(batch: Batch, event: str) -> None:
    """Give free places to those who wait longest, while there is time to come."""
    row = batch.run(_BY_ID, id=event).one()
    if row.state != "open" or batch.now_ms >= row.ends_ms:
        return
    free = row.places - row.taken
    while free > 0 and (ticket := batch.one(_NEXT, event=event)) is not None:
        assert batch.run(_TAKE, id=event).rowcount
        until_ms = None if row.sku is None else batch.now_ms + row.pay_ms
        batch.run(_SET, id=ticket.id, state="good" if row.sku is None else "reserved", until_ms=until_ms)
        if until_ms is not None:
            arm(batch, TICKET_DUE, ticket.id, until_ms)
        free -= 1


def check_in(batch: Batch, row: Row[Any], staff: str) -> None:
    """Let a ticket in. Raises Refused (already, not_open, expired)."""
    event = batch.run(_BY_ID, id=row.event).one()
    code = refuse_check_in(row.state, event.starts_ms, event.ends_ms, batch.now_ms)
    if code is not None:
        raise Refused(code, _WHY[code], state=row.state, used=row.used_ms, starts=event.starts_ms)
    batch.run(_USE, id=row.id, staff=staff, now=batch.now_ms)


_WHY = {
    "already": "this ticket was used",
    "not_open": "this ticket is not good now: it waits, is unpaid or cancelled, or the doors are not open yet",
    "expired": "the event is over",
}


def order_places(batch: Batch, merchant: str, person: str, lines: Sequence[Line], order: str, expires_ms: int) -> None:
    """An order of a place: by who has one reserved, alone and once. Raises Invalid, Refused (not_open)."""
    for event in _events_of(batch, merchant, [line.priced.sku for line in lines]):
        if len(lines) > 1 or lines[0].priced.quantity > 1:
            raise Invalid("a place at an event is ordered alone, one at a time", field="lines")
        row = batch.one(_MINE, event=event.id, person=person)
        if row is None or row.state != "reserved":
            raise Refused("not_open", "sign up for the event first", event=event.id)
        # Who has begun to pay keeps the place until it is known whether the money came.
        until_ms = max(row.until_ms, expires_ms + PAYMENT_GRACE_MS)
        batch.run(_ORDERED, id=row.id, order=order, until_ms=until_ms)
        arm(batch, TICKET_DUE, row.id, until_ms)


def _events_of(batch: Batch, merchant: str, skus: Sequence[str]) -> list[Row[Any]]:
    return list(batch.run(_PAID_EVENTS, merchant=merchant, skus=sorted({"", *skus})).all())


def places_gone(batch: Batch, row: Row[Any]) -> bool:
    """Whether money for an order would buy no place any more: called off, paid twice, or come too late."""
    events = _events_of(batch, row.merchant, list(batch.run(_LINES, order=row.id).scalars()))
    if not events:
        return batch.one(_WAS_PLACE, order=row.id) is not None
    for event in events:
        ticket = batch.one(_MINE, event=event.id, person=row.person)
        if ticket is not None and ticket.state in ("good", "used"):
            return True
        if (ticket is None or ticket.state == "waiting") and event.taken >= event.places:
            return True
    return False


def pay_places(batch: Batch, row: Row[Any]) -> None:
    """An order was paid: its place is good; one whose time was over takes another, which `places_gone` has found."""
    for event in _events_of(batch, row.merchant, list(batch.run(_LINES, order=row.id).scalars())):
        ticket = batch.one(_MINE, event=event.id, person=row.person)
        if ticket is None:
            _add(batch, event, row.person, "", "good", row.id)
            continue
        if ticket.state == "waiting":
            assert batch.run(_TAKE, id=event.id).rowcount
        batch.run(_PAID, id=ticket.id, order=row.id)
        disarm(batch, TICKET_DUE, ticket.id)


def end_places(batch: Batch, order: str) -> None:
    """All of an order's money goes back: its place is the next one's."""
    for row in batch.run(_OF_ORDER, order=order).all():
        end_ticket(batch, row)


def read_event(connection: Connection, merchant: str, event: str) -> EventView:
    """One event that is there."""
    return _event_view(connection.execute(_ONE_EVENT, {"merchant": merchant, "event": event}).one())


def read_events(connection: Connection, merchant: str, since_ms: int) -> list[EventView]:
    """Events that end after a moment, in their order."""
    asked = {"merchant": merchant, "since": since_ms, "limit": LIST_MAX}
    return [_event_view(row) for row in connection.execute(_COMING, asked)]


def _event_view(row: Row[Any]) -> EventView:
    return EventView(
        row.id, row.title, row.detail, row.place, row.starts_ms, row.ends_ms, row.closes_ms, row.places, row.taken,
        row.waiting, row.state, row.sku, row.price or 0, row.version or 0, row.image or "", row.pay_ms // 1000,
    )  # fmt: skip


def _ticket_view(row: Row[Any]) -> TicketView:
    return TicketView(
        row.id, row.event, row.title, row.person, row.name, row.code, row.state, row.until_ms, row.order_id, row.ahead,
        row.used_ms, row.created_ms,
    )  # fmt: skip


def read_ticket(connection: Connection, merchant: str, ticket: str) -> TicketView:
    """One ticket."""
    return _ticket_view(connection.execute(_ONE_TICKET, {"merchant": merchant, "id": ticket}).one())


def read_own_tickets(connection: Connection, merchant: str, person: str) -> list[TicketView]:
    """A person's tickets, newest first."""
    asked = {"merchant": merchant, "person": person, "limit": LIST_MAX}
    return [_ticket_view(row) for row in connection.execute(_OWN_TICKETS, asked)]


def read_event_tickets(connection: Connection, merchant: str, event: str, after: str, limit: int) -> list[TicketView]:
    """Who comes to an event, and who waits. Raises NotFound."""
    if connection.execute(_EVENT, {"id": event, "merchant": merchant}).one_or_none() is None:
        raise NotFound("no such event")
    asked = {"merchant": merchant, "event": event, "after": after, "limit": limit}
    return [_ticket_view(row) for row in connection.execute(_EVENT_TICKETS, asked)]
