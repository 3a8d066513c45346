"""Custom orders: what can be wished, how far the making is, requests for a price and their offers."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response

from commerce.domain.custom import CustomField, CustomForm, Offer, Option
from commerce.errors import Invalid
from commerce.ledger_custom import RequestView as Asked
from gateway.answers import csv_answer, order_answer
from gateway.api import CSV_TYPE, JPEG_TYPE, PICTURE_TYPES, SIGNED_IN, Call, Operation, call_key, page_limit
from gateway.auth import HOST_ROLES
from gateway.desk import Desk
from gateway.encode import plain
from gateway.parameters import LIMIT, PAGING, choice, cursor
from gateway.pictures import UPLOAD_BYTES_MAX
from gateway.routes_codes import picture_answer
from gateway.schemas import OrderAnswer
from gateway.schemas_books import RefundAnswer
from gateway.schemas_custom import (
    AskBody,
    DeclineBody,
    DroppedPicture,
    FormBody,
    FormView,
    OfferMadeBody,
    PictureView,
    ProduceBody,
    RequestPage,
    RequestView,
    WorkView,
)
from gateway.services import Services

MERCHANT = frozenset({"merchant"})
BUYERS = frozenset({"viewer", "guest"})
SELLERS = frozenset({"merchant", "guide"})
PATH = "/api/v1/custom"


def custom_operations(services: Services, desk: Desk) -> list[Operation]:
    """Operations on custom orders."""
    return [*_forms(services), *_pictures(services, desk), *_making(services, desk), *_requests(services, desk)]


def _forms(services: Services) -> list[Operation]:
    custom = services.shop.custom

    async def list_custom_forms(call: Call) -> Any:
        skus = [sku for sku in call.query.get("skus", "").split(",") if sku]
        return await custom.forms(call.who.merchant, skus)

    async def set_custom_form(call: Call) -> Any:
        body: FormBody = call.body
        fields = tuple(
            CustomField(
                one.label.strip(),
                one.kind,
                one.required,
                one.least,
                one.most,
                one.amount,
                tuple(Option(option.value.strip(), option.amount) for option in one.options),
            )
            for one in body.fields
        )
        form = CustomForm(fields, body.making_days, body.asked)
        return await custom.set_form(call.who.merchant, call.who.person, call.path["target"], form)

    async def unset_custom_form(call: Call) -> Any:
        return await custom.set_form(call.who.merchant, call.who.person, call.path["target"], None)

    forms, one = f"{PATH}/forms", f"{PATH}/forms/{{target}}"
    asked = {"skus": "those of a basket, with commas between; none: all forms as they were set"}
    return [
        Operation("GET", forms, "What can be wished", list_custom_forms, SIGNED_IN, answer=list[FormView], query=asked),
        Operation("PUT", one, "Of a product or SKU", set_custom_form, MERCHANT, FormBody, list[FormView]),
        Operation("DELETE", one, "Sell it as it is", unset_custom_form, MERCHANT, answer=list[FormView]),
    ]


def _pictures(services: Services, desk: Desk) -> list[Operation]:
    kept = services.shop.custom.pictures

    async def send_picture(call: Call) -> Any:
        room = desk.entered(call.who, call.query.get("room", ""))
        return await services.darkroom.take(room.merchant, room.id, call.who.person, call.raw)

    async def read_picture(call: Call) -> Response:
        who, picture = call.who, call.path["picture"]
        if who.staff:
            return picture_answer(await kept.of_shop(who.merchant, picture, who.reach), JPEG_TYPE)
        return picture_answer(await kept.of_person(who.merchant, who.person, picture), JPEG_TYPE)

    async def drop_picture(call: Call) -> Any:
        await kept.drop(call.who.merchant, call.who.person, call.path["picture"])
        return {"picture": call.path["picture"]}

    pictures, one = f"{PATH}/pictures", f"{PATH}/pictures/{{picture}}"
    return [
        Operation(
            "POST",
            pictures,
            "Send a picture to be made after: the file as the body",
            send_picture,
            BUYERS,
            answer=PictureView,
            status=201,
            query={"room": "in which it is asked or bought"},
            takes=PICTURE_TYPES,
            body_bytes_max=UPLOAD_BYTES_MAX,
        ),
        Operation(
            "GET",
            one,
            "The JPEG, for its buyer and the shop",
            read_picture,
            BUYERS | SELLERS,
            within="people",
            gives=(JPEG_TYPE,),
        ),
        Operation("DELETE", one, "Take one away that nothing names yet", drop_picture, BUYERS, answer=DroppedPicture),
    ]


def _making(services: Services, desk: Desk) -> list[Operation]:
    custom = services.shop.custom

    async def list_custom_work(call: Call) -> Any:
        return await custom.work(
            call.who.merchant, call.query.get("stage", ""), page_limit(call), call.query.get("after", "")
        )

    async def export_custom_work(call: Call) -> Response:
        return csv_answer(await custom.packing_list(call.who.merchant), "custom-orders.csv")

    async def produce_order(call: Call) -> Any:
        await desk.order_to_run(call.who, call.path["id"])
        order = await custom.produce(call.who.merchant, call.path["id"], call.body.stage, call.body.due)
        return {"order": order_answer(order, staff=True)}

    async def cancel_custom_order(call: Call) -> Any:
        return {"refund": await custom.cancel(call.who.merchant, call.who.person, call.path["id"], call_key(call))}

    work, one = f"{PATH}/making", "/api/v1/orders/{id}"
    asked = {
        "stage": choice("only these", "paid", "confirmed", "making", "ready"),
        "after": cursor("cursor: the last `order`"),
        "limit": LIMIT,
    }
    return [
        Operation("GET", work, "What is to be made", list_custom_work, MERCHANT, answer=list[WorkView], query=asked),
        Operation("GET", f"{work}/export", "The packing list as CSV", export_custom_work, MERCHANT, gives=(CSV_TYPE,)),
        Operation(
            "POST",
            f"{one}/production",
            "The next stage of the making",
            produce_order,
            HOST_ROLES,
            ProduceBody,
            OrderAnswer,
            within="orders",
        ),
        Operation(
            "POST",
            f"{one}/change-of-mind",
            "Cancel before the making",
            cancel_custom_order,
            SIGNED_IN,
            answer=RefundAnswer,
            status=201,
            keyed=True,
        ),
    ]


def _requests(services: Services, desk: Desk) -> list[Operation]:
    custom = services.shop.custom

    async def ask_price(call: Call) -> Any:
        body: AskBody = call.body
        room = desk.entered(call.who, body.room)
        if not desk.allows(room.id, body.words):
            raise Invalid("these words are not taken here", field="words")
        wishes = desk.wanted(room, body.custom)
        asked = (room.merchant, room.id, call.who.person, body.sku, body.quantity, wishes, body.words)
        return await custom.ask(*asked, call_key(call), body.pictures)

    async def list_requests(call: Call) -> RequestPage:
        limit, who = page_limit(call), call.who
        asked = ("" if who.staff else who.person, call.query.get("state", ""), call.query.get("after"), limit)
        rows = await custom.requests(who.merchant, *asked, reach=who.reach if who.staff else None)
        return RequestPage([_view(row) for row in rows], rows[-1].request if len(rows) == limit else None)

    async def make_offer(call: Call) -> Any:
        body: OfferMadeBody = call.body
        await custom.require(call.who.merchant, call.path["request"], call.who.reach)
        offer = Offer(body.price, body.deposit_percent, body.missed, body.deliver, body.valid)
        who = call.who
        return await custom.offer(who.merchant, who.person, call.path["request"], offer, body.answer)

    async def decline_request(call: Call) -> Any:
        await custom.require(call.who.merchant, call.path["request"], call.who.reach)
        return await custom.decline(call.who.merchant, call.who.person, call.path["request"], call.body.answer)

    async def withdraw_request(call: Call) -> Any:
        return await custom.withdraw(call.who.merchant, call.who.person, call.path["request"])

    requests = f"{PATH}/requests"
    one = f"{requests}/{{request}}"
    asked = {"state": choice("only these", "asked", "offered", "ordered", "declined", "withdrawn"), **PAGING}
    return [
        Operation("POST", requests, "Ask for a price", ask_price, SIGNED_IN, AskBody, RequestView, 201, keyed=True),
        Operation(
            "GET",
            requests,
            "Own requests; staff's customers'",
            list_requests,
            SIGNED_IN,
            answer=RequestPage,
            query=asked,
            within="people",
        ),
        Operation("POST", f"{one}/offer", "Answer", make_offer, SELLERS, OfferMadeBody, RequestView, within="people"),
        Operation(
            "POST", f"{one}/decline", "Not made", decline_request, SELLERS, DeclineBody, RequestView, within="people"
        ),
        Operation("POST", f"{one}/withdraw", "Not wanted any more", withdraw_request, SIGNED_IN, answer=RequestView),
    ]


def _view(row: Asked) -> RequestView:
    return msgspec.convert(plain(row), RequestView)
