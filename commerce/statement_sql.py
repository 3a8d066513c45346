"""Reads one day of a merchant's books, all in one read transaction, so that the figures agree with each other."""

# ruff: noqa: S608 - the queries are put together of this module's constants; every value is bound.

from typing import Any

from sqlalchemy import Connection, text

from commerce.domain.ids import time_prefix
from commerce.statement import IDS_MAX, AccountFigures, Figure, Money, ProviderFigures, Statement, StockFigures
from commerce.stock_sql import COUNTERS

SKUS_MAX = 10_000
"""Lines of stock in one statement: a shop of that many goods exports them another way."""

_MINE = "merchant = :merchant"
_IN = "coalesce({0}, 0) >= :since AND {0} < :until"
_TAKEN = "(SELECT coalesce(sum(c.amount), 0) FROM order_coupon AS c WHERE c.order_id = orders.id)"
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
    "coupons_given": ("coupon", "amount", f"{_MINE} AND created_ms >= :since AND created_ms < :until"),
    "coupons_used": ("orders", _TAKEN, f"{_MINE} AND coupon IS NOT NULL AND {_IN.format('paid_ms')}"),
}
_PAYMENTS = (
    "FROM payment_event AS e JOIN payment AS p ON p.id = e.payment AND p.provider = e.provider"
    " WHERE p.merchant = :merchant AND e.kind = 'paid'"
)
_CAME = text(f"SELECT coalesce(sum(e.amount), 0) {_PAYMENTS} AND e.received_ms < :before")
_WENT = text("SELECT coalesce(sum(amount - stored), 0) FROM refund WHERE merchant = :merchant AND done_ms < :before")
_PROVIDERS = text(
    f"SELECT p.provider AS provider {_PAYMENTS} AND e.received_ms >= :since AND e.received_ms < :until"
    " UNION SELECT provider FROM refund WHERE merchant = :merchant AND done_ms >= :since AND done_ms < :until"
    " ORDER BY provider"
)
_PAID_BY = f"{_PAYMENTS} AND p.provider = :provider AND e.received_ms >= :since AND e.received_ms < :until"
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
_DAY = "CASE WHEN created_ms >= :since AND kind <> 'opening' THEN {0} ELSE 0 END"
_STOCK = text(
    "SELECT sku, "
    + ", ".join(f"sum({_DAY.format(name)}) AS day_{name}, sum({name}) AS closing_{name}" for name in COUNTERS)
    + f", sum({_DAY.format('1')}) AS entries FROM stock_entry"
    " WHERE merchant = :merchant AND created_ms < :until GROUP BY sku ORDER BY sku LIMIT :limit"
)
_MOVED = text(
    "SELECT sku, "
    + ", ".join(f"{_UNITS[kind]} AS {kind}" for kind in _KINDS)
    + " FROM stock_entry WHERE merchant = :merchant AND created_ms >= :since AND created_ms < :until"
    " AND kind <> 'opening' GROUP BY sku"
)
_ENTRIES = text(
    "SELECT id FROM stock_entry WHERE merchant = :merchant AND sku = :sku AND created_ms >= :since"
    " AND created_ms < :until AND kind <> 'opening' ORDER BY id LIMIT :limit"
)
_ACCOUNTS = text(
    "SELECT kind, unit, sum(CASE WHEN created_ms < :since THEN amount ELSE 0 END) AS opening,"
    " sum(CASE WHEN created_ms >= :since AND amount > 0 THEN amount ELSE 0 END) AS came,"
    " sum(CASE WHEN created_ms >= :since AND amount < 0 THEN -amount ELSE 0 END) AS went, sum(amount) AS closing"
    " FROM entry WHERE merchant = :merchant AND created_ms < :until GROUP BY kind, unit ORDER BY kind"
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
            _figure(connection, _PAID_BY, "e.amount", "p.id", asked | {"provider": provider}),
            _figure(connection, _REFUNDED_BY, "amount - stored", "id", asked | {"provider": provider}),
        )
        for provider in connection.execute(_PROVIDERS, asked).scalars().all()
    )
    return Statement(
        day=day,
        since=since_ms,
        until=until_ms,
        money=_money(connection, merchant, since_ms, until_ms),
        providers=providers,
        stock=tuple(_stock(connection, asked)),
        accounts=tuple(AccountFigures(*row) for row in connection.execute(_ACCOUNTS, asked)),
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


def _money(connection: Connection, merchant: str, since_ms: int, until_ms: int) -> Money:
    def until(moment_ms: int) -> tuple[int, int]:
        asked = {"merchant": merchant, "before": moment_ms}
        came, went = connection.execute(_CAME, asked).scalar_one(), connection.execute(_WENT, asked).scalar_one()
        return int(came), int(went)

    (came_before, went_before), (came, went) = until(since_ms), until(until_ms)
    return Money(came_before - went_before, came - came_before, went - went_before, came - went)


def _stock(connection: Connection, asked: dict[str, Any]) -> list[StockFigures]:
    titles = {row.id: f"{row.title} {row.name}".strip() for row in connection.execute(_TITLES, asked)}
    moved = {row["sku"]: row for row in connection.execute(_MOVED, asked).mappings()}
    lines = []
    for row in connection.execute(_STOCK, asked | {"limit": SKUS_MAX}).mappings().all():
        sku = row["sku"]
        closing = {name: row[f"closing_{name}"] for name in COUNTERS}
        ids: tuple[str, ...] = ()
        if row["entries"]:
            ids = tuple(connection.execute(_ENTRIES, asked | {"sku": sku, "limit": IDS_MAX}).scalars())
        kinds = moved.get(sku)
        lines.append(
            StockFigures(
                sku=sku,
                title=titles.get(sku, ""),
                opening={name: closing[name] - row[f"day_{name}"] for name in COUNTERS},
                closing=closing,
                entries=row["entries"],
                ids=ids,
                **{kind: 0 if kinds is None else kinds[kind] for kind in _KINDS},
            )
        )
    return lines
