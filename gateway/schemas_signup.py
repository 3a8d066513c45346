"""Bodies and answers of events and their tickets, as msgspec structs. Money is integer 分, times Unix milliseconds."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from commerce.domain.signup import CODE_DIGITS, DETAIL_CHARACTERS_MAX, NAME_CHARACTERS_MAX, PAY_S_MAX, PLACES_MAX
from gateway.schemas_base import Body, Id, Millis, Title


class EventBody(Body, kw_only=True):
    """An event. With a ``sku`` each place is paid by an order of it, within ``pay_s`` of getting it."""

    title: Title
    detail: Annotated[str, Meta(max_length=DETAIL_CHARACTERS_MAX)] = ""
    place: Annotated[str, Meta(max_length=60)] = ""
    starts: Millis
    ends: Millis
    closes: Millis
    places: Annotated[int, Meta(ge=1, le=PLACES_MAX)]
    sku: Id | None = None
    pay_s: Annotated[int, Meta(ge=60, le=PAY_S_MAX)] = 900


class EventView(Struct):
    """``waiting`` people are in the list; ``sku``, ``price`` and ``version`` are what a paid place is ordered with."""

    event: str
    title: str
    detail: str
    place: str
    starts: Millis
    ends: Millis
    closes: Millis
    places: int
    taken: int
    waiting: int
    state: Literal["open", "cancelled", "over"]
    sku: str | None
    price: int
    version: int
    image: str
    pay_s: int


class SignUpBody(Body, kw_only=True):
    name: Annotated[str, Meta(max_length=NAME_CHARACTERS_MAX)] = ""


class TicketView(Struct):
    """A ticket; ``ahead`` wait before it, ``until`` a reserved place is to be paid; ``qr`` draws its owner's code."""

    ticket: str
    event: str
    title: str
    person: str
    name: str
    code: str | None
    state: Literal["waiting", "reserved", "good", "used", "cancelled"]
    until: int | None
    order: str | None
    ahead: int
    used: int | None
    created: Millis
    qr: str | None = None


class TicketPage(Struct):
    items: list[TicketView]
    next: str | None


class CheckInBody(Body, kw_only=True):
    code: Annotated[str, Meta(min_length=CODE_DIGITS, max_length=CODE_DIGITS, pattern=r"^[0-9]+$")]
