"""Statements on persons and identities: each function runs inside the caller's transaction."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, text

from commerce.domain.org import Reach
from commerce.errors import NotFound
from commerce.reach_sql import PERSON_REACHED, reach_values

_FIND = text(
    "SELECT p.id, p.merchant, p.name, p.created_ms FROM identity i JOIN person p ON p.id = i.person"
    " WHERE i.merchant = :merchant AND i.kind = :kind AND i.value = :value"
)
_ONE = text("SELECT id, merchant, name, created_ms FROM person WHERE id = :id AND merchant = :merchant")
_OF_MERCHANT = (
    "SELECT id, merchant, name, created_ms FROM person AS p WHERE merchant = :merchant AND id < :before"
    " AND NOT EXISTS (SELECT 1 FROM person_alias AS a WHERE a.alias = p.id AND a.person <> a.alias)"
)
_PAGE = text(f"{_OF_MERCHANT} ORDER BY id DESC LIMIT :limit")
_PAGE_REACHED = text(f"{_OF_MERCHANT} AND {PERSON_REACHED} ORDER BY id DESC LIMIT :limit")
_KINDS = text("SELECT person, kind FROM identity WHERE person IN :ids ORDER BY kind").bindparams(
    bindparam("ids", expanding=True)
)
_MERCHANTS = text("SELECT id FROM merchant WHERE id IN :ids").bindparams(bindparam("ids", expanding=True))


@dataclass(frozen=True, slots=True)
class Person:
    """A person of one merchant; ``name`` may be empty."""

    id: str
    merchant: str
    name: str
    created_ms: int


@dataclass(frozen=True, slots=True)
class Newcomer:
    """A person to write under an identity, unless that identity has one already."""

    person: Person
    kind: str
    value: str


def find(db: Connection, merchant: str, kind: str, value: str) -> Person | None:
    """Read who is behind an identity."""
    row = db.execute(_FIND, {"merchant": merchant, "kind": kind, "value": value}).one_or_none()
    return None if row is None else Person(row.id, row.merchant, row.name, row.created_ms)


def person(db: Connection, merchant: str, person_id: str) -> Person:
    """Read a person. Raises ``NotFound``."""
    row = db.execute(_ONE, {"id": person_id, "merchant": merchant}).one_or_none()
    if row is None:
        raise NotFound("no such person")
    return Person(row.id, row.merchant, row.name, row.created_ms)


def insert(db: Connection, newcomers: Sequence[Newcomer]) -> list[Person | NotFound]:
    """Write those who are new; gives for each the person their identity has now, or why there is none."""
    merchants = sorted({one.person.merchant for one in newcomers})
    known = {row.id for row in db.execute(_MERCHANTS, {"ids": merchants})}
    have: dict[tuple[str, str, str], Person] = {}
    fresh: list[Newcomer] = []
    results: list[Person | NotFound] = []
    for one in newcomers:
        key = (one.person.merchant, one.kind, one.value)
        if one.person.merchant not in known:
            results.append(NotFound("no such merchant"))
            continue
        present = have.get(key) or find(db, *key)
        if present is None:
            fresh.append(one)
        have[key] = present or one.person
        results.append(have[key])
    if fresh:
        rows = [
            {
                "id": one.person.id,
                "merchant": one.person.merchant,
                "name": one.person.name,
                "now": one.person.created_ms,
                "kind": one.kind,
                "value": one.value,
            }
            for one in fresh
        ]
        db.execute(
            text("INSERT INTO person (id, merchant, name, created_ms) VALUES (:id, :merchant, :name, :now)"), rows
        )
        db.execute(
            text(
                "INSERT INTO identity (merchant, kind, value, person, created_ms)"
                " VALUES (:merchant, :kind, :value, :id, :now)"
            ),
            rows,
        )
    return results


def rename(db: Connection, merchant: str, person_id: str, name: str) -> Person:
    """Write a person's name. Raises ``NotFound``."""
    done = db.execute(
        text("UPDATE person SET name = :name WHERE id = :id AND merchant = :merchant"),
        {"name": name, "id": person_id, "merchant": merchant},
    )
    if done.rowcount == 0:
        raise NotFound("no such person")
    return person(db, merchant, person_id)


def page(
    db: Connection, merchant: str, before: str, limit: int, reach: Reach | None = None
) -> tuple[list[Person], dict[str, list[str]]]:
    """List persons, newest first, older than the id ``before``, with the kinds of identity each has."""
    asked = {"merchant": merchant, "before": before, "limit": limit}
    rows = db.execute(_PAGE, asked) if reach is None else db.execute(_PAGE_REACHED, asked | reach_values(reach))
    found = [Person(row.id, row.merchant, row.name, row.created_ms) for row in rows]
    kinds: dict[str, list[str]] = {}
    if found:
        for row in db.execute(_KINDS, {"ids": [one.id for one in found]}):
            kinds.setdefault(row.person, []).append(row.kind)
    return found, kinds
