"""The organisation: its tree, accounts with their seats, whose the rooms are, and sums that roll up."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import Any

from commerce.org_sql import Node, OrgFigures
from gateway.api import STAFF, Call, Operation, page_limit, query_ms
from gateway.encode import plain
from gateway.errors import Problem
from gateway.parameters import PAGING, millis
from gateway.schemas import Empty, Page
from gateway.schemas_org import (
    ChildSums,
    JoinBody,
    LeaveBody,
    LeftAnswer,
    NodeBody,
    NodeChange,
    NodeView,
    OrgAnswer,
    OrgFiguresAnswer,
    OwnSeat,
    RoomNodeBody,
    SeatBody,
    SeatView,
    SumsView,
)
from gateway.services import Services

MERCHANT = frozenset({"merchant"})
DAY_MS = 86_400_000


def org_operations(services: Services) -> list[Operation]:
    """Operations under /api/v1/org: each keeps to the subtree of who asks."""
    return [*_tree(services), *_figures(services), *_seats(services)]


def _sums(found: OrgFigures) -> SumsView:
    return SumsView(**asdict(found))


def _tree(services: Services) -> list[Operation]:
    org = services.org

    def view(node: Node) -> NodeView:
        closed = node.closed_ms is not None
        return NodeView(node.id, node.parent, node.kind, node.name, closed, org.rooms_of(node.id))

    async def read_org(call: Call) -> OrgAnswer:
        who = call.who
        seat = OwnSeat("", who.role) if who.scope is None else OwnSeat(who.scope.node, who.scope.role)
        nodes = [] if who.scope is None and who.reach is not None else org.tree(who.scope, who.merchant)
        views = [view(node) for node in nodes]
        if views:
            # What is above one's own node is not for them to know.
            views[0].parent = None
        return OrgAnswer(seat, views)

    async def create_node(call: Call) -> NodeView:
        body: NodeBody = call.body
        who = call.who
        return view(await org.create_node(who.scope, who.merchant, body.kind, body.name, body.parent))

    async def change_node(call: Call) -> NodeView:
        body: NodeChange = call.body
        who = call.who
        changed = await org.change_node(
            who.scope, who.merchant, call.path["node"], name=body.name, parent=body.parent, closed=body.closed
        )
        return view(changed)

    async def place_room(call: Call) -> Empty:
        await org.place_room(call.who.scope, call.who.merchant, call.path["room"], call.body.node)
        return Empty()

    nodes, one, room = "/api/v1/org/nodes", "/api/v1/org/nodes/{node}", "/api/v1/org/rooms/{room}"
    own = partial(Operation, within="node")
    return [
        own("GET", "/api/v1/org", "The tree", read_org, STAFF, answer=OrgAnswer),
        own("POST", nodes, "Make a node", create_node, MERCHANT, NodeBody, NodeView, 201),
        own("PATCH", one, "Rename, move or close a node", change_node, MERCHANT, NodeChange, NodeView),
        own("PUT", room, "Give a room to a node", place_room, MERCHANT, RoomNodeBody, Empty),
    ]


def _figures(services: Services) -> list[Operation]:
    org = services.org

    async def read_org_figures(call: Call) -> OrgFiguresAnswer:
        who, now_ms = call.who, services.clock()
        since_ms, until_ms = query_ms(call, "since", now_ms - 30 * DAY_MS), query_ms(call, "until", now_ms + 1)
        if who.scope is None and who.reach is not None:
            raise Problem(404, "not_found", "this account has no seat in the organisation")
        found = await org.figures(who.scope, who.merchant, call.query.get("node"), since_ms, until_ms)
        node = found.node
        own_top = who.scope is not None and who.scope.node == node.id
        return OrgFiguresAnswer(
            node=node.id,
            kind=node.kind,
            name=node.name,
            parent=None if own_top else node.parent,
            since=since_ms,
            until=until_ms,
            total=_sums(found.total),
            own=_sums(found.own),
            children=[
                ChildSums(child.id, child.kind, child.name, child.closed_ms is not None, _sums(sums))
                for child, sums in found.children
            ],
        )

    period = {
        "node": "whose; the top of what the account reaches when left out",
        "since": millis("Unix ms, 30 days ago when left out"),
        "until": millis("Unix ms, now when left out"),
    }
    return [
        Operation(
            "GET",
            "/api/v1/org/figures",
            "Sums of a node and of its children",
            read_org_figures,
            STAFF,
            answer=OrgFiguresAnswer,
            query=period,
            within="node",
        ),
    ]


def _seats(services: Services) -> list[Operation]:
    org = services.org

    async def view(call: Call, staff: str) -> SeatView:
        return _seat(await org.account(call.who.merchant, staff))

    async def list_seats(call: Call) -> Page:
        limit, who = page_limit(call), call.who
        rows = await org.seats(who.scope, who.merchant, call.query.get("node"), call.query.get("after", ""), limit)
        items = [plain(_seat(row)) for row in rows]
        return Page(items=items, next=rows[-1]["staff"] if len(rows) == limit else None)

    async def join_org(call: Call) -> SeatView:
        body: JoinBody = call.body
        who = call.who
        seat = await org.join(who.scope, who.merchant, body.node, body.role, body.login, body.password, body.name)
        return await view(call, seat.staff)

    async def change_seat(call: Call) -> SeatView:
        body: SeatBody = call.body
        who = call.who
        not_oneself(call)
        seat = await org.move(who.scope, who.merchant, call.path["staff"], body.node, body.role)
        return await view(call, seat.staff)

    async def leave_org(call: Call) -> LeftAnswer:
        body: LeaveBody = call.body
        who = call.who
        not_oneself(call)
        return LeftAnswer(await org.leave(who.scope, who.merchant, call.path["staff"], body.heir, body.reason))

    path, one = "/api/v1/org/members", "/api/v1/org/members/{staff}"
    paging = {"node": "only of this subtree", **PAGING}
    own = partial(Operation, within="node")
    return [
        own("GET", path, "Accounts and their seats", list_seats, MERCHANT, answer=Page, query=paging),
        own("POST", path, "Make an account with a seat", join_org, MERCHANT, JoinBody, SeatView, 201),
        own("PUT", one, "Give an account another seat", change_seat, MERCHANT, SeatBody, SeatView),
        own("POST", f"{one}/leave", "End an account", leave_org, MERCHANT, LeaveBody, LeftAnswer),
    ]


def not_oneself(call: Call) -> None:
    """Nobody locks themselves out. Raises ``Problem`` 403."""
    if call.path["staff"] == call.who.person:
        raise Problem(403, "forbidden", "one's own seat is changed by somebody else")


def _seat(row: dict[str, Any]) -> SeatView:
    return SeatView(row["staff"], row["name"], row["login"], row["node"], row["role"], row["joined_ms"], row["left_ms"])
