# ruff: noqa: S608 (statements are put together from this module's constants alone)
"""Reach in the touch log's database: written in the transaction of the touches it counts, read by the board.

``reach_seen`` has a row for each key, person and day, of four numbers; ``reach`` the cells; ``reach_key`` what a key's
number stands for (see ``reach.py``). Written with the touches, they are never behind; as PostgreSQL may have several
writers, one batch of touches at a time is written there.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import orjson
from sqlalchemy import Connection, bindparam, text

from commerce.attribution.board import ROWS_MAX, Period, StepVisits, Traffic, Visits
from commerce.attribution.reach import (
    STEPS,
    TOUCHES,
    Gathered,
    Met,
    Pair,
    Present,
    cells,
    gather,
    key_number,
    person_number,
)
from commerce.ledger_text_sql import ROWS

REMEMBERED_MAX = 100_000
"""Keys and persons known to have been seen on the day that is written; about 15 MB. Then it begins anew."""
PEOPLE_AT_ONCE = 500
"""Persons whose links are looked at in one statement."""
REBUILD_TOUCHES = 5_000
"""Touches read and counted at a time when the whole is made from the log."""

_BIG = "CAST(r.value ->> {} AS bigint)"
_KEY, _PERSON, _DAY, _FOURTH, _FIFTH = (_BIG.format(index) for index in range(5))
_OWN = "FROM reach_seen AS s WHERE s.key_id = q.k AND s.person = q.p AND s.day"
_NEAREST = ", ".join(
    f"(SELECT s.day {_OWN} {side} q.d AND (s.steps & {step}) <> 0 ORDER BY s.day {order} LIMIT 1) AS {name}{step}"
    for name, side, order in (("before", "<", "DESC"), ("after", ">", ""))
    for step in STEPS
)


def _texts(rows: str) -> dict[str, str]:
    pairs = f"(SELECT {_KEY} AS k, {_PERSON} AS p, {_DAY} AS d FROM {rows}) AS q"
    return {
        "known": f"SELECT k, p FROM (SELECT q.k, q.p, (SELECT max(s.day) FROM reach_seen AS s WHERE s.key_id = q.k"
        f" AND s.person = q.p) AS latest FROM {pairs}) AS found WHERE latest IS NOT NULL",
        "present": f"SELECT q.k, q.p, (SELECT s.steps {_OWN} = q.d) AS steps, {_NEAREST} FROM {pairs}",
        "seen": f"INSERT INTO reach_seen (key_id, person, day, steps) SELECT {_KEY}, {_PERSON}, {_DAY}, {_FOURTH}"
        f" FROM {rows} WHERE true"
        " ON CONFLICT (key_id, person, day) DO UPDATE SET steps = reach_seen.steps | excluded.steps",
        "cells": f"INSERT INTO reach (key_id, step, day, before, persons) SELECT {_KEY}, {_PERSON}, {_DAY}, {_FOURTH},"
        f" {_FIFTH} FROM {rows} WHERE true"
        " ON CONFLICT (key_id, day, before, step) DO UPDATE SET persons = reach.persons + excluded.persons",
        "keys": "INSERT INTO reach_key (id, merchant, dimension, key, issuer, role, channel)"
        f" SELECT {_KEY}, {', '.join(f'r.value ->> {index}' for index in range(1, 7))} FROM {rows} WHERE true"
        " ON CONFLICT (id) DO UPDATE SET role = CASE WHEN excluded.role > reach_key.role THEN excluded.role"
        " ELSE reach_key.role END",
    }


_TEXTS = {dialect: {name: text(one) for name, one in _texts(rows).items()} for dialect, rows in ROWS.items()}
_ALONE = text("SELECT pg_advisory_xact_lock(hashtext(current_schema()), hashtext('touches'))")

_SUMS = ", ".join(
    f"coalesce(sum(CASE WHEN c.step = {step} THEN c.persons END), 0) AS {name}"
    for step, name in ((*zip(STEPS, ("visits", "entries", "clicks"), strict=True), (TOUCHES, "touches")))
)
_READ = text(
    f"SELECT k.dimension, k.key, k.issuer, k.role, k.channel, {_SUMS} FROM reach_key AS k"
    " JOIN reach AS c ON c.key_id = k.id WHERE k.merchant = :merchant AND c.day >= :first AND c.day <= :last"
    " AND c.before < :first GROUP BY k.id HAVING sum(c.persons) > 0"
)
_DAYS = text(
    f"SELECT c.day, {_SUMS} FROM reach_key AS k JOIN reach AS c ON c.key_id = k.id WHERE k.merchant = :merchant"
    " AND k.dimension = :dimension AND k.key = :key AND c.day >= :first AND c.day <= :last GROUP BY c.day"
    " ORDER BY c.day"
)
_FIRST = "c.step = 1 AND c.day >= :first AND c.day <= :last AND c.before < :first"
_BROUGHT = text(
    f"SELECT c.key_id, sum(c.persons) AS n FROM reach AS c WHERE c.key_id IN :keys AND {_FIRST} GROUP BY c.key_id"
).bindparams(bindparam("keys", expanding=True))
# Whoever opens their own link brought nobody.
_THEMSELVES = text(
    "SELECT DISTINCT key_id, person FROM reach_seen WHERE key_id IN :keys AND person IN :persons"
    " AND day >= :first AND day <= :last"
).bindparams(bindparam("keys", expanding=True), bindparam("persons", expanding=True))
_ISSUERS = text(
    "SELECT k.issuer FROM reach_key AS k WHERE k.merchant = :merchant AND k.dimension = 'issuer'"
    " AND k.role IN ('viewer', 'distributor') AND EXISTS"
    " (SELECT 1 FROM reach AS c WHERE c.key_id = k.id AND c.day >= :first AND c.day <= :last)"
    " ORDER BY k.issuer LIMIT :limit"
)
_OF_KEY = text(
    f"SELECT {_SUMS} FROM reach AS c WHERE c.key_id = :key AND c.day >= :first AND c.day <= :last AND c.before < :first"
)
ISSUERS_MAX = 10_000
"""Customers who share in one month: more are not looked at for candidates."""
_EMPTY = text("SELECT NOT EXISTS (SELECT 1 FROM reach_key) AND EXISTS (SELECT 1 FROM touch)")
_LOG = text(
    "SELECT id, ms, merchant, person, kind, channel, room, link, issuer, role, depth, reason, campaign,"
    " host, clip FROM touch"
    " WHERE id > :after ORDER BY id LIMIT :limit"
)


class Reach:
    """Counts what a log writes; one for each writer, used by its thread alone."""

    def __init__(self) -> None:
        self._day = 0
        self._seen: dict[Pair, int] = {}
        self._keys: set[tuple[int, str]] = set()
        self._news: list[tuple[int, dict[Pair, int]]] = []
        self._new_keys: set[tuple[int, str]] = set()

    def write(self, db: Connection, touches: Iterable[Met]) -> None:
        """Count a batch of touches in their own transaction; ``committed`` or ``undone`` comes after it."""
        self._news, self._new_keys = [], set()
        batch = gather(touches)
        self._write_keys(db, batch)
        for day in sorted(batch.steps):
            if day > self._day:
                self._day, self._seen = day, {}
            self._write_day(db, day, batch.steps[day])
        rows = [(key, TOUCHES, day, 0, count) for (key, day), count in sorted(batch.touches.items())]
        _run(db, "cells", rows)

    def committed(self) -> None:
        """The transaction stands: what it wrote need not be looked up again today."""
        for day, news in self._news:
            if day == self._day:
                for pair, steps in news.items():
                    self._seen[pair] = self._seen.get(pair, 0) | steps
        if len(self._seen) > REMEMBERED_MAX:
            self._seen = {}
        self._keys |= self._new_keys
        if len(self._keys) > REMEMBERED_MAX:
            self._keys = set()
        self._news = []

    def undone(self) -> None:
        """The transaction was rolled back."""
        self._news, self._new_keys = [], set()

    def _write_keys(self, db: Connection, batch: Gathered) -> None:
        fresh = {key for key in batch.keys.values() if (key.number, key.role) not in self._keys}
        self._new_keys = {(key.number, key.role) for key in fresh}
        rows = [
            (key.number, key.merchant, key.dimension, key.key, key.issuer, key.role, key.channel)
            for key in sorted(fresh, key=lambda key: key.number)
        ]
        _run(db, "keys", rows)

    def _write_day(self, db: Connection, day: int, steps: dict[Pair, int]) -> None:
        seen = self._seen if day == self._day else {}
        asked = {pair: taken for pair, taken in sorted(steps.items()) if taken & ~seen.get(pair, 0)}
        if not asked:
            return
        names = _TEXTS[db.dialect.name]
        known = db.execute(names["known"], _rows((*pair, day) for pair in asked)).all()
        present: dict[Pair, Present] = {}
        if known:
            for row in db.execute(names["present"], _rows((row.k, row.p, day) for row in known)):
                nearest = [one or 0 for one in row[3:]]
                present[row.k, row.p] = Present(row.steps or 0, nearest[:3], nearest[3:])
        news, change = cells(day, asked, present)
        _run(db, "seen", [(*pair, day, new) for pair, new in news.items()])
        _run(db, "cells", [(*cell, count) for cell, count in sorted(change.items()) if count])
        self._news.append((day, {pair: steps[pair] for pair in asked}))


def _rows(rows: Iterable[Sequence[object]]) -> dict[str, str]:
    return {"rows": orjson.dumps(list(rows)).decode()}


def _run(db: Connection, name: str, rows: Sequence[Sequence[object]]) -> None:
    if rows:
        db.execute(_TEXTS[db.dialect.name][name], _rows(rows))


def alone(db: Connection) -> None:
    """Let no other process write touches until this transaction ends; an SQLite file has one writer as it is."""
    if db.dialect.name == "postgresql":
        db.execute(_ALONE)


def rebuild_if_empty(db: Connection) -> int:
    """Count a log that was written before there was reach (or whose reach was emptied); gives how many touches."""
    alone(db)
    if not db.execute(_EMPTY).scalar_one():
        return 0
    reach, count = Reach(), 0
    for touches in _pages(db):
        reach.write(db, touches)
        reach.committed()
        count += len(touches)
    return count


def _pages(db: Connection) -> Iterator[list[Met]]:
    after = ""
    while rows := db.execute(_LOG, {"after": after, "limit": REBUILD_TOUCHES}).all():
        after = rows[-1].id
        yield [Met(*row[1:]) for row in rows]


def traffic(db: Connection, period: Period, first: int, last: int) -> Traffic:
    """What the days ``first`` to ``last`` brought; ``db`` is the log's."""
    asked = {"merchant": period.merchant, "first": first, "last": last}
    by: dict[str, list[Visits]] = {
        name: [] for name in ("all", "shared", "link", "issuer", "channel", "campaign", "room", "host", "clip")
    }
    rejected: dict[str, int] = {}
    for row in db.execute(_READ, asked):
        if row.dimension == "reason":
            rejected[row.key] = row.touches
            continue
        by[row.dimension].append(
            Visits(row.key or None, row.issuer or None, row.role, row.channel, row.visits, row.entries, row.clicks)
        )
    for rows in by.values():
        rows.sort(key=lambda row: (-row.entries, -row.visits, row.key or ""))
        del rows[ROWS_MAX:]
    everybody = by["all"][0] if by["all"] else Visits(None, None, "", "", 0, 0, 0)
    return Traffic(
        visits=everybody.visits,
        entries=everybody.entries,
        clicks=everybody.clicks,
        shared=by["shared"][0].entries if by["shared"] else 0,
        rejected=dict(sorted(rejected.items())),
        by_link=by["link"],
        by_issuer=by["issuer"],
        by_channel=by["channel"],
        by_campaign=by["campaign"],
        by_room=by["room"],
        by_host=by["host"],
        by_clip=by["clip"],
        series=days(db, period.merchant, first, last),
    )


