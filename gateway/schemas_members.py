"""Bodies and answers of membership, budgets, quotes and the finer parts of the catalogue, as msgspec structs.

Money is integer 分, times are Unix milliseconds.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from commerce.domain.coupon import TIERS_MAX
from commerce.domain.member import POINTS_DAYS_MAX, STREAK_DAYS_MAX, TIER_NAME_CHARACTERS_MAX
from commerce.domain.order import LINES_MAX
from gateway.schemas import (
    AgreedBody,
    Body,
    Cents,
    CouponTermsBody,
    Id,
    Millis,
    OrderLineBody,
    Price,
    PriceStep,
    Quantity,
    Spend,
    Title,
    Units,
    Why,
    Wishes,
)
from gateway.schemas_orders import WishView

Percent = Annotated[int, Meta(ge=0, le=1_000)]
Points = Annotated[int, Meta(ge=0, le=1_000_000)]
Days = Annotated[int, Meta(ge=1, le=366)]


class TierBody(Body, kw_only=True):
    name: Annotated[str, Meta(min_length=1, max_length=TIER_NAME_CHARACTERS_MAX)]
    spent: Price
    points_percent: Percent = 100


class ProgramBody(Body, kw_only=True):
    """A shop's terms of membership: what is left out is off, or has its default."""

    yuan_points: Annotated[int, Meta(ge=0, le=1_000, description="points per yuan paid, 0 is off")] = 0
    window_days: Annotated[int, Meta(ge=0, le=366, description="refund window after an order is done")] = 7
    valid_days: Annotated[int, Meta(ge=1, le=POINTS_DAYS_MAX)] = 365
    points_percent: Annotated[int, Meta(ge=0, le=100, description="what points may take of an order")] = 50
    member_weekday: Annotated[int, Meta(ge=0, le=6, description="0 is Monday")] | None = None
    member_day_percent: Annotated[int, Meta(ge=100, le=1_000)] = 200
    sign_in: Annotated[list[Points], Meta(max_length=STREAK_DAYS_MAX, description="points of the 1st, 2nd … day")] = (
        field(default_factory=list)
    )
    gift_points: Points = 0
    gift_amount: Cents = 0
    stored_most: Annotated[int, Meta(ge=0, le=100_000_000, description="分 of stored value one person may have")] = (
        500_000
    )
    tiers: Annotated[list[TierBody], Meta(max_length=TIERS_MAX)] = field(default_factory=list)


class TierView(Struct):
    name: str
    spent: int
    points_percent: int


class ProgramAnswer(Struct):
    yuan_points: int
    window_days: int
    valid_days: int
    points_percent: int
    member_weekday: int | None
    member_day_percent: int
    sign_in: list[int]
    gift_points: int
    gift_amount: int
    stored_most: int
    tiers: list[TierView]


class MemberAnswer(Struct):
    """A person's membership: ``points_expiring`` go at ``points_expire``; ``principal`` and ``bonus`` are 分."""

    person: str
    tier: int
    tier_name: str
    spent: int
    next_tier: str | None
    next_spent: int | None
    points: int
    points_pending: int
    points_owed: int
    points_expire: int | None
    points_expiring: int
    principal: int
    bonus: int
    signed_today: bool
    streak: int
    sign_in: bool
    points_percent: int


class SignInAnswer(Struct):
    """The day's sign-in; ``fresh`` is false when it had been done before."""

    day: str
    streak: int
    points: int
    coupon: str | None
    fresh: bool


class EntryView(Struct):
    """One entry of an account: signed points or 分, and what it was for."""

    id: str
    kind: str
    unit: str
    amount: int
    why: str
    ref: str
    created_ms: int


class BudgetBody(Body, kw_only=True):
    issuer: Id
    amount: Annotated[int, Meta(ge=-1_000_000_000, le=1_000_000_000, description="分 more, or less when below 0")]


class BudgetAnswer(Struct):
    issuer: str
    free: int
    reserved: int


class TemplateBody(CouponTermsBody, kw_only=True):
    title: Title
    reason: Annotated[str, Meta(min_length=1, max_length=60)]
    amount: Price
    threshold: Cents = 0
    total: Units
    per_person: Quantity = 1
    valid_s: Annotated[int, Meta(ge=60, le=366 * 86_400)] = 7 * 86_400


class TemplateAnswer(Struct):
    id: str
    merchant: str
    title: str
    reason: str
    amount: int
    threshold: int
    total: int
    per_person: int
    valid_s: int
    percent: int
    stack: str
    audience: str
    issuer: str
    outlets: list[str]


class GivingBody(TemplateBody, kw_only=True):
    """Coupons that come by themselves: on entry to the room, with a sign-in, or with a payment."""

    way: Literal["entry", "sign_in", "gift"]
    days: Days = 30


class QuoteBody(Body, kw_only=True):
    """What is to be priced; without ``coupons`` the best are chosen, true for points or stored takes all it may."""

    room: Id
    hold: Id | None = None
    lines: Annotated[list[OrderLineBody], Meta(max_length=LINES_MAX)] = field(default_factory=list)
    coupons: Annotated[list[Id], Meta(max_length=5)] | None = None
    points: Spend | bool = 0
    stored: Spend | bool = 0
    mall: bool = False
    outlet: Annotated[str, Meta(max_length=64, description="the store that hands it over")] = ""
    way: Literal["", "express", "pickup", "courier"] = ""
    lat: Annotated[float, Meta(ge=-90, le=90)] | None = None
    lng: Annotated[float, Meta(ge=-180, le=180)] | None = None
    custom: Wishes = field(default_factory=dict)
    offer: AgreedBody | None = None


class MallItemBody(Body, kw_only=True):
    """``points`` and ``cash`` 分 a unit; at most ``per_person`` units each (0: no limit)."""

    points: Annotated[int, Meta(ge=1, le=1_000_000)]
    cash: Price = 1
    per_person: Annotated[int, Meta(ge=0, le=1_000_000)] = 0


class MallItemView(Struct):
    """What can be had for points; ``price`` is what it costs on the shelf, ``left`` the free units."""

    sku: str
    product: str
    title: str
    image: str
    points: int
    cash: int
    price: int
    left: int
    per_person: int


class QuoteLineView(Struct):
    sku: str
    title: str
    quantity: int
    list_price: int
    price: int
    discount: int
    wishes: list[WishView] | None = None
    returns: str = "seven_days"


class QuoteAnswer(Struct):
    goods: int
    discount: int
    amount: int
    due: int
    coupons: list[str]
    points: int
    stored: int
    points_most: int
    stored_most: int
    lines: list[QuoteLineView]
    steps: list[PriceStep]
    freight: int = 0


class OfferBody(Body, kw_only=True):
    """A limited-time price from ``from_ms`` (now when left out) until ``until_ms``; ``price`` null takes it away."""

    price: Price | None
    from_ms: Millis = 0
    until_ms: Millis = 0
    why: Why = ""


class ProductAnswer(Struct):
    product: str
    sku: str
    title: str
    price: int
    list_price: int
    image: str
    detail: str
    stock: int
    version: int
    on_shelf: bool
    kind: str
    bonus: int
    offer_price: int | None
    offer_from: int | None
    offer_until: int | None
    variants: list[dict[str, Any]]
    category: str = ""
