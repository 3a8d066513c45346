"""The ledger's commands for paid memberships, and what they answer."""

from dataclasses import dataclass

from commerce.domain.membership import PlanTerms


@dataclass(frozen=True, slots=True)
class SetPlan:
    """Sell a SKU as a membership from now on; ``terms`` None: not any more."""

    merchant: str
    staff: str
    sku: str
    terms: PlanTerms | None


@dataclass(frozen=True, slots=True)
class RefundMembership:
    """Give back what a membership's terms say, and end it."""

    merchant: str
    staff: str
    membership: str
    key: str
    hash: str
    reason: str


@dataclass(frozen=True, slots=True)
class PlanView:
    """A plan on sale with its price (分) and benefits; ``on_shelf`` whether it can be bought now."""

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
    refund: str


@dataclass(frozen=True, slots=True)
class MembershipView:
    """A membership that was bought: good from ``since`` to ``until``; ``back`` is what a refund now would give (分).

    What is kept covers at least what the membership has brought so far (``enjoyed``).

    ``state`` is active, ended or refunded; an active one may not have begun.
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
    refund: str
    paid: int
    back: int
    enjoyed: int
    coupons: int
    since: int
    until: int
    state: str
