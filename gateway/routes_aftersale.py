"""After the payment: refunds, shipping and pickup, the day's statement, webhooks."""

from __future__ import annotations

from functools import partial
from typing import Any

from commerce.domain.day import day_of
from commerce.statement import statement_csv
from gateway.answers import csv_answer, order_answer
from gateway.api import SIGNED_IN, Call, Operation, call_key
from gateway.auth import HOST_ROLES
from gateway.desk import Desk
from gateway.errors import Problem
from gateway.parameters import choice, day
from gateway.schemas import (
    CodeBody,
    Empty,
    OrderAnswer,
    RefundBody,
    ShipBody,
    WebhookAnswer,
    WebhookBody,
)
from gateway.schemas_books import RefundAnswer, RefundView, StatementAnswer
from gateway.services import Services

HOSTS = HOST_ROLES
MERCHANT = frozenset({"merchant"})


def aftersale_operations(services: Services, desk: Desk) -> list[Operation]:
    """Operations on refunds and fulfilment."""
    aftersale = services.shop.aftersale

    async def refund_order(call: Call) -> Any:
        body: RefundBody = call.body
        key = call_key(call)
        await desk.order_to_run(call.who, call.path["id"])
        refund = await aftersale.refund(
            call.who.merchant,
            call.who.person,
            call.path["id"],
            key,
            lines=None if body.lines is None else [(line.sku, line.quantity) for line in body.lines],
            amount=body.amount,
            stock=body.stock,
            reason=body.reason,
        )
        return {"refund": refund}

    async def list_refunds(call: Call) -> Any:
        person = None if call.who.staff else call.who.person
        if person is None:
            await services.org.require_order(call.who.merchant, call.path["id"], call.who.reach)
        return await aftersale.refunds(call.who.merchant, call.path["id"], person)

    async def retry_refund(call: Call) -> Any:
        await desk.order_to_run(call.who, call.path["id"])
        return {"refund": await aftersale.retry_refund(call.who.merchant, call.path["id"], call.path["refund"])}

    async def ship_order(call: Call) -> Any:
        body: ShipBody = call.body
        await desk.order_to_run(call.who, call.path["id"])
        order = await aftersale.ship(call.who.merchant, call.path["id"], body.carrier, body.number)
        return {"order": order_answer(order, staff=True)}

    async def pick_up_order(call: Call) -> Any:
        body: CodeBody = call.body
        await desk.order_to_run(call.who, call.path["id"])
        order = await aftersale.pick_up(call.who.merchant, call.path["id"], body.code)
        return {"order": order_answer(order, staff=True)}

    async def finish_order(call: Call) -> Any:
        staff = call.who.role in HOST_ROLES
        if staff:
            await desk.order_to_run(call.who, call.path["id"])
        person = None if staff else call.who.person
        order = await aftersale.finish(call.who.merchant, call.path["id"], person)
        return {"order": order_answer(order, staff=staff)}

    orders = "/api/v1/orders/{id}"
    # Each looks for the order within the reach of who asks.
    own = partial(Operation, within="orders")
    return [
        own("GET", f"{orders}/refunds", "An order's refunds", list_refunds, SIGNED_IN, answer=list[RefundView]),
        own("POST", f"{orders}/refunds", "Refund", refund_order, HOSTS, RefundBody, RefundAnswer, 201, keyed=True),
        own("POST", f"{orders}/refunds/{{refund}}/retry", "Ask again", retry_refund, HOSTS, answer=RefundAnswer),
        own("POST", f"{orders}/ship", "Ship", ship_order, HOSTS, ShipBody, OrderAnswer),
        own("POST", f"{orders}/pickup", "Hand over by code", pick_up_order, HOSTS, CodeBody, OrderAnswer),
        own("POST", f"{orders}/done", "The goods arrived", finish_order, SIGNED_IN, answer=OrderAnswer),
    ]


def statement_operations(services: Services) -> list[Operation]:
    """Operations on the day's books."""
    aftersale = services.shop.aftersale

    async def read_statement(call: Call) -> Any:
        day = call.query.get("day") or day_of(services.clock())
        form = call.query.get("format", "json")
        if form not in ("json", "csv"):
            raise Problem(400, "invalid", "format is json or csv")
        statement = await aftersale.statement(call.who.merchant, day)
        if form == "json":
            return statement
        return csv_answer(statement_csv(statement), f"statement-{statement.day}.csv")

    asked = {
        "day": day("YYYY-MM-DD in Asia/Shanghai, today when left out"),
        "format": choice("json (default) or csv", "json", "csv"),
    }
    return [
        Operation(
            "GET",
            "/api/v1/statements",
            "The books of one day",
            read_statement,
            MERCHANT,
            answer=StatementAnswer,
            query=asked,
            within="books",
        ),
    ]


def webhook_operations(services: Services) -> list[Operation]:
    """Operations on webhooks."""
    webhooks = services.webhooks

    async def create_webhook(call: Call) -> Any:
        body: WebhookBody = call.body
        await services.sender.check(body.url)
        made = await webhooks.create(call.who.merchant, body.url, body.events)
        await services.media_events.refresh()
        return made

    async def list_webhooks(call: Call) -> Any:
        return await webhooks.webhooks(call.who.merchant)

    async def delete_webhook(call: Call) -> Empty:
        await webhooks.delete(call.who.merchant, call.path["webhook"])
        await services.media_events.refresh()
        return Empty()

    async def list_deliveries(call: Call) -> Any:
        return await webhooks.deliveries(call.who.merchant, call.path["webhook"])

    one = "/api/v1/webhooks/{webhook}"
    listed, deliveries = list[WebhookAnswer], list[dict[str, Any]]
    return [
        Operation(
            "POST", "/api/v1/webhooks", "Add a webhook", create_webhook, MERCHANT, WebhookBody, WebhookAnswer, 201
        ),
        Operation("GET", "/api/v1/webhooks", "The merchant's webhooks", list_webhooks, MERCHANT, answer=listed),
        Operation("DELETE", one, "Remove a webhook", delete_webhook, MERCHANT, answer=Empty),
        Operation("GET", f"{one}/deliveries", "Its deliveries", list_deliveries, MERCHANT, answer=deliveries),
    ]
