"""Recurring sales, reminders, waiting lists, draws and group buys over HTTP."""

from __future__ import annotations

from typing import Any

from chat.member import Member
from commerce.domain.draw import ALGORITHM
from gateway.answers import seat_answer
from gateway.api import ANYONE, SIGNED_IN, Call, Operation, call_key
from gateway.auth import HOST_ROLES
from gateway.desk_moments import MomentsDesk
from gateway.errors import Problem
from gateway.members import member_of
from gateway.schemas_moments import (
    DrawBody,
    DrawEntryView,
    DrawView,
    EnteredAnswer,
    EntryBody,
    FollowAnswer,
    PlanBody,
    PlanView,
    ProofAnswer,
    RemindAnswer,
    ReopenBody,
    SaleView,
    SeatAnswer,
    SwitchBody,
    TeamBody,
    TeamView,
    WaitAnswer,
)
from gateway.services import Services


def moments_operations(services: Services) -> list[Operation]:
    """Operations beside those of rooms and orders."""
    desk = MomentsDesk(services.desk, services.shop.moments)
    return [*_plans(desk), *_lines(services, desk), *_draws(services, desk), *_teams(services, desk)]


def _plans(desk: MomentsDesk) -> list[Operation]:
    async def list_plans(call: Call) -> Any:
        return await desk.plans(call.who, call.path["room"])

    async def create_plan(call: Call) -> Any:
        return await desk.create_plan(call.who, call.path["room"], call.body)

    async def end_plan(call: Call) -> Any:
        return await desk.end_plan(call.who, call.path["room"], call.path["plan"])

    path = "/api/v1/rooms/{room}/plans"
    return [
        Operation("GET", path, "Recurring sales", list_plans, HOST_ROLES, answer=list[PlanView]),
        Operation("POST", path, "Plan a recurring sale", create_plan, HOST_ROLES, PlanBody, PlanView, 201),
        Operation("POST", path + "/{plan}/end", "End a recurring sale", end_plan, HOST_ROLES, answer=PlanView),
    ]


def _lines(services: Services, desk: MomentsDesk) -> list[Operation]:
    async def reopen_sale(call: Call) -> Any:
        return await services.desk.reopen_sale(call.who, call.path["room"], call.path["sale"], call.body.length_s)

    async def remind_of_sale(call: Call) -> Any:
        return await desk.remind(call.who, call.path["room"], call.path["sale"], call.body.on)

    async def wait_for_sale(call: Call) -> Any:
        return await desk.wait(call.who, call.path["room"], call.path["sale"])

    async def leave_line(call: Call) -> Any:
        return await desk.leave_waiting(call.who, call.path["room"], call.path["sale"])

    async def follow_shop(call: Call) -> Any:
        return await desk.follow(call.who, call.body.on)

    path = "/api/v1/rooms/{room}/sales/{sale}"
    return [
        Operation("POST", path + "/reopen", "Reopen a closed sale", reopen_sale, HOST_ROLES, ReopenBody, SaleView),
        Operation(
            "POST", path + "/remind", "Be reminded of a sale", remind_of_sale, SIGNED_IN, SwitchBody, RemindAnswer
        ),
        Operation("POST", path + "/wait", "Wait for units to come back", wait_for_sale, SIGNED_IN, answer=WaitAnswer),
        Operation("DELETE", path + "/wait", "Wait no longer", leave_line, SIGNED_IN, answer=WaitAnswer),
        Operation("POST", "/api/v1/follow", "Follow the shop", follow_shop, SIGNED_IN, SwitchBody, FollowAnswer),
    ]


def _draws(services: Services, desk: MomentsDesk) -> list[Operation]:
    moments = services.shop.moments

    async def say(room: str, member: Member, text: str) -> None:
        await services.hub.order(room, member, "chat.send", {"text": text})

    async def list_draws(call: Call) -> Any:
        return await moments.draws(services.rooms.get(call.path["room"]).id)

    async def open_draw(call: Call) -> Any:
        return await desk.open_draw(call.who, call.path["room"], call.body)

    async def void_draw(call: Call) -> Any:
        return await desk.void_draw(call.who, call.path["room"], call.path["draw"])

    async def enter_draw(call: Call) -> Any:
        path = call.path
        return await desk.enter(call.who, member_of(call.who), path["room"], path["draw"], call.body, say)

    async def prove_draw(call: Call) -> Any:
        proof = await moments.proof(call.path["draw"])
        return {"algorithm": ALGORITHM, "draw": proof.draw, "tickets": proof.tickets}

    async def read_entry(call: Call) -> Any:
        entry = await moments.entry(call.path["draw"], call.who.person)
        if entry is None:
            raise Problem(404, "not_found", "you have not entered this draw")
        return entry

    room = "/api/v1/rooms/{room}/draws"
    entries = room + "/{draw}/entries"
    return [
        Operation("GET", room, "Draws of a room", list_draws, ANYONE, answer=list[DrawView]),
        Operation("POST", room, "Open a lucky bag or a red packet", open_draw, HOST_ROLES, DrawBody, DrawView, 201),
        Operation("POST", room + "/{draw}/void", "Call a draw off", void_draw, HOST_ROLES, answer=DrawView),
        Operation("POST", entries, "Enter a draw", enter_draw, SIGNED_IN, EntryBody, EnteredAnswer, 201),
        Operation("GET", "/api/v1/draws/{draw}", "What a draw is recomputed from", prove_draw, answer=ProofAnswer),
        Operation("GET", "/api/v1/draws/{draw}/entry", "One's own entry", read_entry, SIGNED_IN, answer=DrawEntryView),
    ]


def _teams(services: Services, desk: MomentsDesk) -> list[Operation]:
    async def list_teams(call: Call) -> Any:
        return await services.shop.moments.teams(services.rooms.get(call.path["room"]).id)

    async def read_team(call: Call) -> Any:
        return await desk.team(call.who, call.path["team"])

    async def join_team(call: Call) -> Any:
        path = call.path
        seated = await desk.join_team(call.who, path["room"], path["sale"], call.body.team, call_key(call))
        return seat_answer(seated)

    teams = "/api/v1/rooms/{room}/sales/{sale}/teams"
    return [
        Operation("GET", "/api/v1/rooms/{room}/teams", "Groups of a room", list_teams, answer=list[TeamView]),
        Operation("GET", "/api/v1/teams/{team}", "One group", read_team, SIGNED_IN, answer=TeamView),
        Operation(
            "POST", teams, "Open a group or join one", join_team, SIGNED_IN, TeamBody, SeatAnswer, 201, keyed=True
        ),
    ]
