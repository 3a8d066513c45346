"""What a guide does with their own budget: coupons for their customers."""

from __future__ import annotations

from typing import Any

from gateway.answers import coupon_answer
from gateway.api import Call, Operation, call_key, page_limit
from gateway.desk import Desk
from gateway.encode import plain
from gateway.schemas import CouponAnswer, Page
from gateway.schemas_guide import GivenView, GuideCouponBody
from gateway.schemas_members import BudgetAnswer
from gateway.services import Services

GUIDE = frozenset({"guide"})
DAY_S = 86_400


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
    paging = {"after": "cursor: the last coupon's id", "limit": "1 to 200"}
    return [
        Operation("GET", budget, "My budget", read_own_budget, GUIDE, answer=BudgetAnswer, within="node"),
        Operation("GET", coupons, "What I gave", list_given_coupons, GUIDE, answer=Page, query=paging, within="people"),
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
        ),
    ]


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
