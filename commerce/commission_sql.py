"""Commission from order to transfer, inside the ledger's transaction, in double entry.

order made     shop's cost ─▶ pending        order paid     pending ─▶ frozen (until the refund window is over)
cancelled      pending ─▶ shop's cost        window over    frozen ─▶ available, unless it is held
goods arrive   frozen for the days of a return at least; nothing is released while goods are on their way or asked about
refunded       pending, frozen or available ─▶ shop's cost, in proportion; available may fall below 0 (carried)

A partner's share (partner_share_sql.py) goes the same way on accounts of its own, with the contract's id in its row;
what everybody together gets of an order is within the order's cap. What is taken out of ``available`` is in
withdrawals_sql.py.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson
from sqlalchemy import Row, text

from commerce.accounts_sql import move
from commerce.attribution import bindings_sql
from commerce.commissions import Cleared, ClearHold, Release, Released
from commerce.compliance_sql import policy
from commerce.domain.accounts import SHOP, Leg
from commerce.domain.commission import (
    Earning,
    Rate,
    SoldLine,
    Terms,
    bases,
    earnings,
    kept,
    order_cap,
    refunded_lines,
    within,
)
from commerce.errors import NotFound, Refused
from commerce.events import OrderView
from commerce.identity.merge_sql import survivor
from commerce.ledger_batch_sql import Batch
from commerce.partner_share_sql import give, lapsed
from commerce.partner_share_sql import write as write_sale

DAY_MS = 86_400_000
EARNING = ("distributor", "partner")
"""Roles of a decision's credits that earn of the order."""
RELEASE_MAX = 500
"""Commissions released in one transaction."""
ORDERS_LOOKED_AT = 50
"""Newest orders of a distributor whose delivery phone is compared with the buyer's."""
REFUNDS_FROM = 10
"""Orders in 30 days from which on a refund rate says something."""

_RATES = text("SELECT scope, target, first_bp, second_bp FROM commission_rate WHERE merchant = :merchant")
_INSERT = text(
    "INSERT INTO commission (id, merchant, order_id, n, person, level, paid, base, rate_bp, rate_of, amount, reversed,"
    " state, held, created_ms, contract) VALUES (:id, :merchant, :order, :n, :person, :level, :paid, :base, :rate_bp,"
    " :rate_of, :amount, 0, 'pending', :held, :now, :contract)"
)
_OF_ORDER = text("SELECT * FROM commission WHERE order_id = :order AND state <> 'void' ORDER BY n, level")
_FORGET_VOID = text("DELETE FROM commission WHERE order_id = :order AND state = 'void'")
_FREEZE = text("UPDATE commission SET state = 'frozen', release_ms = :release_ms WHERE id = :id")
_WAIT = text(
    "UPDATE commission SET release_ms = :until WHERE order_id = :order AND state = 'frozen' AND release_ms < :until"
)
_STATE = text("UPDATE commission SET state = :state, reversed = :reversed WHERE id = :id")
_DUE = text(
    "SELECT * FROM commission AS c WHERE state = 'frozen' AND held = '' AND release_ms <= :now"
    # Nobody is paid for what nobody has paid.
    " AND NOT EXISTS (SELECT 1 FROM receivable AS d WHERE d.order_id = c.order_id AND d.closed_ms IS NULL)"
    # Nor while the buyer asks for the money back, or may still: goods on their way are arrived and kept first.
    " AND NOT EXISTS (SELECT 1 FROM after_sale AS a WHERE a.order_id = c.order_id AND a.ended_ms IS NULL)"
    " AND NOT EXISTS (SELECT 1 FROM orders AS o WHERE o.id = c.order_id AND o.fulfilment IN ('shipped', 'picked_up'))"
    " ORDER BY release_ms LIMIT :limit"
)
_HELD = text("SELECT * FROM commission WHERE id = :id AND merchant = :merchant")
_CLEAR = text("UPDATE commission SET held = '' WHERE order_id = :order AND held <> ''")
_BONUS = text("SELECT bonus, delivery FROM orders WHERE id = :order")
_BY_LINE = text("SELECT n, sum(amount) AS amount FROM refund_line WHERE order_id = :order GROUP BY n")
_LINES = text("SELECT n, quantity * price - discount AS paid FROM order_line WHERE order_id = :order ORDER BY n")
_UNPAID = text(
    "SELECT o.amount, o.refunded, d.lost FROM orders AS o JOIN receivable AS d ON d.order_id = o.id WHERE o.id = :order"
)
_VELOCITY = text(
    "SELECT count(DISTINCT order_id) FROM commission WHERE merchant = :merchant AND person = :person"
    " AND level = 1 AND created_ms > :since"
)
_REFUNDS = text(
    "SELECT count(*) AS orders, coalesce(sum(CASE WHEN o.refunded > 0 THEN 1 ELSE 0 END), 0) AS refunded FROM"
    " (SELECT DISTINCT order_id FROM commission WHERE merchant = :merchant AND person = :person AND level = 1"
    " AND created_ms > :since) AS c JOIN orders AS o ON o.id = c.order_id"
)
_DELIVERIES = text(
    "SELECT delivery FROM orders WHERE merchant = :merchant AND person = :person AND delivery IS NOT NULL"
    " ORDER BY id DESC LIMIT :limit"
)


