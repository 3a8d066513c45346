"""Paid memberships inside the ledger's transaction: plans, given out with a payment, what a person has of them.

Called from where orders are priced, paid and refunded; what ends a membership by itself is in membership_ends_sql.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Row, TextClause, bindparam, text

from commerce.deadlines_sql import arm, disarm
from commerce.domain.ids import AFTER_ALL
from commerce.domain.membership import NO_BENEFITS, Benefits, after_months, member_price
from commerce.errors import NotFound, Refused
from commerce.ledger_batch_sql import Batch
from commerce.ledger_memberships import MembershipView, PlanView, SetPlan
from commerce.membership_worth_sql import take_coupons, worth
from commerce.pricing_sql import Line

DUE = "member"
"""The kind of a membership's deadline: its next coupon, or its end."""
LIST_MAX = 200
_TERMS = "months, price_percent, points_percent, coupon_amount, coupon_threshold, coupon_days, refund"
_VALUES = ", ".join(f":{name}" for name in _TERMS.split(", "))

_SKU = text("SELECT kind, slot_ms FROM sku WHERE id = :sku AND merchant = :merchant")
_SET = text(
    f"INSERT INTO membership_plan (sku, merchant, {_TERMS}, staff, updated_ms)"  # noqa: S608 - constants
    f" VALUES (:sku, :merchant, {_VALUES}, :staff, :now) ON CONFLICT (sku) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in (*_TERMS.split(", "), "staff", "updated_ms"))
)
_UNSET = text("DELETE FROM membership_plan WHERE sku = :sku AND merchant = :merchant")
_PLANS = text(
    "SELECT m.*, k.product, k.price, k.version, k.name, p.title, p.image, p.on_shelf FROM membership_plan AS m"
    " JOIN sku AS k ON k.id = m.sku JOIN product AS p ON p.id = k.product WHERE m.merchant = :merchant"
    " ORDER BY m.months, k.price LIMIT :limit"
)
_PLAN_SKUS = text("SELECT sku FROM membership_plan WHERE merchant = :merchant AND sku IN :skus").bindparams(
    bindparam("skus", expanding=True)
)
_LINES = text(
    "SELECT l.sku, l.title, l.quantity, l.quantity * l.price - l.discount AS paid, m.months, m.price_percent,"
    " m.points_percent, m.coupon_amount, m.coupon_threshold, m.coupon_days, m.refund FROM order_line AS l"
    " JOIN membership_plan AS m ON m.sku = l.sku WHERE l.order_id = :order ORDER BY l.n"
)
_LATEST = text(
    "SELECT coalesce(max(until_ms), 0) FROM membership WHERE merchant = :merchant AND person = :person"
    " AND state = 'active'"
)
_INSERT = text(
    f"INSERT INTO membership (id, merchant, person, order_id, room, sku, title, {_TERMS}, paid, from_ms, until_ms,"  # noqa: S608
    f" state, created_ms) VALUES (:id, :merchant, :person, :order, :room, :sku, :title, {_VALUES}, :paid, :from_ms,"
    " :until_ms, 'active', :now)"
)
_END_OF_ORDER = text(
    "UPDATE membership SET state = 'refunded' WHERE order_id = :order AND state <> 'refunded' RETURNING *"
)
_OF_ORDER = text("SELECT DISTINCT sku FROM membership WHERE order_id = :order")
_IN_FORCE = text(
    "SELECT * FROM membership WHERE merchant = :merchant AND person = :person AND state = 'active'"
    " AND from_ms <= :now AND until_ms > :now ORDER BY price_percent, points_percent DESC, id LIMIT 1"
)
_OF_PERSON = text(
    "SELECT * FROM membership WHERE merchant = :merchant AND person = :person"
    " ORDER BY from_ms DESC, id DESC LIMIT :limit"
)
_LIST = text(
    "SELECT * FROM membership WHERE merchant = :merchant AND id < :before AND (:state = '' OR state = :state)"
    " ORDER BY id DESC LIMIT :limit"
)


def set_plan(batch: Batch, command: SetPlan) -> bool:
    """Write a plan; what was bought stays as it is. Whether it is one now. Raises NotFound, Refused (closed)."""
    sku = batch.one(_SKU, sku=command.sku, merchant=command.merchant)
    if sku is None:
        raise NotFound("no such product")
    if sku.kind != "goods" or sku.slot_ms is not None:
        raise Refused("closed", "stored value and bookable times are no membership")
    if command.terms is None:
        batch.run(_UNSET, sku=command.sku, merchant=command.merchant)
        return False
    terms, one = command.terms, command.terms.benefits
    batch.run(
        _SET,
        sku=command.sku,
        merchant=command.merchant,
        months=terms.months,
        price_percent=one.price_percent,
        points_percent=one.points_percent,
        coupon_amount=one.coupon_amount,
        coupon_threshold=one.coupon_threshold,
        coupon_days=one.coupon_days,
        refund=terms.refund,
        staff=command.staff,
        now=batch.now_ms,
    )
    return True


