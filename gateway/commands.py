"""Hub commands that reach beyond the room: coupon, hold, order, payment for viewers; pin, drop, sale for staff.

viewer bytes → hub → here → ``Desk`` → commerce. A refusal of commerce becomes the hub's refusal with the same code.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import cache, partial
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import asdict

from chat.audit import AuditEntry, AuditTrail, brief
from chat.commands import CommandContext, CommandHandler
from chat.errors import CommandRefused
from chat.member import Member
from chat.message import PreparedRefusal
from commerce.domain.order import LINES_MAX
from commerce.domain.sale import COUNTDOWN_S_MAX
from commerce.errors import CommerceError
from commerce.ledger import KEY_CHARACTERS_MAX
from commerce.ledger_hot_sql import REFUSALS
from gateway.answers import coupon_answer, hold_answer, order_answer, paying_answer
from gateway.auth import MODERATOR, Claims
from gateway.desk import Desk
from gateway.encode import plain
from gateway.errors import Problem
from gateway.schemas import (
    AgreedBody,
    Coupons,
    DeliveryBody,
    DropBody,
    Id,
    OrderLineBody,
    PinBody,
    Quantity,
    Spend,
    Token,
    Wishes,
)
from gateway.schemas_base import ClientTouch, Millis
from gateway.schemas_moments import SaleBody, StartBody
from gateway.schemas_payments import Payer, PaymentMethod, ProviderName

Key = Annotated[str, Meta(min_length=1, max_length=KEY_CHARACTERS_MAX)]
# Who claims without a key gets the one coupon that this key stands for, however often they ask.
KEYLESS = "keyless"
T = TypeVar("T")
Call = Callable[[Claims, str, Mapping[str, Any]], Awaitable[Mapping[str, Any]]]
Handler = CommandHandler
SlowHandler = Callable[[CommandContext, Mapping[str, Any]], Awaitable[Mapping[str, Any]]]


class ClaimCommand(Struct):
    drop: Id
    key: Key | None = None


class HoldCommand(Struct):
    sale: Id
    key: Key
    quantity: Quantity = 1
    version: int | None = None


class OrderCommand(Struct):
    key: Key
    hold: Id | None = None
    lines: Annotated[list[OrderLineBody], Meta(max_length=LINES_MAX)] = []
    coupon: Id | None = None
    coupons: Coupons = []
    points: Spend = 0
    stored: Spend = 0
    delivery: DeliveryBody | None = None
    mall: bool = False
    custom: Wishes = {}
    offer: AgreedBody | None = None


class PayCommand(Struct):
    order: Id
    key: Key
    provider: ProviderName = ""
    method: PaymentMethod = ""
    payer: Payer = ""


class TouchCommand(Struct):
    kind: ClientTouch
    sku: Id | None = None
    token: Token | None = None
    clip: Id | None = None


class ProductCommand(Struct):
    product: Id


class DropCommand(Struct):
    drop: Id


class SaleCommand(Struct):
    sale: Id


class StartCommand(Struct):
    sale: Id
    countdown_s: Annotated[int, Meta(ge=0, le=COUNTDOWN_S_MAX)] = 10
    at: Millis | None = None


def refusal(error: Exception) -> Exception:
    """What the hub is told for an error of commerce or of the desk; anything else stays what it is."""
    if isinstance(error, CommerceError):
        return CommandRefused(error.code, error.message, error.retry_ms, **error.extra)
    if isinstance(error, Problem):
        return CommandRefused(error.code, error.detail, error.retry_ms, **error.extra)
    return error


def parse(kind: type[T], command: Mapping[str, Any]) -> T:
    """``command`` as ``kind``. Raises ``CommandRefused``."""
    try:
        return msgspec.convert(command, kind)
    except msgspec.ValidationError as error:
        raise CommandRefused("invalid", str(error)) from error


def body_of(kind: type[T], command: Mapping[str, Any]) -> T:
    """The fields of ``command`` beside its id and name, as a body that refuses unknown fields."""
    return parse(kind, {name: value for name, value in command.items() if name not in {"id", "cmd"}})


def claims_of(context: CommandContext) -> Claims:
    return claims_of_member(context.member, context.room)


def claims_of_member(member: Member, room: str) -> Claims:
    """What the shop takes a member of a room for: a customer who keeps order there buys as a customer."""
    return Claims(
        person=member.person,
        name=member.name,
        role=(member.came_as or MODERATOR) if member.role == MODERATOR else member.role,
        merchant=member.merchant or "",
        room=room,
        expires_ms=member.expires_ms,
        known=member.known,
        device=member.device,
    )


def closed_to_moderators(handlers: Mapping[str, Handler]) -> dict[str, Handler]:
    """The shop's commands, of viewers and of staff, for all but those who keep order and have no part in the trade."""
    return {name: partial(_unless_moderator, handler) for name, handler in handlers.items()}


