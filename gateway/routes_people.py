"""Share links, touches and the private-traffic board."""

from __future__ import annotations

from functools import partial
from typing import Any

from commerce.attribution.board import board_csv
from commerce.errors import CommerceError
from gateway.addresses import Addresses
from gateway.answers import csv_answer
from gateway.api import SIGNED_IN, STAFF, Call, Operation, page_limit, query_ms
from gateway.desk import Desk
from gateway.errors import Problem
from gateway.schemas import Empty, LinkAnswer, LinkBody, Page, TouchBody
from gateway.services import Services

DAY_MS = 86_400_000
# What a client may say of itself; entries, scans and claims are recorded by the server.
CLIENT_TOUCH_KINDS = frozenset({"card_click", "share_open", "scan", "ad_click"})


def people_operations(services: Services, desk: Desk, addresses: Addresses) -> list[Operation]:
    """Operations on links, touches, people and the board."""
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
        links = await attribution.links(call.who.merchant)
        return [
            {**view, "url": addresses.viewer_page(call.base_url, view["room"] or "", view["token"])}
            for view in (link.to_json() for link in links)
        ]

    async def create_touch(call: Call) -> Empty:
        body: TouchBody = call.body
        if body.kind not in CLIENT_TOUCH_KINDS:
            raise Problem(400, "invalid", "kind is one of " + ", ".join(sorted(CLIENT_TOUCH_KINDS)))
        room = desk.entered(call.who, body.room) if body.room else None
        await attribution.touch_token(
            call.who.merchant, body.token, call.who.person, body.kind, room=room.id if room else None, sku=body.sku
        )
        return Empty()

    return [
        Operation("POST", "/api/v1/links", "Make a share link", create_link, SIGNED_IN, LinkBody, LinkAnswer, 201),
        Operation("GET", "/api/v1/links", "The merchant's links", list_links, STAFF, answer=list[dict[str, Any]]),
        Operation("POST", "/api/v1/touches", "Record a touch", create_touch, SIGNED_IN, TouchBody, Empty, 202),
        *_reports(services),
    ]


def _reports(services: Services) -> list[Operation]:
    """The board, and who came."""
    attribution = services.attribution

    async def read_board(call: Call) -> Any:
        now_ms = services.clock()
        since_ms = query_ms(call, "since", now_ms - 30 * DAY_MS)
        until_ms = query_ms(call, "until", now_ms + 1)
        if since_ms >= until_ms:
            raise Problem(400, "invalid", "since lies before until")
        form = call.query.get("format", "json")
        if form not in ("json", "csv"):
            raise Problem(400, "invalid", "format is json or csv")
        board = await attribution.board(call.who.merchant, since_ms, until_ms)
        if form == "json":
            return board
        return csv_answer(board_csv(board), "board.csv")

    async def list_people(call: Call) -> Page:
        limit = page_limit(call)
        people = await services.people.people(call.who.merchant, after=call.query.get("after"), limit=limit)
        phones = await services.identities.masked_phones(call.who.merchant, [person.person for person in people])
        items = [{**person.to_json(), "phone": phones.get(person.person)} for person in people]
        return Page(items=items, next=people[-1].person if len(people) == limit else None)

    period = {
        "since": "Unix ms, 30 days ago when left out",
        "until": "Unix ms, now when left out",
        "format": "json (default) or csv",
    }
    paging = {"after": "cursor: the last person's id", "limit": "1 to 200"}
    return [
        Operation("GET", "/api/v1/board", "Who brought whom", read_board, STAFF, answer=dict[str, Any], query=period),
        Operation("GET", "/api/v1/people", "The merchant's people", list_people, STAFF, answer=Page, query=paging),
    ]
