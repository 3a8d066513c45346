"""Coupon drops and givings inside the ledger's transaction, and the budgets out of which their issuers promise.

A giving is a drop that lasts: its coupons come by another ``way`` than a tap (on entry, with a sign-in, a payment).
A coupon with an issuer is promised out of that issuer's budget: its worth is reserved when it is given, booked as a
cost when its order is paid, and free again when it expires. The budget never falls below 0.
"""

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Connection, Row, text

from commerce import partner_bearing_sql
from commerce.accounts_sql import balances, move
from commerce.domain.accounts import SHOP, Leg
from commerce.domain.coupon import audience_columns
from commerce.errors import NotFound
from commerce.events import DropView
from commerce.ledger import Claim, CloseDrop, CouponGranted, StartDrop
from commerce.ledger_batch_sql import Batch
from commerce.ledger_hot_sql import run_claims
from commerce.ledger_members import BudgetView, FundBudget
from commerce.outlet_coupons_sql import bind_drop
from commerce.views_sql import drop_view

_INSERT_DROP = text(
    "INSERT INTO drop_ (id, merchant, room, template, title, reason, amount, threshold, total, per_person, starts_ms,"
    " ends_ms, valid_ms, announced, percent, stack, audience, for_tag, issuer, way) VALUES (:id, :merchant, :room,"
    " :template, :title, :reason, :amount, :threshold, :total, :per_person, :now, :ends_ms, :valid_ms, :announced,"
    " :percent, :stack, :audience, :for_tag, :issuer, :way)"
)
_CLOSE_DROP = text("UPDATE drop_ SET closed_ms = :now WHERE id = :id AND closed_ms IS NULL")
_OPEN_GIVINGS = text(
    "SELECT id, room FROM drop_ WHERE merchant = :merchant AND way = :way AND closed_ms IS NULL AND ends_ms > :now"
    " AND issued < total ORDER BY id LIMIT :limit"
)
_ENTRY_GIVINGS = text(
    "SELECT id FROM drop_ AS d WHERE merchant = :merchant AND room = :room AND way = 'entry' AND closed_ms IS NULL"
    " AND ends_ms > :now AND issued < total AND NOT EXISTS"
    " (SELECT 1 FROM quota AS q WHERE q.scope = d.id AND q.person = :person) ORDER BY id LIMIT :limit"
)
_PROMISED_DUE = text(
    "SELECT id, merchant, issuer, amount FROM coupon WHERE state = 'unused' AND issuer <> '' AND expires_ms <= :now"
    " ORDER BY expires_ms LIMIT :limit"
)
_EXPIRE = text("UPDATE coupon SET state = 'expired' WHERE id = :id AND state = 'unused'")
_PROMISED = text(
    "SELECT c.id, c.issuer, c.amount, o.amount AS took FROM order_coupon AS o JOIN coupon AS c ON c.id = o.coupon"
    " WHERE o.order_id = :order AND c.order_id = :order AND c.issuer <> '' AND c.expires_ms > :since ORDER BY o.n"
)
GIVINGS_MAX = 20
"""Open givings of one way that are gone through for one person."""


def start_drop(batch: Batch, command: StartDrop) -> DropView:
    """Begin a coupon drop or a giving now. Raises NotFound for a store that is not the shop's."""
    drop = batch.mint()
    audience, for_tag = audience_columns(command.audience)
    batch.run(
        _INSERT_DROP,
        id=drop,
        merchant=command.merchant,
        room=command.room,
        template=command.template,
        title=command.title,
        reason=command.reason,
        amount=command.amount,
        threshold=command.threshold,
        total=command.total,
        per_person=command.per_person,
        ends_ms=batch.now_ms + command.length_ms,
        valid_ms=command.valid_ms,
        now=batch.now_ms,
        announced="",
        percent=command.percent,
        stack=command.stack,
        audience=audience,
        for_tag=for_tag,
        issuer=command.issuer,
        way=command.way,
    )
    bind_drop(batch.connection, command.merchant, drop, command.template, command.outlets)
    batch.drop_moved(drop)
    return drop_view(batch.drops([drop])[drop], batch.now_ms)


