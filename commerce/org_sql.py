"""Statements on the organisation: each function runs inside the caller's transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BindParameter, Connection, TextClause, bindparam, text

from commerce.domain.ids import time_prefix
from commerce.domain.org import MEMBERS_MAX, NODES_MAX, RIGHTS
from commerce.errors import NotFound, Refused
from commerce.freight_sql import BACK, CARRIED, FREIGHT, FREIGHT_BACK, GOODS
from commerce.keepers_sql import Appointment, everybody

_VERSION = text("SELECT coalesce(sum(version), 0) FROM org_tree")
_NODES = text("SELECT id, merchant, parent, kind, name, closed_ms FROM org_node ORDER BY id")
_MEMBERS = text("SELECT staff, merchant, node, role, left_ms FROM org_member ORDER BY staff")
_ROOMS = text("SELECT room, node FROM org_room ORDER BY room")
_TURN = text(
    "INSERT INTO org_tree (merchant, version) VALUES (:merchant, 1)"
    " ON CONFLICT (merchant) DO UPDATE SET version = org_tree.version + 1"
)
_NODE = text("SELECT id, merchant, parent, kind, name, closed_ms FROM org_node WHERE id = :id AND merchant = :merchant")
_COUNT_NODES = text("SELECT count(*) FROM org_node WHERE merchant = :merchant")
_INSERT_NODE = text(
    "INSERT INTO org_node (id, merchant, parent, kind, name, created_ms)"
    " VALUES (:id, :merchant, :parent, :kind, :name, :now)"
)
_INSERT_ABOVE = text(
    "INSERT INTO org_above (node, above) SELECT n.id, a.above FROM org_node AS n JOIN org_above AS a"
    " ON a.node = n.parent WHERE n.id = :id UNION ALL SELECT id, id FROM org_node WHERE id = :id"
)
_UPDATE_NODE = text("UPDATE org_node SET name = :name, parent = :parent, closed_ms = :closed_ms WHERE id = :id")
_IN_USE = text(
    "SELECT EXISTS (SELECT 1 FROM org_node WHERE parent = :id AND closed_ms IS NULL)"
    " OR EXISTS (SELECT 1 FROM org_member WHERE node = :id AND left_ms IS NULL)"
    " OR EXISTS (SELECT 1 FROM org_room WHERE node = :id)"
    " OR EXISTS (SELECT 1 FROM outlet WHERE node = :id AND closed_ms IS NULL)"
)
_IS_ABOVE = text("SELECT 1 FROM org_above WHERE node = :node AND above = :above")
# A subtree leaves all that was above it and comes under all that is above its new parent.
_CUT = text(
    "DELETE FROM org_above WHERE node IN (SELECT node FROM org_above WHERE above = :id)"
    " AND above NOT IN (SELECT node FROM org_above WHERE above = :id)"
)
_GRAFT = text(
    "INSERT INTO org_above (node, above) SELECT below.node, up.above FROM org_above AS below, org_above AS up"
    " WHERE below.above = :id AND up.node = :parent"
)
_MEMBER = text(
    "SELECT staff, merchant, node, role, left_ms FROM org_member WHERE staff = :staff AND merchant = :merchant"
)
_COUNT_MEMBERS = text("SELECT count(*) FROM org_member WHERE merchant = :merchant")
_STAFF = text("SELECT name FROM staff WHERE id = :staff AND merchant = :merchant")
_SIT = text(
    "INSERT INTO org_member (staff, merchant, node, role, joined_ms) VALUES (:staff, :merchant, :node, :role, :now)"
    " ON CONFLICT (staff) DO UPDATE SET node = excluded.node, role = excluded.role"
)
_DOOR = text("UPDATE staff SET role = :door, room = NULL WHERE id = :staff")
_LEAVE = text("UPDATE org_member SET left_ms = :now WHERE staff = :staff AND left_ms IS NULL")
_ROOM = text("SELECT 1 FROM room WHERE id = :room AND merchant = :merchant")
_PLACE = text(
    "INSERT INTO org_room (room, merchant, node) VALUES (:room, :merchant, :node)"
    " ON CONFLICT (room) DO UPDATE SET node = excluded.node"
)
_UNPLACE = text("DELETE FROM org_room WHERE room = :room")
_ACCOUNTS = (
    "SELECT m.staff, s.name, s.login, m.node, m.role, m.joined_ms, m.left_ms FROM org_member AS m"
    " JOIN staff AS s ON s.id = m.staff WHERE m.merchant = :merchant"
)
_ACCOUNT = text(f"{_ACCOUNTS} AND m.staff = :staff")
_SEATS = text(
    f"{_ACCOUNTS} AND m.staff > :after"
    " AND (:node = '' OR m.node IN (SELECT node FROM org_above WHERE above = :node)) ORDER BY m.staff LIMIT :limit"
)

_PAID = "o.status NOT IN ('pending', 'cancelled')"
_COUNTS = (
    f"count(*) AS orders, coalesce(sum(CASE WHEN {_PAID} THEN 1 ELSE 0 END), 0) AS paid,"
    f" coalesce(sum(CASE WHEN {_PAID} THEN {GOODS} ELSE 0 END), 0) AS gmv,"
    f" coalesce(sum(CASE WHEN o.refunded > 0 THEN 1 ELSE 0 END), 0) AS refunds, coalesce(sum({BACK}), 0) AS refunded,"
    f" coalesce(sum(CASE WHEN {_PAID} THEN {FREIGHT} ELSE 0 END), 0) AS freight,"
    f" coalesce(sum({FREIGHT_BACK}), 0) AS freight_refunded,"
    f" count(DISTINCT CASE WHEN {_PAID} THEN o.person END) AS buyers"
)
# Stored value is no merchandise: it counts when it is spent, as on the board.
_PERIOD = "o.merchant = :merchant AND o.id >= :lowest AND o.id < :highest AND o.kind = 'goods'"
# Tills by their own clocks, as on the board.
_TILL_COUNTS = (
    "count(*) AS receipts, coalesce(sum(s.amount), 0) AS tills, coalesce(sum(s.refunded), 0) AS tills_refunded"
)
_SOLD = "s.merchant = :merchant AND s.sold_ms >= :since AND s.sold_ms < :until"
_SIDES = ((_COUNTS, f"orders AS o {CARRIED}", "o", _PERIOD), (_TILL_COUNTS, "pos_receipt AS s", "s", _SOLD))
"""Orders, and receipts of tills: each counts for the node that it had when it was made."""
_NODES_ASKED: BindParameter[Any] = bindparam("nodes", expanding=True)
# ruff: noqa: S608 - constants
_WHOLE = [text(f"SELECT {counts} FROM {source} WHERE {period}") for counts, source, _, period in _SIDES]
_OWN = [
    text(f"SELECT {counts} FROM {source} WHERE {period} AND {one}.node IN :nodes").bindparams(_NODES_ASKED)
    for counts, source, one, period in _SIDES
]
_ROLLED = [
    text(
        f"SELECT a.above AS node, {counts} FROM {source} JOIN org_above AS a ON a.node = {one}.node"
        f" WHERE {period} AND a.above IN :nodes GROUP BY a.above"
    ).bindparams(_NODES_ASKED)
    for counts, source, one, period in _SIDES
]
_CUSTOMERS = text(
    "SELECT a.above AS node, count(*) AS customers FROM binding AS b JOIN org_member AS m ON m.staff = b.issuer"
    " JOIN org_above AS a ON a.node = m.node WHERE b.merchant = :merchant AND b.role = 'guide'"
    " AND b.closed_ms IS NULL AND a.above IN :nodes AND NOT EXISTS (SELECT 1 FROM person_alias AS y"
    " WHERE y.alias = b.person AND y.person <> b.person) GROUP BY a.above"
).bindparams(bindparam("nodes", expanding=True))
"""Whoever was merged away counts as the one they are."""


@dataclass(frozen=True, slots=True)
class Node:
    """One node of a merchant's tree."""

    id: str
    merchant: str
    parent: str | None
    kind: str
    name: str
    closed_ms: int | None


