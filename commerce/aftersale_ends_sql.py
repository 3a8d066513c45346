"""The steps of after-sale requests inside the ledger's transaction: one function each (domain/aftersale.py's table).

Whatever money and units a step moves goes through the one refund path (``refund_order``), under the request's id as its
key. The ledger decides one command after the other, so of an approval and a shipment one comes first: goods whose money
went back cannot be sent any more (fulfilment_sql), and what was sent overtakes the request (aftersale_sql).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Row, text

from commerce.aftersale_sql import DUE, LATE, OTHERWISE, end, find_request, lines_of, read_request, tell
from commerce.compliance_sql import policy, returns_of
from commerce.deadlines_sql import arm
from commerce.domain.aftersale import (
    BUYER_PAYS,
    BY_CLOCK,
    OFFERS_MAX,
    REASONS,
    REQUESTS_MAX,
    UNSENT,
    AskedLine,
    Bought,
    Kind,
    Move,
    State,
    amount_for,
    ask_fault,
    came_fault,
    situation,
    state_after,
    wait_ms,
)
from commerce.domain.custom import BEFORE_MAKING
from commerce.domain.order import NOT_YET, Fulfilment, OrderStatus
from commerce.domain.refund import Refundable
from commerce.errors import Invalid, Refused
from commerce.events import AfterSaleView
from commerce.ledger import Refund, fingerprint
from commerce.ledger_aftersale import (
    ApproveAfterSale,
    AskAfterSale,
    LeaveOffer,
    OfferLess,
    ReceiveBack,
    RefuseAfterSale,
    SendBack,
    TakeOffer,
    WithdrawAfterSale,
)
from commerce.ledger_batch_sql import Batch
from commerce.memberships_sql import membership_skus
from commerce.orders_sql import find_order
from commerce.passes_sql import pass_skus
from commerce.refunds_sql import decide, refund_order
from commerce.seats_sql import awaits_draw

ROUTE = "after_sale"
"""Under which the keys of asking are remembered."""
AGAIN_MS = 3_600_000
"""When the clock tries anew to approve what a courier has in hand."""

_INSERT = text(
    "INSERT INTO after_sale (id, merchant, order_id, room, person, kind, reason, words, state, gone, pays, most,"
    " amount, answer, due_ms, created_ms) VALUES (:id, :merchant, :order, :room, :person, :kind, :reason, :words,"
    " 'asked', :gone, :pays, :most, :amount, '', :due, :now)"
)
_INSERT_LINE = text(
    "INSERT INTO after_sale_line (request, sku, order_id, title, quantity, amount)"
    " SELECT :request, sku, order_id, min(title), :quantity, :amount FROM order_line"
    " WHERE order_id = :order AND sku = :sku GROUP BY sku, order_id"
)
_COUNT = text("SELECT count(*) FROM after_sale WHERE order_id = :order")
_OPEN_LINES = text("SELECT sku FROM after_sale_line WHERE order_id = :order AND open = 1")
_TICKET = text("SELECT 1 FROM ticket WHERE order_id = :order AND state <> 'cancelled' LIMIT 1")
_MAKING = text("SELECT stage FROM production WHERE id = :id AND ended_ms IS NULL")
_ERRAND = text("SELECT 1 FROM courier_errand WHERE order_id = :order AND ended_ms IS NULL")
_STORE = text("SELECT name, address, phone FROM outlet WHERE id = :outlet")
_MOVE = text(
    "UPDATE after_sale SET state = :state, due_ms = :due, staff = :staff, answer = :answer, why = :why,"
    " answered_ms = :answered WHERE id = :id"
)
_APPROVED = text("UPDATE after_sale SET amount = :amount, back_to = :back_to WHERE id = :id")
_OFFER = text("UPDATE after_sale SET offer = :offer, keeps = :keeps, offers = offers + 1 WHERE id = :id")
_NO_OFFER = text("UPDATE after_sale SET offer = NULL, keeps = 0 WHERE id = :id")
_SENT = text(
    "UPDATE after_sale SET state = 'sent', carrier = :carrier, number = :number, due_ms = :due, sent_ms = :now"
    " WHERE id = :id"
)
_CAME = text(
    "UPDATE after_sale_line SET sellable = :sellable, quarantined = :quarantined WHERE request = :id AND sku = :sku"
)
_STILL_OPEN = text("SELECT * FROM after_sale WHERE id = :id AND ended_ms IS NULL")
_ANSWER = text("UPDATE after_sale SET staff = :staff, answer = :answer, answered_ms = :now WHERE id = :id")

_WHY_NOT = {
    "no_return": "these goods cannot be given back for this reason: their page says why",
    "not_open": "the goods have not left yet: ask for a refund",
    "expired": "the time to ask for this is over",
}


# --- the buyer -------------------------------------------------------------------------------------------------------


def ask(batch: Batch, command: AskAfterSale) -> AfterSaleView:
    """Write a request down.

    Raises NotFound, Conflict, Invalid, Refused (not_open: not paid, or the goods have not left; no_return; expired;
    already: nothing is left, or a request of the line is open; over_refund: more units or money than are left; limit).
    """
    stored = batch.replay(command.merchant, command.person, ROUTE, command.key, command.hash)
    if stored is not None:
        return read_request(batch.connection, command.merchant, stored, None)
    order = find_order(batch, command.merchant, command.order, command.person)
    kind = Kind(command.kind)
    _check_ground(batch, command, order, kind)
    skus = [sku for sku, _ in command.lines]
    if batch.run(_COUNT, order=order.id).scalar_one() >= REQUESTS_MAX:
        raise Refused("limit", f"an order takes {REQUESTS_MAX} requests: write to the shop", order=order.id)
    waiting = set(batch.run(_OPEN_LINES, order=order.id).scalars()) & set(skus)
    if waiting:
        raise Refused("already", "a request about these goods is open", order=order.id, sku=min(waiting))
    found = _worth(batch, order, command.lines)
    if found.amount == 0:
        raise Refused("already", "no money is left of these goods", order=order.id)
    amount = found.amount if command.amount is None else command.amount
    unsent = order.fulfilment == Fulfilment.OPEN
    if amount > found.amount:
        raise Refused("over_refund", "that is more than is left of these goods", left=found.amount, order=order.id)
    if unsent and amount < found.amount:
        raise Invalid("what was not sent is refunded whole: name fewer units", field="amount", left=found.amount)
    request = batch.mint()
    due = _due(batch, order.merchant, State.ASKED)
    batch.run(
        _INSERT,
        id=request,
        merchant=order.merchant,
        order=order.id,
        room=order.room,
        person=order.person,
        kind=command.kind,
        reason=command.reason,
        words=command.words,
        gone=int(not unsent),
        pays="buyer" if command.reason in BUYER_PAYS and kind is Kind.RETURN else "shop",
        most=found.amount,
        amount=amount,
        due=due,
        now=batch.now_ms,
    )
    worth = {sku: sum(part.amount for part in found.parts if part.sku == sku) for sku in skus}
    of = {"request": request, "order": order.id}
    rows = [{"sku": sku, "quantity": units, "amount": worth[sku], **of} for sku, units in command.lines]
    batch.run_many(_INSERT_LINE, rows)
    arm(batch, DUE, request, due)
    batch.remember(command.merchant, command.person, ROUTE, command.key, command.hash, request)
    return tell(batch, request)


def _check_ground(batch: Batch, command: AskAfterSale, order: Row[Any], kind: Kind) -> None:
    """Raise Refused or Invalid when an order gives no ground for what is asked."""
    if OrderStatus(order.status) in NOT_YET:
        raise Refused("not_open", "the order was not paid: cancel it instead", order=order.id)
    if order.presale == order.id:
        raise Refused("no_return", "a deposit goes back by the terms of its presale alone", order=order.id)
    skus = [sku for sku, _ in command.lines]
    if (pass_skus(batch, order.id) | membership_skus(batch, order.id)) & set(skus):
        raise Refused("no_return", "a pass or membership is refunded by the shop, for what is left", order=order.id)
    if batch.one(_TICKET, order=order.id) is not None:
        raise Refused("no_return", "a ticket is cancelled, by the terms of its event", order=order.id)
    left_ms = None if order.fulfilment == Fulfilment.OPEN else order.fulfilled_ms
    where = situation(kind, left_ms)
    if command.reason not in REASONS[where]:
        raise Invalid(f"reason is one of {', '.join(REASONS[where])}", field="reason")
    exceptions = frozenset(returns_of(batch.connection, order.id, skus))
    rules, bought = policy(batch.connection, order.merchant), Bought(order.kind, exceptions, left_ms, order.done_ms)
    code = ask_fault(rules, kind, command.reason, bought, batch.now_ms)
    if code is not None:
        raise Refused(code, _WHY_NOT[code], order=order.id)
    making = batch.run(_MAKING, id=order.presale or order.id).scalar()
    if where == UNSENT and making is not None and making not in BEFORE_MAKING:
        raise Refused("no_return", "the making has begun: write to the shop", order=order.id, stage=making)
    if awaits_draw(batch, order.id):
        raise Refused("not_open", "the group's lottery is drawn first", order=order.id)


def _worth(batch: Batch, order: Row[Any], lines: Sequence[tuple[str, int]]) -> Refundable:
    """What lines would give back now; without freight once the goods have left."""
    most = None if order.fulfilment == Fulfilment.OPEN else order.amount
    return decide(batch, Refund(order.merchant, "", order.id, "", "", tuple(lines), None, "none", "", most), order)


def take_offer(batch: Batch, command: TakeOffer) -> AfterSaleView:
    """Settle for less. Raises NotFound, Refused (already, not_open; price_changed: there is another offer)."""
    row = find_request(batch, command.merchant, command.request, command.person)
    state = _after(row, Move.TAKE)
    if row.offer != command.amount:
        raise Refused("price_changed", "there is another offer", amount=row.offer)
    if state is State.DONE:
        return _pay(batch, row, row.staff, row.offer, keeps=True)
    return _await_goods(batch, row, row.staff, row.answer, row.offer)


def leave_offer(batch: Batch, command: LeaveOffer) -> AfterSaleView:
    """Keep asking: the shop's time to answer begins anew. Raises NotFound, Refused (already, not_open)."""
    row = find_request(batch, command.merchant, command.request, command.person)
    state = _after(row, Move.LEAVE)
    batch.run(_NO_OFFER, id=row.id)
    return _move(batch, row, state, row.staff, row.answer)


