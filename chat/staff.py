"""Commands with which staff run a room.

Each checks its arguments, then tells the room: what changes goes over the broker, so every node has it.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from chat import schemas
from chat.commands import CommandContext
from chat.entry import encode_message
from chat.errors import CloseCode, CommandRefused
from chat.keepers import KeeperStore
from chat.message import (
    Ban,
    Event,
    Mute,
    Recall,
    Removal,
    RoomMessage,
    Rules,
    Tier,
    Words,
)
from chat.moderation import DEVICES_PER_BAN, FOLLOWERS, FOR_EVER_MS, clean_text
from chat.rights import BAN_FOR_EVER, KEEPER_BAN_MS
from chat.rule_store import name_of, rules_view
from chat.schemas import arguments

if TYPE_CHECKING:
    from chat.hub import Hub

KICK_WRITE_S = 1.0
"""Longest wait for a kick to be written down before the person is removed."""

Answer = Mapping[str, Any] | Awaitable[Mapping[str, Any]]
Call = Callable[["Hub", CommandContext, Mapping[str, Any]], Answer]


def new_id() -> str:
    """Return an id for what is new in a room, new on every node."""
    return secrets.token_hex(8)


def _kept(
    hub: Hub,
    room: str,
    message: RoomMessage,
    answer: Mapping[str, Any],
    *,
    until_ms: int = FOR_EVER_MS,
    person: str = "",
) -> Answer:
    """Answer when a decision that was told is written down as well (forgotten, with an `until_ms` of 0)."""
    store = hub.rule_store
    if store is None:
        return answer
    name = name_of(message)

    async def written() -> Mapping[str, Any]:
        if until_ms:
            await store.put(room, name, encode_message(message), until_ms, person)
        else:
            await store.remove(room, name)
        return answer

    return written()


# People


def _mute(hub: Hub, context: CommandContext, args: Mapping[str, Any]) -> Answer:
    wanted = arguments(schemas.MuteCommand, args)
    _spare_staff(hub, context, wanted.person)
    until_ms = context.now_ms + 1000 * wanted.seconds
    mute = Mute(wanted.person, until_ms, wanted.shadow)
    hub.tell(context.room, mute)
    return _kept(hub, context.room, mute, {"until": until_ms}, until_ms=until_ms, person=wanted.person)


def _unmute(hub: Hub, context: CommandContext, args: Mapping[str, Any]) -> Answer:
    lifted = [Mute(person, 0) for person in hub.ids_of(arguments(schemas.PersonCommand, args).person)]
    hub.tell(context.room, *lifted)
    store = hub.rule_store
    if store is None:
        return {}

    async def forgotten() -> Mapping[str, Any]:
        for mute in lifted:
            await store.remove(context.room, name_of(mute))
        return {}

    return forgotten()


async def _kick(hub: Hub, context: CommandContext, args: Mapping[str, Any]) -> Mapping[str, Any]:
    wanted = arguments(schemas.KickCommand, args)
    _spare_staff(hub, context, wanted.person)
    removal = _removal(wanted.person, wanted.reason or "removed")
    assert removal.event is not None
    if hub.mailbox is not None:
        # Who does not read it now reads it when they come back; but nobody stays because a disk is slow.
        number = hub.mailbox.post(context.room, wanted.person, removal.event, new_id(), deliver=False)
        await asyncio.wait([number], timeout=KICK_WRITE_S)
        if number.done() and number.exception() is None:
            removal = replace(removal, event={**removal.event, "a": number.result()})
    others = [_removal(person, removal.reason) for person in hub.ids_of(wanted.person) if person != wanted.person]
    hub.tell(context.room, removal, *others)
    return {}


def _removal(person: str, reason: str) -> Removal:
    return Removal(person, CloseCode.BANNED, reason, {"t": "kick", "reason": reason})


async def _ban(hub: Hub, context: CommandContext, args: Mapping[str, Any]) -> Mapping[str, Any]:
    wanted = arguments(schemas.BanCommand, args)
    _spare_staff(hub, context, wanted.person)
    until_ms = FOR_EVER_MS if wanted.until_ms is None else wanted.until_ms
    if until_ms <= context.now_ms:
        raise CommandRefused("invalid", "until_ms is in the past")
    if until_ms > context.now_ms + KEEPER_BAN_MS and context.member.role not in BAN_FOR_EVER:
        raise CommandRefused("forbidden", "bans longer than a day are for the host and the merchant")
    hub.channel(context.room).gate.bans.check(wanted.person, context.now_ms)
    devices, others = _with_devices(hub, context.room, wanted.person)
    gone = dict.fromkeys((wanted.person, *hub.ids_of(wanted.person), *others))
    removals = [_removal(person, wanted.reason or "banned") for person in gone]
    # Out of the room first: writing it down may take a moment, and may fail.
    hub.tell(context.room, Ban(wanted.person, until_ms, devices), *removals)
    if hub.ban_store is not None:
        await hub.ban_store.put(context.room, wanted.person, until_ms, wanted.reason, context.member.person, devices)
    return {"until": wanted.until_ms}


def _with_devices(hub: Hub, room: str, person: str) -> tuple[tuple[str, ...], list[str]]:
    """Return the devices that a person is here with, and who else is here with one of them."""
    people, ids = hub.channel(room).people, hub.ids_of(person)
    present = [one.member for one_id in ids for one in people.get(one_id, ()) if one.member is not None]
    devices = {member.device for member in present if member.device}
    if not devices:
        return (), []
    others = [
        other
        for other, sinks in people.items()
        if other not in ids and any(s.member and s.member.device in devices and not s.member.staff for s in sinks)
    ]
    return tuple(sorted(devices))[:DEVICES_PER_BAN], others


async def _unban(hub: Hub, context: CommandContext, args: Mapping[str, Any]) -> Mapping[str, Any]:
    people = hub.ids_of(arguments(schemas.PersonCommand, args).person)
    hub.tell(context.room, *(Ban(person, 0) for person in people))
    if hub.ban_store is not None:
        for person in people:
            await hub.ban_store.remove(context.room, person)
    return {}


def close_barred(hub: Hub, people: Iterable[str]) -> None:
    """Close the connections at this node of those of these people who may not be here any more.

    They were found to be somebody who is banned; their connection was open before that.
    """
    ids = {one for person in people for one in hub.ids_of(person)}
    for room in hub.rooms():
        channel = hub.channel(room)
        for sink in [sink for person in ids for sink in channel.people.get(person, ())]:
            if sink.member is not None and channel.gate.barred_until_ms(sink.member, hub.clock()):
                sink.close(CloseCode.BANNED, "banned")


def _bans(hub: Hub, context: CommandContext, args: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"bans": hub.channel(context.room).gate.bans.listed(context.now_ms)}


async def _appoint(hub: Hub, context: CommandContext, args: Mapping[str, Any]) -> Mapping[str, Any]:
    await _keepers(hub).appoint(context.room, context.member, arguments(schemas.PersonCommand, args).person)
    return {}


async def _dismiss(hub: Hub, context: CommandContext, args: Mapping[str, Any]) -> Mapping[str, Any]:
    await _keepers(hub).dismiss(context.room, context.member, arguments(schemas.PersonCommand, args).person)
    return {}


async def _moderators(hub: Hub, context: CommandContext, args: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"moderators": list(await _keepers(hub).listed(context.room))}


def _keepers(hub: Hub) -> KeeperStore:
    if hub.keeper_store is None:
        raise CommandRefused("invalid", "nobody can be appointed here")
    return hub.keeper_store


def _spare_staff(hub: Hub, context: CommandContext, person: str) -> None:
    """Refuse to act on staff and on oneself: their accounts are the merchant's affair."""
    present = hub.channel(context.room).people.get(person, ())
    if person == context.member.person or any(one.member is not None and one.member.staff for one in present):
        raise CommandRefused("forbidden", "staff cannot be muted, removed or banned")


