"""Commands and answers of membership, budgets and offers: more values for the ledger (``ledger.py``)."""

from dataclasses import dataclass

from commerce.domain.member import Program


@dataclass(frozen=True, slots=True)
class SetProgram:
    """Write a shop's terms of membership."""

    merchant: str
    staff: str
    program: Program


@dataclass(frozen=True, slots=True)
class SignIn:
    """Sign a person in for the shop's day."""

    merchant: str
    person: str


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A day's sign-in: ``fresh`` is False when it had been done before."""

    day: str
    streak: int
    points: int
    coupon: str | None
    fresh: bool


@dataclass(frozen=True, slots=True)
class FundBudget:
    """Give an issuer of coupons (a guide) ``amount`` 分 to promise, or take them away (below 0)."""

    merchant: str
    issuer: str
    amount: int
    staff: str
    key: str
    hash: str


@dataclass(frozen=True, slots=True)
class GiveCoupon:
    """Give one customer a coupon out of a guide's own budget."""

    merchant: str
    room: str
    issuer: str
    person: str
    title: str
    reason: str
    amount: int
    threshold: int
    valid_ms: int
    key: str
    hash: str


@dataclass(frozen=True, slots=True)
class BudgetView:
    """An issuer's budget: what may still be promised, what is promised by coupons in people's hands."""

    issuer: str
    free: int
    reserved: int


@dataclass(frozen=True, slots=True)
class MemberView:
    """A person's membership: tier, points, stored value (分), the day's sign-in."""

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


@dataclass(frozen=True, slots=True)
class SetMallItem:
    """Let a SKU be had for ``points`` and ``cash`` 分 a unit; ``points`` 0: not any more."""

    merchant: str
    staff: str
    sku: str
    points: int
    cash: int
    per_person: int


@dataclass(frozen=True, slots=True)
class MallItemView:
    """What can be had for points: ``price`` is what it costs on the shelf, ``left`` the units that are free."""

    sku: str
    product: str
    title: str
    image: str
    points: int
    cash: int
    price: int
    left: int
    per_person: int
