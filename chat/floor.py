"""What the audience says beside chat: the queue of questions, and polls. Pure: `now_ms` and ids are arguments."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from chat.errors import CommandRefused
from chat.limits import RoomLimits
from chat.message import PollOpened


class Question(NamedTuple):
    """A question that waits for its answer."""

    question: str
    person: str
    name: str
    text: str
    ms: int

    def view(self) -> dict[str, Any]:
        """Return what staff and the asker see."""
        asker = {"person": self.person, "name": self.name}
        return {"question": self.question, "from": asker, "text": self.text, "now": self.ms}


class Questions:
    """The questions of one room, oldest first; bounded in all and per person."""

    __slots__ = ("_limits", "_of_person", "_waiting")

    def __init__(self, limits: RoomLimits) -> None:
        self._limits = limits
        self._waiting: dict[str, Question] = {}
        self._of_person: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def check(self, *persons: str) -> None:
        """Raise CommandRefused `limit` when the person (by whichever id), or the room, has as many as may wait."""
        if sum(self._of_person.get(person, 0) for person in persons) >= self._limits.questions_person:
            raise CommandRefused("limit", f"{self._limits.questions_person} of your questions wait for an answer")
        if len(self._waiting) >= self._limits.questions:
            raise CommandRefused("limit", "too many questions wait for an answer")

    def add(self, question: Question) -> bool:
        """Take a question in; tell whether there was room for it. A known id changes nothing."""
        if question.question in self._waiting:
            return False
        try:
            self.check(question.person)
        except CommandRefused:
            return False
        self._waiting[question.question] = question
        self._of_person[question.person] = self._of_person.get(question.person, 0) + 1
        return True

    def __contains__(self, question: str) -> bool:
        return question in self._waiting

    def find(self, question: str) -> Question:
        """Return a waiting question; raises CommandRefused `not_found`."""
        found = self._waiting.get(question)
        if found is None:
            raise CommandRefused("not_found", "this question does not wait")
        return found

    def remove(self, question: str) -> bool:
        """Take a question out; tell whether it was there."""
        gone = self._waiting.pop(question, None)
        if gone is None:
            return False
        left = self._of_person[gone.person] - 1
        if left:
            self._of_person[gone.person] = left
        else:
            del self._of_person[gone.person]
        return True

    def state(self) -> list[tuple[Any, ...]]:
        """Return the waiting questions, ready to encode."""
        return [tuple(one) for one in self._waiting.values()]

    @classmethod
    def restored(cls, state: Sequence[Sequence[Any]], limits: RoomLimits) -> Questions:
        """Return the queue whose `state` this is."""
        questions = cls(limits)
        for one in state:
            questions.add(Question(*one))
        return questions

    def views(self, persons: Collection[str] | None = None) -> list[dict[str, Any]]:
        """Return the waiting questions, oldest first; those of one person, by all their ids, when given."""
        return [one.view() for one in self._waiting.values() if persons is None or one.person in persons]


class Poll:
    """One poll: a title, options, one vote for each person, and perhaps a time (Unix ms) at which it ends."""

    __slots__ = ("_limits", "_voted", "ended", "ends_ms", "options", "poll", "started_ms", "title", "votes")

    def __init__(self, opened: PollOpened, limits: RoomLimits) -> None:
        self.poll = opened.poll
        self.title = opened.title
        self.options = opened.options
        self.started_ms = opened.now_ms
        self.ends_ms = opened.ends_ms
        self.votes = list(opened.votes) or [0] * len(opened.options)
        self.ended = False
        self._limits = limits
        self._voted: set[str] = set()

    def overdue(self, now_ms: int) -> bool:
        """Tell whether its time is over and nobody has ended it yet."""
        return not self.ended and 0 < self.ends_ms <= now_ms

    def check(self, poll: str, person: str, option: int, now_ms: int = 0) -> None:
        """Raise CommandRefused: `not_found`, `closed`, `invalid` (no such option), `already`, `limit`.

        `now_ms` is left out for a vote that was let through already: nodes must agree on it whenever they hear it.
        """
        if poll != self.poll:
            raise CommandRefused("not_found", "there is no such poll")
        if self.ended or self.overdue(now_ms):
            raise CommandRefused("closed", "the poll has ended")
        if not 0 <= option < len(self.options):
            raise CommandRefused("invalid", f"option is an integer from 0 to {len(self.options) - 1}")
        if person in self._voted:
            raise CommandRefused("already", "you have voted")
        if sum(self.votes) >= self._limits.people_tracked:
            raise CommandRefused("limit", "the poll has as many votes as are counted")

    def vote(self, poll: str, person: str, option: int) -> bool:
        """Count a vote; tell whether it counted."""
        try:
            self.check(poll, person, option)
        except CommandRefused:
            return False
        self._voted.add(person)
        self.votes[option] += 1
        return True

    def end(self, poll: str, votes: Sequence[int] = ()) -> bool:
        """Close the poll, with the sums that were written down if there are any; tell whether it was open."""
        if poll != self.poll or self.ended:
            return False
        self.ended = True
        if len(votes) == len(self.votes):
            self.votes = list(votes)
        self._voted.clear()
        return True

    def view(self) -> Mapping[str, Any]:
        """Return what all see."""
        return {
            "poll": self.poll,
            "title": self.title,
            "options": list(self.options),
            "votes": list(self.votes),
            "state": "ended" if self.ended else "open",
            "started": self.started_ms,
            "ends": self.ends_ms or None,
        }

    def state(self) -> dict[str, Any]:
        """Return the poll with who has voted, ready to encode."""
        return {**self.view(), "voted": list(self._voted)}

    @classmethod
    def restored(cls, state: Mapping[str, Any], limits: RoomLimits) -> Poll:
        """Return the poll whose `state` this is."""
        # A node of the version before this one wrote no end.
        ends_ms = state.get("ends") or 0
        votes = tuple(state["votes"])
        options = tuple(state["options"])
        poll = cls(PollOpened(state["poll"], state["title"], options, state["started"], ends_ms, votes), limits)
        poll.ended = state["state"] == "ended"
        poll._voted = set(state["voted"])
        return poll