# Chat


def _slow(hub: Hub, context: CommandContext, args: Mapping[str, Any]) -> Answer:
    seconds = arguments(schemas.SlowCommand, args).seconds
    return _rules(hub, context, hub.channel(context.room).gate.audience, seconds)


def _audience(hub: Hub, context: CommandContext, args: Mapping[str, Any]) -> Answer:
    who = arguments(schemas.AudienceCommand, args).who
    if who == FOLLOWERS and hub.follows is None:
        raise CommandRefused("invalid", "nobody can be followed here")
    return _rules(hub, context, who, hub.channel(context.room).gate.slow_s)


def _rules(hub: Hub, context: CommandContext, audience: str, slow_s: int) -> Answer:
    rules = Rules(audience, slow_s)
    view = rules_view(rules)
    hub.tell(context.room, rules, Event({"t": "rules", "rules": view}, Tier.P1, sections={"rules": view}))
    return _kept(hub, context.room, rules, {})


def _words(hub: Hub, context: CommandContext, args: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"words": list(hub.channel(context.room).gate.words)}


def _set_words(hub: Hub, context: CommandContext, args: Mapping[str, Any]) -> Answer:
    wanted = arguments(schemas.WordsCommand, args)
    limits = hub.limits.room
    given = {clean_text(word, limits.word_chars).lower() for word in wanted.words}
    present = set(hub.channel(context.room).gate.words)
    words = {"replace": given, "add": present | given, "remove": present - given}[wanted.mode]
    if len(words) > limits.words:
        raise CommandRefused("limit", f"a room's filter has at most {limits.words} words")
    message = Words(tuple(sorted(words)))
    hub.tell(context.room, message)
    return _kept(hub, context.room, message, {}, until_ms=FOR_EVER_MS if words else 0)


