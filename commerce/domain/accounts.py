"""The chart of accounts of what people hold in a shop beside goods: coupon budgets, points, stored value.

Double entry: a transfer is a handful of signed legs that add up to 0 in each unit, so what one account has another
gave. Somebody's own account never falls below 0 (``bounded``); the shop's own accounts are the other side and may.
Stored value and points that people hold are the shop's liabilities: the shop's side of them is negative.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

SHOP = ""
"""The owner of the shop's own accounts."""
LEG_MAX = 10**15
"""分 or points moved in one leg: far above any balance, far inside 64 bits."""


@dataclass(frozen=True, slots=True)
class Account:
    """One kind of account: what it counts, and whether it stays at or above 0."""

    unit: str
    bounded: bool


KINDS: Mapping[str, Account] = {
    # Coupon budgets: what an issuer may still promise, what is promised by coupons in people's hands.
    "budget": Account("fen", bounded=True),
    "budget_reserved": Account("fen", bounded=True),
    # Points: to spend, waiting for the refund window, held by a pending order, owed after a refund (at or below 0).
    "points": Account("points", bounded=True),
    "points_pending": Account("points", bounded=True),
    "points_held": Account("points", bounded=True),
    "points_owed": Account("points", bounded=False),
    # Stored value: what was paid for it, what the shop added, and both as held by a pending order.
    "principal": Account("fen", bounded=True),
    "bonus": Account("fen", bounded=True),
    "principal_held": Account("fen", bounded=True),
    "bonus_held": Account("fen", bounded=True),
    # Commission: of unpaid orders, in the refund window, to withdraw (below 0 after a refund: carried), on its way.
    "commission_pending": Account("fen", bounded=True),
    "commission_frozen": Account("fen", bounded=True),
    "commission_available": Account("fen", bounded=False),
    "commission_leaving": Account("fen", bounded=True),
    # Partners' shares, as commission.
    "share_pending": Account("fen", bounded=True),
    "share_frozen": Account("fen", bounded=True),
    "share_available": Account("fen", bounded=False),
    "share_leaving": Account("fen", bounded=True),
    # The market: on a channel's books what it owes a supplier (the owner), on a supplier's what a channel owes it.
    "supply_owed": Account("fen", bounded=False),
    "supply_due": Account("fen", bounded=False),
    # Sale on account: what a person owes for goods, and (at or below 0) what the shop owes them back.
    "credit_owed": Account("fen", bounded=True),
    "credit_spare": Account("fen", bounded=False),
    # The shop's side.
    "credit_sold": Account("fen", bounded=False),
    "credit_received": Account("fen", bounded=False),
    "credit_cleared": Account("fen", bounded=False),
    "credit_lost": Account("fen", bounded=False),
    "supply_cost": Account("fen", bounded=False),
    "supply_income": Account("fen", bounded=False),
    "supply_paid": Account("fen", bounded=False),
    "supply_received": Account("fen", bounded=False),
    "commission_cost": Account("fen", bounded=False),
    "commission_paid": Account("fen", bounded=False),
    # Withheld of commission and owed to the tax office.
    "commission_tax": Account("fen", bounded=False),
    # What shares cost and what was paid of them; on a partner's own books, where it is a merchant here, what it got.
    "share_cost": Account("fen", bounded=False),
    "share_paid": Account("fen", bounded=False),
    "share_income": Account("fen", bounded=False),
    "share_received": Account("fen", bounded=False),
    # What partners bear of the coupons that their visitors used.
    "share_coupon": Account("fen", bounded=False),
    "budget_source": Account("fen", bounded=False),
    "coupon_cost": Account("fen", bounded=False),
    "points_issued": Account("points", bounded=False),
    "points_spent": Account("points", bounded=False),
    "points_expired": Account("points", bounded=False),
    "stored_cash": Account("fen", bounded=False),
    "stored_bonus": Account("fen", bounded=False),
    "stored_spent": Account("fen", bounded=False),
    "bonus_spent": Account("fen", bounded=False),
}


@dataclass(frozen=True, slots=True)
class Leg:
    """A signed amount on one account of ``owner`` (a person, an issuer, or the shop)."""

    owner: str
    kind: str
    amount: int


def checked_legs(legs: Iterable[Leg]) -> list[Leg]:
    """The legs that move something, one per account, sorted. Raises ValueError when they do not add up to 0."""
    sums: Counter[tuple[str, str]] = Counter()
    for leg in legs:
        sums[leg.owner, leg.kind] += leg.amount
    units: Counter[str] = Counter()
    for (_, kind), amount in sums.items():
        if abs(amount) > LEG_MAX:
            raise ValueError("a leg is larger than any balance")
        units[KINDS[kind].unit] += amount
    if any(units.values()):
        raise ValueError(f"the legs of a transfer add up to 0, these to {dict(units)}")
    return [Leg(owner, kind, amount) for (owner, kind), amount in sorted(sums.items()) if amount]
