"""Bodies and answers of the books, closed periods, corrections, rates of tax and invoices, as msgspec structs.

Money is integer 分, days are YYYY-MM-DD in Asia/Shanghai.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from commerce.changes import WHY_CHARACTERS_MAX
from commerce.domain.chart import TAX_BASIS_POINTS_MAX
from commerce.domain.money import AMOUNT_MAX
from commerce.invoices import TITLE_CHARACTERS_MAX
from gateway.schemas_base import Body, Id, Millis

Day = Annotated[str, Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]
Code = Annotated[str, Meta(min_length=4, max_length=32)]
Reason = Annotated[str, Meta(min_length=1, max_length=WHY_CHARACTERS_MAX)]


class BookAccountView(Struct):
    account: str
    name: str
    english: str
    kind: Literal["asset", "liability", "equity", "revenue", "expense"]
    opening: int
    debit: int
    credit: int
    closing: int
    entries: int


class GrossView(Struct):
    revenue: int
    cost: int
    margin: int


class BookAnswer(Struct):
    """The books of some days: a balance is positive on the side on which its account grows.

    ``revenue`` (without tax, after coupons and what came back), ``cost`` and gross ``margin`` are of these days;
    ``tills`` has what tills sold of it, ``online`` the rest.
    """

    since: str
    through: str
    closed: bool
    accounts: list[BookAccountView]
    debit: int
    credit: int
    revenue: int
    cost: int
    margin: int
    online: GrossView
    tills: GrossView


class PostingView(Struct):
    """One posting: a debit is positive. ``ref`` is the payment's notice, refund, entry, order, fee or correction.

    Of what a till sold ``order_id`` is its receipt.
    """

    at_ms: Millis
    account: str
    amount: int
    kind: str
    ref: str
    order_id: str


class PostingPage(Struct):
    """``next`` is how many to skip for the next page, or null."""

    items: list[PostingView]
    next: int | None


class StockEntryView(Struct):
    id: str
    sku: str
    title: str
    name: str
    kind: str
    ref: str
    received: int
    adjusted: int
    free: int
    held: int
    sold: int
    shipped: int
    quarantined: int
    cost: int
    outlet: str
    outlet_name: str
    created_ms: Millis


class StockEntryPage(Struct):
    items: list[StockEntryView]
    next: str | None


class MarginView(Struct):
    """What an order was sold for and what its goods cost (分); ``order_id`` '' has what is of no order.

    Of what a ``till`` sold it is the receipt.
    """

    order_id: str
    at_ms: Millis
    revenue: int
    cost: int
    margin: int
    till: bool


class MarginPage(Struct):
    """``next`` is how many to skip for the next page, or null."""

    items: list[MarginView]
    next: int | None


class ChartView(Struct):
    code: str
    name: str
    english: str
    kind: str
    normal: str


class CloseBody(Body, kw_only=True):
    through: Day


class CloseView(Struct):
    """A closed period: all days up to ``through``, with the balances at its end (debits positive)."""

    through: str
    until_ms: Millis
    balances: dict[str, int]
    staff: str
    closed_ms: Millis


class CorrectionBody(Body, kw_only=True):
    """Books ``amount`` from one account to another; without ``day``, today."""

    debit: Code
    credit: Code
    amount: Annotated[int, Meta(ge=1, le=AMOUNT_MAX)]
    why: Reason
    day: Day | None = None


class CorrectionAnswer(Struct):
    id: str
    day: str


class TaxRateBody(Body, kw_only=True):
    """Of one SKU (our id), or of all that have none of their own; for orders paid from now on."""

    sku: Annotated[str, Meta(max_length=64)] = ""
    basis_points: Annotated[int, Meta(ge=0, le=TAX_BASIS_POINTS_MAX, description="1300 is 13 %")]


class TaxRateView(Struct):
    sku: str
    title: str
    name: str
    basis_points: int
    from_ms: Millis
    staff: str


class InvoiceBody(Body, kw_only=True):
    """Whom an order is invoiced to; ``tax_number`` of a company."""

    title: Annotated[str, Meta(min_length=1, max_length=TITLE_CHARACTERS_MAX)]
    tax_number: Annotated[str, Meta(max_length=20)] = ""


class InvoiceView(Struct):
    """``kind`` red takes part of the order's blue one back; ``error`` says why one is not issued yet."""

    id: Id
    order_id: str
    refund: str
    kind: Literal["blue", "red"]
    state: Literal["asked", "issued"]
    issuer: str
    number: str | None
    title: str
    tax_number: str
    amount: int
    tax: int
    error: str
    created_ms: Millis
    issued_ms: int | None


class InvoicePage(Struct):
    items: list[InvoiceView]
    next: str | None


class InvoiceRetryAnswer(Struct):
    waiting: int
