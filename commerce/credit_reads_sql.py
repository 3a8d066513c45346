"""Accounts of sale on account, read for clients: balances, ages, debts, statements, repayments, who is overdue."""

# ruff: noqa: S608 - the queries are put together of this module's constants; every value is bound.

from collections import Counter
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, bindparam, text

from commerce.compliance_sql import policy
from commerce.domain.credit import BUCKETS, REMINDED, RepaymentView, bucket, day_of_key, why_of_key
from commerce.domain.day import DAY_MS, day_bounds_ms
from commerce.ledger_credit import CreditEntry, CreditView, DebtView, DunningView, ReminderView

LIST_MAX = 200
ENTRIES_MAX = 2_000
"""Lines of one statement: years of a customer's orders."""

_LINES = text(
    "SELECT * FROM credit_line WHERE merchant = :merchant AND (:person = '' OR person = :person) AND person > :after"
    " ORDER BY person LIMIT :limit"
)
_BALANCES = text(
    "SELECT owner, kind, balance FROM account WHERE merchant = :merchant AND kind IN ('credit_owed', 'credit_spare')"
    " AND owner IN :persons"
).bindparams(bindparam("persons", expanding=True))
_OPEN = text(
    "SELECT person, due_ms, amount - repaid - returned - lost AS left_fen FROM receivable"
    " WHERE merchant = :merchant AND closed_ms IS NULL AND person IN :persons"
).bindparams(bindparam("persons", expanding=True))
_DEBTS = text(
    "SELECT * FROM receivable WHERE merchant = :merchant AND person = :person ORDER BY (closed_ms IS NOT NULL),"
    " CASE WHEN closed_ms IS NULL THEN due_ms END, order_id DESC LIMIT :limit"
)
_ENTRIES = text(
    "SELECT transfer, min(created_ms) AS at_ms, min(why) AS why, min(ref) AS ref, CAST(sum(amount) AS bigint) AS amount"
    " FROM entry WHERE merchant = :merchant AND owner = :person AND kind IN ('credit_owed', 'credit_spare')"
    " GROUP BY transfer ORDER BY 2 DESC, 1 DESC LIMIT :limit"
)

_BALANCE = text(
    "SELECT CAST(coalesce(sum(balance), 0) AS bigint) FROM account WHERE merchant = :merchant AND owner = :person"
    " AND kind IN ('credit_owed', 'credit_spare')"
)

