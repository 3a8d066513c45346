"""The room: snapshot, history, recovery. The machine at the end compares it with a model of a few lines."""

from __future__ import annotations

import dataclasses
from typing import Any

import orjson
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from chat.limits import RoomLimits
from chat.member import Member
from chat.message import Event, Latest, Likes, Section, Tier, Viewers
from chat.room import Batch, Room, Urgency

ANN = Member("ann", "Ann", "viewer", None, 0)


def payload(frame: bytes) -> list[dict[str, Any]]:
    """Return the items of a prepared frame."""
    skip = {126: 4, 127: 10}.get(frame[1], 2) if frame else 0
    return orjson.loads(frame[skip:]) if frame else []


def items(batch: Batch | None, lowest: Tier = Tier.P3) -> list[dict[str, Any]]:
    return payload(batch.frame(lowest)) if batch is not None else []


def shown(room: Room, since: tuple[str, int] | None = None, now_ms: int = 0) -> dict[str, Any]:
    first: dict[str, Any] = orjson.loads(room.snapshot(ANN, since, now_ms))[0]
    return first


def room_with(count: int = 0, limits: RoomLimits | None = None, **sections: Any) -> Room:
    room = Room("show", "e", sections, limits or RoomLimits())
    for n in range(count):
        room.apply(Event({"t": "chat", "n": n}, Tier.P2))
        room.cut(n)
    return room


def test_events_wait_for_a_cut_and_get_their_offsets_there() -> None:
    room = room_with()
    room.apply(Event({"t": "chat", "n": 1}, Tier.P2))
    room.apply(Event({"t": "typing"}, Tier.P2, keep=False))
    room.apply(Event({"t": "chat", "n": 2}, Tier.P2))
    assert (room.offset, shown(room)["history"]) == (0, [])
    assert items(room.cut(0)) == [{"t": "chat", "n": 1, "o": 1}, {"t": "typing"}, {"t": "chat", "n": 2, "o": 2}]
    assert [event["o"] for event in shown(room)["history"]] == [1, 2]
    assert room.cut(0) is None


def test_an_event_that_must_arrive_is_urgent_and_takes_along_what_waits() -> None:
    room = room_with()
    assert room.apply(Event({"t": "chat"}, Tier.P2)) is Urgency.TICK
    assert room.apply(Likes(3)) is Urgency.LAZY
    assert room.apply(Event({"t": "pin"}, Tier.P0)) is Urgency.NOW
    assert [item["t"] for item in items(room.cut(0))] == ["chat", "pin", "likes"]


def test_of_a_latest_value_only_the_newest_goes_and_after_what_came_before_it() -> None:
    room = room_with()
    room.apply(Latest("stock:1", {"t": "stock", "left": 9}))
    room.apply(Event({"t": "sale"}, Tier.P0))
    room.apply(Latest("stock:1", {"t": "stock", "left": 0}))
    room.apply(Viewers(5))
    room.apply(Viewers(6))
    assert items(room.cut(0)) == [{"t": "sale", "o": 1}, {"t": "stock", "left": 0}, {"t": "viewers", "n": 6}]


def test_likes_are_summed() -> None:
    room = room_with()
    for _ in range(10):
        room.apply(Likes(3))
    assert items(room.cut(0)) == [{"t": "likes", "n": 30}]
    assert shown(room)["likes"] == 30


def test_a_slow_levels_frame_leaves_out_what_it_loses() -> None:
    room = room_with()
    for tier in Tier:
        room.apply(Event({"t": tier.name}, tier, keep=False))
    batch = room.cut(0)
    for lowest in Tier:
        assert [item["t"] for item in items(batch, lowest)] == [tier.name for tier in Tier if tier <= lowest]
    room.apply(Likes(1))
    assert items(room.cut(0), Tier.P2) == []


def test_sections_change_at_once_and_a_fields_own_name_is_refused() -> None:
    room = room_with(pins=[1])
    assert room.apply(Section("pins", [2])) is Urgency.NEVER
    room.apply(Event({"t": "drop"}, Tier.P0, sections={"drops": [7]}))
    assert (shown(room)["pins"], shown(room)["drops"]) == ([2], [7])
    with pytest.raises(ValueError):
        room.apply(Section("offset", 1))
    with pytest.raises(ValueError):
        room_with(history=[])


def test_what_json_cannot_hold_is_refused_and_leaves_nothing_behind() -> None:
    room = room_with()
    with pytest.raises(TypeError):
        room.apply(Event({"t": "x", "v": object()}, Tier.P0, sections={"pins": [1]}))
    with pytest.raises(ValueError):
        room.apply(Event({"v": 1}, Tier.P0))
    assert room.cut(0) is None
    assert "pins" not in shown(room)


def test_a_newcomer_gets_the_recent_events_and_a_returning_one_what_it_missed() -> None:
    room = room_with(100, dataclasses.replace(RoomLimits(), snapshot_events=10))
    fresh = shown(room)
    assert (fresh["resumed"], [event["o"] for event in fresh["history"]]) == (False, list(range(91, 101)))
    back = shown(room, ("e", 3))
    assert (back["resumed"], [event["o"] for event in back["history"]]) == (True, list(range(4, 101)))
    assert shown(room, ("e", 100))["history"] == []


