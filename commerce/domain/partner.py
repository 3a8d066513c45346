"""Partners of another trade (异业合作): what a contract says, and what it gives of an order. Pure.

A partner shows the shop's code; who came by it within ``days`` and buys earns the partner a share of what the goods
cost after discounts, as commission is reckoned (domain/commission.py). A share is for goods sold and for nothing else,
and it ends with the partner: nobody earns of a partner's shares (禁止传销条例 art. 7).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from commerce.domain.commission import BP, Earning, Rate, SoldLine, within
from commerce.domain.day import day_bounds_ms, day_of
from commerce.domain.money import AMOUNT_MAX

RATES_MAX = 200
"""Rates of one contract: by SKU and category; a shop with more has categories."""
DAYS_MAX = 365
SCOPES = ("sku", "category", "shop")
SEES = ("rows", "sums")
TARGET_CHARACTERS_MAX = 64


@dataclass(frozen=True, slots=True)
class ShareRate:
    """``bp`` hundredths of a percent of goods of one SKU, of one category, or of all the shop."""

    scope: str
    target: str
    bp: int

    def to_json(self) -> dict[str, Any]:
        """Give the JSON form."""
        return {"scope": self.scope, "target": self.target, "bp": self.bp}


@dataclass(frozen=True, slots=True)
class Contract:
    """What was agreed: days are YYYY-MM-DD in Asia/Shanghai, both included; ``until`` empty: until it is ended.

    ``days`` after a visit a purchase counts; ``first_only``: only the first that the visitor ever made here. Caps are
    分, 0 for none, of an order and of a calendar month. ``sees``: whether the partner reads single orders, or sums.
    ``coupon_bp``: what of a coupon that its visitors have by it the partner bears, in 1/100 of a percent.
    """

    since: str
    until: str
    days: int
    first_only: bool
    cap_order: int
    cap_month: int
    sees: str
    rates: tuple[ShareRate, ...]
    coupon_bp: int = 0

    def holds_at(self, now_ms: int) -> bool:
        """Whether the contract's days have begun and are not over."""
        today = day_of(now_ms)
        return self.since <= today and (not self.until or today <= self.until)


def contract_fault(contract: Contract) -> str | None:
    """Why a contract cannot be, as a sentence; None when it can."""
    try:
        begins = day_bounds_ms(contract.since)[0]
        ends = day_bounds_ms(contract.until)[1] if contract.until else begins + 1
    except ValueError as error:
        return str(error)
    if ends <= begins:
        return "until is not before since"
    if not 1 <= contract.days <= DAYS_MAX:
        return f"days is a whole number from 1 to {DAYS_MAX}"
    for name, cap in (("cap_order", contract.cap_order), ("cap_month", contract.cap_month)):
        if not 0 <= cap <= AMOUNT_MAX:
            return f"{name} is 0 (none) to {AMOUNT_MAX} 分"
    if not 0 <= contract.coupon_bp <= BP:
        return f"coupon_bp is 0 to {BP} (1/100 of a percent)"
    if contract.sees not in SEES:
        return "sees is rows or sums"
    return _rates_fault(contract.rates)


def _rates_fault(rates: Sequence[ShareRate]) -> str | None:
    if not 1 <= len(rates) <= RATES_MAX:
        return f"a contract has 1 to {RATES_MAX} rates"
    if len({(rate.scope, rate.target) for rate in rates}) < len(rates):
        return "each SKU, each category and the shop has one rate"
    for rate in rates:
        if rate.scope not in SCOPES or (rate.scope == "shop") != (not rate.target):
            return "scope is sku or category with a target, or shop without one"
        if len(rate.target) > TARGET_CHARACTERS_MAX or not rate.target.isprintable():
            return f"a target has at most {TARGET_CHARACTERS_MAX} characters on one line"
        if not 1 <= rate.bp <= BP:
            return f"bp is 1 to {BP} (1/100 of a percent)"
    return None


def rate_of(contract: Contract, line: SoldLine) -> ShareRate | None:
    """The rate that counts: SKU before category before the shop's."""
    rates = {(rate.scope, rate.target): rate for rate in contract.rates}
    for key in (("sku", line.sku), ("category", line.category), ("shop", "")):
        if key in rates:
            return rates[key]
    return None


@dataclass(frozen=True, slots=True)
class Shared:
    """What a contract gives of an order, and in a word why that is less than its rates say: empty when it is not."""

    earned: tuple[Earning, ...]
    why: str = ""


def shared(
    contract: Contract, identifier: str, lines: Sequence[SoldLine], bases: Sequence[int], month_left: int | None
) -> Shared:
    """What the contract ``identifier`` gives of lines with these bases (分); ``month_left`` None: no monthly cap.

    Each line is rounded down; what is over a cap is taken off in proportion. ``why`` is no_rate, order_cap,
    month_cap or nothing.
    """
    found = []
    for line, base in zip(lines, bases, strict=True):
        rate = rate_of(contract, line)
        if rate is not None and base * rate.bp // BP > 0:
            named = Rate(rate.scope, rate.target, rate.bp, 0)
            found.append(Earning(line.n, 1, line.paid, base, named, rate.bp, base * rate.bp // BP, identifier))
    if not found:
        return Shared((), "no_rate")
    total, why = sum(one.amount for one in found), ""
    for name, cap in (("order_cap", contract.cap_order or None), ("month_cap", month_left)):
        if cap is not None and total > cap:
            total, why = max(0, cap), name
    return Shared(tuple(within(found, total)), why)


def borne(took: int, bp: int) -> int:
    """What a partner bears of what its coupon took off (分), rounded down: the odd 分 is the shop's."""
    return took * bp // BP


def borne_back(part: int, paid: int, refunded: int) -> int:
    """What of a borne part comes back when ``refunded`` of ``paid`` went back (分): all of it with the last."""
    return part if refunded >= paid else part * refunded // paid


def contract_of(given: Mapping[str, Any]) -> Contract:
    """A contract from its JSON form."""
    rates = tuple(ShareRate(rate["scope"], rate["target"], rate["bp"]) for rate in given["rates"])
    return Contract(**{**given, "rates": rates})
