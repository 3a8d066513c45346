"""Who is made assistant or moderator: in a room by its host and merchant, in many rooms by the merchant."""

from __future__ import annotations

from functools import partial

from commerce.errors import NotFound
from commerce.keepers import Keeper
from gateway.api import Call, Operation, page_limit
from gateway.auth import HOST_ROLES
from gateway.errors import Problem
from gateway.parameters import PAGING
from gateway.schemas import Empty
from gateway.schemas_keepers import (
    AppointedList,
    AppointedView,
    KeeperBody,
    KeeperJournal,
    KeeperStepView,
    PlaceKeeperBody,
)
from gateway.services import Services

MERCHANT = frozenset({"merchant"})
HEADS = frozenset({"merchant", "host"})


def keeper_operations(services: Services) -> list[Operation]:
    """Operations under /api/v1/rooms/{room}/keepers and /api/v1/keepers."""
    return [*_of_room(services), *_beside(services)]


def _view(found: list[Keeper]) -> AppointedList:
    views = [
        AppointedView(
            one.made.person, one.name, one.made.role, one.made.kind, one.made.place, one.made.by, at, one.by_name
        )
        for one in found
        for at in (one.made.created_ms,)
    ]
    return AppointedList(views)


async def _known(services: Services, call: Call, room: str | None) -> None:
    """Whether the person is one whom an account of a part may know: theirs, a customer of theirs, or here.

    Raises ``NotFound``.
    """
    who, person = call.who, call.path["person"]
    if who.reach is None or services.keepers.is_theirs(who.scope, who.merchant, person):
        return
    if room is not None and services.hub.is_present(room, person):
        return
    await services.org.require_person(who.merchant, person, who.reach)


def _of_room(services: Services) -> list[Operation]:
    desk, keepers = services.desk, services.keepers

    async def list_room_keepers(call: Call) -> AppointedList:
        room = desk.run(call.who, call.path["room"])
        return _view(await keepers.of_room(room.merchant, room.id))

    async def appoint_in_room(call: Call) -> AppointedList:
        body: KeeperBody = call.body
        room, who = desk.run(call.who, call.path["room"]), call.who
        if body.role == "assistant" and who.role != "merchant":
            raise Problem(403, "forbidden", "assistants are appointed by the merchant; a host appoints moderators")
        await _known(services, call, room.id)
        await keepers.appoint_in_room(room.merchant, room.id, call.path["person"], body.role, who.person)
        return _view(await keepers.of_room(room.merchant, room.id))

    async def dismiss_in_room(call: Call) -> Empty:
        room, who = desk.run(call.who, call.path["room"]), call.who
        assistants = who.role == "merchant"
        await keepers.dismiss_in_room(room.merchant, room.id, call.path["person"], who.person, assistants=assistants)
        return Empty()

    path = "/api/v1/rooms/{room}/keepers"
    one = path + "/{person}"
    return [
        Operation("GET", path, "Who is appointed in a room", list_room_keepers, HOST_ROLES, answer=AppointedList),
        Operation("PUT", one, "Appoint in a room", appoint_in_room, HEADS, KeeperBody, AppointedList),
        Operation("DELETE", one, "Dismiss in a room", dismiss_in_room, HEADS, answer=Empty),
    ]


def _beside(services: Services) -> list[Operation]:
    keepers = services.keepers

    def whose(call: Call) -> None:
        """Raises ``NotFound`` for an account that is bound to a room and sits nowhere."""
        if call.who.scope is None and call.who.reach is not None:
            raise NotFound("this account has no seat in the organisation")

    async def list_keepers(call: Call) -> AppointedList:
        whose(call)
        rooms = call.query.get("rooms") == "1"
        return _view(await keepers.beside(call.who.scope, call.who.merchant, rooms=rooms))

    async def journal(call: Call) -> KeeperJournal:
        whose(call)
        limit = page_limit(call)
        found = await keepers.journal(call.who.scope, call.who.merchant, call.query.get("after"), limit)
        items = [
            KeeperStepView(
                *(one.id, one.step, one.person, one.name, one.role, one.kind, one.place, one.by, one.by_name, one.at_ms)
            )
            for one in found
        ]
        return KeeperJournal(items, items[-1].id if len(items) == limit else None)

    async def appoint(call: Call) -> AppointedList:
        body: PlaceKeeperBody = call.body
        whose(call)
        who, person = call.who, call.path["person"]
        await _known(services, call, None)
        await keepers.appoint_beside(who.scope, who.merchant, body.node, person, body.role, who.person)
        return _view(await keepers.beside(who.scope, who.merchant))

    async def dismiss(call: Call) -> Empty:
        whose(call)
        node = call.query.get("node") or None
        await keepers.dismiss_beside(call.who.scope, call.who.merchant, node, call.path["person"], call.who.person)
        return Empty()

    path = "/api/v1/keepers"
    one, own = path + "/{person}", partial(Operation, within="node")
    all_ = {"rooms": "1: those of single rooms as well"}
    at = {"node": "whose rooms; all of the merchant's when left out"}
    return [
        own("GET", path, "Who is appointed for many rooms", list_keepers, MERCHANT, answer=AppointedList, query=all_),
        own(
            "GET",
            path + "/journal",
            "Who was appointed and dismissed",
            journal,
            MERCHANT,
            answer=KeeperJournal,
            query=PAGING,
        ),
        own("PUT", one, "Appoint for many rooms", appoint, MERCHANT, PlaceKeeperBody, AppointedList),
        own("DELETE", one, "Dismiss from many rooms", dismiss, MERCHANT, answer=Empty, query=at),
    ]
