"""The walk over a room's sockets: every batch once and in order, whatever happens meanwhile."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from chat.channel import Channel
from chat.fanout import Audience, Fanout
from chat.limits import HubLimits
from chat.message import Event, Tier
from chat.room import Batch
from chat.stats import HubCounters
from tests.chat.rig import eventually

LIMITS = dataclasses.replace(HubLimits(), slice_sockets=3, slice_ms=1_000)


class Pipe:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.frames: list[list[int]] = []
        self.size = 0

    def get_write_buffer_size(self) -> int:
        return self.size

    def write(self, data: bytes) -> None:
        assert data
        while data:
            assert data[1] < 126
            self.frames.append(orjson.loads(data[2 : 2 + data[1]]))
            data = data[2 + data[1] :]

    @property
    def numbers(self) -> list[int]:
        return [number for frame in self.frames for number in frame]


def socket() -> Any:
    return SimpleNamespace(seen=0, place=0, skipping=False, transport=Pipe())


def batch(number: int, *tiers: Tier) -> Batch:
    return Batch([(tier, b"%d" % number) for tier in tiers or (Tier.P2,)])


def ignore(duration_s: float) -> None:
    assert duration_s >= 0


def test_an_urgent_batch_joins_the_pass_under_way_and_costs_each_socket_one_write() -> None:
    audience = Audience(LIMITS, HubCounters())
    sockets = [socket() for _ in range(9)]
    for member in sockets:
        audience.add(member)
    audience.push(batch(1))
    assert not audience.walk(3, time.monotonic() + 60)
    audience.push(batch(2, Tier.P0))
    writes = 0
    while not audience.walk(3, time.monotonic() + 60):
        writes += 1
    assert [member.transport.numbers for member in sockets] == [[1, 2]] * 9
    assert writes == 4


def test_the_more_a_socket_lags_the_more_it_loses() -> None:
    counters = HubCounters()
    audience = Audience(LIMITS, counters)
    sizes = [0, LIMITS.soft_bytes + 1, LIMITS.chat_bytes + 1, LIMITS.skip_bytes + 1]
    sockets = [socket() for _ in sizes]
    for member, size in zip(sockets, sizes, strict=True):
        member.transport.size = size
        audience.add(member)
    audience.push(Batch([(tier, b"%d" % tier) for tier in Tier]))
    while not audience.walk(99, time.monotonic() + 60):
        pass
    assert [member.transport.numbers for member in sockets] == [[0, 1, 2, 3], [0, 1, 2], [0, 1], []]
    assert counters.dropped == [1, 1, 2, 3]
    assert counters.messages_out == 9
    assert (audience.skipping, sockets[3].skipping) == (1, True)


def test_rooms_take_turns_and_an_urgent_room_comes_first() -> None:
    calls: list[Any] = []
    fanout = Fanout(calls.append, LIMITS)
    rooms = [Audience(LIMITS, HubCounters()) for _ in range(3)]
    sockets = [[socket() for _ in range(6)] for _ in rooms]
    for room, members in zip(rooms, sockets, strict=True):
        for member in members:
            room.add(member)
    for number, room in enumerate(rooms):
        fanout.start(room, batch(number), ignore, urgent=number == 2)

    def reached() -> list[int]:
        return [sum(bool(member.transport.frames) for member in members) for members in sockets]

    assert reached() == [3, 0, 0]
    calls.pop()()
    assert reached() == [3, 0, 3]
    while calls:
        calls.pop()()
    assert reached() == [6, 6, 6]


def test_a_room_that_becomes_urgent_on_its_way_comes_first() -> None:
    calls: list[Any] = []
    fanout = Fanout(calls.append, LIMITS)
    rooms = [Audience(LIMITS, HubCounters()) for _ in range(3)]
    last = [socket() for _ in range(6)]
    for room in rooms:
        for member in last if room is rooms[2] else [socket() for _ in range(6)]:
            room.add(member)
        fanout.start(room, batch(1), ignore, urgent=False)
    fanout.start(rooms[2], batch(2), ignore, urgent=True)
    calls.pop()()
    assert [member.transport.numbers for member in last] == [[], [], [], [1, 2], [1, 2], [1, 2]]


def test_a_socket_that_was_given_the_state_gets_only_what_comes_later() -> None:
    audience = Audience(LIMITS, HubCounters())
    member = socket()
    audience.add(member)
    member.transport.size = LIMITS.skip_bytes + 1
    for number in (1, 2):
        audience.push(batch(number))
        while number == 1 and not audience.walk(9, time.monotonic() + 60):
            pass
    assert audience.skipping == 1
    member.transport.size = 0
    audience.bring_up(member)
    audience.push(batch(3))
    while not audience.walk(9, time.monotonic() + 60):
        pass
    assert (member.transport.numbers, audience.skipping) == ([3], 0)


async def test_a_frame_is_not_cut_while_the_last_is_on_its_way_unless_it_is_urgent() -> None:
    calls: list[Any] = []
    limits = dataclasses.replace(LIMITS, tick_ms=0)
    fanout = Fanout(calls.append, limits)
    clock = lambda: 0  # noqa: E731
    room = Channel("r", "e", {}, limits=limits, fanout=fanout, clock=clock, text_filter=None)
    for _ in range(6):
        room.audience.add(socket())

    async def say(tier: Tier) -> int:
        room.apply(Event({"t": "x"}, tier))
        await asyncio.sleep(0)
        return room.room.offset

    assert await say(Tier.P2) == 1
    assert await say(Tier.P2) == 1
    assert await say(Tier.P0) == 3
    assert await say(Tier.P2) == 3
    while calls:
        calls.pop()()
    await eventually(lambda: room.room.offset == 4)
    room.close()


def test_a_transport_that_fails_does_not_stop_the_walk() -> None:
    calls: list[Any] = []
    fanout = Fanout(calls.append, LIMITS)
    audience = Audience(LIMITS, HubCounters())
    sockets = [socket() for _ in range(6)]
    for member in sockets:
        audience.add(member)
    sockets[5].transport = None
    with pytest.raises(AttributeError):
        fanout.start(audience, batch(1), ignore, urgent=False)
    while calls:
        calls.pop()()
    assert [member.transport.numbers for member in sockets[:5]] == [[1]] * 5


class Walk(RuleBasedStateMachine):
    """Sockets come and go, stop reading and go on, and batches are cut between slices."""

    def __init__(self) -> None:
        super().__init__()
        self.counters = HubCounters()
        self.audience = Audience(LIMITS, self.counters)
        self.expected: list[tuple[Any, list[int]]] = []
        self.jammed: list[tuple[Any, list[int]]] = []
        self.number = 0
        self.due = 0

    @rule()
    def join(self) -> None:
        member = socket()
        self.audience.add(member)
        self.expected.append((member, []))

    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        if self.expected:
            member, numbers = self.expected.pop(data.draw(st.integers(0, len(self.expected) - 1)))
            self.audience.remove(member)
            self.due -= len(numbers) - len(member.transport.numbers)

    @rule(data=st.data())
    def jam(self, data: st.DataObject) -> None:
        if self.expected:
            self.jammed.append(self.expected.pop(data.draw(st.integers(0, len(self.expected) - 1))))
            self.jammed[-1][0].transport.size = LIMITS.skip_bytes + 1

    @rule(data=st.data(), leaves=st.booleans())
    def drain(self, data: st.DataObject, leaves: bool) -> None:
        skipped = [one for one in self.jammed if one[0].skipping]
        if skipped:
            one = data.draw(st.sampled_from(skipped))
            self.jammed = [other for other in self.jammed if other is not one]
            one[0].transport.size = 0
            if leaves:
                self.audience.remove(one[0])
            else:
                self.audience.bring_up(one[0])
                self.expected.append((one[0], list(one[0].transport.numbers)))

    @rule()
    def cut(self) -> None:
        self.number += 1
        self.audience.push(batch(self.number % 90))
        self.due += len(self.audience)
        for _, numbers in self.expected:
            numbers.append(self.number % 90)

    @rule(count=st.integers(1, 4))
    def walk(self, count: int) -> None:
        if self.audience.walking:
            self.audience.walk(count, time.monotonic() + 60)

    @invariant()
    def each_socket_has_a_beginning_of_what_it_should_get(self) -> None:
        assert len(self.audience) == len(self.expected) + len(self.jammed)
        for member, numbers in self.expected:
            got = member.transport.numbers
            assert got == numbers[: len(got)]

    @invariant()
    def who_is_skipped_is_not_walked_over(self) -> None:
        assert not any(member.skipping for member in self.audience.connections)
        assert self.audience.skipping == sum(member.skipping for member, _ in self.jammed)

    def teardown(self) -> None:
        while self.audience.walking:
            self.audience.walk(3, time.monotonic() + 60)
        for member, numbers in self.expected:
            assert member.transport.numbers == numbers
        assert self.counters.messages_out + sum(self.counters.dropped) == self.due


TestWalk = Walk.TestCase
TestWalk.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
