"""What an order takes from and gives to its buyer beside money and goods, inside the ledger's transaction.

create    points and stored value go from the person's accounts to held ones
paid      held → spent; what it earned comes (pending points, the payment's gift, stored value that was bought)
ended     held → back where it was
refunded  spent → back, and what was earned is taken back, each in proportion to the money (promise P7)
"""

from collections.abc import Sequence
from typing import Any

import orjson
from sqlalchemy import Connection, Row, text

from commerce import points_sql
from commerce.accounts_sql import balances, move
from commerce.domain.accounts import SHOP, Leg
from commerce.domain.member import PLAIN, Paid, Program, program_of, split_stored
from commerce.domain.money import portion
from commerce.domain.pricing import NOTHING, Price, Purse
from commerce.errors import Refused
from commerce.ledger_batch_sql import Batch
from commerce.pricing_sql import Line

_PROGRAM = text("SELECT terms FROM member_program WHERE merchant = :merchant")
_ORDERED = text(
    "SELECT coalesce(sum(amount + bonus), 0) FROM orders WHERE merchant = :merchant AND person = :person"
    " AND kind = 'stored' AND status = 'pending'"
)
_SET_BONUS = text("UPDATE orders SET bonus = :bonus WHERE id = :id")


def read_program(connection: Connection, merchant: str) -> Program:
    """A shop's terms; the plain ones when it has set none."""
    stored = connection.execute(_PROGRAM, {"merchant": merchant}).scalar_one_or_none()
    return PLAIN if stored is None else program_of(orjson.loads(stored))


def purse_of(connection: Connection, merchant: str, person: str, points: int, stored: int) -> Purse:
    """The points and stored value that a person asks to spend. Raises Refused (insufficient) when they have less."""
    if not points and not stored:
        return NOTHING
    have_on = balances(connection, merchant, person, ("points", "principal", "bonus"))
    if points > have_on["points"]:
        raise Refused("insufficient", "there are not that many points", left=have_on["points"])
    have = have_on["principal"] + have_on["bonus"]
    if stored > have:
        raise Refused("insufficient", "there is not that much stored value", left=have)
    return Purse(points, stored, read_program(connection, merchant).points_percent)


def check_stored_room(batch: Batch, merchant: str, person: str, lines: Sequence[Line]) -> None:
    """Refuse to sell a person more stored value than they may have. Raises Refused (limit)."""
    bought = sum(line.priced.quantity * line.priced.price for line in lines if line.kind == "stored")
    if bought:
        check_room(batch, merchant, person, bought + sum(line.bonus * line.priced.quantity for line in lines))


def check_room(batch: Batch, merchant: str, person: str, more: int) -> None:
    """Stored value is a debt of the shop: a person has at most so much of it, with what they have ordered.

    Orders count before they are paid, or two of them would pass the check together. Raises Refused (limit).
    """
    have = sum(balances(batch.connection, merchant, person, ("principal", "bonus")).values())
    have += int(batch.run(_ORDERED, merchant=merchant, person=person).scalar_one())
    most = read_program(batch.connection, merchant).stored_most
    if have + more > most:
        raise Refused(
            "limit", f"stored value is at most {most} 分 a person, there are {have}", left=max(0, most - have)
        )


def hold(batch: Batch, merchant: str, person: str, order: str, price: Price) -> int:
    """Set aside what a new order spends; how much of the stored value is bonus. Raises Refused (insufficient)."""
    points_sql.hold(batch, merchant, person, price.points, order)
    return _hold_stored(batch, merchant, person, order, price.stored)


def _hold_stored(batch: Batch, merchant: str, person: str, order: str, stored: int) -> int:
    if not stored:
        return 0
    have = balances(batch.connection, merchant, person, ("principal", "bonus"))
    if stored > sum(have.values()):
        raise Refused("insufficient", "there is not that much stored value", left=sum(have.values()))
    principal, bonus = split_stored(stored, have["principal"], have["bonus"])
    move(batch, merchant, "held", order, _legs(person, "", "_held", principal, bonus))
    return bonus


