# ruff: noqa: S608 (statements are put together from this module's constants alone; values are parameters)
"""Tags, stages of life and segments: each function runs inside the caller's transaction.

A rule's tags and stages are brought up to date by their differences: one query says who is to get or lose one, and only
these rows are written.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, text

from commerce.crm.condition_sql import PAID, PEOPLE, compile_condition, everybody
from commerce.domain.condition import Condition
from commerce.domain.outreach import CrmTerms
from commerce.errors import NotFound, Refused
from commerce.identity.merge_sql import survivor

Row = dict[str, Any]

TAGS_MAX = 200
RULES_MAX = 50
"""Tags that follow a condition: each costs a query every time that something happened in the shop."""
SEGMENTS_MAX = 200
FOUND_MAX = 20_000
"""Differences that one query brings back."""
WRITTEN_MAX = 500
"""Rows of one transaction of ours: some ten milliseconds, in which no hold is decided."""

_TAGS = text(
    "SELECT t.*, (SELECT count(*) FROM person_tag AS p WHERE p.merchant = t.merchant AND p.tag = t.name) AS people"
    " FROM tag AS t WHERE t.merchant = :merchant ORDER BY t.name"
)
_TAG = text("SELECT * FROM tag WHERE merchant = :merchant AND name = :name")
_PUT_TAG = text(
    "INSERT INTO tag (merchant, name, kind, condition, staff, created_ms)"
    " VALUES (:merchant, :name, :kind, :condition, :staff, :now) ON CONFLICT (merchant, name) DO UPDATE SET"
    " kind = excluded.kind, condition = excluded.condition, staff = excluded.staff"
)
_DROP_TAG = (
    text("DELETE FROM person_tag WHERE merchant = :merchant AND tag = :name"),
    text("DELETE FROM tag WHERE merchant = :merchant AND name = :name"),
)
_RULES = text(
    "SELECT merchant, name, kind, condition FROM tag WHERE merchant = :merchant AND kind <> 'manual' ORDER BY name"
)
_GIVE = text(
    "INSERT INTO person_tag (merchant, person, tag, staff, since_ms) VALUES (:merchant, :person, :tag, :staff, :now)"
    " ON CONFLICT (merchant, person, tag) DO NOTHING"
)
_TAKE = text("DELETE FROM person_tag WHERE merchant = :merchant AND person = :person AND tag = :tag")
_OF_PERSON = text(
    "SELECT p.tag, t.kind, p.staff, p.since_ms FROM person_tag AS p"
    " JOIN tag AS t ON t.merchant = p.merchant AND t.name = p.tag"
    " WHERE p.merchant = :merchant AND p.person = :person ORDER BY p.since_ms, p.tag"
)
_STAGE = text("SELECT stage, since_ms FROM person_stage WHERE merchant = :merchant AND person = :person")
_STAGES = text(
    "SELECT s.stage, count(*) AS people FROM person_stage AS s JOIN person AS q ON q.id = s.person"
    " WHERE s.merchant = :merchant AND NOT EXISTS"
    " (SELECT 1 FROM person_alias AS a WHERE a.alias = s.person AND a.person <> a.alias) GROUP BY s.stage"
)
_PUT_STAGE = text(
    "INSERT INTO person_stage (merchant, person, stage, since_ms) VALUES (:merchant, :person, :stage, :now)"
    " ON CONFLICT (merchant, person) DO UPDATE SET stage = excluded.stage, since_ms = excluded.since_ms"
)
# Orders first: who bought is a customer however they came.
_STAGE_NOW = (
    "CASE WHEN coalesce(o.n, 0) >= :loyal THEN 'loyal' WHEN coalesce(o.n, 0) > 0 THEN 'customer'"
    " WHEN coalesce(v.n, 0) >= :fan OR EXISTS (SELECT 1 FROM follower AS f WHERE f.merchant = p.merchant"
    " AND f.person = p.id) OR EXISTS (SELECT 1 FROM identity AS i WHERE i.person = p.id"
    " AND i.kind IN ('phone', 'wecom')) THEN 'fan' ELSE 'passer' END"
)
_MOVED = text(
    f"SELECT id, stage FROM (SELECT p.id AS id, {_STAGE_NOW} AS stage, coalesce(s.stage, '') AS had FROM person AS p"
    " LEFT JOIN (SELECT person, count(*) AS n FROM orders WHERE merchant = :merchant"
    f" AND {PAID} GROUP BY person) AS o ON o.person = p.id"
    # Of a type, so that SQLite looks it up by an index of its own instead of going through all for each person.
    " LEFT JOIN (SELECT CAST(coalesce(a.person, d.person) AS text) AS who, count(DISTINCT d.day) AS n"
    " FROM person_day AS d LEFT JOIN person_alias AS a ON a.alias = d.person"
    " WHERE d.merchant = :merchant AND d.kind = 'room_entry'"
    " GROUP BY coalesce(a.person, d.person)) AS v ON v.who = p.id"
    " LEFT JOIN person_stage AS s ON s.merchant = p.merchant AND s.person = p.id"
    f" {PEOPLE.removeprefix('FROM person AS p ')}) AS m WHERE stage <> had ORDER BY id LIMIT :limit"
)
_SEGMENTS = text("SELECT * FROM segment WHERE merchant = :merchant ORDER BY id DESC LIMIT :limit")
_SEGMENT = text("SELECT * FROM segment WHERE merchant = :merchant AND id = :id")
_NEW_SEGMENT = text(
    "INSERT INTO segment (id, merchant, name, condition, staff, created_ms)"
    " VALUES (:id, :merchant, :name, :condition, :staff, :now)"
)
_DROP_SEGMENT = text("DELETE FROM segment WHERE merchant = :merchant AND id = :id")
_COUNT_SEGMENTS = text("SELECT count(*) FROM segment WHERE merchant = :merchant")
_PERSON = text("SELECT 1 FROM person WHERE id = :id AND merchant = :merchant")


# --- tags ------------------------------------------------------------------------------------------------------------


def tags(db: Connection, merchant: str) -> list[Row]:
    """A merchant's tags with how many have each."""
    return [dict(row) for row in db.execute(_TAGS, {"merchant": merchant}).mappings()]


