"""/asyncapi.json: the hub's protocol as an AsyncAPI 3.0 document, made of the structs by which commands are checked.

One table holds every command, event and close code: those of the hub itself are in `chat/schemas.py`, those that reach
into the shop are here. A test drives a running server and compares what it says with the same structs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec
from msgspec import Struct

from chat import schemas as hub
from chat.errors import CloseCode
from chat.message import ID_MAX
from chat.rights import RIGHTS
from chat.schemas import Count, Millis, Nothing, PolledRoom
from gateway.commands import (
    ClaimCommand,
    DropCommand,
    HoldCommand,
    OrderCommand,
    PayCommand,
    ProductCommand,
    SaleCommand,
    StartCommand,
    TouchCommand,
)
from gateway.commands_moments import (
    EnterCommand,
    FollowCommand,
    ReopenCommand,
    SwitchCommand,
    TeamCommand,
    VoidCommand,
    WaitCommand,
)
from gateway.schemas import (
    CardView,
    CouponAnswer,
    CouponView,
    DropBody,
    DropView,
    HoldAnswer,
    OrderView,
    PinBody,
    RoomView,
    StreamView,
)
from gateway.schemas_after_sale import AfterSaleView
from gateway.schemas_moments import (
    DrawBody,
    DrawView,
    EnteredAnswer,
    FollowAnswer,
    SaleBody,
    SaleView,
    SeatAnswer,
    TeamView,
)
from gateway.schemas_payments import PaymentView

STAFF_TEXT = "assistant, host, merchant"


class CouponGiven(Struct):
    coupon: CouponAnswer


class PaidGiven(Struct):
    order: OrderView
    payment: PaymentView | None = None


class OrderGiven(Struct):
    order: OrderView


class DropGiven(Struct):
    drop: DropView


class SaleGiven(Struct):
    sale: SaleView


class DrawGiven(Struct):
    draw: DrawView


class ReservedGiven(Struct):
    reserved: Count


class PlaceGiven(Struct):
    place: Count


class RoomEvent(Struct, tag_field="t", tag="room"):
    """The room as it is: the first event of a connection. Sections with a default are missing until they are used."""

    epoch: str
    offset: Count
    resumed: bool
    now: Millis
    you: hub.Standing
    viewers: Count
    likes: Count
    room: RoomView
    stream: StreamView
    pins: list[CardView]
    shelf: list[CardView]
    sales: list[SaleView]
    drops: list[DropView]
    draws: list[DrawView]
    teams: list[TeamView]
    history: list[dict[str, Any]]
    rules: hub.RulesView | None = None
    pinned: hub.Said | None = None
    announcement: hub.Announcement | None = None
    poll: hub.PollView | None = None
    questions: Count = 0


class StreamEvent(Struct, tag_field="t", tag="stream"):
    stream: StreamView
    o: int


class PinEvent(Struct, tag_field="t", tag="pin"):
    card: CardView
    media_ms: int | None
    o: int


class UnpinEvent(Struct, tag_field="t", tag="unpin"):
    product: str
    media_ms: int | None
    o: int


class DropEvent(Struct, tag_field="t", tag="drop"):
    drop: DropView
    media_ms: int | None = None
    o: int | None = None


class SaleEvent(Struct, tag_field="t", tag="sale"):
    sale: SaleView
    media_ms: int | None
    o: int


class StockEvent(Struct, tag_field="t", tag="stock"):
    sale: str
    left: int
    state: str
    waiting: int
    reserved: int


class ShelfEvent(Struct, tag_field="t", tag="shelf"):
    shelf: list[CardView]


class LeftEvent(Struct, tag_field="t", tag="left"):
    left: dict[str, int]


class CustomEvent(Struct, tag_field="t", tag="custom"):
    """Something of the shop's own, told over the API."""

    name: str
    data: dict[str, Any]
    now: Millis
    o: int | None = None


class CouponEvent(Struct, tag_field="t", tag="coupon"):
    coupon: CouponView
    a: int


class AskedView(Struct):
    """A question that an advisor was given until ``due``."""

    question: str
    name: str
    body: str
    skill: str
    state: str
    due: Millis


class QuestionEvent(Struct, tag_field="t", tag="question"):
    question: AskedView
    a: int


class RepliedView(Struct):
    question: str
    body: str


class AnswerEvent(Struct, tag_field="t", tag="answer"):
    answer: RepliedView
    a: int


class OrderEvent(Struct, tag_field="t", tag="order"):
    order: OrderView
    a: int


class DrawEvent(Struct, tag_field="t", tag="draw"):
    draw: DrawView
    o: int | None = None


