"""A distributor's statement over some days, to the cent: it is the journal of their accounts, not a second reckoning.

Opening and closing balances are sums of entries, so opening + what moved = closing by construction; today's closing is
what the accounts say (``siyu audit`` compares those with the lines of the orders).
"""

import csv
import io
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, text

from commerce.commission_sql import DAY_MS
from commerce.distribution_sql import BALANCES, one
from commerce.domain.day import day_bounds_ms, local
from commerce.domain.money import yuan
from commerce.errors import Invalid, Refused
from commerce.statement import safe_cell

DAYS_MAX = 366
ROWS_MAX = 10_000
"""Movements in one statement: more are asked for in fewer days."""

_BEFORE = text(
    "SELECT kind, coalesce(sum(amount), 0) AS amount FROM entry WHERE merchant = :merchant AND owner = :person"
    " AND kind IN :kinds AND created_ms < :since GROUP BY kind"
).bindparams(bindparam("kinds", expanding=True))
_MOVES = text(
    "SELECT transfer, why, ref, kind, amount, created_ms FROM entry WHERE merchant = :merchant AND owner = :person"
    " AND kind IN :kinds AND created_ms >= :since AND created_ms < :until ORDER BY id LIMIT :limit"
).bindparams(bindparam("kinds", expanding=True))
_TAXES = text(
    "SELECT id, tax, number FROM withdrawal WHERE merchant = :merchant AND person = :person AND state = 'paid'"
)
_NAMES = tuple(kind.removeprefix("commission_") for kind in BALANCES)


@dataclass(frozen=True, slots=True)
class Movement:
    """One transfer: why, of which order or withdrawal, and by how much each balance changed (分).

    ``tax`` is what was withheld of a payment, ``number`` its transfer's.
    """

    at_ms: int
    why: str
    ref: str
    pending: int
    frozen: int
    available: int
    leaving: int
    tax: int
    number: str


@dataclass(frozen=True, slots=True)
class CommissionStatement:
    """``opening`` and ``closing`` are by balance: pending, frozen, available, leaving; 分."""

    person: str
    name: str
    since: str
    until: str
    opening: dict[str, int]
    moves: tuple[Movement, ...]
    closing: dict[str, int]


def read(db: Connection, merchant: str, person: str, since: str, until: str) -> CommissionStatement:
    """A distributor's days ``since`` to ``until`` (both YYYY-MM-DD, Asia/Shanghai, both included).

    Raises NotFound, Invalid, Refused (limit).
    """
    return journal(db, merchant, person, one(db, merchant, person)["name"], "commission", since, until)


def journal(
    db: Connection, merchant: str, person: str, name: str, family: str, since: str, until: str
) -> CommissionStatement:
    """What moved on accounts of a ``family``, commission or share, of somebody. Raises Invalid, Refused (limit)."""
    try:
        since_ms, until_ms = day_bounds_ms(since)[0], day_bounds_ms(until)[1]
    except ValueError as error:
        raise Invalid(str(error)) from error
    if not 0 < until_ms - since_ms <= DAYS_MAX * DAY_MS:
        raise Invalid(f"a statement is of 1 to {DAYS_MAX} days", field="until")
    who = {"merchant": merchant, "person": person, "kinds": [f"{family}_{kind}" for kind in _NAMES]}
    before = {row.kind: int(row.amount) for row in db.execute(_BEFORE, {**who, "since": since_ms})}
    opening = {kind: before.get(f"{family}_{kind}", 0) for kind in _NAMES}
    asked = {**who, "since": since_ms, "until": until_ms, "limit": ROWS_MAX + 1}
    rows = list(db.execute(_MOVES, asked))
    if len(rows) > ROWS_MAX:
        raise Refused("limit", f"more than {ROWS_MAX} movements: ask for fewer days")
    paid = {row.id: row for row in db.execute(_TAXES, {"merchant": merchant, "person": person})}
    transfers: dict[str, dict[str, Any]] = {}
    closing = dict(opening)
    for row in rows:
        kind = row.kind.removeprefix(f"{family}_")
        move = transfers.setdefault(
            row.transfer,
            {"at_ms": row.created_ms, "why": row.why, "ref": row.ref, **dict.fromkeys(_NAMES, 0)},
        )
        move[kind] += row.amount
        closing[kind] += row.amount
    moves = []
    for move in transfers.values():
        of = paid.get(move["ref"]) if move["why"] == "paid" else None
        moves.append(Movement(**move, tax=0 if of is None else of.tax, number="" if of is None else of.number or ""))
    return CommissionStatement(person, name, since, until, opening, tuple(moves), closing)


def as_csv(statement: CommissionStatement) -> str:
    """For a spreadsheet: times as the shop's clock shows them, money in yuan."""
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\r\n")
    table.writerow(["time", "what", "of", *_NAMES, "tax withheld", "number"])
    table.writerow([statement.since, "opening", safe_cell(statement.name), *map(yuan, statement.opening.values())])
    for move in statement.moves:
        changes = [yuan(getattr(move, name)) for name in _NAMES]
        table.writerow([local(move.at_ms), move.why, move.ref, *changes, yuan(move.tax), safe_cell(move.number)])
    table.writerow([statement.until, "closing", safe_cell(statement.name), *map(yuan, statement.closing.values())])
    return out.getvalue()
