"""Bodies and answers of after-sale requests, as msgspec structs. Money is integer 分, times are Unix milliseconds."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from commerce.domain.aftersale import WORDS_CHARACTERS_MAX
from commerce.domain.order import CARRIER_CHARACTERS_MAX, LINES_MAX, TRACKING_CHARACTERS_MAX
from commerce.domain.sale import UNITS_MAX
from gateway.schemas_base import Body, Id, Price, Quantity

Words = Annotated[str, Meta(max_length=WORDS_CHARACTERS_MAX)]
Why = Annotated[str, Meta(min_length=1, max_length=WORDS_CHARACTERS_MAX)]
Units = Annotated[int, Meta(ge=0, le=UNITS_MAX)]
Reason = Literal[
    "mind", "mistake", "late", "not_arrived", "missing", "no_reason", "faulty", "damaged", "not_as_described",
    "wrong_goods", "other",
]  # fmt: skip
State = Literal["asked", "offered", "approved", "sent", "done", "refused", "withdrawn", "closed"]


class AfterSaleLineBody(Body, kw_only=True):
    sku: Id
    quantity: Quantity = 1


class AfterSaleBody(Body, kw_only=True):
    """What is asked for: ``kind`` refund (money alone) or return (goods back); ``amount``: all when left out."""

    kind: Literal["refund", "return"]
    reason: Reason
    lines: Annotated[list[AfterSaleLineBody], Meta(min_length=1, max_length=LINES_MAX)]
    amount: Price | None = None
    words: Words = ""


class ApproveBody(Body, kw_only=True):
    answer: Words = ""


class RefuseBody(Body, kw_only=True):
    """Why not: the buyer reads it."""

    answer: Why


class LessBody(Body, kw_only=True):
    """Less than was asked for; with ``keeps`` (always of a refund) the goods stay where they are."""

    amount: Price
    keeps: bool = True
    answer: Words = ""


class TakeBody(Body, kw_only=True):
    """The offer's amount, as it was shown."""

    amount: Price


class SendBody(Body, kw_only=True):
    carrier: Annotated[str, Meta(min_length=1, max_length=CARRIER_CHARACTERS_MAX)]
    number: Annotated[str, Meta(min_length=1, max_length=TRACKING_CHARACTERS_MAX)]


class CountedBody(Body, kw_only=True):
    """Units that came: ``sellable`` go back on sale, ``quarantined`` aside."""

    sku: Id
    sellable: Units = 0
    quarantined: Units = 0


class ReceiveBody(Body, kw_only=True):
    lines: Annotated[list[CountedBody], Meta(min_length=1, max_length=LINES_MAX)]
    answer: Words = ""


class AfterSaleLineView(Struct):
    sku: str
    title: str
    quantity: int
    amount: int
    sellable: int
    quarantined: int


class AfterSaleView(Struct):
    """A request: ``most`` 分 are what its lines come to, ``amount`` those asked for or agreed on, ``refunded`` given.

    ``pays`` is who pays the way back; ``why`` what moved it without a person (late, sent, refunded); at ``due`` the
    clock takes the next step.
    """

    request: str
    order: str
    room: str
    person: str
    kind: Literal["refund", "return"]
    reason: str
    words: str
    state: State
    pays: Literal["buyer", "shop"]
    most: int
    amount: int
    offer: int | None
    keeps: bool
    answer: str
    why: str
    back_to: str
    carrier: str
    number: str
    refund: str | None
    refunded: int
    lines: list[AfterSaleLineView]
    due: int | None
    created: int
    answered: int | None
    sent: int | None
    ended: int | None


class AfterSalePage(Struct):
    items: list[AfterSaleView]
    next: str | None = None