@dataclass(frozen=True, slots=True)
class Sold:
    """What was sold, as far as it earns: an order, or a till's receipt. ``bonus`` 分 of it were the shop's own gift."""

    order: str
    buyer: str
    lines: Sequence[SoldLine]
    bonus: int = 0
    delivery: str | None = None


@dataclass(frozen=True, slots=True)
class _Owed:
    """What somebody is owed, and why that waits for somebody to look at it."""

    person: str
    held: str
    earning: Earning


def book(batch: Batch, merchant: str, order: OrderView) -> None:
    """Write what an order earns its distributor, who recruited them and its partner, by the rates of this moment."""
    if not earns(order.decision) or order.kind == "stored":
        # What is bought with stored value earns when it is bought: a top-up that earned, too, would be paid for twice.
        return
    bought = batch.run(_BONUS, order=order.order).one()
    lines = [
        SoldLine(n, line.sku, line.quantity * line.price - line.discount, line.category)
        for n, line in enumerate(order.lines)
    ]
    sold = Sold(order.order, order.person, lines, bought.bonus, bought.delivery)
    _book(batch, merchant, order.decision, sold)


def book_receipt(batch: Batch, merchant: str, decision: Mapping[str, Any] | None, sold: Sold, sold_ms: int) -> None:
    """Write what a sale at a till earns: it is paid, and its refund window runs since the till sold it."""
    if earns(decision):
        _book(batch, merchant, decision, sold)
        _freeze(batch, merchant, sold.order, sold_ms)


def earns(decision: Mapping[str, Any] | None) -> bool:
    """Whether a decision credits anybody who earns of the order."""
    return any(_credited(decision, role) for role in EARNING)


def _credited(decision: Mapping[str, Any] | None, role: str) -> str:
    """Whom a decision credits in a role; empty: nobody."""
    credit = ((decision or {}).get("credits") or {}).get(role)
    return str(credit["issuer"]) if credit else ""


def _book(batch: Batch, merchant: str, decision: Mapping[str, Any] | None, sold: Sold) -> None:
    terms = bindings_sql.terms(batch.connection, merchant)
    whole, partner = bases(sold.lines, sold.bonus), _credited(decision, "partner")
    given = None
    if partner:
        given = give(batch, merchant, partner, sold.order, sold.buyer, sold.lines, whole, terms)
    owed = _distributed(batch, merchant, _credited(decision, "distributor"), sold, terms)
    if given is not None and given.earned:
        held = _suspicion(batch, merchant, given.partner, given.owner, terms, sold.delivery)
        owed += [_Owed(given.partner, held, one) for one in given.earned]
    kept = within([one.earning for one in owed], order_cap(whole, terms))
    who = {_key(one.earning): one for one in owed}
    _write(batch, merchant, sold.order, [replace(who[_key(one)], earning=one) for one in kept])
    if given is not None:
        share = sum(one.amount for one in kept if one.contract)
        write_sale(batch, merchant, sold.order, sold.buyer, sum(whole), given, share)


def _key(earning: Earning) -> tuple[int, int, str]:
    return earning.n, earning.level, earning.contract


