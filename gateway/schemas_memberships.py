"""Bodies and answers of paid memberships, as msgspec structs. Money is integer 分, times are Unix milliseconds."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from commerce.domain.membership import COUPON_DAYS_MAX, PERCENT_MIN
from gateway.schemas_base import Body, Cents, Millis


class PlanBody(Body, kw_only=True):
    """A unit of the SKU is a membership for ``months``: members pay ``price_percent`` of the price.

    They earn ``points_percent`` of the points, and with ``coupon_amount`` get a coupon each month.
    """

    months: Literal[1, 3, 12]
    price_percent: Annotated[int, Meta(ge=PERCENT_MIN, le=100)] = 100
    points_percent: Annotated[int, Meta(ge=100, le=1_000)] = 100
    coupon_amount: Cents = 0
    coupon_threshold: Cents = 0
    coupon_days: Annotated[int, Meta(ge=1, le=COUPON_DAYS_MAX)] = 31
    refund: Literal["prorata", "none"] = "prorata"


class PlanView(Struct):
    """A plan with its price; bought by an order of its SKU. Nothing renews by itself."""

    sku: str
    product: str
    title: str
    image: str
    price: int
    version: int
    on_shelf: bool
    months: int
    price_percent: int
    points_percent: int
    coupon_amount: int
    coupon_threshold: int
    coupon_days: int
    refund: Literal["prorata", "none"]


class MembershipView(Struct):
    """Good from ``since`` to ``until``; ``back`` is what giving it back now would give.

    That is for the days to come, and so much that ``enjoyed`` is kept: what its coupons, prices and points have brought
    so far.
    """

    membership: str
    person: str
    order: str
    sku: str
    title: str
    months: int
    price_percent: int
    points_percent: int
    coupon_amount: int
    coupon_threshold: int
    refund: Literal["prorata", "none"]
    paid: int
    back: int
    enjoyed: int
    coupons: int
    since: Millis
    until: Millis
    state: Literal["active", "ended", "refunded"]


class MembershipPage(Struct):
    items: list[MembershipView]
    next: str | None


class MembershipRefundBody(Body, kw_only=True):
    reason: Annotated[str, Meta(max_length=200)] = ""
