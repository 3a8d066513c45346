"""Helper tasks: opened by the shop, posters of its customers, help by others; off unless the shop turns them on."""

from __future__ import annotations

from typing import Any

from gateway.addresses import Addresses
from gateway.api import ANYONE, Call, Operation
from gateway.guests import Guests
from gateway.schemas import Empty
from gateway.schemas_base import EnterBody
from gateway.schemas_helping import (
    HelpAnswer,
    HelpPage,
    HelpTaskBody,
    HelpTaskMade,
    HelpTaskView,
    HelpTurnBody,
    MyHelpTask,
    PosterMade,
)
from gateway.services import Services

MERCHANT = frozenset({"merchant"})
VIEWERS = frozenset({"viewer", "guest"})
TASKS = "/api/v1/help-tasks"
ONE = TASKS + "/{task}"
POSTER = "/api/v1/help-posters/{poster}"


def helping_operations(services: Services, addresses: Addresses) -> list[Operation]:
    """Operations under /api/v1/help-tasks and /api/v1/help-posters."""
    return [*_tasks(services), *_posters(services, addresses)]


def _tasks(services: Services) -> list[Operation]:
    helping = services.helping

    async def create_task(call: Call) -> HelpTaskMade:
        body: HelpTaskBody = call.body
        who = call.who
        return HelpTaskMade(
            await helping.add(
                who.merchant,
                who.person,
                body.room,
                body.title,
                body.reason,
                body.needed,
                body.amount,
                body.threshold,
                body.days,
                body.until,
                body.budget,
            )
        )

    async def turn_task(call: Call) -> Empty:
        body: HelpTurnBody = call.body
        await helping.turn(call.who.merchant, call.path["task"], active=body.active)
        return Empty()

    async def list_tasks(call: Call) -> list[HelpTaskView]:
        names = ("title", "reason", "needed", "amount", "threshold", "posters", "helpers", "given", "owed", "free")
        return [
            HelpTaskView(
                task=row["id"],
                active=bool(row["active"]),
                until=row["until_ms"],
                **{name: row[name] for name in names},
            )
            for row in await helping.tasks(call.who.merchant)
        ]

    return [
        Operation("POST", TASKS, "Open a helper task", create_task, MERCHANT, HelpTaskBody, HelpTaskMade, 201),
        Operation("GET", TASKS, "Helper tasks and what came of them", list_tasks, MERCHANT, answer=list[HelpTaskView]),
        Operation("PATCH", ONE, "End a task, or open it again", turn_task, MERCHANT, HelpTurnBody, Empty),
    ]


def _posters(services: Services, addresses: Addresses) -> list[Operation]:
    helping = services.helping
    guests = Guests(services)

    async def list_my_tasks(call: Call) -> list[MyHelpTask]:
        rows = await helping.running(call.who.merchant, call.who.person)
        return [_mine(row, addresses, call.base_url) for row in rows]

    async def make_poster(call: Call) -> PosterMade:
        who = call.who
        role = "distributor" if await services.distribution.active(who.merchant, who.person) else "viewer"
        row = await helping.poster(who.merchant, call.path["task"], who.person, role)
        return PosterMade(row["id"], addresses.help_page(call.base_url, row["id"]), row["token"])

    async def open_poster(call: Call) -> HelpPage:
        body: EnterBody = call.body
        guests.admit(call)
        row = await helping.read(call.path["poster"])
        guest = await guests.enter(row["merchant"], row["room"], body)
        await helping.opened(row, guest.person)
        shop = await services.catalogue.merchant(row["merchant"])
        return HelpPage(
            token=guest.token,
            person=guest.person,
            name=guest.name,
            expires=guest.expires,
            shop=shop.name,
            owner=row["name"] or "",
            done=row["done_ms"] is not None,
            open=bool(row["active"]) and row["until_ms"] > services.clock(),
            own=row["person"] == guest.person,
            **{name: row[name] for name in ("title", "needed", "helped", "amount", "threshold", "room")},
        )

    async def help_poster(call: Call) -> HelpAnswer:
        row = await helping.help(call.who.merchant, call.path["poster"], call.who.person, call.address)
        return HelpAnswer(row["helped"], row["needed"], row["done_ms"] is not None, row["counted"])

    return [
        Operation("GET", "/api/v1/me/help-tasks", "My helper tasks", list_my_tasks, VIEWERS, answer=list[MyHelpTask]),
        Operation("POST", f"{ONE}/posters", "My poster of a task", make_poster, VIEWERS, answer=PosterMade),
        Operation("POST", f"{POSTER}/open", "Look at a poster", open_poster, ANYONE, EnterBody, HelpPage),
        Operation("POST", f"{POSTER}/help", "Help", help_poster, VIEWERS, answer=HelpAnswer),
    ]


def _mine(row: dict[str, Any], addresses: Addresses, base: str) -> MyHelpTask:
    return MyHelpTask(
        task=row["id"],
        until=row["until_ms"],
        poster=row["poster"],
        url=addresses.help_page(base, row["poster"]) if row["poster"] else None,
        done=row["done_ms"] is not None,
        rewarded=bool(row["coupon"]),
        **{name: row[name] for name in ("title", "reason", "needed", "amount", "threshold", "helped")},
    )
