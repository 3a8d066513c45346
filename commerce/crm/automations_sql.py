"""Automations: who meets a condition gets something, a while later, if they still meet it.

A run begins in the ledger and has a deadline there, so it survives a restart and is done once: the coupon, the tag or
the message is written in the transaction that ends the run. Runs keep the id that a person had when they began and are
read through ``person_alias``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, bindparam, text

from commerce.crm import messages_sql, tags_sql
from commerce.crm.condition_sql import everybody
from commerce.deadlines_sql import arm
from commerce.domain.condition import Condition, read_condition
from commerce.domain.day import DAY_MS
from commerce.errors import CommerceError, NotFound, Refused
from commerce.identity.merge_sql import aliases_of, survivor
from commerce.ledger import Claim, CouponGranted
from commerce.ledger_batch_sql import Batch
from commerce.ledger_hot_sql import run_claims

Row = dict[str, Any]

DUE = "auto"
AUTOMATIONS_MAX = 50
BEGUN_MAX = 200
"""Runs begun in one transaction; the rest in the next."""
DONE_MAX = 50
"""Runs ended in one transaction."""
WAY = "auto"

_ADD = text(
    "INSERT INTO automation (id, merchant, name, condition, action, delay_ms, again_days, active, staff, created_ms)"
    " VALUES (:id, :merchant, :name, :condition, :action, :delay_ms, :again_days, true, :staff, :now)"
)
_COUNT = text("SELECT count(*) FROM automation WHERE merchant = :merchant")
_LIST = text("SELECT * FROM automation WHERE merchant = :merchant ORDER BY id DESC")
_ACTIVE = text("SELECT * FROM automation WHERE merchant = :merchant AND active ORDER BY id")
_ONE = text("SELECT * FROM automation WHERE id = :id")
_TURN = text("UPDATE automation SET active = :active WHERE id = :id AND merchant = :merchant")
_COUNTS = text(
    "SELECT automation, state, count(*) AS n FROM automation_run WHERE merchant = :merchant GROUP BY automation, state"
)
_RUNS = text(
    "SELECT person, n, state, why, ref, begun_ms, due_ms, done_ms FROM automation_run"
    " WHERE merchant = :merchant AND automation = :automation ORDER BY begun_ms DESC, person LIMIT :limit"
)
_UNLESS = (
    " AND p.id NOT IN (SELECT coalesce(a.person, r.person) FROM automation_run AS r LEFT JOIN person_alias AS a"
    " ON a.alias = r.person WHERE r.automation = :automation AND (r.state = 'due' OR r.begun_ms > :since))"
    " ORDER BY p.id LIMIT :limit"
)
_OPEN_RUN = text(
    "SELECT 1 FROM automation_run WHERE automation = :automation AND person IN :people"
    " AND (state = 'due' OR begun_ms > :since)"
).bindparams(bindparam("people", expanding=True))
_BEGIN = text(
    "INSERT INTO automation_run (automation, person, n, merchant, state, begun_ms, due_ms)"
    " SELECT CAST(:automation AS varchar), CAST(:person AS varchar), count(*) + 1, CAST(:merchant AS varchar), 'due',"
    " CAST(:now AS bigint), CAST(:due AS bigint) FROM automation_run"
    " WHERE automation = :automation AND person = :person"
)
_DUE_RUNS = text(
    "SELECT person, n FROM automation_run WHERE automation = :automation AND state = 'due' AND due_ms <= :now"
    " ORDER BY due_ms, person LIMIT :limit"
)
_NEXT = text("SELECT min(due_ms) FROM automation_run WHERE automation = :automation AND state = 'due'")
_END = text(
    "UPDATE automation_run SET state = :state, why = :why, ref = :ref, done_ms = :now"
    " WHERE automation = :automation AND person = :person AND n = :n"
)


@dataclass(frozen=True, slots=True)
class BeginRuns:
    """Begin runs of an automation for those who meet its condition and have none yet."""

    merchant: str
    automation: str
    people: tuple[str, ...]


def add(db: Connection, **row: Any) -> None:
    """Keep an automation. Raises Refused (limit)."""
    if db.execute(_COUNT, {"merchant": row["merchant"]}).scalar_one() >= AUTOMATIONS_MAX:
        raise Refused("limit", f"a shop has at most {AUTOMATIONS_MAX} automations")
    db.execute(_ADD, row)


def turn(db: Connection, merchant: str, automation: str, *, active: bool) -> None:
    """Switch an automation on or off; runs under way are skipped while it is off. Raises NotFound."""
    if not db.execute(_TURN, {"id": automation, "merchant": merchant, "active": active}).rowcount:
        raise NotFound("no such automation")


def automations(db: Connection, merchant: str) -> list[Row]:
    """A merchant's automations, newest first, with counts of their runs by state."""
    counts: dict[str, dict[str, int]] = {}
    for row in db.execute(_COUNTS, {"merchant": merchant}):
        counts.setdefault(row.automation, {})[row.state] = row.n
    found = db.execute(_LIST, {"merchant": merchant}).mappings()
    return [{**row, "active": bool(row["active"]), "counts": counts.get(row["id"], {})} for row in found]


