"""A merchant's terms of sorting and telling customers, and which merchants there are to reckon."""

import orjson
from sqlalchemy import Connection, text

from commerce.domain.outreach import CrmTerms, crm_terms_of

_TERMS = text("SELECT terms FROM crm_policy WHERE merchant = :merchant")
_SET = text(
    "INSERT INTO crm_policy (merchant, terms, staff, updated_ms) VALUES (:merchant, :terms, :staff, :now)"
    " ON CONFLICT (merchant) DO UPDATE SET terms = excluded.terms, staff = excluded.staff,"
    " updated_ms = excluded.updated_ms"
)
_MERCHANTS = text("SELECT id FROM merchant ORDER BY id")
_MERGED = text(
    "SELECT merchant, max(changed_ms) AS changed_ms FROM person_alias WHERE changed_ms > :since GROUP BY merchant"
)


def terms(db: Connection, merchant: str) -> CrmTerms:
    """A merchant's terms, the defaults where there are none."""
    found = db.execute(_TERMS, {"merchant": merchant}).scalar_one_or_none()
    return CrmTerms() if found is None else crm_terms_of(orjson.loads(found))


def set_terms(db: Connection, merchant: str, wanted: CrmTerms, staff: str, now_ms: int) -> None:
    """Write a merchant's terms."""
    stored = orjson.dumps(wanted.as_json()).decode()
    db.execute(_SET, {"merchant": merchant, "terms": stored, "staff": staff, "now": now_ms})


def merchants(db: Connection) -> list[str]:
    """All merchants."""
    return list(db.execute(_MERCHANTS).scalars())


def merged_since(db: Connection, since_ms: int) -> list[tuple[str, int]]:
    """Where people were made one, or two again, after a moment: (merchant, newest time)."""
    return [(row.merchant, row.changed_ms) for row in db.execute(_MERGED, {"since": since_ms})]
