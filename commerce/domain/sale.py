"""Flash-sale rules: which state a sale is in, and whether a hold is granted.

    scheduled ──start──▶ countdown ──opens──▶ open ◀──▶ sold_out
                             │                 │
                             └──── paused ◀────┘      any ──close, closes──▶ closed ──reopen──▶ open

A sale by draw has ``entering`` between its opening and its draw, which is the duty's (deadlines_sql). Otherwise the
state is a function of the row and the time, so nobody has to be awake for a sale to open or close.
"""

from dataclasses import dataclass
from enum import StrEnum

from commerce.domain.presale import Presale

COUNTDOWN_S_MAX = 300
LENGTH_S_MAX = 24 * 3600
HOLD_S_MAX = 1800
"""Half an hour: a longer hold keeps units from people who would pay."""
QUANTITY_MAX = 999
"""Units in one hold or line; more is a mistake or an attack."""
UNITS_MAX = 10_000_000
"""Units of one sale or SKU."""


class SaleMode(StrEnum):
    """How a sale gives its units out: to who comes first, by a draw, as prizes of a draw, or to teams."""

    RUSH = "rush"
    DRAW = "draw"
    BAG = "bag"
    TEAM = "team"


class SaleState(StrEnum):
    """Where a sale is in its life."""

    SCHEDULED = "scheduled"
    COUNTDOWN = "countdown"
    ENTERING = "entering"
    OPEN = "open"
    PAUSED = "paused"
    SOLD_OUT = "sold_out"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class SaleTerms:
    """How a sale gives its units out, where that is not simply to who comes first.

    ``enter_ms`` is how long a draw takes entries. A team has ``team_size`` seats and ``team_ms`` to fill them;
    ``team_winners`` of them get the goods (0: all). With ``live_only`` the price is for who is here while it is live.
    A ``presale`` has its units ordered by a deposit.
    """

    mode: SaleMode = SaleMode.RUSH
    live_only: bool = False
    enter_ms: int = 0
    team_size: int = 0
    team_winners: int = 0
    team_ms: int = 0
    presale: Presale | None = None


FIRST_COME = SaleTerms()


@dataclass(frozen=True, slots=True)
class SaleRow:
    """One sale as stored; units, 分 and Unix milliseconds."""

    id: str
    merchant: str
    room: str
    product: str
    sku: str
    title: str
    image: str
    price: int
    list_price: int
    version: int
    total: int
    free: int
    held: int
    sold: int
    returned: int
    per_person: int
    hold_ms: int
    length_ms: int
    created_ms: int
    opens_ms: int | None
    closes_ms: int | None
    paused_ms: int | None
    closed_ms: int | None
    announced: str
    mode: str = "rush"
    live_only: bool = False
    waiting: int = 0
    reserved: int = 0
    plan: str | None = None
    draw: str | None = None
    enter_ms: int = 0
    drawn_ms: int | None = None
    team_size: int = 0
    team_winners: int = 0
    team_ms: int = 0
    deposit: int = 0
    balance_from_ms: int | None = None
    balance_until_ms: int | None = None
    balance_missed: str = ""


def state_of(sale: SaleRow, now_ms: int) -> SaleState:
    """The state of a sale at a time."""
    if sale.closed_ms is not None:
        return SaleState.CLOSED
    if sale.opens_ms is None or sale.closes_ms is None:
        return SaleState.SCHEDULED
    if sale.paused_ms is not None:
        return SaleState.PAUSED
    if now_ms < sale.opens_ms:
        soon = sale.opens_ms - now_ms <= COUNTDOWN_S_MAX * 1000
        return SaleState.COUNTDOWN if soon else SaleState.SCHEDULED
    # However late it is drawn, entrants get their draw before the doors close.
    if sale.enter_ms and sale.drawn_ms is None:
        return SaleState.ENTERING
    if now_ms >= sale.closes_ms:
        return SaleState.CLOSED
    return SaleState.OPEN if sale.free else SaleState.SOLD_OUT


_CLOSED_DOORS = {
    SaleState.SCHEDULED: "not_open",
    SaleState.COUNTDOWN: "not_open",
    SaleState.ENTERING: "by_draw",
    SaleState.PAUSED: "paused",
    SaleState.CLOSED: "closed",
}


def door(sale: SaleRow, now_ms: int) -> str | None:
    """The code with which a sale refuses everybody at this time, or None when it takes holds (or is sold out)."""
    code = _CLOSED_DOORS.get(state_of(sale, now_ms))
    return "by_team" if code is None and sale.mode == SaleMode.TEAM else code


def draws_ms(sale: SaleRow) -> int | None:
    """When the entries of a started sale by draw end."""
    return sale.opens_ms + sale.enter_ms if sale.enter_ms and sale.opens_ms is not None else None


def decide_hold(free: int, used: int, per_person: int, quantity: int) -> str | None:
    """None when ``quantity`` units are granted, else the refusal's code.

    All or nothing: a person who asks for two and could have one is told so, and asks again.
    """
    if used + quantity > per_person:
        return "limit"
    if quantity > free:
        return "sold_out"
    return None
