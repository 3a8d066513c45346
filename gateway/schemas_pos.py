"""Bodies and answers of stores and their tills."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from commerce.changes import WHY_CHARACTERS_MAX
from commerce.domain.money import AMOUNT_MAX
from commerce.domain.pos import LINES_MAX, NUMBER_CHARACTERS_MAX
from commerce.domain.takings import TENDERS, Takings
from commerce.pos import CODE_CHARACTERS_MAX
from gateway.schemas import Body, Id, Name, Price
from gateway.schemas_accounting import Day, Reason
from gateway.schemas_base import Millis

BATCH_MAX = 100
"""Receipts and refunds in one request; a till that was offline sends several."""
Number = Annotated[str, Meta(min_length=1, max_length=NUMBER_CHARACTERS_MAX)]
SellerCode = Annotated[str, Meta(min_length=1, max_length=CODE_CHARACTERS_MAX)]
Phone = Annotated[str, Meta(max_length=32)]
Moment = Annotated[int, Meta(ge=0, le=1 << 44, description="Unix milliseconds, by the till's clock")]


class SellerBody(Body, kw_only=True):
    """The code that a seller says at the till; ``issuer`` is their person, or staff account."""

    code: SellerCode
    issuer: Id
    name: Name


class SellerView(Struct):
    code: str
    issuer: str
    name: str
    created: int
    closed: int | None


class SoldView(Struct):
    """What one seller (null: nobody said a code) sold in one store, by the till's clock."""

    outlet: str
    name: str
    seller: str | None
    seller_name: str | None
    receipts: int
    members: int
    amount: int
    refunded: int


class MemberCodeAnswer(Struct):
    """Show ``code`` at the till, or ``qr`` (an SVG as a data address); it is good for some minutes."""

    code: str
    qr: str


class TenderBody(Body, kw_only=True):
    """What was paid in one way; cash without the change. ``stored``: stored value, by the code the member showed."""

    tender: Literal["cash", "wechat", "alipay", "card", "stored", "other"]
    amount: Price


class TakingsBody(Body, kw_only=True):
    """How it was paid: the tenders add up to the amount. ``tax`` in it: null, by the shop's rates."""

    tenders: Annotated[list[TenderBody], Meta(min_length=1, max_length=len(TENDERS))]
    discount: Annotated[int, Meta(ge=0, le=AMOUNT_MAX, description="taken off before the amount")] = 0
    tax: Annotated[int, Meta(ge=0, le=AMOUNT_MAX)] | None = None

    def read(self) -> Takings:
        """The takings."""
        return Takings(tuple((one.tender, one.amount) for one in self.tenders), self.discount, self.tax)


class ReceiptLineBody(Body, kw_only=True):
    article: Annotated[str, Meta(max_length=64)]
    title: Annotated[str, Meta(max_length=200)] = ""
    quantity: Annotated[int, Meta(ge=1, le=1_000_000)]
    amount: Annotated[int, Meta(ge=0)]


class ReceiptBody(Body, kw_only=True):
    """A sale. The buyer by ``member`` (the code they showed) or ``phone``; ``join``: they want to be a member.

    ``takings``: how it was paid. Without them it waits, until the same receipt is sent again with them.
    """

    number: Number
    amount: Price
    sold: Moment
    lines: Annotated[list[ReceiptLineBody], Meta(max_length=LINES_MAX)] = field(default_factory=list)
    staff_code: Annotated[str, Meta(max_length=CODE_CHARACTERS_MAX)] = ""
    member: Annotated[str, Meta(max_length=64)] = ""
    phone: Phone = ""
    name: Annotated[str, Meta(max_length=60)] = ""
    join: bool = False
    takings: TakingsBody | None = None


class BackBody(Body, kw_only=True):
    article: Annotated[str, Meta(max_length=64)]
    quantity: Annotated[int, Meta(ge=1, le=1_000_000)]


