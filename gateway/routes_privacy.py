"""A person's rights over what the shop holds of them, children apart, and WeChat's word of what was taken back."""

from __future__ import annotations

from starlette.responses import Response

from gateway.api import ANYONE, NOTICE_TYPES, STAFF, TEXT_TYPE, Call, Operation, page_limit
from gateway.encode import plain
from gateway.errors import Problem
from gateway.parameters import PAGING
from gateway.schemas import Empty, Page
from gateway.schemas_people import MinorAnswer, MinorBody, WechatEventsBody
from gateway.services import Services

MERCHANT = frozenset({"merchant"})
VIEWER = frozenset({"viewer", "guest"})


def privacy_operations(services: Services) -> list[Operation]:
    """Operations under /api/v1/me/…, /api/v1/people/…/minor and /api/v1/wechat-events."""
    return [*_own(services), *_minors(services), *_events(services)]


async def _kept_as_minor(services: Services, call: Call, person: str) -> MinorAnswer:
    body: MinorBody = call.body
    who = call.who
    await services.privacy.set_minor(
        who.merchant, person, who.person, guardian=body.guardian, phone=body.phone, agreed=body.agreed
    )
    return MinorAnswer(minor=True, agreed=body.agreed)


def _own(services: Services) -> list[Operation]:
    async def read_own_log(call: Call) -> Page:
        limit, who = page_limit(call), call.who
        rows = await services.identities.privacy_log(who.merchant, who.person, call.query.get("after"), limit)
        # Who of the staff it was is the shop's to say when asked; that somebody did, and why, is the person's.
        items = [{name: value for name, value in plain(row).items() if name != "by"} for row in rows]
        return Page(items=items, next=rows[-1]["id"] if len(rows) == limit else None)

    async def set_own_minor(call: Call) -> MinorAnswer:
        return await _kept_as_minor(services, call, call.who.person)

    return [
        Operation(
            "GET", "/api/v1/me/privacy-log", "Who touched my data", read_own_log, VIEWER, answer=Page, query=PAGING
        ),
        Operation("PUT", "/api/v1/me/minor", "I am under 14", set_own_minor, VIEWER, MinorBody, MinorAnswer),
    ]


def _minors(services: Services) -> list[Operation]:
    privacy = services.privacy

    async def read_minor(call: Call) -> MinorAnswer:
        found = await privacy.minor(call.who.merchant, await _whose(call), call.who.person)
        return MinorAnswer(minor=False) if found is None else MinorAnswer(minor=True, **found)

    async def set_minor(call: Call) -> MinorAnswer:
        return await _kept_as_minor(services, call, await _whose(call))

    async def end_minor(call: Call) -> Empty:
        await privacy.grown(call.who.merchant, await _whose(call), call.who.person)
        return Empty()

    async def _whose(call: Call) -> str:
        return str((await services.identities.person(call.who.merchant, call.path["person"]))["id"])

    path = "/api/v1/people/{person}/minor"
    return [
        Operation("GET", path, "A child's guardian, logged", read_minor, MERCHANT, answer=MinorAnswer),
        Operation("PUT", path, "Keep them as under 14", set_minor, STAFF, MinorBody, MinorAnswer),
        Operation("DELETE", path, "They are 14 by now", end_minor, MERCHANT, answer=Empty),
    ]


def _events(services: Services) -> list[Operation]:
    privacy = services.privacy

    async def set_wechat_events(call: Call) -> Empty:
        body: WechatEventsBody = call.body
        app = await services.identities.wechat_app(call.who.merchant)
        if app is None:
            raise Problem(422, "no_wechat", "this shop has no mini-program: PUT /api/v1/wechat-app first")
        await privacy.set_callback_keys(call.who.merchant, app.appid, body.token, body.aes_key)
        return Empty()

    async def wechat_challenge(call: Call) -> Response:
        return Response(await privacy.challenge(call.path["merchant"], call.query), media_type="text/plain")

    async def wechat_event(call: Call) -> Response:
        await privacy.event(call.path["merchant"], call.query, call.raw)
        # Anything else, or nothing within five seconds, makes WeChat repeat the event, three times in all.
        return Response("success", media_type="text/plain")

    path = "/api/v1/wechat-events/{merchant}"
    return [
        Operation(
            "PUT",
            "/api/v1/wechat-app/events",
            "Set the keys of the mini-program's events",
            set_wechat_events,
            MERCHANT,
            WechatEventsBody,
            Empty,
        ),
        Operation("GET", path, "WeChat tries the address", wechat_challenge, ANYONE, gives=(TEXT_TYPE,)),
        Operation(
            "POST", path, "Events of a mini-program", wechat_event, ANYONE, takes=NOTICE_TYPES, gives=(TEXT_TYPE,)
        ),
    ]
