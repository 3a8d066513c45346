"""Purchase orders inside the ledger's transaction: drafts, steps, deliveries that post to stock, returns, payments.

A delivery is one row with its lines; each line moves the SKU's stock by ``move_stock`` (kind purchased or sent_back,
``ref`` the delivery), which brings its cost along, and leaves a row in the trail of manual changes.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Row, text

from commerce.changes import Change, Hand
from commerce.changes_sql import note
from commerce.domain.cost import unit_cost
from commerce.domain.money import AMOUNT_MAX
from commerce.domain.purchase import (
    STATE_AFTER,
    Delivered,
    PurchaseLine,
    PurchaseState,
    PurchaseStep,
    decide_receipt,
    decide_return,
    refuse_purchase_step,
    step_of_receipt,
)
from commerce.errors import Conflict, Invalid, NotFound, Refused
from commerce.ledger_batch_sql import Batch
from commerce.ledger_purchases import (
    PaySupplier,
    PurchaseView,
    ReceivePurchase,
    SavePurchase,
    SendBack,
    SetCost,
    StepPurchase,
    SupplierPaid,
)
from commerce.purchase_reads_sql import read_owed, read_purchase
from commerce.stock_sql import move_stock, on_hand, value_stock

_OPEN_SUPPLIER = text("SELECT closed_ms FROM supplier WHERE id = :id AND merchant = :merchant")
_FIND = text("SELECT * FROM purchase WHERE id = :id AND merchant = :merchant")
_NUMBER = text("SELECT id FROM purchase WHERE merchant = :merchant AND number = :number")
_INSERT = text(
    "INSERT INTO purchase (id, merchant, supplier, number, state, note, expected, created_ms)"
    " VALUES (:id, :merchant, :supplier, :number, 'draft', :note, :expected, :now)"
)
_EDIT = text(
    "UPDATE purchase SET supplier = :supplier, number = :number, note = :note, expected = :expected WHERE id = :id"
)
_NO_LINES = text("DELETE FROM purchase_line WHERE purchase = :id")
_LINE = text(
    "INSERT INTO purchase_line (purchase, sku, n, quantity, unit_cost, amount)"
    " VALUES (:purchase, :sku, :n, :quantity, :unit_cost, 0)"
)
_LINES = text("SELECT * FROM purchase_line WHERE purchase = :id ORDER BY n")
_SKU = text("SELECT kind, slot_ms FROM sku WHERE id = :sku AND merchant = :merchant")
_STATE = text(
    "UPDATE purchase SET state = :state, ordered_ms = coalesce(ordered_ms, :ordered_ms),"
    " ended_ms = coalesce(ended_ms, :ended_ms) WHERE id = :id"
)
_STEP = text(
    "INSERT INTO purchase_step (id, merchant, purchase, step, why, staff, created_ms)"
    " VALUES (:id, :merchant, :purchase, :step, :why, :staff, :now)"
)
_DELIVERY = text(
    "INSERT INTO purchase_delivery (id, merchant, purchase, kind, number, amount, why, staff, created_ms)"
    " VALUES (:id, :merchant, :purchase, :kind, :number, :amount, :why, :staff, :now)"
)
_DELIVERED = text(
    "INSERT INTO purchase_delivery_line (delivery, sku, units, amount) VALUES (:delivery, :sku, :units, :amount)"
)
_RECEIVED = text(
    "UPDATE purchase_line SET received = received + :units, amount = amount + :amount"
    " WHERE purchase = :purchase AND sku = :sku"
)
_RETURNED = text(
    "UPDATE purchase_line SET returned = returned + :units, amount = amount - :amount"
    " WHERE purchase = :purchase AND sku = :sku"
)
_NEW_STOCK = text("INSERT INTO stock (sku, merchant) VALUES (:sku, :merchant) ON CONFLICT (sku) DO NOTHING")
_PAYMENT = text("SELECT id, amount FROM supplier_payment WHERE supplier = :supplier AND number = :number")
_PAY = text(
    "INSERT INTO supplier_payment (id, merchant, supplier, number, amount, staff, created_ms)"
    " VALUES (:id, :merchant, :supplier, :number, :amount, :staff, :now)"
)
_WHY = {
    "over_received": "more came than is expected: order the rest anew, or correct the line",
    "insufficient": "fewer units of it came and stayed",
}


def save_purchase(batch: Batch, command: SavePurchase) -> PurchaseView:
    """Write a draft. Raises NotFound, Refused (closed: the supplier is; already: the number is taken, or ordered)."""
    _supplier(batch, command.merchant, command.supplier)
    for line in command.lines:
        sku = batch.one(_SKU, sku=line.sku, merchant=command.merchant)
        if sku is None:
            raise NotFound("no such product", sku=line.sku)
        if sku.kind != "goods" or sku.slot_ms is not None:
            raise Invalid("stored value and bookable times are not bought from a supplier", field="lines", sku=line.sku)
    purchase = command.purchase or batch.mint()
    known = {"supplier": command.supplier, "note": command.note, "expected": command.expected}
    known["number"] = command.number or purchase
    taken = batch.one(_NUMBER, merchant=command.merchant, number=known["number"])
    if taken is not None and taken.id != purchase:
        raise Refused("already", "another purchase order has this number", purchase=taken.id)
    if command.purchase is None:
        batch.run(_INSERT, id=purchase, merchant=command.merchant, now=batch.now_ms, **known)
    else:
        _may(_find(batch, command.merchant, purchase), PurchaseStep.EDIT)
        batch.run(_EDIT, id=purchase, **known)
        batch.run(_NO_LINES, id=purchase)
    rows = [
        {"purchase": purchase, "sku": line.sku, "n": n, "quantity": line.quantity, "unit_cost": line.unit_cost}
        for n, line in enumerate(command.lines)
    ]
    batch.run_many(_LINE, rows)
    _write_step(batch, command.merchant, purchase, PurchaseStep.EDIT, command.staff, "")
    return read_purchase(batch.connection, command.merchant, purchase)


def step_purchase(batch: Batch, command: StepPurchase) -> PurchaseView:
    """Order, cancel or close short. Raises NotFound, Refused (not_open, already)."""
    row = _find(batch, command.merchant, command.purchase)
    after = _may(row, command.step)
    if command.step is PurchaseStep.ORDER:
        _supplier(batch, command.merchant, row.supplier)
    _enter(batch, row, after)
    _write_step(batch, command.merchant, row.id, command.step, command.staff, command.why)
    return read_purchase(batch.connection, command.merchant, row.id)


def receive_purchase(batch: Batch, command: ReceivePurchase) -> PurchaseView:
    """Take a delivery in: units and their cost to stock. Raises NotFound, Conflict, Refused (not_open, already)."""
    if batch.replay(command.merchant, command.staff, "purchase.receive", command.key, command.hash) is not None:
        return read_purchase(batch.connection, command.merchant, command.purchase)
    row = _find(batch, command.merchant, command.purchase)
    _may(row, PurchaseStep.RECEIVE_PART)
    lines = _lines(batch, row.id)
    came = _decided(decide_receipt(lines, command.came))
    if sum(one.amount for one in came) > AMOUNT_MAX:
        raise Invalid("that is more than a delivery may come to", field="lines")
    step = step_of_receipt(lines, came)
    delivery = _write_delivery(batch, command, row, "receipt", came)
    for one in came:
        batch.run(_NEW_STOCK, sku=one.sku, merchant=command.merchant)
        moved = {"received": one.units, "free": one.units}
        merchant, cost = command.merchant, one.amount
        assert move_stock(batch, merchant, one.sku, "purchased", delivery, outlet="", cost=cost, **moved)
        batch.run(_RECEIVED, purchase=row.id, sku=one.sku, units=one.units, amount=one.amount)
    _note(batch, command, row, [(one.sku, one.units) for one in came])
    _enter(batch, row, _may(row, step))
    _write_step(batch, command.merchant, row.id, step, command.staff, command.why)
    batch.remember(command.merchant, command.staff, "purchase.receive", command.key, command.hash, delivery)
    return read_purchase(batch.connection, command.merchant, row.id)


def send_back(batch: Batch, command: SendBack) -> PurchaseView:
    """Send units back: they leave stock at the average, and are no longer owed at what they were bought for.

    Raises NotFound, Conflict, Refused (not_open, already; insufficient: fewer came; sold_out: fewer are there).
    """
    if batch.replay(command.merchant, command.staff, "purchase.return", command.key, command.hash) is not None:
        return read_purchase(batch.connection, command.merchant, command.purchase)
    row = _find(batch, command.merchant, command.purchase)
    after = _may(row, PurchaseStep.SEND_BACK)
    went = _decided(decide_return(_lines(batch, row.id), command.went))
    delivery = _write_delivery(batch, command, row, "return", went)
    place = "quarantined" if command.quarantined else "free"
    for one in went:
        there = on_hand(batch, command.merchant, one.sku)
        if there is None or getattr(there, place) < one.units:
            raise Refused("sold_out", "not that many units are there to be sent back", sku=one.sku)
        moved = {"received": -one.units, place: -one.units}
        merchant = command.merchant
        assert move_stock(batch, merchant, one.sku, "sent_back", delivery, outlet="", cost=None, **moved)
        batch.run(_RETURNED, purchase=row.id, sku=one.sku, units=one.units, amount=one.amount)
    if not command.quarantined:
        _note(batch, command, row, [(one.sku, -one.units) for one in went])
    _enter(batch, row, after)
    _write_step(batch, command.merchant, row.id, PurchaseStep.SEND_BACK, command.staff, command.why)
    batch.remember(command.merchant, command.staff, "purchase.return", command.key, command.hash, delivery)
    return read_purchase(batch.connection, command.merchant, row.id)


def pay_supplier(batch: Batch, command: PaySupplier) -> SupplierPaid:
    """Write a payment down; one number of a supplier's is one payment. Raises NotFound, Conflict, Refused."""
    if batch.one(_OPEN_SUPPLIER, id=command.supplier, merchant=command.merchant) is None:
        raise NotFound("no such supplier")
    there = batch.one(_PAYMENT, supplier=command.supplier, number=command.number)
    owed = read_owed(batch.connection, command.supplier)
    if there is not None:
        if there.amount != command.amount:
            raise Conflict("this number is of another payment")
        return SupplierPaid(there.id, owed)
    if command.amount > owed:
        raise Refused("insufficient", "that is more than is owed", owed=owed)
    payment = batch.mint()
    known = {"merchant": command.merchant, "supplier": command.supplier, "number": command.number}
    batch.run(_PAY, id=payment, amount=command.amount, staff=command.staff, now=batch.now_ms, **known)
    return SupplierPaid(payment, owed - command.amount)


