"""Reads one day of a merchant's books, all in one read transaction, so that the figures agree with each other.

A day costs what happened on it, and an older one what happened since, too: balances are those of now, less the entries
that came later. Only the money's opening balance is a sum over all payments, read from an index.
"""

# ruff: noqa: S608 - the queries are put together of this module's constants; every value is bound.

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, text

from commerce.domain.accounts import KINDS
from commerce.domain.ids import time_prefix
from commerce.statement import IDS_MAX, AccountFigures, Figure, Money, ProviderFigures, Statement, StockFigures
from commerce.stock_sql import COUNTERS

SKUS_MAX = 10_000
"""Lines of stock in one statement: a shop of that many goods exports them another way."""

_MINE = "merchant = :merchant"
_IN = "{0} >= :since AND {0} < :until"
_TAKEN = "(SELECT coalesce(sum(c.amount), 0) FROM order_coupon AS c WHERE c.order_id = orders.id)"
# By staff's word or through a provider: what of it was too much went back.
_REPAID = (
    "(SELECT id, merchant, amount, created_ms AS at_ms FROM credit_booking WHERE kind = 'repaid'"
    " UNION ALL SELECT id, merchant, applied, paid_ms FROM repayment WHERE applied > 0) AS repaid"
)
_FIGURES = {
    "orders": ("orders", "amount", f"{_MINE} AND id >= :lowest AND id < :highest"),
    "paid": ("orders", "amount", f"{_MINE} AND {_IN.format('paid_ms')}"),
    "cancelled": (
        "orders",
        "amount",
        f"{_MINE} AND status = 'cancelled' AND {_IN.format('cancelled_ms')}",
    ),
    "refunds_booked": ("refund", "amount", f"{_MINE} AND id >= :lowest AND id < :highest"),
    "refunds_done": ("refund", "amount", f"{_MINE} AND {_IN.format('done_ms')}"),
    "refunds_open": ("refund", "amount", f"{_MINE} AND state <> 'done' AND id < :highest"),
    "repaid": (_REPAID, "amount", f"{_MINE} AND {_IN.format('at_ms')}"),
    "coupons_given": ("coupon", "amount", f"{_MINE} AND {_IN.format('created_ms')}"),
    "coupons_used": ("orders", _TAKEN, f"{_MINE} AND coupon IS NOT NULL AND {_IN.format('paid_ms')}"),
}
_PAYMENTS = "FROM payment_event WHERE merchant = :merchant AND kind = 'paid'"
_CAME = text(
    "SELECT coalesce(sum(CASE WHEN received_ms < :since THEN amount ELSE 0 END), 0) AS before,"
    f" coalesce(sum(amount), 0) AS closing {_PAYMENTS} AND received_ms < :until"
)
_WENT = text(
    "SELECT coalesce(sum(CASE WHEN done_ms < :since THEN amount - stored ELSE 0 END), 0) AS before,"
    " coalesce(sum(amount - stored), 0) AS closing FROM refund WHERE merchant = :merchant AND done_ms < :until"
)
_PROVIDERS = text(
    f"SELECT provider {_PAYMENTS} AND {_IN.format('received_ms')}"
    f" UNION SELECT provider FROM refund WHERE merchant = :merchant AND {_IN.format('done_ms')} ORDER BY provider"
)
_PAID_BY = f"{_PAYMENTS} AND {_IN.format('received_ms')} AND provider = :provider"
_REFUNDED_BY = (
    "FROM refund WHERE merchant = :merchant AND provider = :provider AND done_ms >= :since AND done_ms < :until"
)

