"""Deposits of presales inside the ledger's transaction, as what happens to their orders moves them.

Called from where orders are made, paid, ended and refunded; what becomes of a deposit in the end is in presales_sql.
"""

from typing import Any

import orjson
from sqlalchemy import Row, text

from commerce.custom_sql import resume_production
from commerce.deadlines_sql import arm
from commerce.domain.order import OrderStatus
from commerce.domain.pricing import PricedLine, Step, price_order
from commerce.errors import Refused
from commerce.events import BalanceDue, OrderCreated
from commerce.ledger import ORDER_HOLD_MS
from commerce.ledger_batch_sql import Batch
from commerce.views_sql import order_view

DUE = "presale"
"""The kind of a presale's deadline; its subject is the deposit's order."""
OPENS = "balance"
"""The kind of the moment from which a balance can be paid; its subject is the deposit's order."""

_INSERT = text(
    "INSERT INTO presale (id, merchant, sale, price, from_ms, until_ms, missed)"
    " SELECT :order, merchant, id, :price, balance_from_ms, balance_until_ms, balance_missed FROM sale WHERE id = :sale"
)
_INSERT_OFFER = text(
    "INSERT INTO presale (id, merchant, sale, price, from_ms, until_ms, missed)"
    " VALUES (:order, :merchant, '', :price, :now, :until, :missed)"
)
_OF = text("SELECT * FROM presale WHERE id = :id")
_ORDER = text("SELECT * FROM orders WHERE id = :id")
_LINE = text("SELECT sku, quantity FROM order_line WHERE order_id = :id")
_NEW_ORDER = text(
    "INSERT INTO orders (id, merchant, room, person, status, goods, discount, amount, steps, decision, card,"
    " entered_ms, created_ms, expires_ms, delivery, presale, node, outlet) SELECT :id, merchant, room, person,"
    " 'pending',"
    " :goods, :discount, :amount, :steps, decision, card, entered_ms, :now, :expires, delivery, id, node,"
    " outlet FROM orders"
    " WHERE id = :deposit"
)
_NEW_CREDITS = text(
    "INSERT INTO order_credit (order_id, model, link, issuer, role, channel)"
    " SELECT :id, model, link, issuer, role, channel FROM order_credit WHERE order_id = :deposit"
)
_NEW_LINE = text(
    "INSERT INTO order_line (order_id, n, hold, sale, product, sku, title, quantity, price, list_price, discount,"
    " wishes, category) SELECT :id, 0, hold, sale, product, sku, title, quantity, :price, :price, :discount, wishes,"
    " category FROM order_line"
    " WHERE order_id = :deposit AND n = 0"
)
_HAND_ON = text("UPDATE hold SET order_id = :id, expires_ms = :expires WHERE order_id = :deposit AND state = 'held'")
_GIVE_BALANCE = text("UPDATE presale SET balance = :id, until_ms = :expires WHERE id = :deposit")
# Where the goods go is told by the order that they belong to.
_NO_DELIVERY = text("UPDATE orders SET delivery = NULL WHERE id = :id")
_REOPEN = text("UPDATE presale SET ended_ms = NULL WHERE id = :id")
_KEPT = text("SELECT CAST(coalesce(sum(amount), 0) AS bigint) FROM kept_deposit WHERE deposit = :deposit")
_KEEP = text(
    "INSERT INTO kept_deposit (id, merchant, deposit, amount, at_ms) VALUES (:id, :merchant, :deposit, :amount, :now)"
)


def open_deposit(batch: Batch, order: str, sale: str, price: int) -> None:
    """An order of a presale's units was made: remember the rule of this moment, and the 分 a unit in all."""
    batch.run(_INSERT, order=order, sale=sale, price=price)


def open_offer(batch: Batch, merchant: str, order: str, price: int, until_ms: int, missed: str) -> None:
    """An order of an offer with a deposit was made: the balance can be paid as soon as that is."""
    terms = {"price": price, "until": until_ms, "missed": missed, "now": batch.now_ms}
    batch.run(_INSERT_OFFER, order=order, merchant=merchant, **terms)


