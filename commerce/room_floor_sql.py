"""What a room's audience asks and votes: questions that wait, polls, one vote of each person.

A person who was merged has one vote, whichever ids they voted by; the earliest counts. That is read through
``person_alias`` and nothing is rewritten, so an unmerge gives each their own again. Votes stand here while their poll
is open; at its end they become sums.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import orjson
from sqlalchemy import Connection, Row, bindparam, text

from commerce.store_sql import Store

Clock = Callable[[], int]

QUESTIONS_MAX = 1_000
"""Read of one room; a room lets a tenth of that wait."""
POLLS_KEPT = 200
"""Polls of one room that stay readable, the newest: a year of shows with four each week."""

_ASK = text(
    "INSERT INTO room_question (id, room, person, name, text, asked_ms)"
    " VALUES (:id, :room, :person, :name, :text, :asked_ms) ON CONFLICT (id) DO NOTHING"
)
_UNASK = text("DELETE FROM room_question WHERE id = :id AND room = :room")
_QUESTIONS = text(
    "SELECT id, person, name, text, asked_ms FROM room_question WHERE room = :room ORDER BY asked_ms, id LIMIT :limit"
)
_POLL_COLUMNS = "id, room, title, options, started_ms, ends_ms, ended_ms, votes"
_OPEN_POLL = text(f"SELECT {_POLL_COLUMNS} FROM room_poll WHERE room = :room AND ended_ms = 0")  # noqa: S608 - constants
_NEWEST = text(
    f"SELECT {_POLL_COLUMNS} FROM room_poll WHERE room = :room AND (started_ms < :before_ms"  # noqa: S608 - constants
    " OR (started_ms = :before_ms AND id < :before)) ORDER BY started_ms DESC, id DESC LIMIT :limit"
)
_ONE = text(f"SELECT {_POLL_COLUMNS} FROM room_poll WHERE id = :id AND room = :room")  # noqa: S608 - constants
_PUT_POLL = text(
    "INSERT INTO room_poll (id, room, title, options, started_ms, ends_ms, ended_ms)"
    " VALUES (:id, :room, :title, :options, :started_ms, :ends_ms, 0)"
)
_FORGET = text(
    "DELETE FROM room_poll WHERE room = :room AND ended_ms > 0 AND id NOT IN"
    " (SELECT id FROM room_poll WHERE room = :room ORDER BY started_ms DESC, id DESC LIMIT :kept)"
)
_END = text("UPDATE room_poll SET ended_ms = :now, votes = :votes WHERE id = :id AND ended_ms = 0")
_NO_VOTES = text("DELETE FROM room_vote WHERE poll = :id")
_STATES = text("SELECT id, options, ends_ms, ended_ms FROM room_poll WHERE id IN :polls").bindparams(
    bindparam("polls", expanding=True)
)
# A row of the alias table may point to itself: whose merge was undone.
_SURVIVORS = text("SELECT alias, person FROM person_alias WHERE alias IN :ids").bindparams(
    bindparam("ids", expanding=True)
)
_ALIASES = text("SELECT alias, person FROM person_alias WHERE person IN :ids").bindparams(
    bindparam("ids", expanding=True)
)
_VOTED = text("SELECT poll, person FROM room_vote WHERE poll IN :polls AND person IN :ids").bindparams(
    bindparam("polls", expanding=True), bindparam("ids", expanding=True)
)
_VOTE = text(
    "INSERT INTO room_vote (poll, person, option, at_ms) VALUES (:poll, :person, :option, :now)"
    " ON CONFLICT (poll, person) DO NOTHING"
)
_SUMS = text(
    "SELECT first.option AS option, count(*) AS votes FROM (SELECT v.option AS option, row_number() OVER"
    " (PARTITION BY coalesce(a.person, v.person) ORDER BY v.at_ms, v.person) AS n FROM room_vote AS v"
    " LEFT JOIN person_alias AS a ON a.alias = v.person WHERE v.poll = :id) AS first WHERE first.n = 1"
    " GROUP BY first.option"
)


@dataclass(frozen=True, slots=True)
class QuestionRow:
    """A question that waits."""

    question: str
    person: str
    name: str
    text: str
    asked_ms: int


@dataclass(frozen=True, slots=True)
class PollRow:
    """A poll with the votes that count, one sum for each option; ``ended_ms`` is 0 while it is open."""

    poll: str
    title: str
    options: tuple[str, ...]
    started_ms: int
    ends_ms: int
    ended_ms: int
    votes: tuple[int, ...]


class RoomFloor:
    """Questions and polls in the shop's database; a write returns when it is synced."""

    def __init__(self, store: Store, *, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def ask(self, room: str, question: str, person: str, name: str, text: str, asked_ms: int) -> None:
        """Write down a question that waits. Raises ``IntegrityError`` for an unknown room."""
        row = {"id": question, "room": room, "person": person, "name": name, "text": text, "asked_ms": asked_ms}

        def change(db: Connection) -> None:
            db.execute(_ASK, row)

        await self._store.write(change)

    async def unask(self, room: str, question: str) -> None:
        """Forget a question; none there is fine."""

        def change(db: Connection) -> None:
            db.execute(_UNASK, {"id": question, "room": room})

        await self._store.write(change)

    async def open_poll(
        self, room: str, poll: str, title: str, options: Sequence[str], started_ms: int, ends_ms: int
    ) -> PollRow | None:
        """Write down a poll; ``ends_ms`` 0 has no end. Gives the poll of the room that is open already instead."""
        row = {"id": poll, "room": room, "title": title, "options": orjson.dumps(list(options)).decode()}

        def change(db: Connection) -> PollRow | None:
            present = db.execute(_OPEN_POLL, {"room": room}).one_or_none()
            if present is not None:
                return _poll(db, present)
            db.execute(_PUT_POLL, row | {"started_ms": started_ms, "ends_ms": ends_ms})
            db.execute(_FORGET, {"room": room, "kept": POLLS_KEPT})
            return None

        return await self._store.write(change)

    async def vote(self, votes: Sequence[tuple[str, str, int]]) -> list[str]:
        """Take votes (poll, person, option), in their order.

        Gives for each an empty text, or why it does not count: ``already``, ``closed``, ``not_found``.
        """
        now_ms = self._clock()
        return await self._store.write(lambda db: _vote(db, votes, now_ms))

    async def end_poll(self, room: str, poll: str) -> tuple[int, ...] | None:
        """End a poll, if nobody has yet; gives its result, None for a poll that there is not."""
        now_ms = self._clock()

        def change(db: Connection) -> tuple[int, ...] | None:
            found = db.execute(_ONE, {"id": poll, "room": room}).one_or_none()
            if found is None:
                return None
            row = _poll(db, found)
            if not row.ended_ms:
                db.execute(_END, {"id": poll, "now": now_ms, "votes": orjson.dumps(row.votes).decode()})
                db.execute(_NO_VOTES, {"id": poll})
            return row.votes

        return await self._store.write(change)

    async def of_room(self, room: str) -> tuple[PollRow | None, list[QuestionRow]]:
        """Read a room's newest poll, and the questions that wait, oldest first."""

        def read(db: Connection) -> tuple[PollRow | None, list[QuestionRow]]:
            newest = _page(db, room, "", 1)
            rows = db.execute(_QUESTIONS, {"room": room, "limit": QUESTIONS_MAX})
            questions = [QuestionRow(row.id, row.person, row.name, row.text, row.asked_ms) for row in rows]
            return (newest[0] if newest else None), questions

        return await self._store.read(read)

    async def polls(self, room: str, before: str, limit: int) -> list[PollRow]:
        """Read a room's polls, newest first, those before ``before`` when that is given."""
        return await self._store.read(lambda db: _page(db, room, before, limit))


def _page(db: Connection, room: str, before: str, limit: int) -> list[PollRow]:
    query = {"room": room, "before": before, "before_ms": 2**62, "limit": limit}
    if before:
        start = db.execute(_ONE, {"id": before, "room": room}).one_or_none()
        if start is None:
            return []
        query["before_ms"] = start.started_ms
    return [_poll(db, row) for row in db.execute(_NEWEST, query).all()]


def _poll(db: Connection, row: Row[tuple[str, ...]]) -> PollRow:
    options = tuple(orjson.loads(row.options))
    votes = _sums(db, row.id, len(options)) if row.votes is None else tuple(orjson.loads(row.votes))
    return PollRow(row.id, row.title, options, row.started_ms, row.ends_ms, row.ended_ms, votes)


def _sums(db: Connection, poll: str, options: int) -> tuple[int, ...]:
    sums = {row.option: row.votes for row in db.execute(_SUMS, {"id": poll})}
    return tuple(sums.get(option, 0) for option in range(options))


def _vote(db: Connection, votes: Sequence[tuple[str, str, int]], now_ms: int) -> list[str]:
    """Nobody else writes meanwhile: what is read here holds until the commit (``Turns.take_rare``)."""
    polls = {row.id: row for row in db.execute(_STATES, {"polls": list({poll for poll, _, _ in votes})})}
    given = list({person for _, person, _ in votes})
    survivor = {row.alias: row.person for row in db.execute(_SURVIVORS, {"ids": given})}
    going_on = list({survivor.get(person, person) for person in given})
    survivor |= {row.alias: row.person for row in db.execute(_ALIASES, {"ids": going_on})}
    asked = {"polls": list(polls), "ids": [*going_on, *survivor]}
    voted = {(row.poll, survivor.get(row.person, row.person)) for row in db.execute(_VOTED, asked)}
    refused, new = [], []
    for poll, person, option in votes:
        now_person = survivor.get(person, person)
        state = polls.get(poll)
        if state is None or not 0 <= option < len(orjson.loads(state.options)):
            refused.append("not_found")
        elif state.ended_ms or 0 < state.ends_ms <= now_ms:
            refused.append("closed")
        elif (poll, now_person) in voted:
            refused.append("already")
        else:
            voted.add((poll, now_person))
            new.append({"poll": poll, "person": now_person, "option": option, "now": now_ms})
            refused.append("")
    if new:
        db.execute(_VOTE, new)
    return refused
