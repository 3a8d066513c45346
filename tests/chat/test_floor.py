"""Recall, polls and questions of a room against a plain model; the word filter against a naive one."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from chat.errors import CommandRefused
from chat.floor import Poll, Question, Questions
from chat.floor_store import mending
from chat.limits import RoomLimits
from chat.member import Member
from chat.message import Asked, Event, PollEnded, PollOpened, Recall, Tier, Unasked, Vote
from chat.moderation import FOR_EVER_MS, BanList, mask_words
from chat.room import Room, Urgency

ANN = Member("ann", "Ann", "viewer", None, 0)
PEOPLE = st.sampled_from(["ann", "bob", "cid"])


class FloorMachine(RuleBasedStateMachine):
    """A room whose lines are recalled, whose polls are voted in and whose questions are answered."""

    LIMITS = dataclasses.replace(
        RoomLimits(), history_events=8, snapshot_events=4, questions=4, questions_person=2, people_tracked=2
    )

    def __init__(self) -> None:
        super().__init__()
        self.room = Room("show", "e", {}, self.LIMITS)
        self.number = 0
        self.waiting: list[dict[str, Any]] = []
        # By offset: the event as clients read it, None when it was recalled.
        self.kept: list[dict[str, Any] | None] = []
        self.poll: dict[str, Any] | None = None
        self.votes: dict[str, int] = {}
        self.questions: dict[str, str] = {}
        # A client that is there all the time, and what is on its screen.
        self.screen: dict[int, int] = {}
        # Offsets that are taken back before they are cut.
        self.early: set[int] = set()

    def expect(self, event: dict[str, Any]) -> None:
        self.waiting.append(event)

    @rule()
    def say(self) -> None:
        self.number += 1
        body = {"t": "chat", "n": self.number}
        self.room.apply(Event(body, Tier.P2))
        self.expect(body)

    @rule()
    def pin(self) -> None:
        self.room.apply(Event({"t": "pin"}, Tier.P0))
        self.expect({"t": "pin"})

    @rule(back=st.integers(-4, 14))
    def recall(self, back: int) -> None:
        offset = len(self.kept) - back
        in_history = len(self.kept) - self.LIMITS.history_events < offset
        event = self.kept[offset - 1] if 0 < offset <= len(self.kept) else None
        chat = event is not None and event["t"] == "chat"
        assert self.room.recallable(offset) is (0 < offset <= len(self.kept) and (not in_history or chat))
        # What a node takes back depends on no other's cuts: it may be cut where the command came from, and not here.
        told = 0 < offset <= len(self.kept) + len(self.waiting)
        assert (self.room.apply(Recall(offset)) is Urgency.NOW) is told
        if told:
            if in_history and chat:
                self.kept[offset - 1] = None
            if offset > len(self.kept):
                self.early.add(offset)
            self.expect({"t": "recall", "offset": offset})

    @rule()
    def move_to_another_node(self) -> None:
        self.cut()
        state = orjson.loads(orjson.dumps(self.room.state()))
        self.room = Room("show", "gone", {"old": 1}, self.LIMITS)
        self.room.apply(Event({"t": "chat", "n": -1}, Tier.P2))
        self.room.restore("e", state)

    @rule()
    def open_poll(self) -> None:
        self.number += 1
        self.room.apply(PollOpened(f"p{self.number}", "?", ("a", "b"), 7))
        self.poll = {"poll": f"p{self.number}", "title": "?", "options": ["a", "b"], "state": "open", "started": 7}
        self.poll["ends"] = None
        self.votes = {}
        self.expect({"t": "poll", "poll": {**self.poll, "votes": [0, 0]}})

    def counted(self) -> list[int]:
        return [list(self.votes.values()).count(option) for option in (0, 1)]

    @precondition(lambda self: self.poll is not None)
    @rule(person=PEOPLE, option=st.integers(0, 2), right=st.booleans())
    def vote(self, person: str, option: int, right: bool) -> None:
        assert self.poll is not None
        counts = (
            right
            and self.poll["state"] == "open"
            and option < 2
            and person not in self.votes
            and len(self.votes) < self.LIMITS.people_tracked
        )
        urgency = self.room.apply(Vote(self.poll["poll"] if right else "other", person, option))
        assert (urgency is Urgency.LAZY) is counts
        if counts:
            self.votes[person] = option

    @precondition(lambda self: self.poll is not None)
    @rule()
    def end_poll(self) -> None:
        assert self.poll is not None
        if self.room.apply(PollEnded(self.poll["poll"])) is Urgency.NOW:
            assert self.poll["state"] == "open"
            self.poll = {**self.poll, "state": "ended"}
            self.expect({"t": "poll", "poll": {**self.poll, "votes": self.counted()}})
        assert self.poll["state"] == "ended"

    @rule(person=PEOPLE)
    def ask(self, person: str) -> None:
        self.number += 1
        self.room.apply(Asked(f"q{self.number}", person, person.title(), "?", 3))
        own = list(self.questions.values()).count(person)
        if len(self.questions) < self.LIMITS.questions and own < self.LIMITS.questions_person:
            self.questions[f"q{self.number}"] = person

    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        question = data.draw(st.sampled_from([*self.questions, "none"]))
        self.room.apply(Unasked(question))
        self.questions.pop(question, None)

    @rule()
    def cut(self) -> None:
        batch = self.room.cut(0)
        shown = [orjson.loads(data) for _, data in batch.entries] if batch is not None else []
        assert [{**event, "o": 0} for event in shown if "o" in event] == [{**event, "o": 0} for event in self.waiting]
        for event in shown:
            if event["t"] == "chat":
                self.screen[event["o"]] = event["n"]
            elif event["t"] == "recall":
                self.screen.pop(event["offset"], None)
            elif event["t"] == "votes":
                assert event["votes"] == self.counted()
        for event in self.waiting:
            offset = len(self.kept) + 1
            gone = offset in self.early and event["t"] == "chat"
            self.kept.append(None if gone else {**event, "o": offset})
        self.waiting = []
        self.early.clear()

    def first(self, since: int | None) -> dict[str, Any]:
        frame = orjson.loads(self.room.snapshot(ANN, None if since is None else ("e", since), 0))
        first: dict[str, Any] = frame[0]
        return first

    @invariant()
    def who_comes_sees_what_was_not_recalled(self) -> None:
        recent = self.kept[-self.LIMITS.history_events :]
        fresh = [event for event in recent[-self.LIMITS.snapshot_events :] if event is not None]
        assert self.first(None)["history"] == fresh
        for missing in range(len(recent) + 1):
            back = self.first(len(self.kept) - missing)
            assert back["resumed"] is True
            assert back["history"] == [event for event in recent[len(recent) - missing :] if event is not None]

    @invariant()
    def a_recalled_line_leaves_the_screens(self) -> None:
        if not self.waiting:
            recent = self.kept[-self.LIMITS.history_events :]
            lines = {event["o"]: event["n"] for event in recent if event is not None and event["t"] == "chat"}
            oldest = len(self.kept) - len(recent)
            assert {o: n for o, n in self.screen.items() if o > oldest} == lines

    @invariant()
    def the_snapshot_has_poll_and_questions(self) -> None:
        first = self.first(None)
        assert first.get("questions", 0) == len(self.questions)
        if self.poll is None:
            assert "poll" not in first
        else:
            assert first["poll"] == {**self.poll, "votes": self.counted()}
        assert self.room.history_bytes == sum(
            len(orjson.dumps(event)) for event in self.kept[-self.LIMITS.history_events :] if event is not None
        )


TestFloorMachine = FloorMachine.TestCase
TestFloorMachine.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)


def test_a_question_that_comes_twice_waits_once() -> None:
    questions = Questions(RoomLimits())
    asked = Question("q", "ann", "Ann", "?", 1)
    assert (questions.add(asked), questions.add(asked), len(questions)) == (True, False, 1)
    assert (questions.remove("q"), questions.remove("q"), len(questions)) == (True, False, 0)


def test_a_poll_that_ended_counts_nothing_more() -> None:
    poll = Poll(PollOpened("p", "?", ("a", "b"), 0), RoomLimits())
    assert poll.vote("p", "ann", 1) and poll.end("p") and not poll.end("p")
    assert not poll.vote("p", "bob", 1)
    assert poll.view()["votes"] == [0, 1]


def test_a_poll_with_an_end_refuses_whoever_comes_after_it_and_counts_what_was_let_in() -> None:
    poll = Poll(PollOpened("p", "?", ("a", "b"), 0, ends_ms=100), RoomLimits())
    poll.check("p", "ann", 1, 99)
    assert (poll.overdue(99), poll.overdue(100)) == (False, True)
    with pytest.raises(CommandRefused, match="has ended"):
        poll.check("p", "ann", 1, 100)
    # Let in before, heard after: all nodes count it, whenever they hear it.
    assert poll.vote("p", "ann", 1) and poll.end("p", (3, 4))
    assert (poll.view()["votes"], poll.view()["ends"]) == ([3, 4], 100)
    assert not poll.overdue(100)


def kept_room(*said: Any) -> Room:
    room = Room("show", "e", {}, RoomLimits())
    room.begin(said)
    return room


def shown(room: Room) -> dict[str, Any]:
    """The room as a newcomer sees it."""
    first: dict[str, Any] = orjson.loads(room.snapshot(ANN, None, 0))[0]
    return first


def test_a_room_begins_with_what_was_kept_and_tells_nobody() -> None:
    asked = Asked("q", "ann", "Ann", "?", 1)
    room = kept_room(asked, PollOpened("p", "?", ("a", "b"), 5, 0, (2, 3)))
    assert room.cut(0) is None
    first = shown(room)
    assert (first["questions"], first["offset"], first["history"]) == (1, 0, [])
    assert (first["poll"]["votes"], first["poll"]["state"]) == ([2, 3], "open")
    # Told again, by whoever mends: it goes on with its votes.
    assert room.apply(PollOpened("p", "?", ("a", "b"), 5)) is Urgency.NEVER
    assert room.apply(Vote("p", "ann", 1)) is Urgency.LAZY
    assert shown(room)["poll"]["votes"] == [2, 4]


@dataclasses.dataclass(frozen=True)
class Kept:
    """A poll as it is written down."""

    poll: str
    started_ms: int
    ended_ms: int = 0
    votes: tuple[int, ...] = (1, 0)
    title: str = "?"
    options: tuple[str, ...] = ("a", "b")
    ends_ms: int = 0


@dataclasses.dataclass(frozen=True)
class KeptAsked:
    """A question as it is written down."""

    question: str
    person: str = "ann"
    name: str = "Ann"
    text: str = "?"
    asked_ms: int = 1


KEPT_POLLS = st.none() | st.builds(Kept, st.sampled_from(["p", "q"]), st.just(5), st.sampled_from([0, 9]))
SAID = st.lists(
    st.sampled_from(
        [
            PollOpened("p", "?", ("a", "b"), 5),
            PollOpened("old", "?", ("a", "b"), 4),
            PollEnded("p"),
            Vote("p", "ann", 0),
            Asked("1", "ann", "Ann", "?", 1),
            Asked("2", "bob", "Bob", "?", 1),
        ]
    ),
    max_size=6,
)


@given(SAID, KEPT_POLLS, st.sets(st.sampled_from("123")))
def test_a_room_that_is_mended_shows_what_was_kept_and_needs_nothing_more(
    said: list[Any], poll: Kept | None, numbers: set[str]
) -> None:
    room = kept_room(*said)
    questions = [KeptAsked(number) for number in sorted(numbers)]
    for message in mending(room.poll, room.questions, poll, questions):
        room.apply(message)
    assert {view["question"] for view in room.questions.views()} == numbers
    if poll is not None:
        assert room.poll is not None and room.poll.poll == poll.poll
        # One that ended here and is open there: it was ended, and nobody may vote in it again.
        assert room.poll.ended or not poll.ended_ms
        if poll.ended_ms and PollEnded("p") not in said:
            assert room.poll.votes == [1, 0]
    assert mending(room.poll, room.questions, poll, questions) == []


def test_a_poll_that_is_newer_than_what_was_read_is_left_alone() -> None:
    room = kept_room(PollOpened("new", "?", ("a", "b"), 50))
    assert mending(room.poll, room.questions, Kept("p", 5), []) == []


@given(
    st.lists(st.text("ab我 .*x", min_size=1, max_size=4), max_size=12),
    st.text("ab我 .*xAB", max_size=30),
)
def test_the_word_filter_masks_the_longest_word_at_each_place(words: list[str], text: str) -> None:
    longest_first = sorted(words, key=len, reverse=True)
    naive = re.compile("|".join(map(re.escape, longest_first)), re.IGNORECASE) if words else None
    wanted = naive.sub(lambda found: "*" * len(found[0]), text) if naive else text
    assert mask_words(words)(text) == wanted


def test_a_filter_of_as_many_words_as_may_be_still_masks() -> None:
    limits = RoomLimits()
    words = [f"词{number:04d}{'x' * (limits.word_chars - 5)}" for number in range(limits.words)]
    masked = mask_words(words)("a " + words[321] + " b")
    assert masked == "a " + "*" * limits.word_chars + " b"


@given(st.lists(st.tuples(PEOPLE, st.sampled_from([0, 5, 50, FOR_EVER_MS])), max_size=20), st.integers(0, 60))
def test_a_ban_list_says_the_last_word_on_each_person(bans: list[tuple[str, int]], now_ms: int) -> None:
    kept = BanList(RoomLimits())
    last: dict[str, int] = {}
    for person, until_ms in bans:
        kept.put(person, until_ms)
        last[person] = until_ms
    for person in ("ann", "bob", "cid"):
        wanted = last.get(person, 0)
        assert kept.until_ms(person, now_ms) == (wanted if wanted > now_ms else 0)
    listed = {ban["person"]: ban["until"] for ban in kept.listed(now_ms)}
    assert listed == {p: None if u == FOR_EVER_MS else u for p, u in last.items() if u > now_ms}


def test_a_full_ban_list_makes_room_of_what_is_over() -> None:
    kept = BanList(dataclasses.replace(RoomLimits(), bans=1))
    kept.put("ann", 10)
    with pytest.raises(CommandRefused) as caught:
        kept.check("bob", 5)
    assert caught.value.code == "limit"
    kept.check("bob", 10)
