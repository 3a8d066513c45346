# ruff: noqa: S608 (statements are put together from this module's constants alone)
"""Statements of advice: advisors, questions, answers; each runs inside the caller's transaction.

A question moves by compare-and-set on its state, advisor and time: a sweep of another process, or an answer that came
in the same moment, is seen as such.
"""

from collections.abc import Sequence
from typing import Any

import orjson
from sqlalchemy import Connection, bindparam, text

from commerce import advice_notice_sql
from commerce.domain.advisor import Advisor, Choice, Hours, match
from commerce.domain.org import Reach
from commerce.errors import NotFound, Refused
from commerce.identity.merge_sql import survivor

ADVISORS_MAX = 500
"""Of one merchant: all of them are looked at for each question."""
OPEN_MAX = 5
"""Questions of one person that wait at a time."""
ANSWERS_MAX = 20
"""To one question."""
WAIT_MS = 600_000
"""Whoever opened a question has ten minutes to answer. Then the next is asked."""
DUE_MAX = 200

Row = dict[str, Any]

_ADVISORS = text(
    "SELECT a.staff, s.name, a.skills, a.hours, a.most, a.active, a.last_ms, a.person, a.told, a.wecom_user,"
    " (SELECT count(*) FROM question AS q"
    " WHERE q.merchant = a.merchant AND q.advisor = a.staff AND q.state = 'given') AS load FROM advisor AS a"
    " JOIN staff AS s ON s.id = a.staff WHERE a.merchant = :merchant"
    " AND NOT EXISTS (SELECT 1 FROM org_member AS m WHERE m.staff = a.staff AND m.left_ms IS NOT NULL)"
    " ORDER BY a.staff LIMIT :limit"
)
_SET_ADVISOR = text(
    "INSERT INTO advisor (staff, merchant, skills, hours, most, active, updated_ms, person, wecom_user)"
    " VALUES (:staff, :merchant, :skills, :hours, :most, :active, :now, :person, :wecom_user)"
    " ON CONFLICT (staff) DO UPDATE SET skills = excluded.skills,"
    " hours = excluded.hours, most = excluded.most, active = excluded.active,"
    " updated_ms = excluded.updated_ms, person = coalesce(excluded.person, advisor.person),"
    " wecom_user = coalesce(excluded.wecom_user, advisor.wecom_user)"
)
_IS_PERSON = text("SELECT 1 FROM person WHERE id = :person AND merchant = :merchant")
_TOLD = text("UPDATE advisor SET told = :told, updated_ms = :now WHERE staff = :staff AND merchant = :merchant")
_IS_TOLD = text("SELECT told FROM advisor WHERE staff = :staff AND merchant = :merchant")
_OPENED = text(
    "UPDATE question SET opened_ms = :now, due_ms = :due WHERE id = :id AND merchant = :merchant AND advisor = :staff"
    " AND state = 'given' AND opened_ms IS NULL"
)
_IS_STAFF = text("SELECT 1 FROM staff WHERE id = :staff AND merchant = :merchant")
_COUNT = text("SELECT count(*) FROM advisor WHERE merchant = :merchant AND staff <> :staff")
_GAVE = text("UPDATE advisor SET last_ms = :now WHERE staff = :staff")
_OWN = text(
    "SELECT coalesce((SELECT staff FROM customer_advisor WHERE merchant = :merchant AND person = :person),"
    " (SELECT issuer FROM binding WHERE merchant = :merchant AND person = :person AND role = 'guide'"
    " AND closed_ms IS NULL)) AS own"
)
_SET_OWN = text(
    "INSERT INTO customer_advisor (merchant, person, staff, since_ms) VALUES (:merchant, :person, :staff, :now)"
    " ON CONFLICT (merchant, person) DO UPDATE SET staff = excluded.staff, since_ms = excluded.since_ms"
)
_NO_OWN = text("DELETE FROM customer_advisor WHERE merchant = :merchant AND person = :person")
_Q = (
    "q.id, q.merchant, q.person, p.name, q.room, q.skill, q.body, q.state, q.advisor, s.name AS advisor_name, q.tried,"
    " q.choice, q.due_ms, q.public, q.created_ms, q.answered_ms, q.opened_ms FROM question AS q"
    " LEFT JOIN person AS p ON p.id = q.person LEFT JOIN staff AS s ON s.id = q.advisor"
)
_ONE = text(f"SELECT {_Q} WHERE q.id = :id AND q.merchant = :merchant")
_WAITING = text("SELECT count(*) FROM question WHERE person = :person AND state IN ('waiting', 'given')")
_ASK = text(
    "INSERT INTO question (id, merchant, person, room, skill, body, state, advisor, tried, choice, due_ms, public,"
    " created_ms, answered_ms) VALUES (:id, :merchant, :person, :room, :skill, :body, 'waiting', NULL, '[]', '{}',"
    " :now, false, :now, NULL)"
)
_GIVE = text(
    "UPDATE question SET state = :state, advisor = :advisor, tried = :tried, choice = :choice, due_ms = :due,"
    " opened_ms = NULL WHERE id = :id AND state = :was AND due_ms = :was_due"
)
_DUE = text(
    "SELECT id, merchant FROM question WHERE due_ms IS NOT NULL AND due_ms <= :now ORDER BY due_ms LIMIT :limit"
)
_ANSWERED = text(
    "UPDATE question SET state = 'answered', due_ms = NULL, answered_ms = :now, advisor = :staff"
    " WHERE id = :id AND state IN ('waiting', 'given', 'answered')"
)
_ACCEPT = text(
    "UPDATE question SET state = 'accepted', public = :public"
    " WHERE id = :id AND merchant = :merchant AND person = :person AND state IN ('answered', 'accepted')"
)
_REPLY = text(
    "INSERT INTO answer (id, question, person, staff, body, goods, created_ms)"
    " VALUES (:id, :question, :person, :staff, :body, :goods, :now)"
)
_REPLIES = text("SELECT count(*) FROM answer WHERE question = :id")
_ANSWERS = text(
    "SELECT a.id, a.question, a.staff, s.name, a.body, a.goods, a.created_ms FROM answer AS a"
    " LEFT JOIN staff AS s ON s.id = a.staff WHERE a.question IN :ids ORDER BY a.id"
).bindparams(bindparam("ids", expanding=True))
_SKUS = text(
    "SELECT s.id, p.title, p.image, s.price FROM sku AS s JOIN product AS p ON p.id = s.product"
    " WHERE s.merchant = :merchant AND s.id IN :ids"
).bindparams(bindparam("ids", expanding=True))
_PAGE = f"SELECT {_Q} WHERE q.merchant = :merchant AND q.id < :before AND (:state = '' OR q.state = :state)"
_ORDER = " ORDER BY q.id DESC LIMIT :limit"
_ALL = text(_PAGE + _ORDER)
_OF_PART = text(
    f"{_PAGE} AND (q.advisor = :who OR q.advisor IN (SELECT m.staff FROM org_member AS m"
    f" JOIN org_above AS a ON a.node = m.node WHERE a.above = :reach_node)){_ORDER}"
)
_WITHIN = text(
    "SELECT 1 FROM question AS q WHERE q.id = :id AND (q.advisor = :who OR q.advisor IN (SELECT m.staff"
    " FROM org_member AS m JOIN org_above AS a ON a.node = m.node WHERE a.above = :reach_node))"
)
_MINE = text(f"SELECT {_Q} WHERE q.merchant = :merchant AND q.person = :person{_ORDER}")
_PUBLIC = text(
    f"SELECT {_Q} WHERE q.merchant = :merchant AND q.state = 'accepted' AND q.public"
    f" AND (:skill = '' OR q.skill = :skill){_ORDER}"
)