def _distributed(batch: Batch, merchant: str, credited: str, sold: Sold, terms: Terms) -> list[_Owed]:
    """What the distributor whom the decision credits is owed, and who recruited them."""
    if not credited:
        return []
    db, person = batch.connection, survivor(batch.connection, credited)
    own = bindings_sql.distributor(db, merchant, person)
    if own is None or own["state"] != "active":
        return []
    parent = _parent(batch, merchant, own["parent"], sold.buyer)
    rates = {(row.scope, row.target): _rate(row) for row in batch.run(_RATES, merchant=merchant)}
    level = None if parent is None else str(parent["level"])
    found = earnings(sold.lines, sold.bonus, rates, terms, own["level"], parent_level=level)
    if not found:
        return []
    held = _suspicion(batch, merchant, person, person, terms, sold.delivery)
    return [_Owed(person if one.level == 1 or parent is None else str(parent["person"]), held, one) for one in found]


def _write(batch: Batch, merchant: str, order: str, owed: Sequence[_Owed]) -> None:
    legs = []
    for one in owed:
        earned, family = one.earning, family_of(one.earning.contract)
        batch.run(
            _INSERT,
            id=batch.mint(),
            merchant=merchant,
            order=order,
            n=earned.n,
            person=one.person,
            level=earned.level,
            paid=earned.paid,
            base=earned.base,
            rate_bp=earned.rate_bp,
            rate_of=earned.rate.name,
            amount=earned.amount,
            held=one.held,
            now=batch.now_ms,
            contract=earned.contract,
        )
        legs += between(SHOP, f"{family}_cost", one.person, f"{family}_pending", earned.amount)
    if legs:
        move(batch, merchant, "commission", order, legs)


def family_of(contract: str) -> str:
    """Of which kinds the accounts are that it moves on: commission's, or a partner's share's."""
    return "share" if contract else "commission"


def _rate(row: Row[Any]) -> Rate:
    return Rate(row.scope, row.target, row.first_bp, row.second_bp)


def _parent(batch: Batch, merchant: str, parent: str | None, buyer: str) -> Mapping[str, Any] | None:
    """Who recruited the distributor, if they may earn of this order."""
    if parent is None:
        return None
    row = bindings_sql.distributor(batch.connection, merchant, survivor(batch.connection, parent))
    return row if row is not None and row["state"] == "active" and row["person"] != buyer else None


def _suspicion(batch: Batch, merchant: str, person: str, human: str | None, terms: Terms, delivery: str | None) -> str:
    """Why somebody should look before this is paid out: phone, velocity, refunds; empty when nothing speaks for it.

    ``human`` is who is behind ``person``: the same, or who runs a partner's business, if that is known.
    """
    if human is not None and delivery is not None and _phone(delivery):
        theirs = batch.run(_DELIVERIES, merchant=merchant, person=human, limit=ORDERS_LOOKED_AT).scalars()
        if _phone(delivery) in {_phone(one) for one in theirs}:
            return "same_phone"
    who = {"merchant": merchant, "person": person}
    if batch.run(_VELOCITY, since=batch.now_ms - DAY_MS, **who).scalar_one() >= terms.orders_a_day:
        return "velocity"
    row = batch.run(_REFUNDS, since=batch.now_ms - 30 * DAY_MS, **who).one()
    if row.orders >= REFUNDS_FROM and row.refunded * 100 >= row.orders * terms.refund_percent:
        return "refunds"
    return ""


def _phone(delivery: str) -> str:
    digits = "".join(character for character in str(orjson.loads(delivery).get("phone", "")) if character.isdigit())
    return digits[-11:]


def cancel(batch: Batch, merchant: str, order: str) -> None:
    """A cancelled order earns nothing."""
    _reverse(batch, merchant, order, lambda row: row.amount, state="void")


def freeze(batch: Batch, merchant: str, view: OrderView, paid_ms: int) -> None:
    """The money is there: it is theirs when the refund window is over. An order that came back from cancelled is
    booked anew."""
    if batch.run(_FORGET_VOID, order=view.order).rowcount:
        book(batch, merchant, view)
    _freeze(batch, merchant, view.order, paid_ms)


def _freeze(batch: Batch, merchant: str, order: str, paid_ms: int) -> None:
    rows = batch.run(_OF_ORDER, order=order).all()
    release_ms = paid_ms + bindings_sql.terms(batch.connection, merchant).freeze_days * DAY_MS if rows else 0
    late = lapsed(batch, merchant, order, paid_ms, [row.contract for row in rows])
    legs = []
    for row in rows:
        family = family_of(row.contract)
        if row.state == "pending" and row.contract and late:
            batch.run(_STATE, id=row.id, state="void", reversed=row.amount)
            legs += between(row.person, "share_pending", SHOP, "share_cost", row.amount - row.reversed)
        elif row.state == "pending":
            batch.run(_FREEZE, id=row.id, release_ms=release_ms)
            left = row.amount - row.reversed
            legs += between(row.person, f"{family}_pending", row.person, f"{family}_frozen", left)
    if legs:
        move(batch, merchant, "frozen", order, legs)


