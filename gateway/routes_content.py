"""The content library: written and published by the shop, shared by its people, read by anybody at /c/ID."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from commerce.contents import SHARERS, Draft
from commerce.errors import Invalid
from gateway.addresses import Addresses
from gateway.api import ANYONE, SIGNED_IN, STAFF, Call, Operation, page_limit
from gateway.auth import Claims
from gateway.errors import Problem
from gateway.guests import Guests
from gateway.parameters import PAGING, whole
from gateway.schemas import LinkAnswer
from gateway.schemas_base import EnterBody
from gateway.schemas_content import (
    ContentAnswer,
    ContentBody,
    ContentFigures,
    ContentGoods,
    ContentItem,
    ContentLinkBody,
    ContentsAnswer,
    PublishBody,
    ReadAnswer,
    VersionsAnswer,
)
from gateway.services import Services

AUTHORS = frozenset({"merchant"})
CONTENTS = "/api/v1/contents"
ONE = CONTENTS + "/{content}"


def content_operations(services: Services, addresses: Addresses) -> list[Operation]:
    """Operations under /api/v1/contents."""
    return [*_writing(services), *_library(services), *_reading(services, addresses)]


def _writing(services: Services) -> list[Operation]:
    contents = services.contents

    def draft(body: ContentBody) -> Draft:
        if body.show and services.media.recorder.find(body.room, body.show) is None:
            raise Invalid("there is no such recorded show in this room", field="show")
        given = {name: getattr(body, name) for name in Draft.__dataclass_fields__}
        lists = {name: tuple(given[name]) for name in ("pictures", "clips", "skus")}
        return Draft(**given | lists)

    async def write_content(call: Call) -> ContentAnswer:
        return _answer(await contents.add(call.who.merchant, call.who.person, draft(call.body)))

    async def change_content(call: Call) -> ContentAnswer:
        body: ContentBody = call.body
        who = call.who
        return _answer(await contents.change(who.merchant, who.person, call.path["content"], draft(body), body.base))

    async def publish_content(call: Call) -> ContentAnswer:
        body: PublishBody = call.body
        return _answer(await contents.publish(call.who.merchant, call.path["content"], body.version))

    async def list_versions(call: Call) -> VersionsAnswer:
        return VersionsAnswer(await contents.versions(call.who.merchant, call.path["content"]))

    return [
        Operation("POST", CONTENTS, "Write a piece", write_content, AUTHORS, ContentBody, ContentAnswer, 201),
        Operation("PUT", ONE, "Write its next version", change_content, AUTHORS, ContentBody, ContentAnswer),
        Operation("POST", f"{ONE}/publish", "Show a version", publish_content, AUTHORS, PublishBody, ContentAnswer),
        Operation("GET", f"{ONE}/versions", "All versions", list_versions, AUTHORS, answer=VersionsAnswer),
    ]


def _library(services: Services) -> list[Operation]:
    contents = services.contents

    async def list_contents(call: Call) -> ContentsAnswer:
        who, limit, query = call.who, page_limit(call), call.query
        drafts = _writes(who)
        rows = await contents.page(
            who.merchant, query.get("category", ""), query.get("q", ""), query.get("after"), limit, drafts=drafts
        )
        figures = await contents.figures(who.merchant, [row["id"] for row in rows], who.person, who.reach)
        return ContentsAnswer(
            [_item(row, ContentFigures(**asdict(figures[row["id"]]))) for row in rows],
            await contents.categories(who.merchant, drafts=drafts),
            rows[-1]["id"] if len(rows) == limit else None,
        )

    async def read_content(call: Call) -> ContentAnswer:
        who, content = call.who, call.path["content"]
        if not _writes(who):
            return _answer(await contents.known(who.merchant, content))
        version = call.query.get("version")
        if version is not None and not (version.isascii() and version.isdigit() and len(version) < 7):
            raise Problem(400, "invalid", "version is a number")
        return _answer(await contents.one(who.merchant, content, None if version is None else int(version)))

    asked = {"q": "words to find", "category": "one category", **PAGING}
    version = {"version": whole("for authors: another version than the newest", 999_999)}
    return [
        Operation(
            "GET",
            CONTENTS,
            "The library, with what each piece brought",
            list_contents,
            STAFF,
            answer=ContentsAnswer,
            query=asked,
            within="node",
        ),
        Operation("GET", ONE, "A piece", read_content, STAFF, answer=ContentAnswer, query=version, within="node"),
    ]


def _reading(services: Services, addresses: Addresses) -> list[Operation]:
    contents = services.contents
    guests = Guests(services)

    async def role_of(merchant: str, person: str) -> str:
        return "distributor" if await services.distribution.active(merchant, person) else "viewer"

    async def open_content(call: Call) -> ReadAnswer:
        body: EnterBody = call.body
        guests.admit(call)
        found = await contents.read(call.path["content"])
        merchant = found["merchant"]
        # Clips may be of other rooms of the shop than the one that the piece leads to.
        guest = await guests.enter(merchant, "" if found["clips"] else found["room"], body)
        await contents.opened(merchant, found["id"], guest.person, body.scene, found["room"])
        shop = await services.catalogue.merchant(merchant)
        may_share = await role_of(merchant, guest.person) in SHARERS[found["sharers"]]
        return ReadAnswer(guest.token, guest.person, guest.name, guest.expires, shop.name, may_share, _answer(found))

    async def share_content(call: Call) -> LinkAnswer:
        body: ContentLinkBody = call.body
        who, content = call.who, call.path["content"]
        role = who.role if who.staff else await role_of(who.merchant, who.person)
        link = await contents.share(who.merchant, content, who.person, role, body.channel or None, body.parent)
        return LinkAnswer(token=link.token, url=addresses.content_page(call.base_url, content, link.token))

    return [
        Operation("POST", f"{ONE}/open", "Read a piece", open_content, ANYONE, EnterBody, ReadAnswer),
        Operation(
            "POST",
            f"{ONE}/links",
            "Share a piece",
            share_content,
            SIGNED_IN,
            ContentLinkBody,
            LinkAnswer,
            201,
        ),
    ]


def _writes(who: Claims) -> bool:
    """Whether an account is one of those who write: it sees drafts and every version."""
    return who.role in AUTHORS and who.reach is None


def _item(row: dict[str, Any], figures: ContentFigures) -> ContentItem:
    return ContentItem(
        content=row["id"],
        created=row["created_ms"],
        updated=row["updated_ms"],
        figures=figures,
        **{name: row[name] for name in ("kind", "title", "category", "summary", "cover", "audience", "sharers")},
        version=row["version"],
        published=row["published"],
    )


def _answer(row: dict[str, Any]) -> ContentAnswer:
    goods = [ContentGoods(**{name: one[name] for name in ContentGoods.__struct_fields__}) for one in row["goods"]]
    plain = ("kind", "title", "category", "summary", "body", "cover", "pictures", "clips", "room", "show")
    state = ("audience", "sharers", "version", "shown", "published")
    return ContentAnswer(
        content=row["id"],
        goods=goods,
        created=row["created_ms"],
        updated=row["updated_ms"],
        **{name: row[name] for name in (*plain, *state)},
    )
