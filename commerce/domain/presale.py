"""Presale rules: a deposit now, the balance within a time, and what becomes of the deposit when it does not come.

    deposit order:  pending ──pay──▶ paid ─────────────────────────────┐ refunded, or kept, as the rule says
                                      │ its units go on to             │
    balance order:                  pending ──pay in time──▶ paid      └◀─ cancelled, or refunded whole
                                      └──deadline, buyer──▶ cancelled

Two orders, each with a payment, refunds and books of its own: the deposit is a price step of the balance order. A
deposit is kept only when the buyer was the one who ended it: what the shop refunds whole, it refunds with its deposit.
"""

from dataclasses import dataclass
from enum import StrEnum

BALANCE_DAYS_MAX = 60
"""From the sale's making to the end of the balance's time: no longer is a stranger's deposit kept without the goods."""
DAY_MS = 86_400_000


class Missed(StrEnum):
    """What becomes of the deposit of a buyer who lets the balance pass."""

    KEEP = "keep"
    REFUND = "refund"


@dataclass(frozen=True, slots=True)
class Presale:
    """``deposit`` 分 a unit now; the rest of the price from ``from_ms`` to ``until_ms``."""

    deposit: int
    from_ms: int
    until_ms: int
    missed: Missed = Missed.REFUND


def presale_fault(presale: Presale, price: int, now_ms: int) -> tuple[str, str] | None:
    """The field at fault and why, or None."""
    if not 0 < presale.deposit < price:
        return "deposit", "a deposit is at least 1 分 and less than the price"
    if not now_ms < presale.until_ms <= now_ms + BALANCE_DAYS_MAX * DAY_MS:
        return "balance_until", f"the balance is due within {BALANCE_DAYS_MAX} days"
    if not 0 <= presale.from_ms < presale.until_ms:
        return "balance_from", "the balance can be paid before it is due"
    return None


def gives_back(missed: str, balance_status: str) -> bool | None:
    """Whether the deposit of a balance order in this status goes back; None: nothing is to be decided."""
    if balance_status == "refunded":
        return True
    return missed == Missed.REFUND if balance_status == "cancelled" else None