class TillRefundBody(Body, kw_only=True):
    """A refund of a sale; ``number`` is its own. ``lines`` came back into the store's stock, as ``stock`` says.

    ``takings``: how the money was given, after the sale's own.
    """

    number: Number
    receipt: Number
    amount: Price
    refunded: Moment
    lines: Annotated[list[BackBody], Meta(max_length=LINES_MAX)] = field(default_factory=list)
    stock: Literal["sellable", "quarantine"] = "sellable"
    takings: TakingsBody | None = None


class TillBody(Body, kw_only=True):
    receipts: Annotated[list[ReceiptBody], Meta(max_length=BATCH_MAX)] = field(default_factory=list)
    refunds: Annotated[list[TillRefundBody], Meta(max_length=BATCH_MAX)] = field(default_factory=list)


class TillResult(Struct):
    """What became of one: ``ok``, or why not, so that the till mends it or sends it again (``busy``, ``not_found``).

    ``booked``: its takings are in the books.
    """

    number: str
    ok: bool
    again: bool = False
    person: str | None = None
    points: int = 0
    booked: bool = False
    code: str = ""
    detail: str = ""


class TillAnswer(Struct):
    receipts: list[TillResult]
    refunds: list[TillResult]


class VisitBody(Body, kw_only=True):
    """Somebody came into the store: by their code, or a number that they gave."""

    member: Annotated[str, Meta(max_length=64)] = ""
    phone: Phone = ""
    at: Moment
    event: Annotated[str, Meta(max_length=40, description="what happened, a word of the shop's")] = "visit"


class VisitAnswer(Struct):
    person: str


class PickupBody(Body, kw_only=True):
    order: Id
    code: Annotated[str, Meta(min_length=1, max_length=16)]


class PickupAnswer(Struct):
    order: str
    status: str
    lines: list[dict[str, Any]]


class TakingsDay(Struct):
    """What was booked of one store's till on one day (分); ``amount`` is after discounts.

    ``tax`` and ``cost`` are less what came back; ``revenue`` = amount - refunded - tax; ``margin`` = revenue - cost.
    ``tenders``: in less out, by tender.
    """

    day: str
    outlet: str
    name: str
    receipts: int
    gross: int
    discount: int
    amount: int
    refunds: int
    refunded: int
    tax: int
    cost: int
    revenue: int
    margin: int
    tenders: dict[str, int]


class WaitingTakings(Struct):
    """A sale or refund that is in no book: nobody told how it was paid. ``age_ms`` since we heard of it."""

    kind: Literal["sale", "refund"]
    ref: str
    receipt: str
    outlet: str
    number: str
    amount: int
    at_ms: Millis
    received_ms: Millis
    cost: int
    age_ms: int


class WaitingPage(Struct):
    items: list[WaitingTakings]
    next: str | None


class TellBody(Body, kw_only=True):
    """How a sale or refund was paid that its till did not tell of, and how one knows."""

    takings: TakingsBody
    why: Reason


class ToldAnswer(Struct):
    """What was booked: the tax in it, and what its goods cost."""

    ref: str
    outlet: str
    amount: int
    tax: int
    cost: int


class DrawerView(Struct):
    """One store's drawer: ``opening`` was left in it, ``cash`` came since; ``waiting`` receipts have no takings."""

    outlet: str
    name: str
    opening: int
    cash: int
    expected: int
    closed: str | None
    waiting: int
    waiting_amount: int
    oldest_ms: Millis | None


class CountBody(Body, kw_only=True):
    """The cash in a drawer at the end of a day (today when left out).

    ``banked``: of it taken to the bank, below 0 for change that was put in. A difference needs a reason.
    """

    day: Day | None = None
    counted: Annotated[int, Meta(ge=0, le=AMOUNT_MAX)]
    banked: Annotated[int, Meta(ge=-AMOUNT_MAX, le=AMOUNT_MAX)] = 0
    why: Annotated[str, Meta(max_length=WHY_CHARACTERS_MAX)] = ""


class CountView(Struct):
    """``opening + cash + difference = counted``; ``staff`` is empty when the till itself told of it."""

    id: str
    outlet: str
    day: str
    opening: int
    cash: int
    counted: int
    difference: int
    banked: int
    why: str
    staff: str
    at_ms: Millis
    name: str = ""


class CountPage(Struct):
    items: list[CountView]
    next: str | None
