"""Paid memberships: what is sold as such, one's own, a shop's all, giving one back."""

from __future__ import annotations

from typing import Any

from commerce.domain.membership import Benefits, PlanTerms
from gateway.api import SIGNED_IN, Call, Operation, call_key, page_limit
from gateway.parameters import PAGING, choice
from gateway.schemas_books import RefundAnswer
from gateway.schemas_memberships import (
    MembershipPage,
    MembershipRefundBody,
    MembershipView,
    PlanBody,
    PlanView,
)
from gateway.services import Services

MERCHANT = frozenset({"merchant"})
PATH = "/api/v1/memberships"


def membership_operations(services: Services) -> list[Operation]:
    """Operations on paid memberships."""
    memberships = services.shop.memberships

    async def list_membership_plans(call: Call) -> Any:
        return await memberships.plans(call.who.merchant)

    async def set_membership_plan(call: Call) -> Any:
        body: PlanBody = call.body
        coupon = (body.coupon_amount, body.coupon_threshold, body.coupon_days)
        terms = PlanTerms(body.months, Benefits(body.price_percent, body.points_percent, *coupon), body.refund)
        return await memberships.set_plan(call.who.merchant, call.who.person, call.path["sku"], terms)

    async def unset_membership_plan(call: Call) -> Any:
        return await memberships.set_plan(call.who.merchant, call.who.person, call.path["sku"], None)

    async def list_memberships(call: Call) -> Any:
        return await memberships.of_person(call.who.merchant, call.who.person)

    async def list_members_of_plans(call: Call) -> Any:
        limit, query = page_limit(call), call.query
        rows = await memberships.listed(call.who.merchant, query.get("state", ""), query.get("after"), limit)
        return {"items": rows, "next": rows[-1].membership if len(rows) == limit else None}

    async def refund_membership(call: Call) -> Any:
        who, one = call.who, call.path["membership"]
        return {"refund": await memberships.refund(who.merchant, who.person, one, call_key(call), call.body.reason)}

    plans, one = f"{PATH}/plans", f"{PATH}/plans/{{sku}}"
    asked = {**PAGING, "state": choice("only these", "active", "ended", "refunded")}
    refund = f"{PATH}/{{membership}}/refund"
    return [
        Operation("GET", PATH, "Own memberships", list_memberships, SIGNED_IN, answer=list[MembershipView]),
        Operation("GET", plans, "What is sold", list_membership_plans, SIGNED_IN, answer=list[PlanView]),
        Operation("PUT", one, "Sell a SKU as membership", set_membership_plan, MERCHANT, PlanBody, list[PlanView]),
        Operation("DELETE", one, "Sell it no more", unset_membership_plan, MERCHANT, answer=list[PlanView]),
        Operation("GET", f"{PATH}/all", "All", list_members_of_plans, MERCHANT, answer=MembershipPage, query=asked),
        Operation(
            "POST",
            refund,
            "Give one back",
            refund_membership,
            MERCHANT,
            MembershipRefundBody,
            RefundAnswer,
            201,
            keyed=True,
        ),
    ]
