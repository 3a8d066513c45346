"""What a till took for a sale, and gave back: by tender, with the discount and the tax in it. Pure; all in 分.

The tenders add up to the receipt's amount, as what was paid after the discount. Cash is what stays in the drawer, after
the change.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from commerce.domain.money import AMOUNT_MAX

STORED = "stored"
CASH = "cash"
TENDERS = (CASH, "wechat", "alipay", "card", STORED, "other")
"""Ways to pay at a till. ``stored`` is stored value of ours: it is taken from the member's account with the receipt."""


@dataclass(frozen=True, slots=True)
class Takings:
    """What came in (of a refund: went out) by tender; ``discount`` was given before; ``tax`` None: by the rates."""

    tenders: tuple[tuple[str, int], ...]
    discount: int = 0
    tax: int | None = None


def takings_fault(takings: Takings, amount: int) -> tuple[str, str] | None:
    """The field at fault and why, or None; ``amount`` is the receipt's, or the refund's."""
    names = [name for name, _ in takings.tenders]
    if not names or len(set(names)) < len(names) or not set(names) <= set(TENDERS):
        return "tenders", f"tenders are each one of {', '.join(TENDERS)}, none of them twice"
    if any(paid <= 0 for _, paid in takings.tenders):
        return "tenders", "a tender is at least 1 分"
    if sum(paid for _, paid in takings.tenders) != amount:
        return "tenders", "the tenders do not add up to the amount"
    if not 0 <= takings.discount <= AMOUNT_MAX:
        return "discount", "a discount is not below 0"
    if takings.tax is not None and not 0 <= takings.tax < amount:
        return "tax", "tax is in the amount, and less than all of it"
    return None


def tax_inside(amount: int, basis_points: int) -> int:
    """Tax in an amount that has it inside, rounded half up: amount · r / (1 + r)."""
    rate = 10_000 + basis_points
    return (amount * basis_points * 2 + rate) // (2 * rate)


def tax_of_lines(lines: Sequence[tuple[str, int]], amount: int, rates: Mapping[str, int]) -> int:
    """Tax of a receipt's (SKU, 分) by the rates of SKUs; '' is the shop's own rate, and that of what has no SKU."""
    shop = rates.get("", 0)
    sold = lines or [("", amount)]
    return sum(tax_inside(paid, rates.get(sku, shop)) for sku, paid in sold)


def refund_fault(paid: Mapping[str, int], back: Sequence[tuple[str, int]]) -> str | None:
    """Why a refund cannot be given so, as a sentence, or None.

    ``paid`` is what is left of the sale's takings by tender. Stored value goes back to its account and no other money
    does: its bonus must not come out of the drawer.
    """
    of_stored = sum(given for name, given in back if name == STORED)
    of_money = sum(given for name, given in back if name != STORED)
    left = max(0, paid.get(STORED, 0))
    if of_stored > left:
        return f"{left} 分 of what is left of this sale were paid with stored value"
    money = max(0, sum(amount for name, amount in paid.items() if name != STORED))
    if of_money > money:
        return f"{money} 分 of what is left of this sale were paid with money: the rest goes back to stored value"
    return None
