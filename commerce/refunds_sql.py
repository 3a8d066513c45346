"""Refunds inside the ledger's transaction: book one, hear of it, ask again, give up.

A refund is booked whole: money (``orders.refunded``, capped by a CHECK), units, coupon, status, request key and the
event that sends the shop to the provider, all in one transaction (promise P7). Only then is the provider asked, under
the refund's own number, until its notice settles it exactly once: done, or failed (promise P6). A failed refund stays
booked, as the money is still owed; staff ask for it again.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from sqlalchemy import Row, text

from commerce import partner_bearing_sql, wallet_sql
from commerce.aftersale_sql import OTHERWISE, requests_overtaken
from commerce.coupons_taken_sql import gift_refunded
from commerce.credit_reads_sql import repayment_row
from commerce.credit_sql import refund_on_account, tell_repayment
from commerce.custom_sql import end_production
from commerce.deposits_sql import balance_ended, give_up, open_balance
from commerce.domain.credit import ACCOUNT
from commerce.domain.freight import freight_back
from commerce.domain.money import portion
from commerce.domain.order import STATUS_AFTER, Fulfilment, OrderStatus, Step, refuse_step
from commerce.domain.refund import TRIES_MAX, PaidLine, Refundable, RefundPart, back_off_ms, decide_refund
from commerce.drops_sql import coupons_return
from commerce.errors import Invalid, NotFound, Refused
from commerce.events import OrderRefunded, OrderView, RefundDue, RefundView
from commerce.freight_sql import freight_paid
from commerce.ledger import FailRefund, Refund, RetryRefund, Settle
from commerce.ledger_batch_sql import Batch
from commerce.members_sql import order_refunded
from commerce.memberships_sql import end_memberships, membership_skus
from commerce.orders_sql import end_order, find_order
from commerce.passes_sql import end_passes, pass_skus
from commerce.payment import RefundRequest
from commerce.seats_sql import refund_seats
from commerce.signups_sql import end_places
from commerce.stations_sql import give_place
from commerce.stock_sql import move_stock
from commerce.views_sql import order_view, refund_view

_LINES = text(
    "SELECT l.n, l.sku, l.quantity, l.price, l.discount, coalesce(sum(r.quantity), 0) AS refunded FROM order_line AS l"
    " LEFT JOIN refund_line AS r ON r.order_id = l.order_id AND r.n = l.n WHERE l.order_id = :order"
    " GROUP BY l.n, l.sku, l.quantity, l.price, l.discount ORDER BY l.n"
)
_PLACES = text(
    "SELECT l.n, coalesce(h.outlet, '') AS outlet FROM order_line AS l LEFT JOIN hold AS h ON h.id = l.hold"
    " WHERE l.order_id = :order"
)
_SETTLED = text("SELECT * FROM payment WHERE order_id = :order AND state = 'settled'")
_INSERT = text(
    "INSERT INTO refund (id, merchant, order_id, payment, staff, provider, kind, amount, state, stock, reason, tries,"
    " next_ms, created_ms, done_ms, stored, bonus, points) VALUES (:id, :merchant, :order, :payment, :staff, :provider,"
    " :kind, :amount, :state, :stock, :reason, 1, :next_ms, :now, :done_ms, :stored, :bonus, :points)"
)
_INSERT_LINE = text(
    "INSERT INTO refund_line (refund, n, order_id, sku, quantity, returned, amount)"
    " VALUES (:refund, :n, :order, :sku, :quantity, :returned, :amount)"
)
_GIVE = text(
    "UPDATE orders SET refunded = refunded + :amount, status = :status WHERE id = :id AND refunded + :amount <= amount"
)
_FREE_COUPON = text(
    "UPDATE coupon SET state = 'unused', order_id = NULL"
    " WHERE order_id = :order AND state = 'used' AND expires_ms > :now"
)
_REFUND = text("SELECT * FROM refund WHERE id = :id")
_DUE = text(
    "SELECT r.*, p.amount AS paid FROM refund AS r JOIN payment AS p ON p.id = r.payment"
    " WHERE r.state = 'requested' AND r.next_ms <= :now AND r.provider = :provider ORDER BY r.next_ms LIMIT :limit"
)
_SENT = text(
    "SELECT coalesce(sum(shipped), 0) AS units, coalesce(-sum(cost), 0) AS cost FROM stock_entry"
    " WHERE merchant = :merchant AND created_ms = :at AND kind = 'shipped' AND ref = :order AND sku = :sku"
)
_BACK = text(
    "SELECT coalesce(sum(l.returned), 0) FROM refund_line AS l JOIN refund AS r ON r.id = l.refund"
    " WHERE l.order_id = :order AND l.sku = :sku AND r.id <> :refund AND r.created_ms >= :at"
)
_CARRIED = text("SELECT 1 FROM courier_errand WHERE order_id = :order AND state IN ('carried', 'back', 'delivered')")
_ASKED = text("UPDATE refund SET tries = tries + 1, next_ms = :next_ms WHERE id = :id")
_DONE = text(
    "UPDATE refund SET state = 'done', number = :number, error = NULL, done_ms = :now"
    " WHERE id = :id AND state <> 'done'"
)
_FAILED = text("UPDATE refund SET state = 'failed', error = :error WHERE id = :id AND state = 'requested'")
_AGAIN = text("UPDATE refund SET state = 'requested', tries = 1, next_ms = :next_ms, error = NULL WHERE id = :id")
_PAID = text("SELECT amount FROM payment WHERE id = :id")
_GIVEN_BACK = text(
    "UPDATE payment SET state = 'refunded' WHERE id = :id AND state = 'refund_due' AND NOT EXISTS"
    " (SELECT 1 FROM refund WHERE payment = :id AND kind = 'late' AND state <> 'done')"
)


def refund_order(batch: Batch, command: Refund) -> RefundView:
    """Book a refund.

    Raises NotFound, Conflict, Invalid, Refused (not_open: not paid; already: nothing left; over_refund: more than is
    left).
    """
    stored = batch.replay(command.merchant, command.staff, "refund", command.key, command.hash)
    if stored is not None:
        return refund_view(batch.connection, _find(batch, command.merchant, None, stored))
    row = find_order(batch, command.merchant, command.order)
    decided = decide(batch, command, row)
    step = Step.REFUND_REST if decided.rest else Step.REFUND_PART
    status = OrderStatus(row.status)
    code = refuse_step(status, Fulfilment(row.fulfilment), step)
    if code is not None:
        raise Refused(code, "the order was not paid" if code == "not_open" else "all of it was refunded", order=row.id)
    back = command.stock != "none"
    if decided.amount == 0 and not (back and decided.parts):
        raise Refused("already", "there is nothing left to refund", order=row.id)
    refund = _book(batch, command, row, decided)
    if back:
        _return_units(batch, row, refund, decided.parts, command)
    batch.run(_GIVE, id=row.id, amount=decided.amount, status=str(STATUS_AFTER[status, step]))
    if row.presale == row.id:
        give_up(batch, row, decided.amount)
    if decided.whole:
        refund_seats(batch, row.id)
        balance_ended(batch, row)
        end_passes(batch, row.id)
        end_memberships(batch, row.id)
        end_places(batch, row.id)
        end_production(batch, row)
        if row.fulfilment == Fulfilment.OPEN:
            give_place(batch, row.id)
        balance = open_balance(batch, row)
        if balance is not None:
            # Without its deposit nobody could pay the rest.
            end_order(batch, balance, "deposit_refunded")
    if decided.rest and row.coupon is not None:
        coupons_return(batch, row)
        batch.run(_FREE_COUPON, order=row.id, now=batch.now_ms)
    refunded = find_order(batch, row.merchant, row.id)
    partner_bearing_sql.refunded(batch, refunded)
    gift_refunded(batch, row, refunded)
    order_refunded(batch, refunded)
    requests_overtaken(batch, row, OTHERWISE, but=command.key)
    batch.remember(command.merchant, command.staff, "refund", command.key, command.hash, refund)
    return _tell(batch, _find(batch, command.merchant, None, refund))


def decide(batch: Batch, command: Refund, row: Row[Any]) -> Refundable:
    """What a refund would come to now. Raises NotFound, Invalid, Refused (not_open, already, over_refund)."""
    if command.amount is not None and (command.lines is not None or command.stock != "none"):
        raise Invalid("a refund is of lines or of an amount; an amount brings no units back: its stock is none")
    own = pass_skus(batch, row.id) | membership_skus(batch, row.id)
    if command.lines is not None and own & {sku for sku, _ in command.lines}:
        raise Invalid("a pass or membership is refunded by itself, for what is left of it", field="lines")
    if row.presale == row.id and (command.lines is not None or command.stock != "none"):
        raise Invalid("a deposit has no goods: refund an amount of it, or all that is left, with stock none")
    paid = [
        PaidLine(line.n, line.sku, line.quantity, line.price, line.discount, line.refunded)
        for line in batch.run(_LINES, order=row.id)
    ]
    left = row.amount - row.refunded
    freight, keeps = freight_paid(batch.connection, row.id)
    freight -= freight_back(row.amount, freight, row.refunded)
    keeps = keeps and _on_its_way(batch, row)
    decided = decide_refund(paid, left, command.lines, command.amount, freight, keeps=keeps, most=command.most)
    if decided == "not_found":
        raise NotFound("the order has no such line")
    if isinstance(decided, str):
        if OrderStatus(row.status) in (OrderStatus.PENDING, OrderStatus.CANCELLED):
            raise Refused("not_open", "the order was not paid", order=row.id)
        raise Refused(decided, "that is more than is left to refund", order=row.id, left=left)
    return decided


def _on_its_way(batch: Batch, row: Row[Any]) -> bool:
    """Whether somebody has taken the goods to bring them."""
    return row.fulfilment != Fulfilment.OPEN or batch.one(_CARRIED, order=row.id) is not None


def _book(batch: Batch, command: Refund, row: Row[Any], decided: Refundable) -> str:
    payment = batch.one(_SETTLED, order=row.id)
    if payment is None:
        raise Refused("not_open", "the order was not paid", order=row.id)
    stored, bonus, points = wallet_sql.refund(batch, row, decided.amount)
    owed = decided.amount - stored
    refund = batch.mint()
    batch.run(
        _INSERT,
        id=refund,
        merchant=row.merchant,
        order=row.id,
        payment=payment.id,
        staff=command.staff,
        provider=payment.provider,
        kind="order",
        amount=decided.amount,
        # Goods alone come back when all the money went before, or all of it was stored value: no provider gives 0 分.
        state="requested" if owed else "done",
        stock=command.stock,
        reason=command.reason,
        next_ms=batch.now_ms + back_off_ms(1),
        now=batch.now_ms,
        done_ms=None if owed else batch.now_ms,
        stored=stored,
        bonus=bonus,
        points=points,
    )
    batch.run_many(
        _INSERT_LINE,
        [
            {
                "refund": refund,
                "n": part.n,
                "order": row.id,
                "sku": part.sku,
                "quantity": part.quantity,
                "returned": 0 if command.stock == "none" else part.quantity,
                "amount": part.amount,
            }
            for part in decided.parts
        ],
    )
    if owed and payment.provider == ACCOUNT:
        refund_on_account(batch, row, refund, payment.id, owed)
    elif owed:
        _ask(batch, row, refund, payment.id, owed, payment.amount)
    return refund


def _ask(batch: Batch, row: Row[Any], refund: str, payment: str, amount: int, paid: int) -> None:
    common = (batch.mint(), row.merchant, row.room, batch.now_ms)
    batch.emit(RefundDue(*common, row.person, row.id, payment, amount, refund, paid))


def _return_units(batch: Batch, row: Row[Any], refund: str, parts: tuple[RefundPart, ...], command: Refund) -> None:
    """Units from where the order left them (sold, or shipped) to free or quarantined, of the store they came from."""
    outlets = {line.n: str(line.outlet) for line in batch.run(_PLACES, order=row.id)}
    units: Counter[tuple[str, str]] = Counter()
    for part in parts:
        units[outlets[part.n], part.sku] += part.quantity
    place = "sold" if row.fulfilment == Fulfilment.OPEN else "shipped"
    aside = Counter(dict(command.aside))
    earlier = Counter[str]()
    for (outlet, sku), count in sorted(units.items()):
        apart = count if command.stock == "quarantine" else min(count, aside[sku])
        aside[sku] -= apart
        moved = {place: -count, "free": count - apart, "quarantined": apart}
        cost = None if place == "sold" else _cost_back(batch, row, refund, sku, count, earlier[sku])
        earlier[sku] += count
        move_stock(batch, row.merchant, sku, "returned", refund, outlet=outlet, cost=cost, **moved)


def _cost_back(batch: Batch, row: Row[Any], refund: str, sku: str, count: int, earlier: int) -> int:
    """分 with which units come back: at what they left for, step by step, so that all of them bring all of it.

    ``earlier`` are units of the SKU that came back by the same refund, to another place.
    """
    sent = batch.run(_SENT, merchant=row.merchant, order=row.id, sku=sku, at=row.fulfilled_ms).one()
    cost, units = int(sent.cost), int(sent.units)
    before = int(batch.run(_BACK, order=row.id, sku=sku, at=row.fulfilled_ms, refund=refund).scalar_one())
    # One of the very millisecond in which the goods left may have been of units that had not.
    before = min(before + earlier, units - count)
    return portion(cost, before + count, units) - portion(cost, before, units)


def book_late(batch: Batch, row: Row[Any], payment: Row[Any], amount: int, reason: str) -> None:
    """Book money that came and bought nothing: it goes back whole."""
    refund = batch.mint()
    batch.run(
        _INSERT,
        id=refund,
        merchant=row.merchant,
        order=row.id,
        payment=payment.id,
        staff=None,
        provider=payment.provider,
        kind="late",
        amount=amount,
        state="requested",
        stock="none",
        reason=reason,
        next_ms=batch.now_ms + back_off_ms(1),
        now=batch.now_ms,
        done_ms=None,
        stored=0,
        bonus=0,
        points=0,
    )
    _ask(batch, row, refund, payment.id, amount, payment.amount)


def hear(batch: Batch, command: Settle, payment: Row[Any]) -> str:
    """Let the provider's word on a refund act once. Raises NotFound, Refused (amount_mismatch)."""
    row = _find(batch, payment.merchant, None, command.refund)
    if row.payment != payment.id:
        raise NotFound("no such refund")
    if row.amount - row.stored != command.amount:
        raise Refused("amount_mismatch", "the amount is not the refund's", expected=row.amount - row.stored)
    if command.kind == "refunded":
        changed = batch.run(_DONE, id=row.id, number=command.number, now=batch.now_ms).rowcount
        batch.run(_GIVEN_BACK, id=payment.id)
    else:
        changed = batch.run(_FAILED, id=row.id, error="the provider refused it").rowcount
    if not changed:
        return "repeat"
    _tell(batch, _find(batch, payment.merchant, None, row.id))
    return command.kind


