# ruff: noqa: S608 (statements are put together from this module's constants alone)
"""Statements of community groups: each runs inside the caller's transaction."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, text

from commerce.attribution.board_sql import PAID
from commerce.domain.ids import time_prefix
from commerce.domain.org import Reach
from commerce.errors import NotFound, Refused
from commerce.freight_sql import BACK, CARRIED, GOODS
from commerce.identity.merge_sql import survivor

COMMUNITIES_MAX = 5_000
"""Groups of one merchant."""
MEMBERS_MAX = 2_000
"""Members of one group: four times what a group of WeChat's holds."""
JOINED_MAX = 50
"""Groups of one person."""

Row = dict[str, Any]

_COLUMNS = (
    "c.id, c.merchant, c.node, c.owner, c.name, c.rules, c.rules_version, c.room, c.link, c.created_ms, c.closed_ms"
)
_WITHIN = "(c.owner = :who OR c.node IN (SELECT node FROM org_above WHERE above = :reach_node))"
# Of two persons who were merged and had both joined, the row of the one merged away waits for an unmerge.
_THERE = (
    "m.left_ms IS NULL"
    " AND NOT EXISTS (SELECT 1 FROM person_alias AS a WHERE a.alias = m.person AND a.person <> m.person)"
)
_COUNTS = (
    f"(SELECT count(*) FROM community_member AS m WHERE m.community = c.id AND {_THERE}) AS members,"
    f" (SELECT count(*) FROM community_member AS m WHERE m.community = c.id AND {_THERE}"
    " AND m.joined_ms >= :since) AS joined"
)
_ONE = text(f"SELECT {_COLUMNS} FROM community AS c WHERE c.id = :id")
_PAGE = (
    f"SELECT {_COLUMNS}, {_COUNTS} FROM community AS c WHERE c.merchant = :merchant AND c.id < :before"
    " AND c.closed_ms IS NULL"
)
_ORDER = " ORDER BY c.id DESC LIMIT :limit"
_ALL, _REACHED = text(_PAGE + _ORDER), text(f"{_PAGE} AND {_WITHIN}{_ORDER}")
_IS_WITHIN = text(f"SELECT 1 FROM community AS c WHERE c.id = :id AND {_WITHIN}")
_COUNT = text("SELECT count(*) FROM community WHERE merchant = :merchant AND closed_ms IS NULL")
_INSERT = text(
    "INSERT INTO community (id, merchant, node, owner, name, rules, rules_version, room, link, created_ms)"
    " VALUES (:id, :merchant, :node, :owner, :name, :rules, 1, :room, :link, :now)"
)
_UPDATE = text(
    "UPDATE community SET name = :name, rules = :rules, rules_version = :rules_version, room = :room,"
    " closed_ms = :closed WHERE id = :id"
)
_OWN_ROOM = text("SELECT 1 FROM room WHERE id = :id AND merchant = :merchant")
_HELD = text("SELECT count(*) FROM community_member WHERE community = :id AND left_ms IS NULL")
_OF_PERSON = text("SELECT count(*) FROM community_member WHERE person = :person AND left_ms IS NULL")
_JOIN = text(
    "INSERT INTO community_member (community, person, role, rules_version, joined_ms, left_ms)"
    " VALUES (:id, :person, 'member', :version, :now, NULL) ON CONFLICT (community, person) DO UPDATE SET"
    " rules_version = excluded.rules_version,"
    " joined_ms = CASE WHEN community_member.left_ms IS NULL THEN community_member.joined_ms"
    " ELSE excluded.joined_ms END,"
    " role = CASE WHEN community_member.left_ms IS NULL THEN community_member.role ELSE 'member' END, left_ms = NULL"
)
_LEAVE = text(
    "UPDATE community_member SET left_ms = :now, role = 'member'"
    " WHERE community = :id AND person = :person AND left_ms IS NULL"
)
_ROLE = text("UPDATE community_member SET role = :role WHERE community = :id AND person = :person AND left_ms IS NULL")
_MEMBER = text(
    "SELECT role, rules_version, joined_ms FROM community_member"
    " WHERE community = :id AND person = :person AND left_ms IS NULL"
)
_MEMBERS = text(
    "SELECT m.community, m.person, p.name, m.role, m.rules_version, m.joined_ms FROM community_member AS m"
    f" JOIN person AS p ON p.id = m.person WHERE m.community IN :ids AND {_THERE}"
    " ORDER BY m.community, m.joined_ms, m.person"
).bindparams(bindparam("ids", expanding=True))
_MINE = text(
    "SELECT c.id, c.name, c.rules, c.rules_version, c.room, m.role, m.rules_version AS accepted, m.joined_ms"
    " FROM community_member AS m JOIN community AS c ON c.id = m.community WHERE m.person = :person"
    " AND c.merchant = :merchant AND m.left_ms IS NULL AND c.closed_ms IS NULL ORDER BY m.joined_ms DESC"
)
_SALES = text(
    f"SELECT count(*) AS orders, coalesce(sum({GOODS} - {BACK}), 0) AS amount,"
    f" count(DISTINCT o.person) AS buyers FROM orders AS o {CARRIED} JOIN order_credit AS k ON k.order_id = o.id"
    f" AND k.model = 'default' WHERE o.id >= :lowest AND o.merchant = :merchant AND o.kind = 'goods' AND {PAID}"
    " AND k.channel = :channel"
)


