"""Recurring sales: the duty makes the sale of each moment that a plan's rule names, some minutes ahead of it.

Ahead, so that the price opens at its second by the sale's own clock, however late the sweep is. A moment that passed
while nobody was there is made up for while its sale would still be open, else skipped, and so is one for which there
are no units. The plan's ``next_ms`` is moved on by compare-and-set in the same transaction: each moment has one sale.
"""

import logging
from typing import Any

from sqlalchemy import Row, text

from commerce.deadlines_sql import arm, disarm
from commerce.domain.rhythm import next_ms
from commerce.domain.sale import SaleMode, SaleTerms
from commerce.errors import CommerceError, NotFound, Refused
from commerce.ledger import CreateSale, SteerSale
from commerce.ledger_batch_sql import Batch
from commerce.ledger_moments import CreatePlan, EndPlan, PlanView
from commerce.sales_sql import create_sale, steer_sale
from commerce.views_moments_sql import plan_view

log = logging.getLogger(__name__)

DUE = "plan"
AHEAD_MS = 600_000
"""How long before its opening a plan's sale is there to be seen, and reminded of."""
PLANS_MAX = 20
"""Recurring sales of one room."""

_INSERT = text(
    "INSERT INTO sale_plan (id, merchant, room, sku, rule, price, total, per_person, hold_ms, length_ms, mode,"
    " live_only, enter_ms, created_ms, next_ms) VALUES (:id, :merchant, :room, :sku, :rule, :price, :total,"
    " :per_person, :hold_ms, :length_ms, :mode, :live_only, :enter_ms, :now, :next)"
)
_PLAN = text("SELECT * FROM sale_plan WHERE id = :id")
_COUNT = text("SELECT count(*) FROM sale_plan WHERE room = :room AND ended_ms IS NULL")
_SKU = text(
    "SELECT k.product, k.price, p.title, p.image FROM sku AS k JOIN product AS p ON p.id = k.product"
    " WHERE k.id = :sku AND k.merchant = :merchant"
)
_MOVE_ON = text(
    "UPDATE sale_plan SET next_ms = :next, made = made + :made, skipped = skipped + :skipped,"
    " ended_ms = :ended WHERE id = :id AND next_ms = :due"
)
_END = text("UPDATE sale_plan SET ended_ms = :now, next_ms = NULL WHERE id = :id AND ended_ms IS NULL")


def create_plan(batch: Batch, command: CreatePlan) -> PlanView:
    """Begin a recurring sale. Raises NotFound, Refused (limit; closed: the rule names no moment to come)."""
    if batch.one(_SKU, sku=command.sku, merchant=command.merchant) is None:
        raise NotFound("no such product", sku=command.sku)
    if int(batch.run(_COUNT, room=command.room).scalar_one()) >= PLANS_MAX:
        raise Refused("limit", f"a room has at most {PLANS_MAX} recurring sales: end one first")
    first_ms = next_ms(command.rule, batch.now_ms, batch.now_ms)
    if first_ms is None:
        raise Refused("closed", "the rule names no moment to come")
    plan = batch.mint()
    batch.run(
        _INSERT,
        id=plan,
        merchant=command.merchant,
        room=command.room,
        sku=command.sku,
        rule=command.rule,
        price=command.price,
        total=command.total,
        per_person=command.per_person,
        hold_ms=command.hold_ms,
        length_ms=command.length_ms,
        mode=str(command.terms.mode),
        live_only=int(command.terms.live_only),
        enter_ms=command.terms.enter_ms,
        now=batch.now_ms,
        next=first_ms,
    )
    arm(batch, DUE, plan, max(batch.now_ms, first_ms - AHEAD_MS))
    return plan_view(_find(batch, plan))


def _find(batch: Batch, plan: str) -> Row[Any]:
    row = batch.one(_PLAN, id=plan)
    if row is None:
        raise NotFound("no such recurring sale")
    return row


def end_plan(batch: Batch, command: EndPlan) -> PlanView:
    """Make no more sales by it. Raises NotFound."""
    row = _find(batch, command.plan)
    if row.merchant != command.merchant:
        raise NotFound("no such recurring sale")
    batch.run(_END, id=row.id, now=batch.now_ms)
    disarm(batch, DUE, row.id)
    return plan_view(_find(batch, row.id))


def plan_due(batch: Batch, plan: str) -> None:
    """Make the sale of the plan's next moment, and look for the one after it."""
    row = _find(batch, plan)
    if row.ended_ms is not None or row.next_ms is None:
        return
    made = batch.now_ms < row.next_ms + row.enter_ms + row.length_ms and _make(batch, row)
    upcoming = next_ms(row.rule, row.created_ms, max(row.next_ms, batch.now_ms))
    ended_ms = batch.now_ms if upcoming is None else None
    counts = {"made": int(made), "skipped": int(not made)}
    batch.run(_MOVE_ON, id=row.id, due=row.next_ms, next=upcoming, ended=ended_ms, **counts)
    if upcoming is not None:
        arm(batch, DUE, row.id, max(batch.now_ms, upcoming - AHEAD_MS))


def _make(batch: Batch, row: Row[Any]) -> bool:
    product = batch.one(_SKU, sku=row.sku, merchant=row.merchant)
    if product is None:
        return False
    command = CreateSale(
        row.merchant,
        row.room,
        product.product,
        row.sku,
        product.title,
        product.image or "",
        row.price,
        product.price,
        row.total,
        row.per_person,
        row.hold_ms,
        row.length_ms,
        SaleTerms(SaleMode(row.mode), bool(row.live_only), row.enter_ms),
        row.id,
    )
    events = len(batch.events)
    try:
        with batch.connection.begin_nested():
            sale = create_sale(batch, command)
            steer_sale(batch, SteerSale(row.merchant, sale.sale, "start_at", max(row.next_ms, batch.now_ms)))
    except CommerceError as error:
        del batch.events[events:]
        log.warning("the recurring sale %s is skipped once: %s", row.id, error)
        return False
    return True
