"""Who is who: persons, merges and their undoing, conflicts, lists of members, consents, a person's own data."""

from __future__ import annotations

from typing import Any

from commerce.identity.join import Joined
from gateway.answers import order_answer
from gateway.api import CSV_TYPE, SIGNED_IN, STAFF, Call, Operation, page_limit
from gateway.encode import plain
from gateway.errors import Problem
from gateway.parameters import PAGING
from gateway.schemas import Empty, Page
from gateway.schemas_people import (
    ConsentBody,
    ConsentView,
    DecisionBody,
    ErasedAnswer,
    ExportAnswer,
    FaultView,
    IdentityView,
    ImportAnswer,
    JoinedAnswer,
    LookBody,
    MergeBody,
    PersonAnswer,
    PhoneAnswer,
    PhoneView,
    WechatAppAnswer,
    WechatAppBody,
)
from gateway.services import Services

MERCHANT = frozenset({"merchant"})
VIEWER = frozenset({"viewer", "guest"})
IMPORT_BYTES_MAX = 1024 * 1024
"""5,000 members with names are some 200 KB."""
EXPORT_MAX = 200
"""Orders in words in one person's export; ``held`` has them all."""
TOUCHES_MAX = 5_000
"""The newest touches in an export."""


def identity_operations(services: Services) -> list[Operation]:
    """Operations on persons for who runs the shop, and on their own data for everybody."""
    return [
        *_persons(services),
        *_merges(services),
        *_lists(services),
        *_conflicts(services),
        *_own(services),
        *_wechat_app(services),
    ]


def _joined(joined: Joined) -> JoinedAnswer:
    return JoinedAnswer(person=joined.person, merge=joined.merged)


def _paged(rows: list[dict[str, Any]], limit: int) -> Page:
    return Page(items=[plain(row) for row in rows], next=rows[-1]["id"] if len(rows) == limit else None)


def _persons(services: Services) -> list[Operation]:
    identities = services.identities

    async def read_person(call: Call) -> PersonAnswer:
        await services.org.require_person(call.who.merchant, call.path["person"], call.who.reach)
        found = await identities.person(call.who.merchant, call.path["person"])
        await services.privacy.opened(call.who.merchant, found["id"], call.who.person)
        phone = found["phone"]
        return PersonAnswer(
            person=found["id"],
            name=found["name"],
            created=found["created_ms"],
            aliases=found["aliases"],
            phone=None if phone is None else PhoneView(masked=phone["masked"], verified=phone["verified_ms"]),
            identities=[IdentityView(kind=one["kind"], since=one["created_ms"]) for one in found["identities"]],
            consents=[
                ConsentView(one["purpose"], one["granted"], one["basis"], one["source"], one["at_ms"])
                for one in found["consents"]
            ],
            minor=await services.privacy.is_minor(found["id"]),
        )

    async def look_at_phone(call: Call) -> PhoneAnswer:
        who, body = call.who, call.body
        await services.org.require_person(who.merchant, call.path["person"], who.reach)
        return PhoneAnswer(await identities.full_phone(who.merchant, call.path["person"], who.person, body.reason))

    one = "/api/v1/people/{person}"
    return [
        Operation("GET", one, "One person", read_person, STAFF, answer=PersonAnswer, within="people"),
        Operation(
            "POST",
            f"{one}/phone",
            "The whole number, logged",
            look_at_phone,
            MERCHANT,
            LookBody,
            PhoneAnswer,
            within="people",
        ),
    ]


def _merges(services: Services) -> list[Operation]:
    identities = services.identities

    async def merge_people(call: Call) -> JoinedAnswer:
        who, body = call.who, call.body
        one = call.path["person"]
        return _joined(await identities.merge(who.merchant, one, body.other, who.person, body.reason))

    async def list_merges(call: Call) -> Page:
        limit, person = page_limit(call), call.query.get("person", "")
        return _paged(await identities.merges(call.who.merchant, person, call.query.get("after"), limit), limit)

    async def undo_merge(call: Call) -> JoinedAnswer:
        return _joined(await identities.undo(call.who.merchant, call.path["merge"], call.who.person))

    one, paging = "/api/v1/people/{person}", {**PAGING, "person": "only this person's"}
    return [
        Operation("POST", f"{one}/merges", "Two are one", merge_people, MERCHANT, MergeBody, JoinedAnswer, 201),
        Operation("GET", "/api/v1/merges", "The journal", list_merges, MERCHANT, answer=Page, query=paging),
        Operation("POST", "/api/v1/merges/{merge}/undo", "They are two", undo_merge, MERCHANT, answer=JoinedAnswer),
    ]


