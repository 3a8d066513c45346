"""The hub over HTTP: commands for clients without a WebSocket, and what the shop's own tools need of a room."""

from __future__ import annotations

import re
from typing import Any

from starlette.responses import Response

from chat.errors import TokenRefused
from chat.message import TOKEN_CHARS_MAX, JoinRequest, parse_since
from chat.room_figures import summed
from chat.schemas import PolledRoom
from gateway.api import JSON_TYPE, SIGNED_IN, Call, Operation, page_limit
from gateway.auth import HOST_ROLES, MODERATOR
from gateway.client import CORS_HEADERS
from gateway.desk import Desk
from gateway.errors import Problem
from gateway.members import member_in, member_of
from gateway.parameters import LIMIT, PAGING, cursor
from gateway.schemas import AuditAnswer, AuditView, Empty, KickBody, MessageBody, ViewersAnswer
from gateway.schemas_hub import PollResultView, PollsAnswer
from gateway.services import Services

CLIENT_CHARACTERS_MAX = 64
POLL_NUMBER_DIGITS_MAX = 15

POLL_FORM = "[0-9a-f]{16}"
"""As ``chat.staff.new_id`` names polls."""


def hub_operations(services: Services, desk: Desk) -> list[Operation]:
    """Operations under /api/v1/rooms/{room} that speak to the hub."""
    hub = services.hub

    async def send_message(call: Call) -> Empty:
        body: MessageBody = call.body
        room = desk.run(call.who, call.path["room"])
        command = {"notice": "notice", "announcement": "announce", "pinned": "notice.pin"}[body.kind]
        arguments: dict[str, Any] = {"text": body.text}
        if body.kind == "announcement":
            arguments["seconds"] = body.seconds
        await hub.order(room.id, member_of(call.who), command, arguments)
        return Empty()

    async def count_viewers(call: Call) -> ViewersAnswer:
        room = desk.run(call.who, call.path["room"])
        channel = await hub.attend(room.id)
        stats, there = hub.stats(room.id), summed(channel.servers())
        return ViewersAnswer(stats.viewers, there.connections, stats.likes, there.chat_lines, there.chat_sampled)

    async def kick_person(call: Call) -> Empty:
        body: KickBody = call.body
        room = desk.run(call.who, call.path["room"])
        await hub.order(room.id, member_of(call.who), "kick", {"person": body.person, "reason": body.reason})
        return Empty()

    path = "/api/v1/rooms/{room}"
    return [
        _commands(services, desk),
        _poll(services),
        Operation(
            "POST",
            path + "/messages",
            "Say something to a room",
            send_message,
            HOST_ROLES,
            MessageBody,
            Empty,
            by_hub=True,
        ),
        Operation(
            "GET", path + "/viewers", "Who is there, in numbers", count_viewers, HOST_ROLES, answer=ViewersAnswer
        ),
        Operation(
            "POST",
            path + "/kick",
            "Close a person's connections",
            kick_person,
            HOST_ROLES,
            KickBody,
            Empty,
            by_hub=True,
        ),
        _audit(services, desk),
        _polls(services, desk),
    ]


def _audit(services: Services, desk: Desk) -> Operation:
    async def read_audit(call: Call) -> AuditAnswer:
        room = desk.run(call.who, call.path["room"])
        limit = page_limit(call)
        found = await services.audit.newest(room.id, call.query.get("after", ""), limit)
        items = [
            AuditView(one.id, one.at_ms, one.room, dict(one.by), one.action, one.person, dict(one.detail))
            for one in found
        ]
        return AuditAnswer(items, next=found[-1].id if len(found) == limit else None)

    return Operation(
        "GET",
        "/api/v1/rooms/{room}/audit",
        "What staff did, newest first",
        read_audit,
        HOST_ROLES,
        answer=AuditAnswer,
        query=PAGING,
    )