def deposit_paid(batch: Batch, row: Row[Any]) -> bool:
    """Make the balance order of a deposit that was paid, with its units; False for any other order."""
    if row.presale != row.id:
        return False
    presale = batch.one(_OF, id=row.id)
    line = batch.one(_LINE, id=row.id)
    assert presale is not None and line is not None
    price = price_order([PricedLine(line.sku, line.quantity, presale.price)])
    steps = [*price.steps, Step("deposit", -row.amount, "deposit paid")]
    balance, amount = batch.mint(), price.amount - row.amount
    # A deposit may be paid when the time is all but over: then there is some left all the same.
    expires_ms = max(presale.until_ms, batch.now_ms + ORDER_HOLD_MS)
    batch.run(
        _NEW_ORDER,
        id=balance,
        deposit=row.id,
        goods=price.goods,
        discount=row.amount,
        amount=amount,
        steps=orjson.dumps([step.as_json() for step in steps]).decode(),
        now=batch.now_ms,
        expires=expires_ms,
    )
    batch.run(_NEW_CREDITS, id=balance, deposit=row.id)
    batch.run(_NEW_LINE, id=balance, deposit=row.id, price=presale.price, discount=row.amount)
    batch.run(_HAND_ON, id=balance, deposit=row.id, expires=expires_ms)
    batch.run(_GIVE_BALANCE, id=balance, deposit=row.id, expires=expires_ms)
    batch.run(_NO_DELIVERY, id=row.id)
    made = batch.one(_ORDER, id=balance)
    assert made is not None
    view = order_view(batch.connection, made)
    batch.emit(OrderCreated(batch.mint(), row.merchant, row.room, batch.now_ms, row.person, view))
    if presale.from_ms > batch.now_ms:
        arm(batch, OPENS, row.id, presale.from_ms)
    else:
        balance_opens(batch, row.id)
    return True


def check_balance_time(batch: Batch, row: Row[Any]) -> None:
    """Raise Refused (not_open) when a balance cannot be paid yet."""
    if row.presale in (None, row.id):
        return
    presale = batch.one(_OF, id=row.presale)
    assert presale is not None
    if batch.now_ms < presale.from_ms:
        raise Refused("not_open", "the balance cannot be paid yet", opens=presale.from_ms)


def retake_balance(batch: Batch, row: Row[Any]) -> None:
    """Money for a balance came late: good while its deposit stands. Raises Refused (gone) when that went back."""
    if row.presale in (None, row.id):
        return
    deposit = batch.one(_ORDER, id=row.presale)
    assert deposit is not None
    if deposit.refunded:
        raise Refused("gone", "the deposit went back")
    batch.run(_REOPEN, id=deposit.id)
    resume_production(batch, deposit)
    give_up(batch, deposit, deposit.amount)


def keep(batch: Batch, deposit: Row[Any]) -> None:
    """What is left of a deposit is the shop's."""
    _enter(batch, deposit, deposit.amount - deposit.refunded - _kept(batch, deposit))


def give_up(batch: Batch, deposit: Row[Any], most: int) -> None:
    """Up to ``most`` 分 of a kept deposit are the buyer's again: for the goods after all, or as they go back.

    It is an entry of this moment: the period in which the deposit was kept may be closed.
    """
    _enter(batch, deposit, -min(most, _kept(batch, deposit)))


def _kept(batch: Batch, deposit: Row[Any]) -> int:
    return int(batch.run(_KEPT, deposit=deposit.id).scalar_one())


def _enter(batch: Batch, deposit: Row[Any], amount: int) -> None:
    if amount:
        row = {"id": batch.mint(), "merchant": deposit.merchant, "deposit": deposit.id}
        batch.run(_KEEP, amount=amount, now=batch.now_ms, **row)


def balance_opens(batch: Batch, deposit: str) -> None:
    """From now on the balance can be paid: remind who owes it."""
    row = batch.one(_ORDER, id=deposit)
    balance = None if row is None else open_balance(batch, row)
    if balance is None:
        return
    view = order_view(batch.connection, balance)
    batch.emit(BalanceDue(batch.mint(), balance.merchant, balance.room, batch.now_ms, balance.person, view))


def balance_ended(batch: Batch, row: Row[Any]) -> None:
    """A balance order was cancelled, or all of it refunded: the deposit is to be decided about."""
    if row.presale not in (None, row.id):
        arm(batch, DUE, row.presale, batch.now_ms)


def open_balance(batch: Batch, row: Row[Any]) -> Row[Any] | None:
    """The unpaid balance order of a deposit."""
    if row.presale != row.id:
        return None
    presale = batch.one(_OF, id=row.id)
    balance = None if presale is None or presale.balance is None else batch.one(_ORDER, id=presale.balance)
    return balance if balance is not None and balance.status == OrderStatus.PENDING else None
