"""What a guide does with their own budget: coupons for their customers."""

from __future__ import annotations

from typing import Any

from commerce.attribution.board import table_csv
from commerce.attribution.reach import day_ms, day_of
from gateway.answers import coupon_answer
from gateway.api import Call, Operation, call_key, page_limit, query_ms
from gateway.desk import Desk
from gateway.encode import plain
from gateway.parameters import PAGING
from gateway.routes_board import FILE_ROWS_MAX, FORMAT, LAST_DAYS, PERIOD, csv_file, wants_csv
from gateway.schemas import CouponAnswer, Page
from gateway.schemas_guide import CreditedView, GivenView, GuideCouponBody, GuideStatementAnswer, SoldReceiptView
from gateway.schemas_members import BudgetAnswer
from gateway.services import Services

GUIDE = frozenset({"guide"})
DAY_S = 86_400
_STATEMENT_SUMS = tuple(
    name for name in GuideStatementAnswer.__struct_fields__ if name not in ("items", "receipts", "next")
)


def guide_operations(services: Services, desk: Desk) -> list[Operation]:
    """Operations under /api/v1/guide."""
    members = services.shop.members

    async def read_own_budget(call: Call) -> Any:
        return await members.budget(call.who.merchant, call.who.person)

    async def give_coupon(call: Call) -> CouponAnswer:
        body: GuideCouponBody = call.body
        who, key = call.who, call_key(call)
        room = desk.entered(who, body.room)
        await services.org.require_person(who.merchant, body.person, who.reach)
        granted = await members.give_coupon(
            who.merchant,
            room.id,
            who.person,
            body.person,
            key,
            title=body.title,
            reason=body.reason,
            amount=body.amount,
            threshold=body.threshold,
            valid_s=body.days * DAY_S,
        )
        return coupon_answer(granted)

    async def list_given_coupons(call: Call) -> Page:
        limit = page_limit(call)
        rows = await members.given(call.who.merchant, call.who.person, call.query.get("after"), limit)
        return Page(items=[plain(_given(row)) for row in rows], next=rows[-1]["id"] if len(rows) == limit else None)

    budget, coupons = "/api/v1/guide/budget", "/api/v1/guide/coupons"
    return [
        Operation("GET", budget, "My budget", read_own_budget, GUIDE, answer=BudgetAnswer, within="node"),
        _statement(services),
        Operation("GET", coupons, "What I gave", list_given_coupons, GUIDE, answer=Page, query=PAGING, within="people"),
        Operation(
            "POST",
            coupons,
            "Give a customer a coupon",
            give_coupon,
            GUIDE,
            GuideCouponBody,
            CouponAnswer,
            201,
            within="people",
            keyed=True,
        ),
    ]


def _statement(services: Services) -> Operation:
    """What a guide is credited with."""

    async def read_guide_statement(call: Call) -> Any:
        query, who, now_ms = call.query, call.who, services.clock()
        limit = FILE_ROWS_MAX if wants_csv(call) else page_limit(call)
        since_ms = query_ms(call, "since", day_ms(day_of(now_ms) - LAST_DAYS + 1))
        until_ms = query_ms(call, "until", now_ms + 1)
        found = await services.attribution.guide_statement(
            who.merchant, who.person, since_ms, until_ms, query.get("after", ""), limit
        )
        if wants_csv(call):
            return csv_file("statement", table_csv(found.rows))
        items = [CreditedView(**row) for row in found.rows]
        after = items[-1].order if len(items) == limit else None
        receipts = [] if "after" in query else [SoldReceiptView(**row) for row in found.receipts]
        told = {name: getattr(found, name) for name in _STATEMENT_SUMS}
        return GuideStatementAnswer(**told, items=items, receipts=receipts, next=after)

    period = {**PERIOD, **PAGING, **FORMAT}
    return Operation(
        "GET",
        "/api/v1/guide/statement",
        "What I am credited with",
        read_guide_statement,
        GUIDE,
        answer=GuideStatementAnswer,
        query=period,
        within="people",
    )


def _given(row: dict[str, Any]) -> GivenView:
    return GivenView(
        coupon=row["id"],
        person=row["person"],
        name=row["name"] or "",
        title=row["title"],
        reason=row["reason"],
        amount=row["amount"],
        threshold=row["threshold"],
        state=row["state"],
        order=row["order_id"],
        expires=row["expires_ms"],
        created=row["created_ms"],
    )