def set_cost(batch: Batch, command: SetCost) -> int:
    """Value the units on hand; what all of them cost now (分). Raises NotFound, Refused (sold_out: none is there)."""
    there = on_hand(batch, command.merchant, command.sku)
    if there is None:
        raise NotFound("no such stock")
    if there.units == 0:
        raise Refused("sold_out", "none is on hand: what comes has the cost of its purchase")
    cost = int(there.units) * command.unit_cost
    if cost != there.cost:
        value_stock(batch, command.merchant, command.sku, command.why, cost - there.cost)
        change = Change(command.sku, "cost", unit_cost(there.units, there.cost), command.unit_cost)
        hand = Hand(command.staff, command.why)
        note(batch.connection, command.merchant, hand, [change], [batch.mint()], batch.now_ms)
    return cost


def _supplier(batch: Batch, merchant: str, supplier: str) -> None:
    row = batch.one(_OPEN_SUPPLIER, id=supplier, merchant=merchant)
    if row is None:
        raise NotFound("no such supplier")
    if row.closed_ms is not None:
        raise Refused("closed", "nothing is bought from this supplier any more")


def _find(batch: Batch, merchant: str, purchase: str) -> Row[Any]:
    row = batch.one(_FIND, id=purchase, merchant=merchant)
    if row is None:
        raise NotFound("no such purchase order")
    return row