def withdraw(batch: Batch, command: WithdrawAfterSale) -> AfterSaleView:
    """Not wanted any more; what is so already is given as it is. Raises NotFound, Refused (already)."""
    row = find_request(batch, command.merchant, command.request, command.person)
    if row.state == State.WITHDRAWN:
        return read_request(batch.connection, row.merchant, row.id, None)
    return end(batch, row, _after(row, Move.WITHDRAW))


def send_back(batch: Batch, command: SendBack) -> AfterSaleView:
    """The goods are on their way to the shop; or their number is put right.

    Raises NotFound, Refused (already, not_open).
    """
    row = find_request(batch, command.merchant, command.request, command.person)
    state = _after(row, Move.SEND)
    # Another number does not give the shop another ten days.
    due = row.due_ms if row.state == state else _due(batch, row.merchant, state)
    by = {"carrier": command.carrier, "number": command.number}
    batch.run(_SENT, id=row.id, due=due, now=row.sent_ms or batch.now_ms, **by)
    arm(batch, DUE, row.id, due)
    return tell(batch, row.id)


# --- the shop --------------------------------------------------------------------------------------------------------


def approve(batch: Batch, command: ApproveAfterSale) -> AfterSaleView:
    """Give what is asked for. Raises NotFound, Refused (already; courier: one has it in hand; over_refund)."""
    row = find_request(batch, command.merchant, command.request)
    return _approve(batch, row, command.staff, command.answer)


