"""Accounts of sale on account, read for clients: balances, ages, debts, statements."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, text

from commerce.compliance_sql import policy
from commerce.domain.credit import BUCKETS, bucket
from commerce.ledger_credit import CreditEntry, CreditView, DebtView

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
    "SELECT * FROM receivable WHERE merchant = :merchant AND person = :person ORDER BY order_id DESC LIMIT :limit"
)
_ENTRIES = text(
    "SELECT transfer, min(created_ms) AS at_ms, min(why) AS why, min(ref) AS ref, CAST(sum(amount) AS bigint) AS amount"
    " FROM entry WHERE merchant = :merchant AND owner = :person AND kind IN ('credit_owed', 'credit_spare')"
    " GROUP BY transfer ORDER BY 2, 1 LIMIT :limit"
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
    """What a person's orders owe and owed, newest first."""
    rows = connection.execute(_DEBTS, {"merchant": merchant, "person": person, "limit": min(limit, LIST_MAX)})
    return [
        DebtView(
            row.order_id, row.amount, row.repaid, row.returned, row.lost,
            row.amount - row.repaid - row.returned - row.lost, row.due_ms, row.created_ms, row.closed_ms,
        )
        for row in rows
    ]  # fmt: skip


def read_statement(connection: Connection, merchant: str, person: str) -> list[CreditEntry]:
    """All that made a person's account what it is, oldest first, with what was owed after each."""
    owed, lines = 0, []
    rows = connection.execute(_ENTRIES, {"merchant": merchant, "person": person, "limit": ENTRIES_MAX})
    for row in rows:
        owed += int(row.amount)
        lines.append(CreditEntry(row.at_ms, row.why, row.ref, int(row.amount), owed))
    return lines


def sells_to(connection: Connection, merchant: str, person: str) -> bool:
    """Whether a person may be offered to pay on account."""
    asked = {"merchant": merchant, "person": person, "after": "", "limit": 1}
    row = connection.execute(_LINES, asked).one_or_none()
    return row is not None and bool(row.open) and policy(connection, merchant).credit_sale