def _may(row: Row[Any], step: PurchaseStep) -> PurchaseState:
    """The state after a step. Raises Refused when it is not legal now."""
    state = PurchaseState(row.state)
    code = refuse_purchase_step(state, step)
    if code is not None:
        raise Refused(code, f"the purchase order is {state}", state=str(state))
    return STATE_AFTER[state, step]


def _enter(batch: Batch, row: Row[Any], state: PurchaseState) -> None:
    """Write the state, and when it was ordered and ended for the first time."""
    ordered_ms = batch.now_ms if state is PurchaseState.ORDERED else None
    ended_ms = batch.now_ms if state in (PurchaseState.RECEIVED, PurchaseState.CANCELLED) else None
    batch.run(_STATE, id=row.id, state=str(state), ordered_ms=ordered_ms, ended_ms=ended_ms)


def _lines(batch: Batch, purchase: str) -> dict[str, PurchaseLine]:
    rows = batch.run(_LINES, id=purchase)
    return {
        row.sku: PurchaseLine(row.sku, row.quantity, row.unit_cost, row.received, row.returned, row.amount)
        for row in rows
    }


def _decided(found: list[Delivered] | tuple[str, str]) -> list[Delivered]:
    if isinstance(found, list):
        return found
    code, sku = found
    if code == "not_found":
        raise NotFound("the purchase order has no such line", sku=sku)
    raise Refused("insufficient", _WHY[code], sku=sku)


