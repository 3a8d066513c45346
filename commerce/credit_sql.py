"""Sale on account inside the ledger's transaction: limits, debts of orders, what lowers them.

An order is paid by the provider ``account`` on our own word; its debt stands here. Entries (all in 分):

    sold        shop's credit_sold ─▶ credit_owed           returned    credit_owed ─▶ credit_sold   (a refund)
    repaid      credit_owed ─▶ credit_received              lost        credit_owed ─▶ credit_lost
    repaid      credit_owed ─▶ credit_cleared   (through a provider: the money stands at 1012)
    spare       what a refund gives beyond the debts: at or below 0, lowers the next order's debt or is given back
"""

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Row, text

from commerce.accounts_sql import balance, balances, move
from commerce.commission_sql import lost as commission_lost
from commerce.compliance_sql import policy
from commerce.credit_notice_sql import DEADLINE, tell_reminded
from commerce.credit_reads_sql import repayment_row, repayment_view
from commerce.deadlines_sql import arm
from commerce.domain.accounts import SHOP, Leg
from commerce.domain.credit import ACCOUNT, CreditTerms, Debt, notice_ms, refuse_credit, shared
from commerce.domain.day import DAY_MS
from commerce.errors import NotFound, Refused
from commerce.events import RepaymentChanged
from commerce.ledger_batch_sql import Batch
from commerce.ledger_credit import BookCredit, RemindDebtor, SetCreditLine

OWED, SPARE = "credit_owed", "credit_spare"

_LINE = text("SELECT * FROM credit_line WHERE merchant = :merchant AND person = :person")
_PERSON = text("SELECT 1 FROM person WHERE id = :person AND merchant = :merchant")
_SET = text(
    "INSERT INTO credit_line (merchant, person, name, most, days, open, staff, updated_ms)"
    " VALUES (:merchant, :person, :name, :most, :days, :open, :staff, :now) ON CONFLICT (merchant, person)"
    " DO UPDATE SET name = excluded.name, most = excluded.most, days = excluded.days, open = excluded.open,"
    " staff = excluded.staff, updated_ms = excluded.updated_ms"
)
_OPEN = text(
    "SELECT order_id, amount - repaid - returned - lost AS left_fen, due_ms FROM receivable"
    " WHERE merchant = :merchant AND person = :person AND closed_ms IS NULL ORDER BY due_ms, order_id"
)
_ONE = text("SELECT * FROM receivable WHERE order_id = :order")
_INSERT = text(
    "INSERT INTO receivable (order_id, merchant, person, amount, due_ms, created_ms)"
    " VALUES (:order, :merchant, :person, :amount, :due, :now)"
)
_LOWER = {
    column: text(
        f"UPDATE receivable SET {column} = {column} + :amount,"  # noqa: S608 - constants
        " closed_ms = CASE WHEN repaid + returned + lost + :amount = amount THEN :now ELSE NULL END"
        " WHERE order_id = :order"
    )
    for column in ("repaid", "returned", "lost")
}
# A debt that was given up is found again in the goods that came back.
_FOUND = text("UPDATE receivable SET lost = lost - :amount, returned = returned + :amount WHERE order_id = :order")
_BOOK = text(
    "INSERT INTO credit_booking (id, merchant, person, kind, amount, order_id, staff, reference, reason, created_ms)"
    " VALUES (:id, :merchant, :person, :kind, :amount, :order, :staff, :reference, :reason, :now)"
)
_REPAID = text("UPDATE repayment SET state = 'paid', applied = :applied, paid_ms = :now WHERE id = :id")
END_REPAYMENT = text("UPDATE repayment SET state = 'ended' WHERE id = :id AND state = 'open'")
"""A repayment is tried no more; money that comes for it all the same still counts."""
_REMIND = text(
    "INSERT INTO credit_reminder (id, merchant, person, overdue, staff, note, created_ms)"
    " VALUES (:id, :merchant, :person, :overdue, :staff, :note, :now)"
)
_NOTICE = text(
    "INSERT INTO payment_event (id, provider, number, kind, payment, amount, raw, received_ms, merchant)"
    " VALUES (:id, :provider, :number, 'refunded', :payment, :amount, '', :now, :merchant)"
)
_DONE = text("UPDATE refund SET state = 'done', number = :id, done_ms = :now WHERE id = :id")


