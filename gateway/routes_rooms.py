"""Rooms and what a host does in them: shelf, pins, coupon drops, flash sales, stream."""

from __future__ import annotations

from typing import Any

from gateway.addresses import Addresses
from gateway.answers import hold_answer
from gateway.api import ANYONE, SIGNED_IN, STAFF, Call, Operation
from gateway.auth import HOST_ROLES
from gateway.desk import Desk
from gateway.errors import Problem
from gateway.schemas import (
    CardView,
    DropBody,
    DropView,
    Empty,
    HoldAnswer,
    HoldBody,
    Page,
    PinBody,
    PlayView,
    PriceBody,
    ProductBody,
    RoomAnswer,
    RoomBody,
    RoomView,
    StatsAnswer,
    StockBody,
)
from gateway.schemas_moments import SaleBody, SaleView, StartBody
from gateway.services import Services

MERCHANT = frozenset({"merchant"})
DAY_MS = 86_400_000
SHANGHAI_MS = 8 * 3_600_000


def midnight_ms(now_ms: int) -> int:
    """The midnight that began the shop's day: Asia/Shanghai, which knows no summer time. The board's "today" too."""
    return (now_ms + SHANGHAI_MS) // DAY_MS * DAY_MS - SHANGHAI_MS


def room_operations(services: Services, desk: Desk, addresses: Addresses) -> list[Operation]:
    """Operations under /api/v1/rooms."""
    return [
        *_room_basics(services, desk, addresses),
        *_shelf(services, desk),
        *_drops(services, desk),
        *_sales(services, desk),
    ]


def _room_basics(services: Services, desk: Desk, addresses: Addresses) -> list[Operation]:
    async def list_rooms(call: Call) -> Page:
        rooms = [room for room in services.rooms.of(call.who.merchant) if call.who.may_enter(room.id, room.merchant)]
        items = [
            {
                "room": room.id,
                "title": room.title,
                "host": room.host,
                "live": services.directory.info(room.id).live,
                "cover": room.cover or services.media.picture_url(room.id),
            }
            for room in rooms
        ]
        return Page(items=items)

    async def create_room(call: Call) -> RoomView:
        body: RoomBody = call.body
        who, org = call.who, services.org
        node = body.node or (None if who.reach is None else who.reach.node)
        if node is not None:
            org.require_node(who.scope, who.merchant, node)
        made = await services.catalogue.create_room(
            who.merchant, body.title, host_name=body.host_name or who.name, cover=body.cover
        )
        if node is not None:
            await org.place_room(None, who.merchant, made.id, node)
        return RoomView(id=made.id, title=made.title, host=made.host, cover=made.cover)

    async def read_room(call: Call) -> RoomAnswer:
        room = services.rooms.get(call.path["room"])
        counts = services.hub.stats(room.id)
        return RoomAnswer(
            room=RoomView(**room.view()),
            stream=desk.stream_view(room.id),  # type: ignore[arg-type]
            pins=await services.catalogue.pins(room.id),  # type: ignore[arg-type]
            shelf=await services.catalogue.shelf(room.id),  # type: ignore[arg-type]
            sales=await services.shop.sales(room.id),  # type: ignore[arg-type]
            drops=await services.shop.drops(room.id),  # type: ignore[arg-type]
            draws=await services.shop.moments.draws(room.id),  # type: ignore[arg-type]
            teams=await services.shop.moments.teams(room.id),  # type: ignore[arg-type]
            viewers=counts.viewers,
            likes=counts.likes,
            play=PlayView(**addresses.play(call.base_url, room.id)),
        )

    async def read_stats(call: Call) -> StatsAnswer:
        room = desk.run(call.who, call.path["room"])
        orders = await services.shop.orders(room.merchant, room=room.id, limit=20)
        sold = await services.shop.sold(room.merchant, room.id, midnight_ms(services.clock()))
        return StatsAnswer(
            hub=services.hub.stats(room.id),  # type: ignore[arg-type]
            stream=desk.stream_view(room.id),
            sold=sold,  # type: ignore[arg-type]
            orders=orders,  # type: ignore[arg-type]
        )

    return [
        Operation("GET", "/api/v1/rooms", "List the merchant's rooms", list_rooms, STAFF, answer=Page, within="node"),
        Operation(
            "POST", "/api/v1/rooms", "Open a room", create_room, MERCHANT, RoomBody, RoomView, 201, within="node"
        ),
        Operation("GET", "/api/v1/rooms/{room}", "What a viewer sees of a room", read_room, ANYONE, answer=RoomAnswer),
        Operation(
            "GET", "/api/v1/rooms/{room}/stats", "Figures for the host", read_stats, HOST_ROLES, answer=StatsAnswer
        ),
    ]


