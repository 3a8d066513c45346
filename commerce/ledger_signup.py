"""The ledger's commands for events and their tickets, and what they answer."""

from dataclasses import dataclass

from commerce.domain.signup import EventTerms


@dataclass(frozen=True, slots=True)
class SaveEvent:
    """Write an event: a new one (``event`` None), or other terms of one that is there."""

    merchant: str
    staff: str
    event: str | None
    terms: EventTerms


@dataclass(frozen=True, slots=True)
class CallOff:
    """An event does not take place: its tickets end, what was paid goes back."""

    merchant: str
    staff: str
    event: str


@dataclass(frozen=True, slots=True)
class SignUp:
    """Somebody comes, or waits for a place; again, the same ticket."""

    merchant: str
    person: str
    event: str
    name: str


@dataclass(frozen=True, slots=True)
class LeaveEvent:
    """Somebody does not come: the place is the next one's."""

    merchant: str
    person: str
    event: str


@dataclass(frozen=True, slots=True)
class CheckIn:
    """Somebody is at the door with a code."""

    merchant: str
    staff: str
    code: str


@dataclass(frozen=True, slots=True)
class TicketView:
    """A ticket: waiting, reserved (``until``: pay till then), good, used or cancelled; ``ahead`` wait before it."""

    ticket: str
    event: str
    title: str
    person: str
    name: str
    code: str
    state: str
    until: int | None
    order: str | None
    ahead: int
    used: int | None
    created: int


@dataclass(frozen=True, slots=True)
class EventView:
    """An event; of a paid one ``sku``, ``price`` and ``version`` are what a place is ordered with."""

    event: str
    title: str
    detail: str
    place: str
    starts: int
    ends: int
    closes: int
    places: int
    taken: int
    waiting: int
    state: str
    sku: str | None
    price: int
    version: int
    image: str
    pay_s: int
