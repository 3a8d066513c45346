"""Orders and coupons of the signed-in person; a merchant's staff sees the merchant's."""

from __future__ import annotations

from typing import Any

from gateway.answers import order_answer
from gateway.api import SIGNED_IN, Call, Operation, call_key, page_limit
from gateway.desk import Desk
from gateway.parameters import PAGING
from gateway.schemas import CouponView, OrderAnswer, OrderBody, Page
from gateway.services import Services


def order_operations(services: Services, desk: Desk) -> list[Operation]:
    """Operations on orders and coupons."""
    shop = services.shop

    async def create_order(call: Call) -> Any:
        order = await desk.create_order(call.who, call.body.room, call.body, key=call_key(call))
        return {"order": order_answer(order)}

    async def list_orders(call: Call) -> Page:
        limit = page_limit(call)
        person = None if call.who.staff else call.who.person
        room = call.query.get("room")
        orders = await shop.orders(
            call.who.merchant,
            person=person,
            room=room,
            after=call.query.get("after"),
            limit=limit,
            reach=call.who.reach if call.who.staff else None,
        )
        items = [order_answer(order, staff=call.who.staff) for order in orders]
        return Page(items=items, next=orders[-1].order if len(orders) == limit else None)

    async def read_order(call: Call) -> Any:
        person = None if call.who.staff else call.who.person
        if person is None:
            await services.org.require_order(call.who.merchant, call.path["id"], call.who.reach)
        order = await shop.order(call.who.merchant, call.path["id"], person=person)
        return {"order": order_answer(order, staff=call.who.staff)}

    async def cancel_order(call: Call) -> Any:
        return {"order": order_answer(await shop.cancel_order(call.who.merchant, call.who.person, call.path["id"]))}

    async def list_coupons(call: Call) -> list[Any]:
        return list(await shop.coupons(call.who.merchant, call.who.person))

    return [
        Operation("POST", "/api/v1/orders", "Order", create_order, SIGNED_IN, OrderBody, OrderAnswer, 201, keyed=True),
        Operation(
            "GET",
            "/api/v1/orders",
            "Own orders; all of the merchant's for staff",
            list_orders,
            SIGNED_IN,
            answer=Page,
            query={**PAGING, "room": "only this room's"},
            within="orders",
        ),
        Operation(
            "GET", "/api/v1/orders/{id}", "One order", read_order, SIGNED_IN, answer=OrderAnswer, within="orders"
        ),
        Operation("POST", "/api/v1/orders/{id}/cancel", "Cancel", cancel_order, SIGNED_IN, answer=OrderAnswer),
        Operation("GET", "/api/v1/coupons", "Own coupons", list_coupons, SIGNED_IN, answer=list[CouponView]),
    ]
