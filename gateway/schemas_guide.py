"""Bodies and answers of a guide's own coupons."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from gateway.schemas_base import Body, Cents, Id, Price, Title


class GuideCouponBody(Body, kw_only=True):
    """A coupon for one customer, good for ``days``; ``room`` is where they are told of it."""

    person: Id
    room: Id
    title: Title
    reason: Title
    amount: Price
    threshold: Cents = 0
    days: Annotated[int, Meta(ge=1, le=366)] = 7


class GivenView(Struct):
    """A coupon out of one's own budget; ``state`` is unused, locked, used or expired."""

    coupon: str
    person: str
    name: str
    title: str
    reason: str
    amount: int
    threshold: int
    state: str
    order: str | None
    expires: int
    created: int


class CreditedView(Struct):
    """An order that is this guide's: ``rule`` says by what, ``channel`` where the link was."""

    order: str
    person: str
    name: str
    amount: int
    refunded: int
    freight: int
    status: str
    created: int
    rule: str
    channel: str


class SoldReceiptView(Struct):
    """A sale at a till with this guide's code; ``sold`` by the till's clock."""

    receipt: str
    number: str
    outlet: str
    amount: int
    refunded: int
    sold: int


class GuideStatementAnswer(Struct):
    """A period: orders, paid ones, their goods' amount, what was given back of it; ``items`` newest first.

    ``freight`` was paid beside the goods. ``till_amount`` of ``till_receipts`` was sold at tills; the newest receipts
    are in ``receipts``, with the first page.
    """

    orders: int
    paid: int
    amount: int
    refunded: int
    freight: int
    freight_refunded: int
    till_receipts: int
    till_amount: int
    till_refunded: int
    items: list[CreditedView]
    receipts: list[SoldReceiptView]
    next: str | None