def put_tag(db: Connection, **row: Any) -> None:
    """Make a tag, or give it another rule; a changed kind or rule leaves who has it to the next reckoning.

    Raises Refused (limit).
    """
    merchant = row["merchant"]
    known = tags(db, merchant)
    others = [one for one in known if one["name"] != row["name"]]
    ruled = sum(one["kind"] != "manual" for one in others)
    if len(others) >= TAGS_MAX or (row["kind"] != "manual" and ruled >= RULES_MAX):
        raise Refused("limit", f"a shop has at most {TAGS_MAX} tags, {RULES_MAX} of them by a condition")
    db.execute(_PUT_TAG, row)


def drop_tag(db: Connection, merchant: str, name: str) -> None:
    """Take a tag away from everybody, and itself. Raises NotFound."""
    if db.execute(_TAG, {"merchant": merchant, "name": name}).one_or_none() is None:
        raise NotFound("no such tag")
    for statement in _DROP_TAG:
        db.execute(statement, {"merchant": merchant, "name": name})


def mark(db: Connection, merchant: str, person: str, tag: str, staff: str, now_ms: int, *, on: bool) -> None:
    """Give a person a tag, or take it. Raises NotFound, Refused (computed): a computed tag is the rule's alone."""
    who = known(db, merchant, person)
    row = db.execute(_TAG, {"merchant": merchant, "name": tag}).one_or_none()
    if row is None:
        raise NotFound("no such tag")
    if row.kind == "computed":
        raise Refused("computed", "this tag follows its condition: change that")
    if on:
        db.execute(_GIVE, {"merchant": merchant, "person": who, "tag": tag, "staff": staff, "now": now_ms})
    else:
        db.execute(_TAKE, {"merchant": merchant, "person": who, "tag": tag})


def give_tag(db: Connection, merchant: str, person: str, tag: str, now_ms: int) -> None:
    """Give a tag by a rule; one that is gone is not given."""
    if db.execute(_TAG, {"merchant": merchant, "name": tag}).one_or_none() is not None:
        db.execute(_GIVE, {"merchant": merchant, "person": person, "tag": tag, "staff": "", "now": now_ms})


def known(db: Connection, merchant: str, person: str) -> str:
    """Who a person of this merchant is now. Raises NotFound."""
    who = survivor(db, person)
    if db.execute(_PERSON, {"id": who, "merchant": merchant}).one_or_none() is None:
        raise NotFound("no such person")
    return who


def of_person(db: Connection, merchant: str, person: str) -> Row:
    """A person's tags and stage. Raises NotFound."""
    asked = {"merchant": merchant, "person": known(db, merchant, person)}
    stage = db.execute(_STAGE, asked).one_or_none()
    return {
        "person": asked["person"],
        "stage": "passer" if stage is None else stage.stage,
        "stage_since": None if stage is None else stage.since_ms,
        "tags": [dict(row) for row in db.execute(_OF_PERSON, asked).mappings()],
    }


# --- what follows a condition ----------------------------------------------------------------------------------------


def rules(db: Connection, merchant: str) -> list[Row]:
    """Tags that follow a condition."""
    return [dict(row) for row in db.execute(_RULES, {"merchant": merchant}).mappings()]