def _unless_moderator(handler: Handler, context: CommandContext, command: Mapping[str, Any]) -> Any:
    if claims_of(context).role == MODERATOR:
        raise CommandRefused("forbidden", "moderators neither buy nor sell")
    return handler(context, command)


def _settle(
    out: asyncio.Future[Mapping[str, Any]], answer: Callable[[Any], Mapping[str, Any]], done: asyncio.Future[Any]
) -> None:
    """Pass the ledger's answer on in the hub's form."""
    if out.done():
        return
    if done.cancelled():
        out.set_exception(CommandRefused("busy", "the server is stopping; try again", 1_000))
        return
    error = done.exception()
    if error is None:
        out.set_result(answer(done.result()))
    else:
        out.set_exception(refusal(error) if isinstance(error, Exception) else error)


def _passed(future: asyncio.Future[T], answer: Callable[[T], Mapping[str, Any]]) -> asyncio.Future[Mapping[str, Any]]:
    """A future for the hub that follows ``future`` of the ledger, without a task."""
    out: asyncio.Future[Mapping[str, Any]] = future.get_loop().create_future()
    future.add_done_callback(partial(_settle, out, answer))
    return out


@cache
def _prepared(code: str) -> PreparedRefusal:
    """What a rush is told by the thousand, by the few codes that a latch has."""
    return PreparedRefusal(CommandRefused(code, REFUSALS[code]))


def hub_commands(desk: Desk, audit: AuditTrail) -> dict[str, Handler]:
    """Handlers by command name."""

    def refused(context: CommandContext, scope: str, key: str) -> PreparedRefusal | None:
        member = context.member
        code = desk.latched(member.merchant or "", context.room, member.person, scope, key)
        return None if code is None else _prepared(code)

    def claim(context: CommandContext, command: Mapping[str, Any]) -> Awaitable[Mapping[str, Any]] | PreparedRefusal:
        body = parse(ClaimCommand, command)
        key = body.key or KEYLESS
        if (known := refused(context, body.drop, key)) is not None:
            return known
        try:
            claimed = desk.claim_coupon(claims_of(context), context.room, body.drop, key)
            return _passed(claimed, lambda granted: {"coupon": asdict(coupon_answer(granted))})
        except (CommerceError, Problem) as error:
            raise refusal(error) from error

    def hold(context: CommandContext, command: Mapping[str, Any]) -> Awaitable[Mapping[str, Any]] | PreparedRefusal:
        body = parse(HoldCommand, command)
        if (known := refused(context, body.sale, body.key)) is not None:
            return known
        try:
            held = desk.hold(claims_of(context), context.room, body.sale, body.quantity, body.key, body.version)
            return _passed(held, lambda granted: asdict(hold_answer(granted)))
        except (CommerceError, Problem) as error:
            raise refusal(error) from error

    async def create_order(who: Claims, room: str, command: Mapping[str, Any]) -> Mapping[str, Any]:
        body = parse(OrderCommand, command)
        return {"order": order_answer(await desk.create_order(who, room, body, key=body.key))}

    async def pay_order(who: Claims, room: str, command: Mapping[str, Any]) -> Mapping[str, Any]:
        body = parse(PayCommand, command)
        return paying_answer(await desk.pay(who, body.order, body.key, body))

    def touch(context: CommandContext, command: Mapping[str, Any]) -> Mapping[str, Any] | Awaitable[Mapping[str, Any]]:
        asked = parse(TouchCommand, command)
        try:
            looked_up = desk.touch(claims_of(context), context.room, asked.kind, asked.sku, asked.token, asked.clip)
        except (CommerceError, Problem) as error:
            raise refusal(error) from error
        return {} if looked_up is None else _nothing_after(looked_up)

    slow = {"order.create": create_order, "order.pay": pay_order}
    return {
        "coupon.claim": claim,
        "sale.hold": hold,
        "touch": touch,
        **{name: guarded(call) for name, call in slow.items()},
        **{name: recorded(name, guarded(call), audit) for name, call in _staff_calls(desk).items()},
    }


