# ruff: noqa: S608 (statements are put together from constants)
"""Complaints, reports and praise: each counts for a node of the organisation, and is read from there upwards.

The node is that of the order it is about, else of the room, else of the guide whose customer complains; it stays, as an
order's does. A part of the organisation reads what counts for it or was said of its rooms.
"""

from typing import Any

from sqlalchemy import Connection, text

from commerce.domain.ids import AFTER_ALL
from commerce.domain.org import Reach
from commerce.errors import NotFound, Refused
from commerce.reach_sql import ROOMS_REACHED, reach_values

_NODE = text(
    "SELECT coalesce((SELECT nullif(node, '') FROM orders WHERE id = :order), (SELECT r.node FROM org_room AS r"
    " WHERE r.room = coalesce(:room, (SELECT room FROM orders WHERE id = :order))), (SELECT m.node FROM binding AS b"
    " JOIN org_member AS m ON m.staff = b.issuer WHERE b.merchant = :merchant AND b.person = :person"
    " AND b.role = 'guide' AND b.closed_ms IS NULL AND m.left_ms IS NULL), '')"
)
_COMPLAIN = text(
    "INSERT INTO complaint (id, merchant, person, room, order_id, node, kind, text, contact, state, created_ms, due_ms)"
    " VALUES (:id, :merchant, :person, :room, :order, :node, :kind, :text, :contact, 'open', :now, :due)"
)
# Praise waits for nobody: it does not keep somebody from complaining.
_OPEN = text(
    "SELECT count(*) FROM complaint WHERE merchant = :merchant AND person = :person AND state = 'open'"
    " AND (kind = 'praise') = (:kind = 'praise')"
)
_REACHED = (
    " AND (c.node IN (SELECT node FROM org_above WHERE above = :reach_node) OR c.room = :reach_room"
    f" OR c.room IN ({ROOMS_REACHED}))"
)
_LATE = "c.state = 'open' AND c.kind <> 'praise' AND c.due_ms < :now"
_FOUND = (
    "SELECT c.id, c.person, c.room, c.order_id, c.node, n.name AS node_name, c.kind, c.text, c.contact, c.state,"
    f" c.answer, c.staff, c.created_ms, c.due_ms, c.answered_ms, CASE WHEN {_LATE} THEN 1 ELSE 0 END AS overdue"
    " FROM complaint AS c LEFT JOIN org_node AS n ON n.id = c.node WHERE c.merchant = :merchant"
    " AND (:id = '' OR c.id = :id) AND (:person = '' OR c.person = :person) AND (:kind = '' OR c.kind = :kind)"
    " AND c.id < :before"
)
_STATES = {
    "": "",
    "open": " AND c.state = 'open' AND c.kind <> 'praise'",
    "answered": " AND c.state = 'answered'",
    "overdue": f" AND {_LATE}",
}
STATES = tuple(one for one in _STATES if one)
_SUMS = (
    "SELECT c.node, n.name, count(*) AS told, sum(CASE WHEN c.kind = 'praise' THEN 1 ELSE 0 END) AS praise,"
    " sum(CASE WHEN c.kind <> 'praise' AND c.state = 'open' THEN 1 ELSE 0 END) AS open,"
    f" sum(CASE WHEN {_LATE} THEN 1 ELSE 0 END) AS overdue,"
    " sum(CASE WHEN c.state = 'answered' AND c.answered_ms > c.due_ms THEN 1 ELSE 0 END) AS late,"
    " sum(CASE WHEN c.state = 'answered' THEN 1 ELSE 0 END) AS answered,"
    " CAST(coalesce(sum(CASE WHEN c.state = 'answered' THEN c.answered_ms - c.created_ms END), 0) AS bigint)"
    " AS waited_ms"
    " FROM complaint AS c LEFT JOIN org_node AS n ON n.id = c.node WHERE c.merchant = :merchant"
    " AND c.created_ms >= :since AND c.created_ms < :until"
)
_BY_NODE = " GROUP BY c.node, n.name ORDER BY overdue DESC, told DESC, c.node LIMIT :limit"
_ANSWER = (
    "UPDATE complaint AS c SET state = 'answered', answer = :answer, staff = :staff, answered_ms = :now"
    " WHERE c.id = :id AND c.merchant = :merchant AND c.state = 'open'"
)
SUMS_MAX = 500


def complain(db: Connection, most: int, **row: Any) -> None:
    """Write a complaint with whom it counts for. Raises Refused (limit) when so many of this person are open."""
    if int(db.execute(_OPEN, row).scalar_one()) >= most:
        raise Refused("limit", f"{most} of your complaints wait for an answer")
    node = db.execute(_NODE, row).scalar_one()
    db.execute(_COMPLAIN, {**row, "node": node})


def complaints(db: Connection, reach: Reach | None, state: str, **asked: Any) -> list[dict[str, Any]]:
    """Complaints of a state, newest first; of a part when there is a ``reach``, one alone by its ``id``."""
    narrowed, more = _within(reach)
    query = text(f"{_FOUND}{_STATES[state]}{narrowed} ORDER BY c.id DESC LIMIT :limit")
    asked["before"] = asked["before"] or AFTER_ALL
    found = db.execute(query, {**asked, **more}).mappings()
    return [{**row, "overdue": bool(row["overdue"])} for row in found]


def sums(db: Connection, reach: Reach | None, **asked: Any) -> list[dict[str, Any]]:
    """How many were told, wait and are overdue, by node; of a part when there is a ``reach``."""
    narrowed, more = _within(reach)
    query = text(f"{_SUMS}{narrowed}{_BY_NODE}")
    return [dict(row) for row in db.execute(query, {**asked, **more, "limit": SUMS_MAX}).mappings()]


def answer(db: Connection, reach: Reach | None, **row: Any) -> None:
    """Answer a complaint. Raises NotFound when it is not there, or answered, or lies outside of a reach."""
    narrowed, more = _within(reach)
    if not db.execute(text(_ANSWER + narrowed), {**row, **more}).rowcount:
        raise NotFound("no such open complaint")


def _within(reach: Reach | None) -> tuple[str, dict[str, str]]:
    return ("", {}) if reach is None else (_REACHED, reach_values(reach))