@dataclass(frozen=True, slots=True)
class Seat:
    """Where an account sits; ``left_ms`` is set when it has left."""

    staff: str
    merchant: str
    node: str
    role: str
    left_ms: int | None


@dataclass(frozen=True, slots=True)
class OrgFigures:
    """Sums of a period, money in 分: ``buyers`` paid in it, ``customers`` are guides' at the time of reading.

    ``gmv`` and ``refunded`` are of goods sold online, ``freight`` what was paid beside them; ``tills`` and
    ``tills_refunded`` what tills took on ``receipts``. Each is the board's figure of the same name.
    """

    orders: int = 0
    paid: int = 0
    gmv: int = 0
    refunds: int = 0
    refunded: int = 0
    freight: int = 0
    freight_refunded: int = 0
    buyers: int = 0
    receipts: int = 0
    tills: int = 0
    tills_refunded: int = 0
    customers: int = 0


def version(db: Connection) -> int:
    """A number that grows with every change of any tree."""
    return int(db.execute(_VERSION).scalar_one())


def everything(db: Connection) -> tuple[int, list[Node], list[Seat], dict[str, str], list[Appointment]]:
    """The version with all nodes, seats, rooms by their id and appointments, for the memory of who checks."""
    known = version(db)
    nodes = [Node(*row) for row in db.execute(_NODES)]
    return (
        known,
        nodes,
        [Seat(*row) for row in db.execute(_MEMBERS)],
        {row.room: row.node for row in db.execute(_ROOMS)},
        everybody(db),
    )


