"""Repayments through providers inside the ledger's transaction: begun, given up, lapsed.

A repayment is a payment that buys nothing: it holds no goods, so nothing depends on when it comes. It is asked for at
one provider for some time; what comes afterwards lowers the debts all the same (credit_sql.debt_paid), and what is more
than is owed by then goes back to the payer. A person has one open at a time: two codes would be paid twice.
"""

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Row, text

from commerce.credit_reads_sql import open_repayment, repayment_row, repayment_view
from commerce.credit_sql import END_REPAYMENT, owed_for
from commerce.domain.credit import DEBT, REPAY_MS, RepaymentView
from commerce.errors import NotFound, Refused
from commerce.ledger_batch_sql import Batch
from commerce.ledger_credit import EndRepayment, RepaymentStarted, StartRepayment
from commerce.payments_sql import open_payment
from commerce.unheard_sql import expect_word

ROUTE = "repay"

_INSERT = text(
    "INSERT INTO repayment (id, merchant, person, amount, order_id, state, created_ms, expires_ms)"
    " VALUES (:id, :merchant, :person, :amount, :order, 'open', :now, :expires)"
)
_CLOSE = text("UPDATE payment SET state = 'closed' WHERE order_id = :id AND state = 'started'")
_LAPSED = text("SELECT id FROM repayment WHERE state = 'open' AND expires_ms <= :now ORDER BY expires_ms LIMIT :limit")


def start_repayment(batch: Batch, command: StartRepayment) -> RepaymentStarted:
    """Open a repayment and its payment, or find the one that this key opened, or another one that is open.

    Raises Refused (already: nothing is owed; over_payment: less is; declined, expired), Conflict.
    """
    merchant, person = command.merchant, command.person
    stored = batch.replay(merchant, person, ROUTE, command.key, command.hash)
    if stored is not None:
        return _again(_found(batch, merchant, stored))
    row = open_repayment(batch.connection, merchant, person)
    if row is not None:
        return RepaymentStarted(repayment_view(row), row.payment, row.method, other=True)
    left = sum(debt.left for debt in owed_for(batch, merchant, person, command.order))
    if not left:
        raise Refused("already", "nothing is owed here")
    if command.amount > left:
        raise Refused("over_payment", "that is more than is owed", left=left)
    repayment = batch.mint()
    batch.run(
        _INSERT,
        id=repayment,
        merchant=merchant,
        person=person,
        amount=command.amount,
        order=command.order,
        now=batch.now_ms,
        expires=batch.now_ms + REPAY_MS,
    )
    payment = open_payment(
        batch, merchant, person, repayment, command.amount, command.provider, command.method, kind=DEBT
    )
    batch.remember(merchant, person, ROUTE, command.key, command.hash, repayment)
    return RepaymentStarted(repayment_view(_found(batch, merchant, repayment)), payment, command.method)


def _again(row: Row[Any]) -> RepaymentStarted:
    """What the key of a repayment answers when it comes again: perhaps its provider was never reached."""
    if row.state == "open":
        return RepaymentStarted(repayment_view(row), row.payment, row.method)
    if row.state == "ended" and row.payment_state == "declined":
        raise Refused("declined", "this try to pay was declined; try again with a new key")
    if row.state == "ended":
        raise Refused("expired", "the time to pay is over; try again with a new key")
    return RepaymentStarted(repayment_view(row), None, row.method)


def end_repayment(batch: Batch, command: EndRepayment) -> RepaymentView:
    """Give up a repayment whose provider was told to close it. Raises NotFound.

    Whoever began it may have reached the provider only afterwards: it is asked about again.
    """
    row = _found(batch, command.merchant, command.repayment)
    _end(batch, row.id)
    return repayment_view(_found(batch, command.merchant, row.id))


def lapse_repayments(batch: Batch, limit: int) -> bool:
    """Give up those whose time is over; their providers are asked until they say how it ended. Whether more are."""
    lapsed = batch.run(_LAPSED, now=batch.now_ms, limit=limit).scalars().all()
    for repayment in lapsed:
        _end(batch, repayment)
    return len(lapsed) >= limit


def _end(batch: Batch, repayment: str) -> None:
    expect_word(batch, repayment)
    batch.run(_CLOSE, id=repayment)
    batch.run(END_REPAYMENT, id=repayment)


def _found(batch: Batch, merchant: str, repayment: str) -> Row[Any]:
    row = repayment_row(batch.connection, repayment)
    if row is None or row.merchant != merchant:
        raise NotFound("no such repayment")
    return row


HANDLERS: Mapping[type, Callable[[Batch, Any], Any]] = {StartRepayment: start_repayment, EndRepayment: end_repayment}
