"""Who has which room, as the supervisor decides."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gateway.workers.messages import Granted, Owner, Refused, StreamTold, Told, Yield
from gateway.workers.registry import YIELD_MS, Registry


def registry_of(workers: int) -> Registry:
    registry = Registry()
    for worker in range(workers):
        registry.joined(worker)
    return registry


def told(media_clock_ms: int, now_ms: int) -> StreamTold:
    return StreamTold(True, 1, "avc1", "mp4a", 320, 180, media_clock_ms, False, now_ms)


def test_a_free_room_is_given_to_who_claims_it_and_all_are_told() -> None:
    registry = registry_of(2)
    assert registry.claim(1, 7, "a", 0) == [(1, Granted(7)), (0, Owner("a", 1)), (1, Owner("a", 1))]
    assert registry.claim(1, 8, "a", 0) == [(1, Granted(8))], "its own room is granted again, for its own host's return"


def test_an_owner_is_asked_and_what_it_says_is_done() -> None:
    registry = registry_of(2)
    registry.claim(0, 1, "a", 0)
    [(asked, question)] = registry.claim(1, 5, "a", 100)
    assert asked == 0 and isinstance(question, Yield) and question.room == "a"
    assert registry.yielded(0, question.id, 200, gone=False) == [(1, Refused(5, 0))]
    [(_, question)] = registry.claim(1, 6, "a", 300)
    assert isinstance(question, Yield)
    assert registry.yielded(0, question.id, 400, gone=True)[0] == (1, Granted(6))
    assert registry.owners == {"a": 1}


def test_an_owner_that_does_not_answer_in_time_has_lost_the_room() -> None:
    registry = registry_of(2)
    registry.claim(0, 1, "a", 0)
    [(_, question)] = registry.claim(1, 5, "a", 100)
    assert isinstance(question, Yield)
    assert registry.tick(100 + YIELD_MS - 1) == []
    assert registry.tick(100 + YIELD_MS)[0] == (1, Granted(5))
    assert registry.yielded(0, question.id, 2_000, gone=False) == []
    assert registry.release(0, "a") == [] and registry.owners == {"a": 1}


def test_two_claims_at_once_are_not_both_granted() -> None:
    registry = registry_of(3)
    registry.claim(0, 1, "a", 0)
    registry.claim(1, 5, "a", 0)
    assert registry.claim(2, 6, "a", 0) == [(2, Refused(6))]


def test_who_would_pull_is_told_who_does_already() -> None:
    registry = registry_of(2)
    registry.claim(0, 1, "a", 0, pull=True)
    assert registry.claim(1, 2, "a", 0, pull=True) == [(1, Refused(2, 0))]


def test_a_worker_that_is_gone_leaves_its_rooms_and_the_questions_to_it() -> None:
    registry = registry_of(2)
    registry.claim(0, 1, "a", 0)
    registry.claim(0, 2, "b", 0)
    registry.claim(1, 5, "a", 0)
    out = registry.left(0, 50)
    assert (1, Granted(5)) in out and (1, Owner("b", None)) in out
    assert registry.owners == {"a": 1}


def test_a_claimant_that_is_gone_gets_nothing_and_the_owner_keeps_what_it_has_left() -> None:
    registry = registry_of(2)
    registry.claim(0, 1, "a", 0)
    [(_, question)] = registry.claim(1, 5, "a", 0)
    assert isinstance(question, Yield)
    registry.left(1, 10)
    assert registry.yielded(0, question.id, 20, gone=True) == []
    assert registry.release(0, "a") == [(0, Owner("a", None))]


def test_the_media_clock_goes_on_for_who_takes_a_room_over() -> None:
    registry = registry_of(3)
    registry.claim(0, 1, "a", 0)
    assert registry.tell(0, "a", told(60_000, 1_000)) == [
        (1, Told("a", told(60_000, 1_000))),
        (2, Told("a", told(60_000, 1_000))),
    ]
    assert registry.tell(1, "a", told(0, 1_000)) == [], "only the owner knows"
    registry.release(0, "a")
    assert registry.claim(2, 4, "a", 3_500)[0] == (2, Granted(4, 62_500))


WORKERS = st.integers(0, 3)
ROOMS = st.sampled_from("ab")


class Claims(RuleBasedStateMachine):
    """Whatever happens, a claim is answered once, and a room has one owner, who was told so."""

    @initialize()
    def begin(self) -> None:
        self.registry = registry_of(4)
        self.now_ms = 0
        self.number = 0
        self.open: dict[int, tuple[int, str]] = {}
        self.questions: dict[int, int] = {}
        self.believes: dict[int, dict[str, int | None]] = {worker: {} for worker in range(4)}

    def take(self, messages: list[tuple[int, object]]) -> None:
        for worker, message in messages:
            if isinstance(message, Granted | Refused):
                claimant, room = self.open.pop(message.id)
                assert claimant == worker
                if isinstance(message, Granted):
                    assert self.registry.owners[room] == worker
            elif isinstance(message, Yield):
                self.questions[message.id] = worker
            elif isinstance(message, Owner):
                self.believes[worker][message.room] = message.worker

    @rule(worker=WORKERS, room=ROOMS, pull=st.booleans())
    def claim(self, worker: int, room: str, pull: bool) -> None:
        self.number += 1
        self.open[self.number] = worker, room
        self.take([*self.registry.claim(worker, self.number, room, self.now_ms, pull=pull)])

    @rule(gone=st.booleans(), data=st.data())
    def answer(self, gone: bool, data: st.DataObject) -> None:
        if self.questions:
            number = data.draw(st.sampled_from(sorted(self.questions)))
            worker = self.questions.pop(number)
            self.take([*self.registry.yielded(worker, number, self.now_ms, gone=gone)])

    @rule(worker=WORKERS, room=ROOMS)
    def release(self, worker: int, room: str) -> None:
        self.take([*self.registry.release(worker, room)])

    @rule(worker=WORKERS)
    def restart(self, worker: int) -> None:
        self.open = {number: claim for number, claim in self.open.items() if claim[0] != worker}
        self.take([*self.registry.left(worker, self.now_ms)])
        self.registry.joined(worker)
        self.believes[worker] = {"a": None, "b": None, **self.registry.owners}

    @rule(ms=st.integers(0, 2 * YIELD_MS))
    def wait(self, ms: int) -> None:
        self.now_ms += ms
        self.take([*self.registry.tick(self.now_ms)])

    @invariant()
    def everybody_believes_the_same(self) -> None:
        for beliefs in self.believes.values():
            known = {room: owner for room, owner in beliefs.items() if owner is not None}
            assert known == self.registry.owners

    def teardown(self) -> None:
        self.now_ms += YIELD_MS
        self.take([*self.registry.tick(self.now_ms)])
        assert self.open == {}, "a claim is answered in time"


TestClaims = Claims.TestCase
