"""The one pricing function; each step is explained.

    shelf → limited-time discount → member price → flash → custom wishes → coupons → points → freight → stored value

Every step is signed 分, and the sum of all steps is what is still due to the payment provider. Discounts are shared out
over the lines by the one rounding rule (``money.allocate``), so that the parts add up to the whole (promise P14).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from commerce.domain.freight import Freight
from commerce.domain.money import allocate

PAYABLE_MIN = 1
"""分: coupons and points always leave one 分 that is paid, so that nothing is ever bought for nothing."""
COUPONS_MAX = 5
"""Coupons on one order: one of each stack group, and nobody runs more groups than that."""
POINT_FEN = 1
"""分 that one point is worth at the checkout: a hundred points are a yuan."""


@dataclass(frozen=True, slots=True)
class PricedLine:
    """What is bought: units at a shelf price, a limited-time price, a paying member's, the flash price of a hold.

    ``extra`` 分 a unit are for what is made to its buyer's wishes: no discount of goods lowers it.
    """

    sku: str
    quantity: int
    shelf_price: int
    flash_price: int | None = None
    limited_price: int | None = None
    member_price: int | None = None
    extra: int = 0

    @property
    def unflashed(self) -> int:
        """分 per unit before a flash sale."""
        return self.shelf_price if self.limited_price is None else self.limited_price

    @property
    def price(self) -> int:
        """分 per unit before coupons."""
        return self.extra + (self.for_members if self.flash_price is None else self.flash_price)

    @property
    def for_members(self) -> int:
        """分 per unit for its buyer before a flash sale, whose price is the same for all."""
        return self.unflashed if self.member_price is None or self.flash_price is not None else self.member_price


@dataclass(frozen=True, slots=True)
class CouponTerms:
    """A coupon to apply; the caller has checked that it is usable.

    It takes ``amount`` 分 off, or ``percent`` of what is left and ``amount`` at the most. Coupons of different
    ``stack`` groups combine; one without a group stands alone.
    """

    coupon: str
    title: str
    amount: int
    percent: int = 0
    stack: str = ""


@dataclass(frozen=True, slots=True)
class Purse:
    """What a person would spend beside coupons: at most these points and this stored value (分).

    ``points_percent`` bounds what points may take of the goods after coupons.
    """

    points: int = 0
    stored: int = 0
    points_percent: int = 100


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the explanation: signed 分 and a reason."""

    step: str
    amount: int
    why: str

    def as_json(self) -> dict[str, Any]:
        """The JSON shape ``{step, amount, why}``."""
        return {"step": self.step, "amount": self.amount, "why": self.why}


@dataclass(frozen=True, slots=True)
class Price:
    """``amount = goods − discount + freight``, ``due = amount − stored = Σ steps``.

    ``line_discounts`` sum to ``discount``; ``coupons`` are what each took, ``points`` the points spent: both are for
    goods, and leave the freight alone. All but points in 分.
    """

    goods: int
    discount: int
    amount: int
    stored: int
    points: int
    coupons: tuple[tuple[str, int], ...]
    line_discounts: tuple[int, ...]
    steps: tuple[Step, ...]
    freight: int = 0

    @property
    def due(self) -> int:
        """分 to be paid through a provider."""
        return self.amount - self.stored


NOTHING = Purse()


def price_order(
    lines: Sequence[PricedLine],
    coupons: Iterable[CouponTerms] = (),
    purse: Purse = NOTHING,
    freight: Freight | None = None,
) -> Price:
    """Price an order. Raises ValueError when there is nothing to price."""
    if not lines or any(line.quantity <= 0 or line.price <= 0 or line.unflashed <= 0 for line in lines):
        raise ValueError("an order has lines with units and prices")
    shelf = sum(line.quantity * line.shelf_price for line in lines)
    limited = sum(line.quantity * line.unflashed for line in lines)
    member = sum(line.quantity * line.for_members for line in lines)
    goods = sum(line.quantity * line.price for line in lines)
    steps = [Step("shelf", shelf, f"{sum(line.quantity for line in lines)} units at the shelf price")]
    if limited != shelf:
        steps.append(Step("limited", limited - shelf, "limited-time price"))
    if member != limited:
        steps.append(Step("member", member - limited, "member price"))
    extra = sum(line.quantity * line.extra for line in lines)
    if goods - extra != member:
        steps.append(Step("flash", goods - extra - member, "flash-sale price"))
    if extra:
        steps.append(Step("custom", extra, "made to the buyer's wishes"))
    left, taken = goods, []
    for coupon in _in_order(coupons):
        off = coupon_worth(coupon, left)
        left -= off
        taken.append((coupon.coupon, off))
        steps.append(Step("coupon", -off, coupon.title))
    most = min(left * purse.points_percent // 100, left - PAYABLE_MIN)
    points = max(0, min(purse.points, most // POINT_FEN))
    if points:
        left -= points * POINT_FEN
        steps.append(Step("points", -points * POINT_FEN, f"{points} points"))
    carried = 0 if freight is None else freight.of(left)
    if freight is not None and freight.fee:
        steps.append(Step("freight", carried, freight.said(left)))
    stored = max(0, min(purse.stored, left + carried))
    if stored:
        steps.append(Step("stored", -stored, "stored value"))
    shares = tuple(allocate(goods - left, [line.quantity * line.price for line in lines]))
    return Price(goods, goods - left, left + carried, stored, points, tuple(taken), shares, tuple(steps), carried)


def _in_order(coupons: Iterable[CouponTerms]) -> list[CouponTerms]:
    """Percentages before amounts, whatever order they were named in: so one basket has one price."""
    return sorted(coupons, key=lambda one: (one.percent == 0, -one.percent, -one.amount, one.coupon))


def coupon_worth(coupon: CouponTerms, left: int) -> int:
    """What a coupon takes off ``left`` 分; a percentage is rounded down."""
    off = coupon.amount if not coupon.percent else min(coupon.amount, left * coupon.percent // 100)
    return max(0, min(off, left - PAYABLE_MIN))


def stack_fault(coupons: Sequence[CouponTerms]) -> str | None:
    """Why these coupons cannot be on one order, as a sentence, or None."""
    if len(coupons) > COUPONS_MAX:
        return f"an order takes at most {COUPONS_MAX} coupons"
    if len({one.coupon for one in coupons}) < len(coupons):
        return "a coupon was named twice"
    groups = [one.stack for one in coupons]
    if len(coupons) > 1 and "" in groups:
        return "one of these coupons cannot be combined with others"
    if len(set(groups)) < len(groups):
        return "two of these coupons are of one group, of which an order takes one"
    return None


def best_coupons(goods: int, coupons: Iterable[CouponTerms]) -> list[CouponTerms]:
    """The choice that takes the most off: the best of each group together, or the best that stands alone."""
    groups: dict[str, CouponTerms] = {}
    for coupon in coupons:
        known = groups.get(coupon.stack)
        if known is None or coupon_worth(coupon, goods) > coupon_worth(known, goods):
            groups[coupon.stack] = coupon
    alone = groups.pop("", None)
    together = _in_order(sorted(groups.values(), key=lambda one: -coupon_worth(one, goods))[:COUPONS_MAX])
    left, useful = goods, []
    for coupon in together:
        off = coupon_worth(coupon, left)
        left -= off
        useful += [coupon] if off else []
    if alone is not None and coupon_worth(alone, goods) >= goods - left and coupon_worth(alone, goods):
        return [alone]
    return useful