def _recall(hub: Hub, context: CommandContext, args: Mapping[str, Any]) -> Mapping[str, Any]:
    offset = arguments(schemas.RecallCommand, args).offset
    if not hub.channel(context.room).room.recallable(offset):
        raise CommandRefused("not_found", "no chat line has this offset")
    hub.tell(context.room, Recall(offset))
    return {}


def _said(hub: Hub, context: CommandContext, text: str) -> dict[str, Any]:
    clean = clean_text(text, hub.limits.room.text_chars)
    return {"from": context.member.shown(), "text": clean, "now": context.now_ms}


def _notice(hub: Hub, context: CommandContext, args: Mapping[str, Any]) -> Mapping[str, Any]:
    said = _said(hub, context, arguments(schemas.TextCommand, args).text)
    hub.tell(context.room, Event({"t": "notice", **said}, Tier.P0))
    return {}


def _announce(hub: Hub, context: CommandContext, args: Mapping[str, Any]) -> Answer:
    wanted = arguments(schemas.AnnounceCommand, args)
    until_ms = context.now_ms + 1000 * wanted.seconds
    view = {**_said(hub, context, wanted.text), "until": until_ms}
    event = Event({"t": "announcement", "announcement": view}, Tier.P0, sections={"announcement": view})
    hub.tell(context.room, event)
    return _kept(hub, context.room, event, {}, until_ms=until_ms)


def _pin_notice(hub: Hub, context: CommandContext, args: Mapping[str, Any]) -> Answer:
    return _pinned(hub, context, _said(hub, context, arguments(schemas.TextCommand, args).text))


def _unpin_notice(hub: Hub, context: CommandContext, args: Mapping[str, Any]) -> Answer:
    return _pinned(hub, context, None)


def _pinned(hub: Hub, context: CommandContext, view: Mapping[str, Any] | None) -> Answer:
    event = Event({"t": "pinned", "pinned": view}, Tier.P0, sections={"pinned": view})
    hub.tell(context.room, event)
    return _kept(hub, context.room, event, {}, until_ms=0 if view is None else FOR_EVER_MS)


CALLS: dict[str, Call] = {
    "mute": _mute,
    "unmute": _unmute,
    "kick": _kick,
    "ban": _ban,
    "unban": _unban,
    "bans.list": _bans,
    "moderator.add": _appoint,
    "moderator.remove": _dismiss,
    "moderators.list": _moderators,
    "chat.slow": _slow,
    "chat.audience": _audience,
    "words.list": _words,
    "words.set": _set_words,
    "recall": _recall,
    "notice": _notice,
    "announce": _announce,
    "notice.pin": _pin_notice,
    "notice.unpin": _unpin_notice,
}
