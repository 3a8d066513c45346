"""Bodies and answers of stores and their tills."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from commerce.domain.pos import LINES_MAX, NUMBER_CHARACTERS_MAX
from commerce.pos import CODE_CHARACTERS_MAX
from gateway.schemas import Body, Id, Name, Price

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


class ReceiptLineBody(Body, kw_only=True):
    article: Annotated[str, Meta(max_length=64)]
    title: Annotated[str, Meta(max_length=200)] = ""
    quantity: Annotated[int, Meta(ge=1, le=1_000_000)]
    amount: Annotated[int, Meta(ge=0)]


class ReceiptBody(Body, kw_only=True):
    """A sale. The buyer by ``member`` (the code they showed) or ``phone``; ``join``: they want to be a member."""

    number: Number
    amount: Price
    sold: Moment
    lines: Annotated[list[ReceiptLineBody], Meta(max_length=LINES_MAX)] = field(default_factory=list)
    staff_code: Annotated[str, Meta(max_length=CODE_CHARACTERS_MAX)] = ""
    member: Annotated[str, Meta(max_length=64)] = ""
    phone: Phone = ""
    name: Annotated[str, Meta(max_length=60)] = ""
    join: bool = False


class BackBody(Body, kw_only=True):
    article: Annotated[str, Meta(max_length=64)]
    quantity: Annotated[int, Meta(ge=1, le=1_000_000)]


class TillRefundBody(Body, kw_only=True):
    """A refund of a sale; ``number`` is its own. ``lines`` came back into the store's stock, as ``stock`` says."""

    number: Number
    receipt: Number
    amount: Price
    refunded: Moment
    lines: Annotated[list[BackBody], Meta(max_length=LINES_MAX)] = field(default_factory=list)
    stock: Literal["sellable", "quarantine"] = "sellable"


class TillBody(Body, kw_only=True):
    receipts: Annotated[list[ReceiptBody], Meta(max_length=BATCH_MAX)] = field(default_factory=list)
    refunds: Annotated[list[TillRefundBody], Meta(max_length=BATCH_MAX)] = field(default_factory=list)


class TillResult(Struct):
    """What became of one: ``ok``, or why not, so that the till mends it or sends it again (``busy``, ``not_found``)."""

    number: str
    ok: bool
    again: bool = False
    person: str | None = None
    points: int = 0
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