def _approve(batch: Batch, row: Row[Any], staff: str, answer: str, why: str = "") -> AfterSaleView:
    state = _after(row, Move.APPROVE)
    if state is State.APPROVED:
        return _await_goods(batch, row, staff, answer, row.amount, why)
    batch.run(_ANSWER, id=row.id, staff=staff, answer=answer, now=batch.now_ms)
    # Less than the lines come to is for goods that are kept, and may be asked about again.
    return _pay(batch, row, staff, row.amount, keeps=row.amount < row.most, why=why)


def refuse(batch: Batch, command: RefuseAfterSale) -> AfterSaleView:
    """Say no. Raises NotFound, Refused (already, not_open)."""
    row = find_request(batch, command.merchant, command.request)
    state = _after(row, Move.REFUSE)
    batch.run(_ANSWER, id=row.id, staff=command.staff, answer=command.answer, now=batch.now_ms)
    return end(batch, row, state)


def offer_less(batch: Batch, command: OfferLess) -> AfterSaleView:
    """Offer another amount. Raises NotFound, Invalid, Refused (already, not_open, over_refund; limit)."""
    row = find_request(batch, command.merchant, command.request)
    state = _after(row, Move.OFFER)
    if command.amount >= row.amount:
        raise Refused("over_refund", "an offer is less than what is asked for: approve that", left=row.amount)
    if not command.keeps and row.kind == Kind.REFUND:
        raise Invalid(
            "nothing comes back of a refund alone: an offer of one leaves the goods where they are", field="keeps"
        )
    if row.offers >= OFFERS_MAX:
        raise Refused("limit", f"{OFFERS_MAX} offers were made: approve or refuse")
    batch.run(_OFFER, id=row.id, offer=command.amount, keeps=int(command.keeps))
    return _move(batch, row, state, command.staff, command.answer)