def close_drop(batch: Batch, command: CloseDrop) -> DropView:
    """End a drop; its coupons stay good. Raises NotFound."""
    drop = batch.drops([command.drop]).get(command.drop)
    if drop is None or drop.merchant != command.merchant:
        raise NotFound("no such coupon drop")
    if batch.run(_CLOSE_DROP, id=drop.id, now=batch.now_ms).rowcount:
        batch.drop_moved(drop.id)
    return drop_view(batch.drops([drop.id])[drop.id], batch.now_ms)


def give_open(batch: Batch, merchant: str, person: str, way: str, key: str) -> list[str]:
    """Give a person a coupon of each open giving of a way that is for them: once per key. The coupons' ids."""
    asked = {"merchant": merchant, "way": way, "now": batch.now_ms, "limit": GIVINGS_MAX}
    claims = [
        Claim(merchant, row.room, person, row.id, key, "", way) for row in batch.run(_OPEN_GIVINGS, **asked).all()
    ]
    return [result.coupon for result in run_claims(batch, claims) if isinstance(result, CouponGranted)]


def entry_givings(connection: Connection, merchant: str, room: str, person: str, now_ms: int) -> list[str]:
    """The givings on entry of which a person has nothing yet."""
    asked = {"merchant": merchant, "room": room, "person": person, "now": now_ms, "limit": GIVINGS_MAX}
    return list(connection.execute(_ENTRY_GIVINGS, asked).scalars())


def fund_budget(batch: Batch, command: FundBudget) -> BudgetView:
    """Give an issuer more to promise, or less. Raises Conflict, Refused (insufficient) below 0."""
    stored = batch.replay(command.merchant, command.staff, "budget", command.key, command.hash)
    if stored is None:
        legs = [Leg(SHOP, "budget_source", -command.amount), Leg(command.issuer, "budget", command.amount)]
        move(batch, command.merchant, "funded", command.issuer, legs)
        batch.remember(command.merchant, command.staff, "budget", command.key, command.hash, command.issuer)
    on = balances(batch.connection, command.merchant, command.issuer, ("budget", "budget_reserved"))
    return BudgetView(command.issuer, on["budget"], on["budget_reserved"])


def coupons_used(batch: Batch, row: Row[Any]) -> None:
    """An order is paid: what its coupons took is a cost, what they promised beyond it is free again."""
    for coupon in batch.run(_PROMISED, order=row.id, since=0).all():
        legs = [
            Leg(coupon.issuer, "budget_reserved", -coupon.amount),
            Leg(SHOP, "coupon_cost", coupon.took),
            Leg(coupon.issuer, "budget", coupon.amount - coupon.took),
        ]
        move(batch, row.merchant, "used", coupon.id, legs)
        partner_bearing_sql.used(batch, row, coupon)


def coupons_return(batch: Batch, row: Row[Any]) -> None:
    """All of an order was refunded: its coupons that are still good promise their whole worth again.

    What they took comes back from the costs; the rest the shop adds, as the issuer may have promised it to others.
    """
    for coupon in batch.run(_PROMISED, order=row.id, since=batch.now_ms).all():
        legs = [
            Leg(SHOP, "coupon_cost", -coupon.took),
            Leg(SHOP, "budget_source", coupon.took - coupon.amount),
            Leg(coupon.issuer, "budget_reserved", coupon.amount),
        ]
        move(batch, row.merchant, "unused", coupon.id, legs)


def expire_promised(batch: Batch, limit: int) -> bool:
    """End coupons with an issuer that are past their date: the budget has their worth again; whether more are due."""
    due = batch.run(_PROMISED_DUE, now=batch.now_ms, limit=limit).all()
    for coupon in due:
        batch.run(_EXPIRE, id=coupon.id)
        legs = [Leg(coupon.issuer, "budget_reserved", -coupon.amount), Leg(coupon.issuer, "budget", coupon.amount)]
        move(batch, coupon.merchant, "lapsed", coupon.id, legs)
    return len(due) >= limit


HANDLERS: Mapping[type, Callable[[Batch, Any], Any]] = {
    StartDrop: start_drop,
    CloseDrop: close_drop,
    FundBudget: fund_budget,
}