class TeamEvent(Struct, tag_field="t", tag="team"):
    team: TeamView
    o: int | None = None


class HoldEvent(Struct, tag_field="t", tag="hold"):
    hold: str
    sale: str
    quantity: int
    price: int
    expires: int
    why: str
    a: int


class ReminderEvent(Struct, tag_field="t", tag="reminder"):
    sale: SaleView
    a: int


class BalanceEvent(Struct, tag_field="t", tag="balance"):
    order: OrderView
    a: int


class OwedView(Struct):
    """What is owed on account: of ``order``, or of a reminder all that is overdue (``due`` is since when)."""

    order: str | None
    amount: int
    due: int


class DebtEvent(Struct, tag_field="t", tag="debt"):
    """Something that one owes comes due, is overdue, or the shop asks for it."""

    why: Literal["due", "overdue", "reminded"]
    debt: OwedView
    a: int


class OfferEvent(Struct, tag_field="t", tag="offer"):
    """A request for a price was answered: ``state`` is offered or declined, ``price`` 分 a unit."""

    request: str
    title: str
    state: str
    price: int
    a: int


class AfterSaleEvent(Struct, tag_field="t", tag="after_sale"):
    """A request after the sale of one's own came to its next state."""

    request: AfterSaleView
    a: int


class ErrorBody(Struct):
    """What was refused; some codes add fields of their own."""

    code: str
    message: str
    retry_ms: int | None = None


class ErrorAnswer(Struct):
    re: int
    error: ErrorBody


class CloseEvent(Struct):
    """Data of the event `close` of an event stream."""

    code: int
    reason: str


Command = tuple[type[Struct], type[Struct]]
SHOP_COMMANDS: dict[str, Command] = {
    "coupon.claim": (ClaimCommand, CouponGiven),
    "sale.hold": (HoldCommand, HoldAnswer),
    "order.create": (OrderCommand, OrderGiven),
    "order.pay": (PayCommand, PaidGiven),
    "touch": (TouchCommand, Nothing),
    "pin": (PinBody, Nothing),
    "unpin": (ProductCommand, Nothing),
    "drop.start": (DropBody, DropGiven),
    "drop.close": (DropCommand, DropGiven),
    "sale.create": (SaleBody, SaleGiven),
    "sale.start": (StartCommand, SaleGiven),
    "sale.pause": (SaleCommand, SaleGiven),
    "sale.resume": (SaleCommand, SaleGiven),
    "sale.close": (SaleCommand, SaleGiven),
    "sale.reopen": (ReopenCommand, SaleGiven),
    "sale.remind": (SwitchCommand, ReservedGiven),
    "sale.wait": (WaitCommand, PlaceGiven),
    "sale.leave": (WaitCommand, PlaceGiven),
    "draw.open": (DrawBody, DrawGiven),
    "draw.void": (VoidCommand, DrawGiven),
    "draw.enter": (EnterCommand, EnteredAnswer),
    "team.join": (TeamCommand, SeatAnswer),
    "follow": (FollowCommand, FollowAnswer),
}
FOR_VIEWERS = frozenset(
    {"coupon.claim", "sale.hold", "order.create", "order.pay", "sale.remind", "sale.wait", "sale.leave"}
    | {"draw.enter", "team.join", "follow", "touch"}
)
COMMANDS: dict[str, Command] = {**hub.COMMANDS, **SHOP_COMMANDS}
EVENTS: dict[str, type[Struct]] = {
    "room": RoomEvent,
    **hub.EVENTS,
    "stream": StreamEvent,
    "pin": PinEvent,
    "unpin": UnpinEvent,
    "drop": DropEvent,
    "sale": SaleEvent,
    "stock": StockEvent,
    "shelf": ShelfEvent,
    "left": LeftEvent,
    "custom": CustomEvent,
    "coupon": CouponEvent,
    "order": OrderEvent,
    "draw": DrawEvent,
    "team": TeamEvent,
    "hold": HoldEvent,
    "reminder": ReminderEvent,
    "balance": BalanceEvent,
    "debt": DebtEvent,
    "offer": OfferEvent,
    "after_sale": AfterSaleEvent,
    "question": QuestionEvent,
    "answer": AnswerEvent,
}
CLOSES: dict[CloseCode, str] = {
    CloseCode.INTERNAL: "our mistake",
    CloseCode.DRAIN: "the server stops or restarts",
    CloseCode.SLOW: "too slow, stalled, or silent",
    CloseCode.JOINS_LIMITED: "too many join at once, or the server is full",
    CloseCode.BAD_FRAME: "no JSON, not of the shape of commands, or a binary frame",
    CloseCode.TOKEN: "no token, a bad or an expired one",
    CloseCode.BANNED: "banned or removed",
    CloseCode.NO_ROOM: "no such room, or it was closed",
    CloseCode.TOO_LONG: "message too long",
    CloseCode.FLOODING: "flooding",
}