def arrived(batch: Batch, merchant: str, order: str, now_ms: int) -> None:
    """The buyer has the goods, and from now on some days to give them back: so long the commission waits at least."""
    batch.run(_WAIT, order=order, until=now_ms + policy(batch.connection, merchant).return_days * DAY_MS)


def refund(batch: Batch, merchant: str, order: OrderView) -> None:
    """Take back what was earned of what went back, wherever it is by now."""
    paid = {row.n: int(row.paid) for row in batch.run(_LINES, order=order.order)}
    by_line = {row.n: int(row.amount) for row in batch.run(_BY_LINE, order=order.order)}
    back = refunded_lines(paid, by_line, order.refunded)
    _reverse(batch, merchant, order.order, lambda row: row.amount - kept(row.amount, row.paid, back.get(row.n, 0)))


def lost(batch: Batch, merchant: str, order: str) -> None:
    """Take back what was earned of what a debt was given up for: nobody paid it."""
    row = batch.one(_UNPAID, order=order)
    if row is None or not batch.run(_OF_ORDER, order=order).first():
        return
    paid = {line.n: int(line.paid) for line in batch.run(_LINES, order=order)}
    by_line = {line.n: int(line.amount) for line in batch.run(_BY_LINE, order=order)}
    back = refunded_lines(paid, by_line, min(row.amount, row.refunded + row.lost))
    _reverse(batch, merchant, order, lambda one: one.amount - kept(one.amount, one.paid, back.get(one.n, 0)))


def refund_receipt(batch: Batch, merchant: str, receipt: str, paid: Mapping[int, int], refunded: int) -> None:
    """Take back what was earned of what a till gave back: it tells of an amount, which is shared over the lines."""
    back = refunded_lines(paid, {}, refunded)
    _reverse(batch, merchant, receipt, lambda row: row.amount - kept(row.amount, row.paid, back.get(row.n, 0)))


def _reverse(
    batch: Batch, merchant: str, order: str, reversed_of: Callable[[Row[Any]], int], state: str | None = None
) -> None:
    legs = []
    for row in batch.run(_OF_ORDER, order=order).all():
        # Goodwill is shared anew with each refund: what was taken back once stays so.
        total = max(row.reversed, reversed_of(row))
        batch.run(_STATE, id=row.id, state=state or row.state, reversed=total)
        family = family_of(row.contract)
        legs += between(row.person, f"{family}_{row.state}", SHOP, f"{family}_cost", total - row.reversed)
    if legs:
        move(batch, merchant, "reversed", order, legs)


def between(of: str, kind: str, to: str, to_kind: str, amount: int) -> list[Leg]:
    """Legs of a transfer from one account to another; none of nothing."""
    return [Leg(of, kind, -amount), Leg(to, to_kind, amount)] if amount else []


def release(batch: Batch, command: Release) -> Released:
    """Make available what is out of its refund window and not held; ``more`` when a bound cut it short."""
    rows = batch.run(_DUE, now=batch.now_ms, limit=RELEASE_MAX).all()
    for row in rows:
        batch.run(_STATE, id=row.id, state="available", reversed=row.reversed)
        amount, family = row.amount - row.reversed, family_of(row.contract)
        legs = between(row.person, f"{family}_frozen", row.person, f"{family}_available", amount)
        if legs:
            move(batch, row.merchant, "released", row.order_id, legs)
    return Released(len(rows), len(rows) == RELEASE_MAX)


def clear_hold(batch: Batch, command: ClearHold) -> Cleared:
    """Somebody looked, and it is good. Raises NotFound, Refused (already)."""
    row = batch.one(_HELD, id=command.commission, merchant=command.merchant)
    if row is None:
        raise NotFound("no such commission")
    if not row.held:
        raise Refused("already", "this commission is not held")
    return Cleared(batch.run(_CLEAR, order=row.order_id).rowcount)


HANDLERS: Mapping[type, Callable[[Batch, Any], Any]] = {Release: release, ClearHold: clear_hold}
