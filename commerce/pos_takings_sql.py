"""Takings of tills inside the ledger's transaction: a sale or refund is booked once, when it is known how it was paid.

A till tells of its takings with the receipt, or sends the receipt again with them; what it never tells somebody may
write by hand. Until then the receipt waits, with what its goods cost (account 1406). A refund is booked after its sale.
Days are those of the books: what is told late is dated to when it was told, so that a closed day stays as it was.

A drawer's day ends with a count: what should be in it is what was left at the last count and the cash that was booked
since. What is more or less has a reason, and is booked.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Row, bindparam, text

from commerce.accounts_sql import balances, move
from commerce.categories_sql import of_articles
from commerce.domain.accounts import SHOP, Leg
from commerce.domain.day import day_bounds_ms, day_of
from commerce.domain.ids import id_time_ms
from commerce.domain.member import split_stored
from commerce.domain.money import AMOUNT_MAX, portion
from commerce.domain.takings import STORED, Takings, refund_fault, takings_fault, tax_of_lines
from commerce.errors import Conflict, Invalid, NotFound, Refused
from commerce.ledger import fingerprint
from commerce.ledger_batch_sql import Batch


@dataclass(frozen=True, slots=True)
class TellTakings:
    """Somebody writes down how a sale or refund (``ref``) was paid that its till never told of."""

    merchant: str
    staff: str
    ref: str
    takings: Takings
    why: str


@dataclass(frozen=True, slots=True)
class TakingsDone:
    """What was booked for a sale or a refund."""

    ref: str
    outlet: str
    amount: int
    tax: int
    cost: int


@dataclass(frozen=True, slots=True)
class CloseTill:
    """A drawer was counted at the end of a day. ``banked``: of it taken to the bank; below 0: change put in."""

    merchant: str
    outlet: str
    staff: str
    day: str
    counted: int
    banked: int = 0
    why: str = ""


@dataclass(frozen=True, slots=True)
class TillCloseView:
    """A count: ``opening + cash + difference = counted``; ``counted - banked`` is the next opening."""

    id: str
    outlet: str
    day: str
    opening: int
    cash: int
    counted: int
    difference: int
    banked: int
    why: str
    staff: str
    at_ms: int


_RATES = text(
    "SELECT t.sku, t.basis_points FROM sku_tax AS t WHERE t.merchant = :merchant AND t.sku IN :skus"
    " AND t.from_ms = (SELECT max(n.from_ms) FROM sku_tax AS n WHERE n.merchant = t.merchant AND n.sku = t.sku"
    " AND n.from_ms <= :at)"
).bindparams(bindparam("skus", expanding=True))
_COST = text(
    "SELECT CAST(coalesce(sum(cost), 0) AS bigint) FROM stock_entry WHERE merchant = :merchant AND created_ms = :at"
    " AND kind = :kind AND ref = :ref"
)
_BOOK_SALE = text(
    "UPDATE pos_receipt SET discount = :discount, tax = :tax, cost = :cost, told = :told, told_by = :by,"
    " told_why = :why, booked_ms = :now WHERE id = :id AND booked_ms IS NULL"
)
_BOOK_REFUND = text(
    "UPDATE pos_refund SET tax = :tax, cost = :cost, told = :told, told_by = :by, told_why = :why,"
    " booked_ms = :now WHERE id = :id AND booked_ms IS NULL"
)
_BOOKED_BACK = text(
    "SELECT CAST(coalesce(sum(amount), 0) AS bigint) AS amount, CAST(coalesce(sum(tax), 0) AS bigint) AS tax"
    " FROM pos_refund WHERE receipt = :receipt AND booked_ms IS NOT NULL"
)
_INSERT = text(
    "INSERT INTO pos_tender (ref, tender, receipt, merchant, outlet, amount, bonus, booked_ms)"
    " VALUES (:ref, :tender, :receipt, :merchant, :outlet, :amount, :bonus, :now)"
)
_PAID = text(
    "SELECT tender, CAST(sum(amount) AS bigint) AS amount, CAST(sum(bonus) AS bigint) AS bonus FROM pos_tender"
    " WHERE receipt = :receipt GROUP BY tender"
)
_STORED = text("SELECT amount, bonus FROM pos_tender WHERE ref = :receipt AND tender = 'stored'")
_RECEIPT = text("SELECT * FROM pos_receipt WHERE id = :id AND merchant = :merchant")
_REFUND = text("SELECT * FROM pos_refund WHERE id = :id AND merchant = :merchant")
_OUTLET = text("SELECT id FROM outlet WHERE id = :outlet AND merchant = :merchant")
_LAST_CLOSE = text("SELECT * FROM till_close WHERE outlet = :outlet ORDER BY day DESC LIMIT 1")
_CLOSE_OF = text("SELECT * FROM till_close WHERE outlet = :outlet AND day = :day")
_CASH = text(
    "SELECT CAST(coalesce(sum(amount), 0) AS bigint) FROM pos_tender WHERE outlet = :outlet AND tender = 'cash'"
    " AND till_close IS NULL"
)
_COUNTED = text(
    "UPDATE pos_tender SET till_close = :id WHERE outlet = :outlet AND tender = 'cash' AND till_close IS NULL"
)
_CLOSE = text(
    "INSERT INTO till_close (id, merchant, outlet, day, opening, cash, counted, difference, banked, why, staff, at_ms)"
    " VALUES (:id, :merchant, :outlet, :day, :opening, :cash, :counted, :difference, :banked, :why, :staff, :now)"
)


def print_of(takings: Takings) -> str:
    """What makes takings that are told again the same."""
    return fingerprint(sorted(takings.tenders), takings.discount, takings.tax)


def told_before(row: Row[Any], takings: Takings) -> bool:
    """Whether a receipt or refund was booked, with these takings. Raises Conflict when with others."""
    if row.booked_ms is None:
        return False
    # Takings that somebody wrote by hand stand: the till's own come too late.
    if row.told != print_of(takings) and not row.told_by:
        raise Conflict("the takings of this number were told before, and were others")
    return True


def book_sale(batch: Batch, row: Row[Any], takings: Takings, shown: str | None, by: str = "", why: str = "") -> int:
    """Book a receipt's takings, and say what of it was paid with the bonus of stored value.

    ``shown`` is the member whose code was shown with the sale. Raises Invalid, Refused (insufficient).
    """
    _check(takings, row.amount)
    sold = orjson.loads(row.lines)
    tax = _tax(batch, row.merchant, sold, row.amount, row.sold_ms) if takings.tax is None else takings.tax
    cost = -_cost(batch, row.merchant, "till", row.id)
    batch.run(
        _BOOK_SALE, id=row.id, discount=takings.discount, tax=tax, cost=cost, told=print_of(takings), by=by,
        why=why, now=batch.now_ms,
    )  # fmt: skip
    of_bonus = 0
    for tender, amount in takings.tenders:
        bonus = _spend(batch, row, amount, shown) if tender == STORED else 0
        of_bonus += bonus
        _write(batch, row, row.id, row.id, tender, amount, bonus)
    return of_bonus


def book_refund(batch: Batch, sale: Row[Any], row: Row[Any], takings: Takings, by: str = "", why: str = "") -> None:
    """Book how a refund was given. Raises Invalid, Refused (not_open: the sale waits for its own takings)."""
    _check(takings, row.amount)
    if takings.discount:
        raise Invalid("a refund has no discount", field="takings")
    if sale.booked_ms is None:
        raise Refused(
            "not_open", "the takings of the sale come first: send its receipt again with them", field="receipt"
        )
    left = {paid.tender: paid for paid in batch.run(_PAID, receipt=sale.id)}
    fault = refund_fault({name: int(paid.amount) for name, paid in left.items()}, takings.tenders)
    if fault is not None:
        raise Invalid(fault, field="takings")
    before = batch.run(_BOOKED_BACK, receipt=sale.id).one()
    upto = int(before.amount) + row.amount
    tax = portion(sale.tax, upto, sale.amount) - int(before.tax) if takings.tax is None else takings.tax
    tax = sale.tax - int(before.tax) if upto == sale.amount else min(max(tax, 0), sale.tax - int(before.tax))
    cost = _cost(batch, row.merchant, "returned", row.id)
    batch.run(_BOOK_REFUND, id=row.id, tax=tax, cost=cost, told=print_of(takings), by=by, why=why, now=batch.now_ms)
    for tender, amount in takings.tenders:
        bonus = _give_back(batch, sale, row.id, amount, left[STORED]) if tender == STORED else 0
        _write(batch, row, row.id, sale.id, tender, -amount, -bonus)


def _check(takings: Takings, amount: int) -> None:
    fault = takings_fault(takings, amount)
    if fault is not None:
        raise Invalid(fault[1], field=fault[0])


def _write(batch: Batch, row: Row[Any], ref: str, receipt: str, tender: str, amount: int, bonus: int) -> None:
    where = {"merchant": row.merchant, "outlet": row.outlet}
    batch.run(
        _INSERT, ref=ref, receipt=receipt, tender=tender, amount=amount, bonus=bonus, now=batch.now_ms, **where
    )  # fmt: skip


def _cost(batch: Batch, merchant: str, kind: str, ref: str) -> int:
    # Its goods moved when it was written, and its id says when that was.
    return int(batch.run(_COST, merchant=merchant, at=id_time_ms(ref), kind=kind, ref=ref).scalar_one())


def _tax(batch: Batch, merchant: str, lines: list[dict[str, Any]], amount: int, sold_ms: int) -> int:
    """What the shop's rates of the day of the sale say; an article that the shop does not know has the shop's own."""
    known = of_articles(batch.connection, merchant, (line["article"] for line in lines))
    sold = [(known.get(line["article"], ("", ""))[0], line["amount"]) for line in lines]
    asked = sorted({"", *(sku for sku, _ in sold)})
    rates = {row.sku: row.basis_points for row in batch.run(_RATES, merchant=merchant, skus=asked, at=sold_ms)}
    return tax_of_lines(sold, amount, rates)


def _spend(batch: Batch, row: Row[Any], stored: int, shown: str | None) -> int:
    """Take stored value from the member who showed their code; how much of it is bonus."""
    if row.person is None or shown != row.person:
        raise Invalid("stored value is paid with by the member's own code, when the sale is told", field="member")
    have = balances(batch.connection, row.merchant, row.person, ("principal", "bonus"))
    if stored > sum(have.values()):
        raise Refused("insufficient", "there is not that much stored value", left=sum(have.values()))
    principal, bonus = split_stored(stored, have["principal"], have["bonus"])
    move(batch, row.merchant, "till", row.id, _legs(row.person, principal, bonus))
    return bonus


def _give_back(batch: Batch, sale: Row[Any], refund: str, stored: int, left: Row[Any]) -> int:
    """Give stored value back as it was spent; how much of it is bonus."""
    spent = batch.run(_STORED, receipt=sale.id).one()
    before, given = spent.amount - int(left.amount), spent.bonus - int(left.bonus)
    bonus: int = portion(spent.bonus, before + stored, spent.amount) - given
    move(batch, sale.merchant, "till", refund, _legs(sale.person, bonus - stored, -bonus))
    return bonus


def _legs(person: str, principal: int, bonus: int) -> list[Leg]:
    return [
        Leg(person, "principal", -principal),
        Leg(SHOP, "stored_spent", principal),
        Leg(person, "bonus", -bonus),
        Leg(SHOP, "bonus_spent", bonus),
    ]


def tell_takings(batch: Batch, command: TellTakings) -> TakingsDone:
    """Book by hand what waits. Raises NotFound, Refused (already, not_open), Invalid."""
    sale = batch.one(_RECEIPT, id=command.ref, merchant=command.merchant)
    refund = None if sale is not None else batch.one(_REFUND, id=command.ref, merchant=command.merchant)
    row = sale or refund
    if row is None:
        raise NotFound("no such receipt or refund of a till")
    if row.booked_ms is not None:
        raise Refused("already", "its takings are in the books")
    if refund is None:
        book_sale(batch, row, command.takings, None, command.staff, command.why)
    else:
        of = batch.one(_RECEIPT, id=refund.receipt, merchant=command.merchant)
        assert of is not None
        book_refund(batch, of, refund, command.takings, command.staff, command.why)
    done = batch.one(_RECEIPT if refund is None else _REFUND, id=row.id, merchant=command.merchant)
    assert done is not None
    return TakingsDone(row.id, row.outlet, row.amount, done.tax, done.cost)


def close_till(batch: Batch, command: CloseTill) -> TillCloseView:
    """Count a drawer at the end of a day; told again alike it answers as before.

    Raises NotFound, Conflict (closed with other figures), Refused (already: a later day is closed; difference: without
    a reason), Invalid.
    """
    if batch.one(_OUTLET, outlet=command.outlet, merchant=command.merchant) is None:
        raise NotFound("no such store", field="outlet")
    _check_day(command.day, batch.now_ms)
    known = batch.one(_CLOSE_OF, outlet=command.outlet, day=command.day)
    if known is not None:
        if (known.counted, known.banked) != (command.counted, command.banked):
            raise Conflict("this day was closed with other figures: what came since is in the next day's count")
        return close_view(known)
    last = batch.one(_LAST_CLOSE, outlet=command.outlet)
    if last is not None and last.day > command.day:
        raise Refused("already", f"this till is closed through {last.day}", day=last.day)
    if not 0 <= command.counted <= AMOUNT_MAX or not command.counted - AMOUNT_MAX <= command.banked <= command.counted:
        raise Invalid("what is counted is not below 0, and what is banked is not more", field="counted")
    opening = 0 if last is None else last.counted - last.banked
    cash = int(batch.run(_CASH, outlet=command.outlet).scalar_one())
    difference = command.counted - opening - cash
    if difference and not command.why:
        raise Refused(
            "difference", f"{opening + cash} 分 should be there: say why it is another sum", expected=opening + cash
        )
    close = batch.mint()
    batch.run(
        _CLOSE, id=close, merchant=command.merchant, outlet=command.outlet, day=command.day, opening=opening, cash=cash,
        counted=command.counted, difference=difference, banked=command.banked, why=command.why, staff=command.staff,
        now=batch.now_ms,
    )  # fmt: skip
    batch.run(_COUNTED, id=close, outlet=command.outlet)
    written = batch.one(_CLOSE_OF, outlet=command.outlet, day=command.day)
    assert written is not None
    return close_view(written)


def _check_day(day: str, now_ms: int) -> None:
    try:
        day_bounds_ms(day)
    except ValueError as error:
        raise Invalid(str(error), field="day") from error
    if day > day_of(now_ms):
        raise Invalid("that day has not begun", field="day")


def close_view(row: Row[Any]) -> TillCloseView:
    """A ``SELECT *`` row of ``till_close``."""
    return TillCloseView(
        row.id, row.outlet, row.day, row.opening, row.cash, row.counted, row.difference, row.banked, row.why,
        row.staff, row.at_ms,
    )  # fmt: skip


HANDLERS: Mapping[type, Callable[[Batch, Any], Any]] = {TellTakings: tell_takings, CloseTill: close_till}