def may_give(command: str) -> str:
    """The roles that may give a command, in words."""
    if command in RIGHTS:
        return ", ".join(sorted(RIGHTS[command])) or "anybody"
    return "anybody but a moderator" if command in FOR_VIEWERS else STAFF_TEXT


def come_back(code: int) -> Literal["at once", "after retry_ms", "not by yourself", "after a while"]:
    """What a client does after a close code."""
    if code < 4000:
        return "after a while"
    if code < 4200:
        return "at once"
    return "after retry_ms" if code < 4400 else "not by yourself"


def _with(schema: Mapping[str, Any], fields: Mapping[str, Any], required: list[str]) -> dict[str, Any]:
    """An object's schema with further fields before its own."""
    merged = dict(schema)
    merged["properties"] = {**fields, **schema.get("properties", {})}
    merged["required"] = [*required, *schema.get("required", [])]
    return merged


def asyncapi(*, version: str) -> dict[str, Any]:
    """The AsyncAPI 3.0 document of the hub."""
    kinds = list(dict.fromkeys([kind for pair in COMMANDS.values() for kind in pair] + list(EVENTS.values())))
    kinds += [ErrorAnswer, CloseEvent, PolledRoom]
    references, components = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    schema_of = {
        kind: components[reference["$ref"].rpartition("/")[2]]
        for kind, reference in zip(kinds, references, strict=True)
    }
    number = {"type": "integer", "minimum": 0, "maximum": ID_MAX}
    messages: dict[str, Any] = {"error": {"name": "error", "payload": schema_of[ErrorAnswer]}}
    operations: dict[str, Any] = {}
    for name, (arguments, answer) in COMMANDS.items():
        given = _with(schema_of[arguments], {"id": number, "cmd": {"const": name}}, ["cmd"])
        given["title"] = name
        answered = _with(schema_of[answer], {"re": number, "ok": {"const": True}}, ["re", "ok"])
        answered["title"] = f"answer to {name}"
        messages[f"command.{name}"] = {"name": name, "payload": given}
        messages[f"answer.{name}"] = {"name": f"answer to {name}", "payload": answered}
        operations[name] = {
            "action": "receive",
            "channel": {"$ref": "#/channels/room"},
            "messages": [_message(f"command.{name}")],
            "description": f"Roles: {may_give(name)}",
            "reply": {
                "channel": {"$ref": "#/channels/room"},
                "messages": [_message(f"answer.{name}"), _message("error")],
            },
        }
    for name, kind in EVENTS.items():
        messages[f"event.{name}"] = {"name": name, "payload": schema_of[kind]}
    events = [f"event.{name}" for name in EVENTS]
    messages["poll"] = {"name": "answer to a poll", "payload": schema_of[PolledRoom]}
    operations["poll"] = {
        "action": "send",
        "channel": {"$ref": "#/channels/poll"},
        "messages": [_message("poll", "poll")],
        "description": "items are events, as on the other channels",
    }
    for channel in ("room", "stream"):
        operations[f"{channel}.events"] = {
            "action": "send",
            "channel": {"$ref": f"#/channels/{channel}"},
            "messages": [_message(name, channel) for name in events],
        }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Siyu Live hub",
            "version": version,
            "description": "Every frame of the server is an array of events and answers; a client sends one command "
            "or an array of them. docs/hub.md says the rest.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {
            "room": _channel("/ws/{room}", "WebSocket", messages),
            "stream": _channel("/sse/{room}", "Server-sent events, read-only; pad=1 fills a proxy's buffer", events),
            "poll": _channel("/poll/{room}", "Long polling, read-only", ["poll"]),
        },
        "operations": operations,
        "components": {"messages": messages, "schemas": components},
        "x-close-codes": [
            {"code": int(code), "means": text, "comeBack": come_back(code)} for code, text in sorted(CLOSES.items())
        ],
    }


def _message(name: str, channel: str = "room") -> dict[str, str]:
    return {"$ref": f"#/channels/{channel}/messages/{name}"}


def _channel(address: str, description: str, names: Any) -> dict[str, Any]:
    return {
        "address": address,
        "description": description,
        "parameters": {"room": {"description": "the room's id"}},
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in names},
    }
