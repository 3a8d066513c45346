"""What is known of one person: read for staff, for the person's own export, and for the queue of conflicts."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, text

from commerce.errors import NotFound
from commerce.identity.merge_sql import aliases_of, survivor

LIST_MAX = 200

_PERSON = text("SELECT id, name, created_ms FROM person WHERE id = :id AND merchant = :merchant")
_PHONE = text("SELECT sealed, verified_ms FROM person_phone WHERE person = :person")
_PHONES = text("SELECT person, sealed, verified_ms FROM person_phone WHERE person IN :ids").bindparams(
    bindparam("ids", expanding=True)
)
_KINDS = text("SELECT kind, created_ms FROM identity WHERE person = :person ORDER BY created_ms, kind")
_CONSENTS = text(
    "SELECT purpose, granted, basis, source, at_ms FROM consent WHERE person IN :ids ORDER BY id DESC LIMIT :limit"
).bindparams(bindparam("ids", expanding=True))
_GRANT = text(
    "INSERT INTO consent (id, merchant, person, purpose, granted, basis, source, at_ms)"
    " VALUES (:id, :merchant, :person, :purpose, :granted, :basis, :source, :now)"
)
_MERGES = text(
    'SELECT id, elder, younger, cause, "by", reason, merged_ms, undone_ms, undone_by FROM merge_journal'
    " WHERE merchant = :merchant AND id < :before AND (:person = '' OR elder = :person OR younger = :person)"
    " ORDER BY id DESC LIMIT :limit"
)
_CONFLICTS = text(
    "SELECT c.id, c.person, c.other, c.cause, c.kind, c.sealed, c.state, c.created_ms, c.decided_ms, c.decided_by,"
    " p.name AS name, o.name AS other_name FROM merge_conflict AS c JOIN person AS p ON p.id = c.person"
    " JOIN person AS o ON o.id = c.other"
    " WHERE c.merchant = :merchant AND c.id < :before AND (:state = '' OR c.state = :state)"
    " ORDER BY c.id DESC LIMIT :limit"
)
_LOG = text(
    'INSERT INTO privacy_log (id, merchant, person, "by", action, reason, at_ms)'
    " VALUES (:id, :merchant, :person, :by, :action, :reason, :now)"
)
_LOGGED = text(
    'SELECT id, person, "by", action, reason, at_ms FROM privacy_log WHERE merchant = :merchant AND id < :before'
    " AND (:person = '' OR person = :person) ORDER BY id DESC LIMIT :limit"
)
_APP = text("SELECT appid, sealed_secret, platform FROM wechat_app WHERE merchant = :merchant")
_SET_APP = text(
    "INSERT INTO wechat_app (merchant, appid, sealed_secret, platform, updated_ms)"
    " VALUES (:merchant, :appid, :sealed, :platform, :now) ON CONFLICT (merchant) DO UPDATE SET"
    " appid = excluded.appid, sealed_secret = excluded.sealed_secret, platform = excluded.platform,"
    " updated_ms = excluded.updated_ms"
)

Row = dict[str, Any]


def person(db: Connection, merchant: str, asked: str) -> Row:
    """A person as they are now, by any id they had. Raises NotFound."""
    found = db.execute(_PERSON, {"id": survivor(db, asked), "merchant": merchant}).mappings().one_or_none()
    if found is None:
        raise NotFound("no such person")
    ids = aliases_of(db, found["id"])
    phone = db.execute(_PHONE, {"person": found["id"]}).mappings().one_or_none()
    return {
        **found,
        "aliases": ids[1:],
        "phone": None if phone is None else dict(phone),
        "identities": [dict(row) for row in db.execute(_KINDS, {"person": found["id"]}).mappings()],
        "consents": [
            {**row, "granted": bool(row["granted"])}  # SQLite knows numbers alone
            for row in db.execute(_CONSENTS, {"ids": ids, "limit": LIST_MAX}).mappings()
        ],
    }


def phones(db: Connection, persons: Sequence[str]) -> dict[str, Row]:
    """The sealed numbers of some persons."""
    if not persons:
        return {}
    return {row["person"]: dict(row) for row in db.execute(_PHONES, {"ids": list(persons)}).mappings()}


def consents(db: Connection, who: str) -> dict[str, bool]:
    """What holds for a person now: purpose → granted; the newest word on each."""
    rows = db.execute(_CONSENTS, {"ids": aliases_of(db, survivor(db, who)), "limit": LIST_MAX}).all()
    return {row.purpose: bool(row.granted) for row in reversed(rows)}


def grant(db: Connection, **row: Any) -> None:
    """Append one word on a purpose."""
    db.execute(_GRANT, row)


def merges(db: Connection, merchant: str, who: str, before: str, limit: int) -> list[Row]:
    """The journal, newest first; ``who`` empty for everybody's."""
    asked = {"merchant": merchant, "person": who, "before": before, "limit": limit}
    return [dict(row) for row in db.execute(_MERGES, asked).mappings()]


def conflicts(db: Connection, merchant: str, state: str, before: str, limit: int) -> list[Row]:
    """The queue, newest first; ``state`` empty for all."""
    asked = {"merchant": merchant, "state": state, "before": before, "limit": limit}
    return [dict(row) for row in db.execute(_CONFLICTS, asked).mappings()]


def log(db: Connection, **row: Any) -> None:
    """Write down that somebody touched personal data."""
    db.execute(_LOG, row)


def logged(db: Connection, merchant: str, who: str, before: str, limit: int) -> list[Row]:
    """Who touched personal data, newest first."""
    asked = {"merchant": merchant, "person": who, "before": before, "limit": limit}
    return [dict(row) for row in db.execute(_LOGGED, asked).mappings()]


def app(db: Connection, merchant: str) -> Row | None:
    """A merchant's mini-program account, its secret sealed."""
    found = db.execute(_APP, {"merchant": merchant}).mappings().one_or_none()
    return None if found is None else dict(found)


def set_app(db: Connection, **row: Any) -> None:
    """Write a merchant's mini-program account."""
    db.execute(_SET_APP, row)
