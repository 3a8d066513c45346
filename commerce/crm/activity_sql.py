# ruff: noqa: S608 (statements are put together from this module's constants alone)
"""What people did in the last weeks, counted by part of the activity's formula: from the shop's database.

Everything is read through ``person_alias``: who was merged counts with the one who goes on.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, text

from commerce.crm.condition_sql import PAID, day_number
from commerce.domain.activity import BY_NAME, TOUCH_PARTS, WINDOW_DAYS
from commerce.domain.day import DAY_MS, OFFSET_MS, day_of

PEOPLE_MAX = 1_000
"""Persons asked for in one statement."""

_CAP = " ".join(f"WHEN '{kind}' THEN {BY_NAME[part].per_day}" for kind, part in TOUCH_PARTS.items())
_KINDS = ", ".join(f"'{kind}'" for kind in TOUCH_PARTS)
_TOUCHES = (
    "SELECT who, kind, sum(CASE WHEN n > cap THEN cap ELSE n END) AS n FROM ("
    f"SELECT coalesce(a.person, d.person) AS who, d.kind, d.day, sum(d.n) AS n, CASE d.kind {_CAP} END AS cap"
    " FROM person_day AS d LEFT JOIN person_alias AS a ON a.alias = d.person"
    f" WHERE d.merchant = :merchant AND d.kind IN ({_KINDS}) AND d.day > :day{{some}}"
    " GROUP BY coalesce(a.person, d.person), d.kind, d.day) AS daily GROUP BY who, kind"
)
_SOME = (
    " AND d.person IN (SELECT alias FROM person_alias WHERE person IN :people"
    " UNION SELECT id FROM person WHERE id IN :people)"
)
_ORDERS = (
    f"SELECT person AS who, count(*) AS n FROM orders WHERE merchant = :merchant AND kind = 'goods' AND {PAID}"
    " AND paid_ms >= :since{some} GROUP BY person"
)
_SIGN_INS = (
    "SELECT person AS who, count(*) AS n FROM sign_in WHERE merchant = :merchant AND day >= :date{some} GROUP BY person"
)
_OF_PEOPLE = " AND person IN :people"
_STILL = text(
    "SELECT p.id, p.name FROM person AS p WHERE p.merchant = :merchant AND p.id IN :people"
    " AND NOT EXISTS (SELECT 1 FROM person_alias AS a WHERE a.alias = p.id AND a.person <> p.id)"
    " AND NOT EXISTS (SELECT 1 FROM minor AS m WHERE m.person = p.id)"
    # The newest word of a person on being sorted, under whatever id it was said.
    " AND coalesce((SELECT c.granted FROM consent AS c WHERE c.merchant = :merchant AND c.purpose = 'profile'"
    " AND (c.person = p.id OR c.person IN (SELECT alias FROM person_alias WHERE person = p.id))"
    " ORDER BY c.id DESC LIMIT 1), true)"
).bindparams(bindparam("people", expanding=True))
_ALIASES = text("SELECT alias, person FROM person_alias WHERE person IN :people").bindparams(
    bindparam("people", expanding=True)
)
_NOW = text("SELECT alias, person FROM person_alias WHERE alias IN :people").bindparams(
    bindparam("people", expanding=True)
)
_CONTACTS = text(
    "SELECT DISTINCT i.person FROM identity AS i JOIN wecom_contact AS w ON w.merchant = i.merchant"
    " AND w.external = i.value WHERE i.merchant = :merchant AND i.kind = 'wecom' AND w.ended_ms IS NULL"
    " AND i.person IN :people"
).bindparams(bindparam("people", expanding=True))


def counts(db: Connection, merchant: str, now_ms: int, people: Sequence[str] | None) -> dict[str, Counter[str]]:
    """Counts by person and part of the window up to today; ``people`` None: of everybody who did something."""
    if people is not None and not people:
        return {}
    today = day_number(now_ms)
    since_ms = (today - WINDOW_DAYS + 1) * DAY_MS - OFFSET_MS
    asked = {"merchant": merchant, "day": today - WINDOW_DAYS, "since": since_ms, "date": day_of(since_ms)}
    found: dict[str, Counter[str]] = {}
    for start in range(0, len(people), PEOPLE_MAX) if people is not None else (0,):
        part = None if people is None else list(people[start : start + PEOPLE_MAX])
        for row in _rows(db, _TOUCHES, _SOME, asked, part):
            found.setdefault(row.who, Counter())[TOUCH_PARTS[row.kind]] += int(row.n)
        for name, query in (("orders", _ORDERS), ("sign_ins", _SIGN_INS)):
            for row in _rows(db, query, _OF_PEOPLE, asked, part):
                found.setdefault(row.who, Counter())[name] += int(row.n)
    return found


def _rows(db: Connection, query: str, some: str, asked: Mapping[str, object], people: list[str] | None) -> list[Any]:
    names = {name: value for name, value in asked.items() if f":{name}" in query}
    if people is None:
        return list(db.execute(text(query.format(some="")), names))
    statement = text(query.format(some=some)).bindparams(bindparam("people", expanding=True))
    return list(db.execute(statement, names | {"people": people}))


def still(db: Connection, merchant: str, people: Sequence[str]) -> dict[str, str]:
    """The names of those of some persons who go on, are no children, and have not said no to being sorted."""
    found: dict[str, str] = {}
    for part in _parts(people):
        found |= {row.id: row.name for row in db.execute(_STILL, {"merchant": merchant, "people": part})}
    return found


def survivors(db: Connection, people: Sequence[str]) -> list[str]:
    """Who goes on for some ids."""
    now: dict[str, str] = {}
    for part in _parts(people):
        now |= {row.alias: row.person for row in db.execute(_NOW, {"people": part})}
    return sorted({now.get(one, one) for one in people})


def aliases(db: Connection, people: Sequence[str]) -> dict[str, str]:
    """All ids of some persons, themselves included, and who has each."""
    found = {person: person for person in people}
    for part in _parts(people):
        found |= {row.alias: row.person for row in db.execute(_ALIASES, {"people": part})}
    return found


def _parts(people: Sequence[str]) -> list[list[str]]:
    return [list(people[start : start + PEOPLE_MAX]) for start in range(0, len(people), PEOPLE_MAX)]


def contacts(db: Connection, merchant: str, people: Sequence[str]) -> frozenset[str]:
    """Those of some persons who have somebody of the shop at WeCom now."""
    if not people:
        return frozenset()
    return frozenset(db.execute(_CONTACTS, {"merchant": merchant, "people": list(people)}).scalars())
