"""Rebuild every balance from the entries behind it, one by one in the order of time, and compare (``siyu replay``).

The audit lets the database add up; this adds up here, independently of it, and sees each moment on the way: a counter
that was below zero once and is right again today is found, too. Entries of one millisecond count as one moment, as
their ids do not say which came first.
"""

# ruff: noqa: S608 - the queries are constants.

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, RowMapping, text

from commerce.audit_sql import BROKEN_SHOWN_MAX, Finding
from commerce.domain.accounts import KINDS
from commerce.stock_sql import COUNTERS
from commerce.store_sql import read_engine

ROWS_AT_ONCE = 5_000
"""Entries read in one go: the journal of years does not fit in memory, its balances do."""


@dataclass(frozen=True, slots=True)
class Replay:
    """Balances by ``key``: ``entries`` are signed differences with their moment ``at``, in its order.

    Both queries give ``key`` and one column for each of ``counters``; those in ``never_below_0`` are watched.
    """

    name: str
    counters: tuple[str, ...]
    entries: str
    balances: str
    never_below_0: tuple[str, ...] = ()


_STOCK = ", ".join(COUNTERS)
_UNPAID = "('pending', 'cancelled')"
_ACCOUNT = "merchant || '/' || owner || '/' || kind"


def _kinds(*, bounded: bool) -> str:
    return ", ".join(f"'{name}'" for name, kind in KINDS.items() if kind.bounded is bounded)


REPLAYS = (
    Replay(
        "stock by its journal",
        (*COUNTERS, "cost"),
        f"SELECT sku AS key, created_ms AS at, {_STOCK}, cost FROM stock_entry WHERE outlet = ''"
        " ORDER BY created_ms, id",
        f"SELECT sku AS key, {_STOCK}, cost FROM stock",
        ("free", "held", "sold", "shipped", "quarantined", "cost"),
    ),
    Replay(
        "stock of stores by its journal",
        (*COUNTERS, "cost"),
        f"SELECT outlet || '/' || sku AS key, created_ms AS at, {_STOCK}, cost FROM stock_entry WHERE outlet <> ''"
        " ORDER BY created_ms, id",
        f"SELECT outlet || '/' || sku AS key, {_STOCK}, cost FROM outlet_stock",
        ("free", "held", "sold", "shipped", "quarantined", "cost"),
    ),
    Replay(
        "sales by their holds",
        ("held", "sold"),
        "SELECT sale AS key, 0 AS at, CASE state WHEN 'held' THEN quantity ELSE 0 END AS held,"
        " CASE state WHEN 'sold' THEN quantity ELSE 0 END AS sold FROM hold WHERE sale IS NOT NULL",
        "SELECT id AS key, held, sold FROM sale",
    ),
    Replay(
        "limits per person by holds and coupons",
        ("used",),
        "SELECT sale || '/' || person AS key, 0 AS at, quantity AS used FROM hold"
        " WHERE sale IS NOT NULL AND state IN ('held', 'sold')"
        " UNION ALL SELECT drop_id || '/' || person, 0, 1 FROM coupon",
        "SELECT scope || '/' || person AS key, used FROM quota",
    ),
    Replay(
        "drops by their coupons",
        ("issued",),
        "SELECT drop_id AS key, created_ms AS at, 1 AS issued FROM coupon ORDER BY created_ms",
        # A red packet's coupons are its winners'.
        "SELECT id AS key, issued FROM drop_ UNION ALL SELECT id, won FROM draw WHERE kind = 'packet'",
    ),
    Replay(
        "refunded money by refunds",
        ("refunded",),
        "SELECT order_id AS key, created_ms AS at, amount AS refunded FROM refund WHERE kind = 'order'"
        " ORDER BY created_ms",
        "SELECT id AS key, refunded FROM orders",
    ),
    Replay(
        "money of orders and repayments by the providers' notices",
        ("money",),
        # What came for an order, less what went back; what is booked to go back and has not gone is still there.
        "SELECT p.order_id AS key, e.received_ms AS at, e.amount AS money FROM payment_event AS e"
        " JOIN payment AS p ON p.id = e.payment AND p.provider = e.provider WHERE e.kind = 'paid'"
        " UNION ALL SELECT order_id, done_ms, stored - amount FROM refund WHERE state = 'done' ORDER BY 2",
        # Stored value pays without a provider, and goes back without one.
        f"SELECT o.id AS key, CASE WHEN o.status IN {_UNPAID} THEN 0"
        " ELSE o.amount - o.stored - o.refunded + coalesce(r.stored, 0) END"
        " + coalesce(r.owed, 0) AS money FROM orders AS o LEFT JOIN (SELECT order_id,"
        " sum(CASE WHEN kind = 'order' THEN stored ELSE 0 END) AS stored,"
        " sum(CASE WHEN state <> 'done' THEN amount - stored ELSE 0 END) AS owed"
        " FROM refund GROUP BY order_id) AS r ON r.order_id = o.id"
        # What lowered debts is kept; what was too much is there until it has gone back.
        " UNION ALL SELECT y.id, y.applied + coalesce((SELECT sum(amount) FROM refund WHERE order_id = y.id"
        " AND state <> 'done'), 0) FROM repayment AS y",
        ("money",),
    ),
    # Points, stored value, budgets and commission: people's own accounts are never below 0, the shop's side may be.
    *(
        Replay(
            f"accounts by their entries: {name}",
            ("balance",),
            f"SELECT {_ACCOUNT} AS key, created_ms AS at, amount AS balance FROM entry WHERE kind IN ({kinds})"
            " ORDER BY created_ms, id",
            f"SELECT {_ACCOUNT} AS key, balance FROM account WHERE kind IN ({kinds})",
            watched,
        )
        for name, watched, kinds in (
            ("bounded", ("balance",), _kinds(bounded=True)),
            ("unbounded", (), _kinds(bounded=False)),
        )
    ),
    Replay(
        "lots of points by what each account has of them",
        ("ready", "pending"),
        "SELECT merchant || '/' || person AS key, 0 AS at, CASE state WHEN 'ready' THEN left_units ELSE 0 END AS ready,"
        " CASE state WHEN 'pending' THEN left_units ELSE 0 END AS pending FROM points_lot",
        "SELECT merchant || '/' || owner AS key, sum(CASE kind WHEN 'points' THEN balance ELSE 0 END) AS ready,"
        " sum(CASE kind WHEN 'points_pending' THEN balance ELSE 0 END) AS pending FROM account"
        " WHERE kind IN ('points', 'points_pending') GROUP BY merchant, owner",
    ),
    *(
        Replay(
            f"{what} of orders by the entries of its cost",
            ("earned",),
            # What somebody earned in any state is what the shop's cost account gave for it, order by order.
            f"SELECT ref AS key, created_ms AS at, -amount AS earned FROM entry WHERE kind = '{cost}'"
            " ORDER BY created_ms, id",
            "SELECT order_id AS key, sum(amount - reversed) AS earned FROM commission"
            f" WHERE contract {of} '' GROUP BY order_id",
        )
        for what, cost, of in (("commission", "commission_cost", "="), ("partners' share", "share_cost", "<>"))
    ),
)