@pytest.mark.parametrize("since", [("other", 50), ("e", 101), ("e", 10**17), ("e", 0)])
def test_recovery_is_all_or_nothing(since: tuple[str, int]) -> None:
    room = room_with(100, dataclasses.replace(RoomLimits(), history_events=60))
    back = shown(room, since)
    assert back["resumed"] is False
    assert back["offset"] == 100


def test_history_is_bounded_in_bytes_and_in_age() -> None:
    room = room_with(100, dataclasses.replace(RoomLimits(), history_bytes=260))
    assert room.history_bytes <= 260
    assert room.history_events == 260 // len(b'{"t":"chat","n":99,"o":100}')
    room = room_with(100, dataclasses.replace(RoomLimits(), history_age_ms=1_000))
    assert shown(room, ("e", 90), now_ms=1_089)["resumed"] is True
    assert shown(room, ("e", 90), now_ms=1_091)["resumed"] is False


def test_the_snapshot_carries_the_personal_events_behind_the_room() -> None:
    room = room_with()
    first, *rest = orjson.loads(room.snapshot(ANN, None, 5, (b'{"t":"coupon","a":1}', b'{"t":"order","a":2}')))
    assert first["now"] == 5
    assert first["you"] == {"person": "ann", "name": "Ann", "role": "viewer"}
    assert [event["a"] for event in rest] == [1, 2]


class RoomMachine(RuleBasedStateMachine):
    """A room and clients that come, go and come back, against a plain list of all that was ever cut."""

    LIMITS = dataclasses.replace(RoomLimits(), history_events=8, snapshot_events=3, history_age_ms=50)

    def __init__(self) -> None:
        super().__init__()
        self.room = Room("show", "e", {"pins": 0}, self.LIMITS)
        self.now_ms = 0
        self.said = 0
        self.waiting: list[int] = []
        self.cut_events: list[tuple[int, int]] = []
        self.pins = 0
        self.likes = 0
        self.present: dict[int, list[int]] = {}
        self.away: dict[int, list[int]] = {}
        self.clients = 0

    @rule(tier=st.sampled_from(Tier))
    def say(self, tier: Tier) -> None:
        self.said += 1
        self.waiting.append(self.said)
        self.room.apply(Event({"t": "chat", "n": self.said}, tier))

    @rule()
    def say_without_keeping(self) -> None:
        self.room.apply(Event({"t": "stock"}, Tier.P0, keep=False))

    @rule(count=st.integers(1, 9))
    def like(self, count: int) -> None:
        self.likes += count
        self.room.apply(Likes(count))

    @rule(value=st.integers())
    def pin(self, value: int) -> None:
        self.pins = value % 1000
        self.room.apply(Section("pins", self.pins))

    @rule(ms=st.integers(1, 30))
    def time_passes(self, ms: int) -> None:
        self.now_ms += ms

    @rule()
    def cut(self) -> None:
        batch = self.room.cut(self.now_ms)
        seen = [item["n"] for item in items(batch) if item["t"] == "chat"]
        assert seen == self.waiting
        self.cut_events += [(n, self.now_ms) for n in self.waiting]
        self.waiting = []
        for client in self.present.values():
            client += seen

    @rule()
    def join(self) -> None:
        self.clients += 1
        history = [event["n"] for event in shown(self.room, None, self.now_ms)["history"]]
        kept = self.kept()
        assert history == kept[-self.LIMITS.snapshot_events :]
        self.present[self.clients] = history or [len(self.cut_events)]

    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        if self.present:
            client = data.draw(st.sampled_from(sorted(self.present)))
            self.away[client] = self.present.pop(client)

    @rule(data=st.data())
    def come_back(self, data: st.DataObject) -> None:
        if not self.away:
            return
        client = data.draw(st.sampled_from(sorted(self.away)))
        events = self.away.pop(client)
        first = shown(self.room, ("e", events[-1]), self.now_ms)
        history = [event["n"] for event in first["history"]]
        missing = len(self.cut_events) - events[-1]
        assert first["resumed"] is (missing <= len(self.kept()))
        self.present[client] = (events + history) if first["resumed"] else (history or [len(self.cut_events)])

    def kept(self) -> list[int]:
        recent = self.cut_events[-self.LIMITS.history_events :]
        return [n for n, ms in recent if ms >= self.now_ms - self.LIMITS.history_age_ms]

    @invariant()
    def clients_saw_each_event_once_in_order(self) -> None:
        for events in (*self.present.values(), *self.away.values()):
            assert events == list(range(events[0], events[0] + len(events)))
        for events in self.present.values():
            assert events[-1] == len(self.cut_events)

    @invariant()
    def the_snapshot_is_the_state(self) -> None:
        first = shown(self.room, None, self.now_ms)
        assert (first["pins"], first["likes"], first["offset"]) == (self.pins, self.likes, len(self.cut_events))
        assert self.room.history_events <= self.LIMITS.history_events


TestRoomMachine = RoomMachine.TestCase
TestRoomMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
