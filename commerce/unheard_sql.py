"""Payments of ended orders, until their provider has said how they ended (promise P4).

An order that ends with an open payment writes a row in its own transaction; the row goes when the provider was asked
and had closed the payment, or its money came. So a provider that cannot be reached, and a process that dies between the
commit and the call, only put the question off: each sweep takes what is due, and sets the next time as it does.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, text

from commerce.domain.refund import back_off_ms
from commerce.ledger import Backlog, PaymentHeard
from commerce.ledger_batch_sql import Batch

ASK_FIRST_MS = 30_000
"""The order's event asks at once, and a provider's answer is waited for ten seconds: later, and nobody is asking."""
ASK_MOST_MS = 3_600_000
TRIES_MAX = 175
"""About a week, as long as the providers' daily files are fetched by themselves: then it is left to people."""

# Each payment of an order is opened once and never again, so it is here once.
_EXPECT = text(
    "INSERT INTO unheard_payment (payment, merchant, provider, tries, since_ms, due_ms)"
    " SELECT id, merchant, provider, 0, :now, :due FROM payment WHERE order_id = :order AND state = 'started'"
)
_HEARD = text("DELETE FROM unheard_payment WHERE payment = :payment AND merchant = :merchant")
_DUE = text(
    "SELECT payment, tries FROM unheard_payment WHERE provider = :provider AND due_ms <= :now ORDER BY due_ms"
    " LIMIT :limit"
)
_ASKED = text("UPDATE unheard_payment SET tries = tries + 1, due_ms = :due WHERE payment = :payment")
_BACKLOG = text("SELECT count(due_ms) AS waiting, count(*) - count(due_ms) AS given_up FROM unheard_payment")
_ORDER = text(
    "SELECT p.order_id FROM unheard_payment AS u JOIN payment AS p ON p.id = u.payment"
    " WHERE u.payment = :payment AND u.merchant = :merchant"
)
_LIST = text(
    "SELECT u.*, p.order_id, p.amount FROM unheard_payment AS u JOIN payment AS p ON p.id = u.payment"
    " WHERE u.merchant = :merchant AND u.payment > :after ORDER BY u.payment LIMIT :limit"
)


@dataclass(frozen=True, slots=True)
class Unheard:
    """A payment of ``amount`` 分 of an order that ended at ``since_ms``; asked ``tries`` times, next at ``next_ms``.

    Without a ``next_ms`` it is not asked any more by itself.
    """

    payment: str
    order: str
    provider: str
    amount: int
    since_ms: int
    tries: int
    next_ms: int | None


def expect_word(batch: Batch, order: str) -> None:
    """The order ends: its open payment is to be asked about until the provider answers."""
    batch.run(_EXPECT, order=order, now=batch.now_ms, due=batch.now_ms + ASK_FIRST_MS)


def heard(batch: Batch, command: PaymentHeard) -> bool:
    """The provider has said how it ended; whether that was waited for."""
    return bool(batch.run(_HEARD, payment=command.payment, merchant=command.merchant).rowcount)


def take_unheard(batch: Batch, providers: Iterable[str], limit: int) -> tuple[str, ...]:
    """Payments to be asked about now, each later than the time before."""
    due = [row for name in providers for row in batch.run(_DUE, provider=name, now=batch.now_ms, limit=limit).all()]
    for row in due:
        last = row.tries + 1 >= TRIES_MAX
        later_ms = back_off_ms(row.tries + 1, ASK_FIRST_MS, ASK_MOST_MS)
        batch.run(_ASKED, payment=row.payment, due=None if last else batch.now_ms + later_ms)
    return tuple(row.payment for row in due)


def count_unheard(batch: Batch) -> Backlog:
    """How many wait to be asked about, and how many are left to people."""
    row = batch.one(_BACKLOG)
    assert row is not None
    return Backlog(int(row.waiting), int(row.given_up))


def list_unheard(connection: Connection, merchant: str, after: str, limit: int) -> list[Unheard]:
    """A merchant's, in the order of their numbers, beginning after one."""
    rows = connection.execute(_LIST, {"merchant": merchant, "after": after, "limit": limit})
    return [
        Unheard(row.payment, row.order_id, row.provider, row.amount, row.since_ms, row.tries, row.due_ms)
        for row in rows
    ]


def unheard_order(connection: Connection, merchant: str, payment: str) -> str | None:
    """The order of a merchant's payment whose end is still waited for; None for any other payment."""
    found: str | None = connection.execute(_ORDER, {"payment": payment, "merchant": merchant}).scalar()
    return found