# --- advisors --------------------------------------------------------------------------------------------------------


def advisors(db: Connection, merchant: str) -> list[Row]:
    """The advisors of a merchant who have not left, with how much each has to do."""
    rows = db.execute(_ADVISORS, {"merchant": merchant, "limit": ADVISORS_MAX}).mappings()
    return [
        {
            **row,
            "skills": orjson.loads(row["skills"]),
            "hours": orjson.loads(row["hours"]),
            "active": bool(row["active"]),
            "told": bool(row["told"]),
        }
        for row in rows
    ]


def set_advisor(db: Connection, row: Row) -> None:
    """Make an account an advisor, or change what they do. Raises NotFound, Refused (limit)."""
    asked = {"staff": row["staff"], "merchant": row["merchant"]}
    if db.execute(_IS_STAFF, asked).one_or_none() is None:
        raise NotFound("no such account")
    if db.execute(_COUNT, asked).scalar_one() >= ADVISORS_MAX:
        raise Refused("limit", f"a shop has at most {ADVISORS_MAX} advisors")
    person = row["person"] and survivor(db, row["person"])
    if person and db.execute(_IS_PERSON, {"person": person, "merchant": row["merchant"]}).one_or_none() is None:
        raise NotFound("no such person", field="person")
    row = {**row, "person": person or None}
    db.execute(_SET_ADVISOR, {**row, "skills": _json(row["skills"]), "hours": _json(row["hours"])})


