"""Personal events: numbered, kept until acknowledged, bounded."""

from __future__ import annotations

import dataclasses

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from chat.limits import RoomLimits
from chat.personal import PersonalEvents


def sequences(events: PersonalEvents, person: str, now_ms: int = 0) -> list[int]:
    return [orjson.loads(data)["a"] for data in events.unacknowledged(person, now_ms)]


def test_each_person_counts_from_one_and_keeps_what_is_not_acknowledged() -> None:
    events = PersonalEvents(RoomLimits())
    assert orjson.loads(events.add("ann", {"t": "coupon"}, 0)) == {"t": "coupon", "a": 1}
    events.add("ann", {"t": "order"}, 0)
    events.add("bob", {"t": "order"}, 0)
    events.acknowledge("ann", 1)
    assert sequences(events, "ann") == [2]
    assert sequences(events, "bob") == [1]
    events.acknowledge("ann", 99)
    assert sequences(events, "ann") == []
    assert orjson.loads(events.add("ann", {"t": "order"}, 0))["a"] == 3


def test_an_acknowledgement_of_a_stranger_or_of_old_events_changes_nothing() -> None:
    events = PersonalEvents(RoomLimits())
    events.acknowledge("nobody", 5)
    events.add("ann", {"t": "x"}, 0)
    events.acknowledge("ann", 0)
    assert sequences(events, "ann") == [1]


def test_events_are_bounded_in_number_and_age() -> None:
    events = PersonalEvents(dataclasses.replace(RoomLimits(), personal_events=3, personal_age_ms=1_000))
    for now_ms in range(0, 500, 100):
        events.add("ann", {"t": "x"}, now_ms)
    assert sequences(events, "ann", 500) == [3, 4, 5]
    assert sequences(events, "ann", 1_350) == [5]
    assert sequences(events, "ann", 1_401) == []


@settings(deadline=None)
@given(st.lists(st.sampled_from("abcdef"), max_size=60))
def test_a_persons_sequence_only_grows_even_when_people_are_forgotten(people: list[str]) -> None:
    limits = dataclasses.replace(RoomLimits(), personal_people=2, personal_total=5)
    events = PersonalEvents(limits)
    last: dict[str, int] = {}
    for person in people:
        sequence = orjson.loads(events.add(person, {"t": "x"}, 0))["a"]
        assert sequence > last.get(person, 0)
        last[person] = sequence
    kept = [len(events.unacknowledged(person, 0)) for person in "abcdef"]
    assert sum(1 for count in kept if count) <= 2
