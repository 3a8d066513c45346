"""Community groups: begun and looked after by staff, joined at /g/ID under rules that are accepted."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from commerce.communities import Standing
from commerce.domain.activity import PARTS, Score
from commerce.domain.community import STAGES
from gateway.addresses import Addresses
from gateway.api import ANYONE, PNG_TYPE, STAFF, SVG_TYPE, Call, Operation, page_limit
from gateway.auth import Claims
from gateway.errors import Problem
from gateway.guests import Guests
from gateway.parameters import CURSOR, choice, limit
from gateway.poster import code_png, code_svg
from gateway.routes_codes import picture_answer
from gateway.schemas import Empty, LinkAnswer
from gateway.schemas_base import EnterBody
from gateway.schemas_communities import (
    CommunitiesAnswer,
    CommunityBoard,
    CommunityBody,
    CommunityChangeBody,
    CommunityLinkBody,
    CommunityPage,
    CommunityView,
    FormulaPart,
    JoinBody,
    MemberBody,
    MemberView,
    MyCommunity,
    ScorePart,
    StageView,
)
from gateway.services import Services

OWNERS = frozenset({"merchant", "guide"})
VIEWERS = frozenset({"viewer", "guest"})
PAGE_MAX = 50
CODE_SCALE = 10
GROUPS = "/api/v1/communities"
ONE = GROUPS + "/{community}"
FORMULA = [FormulaPart(part.name, part.points, part.per_day, part.most) for part in PARTS]


def community_operations(services: Services, addresses: Addresses) -> list[Operation]:
    """Operations under /api/v1/communities."""
    return [*_keeping(services), *_members(services), *_sharing(services, addresses), *_joining(services)]


def _keeping(services: Services) -> list[Operation]:
    communities = services.communities

    def node_of(who: Claims, asked: str) -> str:
        """Whose a new group is: the account's own node, or one below it. Raises NotFound."""
        if not asked:
            return "" if who.scope is None else who.scope.node
        return services.org.require_node(who.scope, who.merchant, asked).id

    async def create_community(call: Call) -> CommunityView:
        body: CommunityBody = call.body
        who = call.who
        row = await communities.add(
            who.merchant, who.person, who.role, node_of(who, body.node), body.name, body.rules, _room(who, body.room)
        )
        return _view(row, "new", 0, 0, 0)

    async def change_community(call: Call) -> Empty:
        body: CommunityChangeBody = call.body
        who = call.who
        await communities.change(
            who.merchant,
            call.path["community"],
            who.person,
            who.reach,
            name=body.name,
            rules=body.rules,
            room=None if body.room is None else _room(who, body.room),
            closed=body.closed,
        )
        return Empty()

    async def list_communities(call: Call) -> CommunitiesAnswer:
        who, limit = call.who, page_limit(call, most=PAGE_MAX)
        found = await communities.page(who.merchant, who.person, who.reach, call.query.get("after"), limit)
        items = [_standing(one) for one in found]
        return CommunitiesAnswer(items, items[-1].community if len(items) == limit else None)

    paging = {"after": CURSOR, "limit": limit(PAGE_MAX)}
    return [
        Operation(
            "POST",
            GROUPS,
            "Begin a group",
            create_community,
            OWNERS,
            CommunityBody,
            CommunityView,
            201,
            within="people",
        ),
        Operation(
            "GET",
            GROUPS,
            "Groups and their stages",
            list_communities,
            STAFF,
            answer=CommunitiesAnswer,
            query=paging,
            within="node",
        ),
        Operation(
            "PATCH", ONE, "Change a group", change_community, OWNERS, CommunityChangeBody, Empty, within="people"
        ),
    ]


def _members(services: Services) -> list[Operation]:
    communities = services.communities

    async def read_community(call: Call) -> CommunityBoard:
        who = call.who
        board = await communities.board(who.merchant, call.path["community"], who.person, who.reach)
        return CommunityBoard(
            _standing(board.standing),
            board.why,
            board.visits,
            board.entries,
            board.orders,
            board.buyers,
            board.amount,
            [_member(row, score) for row, score in board.members],
            board.proposed,
            FORMULA,
            [StageView(stage.name, stage.when) for stage in STAGES],
        )

    async def set_member(call: Call) -> Empty:
        body: MemberBody = call.body
        who, path = call.who, call.path
        await communities.set_member(who.merchant, path["community"], who.person, who.reach, path["person"], body.role)
        return Empty()

    member = ONE + "/members/{person}"
    return [
        Operation("GET", ONE, "A group's board", read_community, OWNERS, answer=CommunityBoard, within="people"),
        Operation("PUT", member, "A member's role", set_member, OWNERS, MemberBody, Empty, within="people"),
    ]


