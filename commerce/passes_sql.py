"""Passes inside the ledger's transaction: which SKUs are sold as such, given out with a payment, ended with a refund.

Called from where orders are paid and refunded; what is done with a pass by itself is in pass_uses_sql.
"""

import secrets
from typing import Any

from sqlalchemy import Connection, Row, text

from commerce.deadlines_sql import arm, disarm
from commerce.domain.passes import CODE_DIGITS, PassTerms, good_times
from commerce.errors import NotFound, Refused
from commerce.ledger_batch_sql import Batch
from commerce.ledger_passes import PassTermsView, PassUseView, PassView, SetPassTerms

DUE = "pass"
"""The kind of a pass's deadline."""
LIST_MAX = 200

_SKU = text("SELECT id, kind FROM sku WHERE id = :sku AND merchant = :merchant")
_SET = text(
    "INSERT INTO pass_terms (sku, merchant, uses, days, from_ms, until_ms, place, staff, updated_ms)"
    " VALUES (:sku, :merchant, :uses, :days, :from_ms, :until_ms, :place, :staff, :now)"
    " ON CONFLICT (sku) DO UPDATE SET uses = excluded.uses, days = excluded.days, from_ms = excluded.from_ms,"
    " until_ms = excluded.until_ms, place = excluded.place, staff = excluded.staff, updated_ms = excluded.updated_ms"
)
_UNSET = text("DELETE FROM pass_terms WHERE sku = :sku AND merchant = :merchant")
_TERMS = text("SELECT * FROM pass_terms WHERE merchant = :merchant ORDER BY sku LIMIT :limit")
_LINES = text(
    "SELECT l.sku, l.title, l.quantity, l.quantity * l.price - l.discount AS paid, t.uses, t.days, t.from_ms,"
    " t.until_ms, t.place FROM order_line AS l JOIN pass_terms AS t ON t.sku = l.sku WHERE l.order_id = :order"
    " ORDER BY l.n"
)
_INSERT = text(
    "INSERT INTO pass_ (id, merchant, person, order_id, sku, title, code, uses, left_uses, paid, place, from_ms,"
    " until_ms, state, created_ms) VALUES (:id, :merchant, :person, :order, :sku, :title, :code, :uses, :uses, :paid,"
    " :place, :from_ms, :until_ms, 'active', :now)"
)
_BY_CODE = text("SELECT * FROM pass_ WHERE merchant = :merchant AND code = :code")
_END_OF_ORDER = text(
    "UPDATE pass_ SET state = 'refunded' WHERE order_id = :order AND state IN ('active', 'expired') RETURNING id"
)
_SKUS = text("SELECT DISTINCT sku FROM pass_ WHERE order_id = :order")
_OF_PERSON = text("SELECT * FROM pass_ WHERE merchant = :merchant AND person = :person ORDER BY id DESC LIMIT :limit")
_HISTORY = text("SELECT units, place, created_ms FROM pass_use WHERE pass_id = :card ORDER BY id")


def set_terms(batch: Batch, command: SetPassTerms) -> PassTermsView | None:
    """Write what a SKU's units are good for; those that were bought stay as they are. Raises NotFound, Refused."""
    sku = batch.one(_SKU, sku=command.sku, merchant=command.merchant)
    if sku is None:
        raise NotFound("no such product")
    if sku.kind != "goods":
        raise Refused("closed", "stored value is no pass")
    terms = command.terms
    if terms is None:
        batch.run(_UNSET, sku=command.sku, merchant=command.merchant)
        return None
    batch.run(
        _SET,
        sku=command.sku,
        merchant=command.merchant,
        uses=terms.uses,
        days=terms.days,
        from_ms=terms.from_ms,
        until_ms=terms.until_ms,
        place=terms.place,
        staff=command.staff,
        now=batch.now_ms,
    )
    return PassTermsView(command.sku, terms.uses, terms.days, terms.from_ms, terms.until_ms, terms.place)


def read_terms(connection: Connection, merchant: str) -> list[PassTermsView]:
    """The SKUs that are sold as passes."""
    rows = connection.execute(_TERMS, {"merchant": merchant, "limit": LIST_MAX})
    return [PassTermsView(row.sku, row.uses, row.days, row.from_ms, row.until_ms, row.place) for row in rows]


def give_passes(batch: Batch, row: Row[Any]) -> None:
    """An order is paid: its passes are there. A deposit buys none yet."""
    if row.presale == row.id:
        return
    for line in batch.run(_LINES, order=row.id).all():
        terms = PassTerms(line.uses, line.days, line.from_ms, line.until_ms, line.place)
        from_ms, until_ms = good_times(terms, batch.now_ms)
        for n in range(line.quantity):
            card = batch.mint()
            batch.run(
                _INSERT,
                id=card,
                merchant=row.merchant,
                person=row.person,
                order=row.id,
                sku=line.sku,
                title=line.title,
                code=f"{secrets.randbelow(10**CODE_DIGITS):0{CODE_DIGITS}}",
                uses=line.uses,
                # The parts add up to the whole (P14), whoever bought how many.
                paid=line.paid * (n + 1) // line.quantity - line.paid * n // line.quantity,
                place=line.place,
                from_ms=from_ms,
                until_ms=until_ms,
                now=batch.now_ms,
            )
            arm(batch, DUE, card, until_ms)


def pass_skus(batch: Batch, order: str) -> set[str]:
    """The SKUs of an order that were bought as passes."""
    return set(batch.run(_SKUS, order=order).scalars())


def end_passes(batch: Batch, order: str) -> None:
    """All of an order's money goes back: none of its passes is good any more."""
    for card in batch.run(_END_OF_ORDER, order=order).scalars().all():
        disarm(batch, DUE, card)


def pass_view(connection: Connection, row: Row[Any]) -> PassView:
    """A ``SELECT *`` row of ``pass_`` with its uses."""
    history = connection.execute(_HISTORY, {"card": row.id})
    return PassView(
        card=row.id,
        person=row.person,
        order=row.order_id,
        sku=row.sku,
        title=row.title,
        code=row.code,
        uses=row.uses,
        left=row.left_uses,
        place=row.place,
        opens=row.from_ms,
        until=row.until_ms,
        state=row.state,
        history=tuple(PassUseView(use.units, use.place, use.created_ms) for use in history),
    )


def read_passes(connection: Connection, merchant: str, person: str) -> list[PassView]:
    """A person's passes, newest first."""
    rows = connection.execute(_OF_PERSON, {"merchant": merchant, "person": person, "limit": LIST_MAX}).all()
    return [pass_view(connection, row) for row in rows]


def read_pass(connection: Connection, merchant: str, code: str) -> PassView | None:
    """The pass with a code."""
    row = connection.execute(_BY_CODE, {"merchant": merchant, "code": code}).one_or_none()
    return None if row is None else pass_view(connection, row)
