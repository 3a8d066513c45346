"""Customers sorted: terms, tags, stages of life, segments."""

from __future__ import annotations

from functools import partial
from typing import Any

from msgspec import UNSET
from msgspec.structs import asdict

from gateway.api import STAFF, Call, Operation, page_limit
from gateway.parameters import PAGING
from gateway.schemas import Empty, Page
from gateway.schemas_crm import (
    CrmTermsAnswer,
    CrmTermsBody,
    NamedPerson,
    PersonTagView,
    PreviewAnswer,
    PreviewBody,
    ProfileAnswer,
    SegmentAnswer,
    SegmentBody,
    SegmentView,
    TagBody,
    TagView,
)
from gateway.services import Services

MERCHANT = frozenset({"merchant"})


def crm_operations(services: Services) -> list[Operation]:
    """Operations on tags, stages and segments."""
    return [*_terms(services), *_tags(services), *_people(services), *_segments(services)]


def _terms(services: Services) -> list[Operation]:
    crm = services.crm

    async def read_crm_terms(call: Call) -> Any:
        return await crm.terms(call.who.merchant)

    async def set_crm_terms(call: Call) -> Any:
        given = {name: value for name, value in asdict(call.body).items() if value is not UNSET}
        return await crm.set_terms(call.who.merchant, call.who.person, given)

    async def count_stages(call: Call) -> dict[str, int]:
        return await crm.stages(call.who.merchant)

    path = "/api/v1/crm/terms"
    return [
        Operation("GET", path, "Terms of sorting and telling", read_crm_terms, MERCHANT, answer=CrmTermsAnswer),
        Operation("PUT", path, "Change some of them", set_crm_terms, MERCHANT, CrmTermsBody, CrmTermsAnswer),
        Operation("GET", "/api/v1/stages", "Customers by stage", count_stages, STAFF, answer=dict[str, int]),
    ]


def _tags(services: Services) -> list[Operation]:
    crm = services.crm

    async def list_tags(call: Call) -> list[TagView]:
        return [
            TagView(row["name"], row["kind"], row["condition"], row["people"], row["created_ms"])
            for row in await crm.tags(call.who.merchant)
        ]

    async def put_tag(call: Call) -> Empty:
        body: TagBody = call.body
        await crm.put_tag(call.who.merchant, call.who.person, call.path["tag"], body.kind, body.condition)
        return Empty()

    async def drop_tag(call: Call) -> Empty:
        await crm.drop_tag(call.who.merchant, call.path["tag"])
        return Empty()

    one = "/api/v1/tags/{tag}"
    return [
        Operation("GET", "/api/v1/tags", "Tags, and how many have each", list_tags, STAFF, answer=list[TagView]),
        Operation("PUT", one, "Make a tag, or change its condition", put_tag, MERCHANT, TagBody, Empty),
        Operation("DELETE", one, "Take it from everybody", drop_tag, MERCHANT, answer=Empty),
    ]


def _people(services: Services) -> list[Operation]:
    crm = services.crm

    async def require(call: Call) -> None:
        """Raises ``NotFound`` for a customer of another part of the shop."""
        await services.org.require_person(call.who.merchant, call.path["person"], call.who.reach)

    def shown(row: dict[str, Any]) -> ProfileAnswer:
        tags = [PersonTagView(one["tag"], one["kind"], one["staff"], one["since_ms"]) for one in row["tags"]]
        return ProfileAnswer(row["person"], row["stage"], row["stage_since"], tags)

    async def read_profile(call: Call) -> ProfileAnswer:
        await require(call)
        return shown(await crm.profile(call.who.merchant, call.path["person"]))

    async def give_tag(call: Call) -> ProfileAnswer:
        await require(call)
        who, path = call.who, call.path
        return shown(await crm.mark(who.merchant, path["person"], path["tag"], who.person, on=True))

    async def take_tag(call: Call) -> ProfileAnswer:
        await require(call)
        who, path = call.who, call.path
        return shown(await crm.mark(who.merchant, path["person"], path["tag"], who.person, on=False))

    person = "/api/v1/people/{person}"
    people = partial(Operation, within="people")
    return [
        people("GET", f"{person}/profile", "Stage and tags", read_profile, STAFF, answer=ProfileAnswer),
        people("PUT", f"{person}/tags/{{tag}}", "Give a tag", give_tag, STAFF, answer=ProfileAnswer),
        people("DELETE", f"{person}/tags/{{tag}}", "Take a tag", take_tag, STAFF, answer=ProfileAnswer),
    ]


def _segments(services: Services) -> list[Operation]:
    crm = services.crm

    async def preview_segment(call: Call) -> PreviewAnswer:
        found = await crm.preview(call.who.merchant, call.body.condition)
        return PreviewAnswer(found["count"], [NamedPerson(**one) for one in found["people"]])

    async def list_segments(call: Call) -> list[SegmentView]:
        found = await crm.segments(call.who.merchant)
        return [SegmentView(row["id"], row["name"], row["condition"], row["created_ms"]) for row in found]

    async def add_segment(call: Call) -> SegmentAnswer:
        body: SegmentBody = call.body
        return SegmentAnswer(await crm.add_segment(call.who.merchant, call.who.person, body.name, body.condition))

    async def drop_segment(call: Call) -> Empty:
        await crm.drop_segment(call.who.merchant, call.path["segment"])
        return Empty()

    async def list_segment_people(call: Call) -> Page:
        limit, merchant = page_limit(call), call.who.merchant
        condition = await crm.segment(merchant, call.path["segment"])
        found = await crm.members(merchant, condition, call.query.get("after", ""), limit)
        items = [{"person": person, "name": name} for person, name in found]
        return Page(items=items, next=found[-1][0] if len(found) == limit else None)

    path, one = "/api/v1/segments", "/api/v1/segments/{segment}"
    return [
        Operation("POST", f"{path}/preview", "Try one", preview_segment, MERCHANT, PreviewBody, PreviewAnswer),
        Operation("GET", path, "Segments", list_segments, MERCHANT, answer=list[SegmentView]),
        Operation("POST", path, "Keep a segment", add_segment, MERCHANT, SegmentBody, SegmentAnswer, 201),
        Operation("DELETE", one, "Forget a segment", drop_segment, MERCHANT, answer=Empty),
        Operation("GET", f"{one}/people", "Who is in it", list_segment_people, MERCHANT, answer=Page, query=PAGING),
    ]
