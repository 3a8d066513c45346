"""Advice: customers ask, in a room or outside, the matched advisor answers; what they recommend carries their token.

asked ─ match ─▶ given ─ answered ─▶ accepted, and kept for others if the asker lets it be
  ▲      │         │ not opened in time, or not answered within ten minutes of that
  └─ waiting ◀─────┴─ the next (tried: those who let it lie)
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass
from functools import partial
from typing import Any

from commerce import advice_notice_sql, advice_sql
from commerce import catalogue_checks as check
from commerce.attribution.service import Attribution
from commerce.domain.advisor import (
    HOURS_MAX,
    LOAD_MAX,
    SKILL_CHARACTERS_MAX,
    SKILLS_MAX,
    Hours,
    hours_fault,
)
from commerce.domain.ids import AFTER_ALL
from commerce.domain.org import Reach
from commerce.errors import Invalid, NotFound, Refused
from commerce.fresh_ids import fresh_id
from commerce.periodic import Periodic
from commerce.store_sql import Store

LOOK_S = 15.0
"""How often it is looked for questions whose time is over: little beside the ten minutes that an advisor has."""
QUESTION_CHARACTERS_MAX = 500
ANSWER_CHARACTERS_MAX = 1_000
GOODS_MAX = 5
"""Products of one answer."""
CHANNEL = "advice"
"""Of the links under recommended products."""
MINE_MAX = 50


@dataclass(frozen=True, slots=True)
class Told:
    """What a person (an advisor by their account, or whoever asked) is to see on an open page, once by its ``key``.

    ``room``: where it was asked, empty outside of the rooms.
    """

    merchant: str
    room: str
    person: str
    key: str
    body: dict[str, Any]


class Advice:
    """Advisors and questions of each merchant. ``clock`` gives Unix milliseconds."""

    def __init__(
        self,
        store: Store,
        attribution: Attribution,
        *,
        clock: Callable[[], int],
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        """``wake`` is called when messages may wait to be sent."""
        self._wake = wake
        self.tell: Callable[[Told], None] = lambda _told: None
        """Is told of what somebody is to see on a page that is open."""
        self._store = store
        self._attribution = attribution
        self._clock = clock
        self._chores = Periodic(self.hand_on, LOOK_S, what="questions that nobody answered")

    def start(self) -> None:
        """Hand on what is not answered in time."""
        self._chores.start()

    async def close(self) -> None:
        """Hand on no more; what is due is handed on by the next start."""
        await self._chores.close()

    async def hand_on(self) -> int:
        """Give questions whose time is over to the next, and match those anew that wait; how many moved."""
        now_ms = self._clock()
        moved = 0
        for merchant, question in await self._store.read(lambda db: advice_sql.due(db, now_ms)):
            moved += await self._moved(merchant, question, partial(advice_sql.give, now_ms=now_ms))
        return moved

    async def _moved(self, merchant: str, question: str, move: Callable[[Any, str, str], bool]) -> bool:
        """Move a question, and tell whoever has it now."""

        def write(db: Any) -> dict[str, Any] | None:
            return advice_sql.one(db, merchant, question) if move(db, merchant, question) else None

        row = await self._store.write(write)
        if row is not None:
            self._told(row)
        return row is not None

    def _told(self, row: dict[str, Any]) -> None:
        self._wake()
        if row["state"] == "given":
            shown = {name: row[name] for name in ("body", "skill", "state")} | {"due": row["due_ms"]}
            body = {"t": "question", "question": {"question": row["id"], "name": row["name"] or "", **shown}}
            self.tell(Told(row["merchant"], row["room"], row["advisor"], f"{row['id']}:{row['due_ms']}", body))

    # --- advisors --------------------------------------------------------------------------------------------------

    async def advisors(self, merchant: str) -> list[dict[str, Any]]:
        """The advisors of a merchant, with how many questions each has now."""
        return await self._store.read(lambda db: advice_sql.advisors(db, merchant))

    async def set_advisor(
        self,
        merchant: str,
        staff: str,
        skills: Sequence[str],
        hours: Sequence[Hours],
        most: int,
        *,
        active: bool,
        person: str | None = None,
        wecom_user: str | None = None,
    ) -> None:
        """Make an account an advisor: skills (none: what nobody has to know), hours (none: always), ``most`` questions
        at a time, ``person``: who they are as a customer, ``wecom_user``: as a member at WeCom, where they are told
        of questions; None leaves either as it is.

        Raises Invalid, NotFound, Refused (limit).
        """
        words = [check.words(skill, "skills", SKILL_CHARACTERS_MAX) for skill in skills]
        if len(words) > SKILLS_MAX or len(set(words)) < len(words) or len(hours) > HOURS_MAX:
            raise Invalid(f"at most {SKILLS_MAX} skills, each once, and {HOURS_MAX} spans of hours", field="skills")
        fault = hours_fault(hours)
        if fault is not None:
            raise Invalid(fault, field="hours")
        if not 1 <= most <= LOAD_MAX:
            raise Invalid(f"most is 1 to {LOAD_MAX}", field="most")
        row: dict[str, Any] = {
            "merchant": merchant,
            "staff": staff,
            "skills": words,
            "hours": [astuple(span) for span in hours],
        }
        row |= {"most": most, "active": active, "now": self._clock(), "person": person}
        row["wecom_user"] = wecom_user
        await self._store.write(lambda db: advice_sql.set_advisor(db, row))

    async def skills(self, merchant: str) -> list[str]:
        """What one can ask about: the skills of those who answer now."""
        rows = await self.advisors(merchant)
        return sorted({skill for row in rows if row["active"] for skill in row["skills"]})

    async def own_of(self, merchant: str, person: str) -> str | None:
        """The advisor whose customer somebody is: the one named, else their guide; None for nobody."""
        return await self._store.read(lambda db: advice_sql.own_of(db, merchant, person))

    async def set_own(self, merchant: str, person: str, staff: str | None) -> None:
        """Name a customer's own advisor; None leaves it to their guide. Raises NotFound."""
        now_ms = self._clock()
        await self._store.write(lambda db: advice_sql.set_own(db, merchant, person, staff, now_ms))

    # --- questions -------------------------------------------------------------------------------------------------

    async def ask(self, merchant: str, person: str, body: str, skill: str, room: str) -> dict[str, Any]:
        """Ask, in a room or (empty) outside; the question as it was given. Raises Invalid, Refused (limit)."""
        now_ms = self._clock()
        row = {"id": fresh_id(now_ms), "merchant": merchant, "person": person}
        row |= {"body": check.words(body, "body", QUESTION_CHARACTERS_MAX), "room": room}
        row["skill"] = check.words(skill, "skill", SKILL_CHARACTERS_MAX, empty=True)

        def write(db: Any) -> dict[str, Any]:
            advice_sql.ask(db, {**row, "now": now_ms})
            return advice_sql.one(db, merchant, row["id"])

        asked = await self._store.write(write)
        self._told(asked)
        return asked

    async def open(self, merchant: str, question: str, who: str) -> bool:
        """The advisor who has a question looks at it; whether this was the first look. Raises NotFound."""
        now_ms = self._clock()
        return await self._store.write(lambda db: advice_sql.opened(db, merchant, question, who, now_ms))

    async def notice(self, merchant: str) -> dict[str, Any] | None:
        """How a shop tells of questions and answers outside the page; None when it does not."""
        return await self._store.read(lambda db: advice_notice_sql.notice(db, merchant))

    async def set_notice(self, merchant: str, given: Mapping[str, Any]) -> None:
        """Set how a shop tells of questions and answers outside the page."""
        row = {**given, "merchant": merchant, "now": self._clock()}
        await self._store.write(lambda db: advice_notice_sql.set_notice(db, row))

    async def told(self, merchant: str, staff: str) -> bool | None:
        """Whether an advisor is told outside the page as far as they are asked; None for who is no advisor."""
        return await self._store.read(lambda db: advice_sql.told(db, merchant, staff))

    async def set_told(self, merchant: str, staff: str, *, told: bool) -> None:
        """An advisor wants to be told outside the page, or no more. Raises NotFound."""
        now_ms = self._clock()
        await self._store.write(lambda db: advice_sql.set_told(db, merchant, staff, now_ms, told=told))

    async def answer(
        self,
        merchant: str,
        question: str,
        who: str,
        role: str,
        reach: Reach | None,
        body: str,
        skus: Sequence[str],
        fallback: str = "",
    ) -> None:
        """Answer, with products that carry the answerer's token. Raises NotFound, Invalid, Refused (already, limit).

        The advisor who has the question answers it, or whoever has its part of the shop. ``fallback`` is the room that
        the products of a question asked outside of the rooms lead to.
        """
        said = check.words(body, "body", ANSWER_CHARACTERS_MAX)
        if len(skus) > GOODS_MAX or len(set(skus)) < len(skus):
            raise Invalid(f"at most {GOODS_MAX} products, each once", field="skus")
        row = await self._store.read(lambda db: advice_sql.within(db, merchant, question, who, reach))
        if row["state"] == "accepted":
            raise Refused("already", "this question has its answer")
        room, goods = row["room"] or fallback, []
        for sku in skus:
            link = await self._attribution.mint_link(merchant, who, role, room=room or None, sku=sku, channel=CHANNEL)
            goods.append({"sku": sku, "token": link.token, "room": room})
        now_ms = self._clock()
        reply = {"id": fresh_id(now_ms), "question": question, "body": said}
        reply |= {"person": row["person"], "staff": who}
        await self._store.write(lambda db: advice_sql.answer(db, merchant, reply, goods, now_ms))
        self._wake()
        told = {"t": "answer", "answer": {"question": question, "body": said}}
        self.tell(Told(merchant, row["room"], row["person"], reply["id"], told))

    async def pass_on(self, merchant: str, question: str, who: str) -> dict[str, Any]:
        """The advisor who has a question hands it to the next. Raises NotFound."""
        now_ms = self._clock()

        def write(db: Any) -> dict[str, Any]:
            row = advice_sql.one(db, merchant, question)
            if row["state"] != "given" or row["advisor"] != who:
                raise NotFound("no such question of yours")
            advice_sql.give(db, merchant, question, now_ms, passed=True)
            return advice_sql.one(db, merchant, question)

        passed = await self._store.write(write)
        self._told(passed)
        return passed

    async def accept(self, merchant: str, question: str, person: str, *, public: bool) -> None:
        """The asker takes the answer; ``public`` lets others read it without their name. Raises NotFound."""
        await self._store.write(lambda db: advice_sql.accept(db, merchant, question, person, public=public))

    async def page(
        self, merchant: str, who: str, reach: Reach | None, state: str, before: str | None, limit: int
    ) -> list[dict[str, Any]]:
        """Questions of a merchant, or of a part's advisors, newest first, each with its answers."""
        start = before or AFTER_ALL
        return await self._store.read(
            lambda db: _with_answers(db, merchant, advice_sql.page(db, merchant, who, reach, state, start, limit))
        )

    async def mine(self, merchant: str, person: str) -> list[dict[str, Any]]:
        """A person's own questions and their answers, newest first."""
        return await self._store.read(
            lambda db: _with_answers(db, merchant, advice_sql.mine(db, merchant, person, MINE_MAX))
        )

    async def public(self, merchant: str, skill: str) -> list[dict[str, Any]]:
        """What was asked and answered for everybody to read."""
        return await self._store.read(
            lambda db: _with_answers(db, merchant, advice_sql.public(db, merchant, skill, MINE_MAX))
        )


def _with_answers(db: Any, merchant: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found = advice_sql.answers(db, merchant, [row["id"] for row in rows])
    return [{**row, "answers": found.get(row["id"], [])} for row in rows]