_BACK = "(SELECT CAST(coalesce(sum(r.amount), 0) AS bigint) FROM refund AS r WHERE r.order_id = y.id{})"
_DONE, _FAILED = " AND r.state = 'done'", " AND r.state = 'failed'"
# A repayment is tried at one provider: who wants another makes another.
_REPAYMENT = (
    "SELECT y.*, '' AS room, p.id AS payment, p.provider, p.method, p.state AS payment_state,"
    f" {_BACK.format('')} AS back, {_BACK.format(_DONE)} AS returned,"
    f" {_BACK.format(_FAILED)} AS failed"
    " FROM repayment AS y JOIN payment AS p ON p.order_id = y.id"
)
_ONE = text(f"{_REPAYMENT} WHERE y.id = :id")
_ASKED = text(f"{_REPAYMENT} WHERE y.merchant = :merchant AND y.person = :person AND y.state = 'open' LIMIT 1")
_REPAYMENTS = text(f"{_REPAYMENT} WHERE y.merchant = :merchant AND y.person = :person ORDER BY y.id DESC LIMIT :limit")
_NOT_GIVEN = text(
    "SELECT r.id FROM repayment AS y CROSS JOIN refund AS r"
    " WHERE r.order_id = y.id AND y.merchant = :merchant AND y.id = :id AND y.person = :person AND r.state = 'failed'"
    " ORDER BY r.id"
)
_REMINDERS = text(
    "SELECT * FROM credit_reminder WHERE merchant = :merchant AND person = :person ORDER BY id DESC LIMIT :limit"
)
_STANDS = text(
    "SELECT 1 FROM receivable WHERE merchant = :merchant AND person = :person AND closed_ms IS NULL"
    " AND due_ms < :until LIMIT 1"
)
_REPAID = "AND kind = 'repaid'"
_LATEST = "(SELECT {} FROM {} WHERE merchant = d.merchant AND person = d.person {})"
_DUNNING = text(
    "SELECT d.person, coalesce(l.name, '') AS name, coalesce(l.open, 0) AS open,"
    " CAST(sum(d.left_fen) AS bigint) AS owed,"
    " CAST(sum(CASE WHEN d.due_ms < :now THEN d.left_fen ELSE 0 END) AS bigint) AS overdue,"
    " sum(CASE WHEN d.due_ms < :now THEN 1 ELSE 0 END) AS orders, min(d.due_ms) AS since_ms,"
    f" {_LATEST.format('max(created_ms)', 'credit_booking', _REPAID)} AS by_hand,"
    f" {_LATEST.format('max(CASE WHEN applied > 0 THEN paid_ms END)', 'repayment', '')} AS through,"
    f" {_LATEST.format('count(*)', 'credit_reminder', '')} AS reminders,"
    f" {_LATEST.format('created_ms', 'credit_reminder', 'ORDER BY id DESC LIMIT 1')} AS reminded,"
    f" {_LATEST.format('note', 'credit_reminder', 'ORDER BY id DESC LIMIT 1')} AS note"
    " FROM (SELECT merchant, person, due_ms, amount - repaid - returned - lost AS left_fen FROM receivable"
    " WHERE merchant = :merchant AND closed_ms IS NULL) AS d"
    " LEFT JOIN credit_line AS l ON l.merchant = d.merchant AND l.person = d.person"
    " GROUP BY d.merchant, d.person, l.name, l.open HAVING min(d.due_ms) < :now"
    " AND (min(d.due_ms) > :since OR (min(d.due_ms) = :since AND d.person > :person))"
    " ORDER BY min(d.due_ms), d.person LIMIT :limit"
)


def read_accounts(
    connection: Connection, merchant: str, now_ms: int, person: str = "", after: str = "", limit: int = LIST_MAX
) -> list[CreditView]:
    """The accounts of a shop, or of one person."""
    asked = {"merchant": merchant, "person": person, "after": after, "limit": min(limit, LIST_MAX)}
    lines = connection.execute(_LINES, asked).all()
    persons = [row.person for row in lines]
    if not persons:
        return []
    has: Counter[tuple[str, str]] = Counter()
    for row in connection.execute(_BALANCES, {"merchant": merchant, "persons": persons}):
        has[row.owner, row.kind] += row.balance
    ages = _ages(connection, merchant, persons, now_ms)
    return [
        _view(row, has[row.person, "credit_owed"], -has[row.person, "credit_spare"], ages[row.person]) for row in lines
    ]


def _ages(connection: Connection, merchant: str, persons: Sequence[str], now_ms: int) -> dict[str, dict[str, int]]:
    ages = {person: dict.fromkeys(BUCKETS, 0) for person in persons}
    for row in connection.execute(_OPEN, {"merchant": merchant, "persons": list(persons)}):
        ages[row.person][bucket(row.due_ms, now_ms)] += int(row.left_fen)
    return ages


def _view(row: Any, owed: int, spare: int, ages: dict[str, int]) -> CreditView:
    free = max(0, row.most - owed + spare) if row.open else 0
    overdue = sum(ages[name] for name in BUCKETS[1:])
    return CreditView(
        row.person, row.name, row.most, row.days, bool(row.open), owed, spare, 0 if overdue else free, overdue, ages
    )


def read_debts(connection: Connection, merchant: str, person: str, limit: int) -> list[DebtView]:
    """What a person's orders owe, what is due soonest first; then what they owed, newest first."""
    rows = connection.execute(_DEBTS, {"merchant": merchant, "person": person, "limit": min(limit, LIST_MAX)})
    return [
        DebtView(
            row.order_id, row.amount, row.repaid, row.returned, row.lost,
            row.amount - row.repaid - row.returned - row.lost, row.due_ms, row.created_ms, row.closed_ms,
        )
        for row in rows
    ]  # fmt: skip