def take_turn(db: Connection, merchant: str) -> None:
    """Wait for other changes of this tree, and say that there is one: the first statement of each."""
    db.execute(_TURN, {"merchant": merchant})


def node(db: Connection, merchant: str, wanted: str) -> Node:
    """Read a node. Raises NotFound, also for another merchant's."""
    row = db.execute(_NODE, {"id": wanted, "merchant": merchant}).one_or_none()
    if row is None:
        raise NotFound("no such node")
    return Node(*row)


def open_node(db: Connection, merchant: str, wanted: str) -> Node:
    """Read a node that is not closed. Raises NotFound, Refused (closed)."""
    found = node(db, merchant, wanted)
    if found.closed_ms is not None:
        raise Refused("closed", "this node of the organisation is closed")
    return found


def insert_node(db: Connection, made: Node, now_ms: int) -> None:
    """Write a node with its place in the closure. Raises Refused (limit)."""
    if db.execute(_COUNT_NODES, {"merchant": made.merchant}).scalar_one() >= NODES_MAX:
        raise Refused("limit", f"an organisation has at most {NODES_MAX} nodes")
    row = {"id": made.id, "merchant": made.merchant, "parent": made.parent, "kind": made.kind, "name": made.name}
    db.execute(_INSERT_NODE, row | {"now": now_ms})
    db.execute(_INSERT_ABOVE, {"id": made.id})


def update_node(db: Connection, changed: Node) -> None:
    """Write a node's name, parent and end. Raises Refused (in_use) when one that is in use is closed."""
    if changed.closed_ms is not None and db.execute(_IN_USE, {"id": changed.id}).scalar_one():
        raise Refused("in_use", "close what stands under it, and move its accounts and rooms first")
    row = {"id": changed.id, "name": changed.name, "parent": changed.parent, "closed_ms": changed.closed_ms}
    db.execute(_UPDATE_NODE, row)


def graft(db: Connection, moved: str, parent: str) -> None:
    """Put a subtree under another parent. Raises Refused (already) when that lies in the subtree itself."""
    if db.execute(_IS_ABOVE, {"node": parent, "above": moved}).first() is not None:
        raise Refused("already", "a node does not stand under itself")
    db.execute(_CUT, {"id": moved})
    db.execute(_GRAFT, {"id": moved, "parent": parent})


def seat(db: Connection, merchant: str, staff: str) -> Seat:
    """Read an account's seat. Raises NotFound."""
    row = db.execute(_MEMBER, {"staff": staff, "merchant": merchant}).one_or_none()
    if row is None:
        raise NotFound("this account has no seat")
    return Seat(*row)


