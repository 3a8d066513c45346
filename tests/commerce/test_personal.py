"""Personal events as they are written down, on each engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import Connection

from commerce.personal_sql import KEPT_MS, NEWEST_MAX, PersonalEvents
from commerce.store_sql import Store, open_store


class Clock:
    def __init__(self) -> None:
        self.ms = 1_000

    def __call__(self) -> int:
        return self.ms


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def store(place: Path | str) -> AsyncIterator[Store]:
    store = open_store(place)
    yield store
    store.close()


ANN, BOB = ("show", "ann"), ("show", "bob")


def post(person: str, key: str, room: str = "show") -> tuple[str, str, str, bytes]:
    return room, person, key, f'{{"t":"order","n":"{key}"}}'.encode()


async def test_events_are_numbered_per_room_and_person_and_wait_until_acknowledged(store: Store, clock: Clock) -> None:
    events = PersonalEvents(store, clock=clock)
    assert await events.put([post("ann", "a"), post("bob", "b"), post("ann", "c"), post("ann", "d", "other")]) == [
        1,
        1,
        2,
        1,
    ]
    assert await events.put([post("ann", "e")]) == [3]
    found = await events.waiting([ANN, BOB, ("show", "nobody")])
    assert found == {
        ANN: [(1, b'{"t":"order","n":"a"}'), (2, b'{"t":"order","n":"c"}'), (3, b'{"t":"order","n":"e"}')],
        BOB: [(1, b'{"t":"order","n":"b"}')],
    }
    await events.acknowledge([("show", "ann", 2), ("show", "bob", 99), ("show", "nobody", 1)])
    assert {place: [seq for seq, _ in rows] for place, rows in (await events.waiting([ANN, BOB])).items()} == {ANN: [3]}
    # One who acknowledges more than there is has not acknowledged what comes.
    assert await events.put([post("bob", "f")]) == [2]
    assert [seq for seq, _ in (await events.waiting([BOB]))[BOB]] == [2]
    await events.acknowledge([("show", "ann", 1)])
    assert [seq for seq, _ in (await events.waiting([ANN]))[ANN]] == [3]


async def test_an_event_that_is_told_again_is_known_even_after_it_was_acknowledged(store: Store, clock: Clock) -> None:
    events = PersonalEvents(store, clock=clock)
    assert await events.put([post("ann", "a"), post("ann", "a")]) == [1, 1]
    await events.acknowledge([("show", "ann", 1)])
    assert await events.put([post("ann", "a"), post("ann", "b")]) == [1, 2]
    assert [seq for seq, _ in (await events.waiting([ANN]))[ANN]] == [2]


async def test_only_the_newest_are_brought_and_old_ones_are_forgotten(store: Store, clock: Clock) -> None:
    events = PersonalEvents(store, clock=clock)
    many = NEWEST_MAX + 5
    await events.put([post("ann", f"{number}") for number in range(many)])
    assert [seq for seq, _ in (await events.waiting([ANN]))[ANN]] == list(range(6, many + 1))
    clock.ms += KEPT_MS
    assert await events.waiting([ANN]) == {}
    # With the first write of an hour they are removed; the numbers go on.
    assert await events.put([post("ann", "0")]) == [many + 1]
    clock.ms -= KEPT_MS
    assert [seq for seq, _ in (await events.waiting([ANN]))[ANN]] == [many + 1]


async def test_processes_that_tell_the_same_write_it_once_in_one_order(
    store: Store, place: Path | str, clock: Clock
) -> None:
    # Two writers of one process are as good: each has a connection of its own, and neither knows of the other.
    one, two = PersonalEvents(store, clock=clock), PersonalEvents(store, clock=clock)
    people = [f"p{number}" for number in range(8)]
    both = [[post(person, f"{person}-{turn}") for person in people] for turn in range(6)]
    answers = await asyncio.gather(
        *(one.put(posts) for posts in both), *(two.put(list(reversed(posts))) for posts in reversed(both))
    )
    for posts, first, second in zip(both, answers[:6], reversed(answers[6:]), strict=True):
        assert dict(zip(posts, first, strict=True)) == dict(zip(reversed(posts), second, strict=True))
    for rows in (await one.waiting([("show", person) for person in people])).values():
        assert [seq for seq, _ in rows] == list(range(1, 7))


async def test_nothing_to_write_is_nothing_written(store: Store, clock: Clock) -> None:
    events = PersonalEvents(store, clock=clock)
    assert await events.put([]) == []
    await events.acknowledge([])
    assert await events.waiting([]) == {}


class Known:
    """Who goes on for whom, as one process has heard."""

    def __init__(self) -> None:
        self.younger: dict[str, tuple[str, ...]] = {}

    def __call__(self, person: str) -> tuple[str, ...]:
        elder = next((one for one, others in self.younger.items() if person in others), person)
        return (elder, *self.younger.get(elder, ()))

    def written(self, db: Connection, person: str) -> tuple[str, ...]:
        """The same as the database has it."""
        return self(person)


def told(found: dict[tuple[str, str], list[tuple[int, bytes]]], place: tuple[str, str] = ANN) -> list[tuple[int, str]]:
    """Numbers and names of what waits."""
    return [(seq, body.decode().split('"')[-2]) for seq, body in found.get(place, [])]


async def test_two_ids_that_become_one_person_have_one_box_above_all_that_either_has_seen(
    store: Store, clock: Clock
) -> None:
    known = Known()
    events = PersonalEvents(store, clock=clock, ids_of=known, ids_in=known.written)
    await events.put([post("ann", "a1"), post("ann", "a2"), *(post("bob", f"b{number}") for number in range(1, 6))])
    await events.acknowledge([("show", "ann", 1), ("show", "bob", 3)])
    known.younger["ann"] = ("bob",)
    # Both ids name one box; what nobody has acknowledged is in it once, behind all numbers there were.
    assert told(await events.waiting([ANN])) == [(6, "a2"), (7, "b4"), (8, "b5")]
    assert told(await events.waiting([BOB]), BOB) == [(6, "a2"), (7, "b4"), (8, "b5")]
    assert await events.put([post("bob", "c"), post("ann", "d")]) == [9, 10]
    # A number from before is about what the socket of that id had: not ann's second, not bob's fifth.
    await events.acknowledge([("show", "bob", 4)])
    assert told(await events.waiting([ANN])) == [(6, "a2"), (8, "b5"), (9, "c"), (10, "d")]
    await events.acknowledge([("show", "ann", 2)])
    assert told(await events.waiting([ANN])) == [(8, "b5"), (9, "c"), (10, "d")]
    await events.acknowledge([("show", "bob", 9)])
    assert told(await events.waiting([ANN])) == [(10, "d")]
    # What was acknowledged is known when it is told again.
    assert await events.put([post("ann", "a2"), post("ann", "b4"), post("ann", "e")]) == [2, 4, 11]
    assert told(await events.waiting([ANN])) == [(10, "d"), (11, "e")]


async def test_a_process_that_has_not_heard_yet_loses_nothing(store: Store, clock: Clock) -> None:
    known = Known()
    late = PersonalEvents(store, clock=clock, ids_in=known.written)
    knowing = PersonalEvents(store, clock=clock, ids_of=known, ids_in=known.written)
    await knowing.put([post("ann", "a"), post("bob", "b")])
    known.younger["ann"] = ("bob",)
    assert told(await knowing.waiting([ANN])) == [(2, "a"), (3, "b")]
    # It comes behind what the others were given under the numbers of both, and those keep theirs.
    assert await late.put([post("bob", "c")]) == [4]
    assert told(await late.waiting([BOB]), BOB) == [(2, "a"), (3, "b"), (4, "c")]
    assert told(await knowing.waiting([ANN])) == [(2, "a"), (3, "b"), (4, "c")]
    await late.acknowledge([("show", "bob", 1)])
    assert told(await knowing.waiting([ANN])) == [(2, "a"), (4, "c")]
    await knowing.acknowledge([("show", "bob", 4)])
    assert told(await knowing.waiting([ANN])) == []


@pytest.mark.parametrize("first", ["ann", "bob"])
async def test_ids_that_part_again_have_each_their_own_and_numbers_only_grow(
    store: Store, clock: Clock, first: str
) -> None:
    known = Known()
    events = PersonalEvents(store, clock=clock, ids_of=known, ids_in=known.written)
    await events.put([post("ann", "a"), post("bob", "b"), post("bob", "c")])
    known.younger["ann"] = ("bob",)
    await events.put([post("bob", "of both")])
    assert told(await events.waiting([ANN])) == [(3, "a"), (4, "b"), (5, "c"), (6, "of both")]
    known.younger.clear()
    if first == "ann":
        # Whoever looks or acknowledges first: nothing of the other's goes with it.
        await events.acknowledge([("show", "ann", 6)])
        assert told(await events.waiting([ANN])) == []
        assert told(await events.waiting([BOB]), BOB) == [(7, "b"), (8, "c")]
    else:
        assert told(await events.waiting([BOB]), BOB) == [(7, "b"), (8, "c")]
        assert told(await events.waiting([ANN])) == [(3, "a"), (6, "of both")]
    assert await events.put([post("bob", "d")]) == [9]
    assert (await events.put([post("ann", "e")]))[0] > 6
    known.younger["ann"] = ("bob",)
    assert {name for _, name in told(await events.waiting([ANN]))} >= {"b", "c", "d", "e"}