def _write_delivery(
    batch: Batch, command: ReceivePurchase | SendBack, row: Row[Any], kind: str, lines: Sequence[Delivered]
) -> str:
    delivery, amount = batch.mint(), sum(one.amount for one in lines)
    who = {"staff": command.staff, "why": command.why, "number": command.number, "now": batch.now_ms}
    batch.run(_DELIVERY, id=delivery, merchant=row.merchant, purchase=row.id, kind=kind, amount=amount, **who)
    rows = [{"delivery": delivery, "sku": one.sku, "units": one.units, "amount": one.amount} for one in lines]
    batch.run_many(_DELIVERED, rows)
    return delivery


def _note(batch: Batch, command: ReceivePurchase | SendBack, row: Row[Any], moved: Sequence[tuple[str, int]]) -> None:
    """Leave the counts that a person changed in the trail, under the order's number."""
    changes = []
    for sku, units in moved:
        there = on_hand(batch, row.merchant, sku)
        assert there is not None
        changes.append(Change(sku, "stock", there.free - units, there.free))
    why = f"{row.number} {command.number} {command.why}".strip()
    note(
        batch.connection, row.merchant, Hand(command.staff, why), changes, [batch.mint() for _ in changes], batch.now_ms
    )


def _write_step(batch: Batch, merchant: str, purchase: str, step: PurchaseStep, staff: str, why: str) -> None:
    known = {"merchant": merchant, "purchase": purchase, "step": str(step), "staff": staff, "why": why}
    batch.run(_STEP, id=batch.mint(), now=batch.now_ms, **known)


HANDLERS: Mapping[type, Callable[[Batch, Any], Any]] = {
    SavePurchase: save_purchase,
    StepPurchase: step_purchase,
    ReceivePurchase: receive_purchase,
    SendBack: send_back,
    PaySupplier: pay_supplier,
    SetCost: set_cost,
}