def read_statement(connection: Connection, merchant: str, person: str, limit: int = ENTRIES_MAX) -> list[CreditEntry]:
    """What made a person's account what it is, the newest of it, oldest first, with what was owed after each."""
    who = {"merchant": merchant, "person": person}
    rows = connection.execute(_ENTRIES, {**who, "limit": limit}).all()[::-1]
    owed = int(connection.execute(_BALANCE, who).scalar_one()) - sum(int(row.amount) for row in rows)
    lines = []
    for row in rows:
        owed += int(row.amount)
        lines.append(CreditEntry(row.at_ms, row.why, row.ref, int(row.amount), owed))
    return lines


def repayment_row(connection: Connection, repayment: str) -> Row[Any] | None:
    """A repayment with its payment, as ``repayment_view`` takes it."""
    return connection.execute(_ONE, {"id": repayment}).one_or_none()


def open_repayment(connection: Connection, merchant: str, person: str) -> Row[Any] | None:
    """The repayment of a person that a provider is asked for now."""
    return connection.execute(_ASKED, {"merchant": merchant, "person": person}).one_or_none()


def repayment_view(row: Row[Any]) -> RepaymentView:
    """A repayment as clients see it."""
    return RepaymentView(
        row.id, row.person, row.amount, row.applied, row.order_id, row.state, row.provider, row.created_ms,
        row.expires_ms, row.paid_ms, int(row.back), int(row.returned), int(row.failed),
    )  # fmt: skip


def read_repayments(connection: Connection, merchant: str, person: str, limit: int) -> list[RepaymentView]:
    """What a person paid or tried to pay through providers, newest first."""
    asked = {"merchant": merchant, "person": person, "limit": min(limit, LIST_MAX)}
    return [repayment_view(row) for row in connection.execute(_REPAYMENTS, asked)]


def failed_refunds(connection: Connection, merchant: str, person: str, repayment: str) -> list[str]:
    """What of a person's repayment was too much and could not be given back: the refunds' numbers."""
    asked = {"merchant": merchant, "person": person, "id": repayment}
    return list(connection.execute(_NOT_GIVEN, asked).scalars())


def read_reminders(connection: Connection, merchant: str, person: str, limit: int) -> list[ReminderView]:
    """What a person was reminded of, newest first."""
    asked = {"merchant": merchant, "person": person, "limit": min(limit, LIST_MAX)}
    rows = connection.execute(_REMINDERS, asked)
    return [ReminderView(row.created_ms, row.overdue, row.note, row.staff) for row in rows]


def debt_stands(connection: Connection, merchant: str, person: str, key: str, written_ms: int) -> bool:
    """Whether something is still owed of what a message about debts is about (domain/credit.debt_key)."""
    until_ms = written_ms if why_of_key(key) == REMINDED else day_bounds_ms(day_of_key(key))[1]
    asked = {"merchant": merchant, "person": person, "until": until_ms}
    return connection.execute(_STANDS, asked).first() is not None


def read_dunning(
    connection: Connection, merchant: str, now_ms: int, limit: int, after: tuple[int, str] = (0, "")
) -> list[DunningView]:
    """Who has something overdue, what is overdue the longest first; ``after`` is since when and who the last one is."""
    since, person = after
    asked = {"merchant": merchant, "now": now_ms, "limit": min(limit, LIST_MAX), "since": since, "person": person}
    rows = connection.execute(_DUNNING, asked)
    return [
        DunningView(
            row.person, row.name, int(row.owed), int(row.overdue), int(row.orders), row.since_ms,
            (now_ms - row.since_ms) // DAY_MS, max(row.by_hand or 0, row.through or 0) or None,
            int(row.reminders), row.reminded, row.note or "",
            bool(row.open),
        )
        for row in rows
    ]  # fmt: skip


def sells_to(connection: Connection, merchant: str, person: str) -> bool:
    """Whether a person may be offered to pay on account."""
    asked = {"merchant": merchant, "person": person, "after": "", "limit": 1}
    row = connection.execute(_LINES, asked).one_or_none()
    return row is not None and bool(row.open) and policy(connection, merchant).credit_sale
