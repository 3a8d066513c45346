"""Same-city couriers: a quote, an errand for an order, calling it off, and the couriers' callbacks."""

from __future__ import annotations

from functools import partial
from typing import Any

from starlette.responses import Response

from commerce.payment import CALLBACK_BYTES_MAX
from gateway.api import ANYONE, NOTICE_TYPES, REPLY_TYPES, Call, Operation
from gateway.auth import HOST_ROLES
from gateway.desk import Desk
from gateway.schemas_courier import CourierCancelBody, CourierQuoteAnswer, ErrandAnswer
from gateway.services import Services


def courier_operations(services: Services, desk: Desk) -> list[Operation]:
    """Operations under /api/v1/orders/{id}/courier and /api/v1/couriers."""
    couriers = services.couriers

    async def quote_courier(call: Call) -> Any:
        await desk.order_to_run(call.who, call.path["id"])
        return await couriers.quote(call.who.merchant, call.path["id"])

    async def list_errands(call: Call) -> Any:
        await services.org.require_order(call.who.merchant, call.path["id"], call.who.reach)
        return await couriers.errands(call.who.merchant, call.path["id"])

    async def call_courier(call: Call) -> Any:
        await desk.order_to_run(call.who, call.path["id"])
        return await couriers.call(call.who.merchant, call.path["id"], call.who.person)

    async def cancel_courier(call: Call) -> Any:
        body: CourierCancelBody = call.body
        await desk.order_to_run(call.who, call.path["id"])
        return await couriers.cancel(call.who.merchant, call.path["id"], body.reason)

    async def courier_callback(call: Call) -> Response:
        answer = await couriers.answer(call.path["provider"], call.raw, call.headers)
        return Response(answer.body, answer.status, media_type=answer.content_type)

    path, own = "/api/v1/orders/{id}/courier", partial(Operation, within="orders")
    return [
        own("GET", path, "An order's couriers", list_errands, HOST_ROLES, answer=list[ErrandAnswer]),
        own("GET", f"{path}/quote", "What one costs", quote_courier, HOST_ROLES, answer=CourierQuoteAnswer),
        own("POST", path, "Send a courier", call_courier, HOST_ROLES, answer=ErrandAnswer, status=201),
        own("POST", f"{path}/cancel", "Call it off", cancel_courier, HOST_ROLES, CourierCancelBody, ErrandAnswer),
        Operation(
            "POST",
            "/api/v1/couriers/{provider}",
            "Callback of a courier",
            courier_callback,
            ANYONE,
            takes=NOTICE_TYPES,
            gives=REPLY_TYPES,
            body_bytes_max=CALLBACK_BYTES_MAX,
        ),
    ]