async def _nothing_after(looked_up: Awaitable[object]) -> Mapping[str, Any]:
    try:
        await looked_up
    except (CommerceError, Problem) as error:
        raise refusal(error) from error
    return {}


def _staff_calls(desk: Desk) -> dict[str, Call]:
    """What staff do with the shop, by command name."""

    async def pin(who: Claims, room: str, command: Mapping[str, Any]) -> Mapping[str, Any]:
        await desk.pin(who, room, body_of(PinBody, command))
        return {}

    async def unpin(who: Claims, room: str, command: Mapping[str, Any]) -> Mapping[str, Any]:
        await desk.unpin(who, room, parse(ProductCommand, command).product)
        return {}

    async def start_drop(who: Claims, room: str, command: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"drop": plain(await desk.start_drop(who, room, body_of(DropBody, command)))}

    async def close_drop(who: Claims, room: str, command: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"drop": plain(await desk.close_drop(who, room, parse(DropCommand, command).drop))}

    async def create_sale(who: Claims, room: str, command: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"sale": plain(await desk.create_sale(who, room, body_of(SaleBody, command)))}

    async def start_sale(who: Claims, room: str, command: Mapping[str, Any]) -> Mapping[str, Any]:
        body = parse(StartCommand, command)
        start = StartBody(countdown_s=body.countdown_s, at=body.at)
        return {"sale": plain(await desk.start_sale(who, room, body.sale, start))}

    def turn(verb: str) -> Call:
        async def turn_sale(who: Claims, room: str, command: Mapping[str, Any]) -> Mapping[str, Any]:
            return {"sale": plain(await desk.turn_sale(who, room, parse(SaleCommand, command).sale, verb))}

        return turn_sale

    return {
        "pin": pin,
        "unpin": unpin,
        "drop.start": start_drop,
        "drop.close": close_drop,
        "sale.create": create_sale,
        "sale.start": start_sale,
        "sale.pause": turn("pause"),
        "sale.resume": turn("resume"),
        "sale.close": turn("close"),
    }


def guarded(call: Call) -> SlowHandler:
    """A command that waits, with its errors in the hub's form."""

    async def run(context: CommandContext, command: Mapping[str, Any]) -> Mapping[str, Any]:
        try:
            return await call(claims_of(context), context.room, command)
        except (CommerceError, Problem) as error:
            raise refusal(error) from error

    return run


def recorded(name: str, run: SlowHandler, audit: AuditTrail) -> Handler:
    """A command of staff that leaves an entry in the audit trail when it was done."""

    async def run_and_record(context: CommandContext, command: Mapping[str, Any]) -> Mapping[str, Any]:
        answer = await run(context, command)
        member = context.member.shown()
        audit(AuditEntry(context.now_ms, context.room, member, name, None, brief(command)))
        return answer

    return run_and_record
