"""Paid membership: a plan is a product that is good for months, with a member price, more points, a monthly coupon.

A membership begins with its payment, or where the one before it ends: renewing early loses nothing. Nothing renews by
itself (自动续费): a renewal is a purchase like the first. It is given back by its terms: what has not begun whole, and
of what has begun the whole days that are left, so far as what is kept covers what it has brought by then, or nothing.
All benefits are the same for whoever has the plan.
"""

from calendar import monthrange
from dataclasses import dataclass, replace

from commerce.domain.day import DAY_MS, OFFSET_MS, local
from commerce.domain.money import AMOUNT_MAX, portion

LENGTHS = (1, 3, 12)
"""Months: a month, a quarter, a year."""
REFUNDS = ("prorata", "none")
PERCENT_MIN = 50
"""A member pays at least half: more off is a slip of the finger, or a coupon."""
COUPON_DAYS_MAX = 92


@dataclass(frozen=True, slots=True)
class Benefits:
    """What a member has: pays ``price_percent`` of shelf and limited-time prices, earns ``points_percent`` of points.

    With ``coupon_amount`` a coupon of that much (分) from ``coupon_threshold`` on comes each month, good for
    ``coupon_days``.
    """

    price_percent: int = 100
    points_percent: int = 100
    coupon_amount: int = 0
    coupon_threshold: int = 0
    coupon_days: int = 31


NO_BENEFITS = Benefits()


@dataclass(frozen=True, slots=True)
class PlanTerms:
    """What a unit of a plan is good for, and how it is given back (prorata, none)."""

    months: int
    benefits: Benefits = NO_BENEFITS
    refund: str = "prorata"


def plan_fault(terms: PlanTerms) -> tuple[str, str] | None:
    """The field at fault and why, or None."""
    one = terms.benefits
    if terms.months not in LENGTHS:
        return "months", f"a membership is for {', '.join(map(str, LENGTHS))} months"
    if terms.refund not in REFUNDS:
        return "refund", f"refund is one of {', '.join(REFUNDS)}"
    if not PERCENT_MIN <= one.price_percent <= 100:
        return "price_percent", f"members pay {PERCENT_MIN} to 100 percent"
    if not 100 <= one.points_percent <= 1_000:
        return "points_percent", "members earn 100 to 1000 percent of the points"
    if not 0 <= one.coupon_amount <= AMOUNT_MAX or not 0 <= one.coupon_threshold <= AMOUNT_MAX:
        return "coupon_amount", "a coupon is worth 0 (none) or more"
    if not 1 <= one.coupon_days <= COUPON_DAYS_MAX:
        return "coupon_days", f"a monthly coupon is good for 1 to {COUPON_DAYS_MAX} days"
    if one == replace(NO_BENEFITS, coupon_threshold=one.coupon_threshold, coupon_days=one.coupon_days):
        return "price_percent", "a membership has a member price, more points, or a monthly coupon"
    return None


def after_months(from_ms: int, months: int) -> int:
    """The same time of day so many calendar months later; the month's last day where it has no such day."""
    begins = local(from_ms)
    years, month = divmod(begins.month - 1 + months, 12)
    year, month = begins.year + years, month + 1
    day = min(begins.day, monthrange(year, month)[1])
    days = (begins.replace(year=year, month=month, day=day) - begins).days
    return from_ms + days * DAY_MS


def coupon_times(from_ms: int, months: int) -> list[int]:
    """When the coupons of a membership come: at its beginning, and each month after it."""
    return [after_months(from_ms, n) for n in range(months)]


def member_price(price: int, percent: int) -> int:
    """What a member pays for a unit of ``price`` 分: rounded down, at least 1 分."""
    return max(1, price * percent // 100)


def unused(paid: int, refund: str, from_ms: int, until_ms: int, now_ms: int) -> int:
    """分 of ``paid`` that are for days to come."""
    if now_ms < from_ms:
        return paid
    if refund == "none" or now_ms >= until_ms:
        return 0
    # By the shop's days: the day that has begun is used.
    today = (now_ms + OFFSET_MS) // DAY_MS
    first, last = ((at + OFFSET_MS) // DAY_MS for at in (from_ms, until_ms))
    return portion(paid, max(0, last - today - 1), last - first)


def given_back(paid: int, left: int, enjoyed: int) -> int:
    """What goes back now, of the ``left`` 分 for days to come and the ``paid``.

    So much that what is kept covers what the membership has brought (coupons, prices, points): without that a year
    that is given back on the next day would be a year's discount for a day's price. Days that were paid for count.
    """
    return max(0, min(left, paid - enjoyed))
