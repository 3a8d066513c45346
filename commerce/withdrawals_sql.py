"""Taking commission out: asked for, approved, transferred by a provider or by hand, paid, or given back.

asked for      available ─▶ leaving             approved       the tax of the month is fixed
transferring   a provider was asked, perhaps in vain: only its word or the sweep's question ends this
paid           leaving ─▶ commission_paid (what the person got) and commission_tax (owed to the tax office)
               of a partner's share: share_paid, and in the books of a partner that is a merchant here what it got
rejected, failed   leaving ─▶ available

A withdrawal's id is the transfer's number at the provider, so a repeated request moves nothing twice. A notice that
comes again, or after the end, changes nothing.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, text

from commerce.accounts_sql import balance, move
from commerce.attribution import bindings_sql
from commerce.commission_sql import between, family_of
from commerce.commissions import DecideWithdrawal, SettleTransfer, StartTransfer, Withdraw, WithdrawalView
from commerce.domain.accounts import SHOP, Leg
from commerce.domain.withholding import month_begins_ms, withheld
from commerce.errors import NotFound, Refused
from commerce.ledger_batch_sql import Batch
from commerce.transfer import FAILED, PAID

log = logging.getLogger(__name__)

ASK_AGAIN_MS = 60_000
ASK_AGAIN_MS_MAX = 3_600_000
"""A transfer without an end is asked after a minute, then after twice the time, at last each hour."""
DUE_MAX = 200
"""Transfers asked about in one round."""

_INSERT = text(
    "INSERT INTO withdrawal (id, merchant, person, amount, state, created_ms, reason, share)"
    " VALUES (:id, :merchant, :person, :amount, 'requested', :now, '', :share)"
)
_UNDER_WAY = text(
    "SELECT id FROM withdrawal WHERE merchant = :merchant AND person = :person"
    " AND state IN ('requested', 'approved', 'transferring')"
)
_ONE = text("SELECT * FROM withdrawal WHERE id = :id AND merchant = :merchant")
_DECIDE = text(
    "UPDATE withdrawal SET state = :state, decided_ms = :now, decided_by = :by, number = :number, reason = :reason"
    " WHERE id = :id"
)
_APPROVE = text("UPDATE withdrawal SET approved_ms = :now, tax = :tax WHERE id = :id")
_IN_MONTH = text(
    "SELECT coalesce(sum(amount), 0) AS amount, coalesce(sum(tax), 0) AS tax FROM withdrawal WHERE merchant = :merchant"
    " AND person = :person AND approved_ms >= :since AND state IN ('approved', 'transferring', 'paid')"
)
_START = text(
    "UPDATE withdrawal SET state = 'transferring', provider = :provider, payee = :payee, tries = 0, ask_ms = :ask_ms,"
    " decided_ms = :now, decided_by = :by WHERE id = :id"
)
_STILL = text(
    "UPDATE withdrawal SET tries = tries + 1, ask_ms = :ask_ms, number = :number, reason = :reason, confirm = :confirm"
    " WHERE id = :id"
)
_END = text(
    "UPDATE withdrawal SET state = :state, decided_ms = :now, number = :number, reason = :reason, confirm = ''"
    " WHERE id = :id"
)
_DUE = text("SELECT * FROM withdrawal WHERE state = 'transferring' AND ask_ms <= :now ORDER BY ask_ms LIMIT :limit")
_BY_NUMBER = text("SELECT * FROM withdrawal WHERE id = :id AND provider = :provider")
_OPENIDS = text("SELECT value FROM identity WHERE merchant = :merchant AND kind = 'wechat' AND person = :person")


_PARTNER = text("SELECT counterpart FROM partner WHERE id = :id AND merchant = :merchant")


def withdraw(batch: Batch, command: Withdraw) -> WithdrawalView:
    """Ask for money, or for a partner's share; a key that came before gives its withdrawal.

    Raises NotFound, Refused (limit, already, insufficient).
    """
    merchant, person = command.merchant, command.person
    stored = batch.replay(merchant, person, "withdraw", command.key, command.hash)
    if stored is not None:
        return view(batch.run(_ONE, id=stored, merchant=merchant).one())
    share = batch.one(_PARTNER, id=person, merchant=merchant) is not None
    if not share and bindings_sql.distributor(batch.connection, merchant, person) is None:
        raise NotFound("no such distributor")
    least = 1 if share else bindings_sql.terms(batch.connection, merchant).withdraw_min
    if command.amount < least:
        raise Refused("limit", f"at least {least} 分 are withdrawn at a time")
    if batch.run(_UNDER_WAY, merchant=merchant, person=person).first() is not None:
        raise Refused("already", "a withdrawal is under way")
    family = _family(share)
    if balance(batch.connection, merchant, person, f"{family}_available") < command.amount:
        raise Refused("insufficient", "there is not that much available")
    identifier = batch.mint()
    row = {"id": identifier, "merchant": merchant, "person": person, "amount": command.amount}
    batch.run(_INSERT, share=share, now=batch.now_ms, **row)
    legs = between(person, f"{family}_available", person, f"{family}_leaving", command.amount)
    move(batch, merchant, "withdrawing", identifier, legs)
    batch.remember(merchant, person, "withdraw", command.key, command.hash, identifier)
    return view(batch.run(_ONE, id=identifier, merchant=merchant).one())


_STEPS = {"requested": ("approved", "rejected"), "approved": ("paid", "rejected")}


def _check_covered(batch: Batch, row: Row[Any]) -> None:
    """Raise Refused when refunds took back meanwhile what was asked out of: it would be paid and never come back."""
    left = balance(batch.connection, row.merchant, row.person, f"{_family(row.share)}_available")
    if left < 0:
        why = "refunds have taken back some of this since it was asked for: reject it, what is left can be asked for"
        raise Refused("insufficient", why, left=max(0, row.amount + left))


def decide_withdrawal(batch: Batch, command: DecideWithdrawal) -> WithdrawalView:
    """Approve, reject, or say that the transfer was made by hand.

    What was transferred by hand is gone, and is said to be whatever refunds took back meanwhile.
    Raises NotFound, Refused (already; insufficient: it would be approved although refunds took it back).
    """
    row = _found(batch, command.merchant, command.withdrawal)
    if command.decision not in _STEPS.get(row.state, ()):
        raise Refused("already", f"the withdrawal is {row.state}")
    if command.decision == "approved":
        _check_covered(batch, row)
    batch.run(
        _DECIDE,
        id=row.id,
        state=command.decision,
        by=command.by,
        number=command.number or row.number,
        reason=command.reason,
        now=batch.now_ms,
    )
    if command.decision == "approved":
        batch.run(_APPROVE, id=row.id, now=batch.now_ms, tax=_tax(batch, row))
    elif command.decision == "paid":
        _pay(batch, row)
    else:
        _give_back(batch, row, "rejected")
    return view(batch.run(_ONE, id=row.id, merchant=command.merchant).one())


def _tax(batch: Batch, row: Row[Any]) -> int:
    """What of it is kept back, after what the person was paid in this month."""
    if row.share:
        return 0  # a business pays its own
    rule = bindings_sql.terms(batch.connection, row.merchant).tax
    since = month_begins_ms(batch.now_ms)
    # The row itself is approved by now, without a time: it is not among those of the month yet.
    before = batch.run(_IN_MONTH, merchant=row.merchant, person=row.person, since=since).one()
    return withheld(rule, row.amount, int(before.amount), int(before.tax))


def start_transfer(batch: Batch, command: StartTransfer) -> WithdrawalView:
    """Note that a provider is about to be asked: from here on only what it says counts. Raises NotFound, Refused."""
    row = _found(batch, command.merchant, command.withdrawal)
    if row.state != "approved":
        raise Refused("already", f"the withdrawal is {row.state}")
    _check_covered(batch, row)
    batch.run(
        _START,
        id=row.id,
        provider=command.provider,
        payee=command.payee,
        by=command.by,
        ask_ms=batch.now_ms + ASK_AGAIN_MS,
        now=batch.now_ms,
    )
    return view(batch.run(_ONE, id=row.id, merchant=command.merchant).one())


def settle_transfer(batch: Batch, command: SettleTransfer) -> WithdrawalView:
    """What a provider says. Raises NotFound, Refused (amount_mismatch, merchant_mismatch)."""
    row = _found(batch, command.merchant, command.withdrawal)
    if row.provider != command.provider:
        raise Refused("merchant_mismatch", "this withdrawal was not transferred by that provider")
    if row.state != "transferring":
        if (row.state, command.kind) in (("paid", FAILED), ("failed", PAID)):
            log.error("withdrawal %s is %s, and its provider says %s: look at it", row.id, row.state, command.kind)
        return view(row)
    if command.amount != row.amount - row.tax:
        raise Refused("amount_mismatch", "the transfer is of another amount")
    number, reason = command.number or row.number, command.reason[:200]
    if command.kind in (PAID, FAILED):
        state = "paid" if command.kind == PAID else "failed"
        batch.run(_END, id=row.id, state=state, number=number, reason=reason, now=batch.now_ms)
        if state == "paid":
            _pay(batch, row)
        else:
            _give_back(batch, row, "failed")
    else:
        wait_ms = min(ASK_AGAIN_MS << min(row.tries, 10), ASK_AGAIN_MS_MAX)
        confirm = command.confirm or row.confirm
        batch.run(_STILL, id=row.id, ask_ms=batch.now_ms + wait_ms, number=number, reason=reason, confirm=confirm)
    return view(batch.run(_ONE, id=row.id, merchant=command.merchant).one())


def _pay(batch: Batch, row: Row[Any]) -> None:
    tax = int(batch.run(_ONE, id=row.id, merchant=row.merchant).one().tax)
    family = _family(row.share)
    legs = between(row.person, f"{family}_leaving", SHOP, f"{family}_paid", row.amount - tax)
    legs += between(row.person, "commission_leaving", SHOP, "commission_tax", tax)
    move(batch, row.merchant, "paid", row.id, legs)
    if row.share:
        other = batch.run(_PARTNER, id=row.person, merchant=row.merchant).one().counterpart
        if other is not None:
            legs = [Leg(SHOP, "share_income", -row.amount), Leg(SHOP, "share_received", row.amount)]
            move(batch, other, "shared", row.id, legs)


def _give_back(batch: Batch, row: Row[Any], why: str) -> None:
    family = _family(row.share)
    legs = between(row.person, f"{family}_leaving", row.person, f"{family}_available", row.amount)
    move(batch, row.merchant, why, row.id, legs)


def _family(share: bool) -> str:
    return family_of("share" if share else "")


def _found(batch: Batch, merchant: str, withdrawal: str) -> Row[Any]:
    row = batch.one(_ONE, id=withdrawal, merchant=merchant)
    if row is None:
        raise NotFound("no such withdrawal")
    return row


def view(row: Row[Any]) -> WithdrawalView:
    """A withdrawal as everybody sees it."""
    return WithdrawalView(
        withdrawal=row.id,
        person=row.person,
        amount=row.amount,
        state=row.state,
        created=row.created_ms,
        decided=row.decided_ms,
        number=row.number,
        reason=row.reason,
        tax=row.tax,
        provider=row.provider,
    )


# --- outside the ledger ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Outgoing:
    """What a transfer is about: ``amount`` less ``tax`` goes to ``payee`` at ``provider``."""

    id: str
    merchant: str
    person: str
    provider: str
    payee: str
    amount: int
    tax: int


def _outgoing(row: Row[Any]) -> Outgoing:
    return Outgoing(row.id, row.merchant, row.person, row.provider, row.payee, row.amount, row.tax)


def due(db: Connection, now_ms: int) -> list[Outgoing]:
    """Transfers without an end that are to be asked about."""
    return [_outgoing(row) for row in db.execute(_DUE, {"now": now_ms, "limit": DUE_MAX})]


def one(db: Connection, merchant: str, withdrawal: str) -> Outgoing:
    """One withdrawal. Raises NotFound."""
    row = db.execute(_ONE, {"id": withdrawal, "merchant": merchant}).one_or_none()
    if row is None:
        raise NotFound("no such withdrawal")
    return _outgoing(row)


def by_number(db: Connection, provider: str, number: str) -> Outgoing:
    """The withdrawal that a provider's notice is about. Raises NotFound."""
    row = db.execute(_BY_NUMBER, {"id": number, "provider": provider}).one_or_none()
    if row is None:
        raise NotFound("no such transfer")
    return _outgoing(row)


def openid(db: Connection, merchant: str, person: str, appid: str) -> str | None:
    """A person's openid in one app, if they have come by it."""
    for value in db.execute(_OPENIDS, {"merchant": merchant, "person": person}).scalars():
        app, _, found = str(value).partition(":")
        if app == appid and found:
            return found
    return None


HANDLERS: Mapping[type, Callable[[Batch, Any], Any]] = {
    Withdraw: withdraw,
    DecideWithdrawal: decide_withdrawal,
    StartTransfer: start_transfer,
    SettleTransfer: settle_transfer,
}
