"""One book per day (一本账): what a merchant sold, took, gave back and moved, each figure with the ids behind it.

Money is integer 分. ``opening + in − out = closing`` for money, and for each SKU the closing balance is the opening one
plus the day's entries. Days are Asia/Shanghai's.
"""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

IDS_MAX = 500
"""Ids shown per figure; ``count`` tells of more, which the lists of the API page through."""
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What a spreadsheet takes for the beginning of a formula (OWASP, CSV injection)."""


@dataclass(frozen=True, slots=True)
class Figure:
    """How many, how much, and which ones."""

    count: int
    amount: int
    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ProviderFigures:
    """Money through one provider: taken in, given back."""

    provider: str
    paid: Figure
    refunded: Figure


@dataclass(frozen=True, slots=True)
class StockFigures:
    """One SKU's day: units by kind of movement, balances by counter, and the entries."""

    sku: str
    title: str
    opening: dict[str, int]
    received: int
    adjusted: int
    held: int
    released: int
    sold: int
    shipped: int
    returned: int
    closing: dict[str, int]
    entries: int
    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AccountFigures:
    """All accounts of one kind (points, stored value, budgets): ``opening + came − went = closing``."""

    kind: str
    unit: str
    opening: int
    came: int
    went: int
    closing: int


@dataclass(frozen=True, slots=True)
class Money:
    """What the providers hold for the merchant: before the day, what came and went, after it."""

    opening: int
    came: int
    went: int
    closing: int


@dataclass(frozen=True, slots=True)
class Statement:
    """The day's books. ``paid`` counts orders, ``providers`` and ``money`` count payments: also those that bought

    nothing and went back. ``coupons_used`` has the coupons' cost as its amount; ``refunds_open`` is what is owed at the
    moment of reading, ``repaid`` what customers paid of what they owe on account.
    """

    day: str
    since: int
    until: int
    money: Money
    providers: tuple[ProviderFigures, ...]
    orders: Figure
    paid: Figure
    cancelled: Figure
    refunds_booked: Figure
    refunds_done: Figure
    refunds_open: Figure
    repaid: Figure
    coupons_given: Figure
    coupons_used: Figure
    stock: tuple[StockFigures, ...]
    accounts: tuple[AccountFigures, ...] = ()


def statement_csv(statement: Statement) -> str:
    """The statement as CSV: section, item, figure, value, ids. Text that a spreadsheet might run is quoted with '."""
    sheet = io.StringIO()
    writer = csv.writer(sheet, lineterminator="\r\n")
    writer.writerow(("section", "item", "figure", "value", "ids"))
    for row in _rows(statement):
        writer.writerow([safe_cell(cell) if isinstance(cell, str) else cell for cell in row])
    return sheet.getvalue()


def safe_cell(text: str) -> str:
    """Text that a spreadsheet takes as it stands: what it might run as a formula is quoted."""
    return f"'{text}" if text.startswith(FORMULA) else text


def _rows(statement: Statement) -> Iterator[tuple[Any, ...]]:
    yield ("statement", statement.day, "since", statement.since, "")
    yield ("statement", statement.day, "until", statement.until, "")
    for name in ("opening", "came", "went", "closing"):
        yield ("money", "", name, getattr(statement.money, name), "")
    for name in (
        "orders",
        "paid",
        "cancelled",
        "refunds_booked",
        "refunds_done",
        "refunds_open",
        "repaid",
        "coupons_given",
        "coupons_used",
    ):
        yield from _figure(name, "", getattr(statement, name))
    for provider in statement.providers:
        yield from _figure("paid by provider", provider.provider, provider.paid)
        yield from _figure("refunded by provider", provider.provider, provider.refunded)
    for account in statement.accounts:
        for name in ("opening", "came", "went", "closing"):
            yield ("accounts", f"{account.kind} ({account.unit})", name, getattr(account, name), "")
    for stock in statement.stock:
        item = f"{stock.sku} {stock.title}"
        for counter, units in stock.opening.items():
            yield ("stock", item, f"opening {counter}", units, "")
        for name in ("received", "adjusted", "held", "released", "sold", "shipped", "returned"):
            yield ("stock", item, name, getattr(stock, name), "")
        for counter, units in stock.closing.items():
            yield ("stock", item, f"closing {counter}", units, "")
        yield ("stock", item, "entries", stock.entries, " ".join(stock.ids))


def _figure(section: str, item: str, figure: Figure) -> Iterator[tuple[Any, ...]]:
    yield (section, item, "count", figure.count, " ".join(figure.ids))
    yield (section, item, "amount", figure.amount, "")