def days(
    db: Connection, merchant: str, first: int, last: int, dimension: str = "all", key: str = ""
) -> list[StepVisits]:
    """Different people of each day by itself, of everybody or of one key."""
    asked = {"merchant": merchant, "first": first, "last": last, "dimension": dimension, "key": key}
    return [StepVisits(row.day, row.visits, row.entries, row.clicks) for row in db.execute(_DAYS, asked)]


def of_key(db: Connection, merchant: str, dimension: str, key: str, first: int, last: int) -> tuple[int, int, int]:
    """Different people of one key in a run of days: visits, entries, clicks."""
    asked = {"key": key_number(merchant, dimension, key), "first": first, "last": last}
    row = db.execute(_OF_KEY, asked).one()
    return row.visits, row.entries, row.clicks


def brought(db: Connection, merchant: str, ids: Mapping[str, str], first: int, last: int) -> dict[str, int]:
    """How many different people came by the links of some persons in a run of days, themselves not counted.

    ``ids`` are all ids of these persons, and who has each: who came by the links of two ids of one person is counted
    with both.
    """
    of_person: dict[str, list[str]] = {}
    for one, who in ids.items():
        of_person.setdefault(who, []).append(one)
    people = sorted(of_person)
    found: dict[str, int] = {}
    for start in range(0, len(people), PEOPLE_AT_ONCE):
        part = people[start : start + PEOPLE_AT_ONCE]
        own = {person_number(one): who for who in part for one in of_person[who]}
        keys = {key_number(merchant, "issuer", one): who for who in part for one in of_person[who]}
        asked = {"keys": list(keys), "first": first, "last": last}
        for row in db.execute(_BROUGHT, asked):
            found[keys[row.key_id]] = found.get(keys[row.key_id], 0) + int(row.n)
        for row in db.execute(_THEMSELVES, asked | {"persons": list(own)}):
            if own[row.person] == keys[row.key_id]:
                found[own[row.person]] -= 1
    return {person: n for person, n in found.items() if n}


def issuers(db: Connection, merchant: str, first: int, last: int) -> list[str]:
    """Customers and distributors by whose links somebody came in a run of days."""
    asked = {"merchant": merchant, "first": first, "last": last, "limit": ISSUERS_MAX}
    return list(db.execute(_ISSUERS, asked).scalars())
