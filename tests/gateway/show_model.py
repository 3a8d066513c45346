"""A shop's takings as an outsider would keep them: from what the shop was asked for and what it acknowledged.

Plain sums over plain rules, written apart from the product: nothing here is read from a report of the shop.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


def tax_in(amount: int, basis_points: int) -> int:
    """Value added tax in 分 that have it inside, rounded half up."""
    whole = 10_000 + basis_points
    return (2 * amount * basis_points + whole) // (2 * whole)


@dataclass
class Bought:
    """One order: what it was for, and what became of it."""

    order: str
    sku: str
    units: int
    price: int
    basis_points: int
    coupon: int = 0
    link: bool = False
    status: str = "pending"
    shipped: bool = False
    refunded: int = 0
    units_back: int = 0

    @property
    def goods(self) -> int:
        return self.units * self.price

    @property
    def amount(self) -> int:
        return self.goods - self.coupon

    @property
    def paid(self) -> bool:
        return self.status == "paid"


@dataclass
class Takings:
    """All orders of the show, coupons given, and the units that were received."""

    received: Counter[str] = field(default_factory=Counter)
    orders: dict[str, Bought] = field(default_factory=dict)
    coupons: int = 0
    coupon_worth: int = 0
    visitors: int = 0

    def those(self, status: str) -> list[Bought]:
        """Orders in a status."""
        return [one for one in self.orders.values() if one.status == status]

    @property
    def came(self) -> int:
        """分 that customers paid."""
        return sum(one.amount for one in self.those("paid"))

    @property
    def went(self) -> int:
        """分 that they got back."""
        return sum(one.refunded for one in self.those("paid"))

    @property
    def points(self) -> int:
        """A point (worth 1 分) a yuan, less what goes back with a refund: in proportion, what stays rounded down."""
        return sum((one.amount // 100) * (one.amount - one.refunded) // one.amount for one in self.those("paid"))

    def books(self) -> dict[str, int]:
        """The balance of each account, on the side on which it grows."""
        paid = self.those("paid")
        gone = [one for one in paid if one.shipped]
        tax = {one.order: tax_in(one.amount, one.basis_points) for one in gone}
        # Of what comes back its tax does, too: the order's in proportion, rounded down.
        tax_back = {one.order: tax[one.order] * one.refunded // one.amount for one in gone}
        coupons = sum(one.coupon for one in gone)
        balances = {
            "1012.sandbox": self.came - self.went,
            "2204.03": self.points,
            "6601.02": self.points,
            "2205": sum(one.amount - one.refunded for one in paid if not one.shipped),
            "2221.01": sum(tax.values()) - sum(tax_back.values()),
            "6001.01": sum(one.goods for one in gone) - sum(tax.values()),
            "6001.02": -coupons,
            "6001.04": -(sum(one.refunded for one in gone) - sum(tax_back.values())),
        }
        return {code: amount for code, amount in balances.items() if amount}

    def stock(self, sku: str) -> dict[str, int]:
        """A SKU's units by where they are, when all is over and nothing is held."""
        paid = [one for one in self.those("paid") if one.sku == sku]
        shipped = sum(one.units for one in paid if one.shipped)
        back = sum(one.units_back for one in paid)
        left = sum(one.units_back for one in paid if one.shipped)
        sold = sum(one.units for one in paid if not one.shipped) - (back - left)
        return {
            "received": self.received[sku],
            "free": self.received[sku] - sum(one.units for one in paid) + back,
            "held": 0,
            "sold": sold,
            "shipped": shipped - left,
        }