def set_line(batch: Batch, command: SetCreditLine) -> bool:
    """Write a limit. Raises NotFound, Refused (closed: the shop does not sell on account)."""
    if batch.one(_PERSON, person=command.person, merchant=command.merchant) is None:
        raise NotFound("no such person")
    terms = command.terms
    if terms.open:
        _require_on(batch, command.merchant)
    batch.run(
        _SET,
        merchant=command.merchant,
        person=command.person,
        name=terms.name,
        most=terms.most,
        days=terms.days,
        open=int(terms.open),
        staff=command.staff,
        now=batch.now_ms,
    )
    return True


def line_of(batch: Batch, merchant: str, person: str) -> CreditTerms | None:
    """A person's terms."""
    row = batch.one(_LINE, merchant=merchant, person=person)
    return None if row is None else CreditTerms(row.most, row.days, row.name, bool(row.open))


def check_credit(batch: Batch, row: Row[Any]) -> None:
    """Raise Refused when an order cannot be paid on account: closed, no_credit, overdue, insufficient."""
    _require_on(batch, row.merchant)
    if row.kind != "goods" or row.presale == row.id:
        raise Refused("no_credit", "stored value and deposits are paid with money")
    terms = line_of(batch, row.merchant, row.person)
    debts = _debts(batch, row.merchant, row.person)
    has = balances(batch.connection, row.merchant, row.person, (OWED, SPARE))
    owed, amount = has[OWED] + has[SPARE], row.amount - row.stored
    oldest = debts[0].due_ms if debts else None
    code = refuse_credit(terms, owed, oldest, amount, batch.now_ms)
    if code is not None:
        left = max(0, terms.most - owed) if terms is not None else 0
        raise Refused(code, _WHY[code], left=left)


_WHY = {
    "no_credit": "this shop does not sell to you on account",
    "overdue": "something is overdue: pay that first",
    "insufficient": "that is more than may be owed",
}


def sell_on_account(batch: Batch, row: Row[Any], amount: int) -> None:
    """An order was paid on account: it owes ``amount``, less what the shop owes its buyer."""
    terms = line_of(batch, row.merchant, row.person)
    assert terms is not None
    due_ms = batch.now_ms + terms.days * DAY_MS
    batch.run(
        _INSERT,
        order=row.id,
        merchant=row.merchant,
        person=row.person,
        amount=amount,
        due=due_ms,
        now=batch.now_ms,
    )
    arm(batch, DEADLINE, row.id, notice_ms(batch.now_ms, due_ms))
    spare = min(amount, -balance(batch.connection, row.merchant, row.person, SPARE))
    legs = [Leg(SHOP, "credit_sold", -amount), Leg(row.person, OWED, amount - spare), Leg(row.person, SPARE, spare)]
    move(batch, row.merchant, "sold", row.id, legs)
    if spare:
        _lower(batch, row.id, "repaid", spare)


def refund_on_account(batch: Batch, row: Row[Any], refund: str, payment: str, amount: int) -> None:
    """Take a refund off the order's debt, then off what was given up of it, then off others; the rest is spare.

    No provider is asked: our own word settles it.
    """
    batch.run(
        _NOTICE,
        id=batch.mint(),
        provider=ACCOUNT,
        number=refund,
        payment=payment,
        amount=amount,
        now=batch.now_ms,
        merchant=row.merchant,
    )
    batch.run(_DONE, id=refund, now=batch.now_ms)
    debt = batch.one(_ONE, order=row.id)
    assert debt is not None
    own = min(amount, debt.amount - debt.repaid - debt.returned - debt.lost)
    if own:
        _lower(batch, row.id, "returned", own)
    found = min(amount - own, debt.lost)
    if found:
        batch.run(_FOUND, order=row.id, amount=found)
    others = shared(_debts(batch, row.merchant, row.person), amount - own - found)
    for order, part in others:
        _lower(batch, order, "repaid", part)
    taken = own + sum(part for _, part in others)
    legs = [Leg(SHOP, "credit_sold", amount), Leg(SHOP, "credit_lost", -found), Leg(row.person, OWED, -taken)]
    legs.append(Leg(row.person, SPARE, -(amount - found - taken)))
    move(batch, row.merchant, "returned", refund, legs)


def owed_for(batch: Batch, merchant: str, person: str, order: str | None) -> list[Debt]:
    """A person's open debts, or the one of an order."""
    return [debt for debt in _debts(batch, merchant, person) if order is None or debt.order == order]


