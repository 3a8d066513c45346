# ruff: noqa: S608 (statements are put together from this module's constants alone)
"""Statements of helper tasks: each runs inside the caller's transaction."""

from typing import Any

from sqlalchemy import Connection, text

from commerce.crm import policy_sql
from commerce.domain.day import DAY_MS
from commerce.domain.helping import PER_DAY_MAX, Counted, Help, count
from commerce.errors import NotFound, Refused
from commerce.identity.merge_sql import survivor

TASKS_MAX = 50
"""Open tasks of one merchant: a person is shown all of them."""
OWED_MAX = 200

Row = dict[str, Any]

_TASK = "t.id, t.merchant, t.room, t.title, t.reason, t.needed, t.amount, t.threshold, t.days, t.active, t.until_ms"
_INSERT = text(
    "INSERT INTO help_task (id, merchant, room, title, reason, needed, amount, threshold, days, active, until_ms,"
    " staff, created_ms) VALUES (:id, :merchant, :room, :title, :reason, :needed, :amount, :threshold, :days, true,"
    " :until, :staff, :now)"
)
_OPEN = text("SELECT count(*) FROM help_task WHERE merchant = :merchant AND active")
_OWN_ROOM = text("SELECT 1 FROM room WHERE id = :id AND merchant = :merchant")
_TURN = text("UPDATE help_task SET active = :active WHERE id = :id AND merchant = :merchant")
_TASKS = text(
    f"SELECT {_TASK}, (SELECT count(*) FROM help_poster AS p WHERE p.task = t.id) AS posters,"
    " (SELECT count(*) FROM helping AS h WHERE h.task = t.id) AS helpers,"
    " (SELECT count(*) FROM help_poster AS p WHERE p.task = t.id AND p.coupon <> '') AS given,"
    " (SELECT count(*) FROM help_poster AS p WHERE p.task = t.id AND p.done_ms IS NOT NULL AND p.coupon = '') AS owed"
    " FROM help_task AS t WHERE t.merchant = :merchant ORDER BY t.id DESC LIMIT :limit"
)
_RUNNING = text(
    f"SELECT {_TASK}, p.id AS poster, p.link, p.done_ms, p.coupon FROM help_task AS t LEFT JOIN help_poster AS p"
    " ON p.task = t.id AND p.person = :person WHERE t.merchant = :merchant"
    " AND ((t.active AND t.until_ms > :now) OR p.id IS NOT NULL) ORDER BY t.id DESC LIMIT :limit"
)
_ONE_TASK = text(f"SELECT {_TASK} FROM help_task AS t WHERE t.id = :id AND t.merchant = :merchant")
_POSTER = text(
    f"SELECT p.id, p.task, p.person, p.link, p.done_ms, p.coupon, o.name, {_TASK.replace('t.id, ', '')}"
    " FROM help_poster AS p JOIN help_task AS t ON t.id = p.task LEFT JOIN person AS o ON o.id = p.person"
    " WHERE p.id = :id"
)
_MAKE = text(
    "INSERT INTO help_poster (id, task, person, link, created_ms) VALUES (:id, :task, :person, :link, :now)"
    " ON CONFLICT (task, person) DO NOTHING"
)
_OF_PERSON = text("SELECT id FROM help_poster WHERE task = :task AND person = :person")
_HELP = text(
    "INSERT INTO helping (task, person, poster, network, helped_ms) VALUES (:task, :person, :poster, :network, :now)"
    " ON CONFLICT (task, person) DO NOTHING"
)
_TODAY = text("SELECT count(*) FROM helping WHERE person = :person AND helped_ms > :since")
_HELPS = text(
    "SELECT coalesce(a.person, h.person) AS helper, h.network FROM helping AS h"
    " LEFT JOIN person_alias AS a ON a.alias = h.person WHERE h.poster = :poster ORDER BY h.helped_ms, h.person"
)
_DONE = text("UPDATE help_poster SET done_ms = :now WHERE id = :id AND done_ms IS NULL")
# Those that a budget can pay: the many of one that is empty keep nobody else waiting.
_OWED = text(
    "SELECT p.id FROM help_poster AS p JOIN help_task AS t ON t.id = p.task JOIN account AS a"
    " ON a.merchant = t.merchant AND a.owner = t.id AND a.kind = 'budget' AND a.balance >= t.amount"
    " WHERE p.done_ms IS NOT NULL AND p.coupon = '' ORDER BY p.done_ms LIMIT :limit"
)
_GAVE = text("UPDATE help_poster SET coupon = :coupon WHERE id = :id AND coupon = ''")
_FORGET = text("UPDATE helping SET network = '' WHERE network <> '' AND helped_ms < :before")
KEPT_MS = 30 * DAY_MS
"""How long the name of a helper's network is kept: the fraud that it is there for shows at once."""


def add(db: Connection, row: Row) -> None:
    """Write a new task. Raises Refused (closed: the shop has not turned them on; limit), NotFound (room)."""
    _require_on(db, row["merchant"])
    if db.execute(_OPEN, {"merchant": row["merchant"]}).scalar_one() >= TASKS_MAX:
        raise Refused("limit", f"at most {TASKS_MAX} tasks are open at a time")
    if db.execute(_OWN_ROOM, {"id": row["room"], "merchant": row["merchant"]}).one_or_none() is None:
        raise NotFound("no such room")
    db.execute(_INSERT, row)


