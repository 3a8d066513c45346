"""Personal events as they are written down, on each engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

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
