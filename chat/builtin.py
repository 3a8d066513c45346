"""The hub's own commands: chat.send, like, ack, mute, unmute, notice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from chat import frame
from chat.commands import CommandContext, CommandHandler
from chat.errors import CommandRefused
from chat.message import Acknowledged, Event, Likes, Tier, encode_event
from chat.moderation import clean_text

if TYPE_CHECKING:
    from chat.hub import Hub

MUTE_SECONDS_MAX = 30 * 24 * 3600
"""Longest mute: thirty days; who should stay away longer gets no token."""
PERSON_CHARS_MAX = 64


def builtin_commands(hub: Hub) -> dict[str, CommandHandler]:
    """Return the handlers of the hub's own commands by name."""
    return {
        "chat.send": lambda context, args: _chat_send(hub, context, args),
        "like": lambda context, args: _like(hub, context, args),
        "ack": lambda context, args: _ack(hub, context, args),
        "mute": lambda context, args: _mute(hub, context, args),
        "unmute": lambda context, args: _unmute(hub, context, args),
        "notice": lambda context, args: _notice(hub, context, args),
    }


def _chat_send(hub: Hub, context: CommandContext, args: Mapping[str, Any]) -> Mapping[str, Any]:
    channel = hub.channel(context.room)
    member = context.member
    verdict = channel.gate.decide(member, args.get("text"), context.now_ms)
    body = {"t": "chat", "from": member.shown(), "text": verdict.text, "now": context.now_ms}
    channel.chat_lines += 1
    if verdict.shown:
        hub.tell(context.room, Event(body, Tier.P1 if member.staff else Tier.P2))
        return {}
    channel.chat_sampled += 1
    hub.counters.chat_sampled += 1
    own = frame.array((encode_event(body),))
    for connection in tuple(channel.people.get(member.person, ())):
        connection.send(own)
    return {"sampled": True}


def _like(hub: Hub, context: CommandContext, args: Mapping[str, Any]) -> Mapping[str, Any]:
    count = _integer(args, "n", 1, None, default=1)
    hub.tell(context.room, Likes(min(count, hub.limits.room.likes_per_command)))
    return {}


def _ack(hub: Hub, context: CommandContext, args: Mapping[str, Any]) -> Mapping[str, Any]:
    hub.tell(context.room, Acknowledged(context.member.person, _integer(args, "to", 0, None)))
    return {}


def _mute(hub: Hub, context: CommandContext, args: Mapping[str, Any]) -> Mapping[str, Any]:
    _staff_only(context)
    until_ms = context.now_ms + 1000 * _integer(args, "seconds", 1, MUTE_SECONDS_MAX)
    hub.mute(context.room, _person(args), until_ms)
    return {"until": until_ms}


def _unmute(hub: Hub, context: CommandContext, args: Mapping[str, Any]) -> Mapping[str, Any]:
    _staff_only(context)
    hub.mute(context.room, _person(args), 0)
    return {}


def _notice(hub: Hub, context: CommandContext, args: Mapping[str, Any]) -> Mapping[str, Any]:
    _staff_only(context)
    text = clean_text(args.get("text"), hub.limits.room.text_chars)
    body = {"t": "notice", "from": context.member.shown(), "text": text, "now": context.now_ms}
    hub.tell(context.room, Event(body, Tier.P0))
    return {}


def _staff_only(context: CommandContext) -> None:
    if not context.member.staff:
        raise CommandRefused("forbidden", "this command is for staff")


def _person(args: Mapping[str, Any]) -> str:
    person = args.get("person")
    if not isinstance(person, str) or not 0 < len(person) <= PERSON_CHARS_MAX:
        raise CommandRefused("invalid", "person is missing")
    return person


def _integer(args: Mapping[str, Any], name: str, least: int, most: int | None, *, default: int | None = None) -> int:
    value = args.get(name, default)
    if type(value) is not int or value < least or (most is not None and value > most):
        bounds = f"from {least}" if most is None else f"from {least} to {most}"
        raise CommandRefused("invalid", f"{name} is an integer {bounds}")
    return value
