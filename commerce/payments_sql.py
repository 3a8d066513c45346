"""Payments inside the ledger's transaction: start one, and settle a provider's notice exactly once.

The provider's callback and the customer's return both end in ``settle``. ``payment_event`` is unique by (provider,
number, kind) and is written first, so however often and in whatever order notices come, each acts once (promise P6).
"""

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Row, text

from commerce import credit_sql, wallet_sql
from commerce.credit_reads_sql import repayment_row, repayment_view
from commerce.credit_sql import END_REPAYMENT, check_credit, debt_paid, sell_on_account, tell_repayment
from commerce.custom_sql import begin_production
from commerce.deposits_sql import check_balance_time, deposit_paid, retake_balance
from commerce.domain.credit import ACCOUNT, DEBT
from commerce.domain.order import OrderStatus, PaymentEffect, payment_effect
from commerce.drops_sql import coupons_used
from commerce.errors import CommerceError, Invalid, NotFound, Refused
from commerce.events import OrderPaid
from commerce.holds_sql import Taking, holds_of_order, sell_holds, take_units
from commerce.ledger import ClosePayment, PaymentHeard, PaymentStarted, Settle, Settled, StartPayment
from commerce.ledger_batch_sql import Batch
from commerce.mall_sql import retake_exchange
from commerce.members_sql import order_paid
from commerce.memberships_sql import give_memberships
from commerce.orders_sql import find_order
from commerce.passes_sql import give_passes
from commerce.refunds_sql import book_late, hear
from commerce.requests_sql import retake_offer
from commerce.seats_sql import pay_seats
from commerce.signups_sql import pay_places, places_gone
from commerce.stations_sql import retake_place
from commerce.unheard_sql import heard
from commerce.views_sql import order_view

STORED = "stored"
"""The provider of payments of 0 分: of orders that stored value pays for."""
OF_REFUNDS = frozenset({"refunded", "refund_failed"})
"""Kinds of notices that tell of a refund."""

_STARTED = text("SELECT * FROM payment WHERE order_id = :order AND state = 'started'")
_START = text(
    "INSERT INTO payment (id, order_id, merchant, person, provider, method, amount, kind, state, created_ms)"
    " VALUES (:id, :order, :merchant, :person, :provider, :method, :amount, :kind, 'started', :now)"
)
_PAYMENT = text("SELECT * FROM payment WHERE id = :id AND provider = :provider")
_RECORD = text(
    "INSERT INTO payment_event (id, provider, number, kind, payment, amount, raw, received_ms, merchant)"
    " VALUES (:id, :provider, :number, :kind, :payment, :amount, :raw, :now, :merchant)"
    " ON CONFLICT (provider, number, kind) DO NOTHING"
)
_CLOSE = text("UPDATE payment SET state = 'closed' WHERE id = :id AND merchant = :merchant AND state = 'started'")
_SET_PAYMENT = text("UPDATE payment SET state = :state, number = :number, settled_ms = :now WHERE id = :id")
_PAY = text(
    "UPDATE orders SET status = 'paid', paid_ms = :now, cancelled_ms = NULL, reason = NULL"
    " WHERE id = :id AND status = :before"
)
_USE_COUPON = text("UPDATE coupon SET state = 'used' WHERE order_id = :order AND state = 'locked'")
_RELOCK_COUPON = text(
    "UPDATE coupon SET state = 'used', order_id = :order"
    " WHERE id = :id AND state = 'unused' AND expires_ms > :created AND merchant = :merchant AND person = :person"
)
_COUPONS = text("SELECT coupon FROM order_coupon WHERE order_id = :order ORDER BY n")
_LINES = text(
    "SELECT l.*, coalesce(h.outlet, '') AS outlet FROM order_line AS l LEFT JOIN hold AS h ON h.id = l.hold"
    " WHERE l.order_id = :order ORDER BY l.n"
)
_MOVE_LINE = text("UPDATE order_line SET hold = :hold WHERE order_id = :order AND n = :n")


