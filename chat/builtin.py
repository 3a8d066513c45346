"""The hub's own commands: chat.send, like, ack here, those that run a room in `chat/staff.py`, and
those that ask and vote in `chat/floor_commands.py`.

Whoever gives one is checked against the table of `chat/rights.py`, and what staff do leaves an entry in the audit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from chat import floor_commands, staff
from chat.audit import AuditEntry, brief
from chat.commands import CommandContext, CommandHandler
from chat.errors import CommandRefused
from chat.message import ID_MAX, Acknowledged, Event, Likes, Tier, encode_event
from chat.review import Line, Reviewer
from chat.rights import UNAUDITED, check_right

if TYPE_CHECKING:
    from chat.hub import Hub


def builtin_commands(hub: Hub) -> dict[str, CommandHandler]:
    """Return the handlers of the hub's own commands by name."""
    own: dict[str, staff.Call] = {"chat.send": _chat_send, "like": _like, "ack": _ack}
    calls = {**own, **staff.CALLS, **floor_commands.CALLS}
    calls |= {name: partial(_followers_known, calls[name]) for name in ("chat.send", "question.ask")}
    return {name: partial(_run, hub, name, call) for name, call in calls.items()}


def _run(
    hub: Hub, name: str, call: staff.Call, context: CommandContext, args: Mapping[str, Any]
) -> Mapping[str, Any] | Awaitable[Mapping[str, Any]]:
    check_right(context.member, name)
    result = call(hub, context, args)
    if hub.audit is None or name in UNAUDITED or not context.member.staff:
        return result
    if isinstance(result, Mapping):
        record(hub, name, context, args)
        return result
    return _recorded(hub, name, context, args, result)


async def _recorded(
    hub: Hub, name: str, context: CommandContext, args: Mapping[str, Any], result: Awaitable[Mapping[str, Any]]
) -> Mapping[str, Any]:
    answer = await result
    record(hub, name, context, args)
    return answer


def record(hub: Hub, action: str, context: CommandContext, args: Mapping[str, Any]) -> None:
    """Write down what a member of staff did."""
    if hub.audit is not None:
        person = args.get("person")
        entry = AuditEntry(
            context.now_ms,
            context.room,
            context.member.shown(),
            action,
            person if isinstance(person, str) else None,
            brief(args),
        )
        hub.audit(entry)


def _followers_known(
    speak: staff.Call, hub: Hub, context: CommandContext, args: Mapping[str, Any]
) -> Mapping[str, Any] | Awaitable[Mapping[str, Any]]:
    """Ask first whether somebody follows the shop, where that matters and is not known."""
    if hub.follows is None or not hub.channel(context.room).gate.unsure(context.member, context.now_ms):
        return speak(hub, context, args)
    return _asked_first(speak, hub, hub.follows(context.member), context, args)


async def _asked_first(
    speak: staff.Call, hub: Hub, asked: Awaitable[bool], context: CommandContext, args: Mapping[str, Any]
) -> Mapping[str, Any]:
    follows = await asked
    if not hub.is_open(context.room):
        raise CommandRefused("closed", "the room was closed")
    hub.channel(context.room).gate.follows(context.member.person, context.now_ms, on=follows)
    answer = speak(hub, context, args)
    return answer if isinstance(answer, Mapping) else await answer


def _chat_send(
    hub: Hub, context: CommandContext, args: Mapping[str, Any]
) -> Mapping[str, Any] | Awaitable[Mapping[str, Any]]:
    channel = hub.channel(context.room)
    member = context.member
    verdict = channel.gate.decide(member, args.get("text"), context.now_ms, hub.network(context.address))
    channel.chat_lines += 1
    if verdict.shown and not member.staff and hub.review is not None and hub.review.wants(context.room):
        return _reviewed(hub, hub.review, Line(context.room, member, verdict.text, context.now_ms))
    body = {"t": "chat", "from": member.shown(), "text": verdict.text, "now": context.now_ms}
    if hub.archive is not None and not verdict.shadow:
        hub.archive(Line(context.room, member, verdict.text, context.now_ms))
    if verdict.shown:
        channel.hot_words.hear(verdict.text, context.now_ms)
        hub.tell(context.room, Event(body, Tier.P1 if member.staff else Tier.P2))
        return {}
    if not verdict.shadow:
        channel.chat_sampled += 1
        hub.counters.chat_sampled += 1
    own = encode_event(body)
    for connection in tuple(channel.people.get(member.person, ())):
        connection.deliver(own)
    return {} if verdict.shadow else {"sampled": True}


async def _reviewed(hub: Hub, review: Reviewer, line: Line) -> Mapping[str, Any]:
    """Show a line once it was looked at; those of one person come in the order in which they said them."""
    person, held = line.member.person, hub.channel(line.room).held
    before = held.get(person)
    mine = held[person] = asyncio.get_running_loop().create_future()
    try:
        denied = await review.judge(line)
        if before is not None:
            await before
    finally:
        mine.set_result(None)
        if held.get(person) is mine:
            del held[person]
    if not hub.is_open(line.room):
        raise CommandRefused("closed", "the room was closed")
    now_ms = hub.clock()
    channel = hub.channel(line.room)
    gate = channel.gate
    # What staff decided about the speaker while the line was held back counts.
    if gate.barred_until_ms(line.member, now_ms) or gate.muted_until_ms(person, now_ms):
        raise CommandRefused("muted", "you are muted", retry_ms=max(1, gate.muted_until_ms(person, now_ms) - now_ms))
    if denied is not None:
        raise CommandRefused("refused", denied)
    channel.hot_words.hear(line.text, now_ms)
    if hub.archive is not None:
        hub.archive(line)
    hub.tell(line.room, Event({"t": "chat", "from": line.member.shown(), "text": line.text, "now": now_ms}, Tier.P2))
    return {}


def _like(hub: Hub, context: CommandContext, args: Mapping[str, Any]) -> Mapping[str, Any]:
    count = _integer(args, "n", 1, None, default=1)
    hub.tell(context.room, Likes(min(count, hub.limits.room.likes_per_command)))
    return {}


def _ack(hub: Hub, context: CommandContext, args: Mapping[str, Any]) -> Mapping[str, Any]:
    to = _integer(args, "to", 0, ID_MAX)
    if hub.mailbox is not None:
        hub.mailbox.acknowledge(context.room, context.member.person, to)
    else:
        hub.tell(context.room, Acknowledged(context.member.person, to))
    return {}


def _integer(args: Mapping[str, Any], name: str, least: int, most: int | None, *, default: int | None = None) -> int:
    value = args.get(name, default)
    if type(value) is not int or value < least or (most is not None and value > most):
        bounds = f"from {least}" if most is None else f"from {least} to {most}"
        raise CommandRefused("invalid", f"{name} is an integer {bounds}")
    return value
