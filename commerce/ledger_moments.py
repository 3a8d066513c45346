"""The ledger's commands for recurring sales, waiting lists, draws and group buys, and what they answer."""

from dataclasses import dataclass

from commerce.domain.sale import SaleTerms


@dataclass(frozen=True, slots=True)
class CreatePlan:
    """Make a sale of ``total`` units at each moment that ``rule`` (an RRULE, Asia/Shanghai) names."""

    merchant: str
    room: str
    sku: str
    rule: str
    price: int
    total: int
    per_person: int
    hold_ms: int
    length_ms: int
    terms: SaleTerms


@dataclass(frozen=True, slots=True)
class EndPlan:
    """Make no more sales by a plan; those that were made go on."""

    merchant: str
    plan: str


@dataclass(frozen=True, slots=True)
class PlanView:
    """A recurring sale: ``next`` is when it opens again (None: never), ``skipped`` how often it could not."""

    plan: str
    room: str
    sku: str
    rule: str
    price: int
    total: int
    per_person: int
    hold_s: int
    length_s: int
    mode: str
    live_only: bool
    enter_s: int
    next: int | None
    made: int
    skipped: int
    ended: int | None


@dataclass(frozen=True, slots=True)
class Remind:
    """Remind a person shortly before a sale (or each sale of a plan) opens; ``on`` False: do not."""

    merchant: str
    room: str
    person: str
    subject: str
    on: bool = True


@dataclass(frozen=True, slots=True)
class Reminded:
    """How many want to be reminded of it."""

    subject: str
    reserved: int


@dataclass(frozen=True, slots=True)
class Wait:
    """Stand in line for units of a sold-out sale that come back."""

    merchant: str
    room: str
    person: str
    sale: str


@dataclass(frozen=True, slots=True)
class LeaveWaiting:
    """Leave that line."""

    merchant: str
    person: str
    sale: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """The place in a line, from 1; 0: in none."""

    sale: str
    place: int


@dataclass(frozen=True, slots=True)
class OpenBag:
    """Open a lucky bag now: ``winners`` of those who enter in time may each buy one unit at ``price``."""

    merchant: str
    room: str
    product: str
    sku: str
    title: str
    image: str
    price: int
    list_price: int
    winners: int
    enter_ms: int
    hold_ms: int
    task: str
    word: str


@dataclass(frozen=True, slots=True)
class OpenPacket:
    """Open a red packet now: ``pool`` 分 in ``winners`` random shares, as coupons without a threshold."""

    merchant: str
    room: str
    title: str
    pool: int
    winners: int
    least: int
    enter_ms: int
    valid_ms: int
    task: str
    word: str


@dataclass(frozen=True, slots=True)
class VoidDraw:
    """Call a bag or a packet off before it is drawn."""

    merchant: str
    draw: str


@dataclass(frozen=True, slots=True)
class Enter:
    """Enter a draw; the task was done (a follow is done by this)."""

    merchant: str
    room: str
    person: str
    draw: str
    follow: bool = False


@dataclass(frozen=True, slots=True)
class Entered:
    """The ticket of a person in a draw, and its number from 1."""

    draw: str
    ticket: str
    n: int


@dataclass(frozen=True, slots=True)
class Follow:
    """Follow the shop, or not any more."""

    merchant: str
    person: str
    on: bool


@dataclass(frozen=True, slots=True)
class Followed:
    """Whether a person follows now, and how many do."""

    on: bool
    followers: int


@dataclass(frozen=True, slots=True)
class JoinTeam:
    """Take a seat in a team of a group buy, or open one (``team`` None); ``key`` makes it repeatable."""

    merchant: str
    room: str
    person: str
    sale: str
    team: str | None
    key: str
    hash: str


@dataclass(frozen=True, slots=True)
class Seated:
    """A seat: the hold to order and pay in time."""

    team: str
    hold: str
    price: int
    expires_ms: int