def start_payment(batch: Batch, command: StartPayment) -> PaymentStarted:
    """Open the order's payment, or find the one that is open.

    Raises NotFound, Refused (gone, declined, expired), Conflict.
    """
    stored = batch.replay(command.merchant, command.person, "pay", command.key, command.hash)
    row = find_order(batch, command.merchant, command.order, command.person)
    view = order_view(batch.connection, row)
    if row.status == OrderStatus.CANCELLED:
        raise Refused("gone", "the order was cancelled", reason=row.reason)
    if row.status != OrderStatus.PENDING:
        return PaymentStarted(view, None, row.expires_ms)
    current = batch.one(_STARTED, order=row.id)
    if current is not None:
        # Asked again, perhaps after a crash between us and the provider: the same number, so it can be paid but once.
        # With another provider or method, the caller closes it there first.
        return PaymentStarted(view, current.id, row.expires_ms, current.provider, current.method)
    if stored is not None:
        raise Refused("declined", "this try to pay was declined; try again with a new key")
    if row.expires_ms <= batch.now_ms:
        raise Refused("expired", "the time to pay is over")
    check_balance_time(batch, row)
    if command.provider == ACCOUNT:
        check_credit(batch, row)
        if places_gone(batch, row):
            raise Refused("gone", "the place that this order pays for is gone")
    due = row.amount - row.stored
    payment = open_payment(
        batch, row.merchant, row.person, row.id, due, command.provider if due else STORED, command.method if due else ""
    )
    batch.remember(command.merchant, command.person, "pay", command.key, command.hash, row.id)
    if not due or command.provider == ACCOUNT:
        # Stored value pays for all of it, or the buyer's account: our own word settles it by the same way.
        number = Settle(STORED if not due else ACCOUNT, payment, "paid", payment, row.merchant, due, "")
        settle(batch, number)
        paid = order_view(batch.connection, find_order(batch, row.merchant, row.id))
        return PaymentStarted(paid, None, row.expires_ms)
    return PaymentStarted(view, payment, row.expires_ms, command.provider, command.method)


def open_payment(
    batch: Batch, merchant: str, person: str, order: str, amount: int, provider: str, method: str, kind: str = "order"
) -> str:
    """Write a payment of ``amount`` 分 that its provider is to be asked for; its number there."""
    payment = batch.mint()
    batch.run(
        _START,
        id=payment,
        order=order,
        merchant=merchant,
        person=person,
        provider=provider,
        method=method,
        amount=amount,
        kind=kind,
        now=batch.now_ms,
    )
    return payment


def close_payment(batch: Batch, command: ClosePayment) -> bool:
    """started → closed, after the provider closed it; whether it was. Money that comes nevertheless still acts."""
    return bool(batch.run(_CLOSE, id=command.payment, merchant=command.merchant).rowcount)


def settle(batch: Batch, command: Settle) -> Settled:
    """Let a checked notice act once.

    Raises NotFound for a payment or refund that is not known (the provider repeats), Refused (amount_mismatch,
    merchant_mismatch); nothing is kept then, so that the right notice can still come.
    """
    payment = batch.one(_PAYMENT, id=command.payment, provider=command.provider)
    if payment is None:
        raise NotFound("no such payment")
    fresh = batch.run(
        _RECORD,
        id=batch.mint(),
        provider=command.provider,
        number=command.number,
        kind=command.kind,
        payment=command.payment,
        amount=command.amount,
        raw=command.raw,
        now=batch.now_ms,
        merchant=payment.merchant,
    ).rowcount
    if payment.merchant != command.merchant:
        raise Refused("merchant_mismatch", "the payment is another merchant's")
    if payment.amount != command.amount and command.kind not in OF_REFUNDS:
        raise Refused("amount_mismatch", "the amount is not the order's", expected=payment.amount)
    effect = "repeat"
    if fresh:
        effect = _act(batch, command, payment, _bought(batch, payment))
    row = _bought(batch, payment)
    if payment.kind == DEBT:
        return Settled(effect, None, repayment_view(row))
    return Settled(effect, order_view(batch.connection, row))


def _bought(batch: Batch, payment: Row[Any]) -> Row[Any]:
    """What a payment is for: an order, or a repayment."""
    if payment.kind != DEBT:
        return find_order(batch, payment.merchant, payment.order_id)
    row = repayment_row(batch.connection, payment.order_id)
    if row is None:
        raise NotFound("no such repayment")
    return row


