"""After-sale requests: what buyers ask for after they paid, and what the shop answers."""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec

from commerce.aftersale_requests import STATES
from commerce.domain.aftersale import Counted
from commerce.events import AfterSaleView as Asked
from gateway.api import SIGNED_IN, Call, Operation, call_key, page_limit
from gateway.auth import HOST_ROLES
from gateway.desk import Desk
from gateway.encode import plain
from gateway.parameters import CURSOR, LIMIT, choice
from gateway.schemas_after_sale import (
    AfterSaleBody,
    AfterSalePage,
    AfterSaleView,
    ApproveBody,
    LessBody,
    ReceiveBody,
    RefuseBody,
    SendBody,
    TakeBody,
)
from gateway.services import Services

PATH = "/api/v1/after-sales"


def after_sale_operations(services: Services, desk: Desk) -> list[Operation]:
    """Operations on after-sale requests."""
    return [*_buyer(services), *_seen(services), *_shop(services, desk)]


def _buyer(services: Services) -> list[Operation]:
    requests = services.shop.requests

    async def ask_after_sale(call: Call) -> Any:
        body: AfterSaleBody = call.body
        who, lines = call.who, [(line.sku, line.quantity) for line in body.lines]
        asked = (who.merchant, who.person, call.path["id"], call_key(call), body.kind, body.reason, lines)
        return _view(await requests.ask(*asked, amount=body.amount, words=body.words))

    async def take_offer(call: Call) -> Any:
        who = call.who
        return _view(await requests.take(who.merchant, who.person, call.path["request"], call.body.amount))

    async def leave_offer(call: Call) -> Any:
        return _view(await requests.leave(call.who.merchant, call.who.person, call.path["request"]))

    async def withdraw_after_sale(call: Call) -> Any:
        return _view(await requests.withdraw(call.who.merchant, call.who.person, call.path["request"]))

    async def send_back(call: Call) -> Any:
        who, body = call.who, call.body
        asked = (who.merchant, who.person, call.path["request"], body.carrier, body.number)
        return _view(await requests.send(*asked))

    ask, one = "/api/v1/orders/{id}/after-sales", f"{PATH}/{{request}}"
    own = partial(Operation, "POST", roles=SIGNED_IN, answer=AfterSaleView)
    return [
        own(ask, "Ask for a refund, or to give goods back", ask_after_sale, body=AfterSaleBody, status=201, keyed=True),
        own(f"{one}/take", "Take the shop's offer", take_offer, body=TakeBody),
        own(f"{one}/leave", "Leave the offer, ask on", leave_offer),
        own(f"{one}/withdraw", "Not wanted any more", withdraw_after_sale),
        own(f"{one}/send", "The goods are on their way back", send_back, body=SendBody),
    ]


def _seen(services: Services) -> list[Operation]:
    requests = services.shop.requests

    async def list_after_sales(call: Call) -> AfterSalePage:
        limit, who, query = page_limit(call), call.who, call.query
        rows = await requests.all(
            who.merchant,
            "" if who.staff else who.person,
            order=query.get("order", ""),
            state=query.get("state", ""),
            before=query.get("after"),
            limit=limit,
            reach=who.reach if who.staff else None,
        )
        return AfterSalePage([_view(row) for row in rows], rows[-1].request if len(rows) == limit else None)

    async def read_after_sale(call: Call) -> Any:
        who = call.who
        view = await requests.one(who.merchant, call.path["request"], None if who.staff else who.person)
        if who.staff:
            await services.org.require_order(who.merchant, view.order, who.reach)
        return _view(view)

    asked = {
        "state": choice(f"only {', '.join(STATES)}", *STATES),
        "order": "only of this order",
        "after": CURSOR,
        "limit": LIMIT,
    }
    reading = partial(Operation, "GET", roles=SIGNED_IN, within="orders")
    return [
        reading(PATH, "Own requests; staff's orders'", list_after_sales, answer=AfterSalePage, query=asked),
        reading(f"{PATH}/{{request}}", "One request", read_after_sale, answer=AfterSaleView),
    ]


def _shop(services: Services, desk: Desk) -> list[Operation]:
    requests = services.shop.requests

    async def to_answer(call: Call) -> tuple[str, str, str]:
        """Merchant, staff and request, of an order that they may run. Raises ``Problem`` 403, ``NotFound``."""
        who, request = call.who, call.path["request"]
        await desk.order_to_run(who, (await requests.one(who.merchant, request)).order)
        return who.merchant, who.person, request

    async def approve_after_sale(call: Call) -> Any:
        return _view(await requests.approve(*await to_answer(call), call.body.answer))

    async def refuse_after_sale(call: Call) -> Any:
        return _view(await requests.refuse(*await to_answer(call), call.body.answer))

    async def offer_less(call: Call) -> Any:
        body: LessBody = call.body
        whose = await to_answer(call)
        return _view(await requests.offer(*whose, body.amount, keeps=body.keeps, answer=body.answer))

    async def receive_back(call: Call) -> Any:
        body: ReceiveBody = call.body
        came = [Counted(line.sku, line.sellable, line.quarantined) for line in body.lines]
        return _view(await requests.receive(*await to_answer(call), came, body.answer))

    one = f"{PATH}/{{request}}"
    deciding = partial(Operation, "POST", roles=HOST_ROLES, answer=AfterSaleView, within="orders")
    return [
        deciding(f"{one}/approve", "Give what is asked for", approve_after_sale, body=ApproveBody),
        deciding(f"{one}/refuse", "Say no", refuse_after_sale, body=RefuseBody),
        deciding(f"{one}/offer", "Offer less", offer_less, body=LessBody),
        deciding(f"{one}/receive", "Count what came back", receive_back, body=ReceiveBody),
    ]


def _view(row: Asked) -> AfterSaleView:
    return msgspec.convert(plain(row), AfterSaleView)
