# ruff: noqa: S608 (statements are put together from this module's constants alone)
"""What people did, by days: counted from the touch log into the shop's own database.

A day of a person is counted anew as a whole whenever something of theirs was logged in it: counting twice changes
nothing, and a crash loses nothing that the log has. The log is read up to some seconds ago, as other processes write
theirs with a delay; each midnight's first reading goes over the day before once more, for what came later than that.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, text

from commerce.domain.day import DAY_MS, OFFSET_MS
from commerce.domain.ids import time_prefix

SETTLED_MS = 3_000
"""How long ago a touch must be to be counted: touches wait 50 ms for company and some retries, then they are there."""
SPAN_MS_MAX = 3_600_000
"""What one reading covers of the log: after a week without us it is caught up hour by hour."""
PEOPLE_MAX = 1_000
"""People counted in one statement."""

_DAY = f"(ms + {OFFSET_MS}) / {DAY_MS}"
# Ids begin with their time, and are the table's order.
_WHO = text("SELECT DISTINCT merchant, person FROM touch WHERE id >= :low AND id < :high ORDER BY merchant, person")
_FIRST = text("SELECT ms FROM touch ORDER BY id LIMIT 1")
_COUNT = text(
    f"SELECT person, kind, room, {_DAY} AS day, count(*) AS n FROM touch WHERE merchant = :merchant"
    f" AND person IN :people AND ms >= :since AND ms < :until GROUP BY person, kind, room, {_DAY}"
).bindparams(bindparam("people", expanding=True))
_PUT = text(
    "INSERT INTO person_day (merchant, person, kind, room, day, n) VALUES (:merchant, :person, :kind, :room, :day, :n)"
    " ON CONFLICT (merchant, person, kind, room, day) DO UPDATE SET n = excluded.n"
)
_UPTO = text("SELECT upto_ms FROM crm_cursor WHERE name = 'days'")
_MOVE = text(
    "INSERT INTO crm_cursor (name, upto_ms) VALUES ('days', :upto) ON CONFLICT (name) DO UPDATE SET"
    " upto_ms = excluded.upto_ms"
)


@dataclass(frozen=True, slots=True)
class Reading:
    """A stretch of the log, and the first moment from which its days are counted."""

    since_ms: int
    until_ms: int
    days_ms: int


def next_reading(upto_ms: int | None, first_ms: int | None, now_ms: int) -> Reading | None:
    """What is to be read next; None when there is nothing. ``first_ms`` is the log's oldest touch."""
    since_ms = upto_ms if upto_ms is not None else first_ms
    until_ms = now_ms - SETTLED_MS
    if since_ms is None or since_ms >= until_ms:
        return None
    until_ms = min(until_ms, since_ms + SPAN_MS_MAX)
    if _midnight(since_ms) != _midnight(until_ms):
        since_ms = _midnight(since_ms)
    return Reading(since_ms, until_ms, _midnight(since_ms))


def upto(db: Connection) -> int | None:
    """How far the log was counted; None at the very first."""
    found = db.execute(_UPTO).scalar_one_or_none()
    return None if found is None else int(found)


def first(log: Connection) -> int | None:
    """When the oldest touch was."""
    found = log.execute(_FIRST).scalar_one_or_none()
    return None if found is None else int(found)


def counts(log: Connection, reading: Reading) -> list[dict[str, Any]]:
    """The days of those who touched something in a reading, as rows of ``person_day``; ``log`` is the touch log's."""
    asked = {"low": time_prefix(reading.since_ms), "high": time_prefix(reading.until_ms)}
    found: list[dict[str, Any]] = []
    for merchant, people in _by_merchant(log.execute(_WHO, asked).all()):
        rows = log.execute(
            _COUNT, {"merchant": merchant, "people": people, "since": reading.days_ms, "until": reading.until_ms}
        )
        found += [{"merchant": merchant, **row} for row in rows.mappings()]
    return found


def put(db: Connection, rows: Sequence[dict[str, Any]], upto_ms: int | None) -> None:
    """Write counted days; with the last of them how far the log was counted."""
    if rows:
        db.execute(_PUT, list(rows))
    if upto_ms is not None:
        db.execute(_MOVE, {"upto": upto_ms})


def _by_merchant(rows: Iterable[Any]) -> Iterable[tuple[str, list[str]]]:
    merchant = ""
    people: list[str] = []
    for row in rows:
        if people and (row.merchant != merchant or len(people) >= PEOPLE_MAX):
            yield merchant, people
            people = []
        merchant = row.merchant
        people.append(row.person)
    if people:
        yield merchant, people


def _midnight(at_ms: int) -> int:
    """The midnight in Shanghai before a moment."""
    return (at_ms + OFFSET_MS) // DAY_MS * DAY_MS - OFFSET_MS
