"""Share links, touches and people."""

from __future__ import annotations

from functools import partial
from typing import Any

from commerce.errors import CommerceError
from gateway.addresses import Addresses
from gateway.api import SIGNED_IN, STAFF, Call, Operation, page_limit
from gateway.desk import Desk
from gateway.parameters import PAGING
from gateway.schemas import Empty, LinkAnswer, LinkBody, Page, TouchBody
from gateway.services import Services


def people_operations(services: Services, desk: Desk, addresses: Addresses) -> list[Operation]:
    """Operations on links, touches and people."""
    attribution = services.attribution

    async def create_link(call: Call) -> LinkAnswer:
        body: LinkBody = call.body
        room = desk.entered(call.who, body.room)
        role = call.who.role
        if not call.who.staff and await services.distribution.active(room.merchant, call.who.person):
            role = "distributor"
        mint = partial(
            attribution.mint_link,
            room.merchant,
            call.who.person,
            role,
            room=room.id,
            sku=body.sku,
            channel=body.channel or None,
            campaign=body.campaign or None,
        )
        try:
            link = await mint(parent_token=body.parent)
        except CommerceError:
            if body.parent is None or call.who.staff:
                raise
            # A viewer came by a code that is forged or has lapsed: their own share is good all the same.
            link = await mint()
        return LinkAnswer(token=link.token, url=addresses.viewer_page(call.base_url, room.id, link.token))

    async def list_links(call: Call) -> list[Any]:
        links = await attribution.links(call.who.merchant, reach=call.who.reach)
        return [
            {**view, "url": addresses.viewer_page(call.base_url, view["room"] or "", view["token"])}
            for view in (link.to_json() for link in links)
        ]

    async def create_touch(call: Call) -> Empty:
        body: TouchBody = call.body
        looked_up = desk.touch(call.who, body.room, body.kind, body.sku, body.token, body.clip)
        if looked_up is not None:
            await looked_up
        return Empty()

    links = list[dict[str, Any]]
    return [
        Operation("POST", "/api/v1/links", "Make a share link", create_link, SIGNED_IN, LinkBody, LinkAnswer, 201),
        Operation("GET", "/api/v1/links", "The merchant's links", list_links, STAFF, answer=links, within="node"),
        Operation("POST", "/api/v1/touches", "Record a touch", create_touch, SIGNED_IN, TouchBody, Empty, 202),
        *_people(services),
    ]


def _people(services: Services) -> list[Operation]:
    """Who came."""

    async def list_people(call: Call) -> Page:
        limit = page_limit(call)
        after, reach = call.query.get("after"), call.who.reach
        people = await services.people.people(call.who.merchant, after=after, limit=limit, reach=reach)
        phones = await services.identities.masked_phones(call.who.merchant, [person.person for person in people])
        items = [{**person.to_json(), "phone": phones.get(person.person)} for person in people]
        return Page(items=items, next=people[-1].person if len(people) == limit else None)

    return [
        Operation(
            "GET",
            "/api/v1/people",
            "The merchant's people",
            list_people,
            STAFF,
            answer=Page,
            query=PAGING,
            within="people",
        ),
    ]