def replay(where: Path | str) -> list[Finding]:
    """Rebuild all balances of a database (a data directory, ``sqlite:///FILE``, ``postgresql://…``) at one moment.

    Raises StoreError when there is no database.
    """
    engine = read_engine(where)
    try:
        with engine.begin() as connection:
            return [replay_one(connection, one) for one in REPLAYS]
    finally:
        engine.dispose()


def replay_one(connection: Connection, wanted: Replay) -> Finding:
    """Rebuild one kind of balances."""
    rebuilt, entries, below = _rebuild(connection, wanted)
    broken = list(below)
    balances = 0
    for row in _rows(connection, wanted.balances):
        balances += 1
        told = [int(row[name]) for name in wanted.counters]
        found = rebuilt.pop(row["key"], None) or [0] * len(told)
        if told != found:
            broken.append(_difference(row["key"], wanted.counters, told, found))
    for key, found in rebuilt.items():
        if any(found):
            broken.append(_difference(key, wanted.counters, None, found))
    figures = {"balances": balances, "entries": entries, "broken": len(broken)}
    return Finding(wanted.name, not broken, figures, tuple(broken[:BROKEN_SHOWN_MAX]))


def _rebuild(connection: Connection, wanted: Replay) -> tuple[dict[str, list[int]], int, list[dict[str, Any]]]:
    """The balances, how many entries they came from, and what was below zero after some moment."""
    rebuilt: dict[str, list[int]] = {}
    watched = [wanted.counters.index(name) for name in wanted.never_below_0]
    below: list[dict[str, Any]] = []
    moved: set[str] = set()
    moment: int | None = None
    entries = 0

    def look() -> None:
        for key in moved:
            low = [wanted.counters[place] for place in watched if rebuilt[key][place] < 0]
            if low:
                below.append({"key": key, "at": moment, "below_0": low})
        moved.clear()

    for row in _rows(connection, wanted.entries):
        entries += 1
        if row["at"] != moment:
            look()
            moment = row["at"]
        balance = rebuilt.setdefault(row["key"], [0] * len(wanted.counters))
        for place, name in enumerate(wanted.counters):
            balance[place] += int(row[name])
        if watched:
            moved.add(row["key"])
    look()
    return rebuilt, entries, below


def _rows(connection: Connection, statement: str) -> Iterator[RowMapping]:
    yield from connection.execution_options(yield_per=ROWS_AT_ONCE).execute(text(statement)).mappings()


def _difference(key: str, counters: Sequence[str], told: list[int] | None, found: list[int]) -> dict[str, Any]:
    return {
        "key": key,
        "told": None if told is None else dict(zip(counters, told, strict=True)),
        "rebuilt": dict(zip(counters, found, strict=True)),
    }
