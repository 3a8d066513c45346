"""What became of mass messages that WeCom took: asked for by task, ever less often, until each is known.

WeCom takes a mass message as a task for a member of staff, who sends it with one tap, or does not. Who the customer is
at WeCom is kept here only as long as the answer is awaited.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, text

FIRST_ASK_MS = 600_000
"""Staff have seen the task by then."""
MOST_ASK_MS = 86_400_000
ASKS_MAX = 14
"""Doubling from ten minutes to a day: some eight days. What nobody sent by then will not be."""
TASKS_MAX = 20
"""Tasks asked for in one turn: a request of a second or so each."""
OUTCOMES = ("delivered", "no_friend", "had_another", "untapped")

_ENTER = text(
    "INSERT INTO wecom_delivery (message, merchant, number, sender, external, outcome, asks, ask_ms)"
    " VALUES (:message, :merchant, :number, :sender, :external, 'waiting', 0, :ask) ON CONFLICT (message) DO NOTHING"
)
_TASKS = text(
    "WITH due AS MATERIALIZED (SELECT merchant, number, sender, asks, ask_ms FROM wecom_delivery WHERE ask_ms <= :now)"
    " SELECT merchant, number, sender, min(asks) AS asks FROM due"
    " GROUP BY merchant, number, sender ORDER BY min(ask_ms), number LIMIT :limit"
)
_OF_TASK = "merchant = :merchant AND number = :number AND sender = :sender AND ask_ms IS NOT NULL"
_WAITING = text(f"SELECT external FROM wecom_delivery WHERE {_OF_TASK} ORDER BY external")  # noqa: S608 - a constant
_ASKED = text(f"UPDATE wecom_delivery SET asks = asks + 1, ask_ms = :ask WHERE {_OF_TASK}")  # noqa: S608
_GIVEN_UP = text(
    f"UPDATE wecom_delivery SET outcome = 'untapped', external = '', ask_ms = NULL WHERE {_OF_TASK}"  # noqa: S608
)
_TOLD = text(
    f"UPDATE wecom_delivery SET outcome = :outcome, external = '', ask_ms = NULL WHERE {_OF_TASK}"  # noqa: S608
    " AND external IN :externals"
).bindparams(bindparam("externals", expanding=True))
_OUTCOMES = text("SELECT message, outcome FROM wecom_delivery WHERE message IN :ids").bindparams(
    bindparam("ids", expanding=True)
)


@dataclass(frozen=True, slots=True)
class Task:
    """A mass message of one sender, as WeCom calls it, and those customers of whom it has not been told yet."""

    merchant: str
    number: str
    sender: str
    externals: tuple[str, ...]


def enter(db: Connection, message: str, merchant: str, number: str, sender: str, external: str, now_ms: int) -> None:
    """A message was taken: what became of it is asked later."""
    row = {"message": message, "merchant": merchant, "number": number, "sender": sender, "external": external}
    db.execute(_ENTER, {**row, "ask": now_ms + FIRST_ASK_MS})


def claim(db: Connection, now_ms: int) -> list[Task]:
    """Take the tasks that are to be asked for now; each is asked again later unless it is told of by then."""
    found = []
    for row in db.execute(_TASKS, {"now": now_ms, "limit": TASKS_MAX}).all():
        task = {"merchant": row.merchant, "number": row.number, "sender": row.sender}
        if row.asks >= ASKS_MAX:
            db.execute(_GIVEN_UP, task)
            continue
        wait_ms = min(MOST_ASK_MS, FIRST_ASK_MS << (row.asks + 1))
        externals = tuple(db.execute(_WAITING, task).scalars())
        db.execute(_ASKED, {**task, "ask": now_ms + wait_ms})
        found.append(Task(row.merchant, row.number, row.sender, externals))
    return found


def told(db: Connection, task: Task, outcomes: Mapping[str, str]) -> int:
    """Write what WeCom says of some customers of a task; how many messages that were."""
    known = 0
    asked = {"merchant": task.merchant, "number": task.number, "sender": task.sender}
    for outcome in OUTCOMES:
        externals = [one for one in task.externals if outcomes.get(one) == outcome]
        if externals:
            known += db.execute(_TOLD, {**asked, "outcome": outcome, "externals": externals}).rowcount
    return known


def outcomes(db: Connection, messages: Sequence[str]) -> dict[str, str]:
    """What became of some messages, as far as that is known; those of other channels are left out."""
    if not messages:
        return {}
    found = db.execute(_OUTCOMES, {"ids": list(messages)})
    return {row.message: row.outcome for row in found if row.outcome != "waiting"}
