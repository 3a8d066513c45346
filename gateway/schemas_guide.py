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
    status: str
    created: int
    rule: str
    channel: str


class GuideStatementAnswer(Struct):
    """A period: orders, paid ones, their amount, what was given back of it; ``items`` newest first."""

    orders: int
    paid: int
    amount: int
    refunded: int
    items: list[CreditedView]
    next: str | None