def _lists(services: Services) -> list[Operation]:
    identities = services.identities

    async def import_people(call: Call) -> ImportAnswer:
        query, who = call.query, call.who
        report = await identities.import_members(
            who.merchant,
            who.person,
            call.raw,
            query.get("purpose", "member"),
            query.get("basis", ""),
            query.get("source", ""),
            try_only=query.get("try") == "1",
        )
        faults = [FaultView(fault.line, fault.column, fault.message) for fault in report.faults]
        return ImportAnswer(report.written, report.rows, report.new, report.known, faults)

    async def list_privacy_log(call: Call) -> Page:
        limit, person = page_limit(call), call.query.get("person", "")
        return _paged(await identities.privacy_log(call.who.merchant, person, call.query.get("after"), limit), limit)

    paging = {**PAGING, "person": "only this person's"}
    asked = {
        "basis": "why the shop may have them: consent, contract, membership_form, store_register",
        "source": "where that was said, in a line",
        "purpose": "member (default), marketing or profile",
        "try": "1: look for faults, write nothing",
    }
    return [
        Operation(
            "POST",
            "/api/v1/people/import",
            "Take in a list of members (CSV)",
            import_people,
            MERCHANT,
            answer=ImportAnswer,
            query=asked,
            takes=(CSV_TYPE,),
            body_bytes_max=IMPORT_BYTES_MAX,
        ),
        Operation(
            "GET",
            "/api/v1/privacy-log",
            "Who touched personal data",
            list_privacy_log,
            MERCHANT,
            answer=Page,
            query=paging,
        ),
    ]


def _conflicts(services: Services) -> list[Operation]:
    identities = services.identities

    async def list_conflicts(call: Call) -> Page:
        limit, state = page_limit(call), call.query.get("state", "open")
        state = "" if state == "all" else state
        return _paged(await identities.conflicts(call.who.merchant, state, call.query.get("after"), limit), limit)

    async def decide_conflict(call: Call) -> JoinedAnswer:
        who = call.who
        return _joined(await identities.decide(who.merchant, call.path["conflict"], call.body.decision, who.person))

    paging = {**PAGING, "state": "open (default) or all"}
    return [
        Operation(
            "GET",
            "/api/v1/conflicts",
            "Keys that two persons claim",
            list_conflicts,
            MERCHANT,
            answer=Page,
            query=paging,
        ),
        Operation(
            "POST", "/api/v1/conflicts/{conflict}", "Decide one", decide_conflict, MERCHANT, DecisionBody, JoinedAnswer
        ),
    ]


def _own(services: Services) -> list[Operation]:
    identities, shop = services.identities, services.shop

    async def read_consents(call: Call) -> dict[str, bool]:
        return await identities.consents(call.who.person)

    async def set_consent(call: Call) -> dict[str, bool]:
        body: ConsentBody = call.body
        if body.granted:
            await services.privacy.refuse_of_minors(call.who.person, body.purpose)
        return await identities.consent(
            call.who.merchant, call.who.person, body.purpose, body.granted, body.source or "self-service"
        )

    async def export_me(call: Call) -> ExportAnswer:
        merchant, me = call.who.merchant, call.who.person
        found = await identities.person(merchant, me)
        orders = await shop.orders(merchant, person=me, limit=EXPORT_MAX)
        touches = await services.attribution.touches_of(merchant, [me, *found["aliases"]], TOUCHES_MAX)
        held = await services.privacy.holdings(merchant, me, me)
        return ExportAnswer(
            person={"person": found["id"], "name": found["name"], "created": found["created_ms"]},
            phone=await identities.own_phone(merchant, me),
            consents=found["consents"],
            orders=[order_answer(order) for order in orders],
            coupons=[plain(coupon) for coupon in await shop.coupons(merchant, me)],
            touches=touches,
            held=held["tables"],
            left_out=held["left_out"],
        )

    async def erase_me(call: Call) -> ErasedAnswer:
        erased = await identities.erase(call.who.merchant, call.who.person, call.who.person, "asked by themselves")
        return ErasedAnswer(erased.person, erased.identities, dict(erased.kept))

    async def erase_person(call: Call) -> ErasedAnswer:
        erased = await identities.erase(call.who.merchant, call.path["person"], call.who.person, call.body.reason)
        return ErasedAnswer(erased.person, erased.identities, dict(erased.kept))

    me = "/api/v1/me"
    return [
        Operation("GET", f"{me}/consents", "What I agreed to", read_consents, SIGNED_IN, answer=dict[str, bool]),
        Operation(
            "POST", f"{me}/consents", "Agree, or take it back", set_consent, VIEWER, ConsentBody, dict[str, bool]
        ),
        Operation("GET", f"{me}/data", "All that the shop knows of me", export_me, VIEWER, answer=ExportAnswer),
        Operation("DELETE", f"{me}/data", "Forget me", erase_me, VIEWER, answer=ErasedAnswer),
        Operation(
            "POST",
            "/api/v1/people/{person}/erase",
            "Forget a person who asked for it",
            erase_person,
            MERCHANT,
            LookBody,
            ErasedAnswer,
        ),
    ]


def _wechat_app(services: Services) -> list[Operation]:
    identities = services.identities

    async def set_wechat_app(call: Call) -> Empty:
        body: WechatAppBody = call.body
        await identities.set_wechat_app(call.who.merchant, body.appid, body.secret, body.platform)
        return Empty()

    async def read_wechat_app(call: Call) -> WechatAppAnswer:
        app = await identities.wechat_app(call.who.merchant)
        if app is None:
            raise Problem(404, "not_found", "this shop has no mini-program yet")
        return WechatAppAnswer(app.appid, app.platform)

    path = "/api/v1/wechat-app"
    return [
        Operation("PUT", path, "Set the mini-program", set_wechat_app, MERCHANT, WechatAppBody, Empty),
        Operation("GET", path, "The mini-program", read_wechat_app, MERCHANT, answer=WechatAppAnswer),
    ]