def active(db: Connection, merchant: str) -> list[Row]:
    """A merchant's automations that are on."""
    return [dict(row) for row in db.execute(_ACTIVE, {"merchant": merchant}).mappings()]


def runs(db: Connection, merchant: str, automation: str, limit: int) -> list[Row]:
    """Runs of an automation, newest first."""
    asked = {"merchant": merchant, "automation": automation, "limit": limit}
    return [dict(row) for row in db.execute(_RUNS, asked).mappings()]


def waiting(db: Connection, row: Row, condition: Condition, now_ms: int) -> list[str]:
    """Some of those who meet an automation's condition and have no run, or none for ``again_days``."""
    query, values = everybody(condition, now_ms, "p.id", _UNLESS)
    asked = {"merchant": row["merchant"], "automation": row["id"], "limit": BEGUN_MAX}
    asked["since"] = _since(row["again_days"], now_ms)
    return list(db.execute(query, {**asked, **values}).scalars())


def begin_runs(batch: Batch, command: BeginRuns) -> int:
    """Begin runs; how many. Who was told of twice at once begins one."""
    row = batch.one(_ONE, id=command.automation)
    if row is None or row.merchant != command.merchant or not row.active:
        return 0
    # Whether they meet the condition was asked outside, and is asked again when the run is due.
    since_ms = _since(row.again_days, batch.now_ms)
    people = [
        person
        for person in dict.fromkeys(command.people)
        if batch.run(_OPEN_RUN, automation=row.id, people=aliases_of(batch.connection, person), since=since_ms).first()
        is None
    ]
    due_ms = batch.now_ms + row.delay_ms
    for person in people:
        batch.run(_BEGIN, automation=row.id, person=person, merchant=row.merchant, now=batch.now_ms, due=due_ms)
    if people:
        _arm_next(batch, row.id)
    return len(people)


def runs_due(batch: Batch, automation: str) -> None:
    """End runs whose time has come: do what is to be done for who still meets the condition."""
    row = batch.one(_ONE, id=automation)
    if row is None:
        return
    due = batch.run(_DUE_RUNS, automation=automation, now=batch.now_ms, limit=DONE_MAX).all()
    people = {run.person: survivor(batch.connection, run.person) for run in due}
    holds = tags_sql.meeting(
        batch.connection, row.merchant, _condition(row), batch.now_ms, sorted(set(people.values()))
    )
    for run in due:
        person = people[run.person]
        state, why, ref = "skipped", "off", ""
        if row.active:
            state, why, ref = _act(batch, row, person, run.n) if person in holds else ("skipped", "changed", "")
        batch.run(
            _END, automation=automation, person=run.person, n=run.n, state=state, why=why, ref=ref, now=batch.now_ms
        )
    _arm_next(batch, automation)


def _since(again_days: int, now_ms: int) -> int:
    """A run that began after this moment keeps another from beginning."""
    return now_ms - again_days * DAY_MS if again_days else -1


def _condition(row: Any) -> Condition:
    return read_condition(orjson.loads(row.condition))


def _arm_next(batch: Batch, automation: str) -> None:
    next_ms = batch.run(_NEXT, automation=automation).scalar_one_or_none()
    if next_ms is not None:
        arm(batch, DUE, automation, int(next_ms))


def _act(batch: Batch, row: Any, person: str, n: int) -> tuple[str, str, str]:
    """Do it: state, cause and what came of it."""
    action = orjson.loads(row.action)
    key = f"auto/{row.id}/{person}/{n}"
    if action["kind"] == "tag":
        tags_sql.give_tag(batch.connection, row.merchant, person, action["tag"], batch.now_ms)
        return "done", "", action["tag"]
    if action["kind"] == "message":
        body = orjson.dumps(action["body"]).decode()
        message = batch.mint()
        line = {"id": message, "merchant": row.merchant, "person": person, "channel": action["channel"]}
        line |= {"purpose": "marketing", "key": key, "body": body, "now": batch.now_ms}
        messages_sql.put(batch.connection, [line])
        return "done", "", message
    claim = Claim(row.merchant, action["room"], person, action["drop"], f"auto-{row.id}-{n}", "", WAY)
    [granted] = run_claims(batch, [claim])
    if isinstance(granted, CouponGranted):
        return "done", "", granted.coupon
    return "skipped", granted.code if isinstance(granted, CommerceError) else "refused", ""


HANDLERS: Mapping[type, Callable[[Batch, Any], Any]] = {BeginRuns: begin_runs}
