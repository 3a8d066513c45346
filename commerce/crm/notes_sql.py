"""Statements of field-visit notes: each runs inside the caller's transaction."""

from typing import Any

from sqlalchemy import Connection, text

from commerce.domain.org import Reach
from commerce.errors import NotFound, Refused
from commerce.identity.merge_sql import survivor
from commerce.reach_sql import reaches_person

NOTES_MAX = 500
"""About one person."""

_KNOWN = text("SELECT 1 FROM person WHERE id = :id AND merchant = :merchant")
_COUNT = text("SELECT count(*) FROM visit_note WHERE person = :person")
_INSERT = text(
    "INSERT INTO visit_note (id, merchant, person, staff, place, body, visited_ms, created_ms)"
    " VALUES (:id, :merchant, :person, :staff, :place, :body, :visited, :now)"
)
_OF = text(
    "SELECT n.id, n.staff, s.name, n.place, n.body, n.visited_ms, n.created_ms FROM visit_note AS n"
    " LEFT JOIN staff AS s ON s.id = n.staff WHERE n.person = :person AND n.merchant = :merchant"
    " ORDER BY n.visited_ms DESC, n.id DESC"
)
_DROP = text(
    "DELETE FROM visit_note WHERE id = :id AND person = :person AND merchant = :merchant"
    " AND (:anybody OR staff = :staff)"
)


def add(db: Connection, row: dict[str, Any], person: str, reach: Reach | None) -> None:
    """Write a note. Raises NotFound for a person outside of reach, Refused (limit)."""
    who = _within(db, row["merchant"], person, reach)
    if db.execute(_COUNT, {"person": who}).scalar_one() >= NOTES_MAX:
        raise Refused("limit", f"at most {NOTES_MAX} notes about one person")
    db.execute(_INSERT, {**row, "person": who})


def of(db: Connection, merchant: str, person: str, reach: Reach | None) -> list[dict[str, Any]]:
    """The notes about a person within reach. Raises NotFound."""
    asked = {"person": _within(db, merchant, person, reach), "merchant": merchant}
    return [dict(row) for row in db.execute(_OF, asked).mappings()]


def drop(db: Connection, merchant: str, person: str, staff: str, reach: Reach | None, note: str) -> None:
    """Take a note away: one's own, or (without ``reach``) anybody's. Raises NotFound."""
    who = _within(db, merchant, person, reach)
    asked = {"id": note, "person": who, "merchant": merchant, "staff": staff, "anybody": reach is None}
    if not db.execute(_DROP, asked).rowcount:
        raise NotFound("no such note of yours")


def _within(db: Connection, merchant: str, person: str, reach: Reach | None) -> str:
    """Who a person is now, when they are a customer within reach. Raises NotFound."""
    who = survivor(db, person)
    known = db.execute(_KNOWN, {"id": who, "merchant": merchant}).one_or_none() is not None
    if not known or (reach is not None and not reaches_person(db, merchant, who, reach)):
        raise NotFound("no such person")
    return who