def turn(db: Connection, merchant: str, task: str, *, active: bool) -> None:
    """Open a task or end it. Raises NotFound, Refused (closed)."""
    if active:
        _require_on(db, merchant)
    if not db.execute(_TURN, {"id": task, "merchant": merchant, "active": active}).rowcount:
        raise NotFound("no such task")


def tasks(db: Connection, merchant: str) -> list[Row]:
    """A merchant's tasks with what became of them, newest first."""
    return [dict(row) for row in db.execute(_TASKS, {"merchant": merchant, "limit": 4 * TASKS_MAX}).mappings()]


def running(db: Connection, merchant: str, person: str, now_ms: int) -> list[Row]:
    """What a person can do and has done: open tasks and their own posters with how many helped."""
    if not is_on(db, merchant):
        return []
    asked = {"merchant": merchant, "person": person, "now": now_ms, "limit": 2 * TASKS_MAX}
    rows = [dict(row) for row in db.execute(_RUNNING, asked).mappings()]
    return [{**row, "helped": len(counted(db, row["poster"], person).helpers) if row["poster"] else 0} for row in rows]


def task(db: Connection, merchant: str, identifier: str, now_ms: int) -> Row:
    """A task that is open. Raises NotFound, Refused (closed)."""
    found = db.execute(_ONE_TASK, {"id": identifier, "merchant": merchant}).mappings().one_or_none()
    if found is None:
        raise NotFound("no such task")
    _require_open(db, dict(found), now_ms)
    return dict(found)


def make(db: Connection, merchant: str, row: Row) -> str:
    """Make a person's poster of a task, or give the one they have; its id. Raises NotFound, Refused (closed)."""
    person = survivor(db, row["person"])
    task(db, merchant, row["task"], row["now"])
    db.execute(_MAKE, {**row, "person": person})
    return str(db.execute(_OF_PERSON, {"task": row["task"], "person": person}).scalar_one())


def poster_of(db: Connection, task: str, person: str) -> str | None:
    """A person's poster of a task, if they have made one."""
    found = db.execute(_OF_PERSON, {"task": task, "person": survivor(db, person)}).scalar_one_or_none()
    return None if found is None else str(found)


def poster(db: Connection, identifier: str) -> Row:
    """A poster with its task, and how many helped. Raises NotFound."""
    found = db.execute(_POSTER, {"id": identifier}).mappings().one_or_none()
    if found is None:
        raise NotFound("no such poster")
    return {**found, "helped": len(counted(db, identifier, found["person"]).helpers)}


def counted(db: Connection, identifier: str, owner: str) -> Counted:
    """The helpers of a poster as the rules count them, by who they are now."""
    rows = db.execute(_HELPS, {"poster": identifier})
    return count(owner, [Help(row.helper, row.network) for row in rows])


def help_once(db: Connection, merchant: str, identifier: str, person: str, network: str, now_ms: int) -> Row:
    """Count a helper; the poster as it is then. Raises NotFound, Refused (closed, already, not_for_you, limit)."""
    row = poster(db, identifier)
    if row["merchant"] != merchant:
        raise NotFound("no such poster")
    _require_open(db, row, now_ms)
    who = survivor(db, person)
    if who == row["person"]:
        raise Refused("not_for_you", "one does not help oneself")
    if db.execute(_TODAY, {"person": who, "since": now_ms - DAY_MS}).scalar_one() >= PER_DAY_MAX:
        raise Refused("limit", f"one person helps {PER_DAY_MAX} times a day")
    asked = {"task": row["task"], "person": who, "poster": identifier, "network": network, "now": now_ms}
    if not db.execute(_HELP, asked).rowcount:
        raise Refused("already", "a person helps once in a task")
    now = counted(db, identifier, row["person"])
    if who not in now.helpers:
        # The row stays: whoever tries again from the same place is told the same.
        return {**row, "helped": len(now.helpers), "counted": False}
    if len(now.helpers) >= row["needed"]:
        db.execute(_DONE, {"id": identifier, "now": now_ms})
    return {**poster(db, identifier), "counted": True}


def owed(db: Connection) -> list[Row]:
    """Posters that are done and have no coupon yet, where the task's budget has one."""
    return [poster(db, identifier) for identifier in db.execute(_OWED, {"limit": OWED_MAX}).scalars().all()]


def gave(db: Connection, identifier: str, coupon: str) -> None:
    """Write down the coupon that a poster brought."""
    db.execute(_GAVE, {"id": identifier, "coupon": coupon})


def forget_networks(db: Connection, now_ms: int) -> int:
    """Forget the networks of helpers of a month ago; how many."""
    return db.execute(_FORGET, {"before": now_ms - KEPT_MS}).rowcount


def is_on(db: Connection, merchant: str) -> bool:
    """Whether the shop has turned helper tasks on."""
    return policy_sql.terms(db, merchant).helping == 1


def _require_on(db: Connection, merchant: str) -> None:
    if not is_on(db, merchant):
        raise Refused("closed", "helper tasks are off: the shop turns them on in its terms (helping: 1)")


def _require_open(db: Connection, row: Row, now_ms: int) -> None:
    _require_on(db, row["merchant"])
    if not row["active"] or row["until_ms"] <= now_ms:
        raise Refused("closed", "this task is over")