def one(db: Connection, community: str) -> Row:
    """A group that is open, whoever's. Raises NotFound."""
    found = db.execute(_ONE, {"id": community}).mappings().one_or_none()
    if found is None or found["closed_ms"] is not None:
        raise NotFound("no such group, or it has ended")
    return dict(found)


def within(db: Connection, merchant: str, community: str, who: str, reach: Reach | None) -> Row:
    """A group as its people see it: within their part, or their own. Raises NotFound."""
    found = one(db, community)
    if found["merchant"] != merchant:
        raise NotFound("no such group")
    if reach is not None:
        asked = {"id": community, "who": who, "reach_node": reach.node}
        if db.execute(_IS_WITHIN, asked).one_or_none() is None:
            raise NotFound("no such group")
    return found


def page(
    db: Connection, merchant: str, who: str, reach: Reach | None, before: str, limit: int, since_ms: int
) -> list[Row]:
    """Open groups with how many are in them and joined since, newest first."""
    asked: Row = {"merchant": merchant, "before": before, "limit": limit, "since": since_ms}
    if reach is None:
        return [dict(row) for row in db.execute(_ALL, asked).mappings()]
    return [dict(row) for row in db.execute(_REACHED, asked | {"who": who, "reach_node": reach.node}).mappings()]


def add(db: Connection, row: Row) -> None:
    """Write a new group. Raises Refused (limit), NotFound (room)."""
    if db.execute(_COUNT, {"merchant": row["merchant"]}).scalar_one() >= COMMUNITIES_MAX:
        raise Refused("limit", f"a shop has at most {COMMUNITIES_MAX} groups")
    _require_room(db, row)
    db.execute(_INSERT, row)


def change(db: Connection, row: Row) -> None:
    """Write a group as it is from now on. Raises NotFound (room)."""
    _require_room(db, row)
    db.execute(_UPDATE, {**row, "closed": row["closed_ms"]})


def join(db: Connection, community: Row, person: str, version: int, now_ms: int) -> None:
    """Make somebody a member; who is one accepts the new rules. Raises Refused (already: other rules by now; limit)."""
    if version != community["rules_version"]:
        raise Refused("already", "the rules have changed: read them again", version=community["rules_version"])
    who = survivor(db, person)
    if member(db, community["id"], who) is None:
        if db.execute(_HELD, {"id": community["id"]}).scalar_one() >= MEMBERS_MAX:
            raise Refused("limit", f"this group is full with {MEMBERS_MAX} members")
        if db.execute(_OF_PERSON, {"person": who}).scalar_one() >= JOINED_MAX:
            raise Refused("limit", f"nobody is in more than {JOINED_MAX} groups")
    db.execute(_JOIN, {"id": community["id"], "person": who, "version": version, "now": now_ms})


def leave(db: Connection, community: str, person: str, now_ms: int) -> None:
    """End a membership. Raises NotFound."""
    if not db.execute(_LEAVE, {"id": community, "person": survivor(db, person), "now": now_ms}).rowcount:
        raise NotFound("no such member")


def set_role(db: Connection, community: str, person: str, role: str) -> None:
    """Make a member a leader, or the other way round. Raises NotFound."""
    if not db.execute(_ROLE, {"id": community, "person": survivor(db, person), "role": role}).rowcount:
        raise NotFound("no such member")


def member(db: Connection, community: str, person: str) -> Row | None:
    """A membership that holds."""
    found = db.execute(_MEMBER, {"id": community, "person": person}).mappings().one_or_none()
    return None if found is None else dict(found)


def members(db: Connection, communities: Sequence[str]) -> list[Row]:
    """Who is in some groups, the longest first."""
    return [dict(row) for row in db.execute(_MEMBERS, {"ids": list(communities)}).mappings()] if communities else []


def mine(db: Connection, merchant: str, person: str) -> list[Row]:
    """The groups that somebody is in."""
    return [dict(row) for row in db.execute(_MINE, {"merchant": merchant, "person": person}).mappings()]


def sales(db: Connection, merchant: str, channel: str, since_ms: int) -> Row:
    """What a channel's links sold since: paid orders, 分 less refunds, buyers."""
    asked = {"merchant": merchant, "channel": channel, "lowest": time_prefix(since_ms)}
    row = dict(db.execute(_SALES, asked).mappings().one())
    return row | {"amount": int(row["amount"])}


def _require_room(db: Connection, row: Row) -> None:
    asked = {"id": row["room"], "merchant": row["merchant"]}
    if row["room"] and db.execute(_OWN_ROOM, asked).one_or_none() is None:
        raise NotFound("no such room")