def set_told(db: Connection, merchant: str, staff: str, now_ms: int, *, told: bool) -> None:
    """An advisor wants to be told of questions outside the page, or no more. Raises NotFound."""
    if not db.execute(_TOLD, {"merchant": merchant, "staff": staff, "told": told, "now": now_ms}).rowcount:
        raise NotFound("this account is no advisor")


def told(db: Connection, merchant: str, staff: str) -> bool | None:
    """Whether an advisor wants to be told; None for who is no advisor."""
    found = db.execute(_IS_TOLD, {"merchant": merchant, "staff": staff}).scalar_one_or_none()
    return None if found is None else bool(found)


def opened(db: Connection, merchant: str, question: str, staff: str, now_ms: int) -> bool:
    """The advisor looks at a question that is theirs: they have time to answer from now on; whether this was the first
    look. Raises NotFound.
    """
    row = one(db, merchant, question)
    if row["state"] != "given" or row["advisor"] != staff:
        raise NotFound("no such question of yours")
    asked = {"id": question, "merchant": merchant, "staff": staff, "now": now_ms, "due": now_ms + WAIT_MS}
    return bool(db.execute(_OPENED, asked).rowcount)


def own_of(db: Connection, merchant: str, person: str) -> str | None:
    """The advisor whose customer somebody is: the one that was named, else their guide."""
    found = db.execute(_OWN, {"merchant": merchant, "person": person}).scalar_one_or_none()
    return None if found is None else str(found)


def set_own(db: Connection, merchant: str, person: str, staff: str | None, now_ms: int) -> None:
    """Name the advisor whose customer somebody is; None: their guide again. Raises NotFound."""
    who = survivor(db, person)
    if staff is None:
        db.execute(_NO_OWN, {"merchant": merchant, "person": who})
        return
    if staff not in {row["staff"] for row in advisors(db, merchant)}:
        raise NotFound("this account is no advisor")
    db.execute(_SET_OWN, {"merchant": merchant, "person": who, "staff": staff, "now": now_ms})


# --- questions -------------------------------------------------------------------------------------------------------


def ask(db: Connection, row: Row) -> None:
    """Write a question and give it to somebody. Raises Refused (limit)."""
    row = {**row, "person": survivor(db, row["person"])}
    if db.execute(_WAITING, {"person": row["person"]}).scalar_one() >= OPEN_MAX:
        raise Refused("limit", f"at most {OPEN_MAX} questions wait at a time")
    db.execute(_ASK, row)
    give(db, row["merchant"], row["id"], row["now"])


def give(db: Connection, merchant: str, question: str, now_ms: int, *, passed: bool = False) -> bool:
    """Match a question anew; ``passed``: whoever had it hands it on before their time is over.

    When all who could have been asked were, it waits and everybody may be asked again. Says whether it moved.
    """
    row = one(db, merchant, question)
    if row["state"] not in ("waiting", "given") or (row["due_ms"] > now_ms and not passed):
        return False
    tried = list(row["tried"])
    if row["state"] == "given":
        tried.append(row["advisor"])
    choice = _match(db, row, now_ms, tried)
    state = "waiting" if choice.staff is None else "given"
    moved = db.execute(
        _GIVE,
        {
            "id": question,
            "state": state,
            "advisor": choice.staff,
            "tried": _json(tried if choice.staff is not None else []),
            "choice": _json(_told(choice)),
            "due": now_ms + advice_notice_sql.open_ms(db, merchant),
            "was": row["state"],
            "was_due": row["due_ms"],
        },
    ).rowcount
    if moved and choice.staff is not None:
        db.execute(_GAVE, {"staff": choice.staff, "now": now_ms})
        advice_notice_sql.tell_advisor(db, row, choice.staff, now_ms)
    return bool(moved)


def _match(db: Connection, row: Row, now_ms: int, tried: Sequence[str]) -> Choice:
    there = [
        Advisor(
            one["staff"],
            frozenset(one["skills"]),
            tuple(Hours(*span) for span in one["hours"]),
            one["most"],
            one["load"],
            one["last_ms"],
        )
        for one in advisors(db, row["merchant"])
        if one["active"]
    ]
    return match(there, row["skill"], now_ms, own=own_of(db, row["merchant"], row["person"]), tried=tried)


