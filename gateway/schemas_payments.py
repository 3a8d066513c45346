"""Bodies and answers of payments and their reconciliation."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from commerce.payment import NAME_CHARACTERS_MAX
from commerce.payments import PAYER_CHARACTERS_MAX
from gateway.schemas import Body, OrderView

ProviderName = Annotated[str, Meta(max_length=NAME_CHARACTERS_MAX)]
PaymentMethod = Annotated[str, Meta(max_length=16)]
Payer = Annotated[str, Meta(max_length=PAYER_CHARACTERS_MAX)]
Day = Annotated[str, Meta(max_length=10)]


class PayBody(Body, kw_only=True):
    """Which way to pay; left out, the shop's first provider and its first method."""

    provider: ProviderName = ""
    method: PaymentMethod = ""
    payer: Payer = ""


class PaymentView(Struct):
    """How the payer goes on: ``fields`` as the provider names them; ``qr`` a picture of the code, if there is one."""

    provider: str
    method: str
    fields: dict[str, str]
    qr: str | None = None


class PaidAnswer(Struct):
    """The order; with ``payment`` while there is something to be done."""

    order: OrderView
    payment: PaymentView | None = None


class ProviderOffer(Struct):
    """A provider that this shop takes money through, and the ways in which it can be paid."""

    provider: str
    methods: list[str]


class BillBody(Body, kw_only=True):
    """Which file to fetch."""

    provider: ProviderName
    day: Day


class BillAnswer(Struct):
    """Whether the file is here now."""

    fetched: bool


class DifferenceView(Struct):
    """``what``: not_here (only the provider has it), not_there (only we do), amount. Amounts in 分."""

    what: str
    kind: str
    number: str
    payment: str
    refund: str
    order: str
    merchant: str
    there: int | None
    here: int | None


class ReconciliationAnswer(Struct):
    """A provider's day against our books, in 分; ``net`` is paid − refunded − fees."""

    day: str
    provider: str
    sha256: str
    fetched: int
    paid: int
    paid_amount: int
    refunded: int
    refunded_amount: int
    fees: int
    net: int
    matched: int
    counts: dict[str, int]
    differences: list[DifferenceView]


class UnheardView(Struct):
    """A payment of ``amount`` 分 of an order that ended at ``since_ms`` before its provider said how the payment did.

    It was asked ``tries`` times by itself and is next at ``next_ms``; null when it is left to people.
    """

    payment: str
    order: str
    provider: str
    amount: int
    since_ms: int
    tries: int
    next_ms: int | None


class UnheardPage(Struct):
    """``next`` is for ``after`` on the next page, or null."""

    items: list[UnheardView]
    next: str | None
