"""Bodies and answers of flash sales, recurring sales, waiting lists, draws and group buys."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from commerce.domain.draw import ENTER_S_MAX, WINNERS_MAX, WORD_CHARACTERS_MAX
from commerce.domain.money import AMOUNT_MAX
from commerce.domain.rhythm import RULE_CHARACTERS_MAX
from commerce.domain.sale import COUNTDOWN_S_MAX, HOLD_S_MAX
from commerce.domain.team import TEAM_S_MAX, TEAM_SIZE_MAX
from commerce.moments import BAG_HOLD_S_MAX
from gateway.schemas_base import Body, Id, Millis, Price, Quantity, Title, Units

Rule = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=RULE_CHARACTERS_MAX,
        description="RFC 5545 RRULE with BYHOUR and BYMINUTE, in Asia/Shanghai: "
        "FREQ=WEEKLY;BYDAY=MO,WE,FR;BYHOUR=10;BYMINUTE=0",
    ),
]
Word = Annotated[str, Meta(max_length=WORD_CHARACTERS_MAX)]
EnterSeconds = Annotated[int, Meta(ge=0, le=ENTER_S_MAX)]


class SaleBody(Body, kw_only=True):
    """``mode`` says to whom units go: who comes first (rush), a draw among who entered for ``enter_s``, or teams.

    A team has ``team_size`` seats to fill within ``team_s``; with ``team_winners`` a lottery chooses so many of them.
    With a ``deposit`` it is a presale: the rest of the price is paid from ``balance_from`` to ``balance_until``, and
    ``balance_missed`` says what becomes of the deposit of who does not.
    """

    sku: Id
    price: Price
    total: Units
    per_person: Quantity = 1
    hold_s: Annotated[int, Meta(ge=1, le=HOLD_S_MAX, description="seconds in which a held unit must be paid")] = 300
    length_s: Annotated[int, Meta(ge=1, le=86_400)] = 300
    mode: Literal["rush", "draw", "team"] = "rush"
    live_only: bool = False
    enter_s: EnterSeconds = 0
    team_size: Annotated[int, Meta(ge=0, le=TEAM_SIZE_MAX)] = 0
    team_winners: Annotated[int, Meta(ge=0, le=TEAM_SIZE_MAX)] = 0
    team_s: Annotated[int, Meta(ge=0, le=TEAM_S_MAX)] = 0
    deposit: Annotated[int, Meta(ge=0, le=AMOUNT_MAX, description="分 a unit that are paid first; 0: no presale")] = 0
    balance_from: Millis = 0
    balance_until: Millis = 0
    balance_missed: Literal["keep", "refund"] = "refund"


class StartBody(Body, kw_only=True):
    """Open after ``countdown_s``, or ``at`` a moment to come."""

    countdown_s: Annotated[int, Meta(ge=0, le=COUNTDOWN_S_MAX)] = 10
    at: Millis | None = None


class ReopenBody(Body, kw_only=True):
    length_s: Annotated[int, Meta(ge=1, le=86_400)] = 300


class PlanBody(Body, kw_only=True):
    """A sale that comes again: ``rule`` names its openings."""

    rule: Rule
    sku: Id
    price: Price
    total: Units
    per_person: Quantity = 1
    hold_s: Annotated[int, Meta(ge=1, le=HOLD_S_MAX)] = 300
    length_s: Annotated[int, Meta(ge=1, le=86_400)] = 300
    mode: Literal["rush", "draw"] = "rush"
    live_only: bool = False
    enter_s: EnterSeconds = 0


class SwitchBody(Body, kw_only=True):
    on: bool = True


class DrawBody(Body, kw_only=True):
    """A lucky bag (units of ``sku`` for ``price`` 分) or a red packet (``pool`` 分 in ``winners`` random shares).

    ``task`` is what who enters has to do: nothing, say ``word`` in the room, or follow the shop.
    """

    kind: Literal["bag", "packet"]
    winners: Annotated[int, Meta(ge=1, le=WINNERS_MAX)]
    seconds: Annotated[int, Meta(ge=1, le=ENTER_S_MAX, description="how long entries are taken")] = 60
    task: Literal["none", "comment", "follow"] = "none"
    word: Word = ""
    title: Title | None = None
    sku: Id | None = None
    price: Price = 1
    hold_s: Annotated[int, Meta(ge=1, le=BAG_HOLD_S_MAX, description="in which a prize must be fetched")] = 86_400
    pool: Price | None = None
    least: Price = 1
    valid_s: Annotated[int, Meta(ge=60, le=366 * 86_400)] = 7 * 86_400


class EntryBody(Body, kw_only=True):
    """What the task asks for: the comment is said in the room with the draw's word in it."""

    comment: Annotated[str, Meta(max_length=500)] | None = None
    follow: bool = False


class TeamBody(Body, kw_only=True):
    """The team to join; a new one is opened when none is named."""

    team: Id | None = None


class SaleView(Struct):
    sale: str
    room: str
    product: str
    sku: str
    title: str
    image: str
    price: int
    list_price: int
    version: int
    state: str
    opens: int | None
    closes: int | None
    total: int
    left: int
    per_person: int
    hold_s: int
    media_ms: int | None = None
    mode: str = "rush"
    live_only: bool = False
    waiting: int = 0
    reserved: int = 0
    draw: str | None = None
    draws: int | None = None
    team_size: int = 0
    team_winners: int = 0
    team_s: int = 0
    deposit: int = 0
    balance_from: int | None = None
    balance_until: int | None = None
    balance_missed: str = ""


class PlanView(Struct):
    """``next`` is when it opens again; ``skipped`` counts openings for which there were no units or no server."""

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


class WinnerView(Struct):
    ticket: str
    name: str
    amount: int


class DrawView(Struct):
    """``commitment`` is the SHA-256 of ``seed``, which is told once it is drawn; ``top`` are the first winners."""

    draw: str
    room: str
    kind: str
    title: str
    task: str
    word: str
    sale: str | None
    team: str | None
    winners: int
    pool: int
    least: int
    entries: int
    won: int
    opens: int
    closes: int
    drawn: int | None
    state: str
    commitment: str
    seed: str | None
    top: list[WinnerView] = msgspec.field(default_factory=list)


class TicketView(Struct):
    """A ticket in order of entry; ``place`` (from 0) and 分 of a share are the winners'.

    A ``void`` one is the second of a person who had entered under two names: it cannot win.
    """

    ticket: str
    place: int | None
    amount: int
    void: bool


class ProofAnswer(Struct):
    """All that a draw is recomputed from."""

    algorithm: str
    draw: DrawView
    tickets: list[TicketView]


class DrawEntryView(Struct):
    """The caller's own entry; ``place`` and ``prize`` (a hold or a coupon) when it has won."""

    ticket: str
    n: int
    place: int | None
    amount: int
    prize: str | None


class EnteredAnswer(Struct):
    draw: str
    ticket: str
    n: int


class TeamView(Struct):
    team: str
    room: str
    sale: str
    leader: str
    size: int
    winners: int
    taken: int
    paid: int
    state: str
    opened: int
    deadline: int
    draw: str | None


class SeatAnswer(Struct):
    """A seat is a hold: order and pay it by ``expires``."""

    team: str
    hold: str
    quantity: int
    price: int
    expires: int


class WaitAnswer(Struct):
    """The place in the line, from 1; 0: in none."""

    sale: str
    place: int


class RemindAnswer(Struct):
    subject: str
    reserved: int


class FollowAnswer(Struct):
    on: bool
    followers: int