def _legs(person: str, of: str, to: str, principal: int, bonus: int) -> list[Leg]:
    """Principal and bonus between a person's own accounts ``NAME + of`` and ``NAME + to``."""
    return [
        Leg(person, "principal" + of, -principal),
        Leg(person, "principal" + to, principal),
        Leg(person, "bonus" + of, -bonus),
        Leg(person, "bonus" + to, bonus),
    ]


def hold_again(batch: Batch, row: Row[Any]) -> None:
    """Set aside anew what a cancelled order was to spend, as its money came late. Raises Refused (insufficient, limit).

    One that buys stored value spends none, and needs room for it.
    """
    if row.kind == "stored":
        check_room(batch, row.merchant, row.person, row.amount + row.bonus)
    points_sql.hold(batch, row.merchant, row.person, row.points, row.id)
    bonus = _hold_stored(batch, row.merchant, row.person, row.id, row.stored)
    if row.kind == "goods" and bonus != row.bonus:
        batch.run(_SET_BONUS, id=row.id, bonus=bonus)


def release(batch: Batch, row: Row[Any]) -> None:
    """A pending order ended: what it held goes back."""
    points_sql.release(batch, row.merchant, row.person, row.points, row.id)
    if row.stored:
        legs = _legs(row.person, "_held", "", row.stored - row.bonus, row.bonus)
        move(batch, row.merchant, "released", row.id, legs)


def spend(batch: Batch, row: Row[Any]) -> None:
    """An order is paid: what it held is gone, and stored value that it buys is there."""
    points_sql.spend(batch, row.merchant, row.person, row.points, row.id)
    if row.kind == "stored":
        legs = [Leg(SHOP, "stored_cash", -row.amount), Leg(row.person, "principal", row.amount)]
        legs += [Leg(SHOP, "stored_bonus", -row.bonus), Leg(row.person, "bonus", row.bonus)]
        move(batch, row.merchant, "bought", row.id, legs)
    elif row.stored:
        principal = row.stored - row.bonus
        legs = [Leg(row.person, "principal_held", -principal), Leg(SHOP, "stored_spent", principal)]
        legs += [Leg(row.person, "bonus_held", -row.bonus), Leg(SHOP, "bonus_spent", row.bonus)]
        move(batch, row.merchant, "spent", row.id, legs)


def refund(batch: Batch, row: Row[Any], amount: int) -> tuple[int, int, int]:
    """Give back what belongs to ``amount`` 分 of an order: (stored, of it bonus, points).

    What was earned is taken back. Stored value that was bought goes with its bonus: Refused (insufficient) when it was
    spent meanwhile.
    """
    before, after = row.refunded, row.refunded + amount
    if row.kind == "stored":
        _unbuy(batch, row, before, after)
        return 0, 0, 0
    paid = Paid(row.amount, row.stored, row.bonus, row.points)
    stored, bonus, points = (new - old for new, old in zip(paid.back(after), paid.back(before), strict=True))
    principal = stored - bonus
    legs = [Leg(SHOP, "stored_spent", -principal), Leg(row.person, "principal", principal)]
    legs += [Leg(SHOP, "bonus_spent", -bonus), Leg(row.person, "bonus", bonus)]
    if stored:
        move(batch, row.merchant, "returned", row.id, legs)
    points_sql.give_back(batch, row.merchant, row.person, points, row.id)
    points_sql.reverse(batch, row, before, after)
    return stored, bonus, points


def _unbuy(batch: Batch, row: Row[Any], before: int, after: int) -> None:
    bonus = portion(row.bonus, after, row.amount) - portion(row.bonus, before, row.amount)
    principal = after - before
    legs = [Leg(row.person, "principal", -principal), Leg(SHOP, "stored_cash", principal)]
    legs += [Leg(row.person, "bonus", -bonus), Leg(SHOP, "stored_bonus", bonus)]
    move(batch, row.merchant, "unbought", row.id, legs)