def _shelf(services: Services, desk: Desk) -> list[Operation]:
    async def list_products(call: Call) -> list[Any]:
        room = services.rooms.get(call.path["room"])
        return list(await services.catalogue.shelf(room.id))

    async def create_product(call: Call) -> Any:
        return await desk.add_product(call.who, call.path["room"], call.body)

    async def set_price(call: Call) -> Any:
        return await desk.set_price(call.who, call.path["room"], call.path["product"], call.body)

    async def adjust_stock(call: Call) -> Empty:
        room = await desk.goods_to_change(call.who, call.path["room"], call.path["sku"])
        body: StockBody = call.body
        await services.shop.stock_up(room.merchant, call.path["sku"], body.quantity, body.reason, call.who.person)
        return Empty()

    async def pin_product(call: Call) -> Empty:
        await desk.pin(call.who, call.path["room"], call.body)
        return Empty()

    async def unpin_product(call: Call) -> Empty:
        await desk.unpin(call.who, call.path["room"], call.path["product"])
        return Empty()

    path = "/api/v1/rooms/{room}/products"
    return [
        Operation("GET", path, "The room's shelf", list_products, ANYONE, answer=list[CardView]),
        Operation("POST", path, "Add a product to the shelf", create_product, HOST_ROLES, ProductBody, CardView, 201),
        Operation("PATCH", path + "/{product}", "Change a price", set_price, HOST_ROLES, PriceBody, CardView),
        Operation(
            "POST",
            "/api/v1/rooms/{room}/stock/{sku}",
            "Receive or adjust stock",
            adjust_stock,
            HOST_ROLES,
            StockBody,
            Empty,
        ),
        Operation("POST", "/api/v1/rooms/{room}/pin", "Pin a product", pin_product, HOST_ROLES, PinBody, Empty),
        Operation(
            "DELETE", "/api/v1/rooms/{room}/pin/{product}", "Take a pin away", unpin_product, HOST_ROLES, answer=Empty
        ),
    ]


def _drops(services: Services, desk: Desk) -> list[Operation]:
    async def list_drops(call: Call) -> list[Any]:
        return list(await services.shop.drops(services.rooms.get(call.path["room"]).id))

    async def start_drop(call: Call) -> Any:
        return await desk.start_drop(call.who, call.path["room"], call.body)

    async def close_drop(call: Call) -> Any:
        return await desk.close_drop(call.who, call.path["room"], call.path["drop"])

    path = "/api/v1/rooms/{room}/drops"
    return [
        Operation("GET", path, "Coupon drops", list_drops, ANYONE, answer=list[DropView]),
        Operation("POST", path, "Drop coupons now", start_drop, HOST_ROLES, DropBody, DropView, 201),
        Operation("POST", path + "/{drop}/close", "End a drop", close_drop, HOST_ROLES, answer=DropView),
    ]


def _sales(services: Services, desk: Desk) -> list[Operation]:
    async def list_sales(call: Call) -> list[Any]:
        return list(await services.shop.sales(services.rooms.get(call.path["room"]).id))

    async def create_sale(call: Call) -> Any:
        return await desk.create_sale(call.who, call.path["room"], call.body)

    async def start_sale(call: Call) -> Any:
        return await desk.start_sale(call.who, call.path["room"], call.path["sale"], call.body)

    async def turn_sale(call: Call) -> Any:
        verb = call.path["verb"]
        if verb not in {"pause", "resume", "close"}:
            raise Problem(404, "not_found", "a sale can be started, paused, resumed or closed")
        return await desk.turn_sale(call.who, call.path["room"], call.path["sale"], verb)

    async def hold_sale(call: Call) -> HoldAnswer:
        if call.key is None:
            raise Problem(400, "invalid", "send an Idempotency-Key header: a repeated request must not hold twice")
        path = call.path
        return hold_answer(await desk.hold(call.who, path["room"], path["sale"], call.body.quantity, call.key, None))

    path = "/api/v1/rooms/{room}/sales"
    return [
        Operation("GET", path, "Flash sales", list_sales, ANYONE, answer=list[SaleView]),
        Operation("POST", path, "Plan a flash sale", create_sale, HOST_ROLES, SaleBody, SaleView, 201),
        Operation("POST", path + "/{sale}/start", "Start the countdown", start_sale, HOST_ROLES, StartBody, SaleView),
        Operation("POST", path + "/{sale}/{verb}", "Pause, resume or close", turn_sale, HOST_ROLES, answer=SaleView),
        Operation(
            "POST", path + "/{sale}/holds", "Hold units", hold_sale, SIGNED_IN, HoldBody, HoldAnswer, 201, keyed=True
        ),
    ]