def read_plans(connection: Connection, merchant: str) -> list[PlanView]:
    """The plans of a shop, shortest and cheapest first."""
    rows = connection.execute(_PLANS, {"merchant": merchant, "limit": LIST_MAX})
    return [
        PlanView(
            row.sku, row.product, f"{row.title} {row.name}".strip(), row.image, row.price, row.version,
            bool(row.on_shelf), row.months, row.price_percent, row.points_percent, row.coupon_amount,
            row.coupon_threshold, row.coupon_days, row.refund,
        )
        for row in rows
    ]  # fmt: skip


def benefits_of(connection: Connection, merchant: str, person: str, now_ms: int) -> Benefits:
    """What a person's membership gives them now; of two (of people who were merged) the one with the lower price."""
    row = connection.execute(_IN_FORCE, {"merchant": merchant, "person": person, "now": now_ms}).one_or_none()
    if row is None:
        return NO_BENEFITS
    return Benefits(row.price_percent, row.points_percent, row.coupon_amount, row.coupon_threshold, row.coupon_days)


def at_member_price(
    connection: Connection, merchant: str, person: str, lines: Sequence[Line], now_ms: int
) -> list[Line]:
    """Lines with what a member pays for a unit; flash sales, deposits, plans, stored value have one for all."""
    percent = benefits_of(connection, merchant, person, now_ms).price_percent
    shelf = {line.priced.sku for line in lines if line.sale is None and line.hold is None and line.kind == "goods"}
    if percent == 100 or not shelf:
        return list(lines)
    plans = set(connection.execute(_PLAN_SKUS, {"merchant": merchant, "skus": sorted(shelf)}).scalars())

    def priced(line: Line) -> Line:
        if line.priced.sku not in shelf - plans:
            return line
        price = member_price(line.priced.unflashed, percent)
        return replace(line, priced=replace(line.priced, member_price=price))

    return [priced(line) for line in lines]


def give_memberships(batch: Batch, row: Row[Any]) -> None:
    """An order is paid: its memberships begin, or follow those that run."""
    if row.presale == row.id:
        return
    for line in batch.run(_LINES, order=row.id).all():
        latest = int(batch.run(_LATEST, merchant=row.merchant, person=row.person).scalar_one())
        from_ms = max(batch.now_ms, latest)
        for n in range(line.quantity):
            until_ms = after_months(from_ms, line.months)
            membership = batch.mint()
            batch.run(
                _INSERT,
                id=membership,
                merchant=row.merchant,
                person=row.person,
                order=row.id,
                room=row.room,
                sku=line.sku,
                title=line.title,
                months=line.months,
                price_percent=line.price_percent,
                points_percent=line.points_percent,
                coupon_amount=line.coupon_amount,
                coupon_threshold=line.coupon_threshold,
                coupon_days=line.coupon_days,
                refund=line.refund,
                # The parts add up to the whole (P14), whoever bought how many.
                paid=line.paid * (n + 1) // line.quantity - line.paid * n // line.quantity,
                from_ms=from_ms,
                until_ms=until_ms,
                now=batch.now_ms,
            )
            arm(batch, DUE, membership, from_ms if line.coupon_amount else until_ms)
            from_ms = until_ms


def membership_skus(batch: Batch, order: str) -> set[str]:
    """The SKUs of an order that were bought as memberships."""
    return set(batch.run(_OF_ORDER, order=order).scalars())


def end_memberships(batch: Batch, order: str) -> None:
    """All of an order's money goes back: none of its memberships is good any more."""
    ended = batch.run(_END_OF_ORDER, order=order).all()
    for row in ended:
        disarm(batch, DUE, row.id)
    take_coupons(batch, ended)


def membership_view(db: Connection, row: Row[Any], now_ms: int) -> MembershipView:
    """A ``SELECT *`` row of ``membership``."""
    back, enjoyed = worth(db, row, now_ms)
    return MembershipView(
        row.id, row.person, row.order_id, row.sku, row.title, row.months, row.price_percent, row.points_percent,
        row.coupon_amount, row.coupon_threshold, row.refund, row.paid, back, enjoyed, row.coupons, row.from_ms,
        row.until_ms, row.state,
    )  # fmt: skip


def read_memberships(connection: Connection, merchant: str, person: str, now_ms: int) -> list[MembershipView]:
    """A person's memberships, newest first."""
    asked = {"merchant": merchant, "person": person, "limit": LIST_MAX}
    return _views(connection, _OF_PERSON, asked, now_ms)


def list_memberships(
    connection: Connection, merchant: str, state: str, before: str | None, limit: int, now_ms: int
) -> list[MembershipView]:
    """A shop's memberships, newest first; of one state when it is named."""
    asked = {"merchant": merchant, "state": state, "before": before or AFTER_ALL, "limit": limit}
    return _views(connection, _LIST, asked, now_ms)


def _views(db: Connection, query: TextClause, asked: Mapping[str, Any], now_ms: int) -> list[MembershipView]:
    return [membership_view(db, row, now_ms) for row in db.execute(query, asked).all()]