def staff_name(db: Connection, merchant: str, staff: str) -> str:
    """What a member of staff is called. Raises NotFound."""
    name = db.execute(_STAFF, {"staff": staff, "merchant": merchant}).scalar_one_or_none()
    if name is None:
        raise NotFound("no such account")
    return str(name)


def sit(db: Connection, merchant: str, staff: str, at: str, role: str, now_ms: int) -> None:
    """Give an account its seat, or another. Raises Refused (limit)."""
    if db.execute(_COUNT_MEMBERS, {"merchant": merchant}).scalar_one() >= MEMBERS_MAX:
        raise Refused("limit", f"an organisation has at most {MEMBERS_MAX} accounts")
    row = {"staff": staff, "merchant": merchant, "node": at, "role": role, "now": now_ms}
    db.execute(_SIT, row)
    db.execute(_DOOR, {"staff": staff, "door": RIGHTS[role].door})


def leave(db: Connection, staff: str, now_ms: int) -> None:
    """End an account. Raises Refused (already)."""
    if not db.execute(_LEAVE, {"staff": staff, "now": now_ms}).rowcount:
        raise Refused("already", "this account has left")


def place_room(db: Connection, merchant: str, room: str, at: str | None) -> None:
    """Give a room to a node, or (None) back to the merchant. Raises NotFound."""
    if db.execute(_ROOM, {"room": room, "merchant": merchant}).first() is None:
        raise NotFound("no such room")
    if at is None:
        db.execute(_UNPLACE, {"room": room})
    else:
        db.execute(_PLACE, {"room": room, "merchant": merchant, "node": at})


def seats(db: Connection, merchant: str, above: str, after: str, limit: int) -> list[dict[str, Any]]:
    """List accounts with a seat in the subtree of ``above`` (empty: in all), by id after ``after``."""
    asked = {"merchant": merchant, "node": above, "after": after, "limit": limit}
    return [dict(row) for row in db.execute(_SEATS, asked).mappings()]


def account(db: Connection, merchant: str, staff: str) -> dict[str, Any]:
    """One account of that list. Raises NotFound."""
    row = db.execute(_ACCOUNT, {"merchant": merchant, "staff": staff}).mappings().one_or_none()
    if row is None:
        raise NotFound("this account has no seat")
    return dict(row)


def figures(
    db: Connection, merchant: str, root: bool, at: str, children: Sequence[str], since_ms: int, until_ms: int
) -> tuple[OrgFigures, OrgFigures, dict[str, OrgFigures]]:
    """A node's sums with all below it, its own alone, and those of its children with all below them.

    What counts for no node is the merchant's own: it is in the sums of the ``root``.
    """
    asked: dict[str, Any] = {"merchant": merchant, "since": since_ms, "until": until_ms}
    asked |= {"lowest": time_prefix(since_ms), "highest": time_prefix(until_ms)}
    nodes = [at, *children]
    rolled: dict[str, dict[str, Any]] = {}
    for query in _ROLLED:
        for row in db.execute(query, {**asked, "nodes": nodes}).mappings():
            rolled.setdefault(row["node"], {}).update(row)
    bound = {row.node: row.customers for row in db.execute(_CUSTOMERS, {"merchant": merchant, "nodes": nodes})}
    if root:
        rolled[at] = _together(db, _WHOLE, asked)
    own = _together(db, _OWN, {**asked, "nodes": [at, ""] if root else [at]})
    direct = bound.get(at, 0) - sum(bound.get(child, 0) for child in children)
    return (
        _figures(rolled.get(at, {}), bound.get(at, 0)),
        _figures(own, direct),
        {child: _figures(rolled.get(child, {}), bound.get(child, 0)) for child in children},
    )


def _together(db: Connection, queries: Sequence[TextClause], asked: Mapping[str, Any]) -> dict[str, Any]:
    return {name: n for query in queries for name, n in db.execute(query, dict(asked)).mappings().one().items()}


def _figures(row: Mapping[str, Any], customers: int) -> OrgFigures:
    return OrgFigures(**{name: int(count) for name, count in row.items() if name != "node"}, customers=customers)
