"""The one pricing function: shelf price → flash price → coupon, each step explained.

Later steps (limited-time discount, points, stored value) go between or after these in ``price_order``; the sum of all
steps is always what the customer pays.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from commerce.domain.money import allocate

PAYABLE_MIN = 1
"""分: payment providers take no zero amount, so a coupon always leaves one 分 to pay."""


@dataclass(frozen=True, slots=True)
class PricedLine:
    """What is bought: units at a shelf price, and the flash price per unit when it is held in a sale."""

    sku: str
    quantity: int
    shelf_price: int
    flash_price: int | None = None

    @property
    def price(self) -> int:
        """分 per unit before coupons."""
        return self.shelf_price if self.flash_price is None else self.flash_price


@dataclass(frozen=True, slots=True)
class CouponTerms:
    """The coupon to apply; the caller has checked that it is usable."""

    coupon: str
    title: str
    amount: int


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
    """``amount = goods − discount = Σ steps``; ``line_discounts`` sum to ``discount``. All in 分."""

    goods: int
    discount: int
    amount: int
    line_discounts: tuple[int, ...]
    steps: tuple[Step, ...]


def price_order(lines: Sequence[PricedLine], coupon: CouponTerms | None = None) -> Price:
    """Price an order. Raises ValueError when there is nothing to price."""
    if not lines or any(line.quantity <= 0 or line.price <= 0 for line in lines):
        raise ValueError("an order has lines with units and prices")
    shelf = sum(line.quantity * line.shelf_price for line in lines)
    goods = sum(line.quantity * line.price for line in lines)
    steps = [Step("shelf", shelf, f"{sum(line.quantity for line in lines)} units at the shelf price")]
    if goods != shelf:
        steps.append(Step("flash", goods - shelf, "flash-sale price"))
    discount = 0
    if coupon is not None:
        discount = min(coupon.amount, goods - PAYABLE_MIN)
        steps.append(Step("coupon", -discount, coupon.title))
    shares = allocate(discount, [line.quantity * line.price for line in lines])
    return Price(goods, discount, goods - discount, tuple(shares), tuple(steps))