_KINDS = ("received", "adjusted", "held", "released", "sold", "shipped", "returned")
# How many units a movement of a kind moved: the counter that it raises or lowers.
_UNITS = {
    "received": "sum(received)",
    "adjusted": "sum(adjusted)",
    "held": "sum(CASE WHEN kind IN ('held', 'reserved') THEN held ELSE 0 END)",
    "released": "sum(CASE WHEN kind IN ('released', 'unreserved') THEN -held ELSE 0 END)",
    "sold": "sum(CASE WHEN kind = 'sold' THEN sold ELSE 0 END)",
    "shipped": "sum(CASE WHEN kind IN ('shipped', 'till') THEN shipped ELSE 0 END)",
    "returned": "sum(CASE WHEN kind = 'returned' THEN free + quarantined ELSE 0 END)",
}
# What an upgrade carried over is a balance, not a movement of the day.
_DAY = "CASE WHEN created_ms < :until AND kind <> 'opening' THEN {0} ELSE 0 END"
_LATER = "CASE WHEN created_ms >= :until THEN {0} ELSE 0 END"
_NAMES = ", ".join(COUNTERS)
_STOCK = text(
    "WITH since AS (SELECT sku, "
    + ", ".join(
        f"sum({_DAY.format(name)}) AS day_{name}, sum({_LATER.format(name)}) AS later_{name}" for name in COUNTERS
    )
    + f", sum({_DAY.format('1')}) AS entries FROM stock_entry WHERE merchant = :merchant AND created_ms >= :since"
    " GROUP BY sku), present AS (SELECT sku, "
    + ", ".join(f"sum({name}) AS {name}" for name in COUNTERS)
    + f" FROM (SELECT sku, {_NAMES} FROM stock WHERE merchant = :merchant UNION ALL"
    f" SELECT sku, {_NAMES} FROM outlet_stock WHERE merchant = :merchant) AS places GROUP BY sku)"
    " SELECT p.sku, coalesce(s.entries, 0) AS entries, "
    + ", ".join(
        f"coalesce(s.day_{name}, 0) AS day_{name}, p.{name} - coalesce(s.later_{name}, 0) AS closing_{name}"
        for name in COUNTERS
    )
    # Goods that came later were not there that day.
    + " FROM present AS p LEFT JOIN since AS s ON s.sku = p.sku WHERE coalesce(s.entries, 0) > 0 OR "
    + " OR ".join(f"p.{name} <> coalesce(s.later_{name}, 0)" for name in COUNTERS)
    + " ORDER BY p.sku LIMIT :limit"
)
_MOVED = text(
    "SELECT sku, "
    + ", ".join(f"{_UNITS[kind]} AS {kind}" for kind in _KINDS)
    + " FROM stock_entry WHERE merchant = :merchant AND created_ms >= :since AND created_ms < :until"
    " AND kind <> 'opening' GROUP BY sku"
)
_ENTRIES = text(
    "SELECT sku, id FROM (SELECT sku, id, row_number() OVER (PARTITION BY sku ORDER BY id) AS n FROM stock_entry"
    " WHERE merchant = :merchant AND created_ms >= :since AND created_ms < :until AND kind <> 'opening') AS day"
    " WHERE n <= :limit ORDER BY sku, id"
)
_ACCOUNTS = text(
    "SELECT a.kind, a.balance - coalesce(s.later, 0) AS closing, coalesce(s.came, 0) AS came,"
    " coalesce(s.went, 0) AS went"
    " FROM (SELECT kind, sum(balance) AS balance FROM account WHERE merchant = :merchant GROUP BY kind) AS a"
    " LEFT JOIN (SELECT kind, sum(CASE WHEN created_ms >= :until THEN amount ELSE 0 END) AS later,"
    " sum(CASE WHEN created_ms < :until AND amount > 0 THEN amount ELSE 0 END) AS came,"
    " sum(CASE WHEN created_ms < :until AND amount < 0 THEN -amount ELSE 0 END) AS went"
    " FROM entry WHERE merchant = :merchant AND created_ms >= :since GROUP BY kind) AS s ON s.kind = a.kind"
    " ORDER BY a.kind"
)
_TITLES = text(
    "SELECT k.id, p.title, k.name FROM sku AS k JOIN product AS p ON p.id = k.product WHERE k.merchant = :merchant"
)


def read_statement(connection: Connection, merchant: str, day: str, since_ms: int, until_ms: int) -> Statement:
    """The books of ``[since_ms, until_ms)``."""
    asked = {
        "merchant": merchant,
        "since": since_ms,
        "until": until_ms,
        "lowest": time_prefix(since_ms),
        "highest": time_prefix(until_ms),
    }
    figures = {
        name: _figure(connection, f"FROM {table} WHERE {where}", amount, "id", asked)
        for name, (table, amount, where) in _FIGURES.items()
    }
    providers = tuple(
        ProviderFigures(
            provider,
            _figure(connection, _PAID_BY, "amount", "payment", asked | {"provider": provider}),
            _figure(connection, _REFUNDED_BY, "amount - stored", "id", asked | {"provider": provider}),
        )
        for provider in connection.execute(_PROVIDERS, asked).scalars().all()
    )
    return Statement(
        day=day,
        since=since_ms,
        until=until_ms,
        money=_money(connection, asked),
        providers=providers,
        stock=tuple(_stock(connection, asked)),
        accounts=tuple(_accounts(connection, asked)),
        **figures,
    )


def _figure(connection: Connection, source: str, amount: str, identifier: str, asked: dict[str, Any]) -> Figure:
    # Only this module's constants go into the text; values are bound.
    total = connection.execute(
        text(f"SELECT count(*) AS found, coalesce(sum({amount}), 0) AS amount {source}"),
        asked,
    ).one()
    listed = text(f"SELECT {identifier} {source} ORDER BY {identifier} LIMIT :ids")
    ids = connection.execute(listed, asked | {"ids": IDS_MAX}).scalars()
    return Figure(total.found, total.amount, tuple(ids))


def _money(connection: Connection, asked: dict[str, Any]) -> Money:
    came, went = connection.execute(_CAME, asked).one(), connection.execute(_WENT, asked).one()
    return Money(
        opening=came.before - went.before,
        came=came.closing - came.before,
        went=went.closing - went.before,
        closing=came.closing - went.closing,
    )


def _accounts(connection: Connection, asked: dict[str, Any]) -> Iterator[AccountFigures]:
    for row in connection.execute(_ACCOUNTS, asked):
        opening = row.closing - row.came + row.went
        if opening or row.came or row.went:
            yield AccountFigures(row.kind, KINDS[row.kind].unit, opening, row.came, row.went, row.closing)


def _stock(connection: Connection, asked: dict[str, Any]) -> list[StockFigures]:
    titles = {row.id: f"{row.title} {row.name}".strip() for row in connection.execute(_TITLES, asked)}
    moved = {row["sku"]: row for row in connection.execute(_MOVED, asked).mappings()}
    ids: defaultdict[str, list[str]] = defaultdict(list)
    for entry in connection.execute(_ENTRIES, asked | {"limit": IDS_MAX}):
        ids[entry.sku].append(entry.id)
    lines = []
    for row in connection.execute(_STOCK, asked | {"limit": SKUS_MAX}).mappings().all():
        sku = row["sku"]
        closing = {name: row[f"closing_{name}"] for name in COUNTERS}
        kinds = moved.get(sku)
        lines.append(
            StockFigures(
                sku=sku,
                title=titles.get(sku, ""),
                opening={name: closing[name] - row[f"day_{name}"] for name in COUNTERS},
                closing=closing,
                entries=row["entries"],
                ids=tuple(ids.get(sku, ())),
                **{kind: 0 if kinds is None else kinds[kind] for kind in _KINDS},
            )
        )
    return lines