def debt_paid(batch: Batch, row: Row[Any]) -> int:
    """Money of a repayment came: it lowers what is owed now; the 分 that are more than that.

    However late it comes, it is for what it was meant for: a debt that is gone by then (it was paid otherwise, given up
    or refunded) leaves all of it over.
    """
    taken = shared(owed_for(batch, row.merchant, row.person, row.order_id), row.amount)
    applied = sum(part for _, part in taken)
    for order, part in taken:
        _lower(batch, order, "repaid", part)
    if applied:
        legs = [Leg(row.person, OWED, -applied), Leg(SHOP, "credit_cleared", applied)]
        move(batch, row.merchant, "repaid", row.id, legs)
    batch.run(_REPAID, id=row.id, applied=applied, now=batch.now_ms)
    return int(row.amount - applied)


def tell_repayment(batch: Batch, repayment: str) -> None:
    """Tell of a repayment as it is now."""
    row = repayment_row(batch.connection, repayment)
    assert row is not None
    common = (batch.mint(), row.merchant, row.room, batch.now_ms)
    batch.emit(RepaymentChanged(*common, row.person, repayment_view(row)))


def remind(batch: Batch, command: RemindDebtor) -> str:
    """Write that a debtor was asked for what is overdue. Raises Refused (already: nothing is), Conflict."""
    stored = batch.replay(command.merchant, command.staff, "credit.remind", command.key, command.hash)
    if stored is not None:
        return stored
    debts = _debts(batch, command.merchant, command.person)
    overdue = sum(debt.left for debt in debts if debt.due_ms < batch.now_ms)
    if not overdue:
        raise Refused("already", "nothing of this person's is overdue")
    ref = batch.mint()
    batch.run(
        _REMIND,
        id=ref,
        merchant=command.merchant,
        person=command.person,
        overdue=overdue,
        staff=command.staff,
        note=command.note,
        now=batch.now_ms,
    )
    tell_reminded(batch, command.merchant, command.person, debts[0].order, overdue)
    batch.remember(command.merchant, command.staff, "credit.remind", command.key, command.hash, ref)
    return ref


def book_credit(batch: Batch, command: BookCredit) -> str:
    """Write what staff say. Raises NotFound, Conflict, Refused (already, over_payment, insufficient)."""
    stored = batch.replay(command.merchant, command.staff, "credit", command.key, command.hash)
    if stored is not None:
        return stored
    if batch.one(_LINE, merchant=command.merchant, person=command.person) is None:
        raise NotFound("this person has no account here")
    amount, ref = command.amount, batch.mint()
    if command.kind == "given":
        if amount > -balance(batch.connection, command.merchant, command.person, SPARE):
            raise Refused("insufficient", "the shop does not owe that much")
        legs = [Leg(SHOP, "credit_received", -amount), Leg(command.person, SPARE, amount)]
    else:
        amount = _take(batch, command)
        other = "credit_received" if command.kind == "repaid" else "credit_lost"
        legs = [Leg(command.person, OWED, -amount), Leg(SHOP, other, amount)]
    batch.run(
        _BOOK,
        id=ref,
        merchant=command.merchant,
        person=command.person,
        kind=command.kind,
        amount=amount,
        order=command.order,
        staff=command.staff,
        reference=command.reference,
        reason=command.reason,
        now=batch.now_ms,
    )
    move(batch, command.merchant, command.kind, ref, legs)
    batch.remember(command.merchant, command.staff, "credit", command.key, command.hash, ref)
    return ref


def _take(batch: Batch, command: BookCredit) -> int:
    """Lower the debts; how much that was."""
    debts = _debts(batch, command.merchant, command.person)
    if command.order is not None:
        debts = [debt for debt in debts if debt.order == command.order]
        if not debts:
            raise Refused("already", "this order owes nothing", order=command.order)
    left = sum(debt.left for debt in debts)
    amount = left if command.kind == "lost" else command.amount
    if amount > left:
        raise Refused("over_payment", "that is more than is owed", left=left)
    for order, part in shared(debts, amount):
        _lower(batch, order, command.kind, part)
        if command.kind == "lost":
            commission_lost(batch, command.merchant, order)
    return amount


def _debts(batch: Batch, merchant: str, person: str) -> list[Debt]:
    rows = batch.run(_OPEN, merchant=merchant, person=person)
    return [Debt(row.order_id, int(row.left_fen), row.due_ms) for row in rows]


def _lower(batch: Batch, order: str, column: str, amount: int) -> None:
    batch.run(_LOWER[column], order=order, amount=amount, now=batch.now_ms)


def _require_on(batch: Batch, merchant: str) -> None:
    if not policy(batch.connection, merchant).credit_sale:
        raise Refused("closed", "this shop does not sell on account: see credit_sale of its policy")


HANDLERS: Mapping[type, Callable[[Batch, Any], Any]] = {
    SetCreditLine: set_line,
    BookCredit: book_credit,
    RemindDebtor: remind,
}
