"""What ends places at events: a payment that did not come, the door, the event's end, its being called off.

An order of a place is done when its ticket is used, or when the event is over: what it sold took place.
"""

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Row, text

from commerce.deadlines_sql import arm
from commerce.domain.order import OrderStatus, Step
from commerce.errors import NotFound, Refused
from commerce.fulfilment_sql import finish, fulfil
from commerce.ledger import Finish, Fulfil, Refund, fingerprint
from commerce.ledger_batch_sql import Batch
from commerce.ledger_signup import CallOff, CheckIn, EventView, LeaveEvent, SaveEvent, SignUp, TicketView
from commerce.orders_sql import find_order
from commerce.refunds_sql import refund_order
from commerce.signups_sql import (
    DUE,
    TICKET_DUE,
    check_in,
    end_ticket,
    find_event,
    leave_event,
    read_event,
    read_ticket,
    save_event,
    sign_up,
)

ENDED_MAX = 50
"""Tickets of an event ended in one go: each may be a refund, and others wait meanwhile."""
_BY_CODE = text("SELECT * FROM ticket WHERE merchant = :merchant AND code = :code")
_BY_ID = text("SELECT * FROM ticket WHERE id = :id")
_EVENT = text("SELECT * FROM event_ WHERE id = :id")
_STATE = text("UPDATE event_ SET state = :state WHERE id = :id")
# The door opens a day ahead: whoever was let in by then has paid for nothing either.
_LIVE = text("SELECT * FROM ticket WHERE event = :event AND state <> 'cancelled' ORDER BY id LIMIT :limit")
_PENDING = text("SELECT 1 FROM orders WHERE id = :id AND status = 'pending'")
_UNDONE = text(
    "SELECT t.* FROM ticket AS t JOIN orders AS o ON o.id = t.order_id WHERE t.event = :event AND t.state = 'good'"
    " AND o.fulfilment = 'open' AND o.status IN ('paid', 'partly_refunded') ORDER BY t.id LIMIT :limit"
)
# What is used with a code at a door is neither sent nor picked up.
_NO_METHOD = text("UPDATE orders SET delivery = NULL WHERE id = :id")


def ticket_due(batch: Batch, ticket: str) -> None:
    """A place was kept for its payment long enough."""
    row = batch.one(_BY_ID, id=ticket)
    if row is None or row.state != "reserved":
        return
    pending = row.order_id is not None and batch.one(_PENDING, id=row.order_id) is not None
    if batch.now_ms < row.until_ms or pending:
        # The money may be on its way until the order has ended.
        arm(batch, TICKET_DUE, ticket, max(row.until_ms, batch.now_ms + 1_000))
        return
    end_ticket(batch, row)


def event_due(batch: Batch, event: str) -> None:
    """An event is over, or goes on being called off: some of its tickets at a time."""
    row = batch.one(_EVENT, id=event)
    if row is None:
        return
    if row.state == "cancelled":
        if _end_some(batch, row):
            arm(batch, DUE, event, batch.now_ms)
        return
    if batch.now_ms < row.ends_ms:
        arm(batch, DUE, event, row.ends_ms)
        return
    undone = batch.run(_UNDONE, event=event, limit=ENDED_MAX).all()
    for ticket in undone:
        _close_order(batch, ticket)
    if len(undone) == ENDED_MAX:
        arm(batch, DUE, event, batch.now_ms)
    elif row.state == "open":
        batch.run(_STATE, id=event, state="over")


def call_off(batch: Batch, command: CallOff) -> EventView:
    """Call an event off: tickets end, what was paid goes back. Raises NotFound, Refused (closed, already: it began)."""
    row = find_event(batch, command.merchant, command.event)
    if batch.now_ms >= row.starts_ms:
        raise Refused("already", "the event has begun")
    batch.run(_STATE, id=row.id, state="cancelled")
    if _end_some(batch, row):
        arm(batch, DUE, row.id, batch.now_ms)
    return read_event(batch.connection, command.merchant, row.id)


def _end_some(batch: Batch, event: Row[Any]) -> bool:
    """End some tickets of an event that was called off; whether there may be more."""
    live = batch.run(_LIVE, event=event.id, limit=ENDED_MAX).all()
    for ticket in live:
        if ticket.state in ("good", "used") and ticket.order_id is not None:
            _give_back(batch, event, ticket)
        if ticket.state != "good" or ticket.order_id is None:
            end_ticket(batch, ticket)
    return len(live) == ENDED_MAX


def _give_back(batch: Batch, event: Row[Any], ticket: Row[Any]) -> None:
    """Refund a place of an event that was called off; that ends its ticket unless it was used."""
    order = find_order(batch, event.merchant, ticket.order_id)
    if order.status == OrderStatus.REFUNDED:
        return
    key, body = f"event-{ticket.id}", fingerprint("event", ticket.id)
    refund_order(batch, Refund(order.merchant, event.staff, order.id, key, body, None, None, "none", event.title))


def let_in(batch: Batch, command: CheckIn) -> TicketView:
    """Let the ticket with a code in. Raises NotFound, Refused (already, not_open, expired)."""
    row = batch.one(_BY_CODE, merchant=command.merchant, code=command.code)
    if row is None:
        raise NotFound("no ticket has this code")
    check_in(batch, row, command.staff)
    if row.order_id is not None:
        _close_order(batch, row)
    return read_ticket(batch.connection, command.merchant, row.id)


def _close_order(batch: Batch, ticket: Row[Any]) -> None:
    order = find_order(batch, ticket.merchant, ticket.order_id)
    if order.status not in (OrderStatus.PAID, OrderStatus.PARTLY_REFUNDED) or order.fulfilment != "open":
        return
    batch.run(_NO_METHOD, id=order.id)
    fulfil(batch, Fulfil(order.merchant, order.id, Step.SHIP, carrier="event", number=ticket.id))
    finish(batch, Finish(order.merchant, order.id, None))


HANDLERS: Mapping[type, Callable[[Batch, Any], Any]] = {
    SaveEvent: save_event,
    CallOff: call_off,
    SignUp: sign_up,
    LeaveEvent: leave_event,
    CheckIn: let_in,
}