def _polls(services: Services, desk: Desk) -> Operation:
    async def read_polls(call: Call) -> PollsAnswer:
        room = desk.run(call.who, call.path["room"])
        limit = page_limit(call)
        found = await services.room_floor.polls(room.id, call.query.get("after", ""), limit)
        items = [
            PollResultView(
                one.poll,
                one.title,
                list(one.options),
                list(one.votes),
                one.started_ms,
                one.ends_ms or None,
                one.ended_ms or None,
            )
            for one in found
        ]
        return PollsAnswer(items, next=found[-1].poll if len(found) == limit else None)

    return Operation(
        "GET",
        "/api/v1/rooms/{room}/polls",
        "A room's polls and what was voted, newest first: the last 200",
        read_polls,
        HOST_ROLES,
        answer=PollsAnswer,
        query={"after": cursor("the last poll's id", POLL_FORM), "limit": LIMIT},
    )


# What stands for the hub's close codes where a room cannot be polled.
_REFUSALS = {4401: (401, "token"), 4403: (403, "banned"), 4404: (404, "no_room"), 1011: (500, "internal")}
_RETRY = re.compile(r"retry_ms=(\d+)")


def _refusal(refused: TokenRefused) -> Problem:
    """The problem for one whom the hub does not let in."""
    status, code = _REFUSALS.get(refused.code, (503, "busy"))
    found = _RETRY.search(refused.reason)
    return Problem(status, code, refused.reason, retry_ms=int(found[1]) if found else None)


def _poll(services: Services) -> Operation:
    hub = services.hub

    async def poll_room(call: Call) -> Response:
        scheme, _, credentials = call.headers.get("authorization", "").partition(" ")
        token = call.query.get("token") or (credentials.strip() if scheme.lower() == "bearer" else "")
        seen = call.query.get("n", "0")
        if not (seen.isascii() and seen.isdecimal()) or len(seen) > POLL_NUMBER_DIGITS_MAX:
            raise Problem(400, "invalid", "n is the number of the answer you have got last")
        request = JoinRequest(call.path["room"], token[:TOKEN_CHARS_MAX], parse_since(call.query.get("since", "")))
        try:
            answer = await hub.poll(request, call.address, session=call.query.get("poll", ""), seen=int(seen))
        except TokenRefused as refused:
            raise _refusal(refused) from refused
        headers = {name.decode(): value.decode() for name, value in CORS_HEADERS} | {"cache-control": "no-store"}
        return Response(answer, headers=headers, media_type="application/json")

    query = {
        "token": "the viewer's token, unless it is in the header",
        "since": "EPOCH:OFFSET, to begin without loss",
        "poll": "the session that the last answer named",
        "n": "the number of the last answer",
    }
    return Operation(
        "GET",
        "/poll/{room}",
        "A room for clients that reach us by plain requests only: waits up to 25 s for something to tell",
        poll_room,
        answer=PolledRoom,
        query=query,
    )


def _commands(services: Services, desk: Desk) -> Operation:
    hub = services.hub

    async def run_commands(call: Call) -> Response:
        room = desk.entered(call.who, call.path["room"])
        client = call.query.get("client", "")
        if len(client) > CLIENT_CHARACTERS_MAX:
            raise Problem(400, "invalid", f"client has at most {CLIENT_CHARACTERS_MAX} characters")
        appointed = services.keepers.role_in(room.merchant, room.id, call.who.person)
        answers = await hub.command(
            room.id, member_in(call.who, room.id, room.merchant, appointed), client, call.raw, call.address
        )
        headers = {name.decode(): value.decode() for name, value in CORS_HEADERS}
        return Response(b"[" + b",".join(answers) + b"]", headers=headers, media_type="application/json")

    clients = {"client": "tells several clients of one person apart; command ids are new within each"}
    return Operation(
        "POST",
        "/api/v1/rooms/{room}/commands",
        "Hub commands, as in a frame of the WebSocket; the answers come in an array",
        run_commands,
        SIGNED_IN | {MODERATOR},
        answer=list[dict[str, Any]],
        query=clients,
        takes=(JSON_TYPE,),
    )
