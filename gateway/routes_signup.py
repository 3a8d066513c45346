"""Events: what takes place, signing up, one's tickets, who comes, the door."""

from __future__ import annotations

from typing import Any

import segno

from commerce.domain.signup import EventTerms
from commerce.ledger_signup import TicketView as Ticket
from gateway.api import SIGNED_IN, Call, Operation, page_limit
from gateway.auth import HOST_ROLES
from gateway.encode import plain
from gateway.parameters import PAGING
from gateway.schemas_signup import CheckInBody, EventBody, EventView, SignUpBody, TicketPage, TicketView
from gateway.services import Services

HOSTS = frozenset(HOST_ROLES)
MERCHANT = frozenset({"merchant"})
PATH = "/api/v1/events"


def signup_operations(services: Services) -> list[Operation]:
    """Operations on events and tickets."""
    signups = services.shop.signups

    async def list_events(call: Call) -> Any:
        return await signups.events(call.who.merchant)

    async def save(call: Call, event: str | None) -> Any:
        body: EventBody = call.body
        times = (body.starts, body.ends, body.closes)
        terms = EventTerms(body.title, body.detail, body.place, *times, body.places, body.sku, body.pay_s)
        return await signups.save(call.who.merchant, call.who.person, event, terms)

    async def create_event(call: Call) -> Any:
        return await save(call, None)

    async def change_event(call: Call) -> Any:
        return await save(call, call.path["event"])

    async def call_event_off(call: Call) -> Any:
        return await signups.call_off(call.who.merchant, call.who.person, call.path["event"])

    async def sign_up_for_event(call: Call) -> Any:
        who = call.who
        return _answer(await signups.sign_up(who.merchant, who.person, call.path["event"], call.body.name), own=True)

    async def leave_event(call: Call) -> Any:
        return _answer(await signups.leave(call.who.merchant, call.who.person, call.path["event"]), own=True)

    async def list_tickets(call: Call) -> Any:
        return [_answer(one, own=True) for one in await signups.tickets_of(call.who.merchant, call.who.person)]

    async def list_event_tickets(call: Call) -> Any:
        limit = page_limit(call)
        asked = (call.path["event"], call.query.get("after", ""), limit)
        rows = await signups.tickets(call.who.merchant, *asked)
        items = [_answer(one, own=False) for one in rows]
        return {"items": items, "next": rows[-1].ticket if len(rows) == limit else None}

    async def check_in(call: Call) -> Any:
        return _answer(await signups.check_in(call.who.merchant, call.who.person, call.body.code), own=False)

    one, mine = f"{PATH}/{{event}}", f"{PATH}/{{event}}/ticket"
    return [
        Operation("GET", PATH, "What takes place", list_events, SIGNED_IN, answer=list[EventView]),
        Operation("POST", PATH, "A new event", create_event, MERCHANT, EventBody, EventView, 201),
        Operation("PUT", one, "Change an event", change_event, MERCHANT, EventBody, EventView),
        Operation("POST", f"{one}/cancel", "Call an event off", call_event_off, MERCHANT, answer=EventView),
        Operation("POST", mine, "Sign up", sign_up_for_event, SIGNED_IN, SignUpBody, TicketView, 201),
        Operation("DELETE", mine, "Give the place up", leave_event, SIGNED_IN, answer=TicketView),
        Operation("GET", f"{one}/tickets", "Who comes", list_event_tickets, MERCHANT, answer=TicketPage, query=PAGING),
        Operation("GET", "/api/v1/tickets", "Own tickets", list_tickets, SIGNED_IN, answer=list[TicketView]),
        # Who stands at the door has been shown the code, whoever's customer it is.
        Operation(
            "POST",
            "/api/v1/tickets/check-ins",
            "Let in by code",
            check_in,
            HOSTS,
            CheckInBody,
            TicketView,
            201,
            within="orders",
        ),
    ]


def _answer(ticket: Ticket, *, own: bool) -> dict[str, Any]:
    answer: dict[str, Any] = plain(ticket)
    good = own and ticket.state == "good"
    # Only its owner shows it at the door, and only when it opens it.
    answer["code"] = ticket.code if good else None
    answer["qr"] = segno.make(ticket.code, error="m").svg_data_uri(scale=5, border=3) if good else None
    return answer
