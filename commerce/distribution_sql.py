"""Distributors, rates, commission and withdrawals as they are read and, rarely, written outside the ledger."""

from typing import Any

import orjson
from sqlalchemy import Connection, RowMapping, text

from commerce.accounts_sql import balances
from commerce.domain.commission import Rate
from commerce.domain.ids import AFTER_ALL
from commerce.errors import NotFound, Refused

LIST_MAX = 200
DISTRIBUTORS_MAX = 100_000
BALANCES = ("commission_pending", "commission_frozen", "commission_available", "commission_leaving")

Row = dict[str, Any]

_ENROL = text(
    "INSERT INTO distributor (merchant, person, name, parent, level, state, created_ms)"
    " VALUES (:merchant, :person, :name, :parent, :level, :state, :now) ON CONFLICT (merchant, person) DO NOTHING"
)
_COUNT = text("SELECT count(*) FROM distributor WHERE merchant = :merchant")
_ONE = text("SELECT * FROM distributor WHERE merchant = :merchant AND person = :person")
_SET = text("UPDATE distributor SET state = :state, level = :level WHERE merchant = :merchant AND person = :person")
_LIST = text(
    "SELECT d.*, coalesce(a.balance, 0) AS available FROM distributor AS d LEFT JOIN account AS a"
    " ON a.merchant = d.merchant AND a.owner = d.person AND a.kind = 'commission_available'"
    " WHERE d.merchant = :merchant AND d.person < :before ORDER BY d.person DESC LIMIT :limit"
)
_SET_RATE = text(
    "INSERT INTO commission_rate (merchant, scope, target, first_bp, second_bp)"
    " VALUES (:merchant, :scope, :target, :first_bp, :second_bp) ON CONFLICT (merchant, scope, target)"
    " DO UPDATE SET first_bp = excluded.first_bp, second_bp = excluded.second_bp"
)
_DROP_RATE = text("DELETE FROM commission_rate WHERE merchant = :merchant AND scope = :scope AND target = :target")
_RATES = text(
    "SELECT scope, target, first_bp, second_bp FROM commission_rate WHERE merchant = :merchant ORDER BY scope, target"
)
# Of a sale at a till: its receipt's number and lines.
_EARNED = (
    "SELECT c.*, l.title, r.number, r.lines FROM commission AS c LEFT JOIN order_line AS l ON l.order_id = c.order_id"
    " AND l.n = c.n LEFT JOIN pos_receipt AS r ON r.id = c.order_id"
)
_ROWS = text(
    f"{_EARNED} WHERE c.merchant = :merchant AND c.person = :person AND c.id < :before ORDER BY c.id DESC LIMIT :limit"
)
_SUMS = text(
    "SELECT state, count(*) AS lines, coalesce(sum(amount), 0) AS amount, coalesce(sum(reversed), 0) AS reversed"
    " FROM commission WHERE merchant = :merchant AND person = :person GROUP BY state ORDER BY state"
)
_HELD = text(
    f"{_EARNED} WHERE c.merchant = :merchant AND c.held <> '' AND c.state <> 'void' ORDER BY c.id DESC LIMIT :limit"
)
_WITHDRAWALS = text(
    "SELECT * FROM withdrawal WHERE merchant = :merchant AND (:person = '' OR person = :person) AND id < :before"
    " ORDER BY id DESC LIMIT :limit"
)


def enrol(
    db: Connection, merchant: str, person: str, name: str, parent: str | None, state: str, level: str, now_ms: int
) -> Row:
    """Write a distributor; one who is there stays as they are. Raises NotFound (parent), Refused (limit)."""
    if parent is not None and (parent == person or db.execute(_ONE, _who(merchant, parent)).first() is None):
        raise NotFound("no such distributor to be recruited by")
    if db.execute(_COUNT, {"merchant": merchant}).scalar_one() >= DISTRIBUTORS_MAX:
        raise Refused("limit", f"a shop has at most {DISTRIBUTORS_MAX} distributors")
    row = {**_who(merchant, person), "name": name, "parent": parent, "level": level, "state": state, "now": now_ms}
    db.execute(_ENROL, row)
    return one(db, merchant, person)


def one(db: Connection, merchant: str, person: str) -> Row:
    """Read a distributor. Raises NotFound."""
    found = db.execute(_ONE, _who(merchant, person)).mappings().one_or_none()
    if found is None:
        raise NotFound("no such distributor")
    return dict(found)


def change(db: Connection, merchant: str, person: str, state: str | None, level: str | None) -> Row:
    """Set a distributor's state or level. Raises NotFound."""
    had = one(db, merchant, person)
    db.execute(
        _SET,
        {**_who(merchant, person), "state": state or had["state"], "level": had["level"] if level is None else level},
    )
    return one(db, merchant, person)


def page(db: Connection, merchant: str, before: str, limit: int) -> list[Row]:
    """List distributors with what is available to each, newest persons first."""
    asked = {"merchant": merchant, "before": before, "limit": limit}
    return [dict(row) for row in db.execute(_LIST, asked).mappings()]


def rates(db: Connection, merchant: str) -> list[Rate]:
    """A merchant's rates."""
    return [
        Rate(row.scope, row.target, row.first_bp, row.second_bp) for row in db.execute(_RATES, {"merchant": merchant})
    ]


def set_rate(db: Connection, merchant: str, rate: Rate) -> None:
    """Write a rate; one of nothing is taken away."""
    where = {"merchant": merchant, "scope": rate.scope, "target": rate.target}
    if rate.first_bp == rate.second_bp == 0:
        db.execute(_DROP_RATE, where)
    else:
        db.execute(_SET_RATE, {**where, "first_bp": rate.first_bp, "second_bp": rate.second_bp})


def statement(db: Connection, merchant: str, person: str, before: str, limit: int) -> Row:
    """What a distributor has, and line by line why."""
    who = _who(merchant, person)
    return {
        "distributor": one(db, merchant, person),
        "balances": balances(db, merchant, person, BALANCES),
        "sums": [dict(row) for row in db.execute(_SUMS, who).mappings()],
        "rows": [_titled(row) for row in db.execute(_ROWS, {**who, "before": before, "limit": limit}).mappings()],
        "withdrawals": withdrawals(db, merchant, person, AFTER_ALL, LIST_MAX),
    }


def _titled(row: RowMapping) -> Row:
    """A line as a statement names it: what was ordered, or what the till printed."""
    found = dict(row)
    number, lines = found.pop("number"), found.pop("lines")
    if number is not None:
        printed = orjson.loads(lines)
        line = printed[found["n"]] if printed else {}
        found["title"] = line.get("title") or line.get("article") or number
    return {**found, "receipt": number or ""}


def held(db: Connection, merchant: str) -> list[Row]:
    """Commission that waits for somebody to look at it."""
    return [_titled(row) for row in db.execute(_HELD, {"merchant": merchant, "limit": LIST_MAX}).mappings()]


def withdrawals(db: Connection, merchant: str, person: str, before: str, limit: int) -> list[Row]:
    """Withdrawals, newest first; ``person`` empty for everybody's."""
    asked = {**_who(merchant, person), "before": before, "limit": limit}
    return [dict(row) for row in db.execute(_WITHDRAWALS, asked).mappings()]


def _who(merchant: str, person: str) -> Row:
    return {"merchant": merchant, "person": person}
