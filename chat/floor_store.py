"""Where questions, polls and votes are written down, so that they outlive the process and count once on all nodes.

What is written there decides: a vote counts when the store has taken it, and a poll's result is what the store counts
at its end. Rooms are told afterwards; `mending` says what a room still has to be told when somebody died in between.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from chat.errors import CommandRefused
from chat.floor import Poll, Questions
from chat.message import Asked, PollEnded, PollOpened, StateMessage, Unasked, Vote

logger = logging.getLogger(__name__)

BALLOT_BATCH = 500
"""Votes in one step of the store: some ten milliseconds of it."""
BALLOTS_WAITING_MAX = 20_000
"""Votes that wait to be written: more people than one process holds."""
RETRY_MS = 1_000
"""When to vote again after the store refused."""


class KeptQuestion(Protocol):
    """A question that waits."""

    @property
    def question(self) -> str: ...
    @property
    def person(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def text(self) -> str: ...
    @property
    def asked_ms(self) -> int: ...


class KeptPoll(Protocol):
    """A poll with the votes that count; `ends_ms` is 0 for one that staff end, `ended_ms` for one that is open."""

    @property
    def poll(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def options(self) -> tuple[str, ...]: ...
    @property
    def started_ms(self) -> int: ...
    @property
    def ends_ms(self) -> int: ...
    @property
    def ended_ms(self) -> int: ...
    @property
    def votes(self) -> tuple[int, ...]: ...


class FloorStore(Protocol):
    """Keeps questions and polls. Each call returns when it is done, and raises when it cannot be."""

    async def ask(self, room: str, question: str, person: str, name: str, text: str, asked_ms: int) -> None:
        """Write down a question that waits."""

    async def unask(self, room: str, question: str) -> None:
        """Forget a question; none there is fine."""

    async def open_poll(
        self, room: str, poll: str, title: str, options: Sequence[str], started_ms: int, ends_ms: int
    ) -> KeptPoll | None:
        """Write down a poll. None when that is done, else the poll of the room that is open already."""

    async def vote(self, votes: Sequence[tuple[str, str, int]]) -> Sequence[str]:
        """Take votes (poll, person, option), in their order; one of a person counts, whichever of their ids it is by.

        Returns for each an empty text, or the code of its refusal: `already`, `closed`, `not_found`.
        """

    async def end_poll(self, room: str, poll: str) -> Sequence[int] | None:
        """End a poll, if nobody has yet; return its result, None for a poll that there is not."""


def opening(poll: KeptPoll | None, questions: Sequence[KeptQuestion]) -> list[StateMessage]:
    """Return what tells a room of what was kept."""
    said: list[StateMessage] = [Asked(one.question, one.person, one.name, one.text, one.asked_ms) for one in questions]
    if poll is not None:
        said.append(PollOpened(poll.poll, poll.title, poll.options, poll.started_ms, poll.ends_ms, poll.votes))
        if poll.ended_ms:
            said.append(PollEnded(poll.poll, poll.votes))
    return said


def mending(
    shown: Poll | None, waiting: Questions, poll: KeptPoll | None, questions: Sequence[KeptQuestion]
) -> list[StateMessage]:
    """Return what a room has to be told to show what was kept. `poll` is the newest of the room."""
    kept = {one.question for one in questions}
    said: list[StateMessage] = [Unasked(view["question"]) for view in waiting.views() if view["question"] not in kept]
    said += opening(None, [one for one in questions if one.question not in waiting])
    if poll is None or (shown is not None and shown.started_ms > poll.started_ms):
        # One that is newer than what was read, or of a store that has forgotten.
        return said
    if shown is None or shown.poll != poll.poll:
        return said + opening(poll, [])
    return [*said, PollEnded(poll.poll, poll.votes)] if poll.ended_ms and not shown.ended else said


_WORDS = {
    "already": "you have voted",
    "closed": "the poll has ended",
    "not_found": "there is no such poll",
    "busy": "the vote could not be written down",
}


class _Ballot(NamedTuple):
    room: str
    vote: Vote
    answer: asyncio.Future[Mapping[str, Any]]


class Ballots:
    """Votes on their way to a store: those that come while one step is written go with the next.

    `tell` tells a room of a vote that counts.
    """

    def __init__(self, store: FloorStore, tell: Callable[[str, Vote], None]) -> None:
        self._store = store
        self._tell = tell
        self._waiting: list[_Ballot] = []
        self._task: asyncio.Task[None] | None = None

    def cast(self, room: str, vote: Vote) -> asyncio.Future[Mapping[str, Any]]:
        """Return the answer, which is there when the vote counts; it fails with CommandRefused when it does not."""
        future: asyncio.Future[Mapping[str, Any]] = asyncio.get_running_loop().create_future()
        if len(self._waiting) >= BALLOTS_WAITING_MAX:
            future.set_exception(CommandRefused("busy", "too many vote at once", retry_ms=RETRY_MS))
            return future
        self._waiting.append(_Ballot(room, vote, future))
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._write_all())
        return future

    async def _write_all(self) -> None:
        # What comes in the same turn of the loop is one step.
        await asyncio.sleep(0)
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:BALLOT_BATCH], self._waiting[BALLOT_BATCH:]
                await self._write(batch)
        finally:
            self._task = None

    async def _write(self, batch: Sequence[_Ballot]) -> None:
        refused = ["busy"] * len(batch)
        try:
            votes = [(one.vote.poll, one.vote.person, one.vote.option) for one in batch]
            refused = list(await self._store.vote(votes))
        except Exception:
            logger.exception("%d votes could not be written", len(batch))
        finally:
            for one, code in zip(batch, refused, strict=True):
                self._settle(one, code)

    def _settle(self, ballot: _Ballot, code: str) -> None:
        if not code:
            self._tell(ballot.room, ballot.vote)
        if ballot.answer.done():
            return
        if code:
            error = CommandRefused(code, _WORDS[code], retry_ms=RETRY_MS if code == "busy" else None)
            ballot.answer.set_exception(error)
        else:
            ballot.answer.set_result({})

    async def close(self) -> None:
        """Write what waits no more; who waits is told to vote again."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for one in self._waiting:
            self._settle(one, "busy")
        self._waiting.clear()