def _act(batch: Batch, command: Settle, payment: Row[Any], row: Row[Any]) -> str:
    if command.kind == "paid":
        if payment.state in ("settled", "refund_due", "refunded"):
            # Another transaction number for a payment that has had its effect: the money of this one goes back, too.
            return "repeat" if payment.number == command.number else _give_back(batch, payment, row, "paid twice")
        if payment.state == "closed":
            heard(batch, PaymentHeard(payment.merchant, payment.id))
        return (_debt_paid if payment.kind == DEBT else _money_came)(batch, command, payment, row)
    if command.kind == "declined":
        if payment.state == "started":
            _set(batch, payment, "declined", None)
            if payment.kind == DEBT:
                batch.run(END_REPAYMENT, id=row.id)
        return "declined"
    if command.kind in OF_REFUNDS:
        return hear(batch, command, payment)
    if command.kind == "noted":
        return "noted"
    raise Invalid(f"unknown kind of notice {command.kind!r}")


def _set(batch: Batch, payment: Row[Any], state: str, number: str | None) -> None:
    batch.run(_SET_PAYMENT, id=payment.id, state=state, number=number, now=batch.now_ms)


def _money_came(batch: Batch, command: Settle, payment: Row[Any], row: Row[Any]) -> str:
    effect = payment_effect(OrderStatus(row.status))
    if places_gone(batch, row):
        effect = PaymentEffect.REFUND
    if effect is PaymentEffect.RETAKE:
        try:
            with batch.connection.begin_nested():
                _retake(batch, row)
        except CommerceError:
            # The units or the coupon are gone: the customer gets the money back.
            effect = PaymentEffect.REFUND
        else:
            row = find_order(batch, row.merchant, row.id)
    if effect is PaymentEffect.REFUND:
        _set(batch, payment, "refund_due", command.number)
        return _give_back(batch, payment, row, "late")
    if not deposit_paid(batch, row):
        sell_holds(batch, holds_of_order(batch, row.id))
    pay_seats(batch, row.id)
    batch.run(_USE_COUPON, order=row.id)
    coupons_used(batch, row)
    wallet_sql.spend(batch, row)
    batch.run(_PAY, id=row.id, now=batch.now_ms, before=row.status)
    _set(batch, payment, "settled", command.number)
    row = find_order(batch, row.merchant, row.id)
    if payment.provider == ACCOUNT:
        sell_on_account(batch, row, payment.amount)
    order_paid(batch, row, payment.id)
    give_passes(batch, row)
    give_memberships(batch, row)
    pay_places(batch, row)
    begin_production(batch, row)
    view = order_view(batch.connection, row)
    batch.emit(OrderPaid(batch.mint(), row.merchant, row.room, batch.now_ms, row.person, view))
    return "paid"


def _debt_paid(batch: Batch, command: Settle, payment: Row[Any], row: Row[Any]) -> str:
    """Money came for what is owed on account: what is owed no longer goes back."""
    over = debt_paid(batch, row)
    _set(batch, payment, "refund_due" if over == payment.amount else "settled", command.number)
    if over:
        book_late(batch, row, payment, over, "more than was owed")
    tell_repayment(batch, row.id)
    return "refund" if over == payment.amount else "paid"


def _give_back(batch: Batch, payment: Row[Any], row: Row[Any], reason: str) -> str:
    book_late(batch, row, payment, payment.amount, reason)
    return "refund"


def _retake(batch: Batch, row: Row[Any]) -> None:
    """Take a cancelled order's units and coupon anew, at the price that was paid. Raises CommerceError when gone."""
    for line in batch.run(_LINES, order=row.id).all():
        taking = Taking(row.merchant, row.person, line.sale, line.sku, line.quantity, line.price, line.outlet)
        hold = take_units(batch, taking, row.id, row.expires_ms)
        batch.run(_MOVE_LINE, hold=hold, order=row.id, n=line.n)
    retake_balance(batch, row)
    retake_offer(batch, row.id)
    retake_place(batch, row.id)
    retake_exchange(batch, row)
    wallet_sql.hold_again(batch, row)
    for coupon in batch.run(_COUPONS, order=row.id).scalars().all():
        parameters = {"id": coupon, "order": row.id, "merchant": row.merchant, "person": row.person}
        if not batch.run(_RELOCK_COUPON, created=row.created_ms, **parameters).rowcount:
            raise Refused("coupon_invalid", "the coupon was used for another order")


HANDLERS: Mapping[type, Callable[[Batch, Any], Any]] = {
    **credit_sql.HANDLERS,
    StartPayment: start_payment,
    ClosePayment: close_payment,
    Settle: settle,
    PaymentHeard: heard,
}
