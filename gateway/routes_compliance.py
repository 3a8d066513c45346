"""What the regulator asks of a shop: switches, licence, hosts, kept chat, complaints, takedowns."""

from __future__ import annotations

from functools import partial
from typing import Any

from msgspec.structs import asdict

from commerce.complaints_sql import STATES
from commerce.domain.day import DAY_MS
from commerce.domain.policy import Policy
from gateway.answers import page_of
from gateway.api import ANYONE, SIGNED_IN, STAFF, Call, Operation, page_limit, query_ms
from gateway.parameters import PAGING, choice, millis
from gateway.schemas import Empty
from gateway.schemas_compliance import (
    AnswerBody,
    BasisBody,
    ChatLinePage,
    ComplaintBody,
    ComplaintPage,
    ComplaintSums,
    ComplaintView,
    HostBody,
    HostClearAnswer,
    HostView,
    LicenceAnswer,
    LicenceBody,
    NoticeAnswer,
    PolicyAnswer,
    PolicyBody,
    ReturnsBody,
    RevealBody,
    TakedownBody,
    TakedownPage,
    TakedownView,
)
from gateway.services import Services

MERCHANT = frozenset({"merchant"})
FOR_EVER_MS = 10**14
SUMS_MS = 90 * DAY_MS


def policy_operations(services: Services) -> list[Operation]:
    """Operations on switches, the licence, and what buyers are told of goods."""
    compliance = services.compliance

    async def read_policy(call: Call) -> Any:
        return await compliance.policy(call.who.merchant)

    async def set_policy(call: Call) -> Any:
        set_to = await compliance.set_policy(call.who.merchant, call.who.person, Policy(**asdict(call.body)))
        await services.archive.reread()
        return set_to

    async def set_licence(call: Call) -> Any:
        body: LicenceBody = call.body
        permits = [asdict(permit) for permit in body.permits]
        terms = (body.company, body.number, body.address, body.image, permits)
        return {"licence": await compliance.set_licence(call.who.merchant, call.who.person, *terms)}

    async def read_own_licence(call: Call) -> Any:
        return {"licence": await compliance.licence(call.who.merchant)}

    async def read_licence(call: Call) -> Any:
        return {"licence": await compliance.shown_licence(services.rooms.get(call.path["room"]).merchant)}

    async def read_notice(call: Call) -> Any:
        return await compliance.notice(call.path["product"])

    async def set_basis(call: Call) -> Empty:
        await compliance.set_basis(call.who.merchant, call.path["sku"], call.body.list_basis)
        return Empty()

    async def set_returns(call: Call) -> Empty:
        await compliance.set_returns(call.who.merchant, call.path["product"], call.body.returns)
        return Empty()

    policy, licence = "/api/v1/policy", "/api/v1/licence"
    shown, product = "/api/v1/rooms/{room}/licence", "/api/v1/products/{product}"
    return [
        Operation("GET", policy, "The shop's switches", read_policy, MERCHANT, answer=PolicyAnswer),
        Operation("PUT", policy, "Set them", set_policy, MERCHANT, PolicyBody, PolicyAnswer),
        Operation("GET", licence, "The shop's licence", read_own_licence, MERCHANT, answer=LicenceAnswer),
        Operation("PUT", licence, "Write the licence", set_licence, MERCHANT, LicenceBody, LicenceAnswer),
        Operation("GET", shown, "The licence of a room's shop", read_licence, ANYONE, answer=LicenceAnswer),
        Operation("GET", f"{product}/notice", "Returns, bases, media", read_notice, ANYONE, answer=NoticeAnswer),
        Operation("PUT", f"{product}/returns", "Whether it can go back", set_returns, MERCHANT, ReturnsBody, Empty),
        Operation("PUT", "/api/v1/skus/{sku}/list-basis", "Basis", set_basis, MERCHANT, BasisBody, Empty),
    ]


