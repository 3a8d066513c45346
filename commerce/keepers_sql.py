"""Statements on appointments of assistants and moderators: each function runs inside the caller's transaction."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, text

from commerce.errors import NotFound, Refused

PLACE_MAX = 100
"""Appointed for one room, node or merchant: a large room has some dozen."""
MERCHANT_MAX = 5_000
"""Of one merchant: every process has all of them in memory, at some 300 B each."""
STEPS_MAX = 200
"""Steps of the journal in one answer."""
STEPS_KEPT_MS = 1096 * 86_400_000
"""Three years, as what staff did in rooms."""

_ALL = text("SELECT merchant, kind, place, person, role, appointed_by, created_ms FROM appointment ORDER BY created_ms")
_PUT = text(
    "INSERT INTO appointment (merchant, place, person, kind, role, appointed_by, created_ms)"
    " VALUES (:merchant, :place, :person, :kind, :role, :by, :now)"
    " ON CONFLICT (merchant, place, person) DO UPDATE SET role = excluded.role, appointed_by = excluded.appointed_by,"
    " created_ms = excluded.created_ms"
)
_REMOVE = text(
    "DELETE FROM appointment WHERE merchant = :merchant AND place = :place AND person IN :people"
    " RETURNING merchant, kind, place, person, role"
).bindparams(bindparam("people", expanding=True))
_STEP = text(
    'INSERT INTO appointment_step (id, merchant, place, kind, person, role, step, "by", at_ms)'
    " VALUES (:id, :merchant, :place, :kind, :person, :role, :step, :by, :now)"
)
_FORGET = text("DELETE FROM appointment_step WHERE at_ms < :before")
_STEPS = text(
    'SELECT id, place, kind, person, role, step, "by", at_ms FROM appointment_step'
    " WHERE merchant = :merchant AND id < :before ORDER BY id DESC LIMIT :limit"
)
_STEPS_WITHIN = text(
    'SELECT id, place, kind, person, role, step, "by", at_ms FROM appointment_step'
    " WHERE merchant = :merchant AND id < :before AND place IN :places ORDER BY id DESC LIMIT :limit"
).bindparams(bindparam("places", expanding=True))
_COUNTS = text(
    "SELECT count(*) AS merchants, coalesce(sum(CASE WHEN place = :place THEN 1 ELSE 0 END), 0) AS places,"
    " coalesce(sum(CASE WHEN place = :place AND person = :person THEN 1 ELSE 0 END), 0) AS known"
    " FROM appointment WHERE merchant = :merchant"
)
_ACCOUNT = text(
    "SELECT s.name, m.left_ms FROM staff AS s LEFT JOIN org_member AS m ON m.staff = s.id"
    " WHERE s.id = :id AND s.merchant = :merchant"
)
_PERSON = text("SELECT name FROM person WHERE id = :id AND merchant = :merchant")
_NAMES = text(
    "SELECT id, name FROM staff WHERE id IN :people UNION ALL SELECT id, name FROM person WHERE id IN :people"
).bindparams(bindparam("people", expanding=True))


@dataclass(frozen=True, slots=True)
class Appointment:
    """Who keeps order or helps where: ``kind`` room, node or all says what ``place`` is."""

    merchant: str
    kind: str
    place: str
    person: str
    role: str
    by: str
    created_ms: int


def everybody(db: Connection) -> list[Appointment]:
    """All appointments, oldest first, for the memory of who checks."""
    return [Appointment(*row) for row in db.execute(_ALL)]


def appoint(db: Connection, made: Appointment, step: str) -> None:
    """Write an appointment down, in place of the one that the person has there; ``step`` is the journal's new id.

    Raises NotFound (no such person or account), Refused (forbidden: who assists is an account of the shop; limit).
    """
    account = db.execute(_ACCOUNT, {"id": made.person, "merchant": made.merchant}).one_or_none()
    if account is not None and account.left_ms is not None:
        raise Refused("forbidden", "this account has left the organisation")
    if account is None:
        if db.execute(_PERSON, {"id": made.person, "merchant": made.merchant}).first() is None:
            raise NotFound("no such person")
        if made.role == "assistant":
            raise Refused("forbidden", "an assistant handles goods and money: give them an account of the shop first")
    asked = {"merchant": made.merchant, "place": made.place, "person": made.person}
    counts = db.execute(_COUNTS, asked).one()
    if not counts.known and counts.places >= PLACE_MAX:
        raise Refused("limit", f"at most {PLACE_MAX} are appointed for one room or part: dismiss somebody first")
    if not counts.known and counts.merchants >= MERCHANT_MAX:
        raise Refused("limit", f"a shop appoints at most {MERCHANT_MAX}: dismiss somebody first")
    how = {"kind": made.kind, "role": made.role, "by": made.by, "now": made.created_ms}
    db.execute(_PUT, asked | how)
    db.execute(_FORGET, {"before": made.created_ms - STEPS_KEPT_MS})
    db.execute(_STEP, {**asked, **how, "id": step, "step": "appointed"})


def dismiss(
    db: Connection, mint: Callable[[], str], merchant: str, place: str, people: Sequence[str], by: str, now: int
) -> None:
    """Take back what the ids of a person have at a place, each with a line in the journal. Raises NotFound."""
    gone = db.execute(_REMOVE, {"merchant": merchant, "place": place, "people": list(people)}).mappings().all()
    if not gone:
        raise NotFound("they are not appointed there")
    for row in gone:
        db.execute(_STEP, {**row, "id": mint(), "step": "dismissed", "by": by, "now": now})


def steps(db: Connection, merchant: str, places: Sequence[str] | None, before: str, limit: int) -> list[dict[str, Any]]:
    """The journal of a merchant, newest first; of ``places`` alone unless that is None."""
    asked = {"merchant": merchant, "before": before, "limit": min(limit, STEPS_MAX)}
    if places is None:
        return [dict(row) for row in db.execute(_STEPS, asked).mappings()]
    if not places:
        return []
    return [dict(row) for row in db.execute(_STEPS_WITHIN, {**asked, "places": list(places)}).mappings()]


def names(db: Connection, people: Sequence[str]) -> dict[str, Any]:
    """What persons and accounts are called."""
    return {row.id: row.name for row in db.execute(_NAMES, {"people": list(people)})} if people else {}
