"""What a basket would cost, and what is on accounts: read for clients, changes nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, text

from commerce.accounts_sql import balances
from commerce.basket import Basket
from commerce.custom_sql import returns_of, with_wishes
from commerce.domain.freight import Freight
from commerce.domain.ids import AFTER_ALL
from commerce.domain.policy import SEVEN_DAYS
from commerce.domain.pricing import CouponTerms, Price, Purse, price_order
from commerce.errors import Invalid
from commerce.freight_sql import read_freight
from commerce.ledger_members import BudgetView
from commerce.mall_sql import exchange_of
from commerce.memberships_sql import at_member_price
from commerce.outlets_sql import stock_of
from commerce.pricing_sql import Line, choose_coupons, find_coupons, line_of_hold, lines_fault, lines_of_skus
from commerce.requests_sql import line_of_offer
from commerce.wallet_sql import purse_of, read_program

ENTRIES_MAX = 200
"""Entries in one answer."""
_ENTRIES = text(
    "SELECT id, kind, unit, amount, why, ref, created_ms FROM entry WHERE merchant = :merchant AND owner = :owner"
    " AND id < :before AND kind NOT LIKE '%held' ORDER BY id DESC LIMIT :limit"
)
_BUDGETS = text(
    "SELECT owner, sum(CASE WHEN kind = 'budget' THEN balance ELSE 0 END) AS free,"
    " sum(CASE WHEN kind = 'budget_reserved' THEN balance ELSE 0 END) AS reserved FROM account"
    " WHERE merchant = :merchant AND kind IN ('budget', 'budget_reserved') GROUP BY owner ORDER BY owner"
)


@dataclass(frozen=True, slots=True)
class QuoteLine:
    """A line as it would be ordered: 分 per unit on the shelf and now, and its share of the discount."""

    sku: str
    title: str
    quantity: int
    list_price: int
    price: int
    discount: int
    wishes: tuple[dict[str, Any], ...] | None = None
    """What it is made to; ``returns`` tells under which rule it can be given back (domain/policy.py)."""
    returns: str = SEVEN_DAYS


@dataclass(frozen=True, slots=True)
class Quote:
    """What a basket costs now with its freight, and the coupons, points and stored value that it was counted with.

    ``points_most`` and ``stored_most`` are what could be spent on it at the most.
    """

    goods: int
    discount: int
    amount: int
    due: int
    coupons: tuple[str, ...]
    points: int
    stored: int
    points_most: int
    stored_most: int
    lines: tuple[QuoteLine, ...]
    steps: tuple[dict[str, Any], ...]
    freight: int = 0


def read_entries(
    connection: Connection, merchant: str, person: str, before: str | None, limit: int
) -> list[dict[str, Any]]:
    """Entries of a person's accounts, newest first; those between their own accounts for an order are left out."""
    asked = {"merchant": merchant, "owner": person, "before": before or AFTER_ALL, "limit": min(limit, ENTRIES_MAX)}
    return [dict(row) for row in connection.execute(_ENTRIES, asked).mappings()]


def read_budgets(connection: Connection, merchant: str) -> list[BudgetView]:
    """The budgets of a shop's issuers."""
    return [BudgetView(*row) for row in connection.execute(_BUDGETS, {"merchant": merchant})]


def read_quote(
    connection: Connection,
    merchant: str,
    room: str,
    person: str,
    basket: Basket,
    now_ms: int,
    best: bool,
    points: bool,
    stored: bool,
) -> Quote:
    """Price a basket: see ``Members.quote``."""
    lines: list[Line] = []
    who = (connection, merchant, room, person)
    if basket.hold is not None:
        lines.append(line_of_hold(*who, basket.hold, now_ms, basket.wanted)[0])
    if basket.offer is not None:
        lines.append(line_of_offer(*who, *basket.offer, now_ms)[0])
    if basket.mall:
        return _read_exchange(connection, merchant, person, basket, now_ms)
    outlet = basket.outlet if basket.delivery is None else basket.delivery.outlet
    lines += lines_of_skus(connection, merchant, basket.lines, now_ms, stock_of(connection, merchant, outlet))
    lines = with_wishes(connection, merchant, lines)
    lines = at_member_price(connection, merchant, person, lines, now_ms)
    priced = [line.priced for line in lines]
    goods = sum(line.quantity * line.price for line in priced)
    plain = lines_fault(lines, ("",), True) is not None
    coupons: list[CouponTerms] = []
    if best and not plain:
        coupons = choose_coupons(connection, merchant, person, goods, now_ms, outlet)
    elif not best:
        coupons = find_coupons(connection, merchant, person, basket.every_coupon, goods, now_ms, outlet)
    fault = lines_fault(lines, coupons, bool(basket.points or basket.stored))
    if fault is not None:
        raise Invalid(fault, field="lines")
    purse = purse_of(connection, merchant, person, basket.points, basket.stored)
    most = Purse()
    if not plain:
        on = balances(connection, merchant, person, ("points", "principal", "bonus"))
        most = Purse(on["points"], on["principal"] + on["bonus"], read_program(connection, merchant).points_percent)
    purse = replace(
        most, points=most.points if points else purse.points, stored=most.stored if stored else purse.stored
    )
    freight = None
    if not any(line.presale_price for line in lines):
        freight = _freight(connection, merchant, basket, outlet)
    price = price_order(priced, coupons, purse, freight)
    points_most = price_order(priced, coupons, most).points
    made = [line.product for line in lines if line.wishes is not None]
    return _quote(lines, price, points_most, min(most.stored, price.amount), returns_of(connection, made))


def _read_exchange(connection: Connection, merchant: str, person: str, basket: Basket, now_ms: int) -> Quote:
    exchange = exchange_of(connection, merchant, person, basket.lines, now_ms)
    outlet = basket.outlet if basket.delivery is None else basket.delivery.outlet
    freight = _freight(connection, merchant, basket, outlet)
    return _quote([exchange.line], price_order([exchange.line.priced], (), exchange.purse, freight), 0, 0)


def _freight(connection: Connection, merchant: str, basket: Basket, outlet: str) -> Freight | None:
    """What bringing a basket costs, by the way that is asked about."""
    if basket.delivery is not None:
        return read_freight(connection, merchant, basket.delivery.method, outlet, basket.delivery.place)
    return read_freight(connection, merchant, basket.way, outlet, basket.place)


def _quote(
    lines: Sequence[Line], price: Price, points_most: int, stored_most: int, returns: Mapping[str, str] | None = None
) -> Quote:
    return Quote(
        goods=price.goods,
        discount=price.discount,
        amount=price.amount,
        due=price.due,
        coupons=tuple(coupon for coupon, _ in price.coupons),
        points=price.points,
        stored=price.stored,
        points_most=points_most,
        stored_most=stored_most,
        lines=tuple(
            QuoteLine(
                one.priced.sku,
                one.title,
                one.priced.quantity,
                one.priced.shelf_price + one.priced.extra,
                one.priced.price,
                discount,
                None if one.wishes is None else tuple(wish.as_json() for wish in one.wishes),
                (returns or {}).get(one.product, SEVEN_DAYS),
            )
            for one, discount in zip(lines, price.line_discounts, strict=True)
        ),
        steps=tuple(step.as_json() for step in price.steps),
        freight=price.freight,
    )