def record_operations(services: Services) -> list[Operation]:
    """Operations on hosts, kept chat and takedowns."""
    compliance = services.compliance

    async def set_host(call: Call) -> Any:
        body: HostBody = call.body
        return await compliance.set_host(call.who.merchant, body.room, body.name, body.number, call.who.person)

    async def list_hosts(call: Call) -> Any:
        return await compliance.hosts(call.who.merchant, call.query.get("room", ""))

    async def reveal_host(call: Call) -> Any:
        return await compliance.open_host(call.who.merchant, call.path["host"], call.who.person, call.body.reason)

    async def list_chat_lines(call: Call) -> Any:
        await services.archive.flush()
        limit, query = page_limit(call), call.query
        since_ms, until_ms = query_ms(call, "since", 0), query_ms(call, "until", FOR_EVER_MS)
        who = (call.who.merchant, query.get("room", ""), query.get("person", ""))
        return page_of(await compliance.lines(*who, since_ms, until_ms, query.get("after", ""), limit), limit)

    async def take_down(call: Call) -> Any:
        body: TakedownBody = call.body
        terms = (body.kind, body.ref, body.reason, body.basis)
        return await compliance.take_down(call.who.merchant, *terms, call.who.person)

    async def list_takedowns(call: Call) -> Any:
        limit = page_limit(call)
        return page_of(await compliance.takedowns(call.who.merchant, call.query.get("after"), limit), limit)

    async def lift_takedown(call: Call) -> Empty:
        await compliance.lift(call.who.merchant, call.path["takedown"], call.who.person)
        return Empty()

    hosts, downs, lines = "/api/v1/hosts", "/api/v1/takedowns", "/api/v1/chat-lines"
    asked = {
        **PAGING,
        "room": "only this room's",
        "person": "only theirs",
        "since": millis("Unix ms"),
        "until": millis("Unix ms"),
    }
    reveal, lift = f"{hosts}/{{host}}/reveal", f"{downs}/{{takedown}}/lift"
    return [
        Operation("POST", hosts, "Record who hosts", set_host, MERCHANT, HostBody, list[HostView], 201),
        Operation("GET", hosts, "Hosts", list_hosts, MERCHANT, answer=list[HostView], query={"room": "only its"}),
        Operation("POST", reveal, "In clear, logged", reveal_host, MERCHANT, RevealBody, HostClearAnswer),
        Operation("GET", lines, "Kept chat", list_chat_lines, MERCHANT, answer=ChatLinePage, query=asked),
        Operation("POST", downs, "Take down", take_down, MERCHANT, TakedownBody, TakedownView, 201),
        Operation("GET", downs, "Takedowns", list_takedowns, MERCHANT, answer=TakedownPage, query=PAGING),
        Operation("POST", lift, "Lift one", lift_takedown, MERCHANT, answer=Empty),
    ]


def buyer_operations(services: Services) -> list[Operation]:
    """Operations on complaints: a buyer's own, a merchant's all."""
    compliance = services.compliance

    async def complain(call: Call) -> Any:
        body: ComplaintBody = call.body
        terms = (body.kind, body.text, body.contact, body.room, body.order)
        return await compliance.complain(call.who.merchant, call.who.person, *terms)

    async def list_complaints(call: Call) -> Any:
        limit, query, who = page_limit(call), call.query, call.who
        mine = "" if who.staff else who.person
        asked = (who.merchant, mine, query.get("state", ""), query.get("after"), limit)
        reach = who.reach if who.staff else None
        return page_of(await compliance.complaints(*asked, kind=query.get("kind", ""), reach=reach), limit)

    async def read_complaint_sums(call: Call) -> Any:
        until_ms = query_ms(call, "until", services.clock() + 1)
        since_ms = query_ms(call, "since", until_ms - SUMS_MS)
        return await compliance.complaint_sums(call.who.merchant, since_ms, until_ms, call.who.reach)

    async def answer_complaint(call: Call) -> Empty:
        who = call.who
        await compliance.answer(who.merchant, call.path["complaint"], who.person, call.body.answer, who.reach)
        return Empty()

    complaints = "/api/v1/complaints"
    people = partial(Operation, within="people")
    told = {
        **PAGING,
        "state": choice("only these", *STATES),
        "kind": choice("only these", "complaint", "report", "praise"),
    }
    period = {"since": millis("Unix ms, 90 days before until"), "until": millis("Unix ms, now when left out")}
    return [
        Operation("POST", complaints, "Complain", complain, SIGNED_IN, ComplaintBody, ComplaintView, 201),
        people("GET", complaints, "Complaints", list_complaints, SIGNED_IN, answer=ComplaintPage, query=told),
        people(
            "GET",
            f"{complaints}/sums",
            "Complaints by node",
            read_complaint_sums,
            STAFF,
            answer=list[ComplaintSums],
            query=period,
        ),
        people("POST", f"{complaints}/{{complaint}}/answer", "Answer", answer_complaint, MERCHANT, AnswerBody, Empty),
    ]