def take_due(batch: Batch, providers: Iterable[str], limit: int) -> tuple[RefundRequest, ...]:
    """Refunds that their provider is to be asked for again, each later than the time before; hopeless ones fail."""
    requests = []
    due = (row for name in providers for row in batch.run(_DUE, now=batch.now_ms, provider=name, limit=limit).all())
    for row in due:
        if row.tries >= TRIES_MAX:
            fail_refund(batch, FailRefund(row.id, "the provider did not confirm it"))
            continue
        batch.run(_ASKED, id=row.id, next_ms=batch.now_ms + back_off_ms(row.tries + 1))
        requests.append(RefundRequest(row.id, row.payment, row.merchant, row.amount - row.stored, row.paid))
    return tuple(requests)


def fail_refund(batch: Batch, command: FailRefund) -> RefundView:
    """Give up asking; who runs the shop sees it and decides. One that is done stays done. Raises NotFound."""
    changed = batch.run(_FAILED, id=command.refund, error=command.error[:200]).rowcount
    row = _find(batch, None, None, command.refund)
    return _tell(batch, row) if changed else refund_view(batch.connection, row)


def retry_refund(batch: Batch, command: RetryRefund) -> RefundView:
    """failed → requested, under the same number, so it cannot be given twice. Raises NotFound, Refused (already)."""
    row = _find(batch, command.merchant, command.order, command.refund)
    if row.state != "failed":
        raise Refused("already", f"the refund is {row.state}")
    batch.run(_AGAIN, id=row.id, next_ms=batch.now_ms + back_off_ms(1))
    paid = batch.one(_PAID, id=row.payment)
    assert paid is not None
    bought = _repayment(batch, row) or find_order(batch, row.merchant, row.order_id)
    _ask(batch, bought, row.id, row.payment, row.amount - row.stored, paid.amount)
    return _tell(batch, _find(batch, row.merchant, None, row.id))


def _find(batch: Batch, merchant: str | None, order: str | None, refund: str) -> Row[Any]:
    row = batch.one(_REFUND, id=refund)
    if row is None or merchant not in (None, row.merchant) or order not in (None, row.order_id):
        raise NotFound("no such refund")
    return row


def _repayment(batch: Batch, row: Row[Any]) -> Row[Any] | None:
    """The repayment of which a refund gives something back; None when it is an order's."""
    return repayment_row(batch.connection, row.order_id) if row.kind == "late" else None


def _tell(batch: Batch, row: Row[Any]) -> RefundView:
    view = refund_view(batch.connection, row)
    if _repayment(batch, row) is not None:
        tell_repayment(batch, row.order_id)
        return view
    order = find_order(batch, row.merchant, row.order_id)
    seen: OrderView = order_view(batch.connection, order)
    common = (batch.mint(), order.merchant, order.room, batch.now_ms)
    batch.emit(OrderRefunded(*common, order.person, seen, view))
    return view


HANDLERS: Mapping[type, Callable[[Batch, Any], Any]] = {
    Refund: refund_order,
    RetryRefund: retry_refund,
    FailRefund: fail_refund,
}
