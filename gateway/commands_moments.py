"""Hub commands of reminders, lines, draws and groups, beside those of ``commands.py``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any

from msgspec import Meta, Struct

from chat.audit import AuditTrail
from chat.hub import CommandContext
from commerce.errors import CommerceError
from gateway.answers import seat_answer
from gateway.commands import Call, Handler, Key, body_of, claims_of, guarded, parse, recorded, refusal
from gateway.desk import Desk
from gateway.desk_moments import MomentsDesk, Say
from gateway.encode import plain
from gateway.errors import Problem
from gateway.schemas_base import Id
from gateway.schemas_moments import DrawBody, EntryBody


class SwitchCommand(Struct):
    sale: Id
    on: bool = True


class WaitCommand(Struct):
    sale: Id


class EnterCommand(Struct):
    draw: Id
    comment: Annotated[str, Meta(max_length=500)] | None = None
    follow: bool = False


class VoidCommand(Struct):
    draw: Id


class TeamCommand(Struct):
    sale: Id
    key: Key
    team: Id | None = None


class FollowCommand(Struct):
    on: bool = True


class ReopenCommand(Struct):
    sale: Id
    length_s: Annotated[int, Meta(ge=1, le=86_400)] = 300


Heard = Callable[[str, str, bool], None]
"""Is told that, in a room, a person follows the shop now, or not any more."""


def moments_commands(desk: MomentsDesk, rooms: Desk, audit: AuditTrail, say: Say, heard: Heard) -> dict[str, Handler]:
    """Handlers by command name; ``say`` speaks for who enters a draw by a comment."""

    async def enter_draw(context: CommandContext, command: Mapping[str, Any]) -> Mapping[str, Any]:
        asked = parse(EnterCommand, command)
        body = EntryBody(comment=asked.comment, follow=asked.follow)
        try:
            entered = await desk.enter(claims_of(context), context.member, context.room, asked.draw, body, say)
        except (CommerceError, Problem) as error:
            raise refusal(error) from error
        result: Mapping[str, Any] = plain(entered)
        return result

    async def remind(who: Any, room: str, command: Mapping[str, Any]) -> Mapping[str, Any]:
        asked = parse(SwitchCommand, command)
        return {"reserved": (await desk.remind(who, room, asked.sale, asked.on)).reserved}

    async def wait(who: Any, room: str, command: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"place": (await desk.wait(who, room, parse(WaitCommand, command).sale)).place}

    async def leave(who: Any, room: str, command: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"place": (await desk.leave_waiting(who, room, parse(WaitCommand, command).sale)).place}

    async def join(who: Any, room: str, command: Mapping[str, Any]) -> Mapping[str, Any]:
        asked = parse(TeamCommand, command)
        seated: Mapping[str, Any] = plain(
            seat_answer(await desk.join_team(who, room, asked.sale, asked.team, asked.key))
        )
        return seated

    async def follow(who: Any, room: str, command: Mapping[str, Any]) -> Mapping[str, Any]:
        followed = await desk.follow(who, parse(FollowCommand, command).on)
        heard(room, who.person, followed.on)
        shown: Mapping[str, Any] = plain(followed)
        return shown

    async def open_draw(who: Any, room: str, command: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"draw": plain(await desk.open_draw(who, room, body_of(DrawBody, command)))}

    async def void_draw(who: Any, room: str, command: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"draw": plain(await desk.void_draw(who, room, parse(VoidCommand, command).draw))}

    async def reopen(who: Any, room: str, command: Mapping[str, Any]) -> Mapping[str, Any]:
        asked = parse(ReopenCommand, command)
        return {"sale": plain(await rooms.reopen_sale(who, room, asked.sale, asked.length_s))}

    viewers: dict[str, Call] = {
        "sale.remind": remind,
        "sale.wait": wait,
        "sale.leave": leave,
        "team.join": join,
        "follow": follow,
    }
    staff: dict[str, Call] = {"draw.open": open_draw, "draw.void": void_draw, "sale.reopen": reopen}
    return {
        "draw.enter": enter_draw,
        **{name: guarded(call) for name, call in viewers.items()},
        **{name: recorded(name, guarded(call), audit) for name, call in staff.items()},
    }