def receive(batch: Batch, command: ReceiveBack) -> AfterSaleView:
    """Count what came and give the money for it. Raises NotFound, Invalid, Refused (already, not_open, over_refund)."""
    row = find_request(batch, command.merchant, command.request)
    state = _after(row, Move.RECEIVE)
    asked = [AskedLine(line.sku, line.quantity, line.amount) for line in lines_of(batch.connection, [row.id])[row.id]]
    fault = came_fault(asked, command.came)
    if fault is not None:
        raise Invalid(fault, field="lines")
    answer = command.answer or row.answer
    batch.run(_ANSWER, id=row.id, staff=command.staff, answer=answer, now=batch.now_ms)
    counts = [{"sku": one.sku, "sellable": one.sellable, "quarantined": one.quarantined} for one in command.came]
    batch.run_many(_CAME, [{"id": row.id, **one} for one in counts])
    units = tuple((one.sku, one.units) for one in command.came if one.units)
    aside = tuple((one.sku, one.quarantined) for one in command.came if one.quarantined)
    most = amount_for(asked, row.amount, command.came)
    refund = _refund(row, command.staff, units, stock="sellable", most=most, aside=aside)
    view = refund_order(batch, refund)
    return end(batch, row, state, refund=view.refund)


# --- the clock -------------------------------------------------------------------------------------------------------


def request_due(batch: Batch, request: str) -> None:
    """The time of a state is over: take the step that nobody took."""
    row = batch.one(_STILL_OPEN, id=request)
    if row is None:
        return
    move = BY_CLOCK[State(row.state)]
    if move is Move.LAPSE:
        end(batch, row, _after(row, move), why=LATE)
        return
    try:
        with batch.connection.begin_nested():
            if move is Move.APPROVE:
                _approve(batch, row, "", row.answer, LATE)
            else:
                _receive_unseen(batch, row)
    except Refused as refused:
        if refused.code != "courier":
            # Nothing is left to give: the money went another way, unit by unit.
            end(batch, row, State.CLOSED, why=OTHERWISE)
            return
        arm(batch, DUE, row.id, batch.now_ms + AGAIN_MS)


