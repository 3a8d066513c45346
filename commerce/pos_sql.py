"""Receipts of tills inside the ledger's transaction: told once, whenever that is; same person, same points.

The money is the till's; what it took is booked with the receipt, or later (pos_takings_sql.py). What a member bought in
a store counts for the tier as what they bought in a room does, and earns points by the terms of the day on which it was
sold; a refund at the till takes them back in proportion. Whoever brought the buyer is credited as with any order, and
the seller whose code is on the receipt if nobody did. A receipt's number is its key in its store: told again it answers
as before.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from types import SimpleNamespace
from typing import Any, cast

import orjson
from sqlalchemy import Connection, Row, text
from sqlalchemy.exc import DataError, IntegrityError

from commerce import commission_sql, points_sql, pos_takings_sql
from commerce.attribution import bindings_sql
from commerce.attribution.bindings_sql import Claim
from commerce.categories_sql import of_articles
from commerce.domain.commission import SoldLine
from commerce.domain.day import DAY_MS
from commerce.domain.member import points_for
from commerce.domain.pos import Receipt, receipt_fault, time_fault
from commerce.domain.takings import Takings
from commerce.errors import CommerceError, Conflict, Invalid, NotFound, Refused
from commerce.identity.join import ImportMembers, MemberRow
from commerce.identity.join_sql import import_members
from commerce.identity.merge_sql import survivor
from commerce.ledger import fingerprint
from commerce.ledger_batch_sql import Batch
from commerce.members_sql import rank, standing
from commerce.memberships_sql import benefits_of
from commerce.pos_takings_sql import book_refund, book_sale, told_before
from commerce.pos_units_sql import give_units, take_units
from commerce.wallet_sql import read_program

log = logging.getLogger(__name__)

LIST_MAX = 500


@dataclass(frozen=True, slots=True)
class TakeReceipt:
    """A till's sale. The buyer: ``person``, or whoever has the phone ``digest``; ``join`` makes a stranger a member.

    ``decision`` says who brought them, as of the sale; None of somebody who is not known yet.
    """

    merchant: str
    outlet: str
    receipt: Receipt
    person: str | None = None
    digest: str = ""
    sealed: str = ""
    name: str = ""
    join: bool = False
    decision: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class TakeRefund:
    """A refund at the till: ``number`` is its own, ``receipt`` that of the sale.

    ``lines`` (article, units) came back into the store, as ``stock`` says: sellable or quarantine. ``takings``: how the
    money was given; None of a till that tells of it later, or never.
    """

    merchant: str
    outlet: str
    number: str
    receipt: str
    amount: int
    refunded_ms: int
    lines: tuple[tuple[str, int], ...] = ()
    stock: str = "sellable"
    takings: Takings | None = None


@dataclass(frozen=True, slots=True)
class ReceiptView:
    """What became of a receipt: whose it is, what it earned, whether it had been told before, is in the books."""

    receipt: str
    number: str
    person: str | None
    seller: str | None
    amount: int
    refunded: int
    points: int
    again: bool
    booked: bool


_RECEIPT = text("SELECT * FROM pos_receipt WHERE outlet = :outlet AND number = :number")
_INSERT = text(
    "INSERT INTO pos_receipt (id, merchant, outlet, number, hash, person, seller, amount, refunded, lines, decision,"
    " sold_ms, received_ms, node) VALUES (:id, :merchant, :outlet, :number, :hash, :person, :seller, :amount, 0,"
    " :lines, :decision, :sold_ms, :now, :node)"
)
# Whom a sale counts for, as orders do: the seller's node, else the store's, else nobody's (empty).
_NODE = text(
    "SELECT coalesce((SELECT m.node FROM org_member AS m WHERE m.staff = :seller AND m.merchant = :merchant"
    " AND m.left_ms IS NULL), (SELECT x.node FROM outlet AS x WHERE x.id = :outlet), '')"
)
_REFUND = text("SELECT * FROM pos_refund WHERE outlet = :outlet AND number = :number")
_INSERT_REFUND = text(
    "INSERT INTO pos_refund (id, merchant, outlet, number, hash, receipt, amount, refunded_ms, received_ms)"
    " VALUES (:id, :merchant, :outlet, :number, :hash, :receipt, :amount, :refunded_ms, :now)"
)
_GIVE = text("UPDATE pos_receipt SET refunded = refunded + :amount WHERE id = :id")
_SELLER = text(
    "SELECT issuer FROM pos_code WHERE merchant = :merchant AND code = :code"
    " AND (closed_ms IS NULL OR closed_ms > :sold_ms)"
)
_OWNER = text("SELECT person FROM identity WHERE merchant = :merchant AND kind = 'phone' AND value = :digest")
_POINTS = text("SELECT coalesce(sum(granted), 0) FROM points_lot WHERE merchant = :merchant AND ref = :receipt")
_KNOWN = text("SELECT id FROM person WHERE id = :id AND merchant = :merchant")


def take_receipt(batch: Batch, command: TakeReceipt) -> ReceiptView:
    """Write a receipt. Raises Invalid, NotFound (seller's code, member), Conflict (the number is another sale's)."""
    receipt, merchant = command.receipt, command.merchant
    fault = receipt_fault(receipt, batch.now_ms)
    if fault is not None:
        raise Invalid(fault, field="receipt")
    lines = orjson.dumps([asdict(line) for line in receipt.lines]).decode()
    body = fingerprint(receipt.amount, receipt.sold_ms, receipt.staff_code, lines)
    known = batch.one(_RECEIPT, outlet=command.outlet, number=receipt.number)
    if known is not None:
        if known.hash != body:
            raise Conflict("this receipt's number was used for another sale")
        if receipt.takings is not None and not told_before(known, receipt.takings):
            book_sale(batch, known, receipt.takings, None)
        return _view(batch, _found(batch, command.outlet, receipt.number), again=True)
    seller = None
    if receipt.staff_code:
        seller = batch.run(_SELLER, merchant=merchant, code=receipt.staff_code, sold_ms=receipt.sold_ms).scalar()
        if seller is None:
            raise NotFound("no seller has this code", field="staff_code")
    person = _buyer(batch, command)
    decision = None if person is None else _with_seller(batch, command, person, seller)
    identifier = batch.mint()
    batch.run(
        _INSERT,
        id=identifier,
        merchant=merchant,
        outlet=command.outlet,
        number=receipt.number,
        hash=body,
        person=person,
        seller=seller,
        amount=receipt.amount,
        lines=lines,
        decision=None if decision is None else orjson.dumps(decision).decode(),
        sold_ms=receipt.sold_ms,
        now=batch.now_ms,
        node=batch.run(_NODE, seller=seller or "", merchant=merchant, outlet=command.outlet).scalar_one(),
    )
    take_units(batch, merchant, command.outlet, identifier, receipt.lines)
    bonus = 0
    if receipt.takings is not None:
        shown = None if command.person is None else person
        bonus = book_sale(batch, _found(batch, command.outlet, receipt.number), receipt.takings, shown)
    if person is not None:
        _earn(batch, merchant, person, identifier, receipt, bonus)
        _credit(batch, merchant, person, identifier, receipt, decision, bonus)
    return _view(batch, _found(batch, command.outlet, receipt.number), again=False)


def _buyer(batch: Batch, command: TakeReceipt) -> str | None:
    merchant = command.merchant
    if command.person is not None:
        person = survivor(batch.connection, command.person)
        if batch.one(_KNOWN, id=person, merchant=merchant) is None:
            raise NotFound("no such member", field="member")
        return person
    if not command.digest:
        return None
    found = batch.run(_OWNER, merchant=merchant, digest=command.digest).scalar_one_or_none()
    if found is None and command.join:
        row = MemberRow(1, command.digest, command.sealed, command.name)
        # The cashier asked; the register is the basis, and the number is nobody's until they have shown it.
        import_members(
            batch, ImportMembers(merchant, command.outlet, (row,), "member", "store_register", "joined at the till")
        )
        found = batch.run(_OWNER, merchant=merchant, digest=command.digest).scalar_one_or_none()
    return None if found is None else str(found)


def _with_seller(batch: Batch, command: TakeReceipt, person: str, seller: str | None) -> Mapping[str, Any] | None:
    """The decision with the seller in their own role, if it credits nobody in that; nobody sells to themselves."""
    decision, merchant = command.decision, command.merchant
    if seller is None:
        return decision
    for role in ("distributor", "guide"):
        claim = Claim(merchant, person, seller, role, "", "store")
        taken = ((decision or {}).get("credits") or {}).get(role)
        if taken or bindings_sql.refused(batch.connection, claim, seller, person) is not None:
            continue
        credit = {"issuer": seller, "link": "", "channel": "store", "source": "till", "rule": "till"}
        credits = {**((decision or {}).get("credits") or {}), role: {**credit, "ms": command.receipt.sold_ms}}
        return {**(decision or _nobody(command.receipt.sold_ms)), "credits": credits}
    return decision


def _nobody(sold_ms: int) -> dict[str, Any]:
    """The decision on a buyer of whom nothing was known."""
    return {"model": "default", "winner": None, "rule": "no valid candidate", "losers": [], "models": {}} | {
        "decided_ms": sold_ms, "window_ms": 0, "omitted": 0
    }  # fmt: skip


def _credit(
    batch: Batch, merchant: str, person: str, identifier: str, receipt: Receipt, decision: Mapping[str, Any] | None,
    bonus: int,
) -> None:  # fmt: skip
    """Book what a sale means for who brought its buyer. What cannot be booked is logged, and the sale stands."""
    known = of_articles(batch.connection, merchant, (one.article for one in receipt.lines))
    goods = [known.get(one.article, (one.article, "")) for one in receipt.lines]
    sold = [
        SoldLine(n, sku, one.amount, category)
        for n, (one, (sku, category)) in enumerate(zip(receipt.lines, goods, strict=True))
    ]
    lines = sold or [SoldLine(0, "", receipt.amount)]
    try:
        with batch.connection.begin_nested():
            bindings_sql.renew(batch.connection, merchant, person, receipt.sold_ms)
            whole = commission_sql.Sold(identifier, person, lines, bonus)
            commission_sql.book_receipt(batch, merchant, decision, whole, receipt.sold_ms)
    except (CommerceError, ValueError, IntegrityError, DataError):
        log.exception("commission of receipt %s was not booked", identifier)


def _earn(batch: Batch, merchant: str, person: str, identifier: str, receipt: Receipt, bonus: int) -> None:
    program = read_program(batch.connection, merchant)
    tier = standing(batch.connection, merchant, person).tier
    more = benefits_of(batch.connection, merchant, person, receipt.sold_ms).points_percent
    points = points_for(program, tier, receipt.amount - bonus, receipt.sold_ms, more)
    points_sql.grant(batch, merchant, person, points, "order", identifier)
    # The goods are in the buyer's hands: the refund window runs since the sale, not since the till came online.
    points_sql.order_done(batch, identifier, receipt.sold_ms + program.window_days * DAY_MS)
    rank(batch, merchant, person, program)


def take_refund(batch: Batch, command: TakeRefund) -> ReceiptView:
    """Write a refund; the sale must have come before. Raises Invalid, NotFound, Conflict, Refused (over_refund)."""
    fault = time_fault(command.refunded_ms, batch.now_ms)
    if fault is not None or command.amount <= 0:
        raise Invalid(fault or "amount is at least 1 分", field="refund")
    goods = (*command.lines, command.stock) if command.lines else ()
    body = fingerprint(command.receipt, command.amount, command.refunded_ms, *goods)
    known = batch.one(_REFUND, outlet=command.outlet, number=command.number)
    row = _found(batch, command.outlet, command.receipt)
    if known is not None:
        if known.hash != body:
            raise Conflict("this number was used for another refund")
        if command.takings is not None and not told_before(known, command.takings):
            book_refund(batch, row, known, command.takings)
            known = batch.one(_REFUND, outlet=command.outlet, number=command.number)
        return _view(batch, row, again=True, refund=known)
    if command.amount > row.amount - row.refunded:
        raise Refused("over_refund", "that is more than is left to refund", left=row.amount - row.refunded)
    refund = batch.mint()
    batch.run(
        _INSERT_REFUND,
        id=refund,
        merchant=command.merchant,
        outlet=command.outlet,
        number=command.number,
        hash=body,
        receipt=row.id,
        amount=command.amount,
        refunded_ms=command.refunded_ms,
        now=batch.now_ms,
    )
    batch.run(_GIVE, id=row.id, amount=command.amount)
    if command.lines:
        give_units(batch, row.merchant, row.id, refund, command.lines, command.stock)
    written = batch.one(_REFUND, outlet=command.outlet, number=command.number)
    if command.takings is not None and written is not None:
        book_refund(batch, row, written, command.takings)
        written = batch.one(_REFUND, outlet=command.outlet, number=command.number)
    if row.person is not None:
        order = SimpleNamespace(id=row.id, merchant=row.merchant, person=row.person, amount=row.amount)
        points_sql.reverse(batch, cast(Row[Any], order), row.refunded, row.refunded + command.amount)
        rank(batch, row.merchant, row.person, read_program(batch.connection, row.merchant))
        amounts = {n: line["amount"] for n, line in enumerate(orjson.loads(row.lines))} or {0: row.amount}
        commission_sql.refund_receipt(batch, row.merchant, row.id, amounts, row.refunded + command.amount)
    return _view(batch, _found(batch, command.outlet, command.receipt), again=False, refund=written)


def _found(batch: Batch, outlet: str, number: str) -> Row[Any]:
    row = batch.one(_RECEIPT, outlet=outlet, number=number)
    if row is None:
        raise NotFound("this store has told of no receipt of that number: send the sale first", field="receipt")
    return row


def _view(batch: Batch, row: Row[Any], *, again: bool, refund: Row[Any] | None = None) -> ReceiptView:
    points = int(batch.run(_POINTS, merchant=row.merchant, receipt=row.id).scalar_one())
    booked = (row if refund is None else refund).booked_ms is not None
    return ReceiptView(row.id, row.number, row.person, row.seller, row.amount, row.refunded, points, again, booked)


# --- outside the ledger ----------------------------------------------------------------------------------------------

_DECISION = text("SELECT decision FROM pos_receipt WHERE merchant = :merchant AND id = :id")
_SET_CODE = text(
    "INSERT INTO pos_code (merchant, code, issuer, name, created_ms) VALUES (:merchant, :code, :issuer, :name, :now)"
    " ON CONFLICT (merchant, code) DO NOTHING"
)
_END_CODE = text(
    "UPDATE pos_code SET closed_ms = :now WHERE merchant = :merchant AND code = :code AND closed_ms IS NULL"
)
_CODES = text(
    "SELECT code, issuer, name, created_ms, closed_ms FROM pos_code WHERE merchant = :merchant"
    " ORDER BY code LIMIT :limit"
)
_SUMS = text(
    "SELECT r.outlet, o.name, r.seller, c.name AS seller_name, count(*) AS receipts, count(DISTINCT r.person) AS"
    " members, sum(r.amount) AS amount, sum(r.refunded) AS refunded FROM pos_receipt AS r JOIN outlet AS o"
    " ON o.id = r.outlet LEFT JOIN (SELECT merchant, issuer, min(name) AS name FROM pos_code GROUP BY merchant, issuer)"
    " AS c ON c.merchant = r.merchant AND c.issuer = r.seller WHERE r.merchant = :merchant AND r.sold_ms >= :since"
    " AND r.sold_ms < :until GROUP BY r.outlet, o.name, r.seller, c.name ORDER BY r.outlet, r.seller"
)


def decision(db: Connection, merchant: str, receipt: str) -> dict[str, Any] | None:
    """Who was credited for a receipt. Raises NotFound."""
    found = db.execute(_DECISION, {"merchant": merchant, "id": receipt}).one_or_none()
    if found is None:
        raise NotFound("no such receipt")
    read: dict[str, Any] | None = None if found.decision is None else orjson.loads(found.decision)
    return read


def by_phone(db: Connection, merchant: str, digest: str) -> str | None:
    """Who has a number, by its keyed hash."""
    found = db.execute(_OWNER, {"merchant": merchant, "digest": digest}).scalar_one_or_none()
    return None if found is None else str(found)


def set_code(db: Connection, **row: Any) -> None:
    """Give a seller a code for good: receipts of long ago may still name it. Raises Refused (already)."""
    if not db.execute(_SET_CODE, row).rowcount:
        raise Refused("already", "this code is somebody's")


def end_code(db: Connection, merchant: str, code: str, now_ms: int) -> None:
    """A seller left: the code is good for sales until now, whenever their till tells of them. Raises NotFound."""
    if not db.execute(_END_CODE, {"merchant": merchant, "code": code, "now": now_ms}).rowcount:
        raise NotFound("no seller has this code")


def codes(db: Connection, merchant: str) -> list[dict[str, Any]]:
    """The sellers' codes."""
    return [dict(row) for row in db.execute(_CODES, {"merchant": merchant, "limit": LIST_MAX}).mappings()]


def sums(db: Connection, merchant: str, since_ms: int, until_ms: int) -> list[dict[str, Any]]:
    """What each store and seller sold between two times, by the tills' clocks."""
    asked = {"merchant": merchant, "since": since_ms, "until": until_ms}
    return [dict(row) for row in db.execute(_SUMS, asked).mappings()]


HANDLERS: Mapping[type, Callable[[Batch, Any], Any]] = {
    TakeReceipt: take_receipt,
    TakeRefund: take_refund,
    **pos_takings_sql.HANDLERS,
}
