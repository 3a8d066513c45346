"""What a distributor earns: terms, rates, and how much of a line. Pure (A10–A14).

    base   what was paid for the line's goods: after discounts and points, less bought-in bonus, freight and tax
    rate   of the SKU, else its category, else the distributor's level, else the shop; as it was at the order
    amount base × rate, rounded down a line; all of an order at most ``cap_percent`` of its bases

At most two levels are paid, for goods sold and for nothing else: no entry fee, no reward for recruiting, no totals of
teams (禁止传销条例 art. 7).
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from commerce.domain.money import allocate
from commerce.domain.withholding import RULES as TAX_RULES

BP = 10_000
LEVELS_MAX = 2
DAYS_MAX = 3_650
BIND_RULES = ("off", "first", "register", "override")
SCOPES = ("sku", "category", "level", "shop")


@dataclass(frozen=True, slots=True)
class Terms:
    """A merchant's terms. Days: ``valid_days`` −1 for ever; ``protection_days`` −1 none, −2 for ever.

    ``freeze_days`` is the refund window after the payment. ``orders_a_day`` and ``refund_percent`` are where a
    distributor's commission is held for somebody to look at (A14). ``withdraw_min`` is 分. ``tax`` is the rule by which
    tax is withheld of what is paid out: off, or labour (劳务报酬).
    """

    bind: str = "first"
    valid_days: int = 365
    protection_days: int = -1
    renew: bool = True
    window_days: int = 7
    self_purchase: bool = False
    levels: int = 1
    cap_percent: int = 50
    freeze_days: int = 15
    withdraw_min: int = 100
    orders_a_day: int = 200
    refund_percent: int = 50
    tax: str = "off"

    def to_json(self) -> dict[str, Any]:
        """Give the JSON form."""
        return asdict(self)


_WITHIN = {
    "valid_days": (-1, DAYS_MAX),
    "protection_days": (-2, DAYS_MAX),
    "window_days": (1, 90),
    "levels": (1, LEVELS_MAX),
    "cap_percent": (0, 100),
    "freeze_days": (0, 180),
    "withdraw_min": (1, 10_000_000),
    "orders_a_day": (1, 1_000_000),
    "refund_percent": (1, 100),
}


def terms_of(given: Mapping[str, Any], before: Terms = Terms()) -> Terms | str:
    """``before`` with what is given, or what is wrong with it in a sentence."""
    unknown = given.keys() - {field.name for field in fields(Terms)}
    if unknown:
        return f"there is no {sorted(unknown)[0]} among the terms"
    for name, value in given.items():
        if name == "bind" and value not in BIND_RULES:
            return "bind is one of " + ", ".join(BIND_RULES)
        if name == "tax" and value not in TAX_RULES:
            return "tax is one of " + ", ".join(TAX_RULES)
        if name in ("renew", "self_purchase") and not isinstance(value, bool):
            return f"{name} is true or false"
        if name in _WITHIN:
            least, most = _WITHIN[name]
            if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
                return f"{name} is a whole number from {least} to {most}"
    terms = Terms(**{**before.to_json(), **given})
    return "valid_days and protection_days are not 0" if 0 in (terms.valid_days, terms.protection_days) else terms


@dataclass(frozen=True, slots=True)
class Rate:
    """A rate: ``first_bp`` for who brought the buyer, ``second_bp`` for who recruited them, in 1/10,000."""

    scope: str
    target: str
    first_bp: int
    second_bp: int

    @property
    def name(self) -> str:
        """What a statement calls it."""
        return f"{self.scope}:{self.target}" if self.target else self.scope


@dataclass(frozen=True, slots=True)
class SoldLine:
    """A line as it was ordered: ``paid`` 分 after its discounts."""

    n: int
    sku: str
    paid: int
    category: str = ""


@dataclass(frozen=True, slots=True)
class Earning:
    """What one level earns of one line."""

    n: int
    level: int
    paid: int
    base: int
    rate: Rate
    rate_bp: int
    amount: int
    contract: str = ""
    """A partner's, whose share it is (domain/partner.py)."""


def rate_for(rates: Mapping[tuple[str, str], Rate], line: SoldLine, level: str) -> Rate | None:
    """The rate that counts: SKU before category before the distributor's level before the shop's."""
    keys: tuple[tuple[str, str], ...] = (("sku", line.sku), ("category", line.category), ("level", level), ("shop", ""))
    for key in keys:
        if (key[1] or key == ("shop", "")) and key in rates:
            return rates[key]
    return None


def bases(lines: Sequence[SoldLine], bonus: int) -> list[int]:
    """What of each line earns: ``bonus`` 分 of the order's price were the shop's own gift and earn nothing."""
    gifts = allocate(bonus, [line.paid for line in lines]) if bonus else [0] * len(lines)
    return [line.paid - gift for line, gift in zip(lines, gifts, strict=True)]


def earnings(
    lines: Sequence[SoldLine],
    bonus: int,
    rates: Mapping[tuple[str, str], Rate],
    terms: Terms,
    level: str,
    *,
    parent_level: str | None,
) -> list[Earning]:
    """What distributors earn of an order: ``bonus`` 分 of its price were the shop's own gift and earn nothing.

    ``parent_level`` None: nobody recruited the distributor. What is over the order's cap is taken off in proportion.
    """
    found: list[Earning] = []
    whole = bases(lines, bonus)
    for line, base in zip(lines, whole, strict=True):
        for number, own in ((1, level), (2, parent_level)):
            if own is None or number > terms.levels:
                continue
            rate = rate_for(rates, line, own)
            bp = 0 if rate is None else (rate.first_bp if number == 1 else rate.second_bp)
            if rate is not None and base * bp // BP > 0:
                found.append(Earning(line.n, number, line.paid, base, rate, bp, base * bp // BP))
    return within(found, order_cap(whole, terms))


def order_cap(whole: Sequence[int], terms: Terms) -> int:
    """The most that everybody together may earn of an order with these bases."""
    return sum(whole) * terms.cap_percent // 100


def within(found: Sequence[Earning], most: int) -> list[Earning]:
    """Earnings cut in proportion, so that they are at most ``most`` 分 in all; those of nothing are left out."""
    amounts = [one.amount for one in found]
    if sum(amounts) <= most:
        return list(found)
    cut = allocate(most, amounts)
    return [replace(one, amount=amount) for one, amount in zip(found, cut, strict=True) if amount]


def kept(amount: int, paid: int, refunded: int) -> int:
    """What is left of a line's commission when ``refunded`` of the ``paid`` 分 went back: nothing when all did."""
    return amount * (paid - min(refunded, paid)) // paid if paid else 0


def refunded_lines(paid: Mapping[int, int], by_line: Mapping[int, int], refunded: int) -> dict[int, int]:
    """Share what went back over an order's lines: what was of a line there, goodwill in proportion to the rest.

    ``paid`` and ``by_line`` are by line number, ``refunded`` is the order's whole. All adds up to ``refunded``.
    """
    rest = {n: paid[n] - by_line.get(n, 0) for n in paid}
    goodwill = min(refunded - sum(by_line.values()), sum(rest.values()))
    shares = allocate(max(0, goodwill), list(rest.values()))
    return {n: by_line.get(n, 0) + share for n, share in zip(rest, shares, strict=True)}