def missing(db: Connection, merchant: str, tag: str, condition: Condition, now_ms: int) -> list[str]:
    """Some of those who meet a condition and have not the tag yet."""
    unless = (
        " AND NOT EXISTS (SELECT 1 FROM person_tag AS t WHERE t.merchant = :merchant AND t.person = p.id"
        " AND t.tag = :tag) ORDER BY p.id LIMIT :limit"
    )
    query, values = everybody(condition, now_ms, "p.id", unless)
    return list(db.execute(query, {"merchant": merchant, "tag": tag, "limit": FOUND_MAX, **values}).scalars())


def surplus(db: Connection, merchant: str, tag: str, condition: Condition, now_ms: int) -> list[str]:
    """Some of those who have a computed tag and do not meet its condition any more."""
    made = compile_condition(condition, now_ms)
    query = text(
        f"SELECT p.id {PEOPLE} AND p.id IN (SELECT person FROM person_tag WHERE merchant = :merchant AND tag = :tag)"
        f" AND NOT ({made.where}) ORDER BY p.id LIMIT :limit"
    )
    asked = {"merchant": merchant, "tag": tag, "limit": FOUND_MAX, **made.values}
    return list(db.execute(query, asked).scalars())


def moved(db: Connection, merchant: str, terms: CrmTerms) -> list[Row]:
    """Some of those whose stage of life is another than what is written: id and stage."""
    asked = {"merchant": merchant, "loyal": terms.loyal_orders, "fan": terms.fan_days, "limit": FOUND_MAX}
    return [dict(row) for row in db.execute(_MOVED, asked).mappings()]


def write_tags(db: Connection, merchant: str, tag: str, people: Sequence[str], now_ms: int, *, on: bool) -> None:
    """Give or take a tag by its rule."""
    rows = [{"merchant": merchant, "person": person, "tag": tag, "staff": "", "now": now_ms} for person in people]
    if rows:
        db.execute(_GIVE if on else _TAKE, rows)


def write_stages(db: Connection, merchant: str, rows: Sequence[Row], now_ms: int) -> None:
    """Write stages of life."""
    if rows:
        db.execute(
            _PUT_STAGE,
            [{"merchant": merchant, "person": row["id"], "stage": row["stage"], "now": now_ms} for row in rows],
        )


def stages(db: Connection, merchant: str) -> dict[str, int]:
    """How many are in each stage of life."""
    return {row.stage: row.people for row in db.execute(_STAGES, {"merchant": merchant})}


# --- segments --------------------------------------------------------------------------------------------------------


def count(db: Connection, merchant: str, condition: Condition, now_ms: int) -> int:
    """How many meet a condition."""
    query, values = everybody(condition, now_ms, "count(*)")
    return int(db.execute(query, {"merchant": merchant, **values}).scalar_one())


def members(
    db: Connection, merchant: str, condition: Condition, now_ms: int, after: str, limit: int
) -> list[tuple[str, str]]:
    """Some of those who meet a condition, by id: (id, name)."""
    query, values = everybody(condition, now_ms, "p.id, p.name", " AND p.id > :after ORDER BY p.id LIMIT :limit")
    asked = {"merchant": merchant, "after": after, "limit": limit, **values}
    return [(row.id, row.name) for row in db.execute(query, asked)]


def meeting(db: Connection, merchant: str, condition: Condition, now_ms: int, people: Sequence[str]) -> set[str]:
    """Those of some people who meet a condition, in one query."""
    query, values = everybody(condition, now_ms, "p.id", " AND p.id IN :people")
    query = query.bindparams(bindparam("people", expanding=True))
    return set(db.execute(query, {"merchant": merchant, "people": list(people), **values}).scalars())


def segments(db: Connection, merchant: str) -> list[Row]:
    """A merchant's segments, newest first."""
    return [dict(row) for row in db.execute(_SEGMENTS, {"merchant": merchant, "limit": SEGMENTS_MAX}).mappings()]


def segment(db: Connection, merchant: str, identifier: str) -> Row:
    """One segment. Raises NotFound."""
    row = db.execute(_SEGMENT, {"merchant": merchant, "id": identifier}).mappings().one_or_none()
    if row is None:
        raise NotFound("no such segment")
    return dict(row)


def add_segment(db: Connection, **row: Any) -> None:
    """Keep a segment. Raises Refused (limit)."""
    if db.execute(_COUNT_SEGMENTS, {"merchant": row["merchant"]}).scalar_one() >= SEGMENTS_MAX:
        raise Refused("limit", f"a shop has at most {SEGMENTS_MAX} segments")
    db.execute(_NEW_SEGMENT, row)


def drop_segment(db: Connection, merchant: str, identifier: str) -> None:
    """Forget a segment. Raises NotFound."""
    if not db.execute(_DROP_SEGMENT, {"merchant": merchant, "id": identifier}).rowcount:
        raise NotFound("no such segment")