def _sharing(services: Services, addresses: Addresses) -> list[Operation]:
    communities = services.communities

    async def join_address(call: Call) -> str:
        who = call.who
        token = await communities.joining(who.merchant, call.path["community"], who.person, who.reach)
        return addresses.group_page(call.base_url, call.path["community"], token)

    async def read_group_code(call: Call) -> Response:
        url = f"{await join_address(call)}&q=1"
        form = call.query.get("format", "svg")
        if form not in ("svg", "png"):
            raise Problem(400, "invalid", "format is svg or png")
        if form == "png":
            return picture_answer(code_png(url, CODE_SCALE), PNG_TYPE)
        return picture_answer(code_svg(url), SVG_TYPE)

    async def create_group_link(call: Call) -> LinkAnswer:
        body: CommunityLinkBody = call.body
        who, community = call.who, call.path["community"]
        if body.content is not None:
            await services.contents.known(who.merchant, body.content)
        room = None if body.room is None else _room(who, body.room)
        link = await communities.link(who.merchant, community, who.person, who.reach, who.role, room, body.content)
        if link.link.content:
            url = addresses.content_page(call.base_url, link.link.content, link.token)
        elif link.link.room:
            url = addresses.viewer_page(call.base_url, link.link.room, link.token)
        else:
            url = addresses.group_page(call.base_url, community, link.token)
        return LinkAnswer(token=link.token, url=url)

    forms = {"format": choice("svg (default) or png", "svg", "png")}
    return [
        Operation(
            "GET", f"{ONE}/code", "The code by which people join", read_group_code, OWNERS, query=forms, within="node"
        ),
        Operation(
            "POST",
            f"{ONE}/links",
            "A link to post in a group",
            create_group_link,
            OWNERS,
            CommunityLinkBody,
            LinkAnswer,
            201,
            within="node",
        ),
    ]


def _joining(services: Services) -> list[Operation]:
    communities = services.communities
    guests = Guests(services)

    async def open_community(call: Call) -> CommunityPage:
        body: EnterBody = call.body
        guests.admit(call)
        row = await communities.read(call.path["community"])
        guest = await guests.enter(row["merchant"], row["room"], body)
        await communities.opened(row, guest.person, body.scene, scanned=body.scanned)
        membership = await communities.membership(row["id"], guest.person)
        shop = await services.catalogue.merchant(row["merchant"])
        return CommunityPage(
            token=guest.token,
            person=guest.person,
            name=guest.name,
            expires=guest.expires,
            shop=shop.name,
            community=row["id"],
            title=row["name"],
            rules=row["rules"],
            rules_version=row["rules_version"],
            room=row["room"],
            member=membership is not None,
            accepted=0 if membership is None else membership["rules_version"],
        )

    async def join_community(call: Call) -> Empty:
        body: JoinBody = call.body
        who = call.who
        # Whoever came by a group's page may enter its room; a token of another room is no way in.
        _room(who, (await communities.read(call.path["community"]))["room"])
        await communities.join(who.merchant, call.path["community"], who.person, body.rules)
        return Empty()

    async def leave_community(call: Call) -> Empty:
        await communities.leave(call.path["community"], call.who.person)
        return Empty()

    async def list_my_communities(call: Call) -> list[MyCommunity]:
        rows = await communities.mine(call.who.merchant, call.who.person)
        return [
            MyCommunity(
                community=row["id"],
                joined=row["joined_ms"],
                **{name: row[name] for name in ("name", "room", "role", "rules_version", "accepted")},
            )
            for row in rows
        ]

    mine = "/api/v1/me/communities"
    return [
        Operation("POST", f"{ONE}/open", "Look at a group", open_community, ANYONE, EnterBody, CommunityPage),
        Operation("POST", f"{ONE}/join", "Join it, accepting its rules", join_community, VIEWERS, JoinBody, Empty),
        Operation("POST", f"{ONE}/leave", "Leave it", leave_community, VIEWERS, answer=Empty),
        Operation("GET", mine, "My groups", list_my_communities, VIEWERS, answer=list[MyCommunity]),
    ]


def _room(who: Claims, room: str) -> str:
    """A room (or none) that somebody may enter, to lead others there or to join its group. Raises ``Problem`` 404."""
    if room and not who.may_enter(room, who.merchant):
        raise Problem(404, "no_room", "there is no such room")
    return room


def _standing(one: Standing) -> CommunityView:
    return _view(one.row, one.stage, one.figures.members, one.figures.joined, one.figures.active)


def _view(row: dict[str, Any], stage: str, members: int, joined: int, active: int) -> CommunityView:
    return CommunityView(
        community=row["id"],
        created=row["created_ms"],
        stage=stage,
        members=members,
        joined=joined,
        active=active,
        **{name: row[name] for name in ("name", "node", "owner", "room", "rules", "rules_version")},
    )


def _member(row: dict[str, Any], score: Score) -> MemberView:
    parts = [ScorePart(part.name, part.n, part.points) for part in score.parts]
    return MemberView(
        row["person"], row["name"], row["role"], row["rules_version"], row["joined_ms"], score.total, parts
    )
