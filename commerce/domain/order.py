"""Order rules: which step may follow which, and how lines of one SKU become one.

pending ──pay──▶ paid            cancelled ──pay (late, units taken anew)──▶ paid
   └──cancel, expire──▶ cancelled
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

LINES_MAX = 50
"""Lines in one order: a basket, not a purchase list."""


class OrderStatus(StrEnum):
    """Where an order is in its life."""

    PENDING = "pending"
    PAID = "paid"
    CANCELLED = "cancelled"


class PaymentEffect(StrEnum):
    """What a payment notice does."""

    PAY = "pay"
    RETAKE = "retake"
    REFUND = "refund"


@dataclass(frozen=True, slots=True)
class WantedLine:
    """Units of a SKU at the price version the customer saw (None: whatever it is)."""

    sku: str
    quantity: int
    version: int | None = None


def sum_lines(lines: Iterable[WantedLine]) -> list[WantedLine]:
    """One line per SKU, in order of first mention, so that the stock check sees the whole quantity.

    Of different versions for one SKU the lowest stays: it is the one that can be stale.
    """
    summed: dict[str, WantedLine] = {}
    for line in lines:
        known = summed.get(line.sku)
        if known is None:
            summed[line.sku] = line
            continue
        versions = [version for version in (known.version, line.version) if version is not None]
        summed[line.sku] = WantedLine(line.sku, known.quantity + line.quantity, min(versions, default=None))
    return list(summed.values())


def payment_effect(status: OrderStatus) -> PaymentEffect:
    """What money for an order does: pays it, tries to take the units anew, or goes back (paid already)."""
    return {
        OrderStatus.PENDING: PaymentEffect.PAY,
        OrderStatus.CANCELLED: PaymentEffect.RETAKE,
        OrderStatus.PAID: PaymentEffect.REFUND,
    }[status]