def due(db: Connection, now_ms: int) -> list[tuple[str, str]]:
    """Questions whose time is over: (merchant, question)."""
    return [(row.merchant, row.id) for row in db.execute(_DUE, {"now": now_ms, "limit": DUE_MAX})]


def one(db: Connection, merchant: str, question: str) -> Row:
    """A question. Raises NotFound."""
    found = db.execute(_ONE, {"id": question, "merchant": merchant}).mappings().one_or_none()
    if found is None:
        raise NotFound("no such question")
    return _question(found)


def within(db: Connection, merchant: str, question: str, who: str, reach: Reach | None) -> Row:
    """A question that an account may see: its own, those of its part. Raises NotFound."""
    found = one(db, merchant, question)
    if reach is not None:
        asked = {"id": question, "who": who, "reach_node": reach.node}
        if db.execute(_WITHIN, asked).one_or_none() is None:
            raise NotFound("no such question")
    return found


def answer(db: Connection, merchant: str, row: Row, goods: Sequence[Row], now_ms: int) -> None:
    """Write an answer, and to whoever asked that there is one. Raises Refused (already: accepted; limit)."""
    if db.execute(_REPLIES, {"id": row["question"]}).scalar_one() >= ANSWERS_MAX:
        raise Refused("limit", f"a question has at most {ANSWERS_MAX} answers")
    if not db.execute(_ANSWERED, {"id": row["question"], "now": now_ms, "staff": row["staff"]}).rowcount:
        raise Refused("already", "this question has its answer")
    db.execute(_REPLY, {**row, "goods": _json(list(goods)), "now": now_ms})
    advice_notice_sql.tell_asker(db, one(db, merchant, row["question"]), row["id"], now_ms)


def accept(db: Connection, merchant: str, question: str, person: str, *, public: bool) -> None:
    """The asker takes the answer; ``public``: others may read it, without their name. Raises NotFound."""
    asked = {"id": question, "merchant": merchant, "person": survivor(db, person), "public": public}
    if not db.execute(_ACCEPT, asked).rowcount:
        raise NotFound("no such question of yours that was answered")


def page(
    db: Connection, merchant: str, who: str, reach: Reach | None, state: str, before: str, limit: int
) -> list[Row]:
    """Questions of a merchant or of a part of it, newest first."""
    asked: Row = {"merchant": merchant, "state": state, "before": before, "limit": limit}
    if reach is None:
        rows = db.execute(_ALL, asked).mappings()
    else:
        rows = db.execute(_OF_PART, asked | {"who": who, "reach_node": reach.node}).mappings()
    return [_question(row) for row in rows]


def mine(db: Connection, merchant: str, person: str, limit: int) -> list[Row]:
    """A person's questions, newest first."""
    asked = {"merchant": merchant, "person": person, "limit": limit}
    return [_question(row) for row in db.execute(_MINE, asked).mappings()]


def public(db: Connection, merchant: str, skill: str, limit: int) -> list[Row]:
    """Questions whose answers stay for everybody to read, newest first."""
    asked = {"merchant": merchant, "skill": skill, "limit": limit}
    return [_question(row) for row in db.execute(_PUBLIC, asked).mappings()]


def answers(db: Connection, merchant: str, questions: Sequence[str]) -> dict[str, list[Row]]:
    """The answers to some questions, with what is recommended as it is now."""
    if not questions:
        return {}
    rows = [dict(row) for row in db.execute(_ANSWERS, {"ids": list(questions)}).mappings()]
    for row in rows:
        row["goods"] = orjson.loads(row["goods"])
    skus = sorted({goods["sku"] for row in rows for goods in row["goods"]})
    known = {}
    if skus:
        known = {row["id"]: row for row in db.execute(_SKUS, {"merchant": merchant, "ids": skus}).mappings()}
    found: dict[str, list[Row]] = {}
    for row in rows:
        goods = [
            {**given, **{name: known[given["sku"]][name] for name in ("title", "image", "price")}}
            for given in row["goods"]
            if given["sku"] in known
        ]
        found.setdefault(row["question"], []).append({**row, "goods": goods})
    return found


def _question(row: Any) -> Row:
    return {
        **row,
        "tried": orjson.loads(row["tried"]),
        "choice": orjson.loads(row["choice"]),
        "public": bool(row["public"]),
    }


def _told(choice: Choice) -> Row:
    return {
        "staff": choice.staff,
        "verdicts": [{"staff": one.staff, "word": one.word, "load": one.load} for one in choice.verdicts],
    }


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()
