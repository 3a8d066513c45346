"""What happens by itself: automations and their runs, pop-ups for staff and for who is shown them."""

from __future__ import annotations

from typing import Any

from msgspec import to_builtins

from gateway.api import SIGNED_IN, Call, Operation, page_limit
from gateway.desk import Desk
from gateway.parameters import limit
from gateway.schemas import Empty
from gateway.schemas_automations import (
    AutomationAnswer,
    AutomationBody,
    AutomationView,
    NextPopupAnswer,
    PopupAnswer,
    PopupBody,
    PopupRow,
    PopupView,
    RunView,
    SwitchBody,
)
from gateway.services import Services

MERCHANT = frozenset({"merchant"})
SHOWN_FIELDS = ("text", "image", "url", "drop")


def automation_operations(services: Services, desk: Desk) -> list[Operation]:
    """Operations on automations and pop-ups."""
    return [*_automations(services), *_popups(services, desk)]


def _automations(services: Services) -> list[Operation]:
    automations = services.automations

    async def add_automation(call: Call) -> AutomationAnswer:
        body: AutomationBody = call.body
        who, action = call.who, to_builtins(body.action)
        if action["kind"] == "coupon":
            services.desk.run(who, action["room"])
        made = await automations.add(
            who.merchant, who.person, body.name, body.condition, action, body.delay_s, body.again_days
        )
        return AutomationAnswer(made)

    async def list_automations(call: Call) -> list[AutomationView]:
        return [
            AutomationView(
                row["id"],
                row["name"],
                row["condition"],
                row["action"],
                row["delay_ms"] // 1000,
                row["again_days"],
                row["active"],
                row["counts"],
            )
            for row in await automations.automations(call.who.merchant)
        ]

    async def turn_automation(call: Call) -> Empty:
        await automations.turn(call.who.merchant, call.path["automation"], active=call.body.active)
        return Empty()

    async def list_runs(call: Call) -> list[RunView]:
        rows = await automations.runs(call.who.merchant, call.path["automation"], page_limit(call))
        return [
            RunView(row["person"], row["state"], row["why"], row["ref"], row["begun_ms"], row["due_ms"], row["done_ms"])
            for row in rows
        ]

    path, one = "/api/v1/automations", "/api/v1/automations/{automation}"
    paging = {"limit": limit(text="how many, the newest; 50 when left out")}
    return [
        Operation("POST", path, "Keep one", add_automation, MERCHANT, AutomationBody, AutomationAnswer, 201),
        Operation("GET", path, "Automations", list_automations, MERCHANT, answer=list[AutomationView]),
        Operation("PATCH", one, "Switch it on or off", turn_automation, MERCHANT, SwitchBody, Empty),
        Operation("GET", f"{one}/runs", "Who got what", list_runs, MERCHANT, answer=list[RunView], query=paging),
    ]


def _shown(row: dict[str, Any]) -> PopupView:
    return PopupView(row["id"], row["title"], *(row["body"][name] for name in SHOWN_FIELDS))


def _popups(services: Services, desk: Desk) -> list[Operation]:
    automations = services.automations

    async def add_popup(call: Call) -> PopupAnswer:
        body: PopupBody = call.body
        who, given = call.who, to_builtins(body)
        if body.room:
            desk.run(who, body.room)
        given["body"] = {name: given.pop(name) for name in SHOWN_FIELDS}
        return PopupAnswer(await automations.add_popup(who.merchant, who.person, given))

    async def list_popups(call: Call) -> list[PopupRow]:
        return [
            PopupRow(
                **to_builtins(_shown(row)),
                room=row["room"],
                condition=row["condition"],
                per_day=row["per_day"],
                total=row["total"],
                from_ms=row["from_ms"],
                until_ms=row["until_ms"],
                active=row["active"],
                shown=int(row["shown"]),
                people=int(row["people"]),
                clicks=int(row["clicks"]),
            )
            for row in await automations.popups(call.who.merchant)
        ]

    async def turn_popup(call: Call) -> Empty:
        await automations.turn_popup(call.who.merchant, call.path["popup"], active=call.body.active)
        return Empty()

    async def next_popup(call: Call) -> NextPopupAnswer:
        room = desk.entered(call.who, call.path["room"])
        row = await automations.next_popup(room.merchant, room.id, call.who.person)
        return NextPopupAnswer(None if row is None else _shown(row))

    async def click_popup(call: Call) -> Empty:
        await automations.clicked(call.who.merchant, call.path["popup"], call.who.person)
        return Empty()

    path, one = "/api/v1/popups", "/api/v1/popups/{popup}"
    in_room = "/api/v1/rooms/{room}/popups/next"
    return [
        Operation("POST", path, "Keep a pop-up", add_popup, MERCHANT, PopupBody, PopupAnswer, 201),
        Operation("GET", path, "Pop-ups", list_popups, MERCHANT, answer=list[PopupRow]),
        Operation("PATCH", one, "Switch it on or off", turn_popup, MERCHANT, SwitchBody, Empty),
        Operation("POST", in_room, "What is to pop up now", next_popup, SIGNED_IN, answer=NextPopupAnswer),
        Operation("POST", f"{one}/click", "I did what it offers", click_popup, SIGNED_IN, answer=Empty),
    ]