def _receive_unseen(batch: Batch, row: Row[Any]) -> AfterSaleView:
    """Nobody looked at the parcel in time: the money goes back, and no unit is booked that nobody has counted."""
    asked = tuple((line.sku, line.quantity) for line in lines_of(batch.connection, [row.id])[row.id])
    view = refund_order(batch, _refund(row, "", asked, stock="none", most=row.amount))
    return end(batch, row, _after(row, Move.RECEIVE), why=LATE, refund=view.refund)


# --- what the steps are made of --------------------------------------------------------------------------------------


def _after(row: Row[Any], move: Move) -> State:
    """The state to which a step leads. Raises Refused: already (it has ended or is past it), not_open (not yet)."""
    state = State(row.state)
    to = state_after(Kind(row.kind), state, move, keeps=bool(row.keeps))
    if to is None:
        early = state is State.ASKED or (state is State.APPROVED and move is Move.REFUSE)
        raise Refused("not_open" if early else "already", f"the request is {state}", state=row.state)
    return to


def _due(batch: Batch, merchant: str, state: State) -> int:
    return batch.now_ms + wait_ms(policy(batch.connection, merchant), state)


def _move(batch: Batch, row: Row[Any], state: State, staff: str, answer: str, why: str = "") -> AfterSaleView:
    due = _due(batch, row.merchant, state)
    terms = {"staff": staff, "answer": answer, "why": why, "answered": batch.now_ms}
    batch.run(_MOVE, id=row.id, state=str(state), due=due, **terms)
    arm(batch, DUE, row.id, due)
    return tell(batch, row.id)


def _await_goods(batch: Batch, row: Row[Any], staff: str, answer: str, amount: int, why: str = "") -> AfterSaleView:
    """Tell the buyer where to send the goods."""
    order = find_order(batch, row.merchant, row.order_id)
    store = batch.one(_STORE, outlet=order.outlet) if order.outlet else None
    where = policy(batch.connection, row.merchant).back_to
    if store is not None and store.address:
        where = " ".join(word for word in (store.name, store.address, store.phone) if word)
    batch.run(_APPROVED, id=row.id, amount=amount, back_to=where[:400])
    return _move(batch, row, State.APPROVED, staff, answer, why)


def _pay(batch: Batch, row: Row[Any], staff: str, amount: int, *, keeps: bool, why: str = "") -> AfterSaleView:
    """Give money for goods that do not come back (or never left): of the lines, or (``keeps``) without any."""
    order = find_order(batch, row.merchant, row.order_id)
    if keeps:
        refund = _refund(row, staff, None, amount=amount)
    else:
        lines = tuple((line.sku, line.quantity) for line in lines_of(batch.connection, [row.id])[row.id])
        unsent = order.fulfilment == Fulfilment.OPEN
        if unsent and batch.one(_ERRAND, order=order.id) is not None:
            raise Refused("courier", "a courier is on the way for this order: call that off first", order=order.id)
        refund = _refund(row, staff, lines, stock="sellable" if unsent else "none", most=None if unsent else amount)
    view = refund_order(batch, refund)
    return end(batch, row, State.DONE, why=why, refund=view.refund)


def _refund(
    row: Row[Any],
    staff: str,
    lines: tuple[tuple[str, int], ...] | None,
    *,
    amount: int | None = None,
    stock: str = "none",
    most: int | None = None,
    aside: tuple[tuple[str, int], ...] = (),
) -> Refund:
    body = fingerprint(ROUTE, row.id)
    reason = f"after-sale request: {row.reason}"
    return Refund(row.merchant, staff, row.order_id, row.id, body, lines, amount, stock, reason, most, aside)


HANDLERS: Mapping[type, Callable[[Batch, Any], Any]] = {
    AskAfterSale: ask,
    ApproveAfterSale: approve,
    RefuseAfterSale: refuse,
    OfferLess: offer_less,
    TakeOffer: take_offer,
    LeaveOffer: leave_offer,
    WithdrawAfterSale: withdraw,
    SendBack: send_back,
    ReceiveBack: receive,
}
