"""Hubs of several nodes on one Redis: one order, one state, and what an outage may cost."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from chat.broker_redis import RedisBroker
from chat.hub import HubLimits
from chat.limits import BusLimits
from chat.message import Event, Tier
from tests.chat.rig import Client, Rig, eventually, member_of, running
from tests.redis_server import RedisServer, redis_server, wire

LOOPS = ("uvloop",)
"""As the server has it: what differs between loops is not what is tried here."""

STEADY = dataclasses.replace(
    BusLimits(),
    count_ms=100,
    count_expires_ms=20_000,
    grace_ms=60_000,
    reconnect_ms=50,
    answer_s=20.0,
    attach_s=20.0,
    silent_s=20.0,
)
"""A node that nothing but a broken connection makes give up, however slow this machine is."""
QUICK = dataclasses.replace(STEADY, grace_ms=300)
"""A node that goes on alone soon when its bus refuses connections …"""
HASTY = dataclasses.replace(QUICK, answer_s=0.5, ping_s=0.2, silent_s=1.0)
"""… and also when it says nothing."""
PATIENT = dataclasses.replace(HASTY, grace_ms=60_000)
"""A node that notices an outage, and waits for its end."""
COUNTING = HubLimits(viewers_ms=50)


class Bus:
    """A Redis, and nodes that come and go."""

    def __init__(self, redis: RedisServer, stack: AsyncExitStack) -> None:
        self.redis = redis
        self.stack = stack

    async def node(self, url: str | None = None, limits: BusLimits = STEADY, **more: Any) -> Node:
        """Start a node."""
        broker = RedisBroker(url or self.redis.url, limits=limits)
        return Node(await self.stack.enter_async_context(running(broker=broker, limits=COUNTING, **more)), broker)


class Node:
    """One hub with its bus."""

    def __init__(self, rig: Rig, broker: RedisBroker) -> None:
        self.rig = rig
        self.broker = broker

    @asynccontextmanager
    async def viewer(self, token: str, since: str | None = None, room: str = "show") -> AsyncIterator[Viewer]:
        """Connect a viewer and read the first frame."""
        async with self.rig.client(token, since=since, room=room) as client:
            viewer = Viewer(client)
            await viewer.enter()
            yield viewer

    def pin(self, number: int, once: str = "") -> None:
        """Publish a P0 event with its section, as the shop does."""
        event = {"t": "pin", "n": number}
        self.rig.hub.publish("show", event, tier=Tier.P0, sections={"pins": [number]}, once=once)


class Viewer:
    """Somebody who watches, and keeps account of what came under which epoch and offset."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.epoch = ""
        self.offset = 0
        self.first: dict[str, Any] = {}
        self.seen: dict[tuple[str, int], dict[str, Any]] = {}
        self.order: list[dict[str, Any]] = []
        self.rooms = 0

    @property
    def since(self) -> str:
        """What this viewer comes back with."""
        return f"{self.epoch}:{self.offset}"

    async def enter(self) -> None:
        """Read up to the first room object."""
        await self.until(lambda event: event["t"] == "room")

    async def until(self, wanted: Any) -> dict[str, Any]:
        """Read on to the first event that is wanted, be it in the history of a room object; each is looked at once."""
        while True:
            while self.client.pending:
                item = self.client.pending.pop(0)
                if "t" in item:
                    self.look(item)
                    for event in (item, *item.get("history", ())):
                        if wanted(event):
                            return dict(event)
            self.client.pending += await self.client.read()

    def look(self, event: dict[str, Any]) -> None:
        """Take note of one event, as a client does."""
        if event["t"] == "room":
            self.first = event
            self.rooms += 1
            self.epoch, self.offset = event["epoch"], event["offset"]
            for old in event["history"]:
                self.note(old)
        elif event["t"] == "epoch":
            self.epoch = event["epoch"]
        elif "o" in event:
            assert event["o"] == self.offset + 1, "an event is missing or comes twice"
            self.offset = event["o"]
            self.note(event)
            self.order.append(event)

    def note(self, event: dict[str, Any]) -> None:
        assert self.seen.setdefault((self.epoch, event["o"]), event) == event

    async def text(self, text: str) -> dict[str, Any]:
        """Read on to a line of chat."""
        return await self.until(lambda event: event["t"] == "chat" and event["text"] == text)

    async def event(self, kind: str, **fields: Any) -> dict[str, Any]:
        """Read on to an event of a type with these fields."""
        return await self.until(lambda item: item["t"] == kind and fields.items() <= item.items())

    async def say(self, text: str) -> None:
        """Say something and do not wait."""
        await self.client.say("chat.send", text=text)

    async def kept(self, count: int) -> None:
        """Read on until so many events with an offset came."""
        while len(self.order) < count:
            await self.until(lambda event: "o" in event)

    def texts(self) -> list[str]:
        """What was said while this viewer was there."""
        return [event["text"] for event in self.order if event["t"] == "chat"]


def agree(*viewers: Viewer) -> None:
    """Assert that an offset of an epoch means the same to all."""
    known: dict[tuple[str, int], dict[str, Any]] = {}
    for viewer in viewers:
        for place, event in viewer.seen.items():
            assert known.setdefault(place, event) == event, place


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path) as server:
        yield server


@pytest.fixture
async def bus(redis: RedisServer) -> AsyncIterator[Bus]:
    async with AsyncExitStack() as stack:
        yield Bus(redis, stack)


# One order


async def test_what_is_said_on_one_node_comes_to_the_other_in_the_same_order_and_under_the_same_offsets(
    bus: Bus,
) -> None:
    one, two = await bus.node(), await bus.node()
    async with one.viewer("ann") as ann, two.viewer("bob") as bob:
        for number in range(4):
            await asyncio.gather(ann.say(f"a{number}"), bob.say(f"b{number}"))
            one.pin(number)
        for viewer in (ann, bob):
            await viewer.kept(12)
        assert ann.order == bob.order
        assert sorted(ann.texts()) == sorted(f"{who}{number}" for who in "ab" for number in range(4))
        agree(ann, bob)


async def test_a_viewer_comes_back_on_another_node_and_gets_exactly_what_was_missed(bus: Bus) -> None:
    one, two = await bus.node(), await bus.node()
    async with two.viewer("bob") as bob:
        async with one.viewer("ann") as ann:
            await bob.say("first")
            await ann.text("first")
            since = ann.since
        await bob.say("second")
        one.pin(1)
        await bob.kept(3)
        async with two.viewer("ann", since) as back:
            assert back.first["resumed"] is True
            missed = [event.get("text", event["t"]) for event in back.first["history"]]
            assert sorted(missed) == ["pin", "second"]
            agree(ann, back, bob)


async def test_a_burst_becomes_a_few_entries_and_a_node_without_viewers_gets_nothing(bus: Bus) -> None:
    one, two = await bus.node(), await bus.node()
    async with one.viewer("ann") as ann:
        for number in range(100):
            one.rig.hub.publish("show", {"t": "note", "n": number}, tier=Tier.P1)
        await ann.event("note", n=99)
        assert one.broker.stats().entries_out <= 3
        assert [event["n"] for event in ann.order] == list(range(100))
    assert (two.broker.stats().held, two.broker.stats().bytes_in) == (0, 0)


async def test_likes_and_values_are_summed_before_they_leave_the_node(bus: Bus) -> None:
    one, two = await bus.node(), await bus.node()
    async with one.viewer("ann") as ann, two.viewer("bob") as bob:
        sent = one.broker.stats().entries_out
        for number in range(20):
            await ann.client.say("like", n=10)
            one.rig.hub.publish_latest("show", "left", {"t": "left", "n": number}, tier=Tier.P3)
        assert (await bob.event("likes", n=200))["n"] == 200
        await ann.event("likes", n=200)
        assert one.broker.stats().entries_out - sent <= 12
        await bob.client.say("like", n=1)
        await ann.event("likes", n=201)


async def test_what_several_nodes_heard_of_is_told_once(bus: Bus) -> None:
    one, two = await bus.node(), await bus.node()
    async with one.viewer("ann") as ann, two.viewer("bob") as bob:
        for number in range(3):
            one.pin(number, once=f"event-{number}")
            two.pin(number, once=f"event-{number}")
        one.pin(9)
        for viewer in (ann, bob):
            await viewer.event("pin", n=9)
            assert [event["n"] for event in viewer.order] == [0, 1, 2, 9]
        two.pin(1, once="event-1")
        two.pin(10)
        await ann.event("pin", n=10)
        assert [event["n"] for event in ann.order] == [0, 1, 2, 9, 10]


# One state


async def test_what_staff_decide_holds_on_every_node_and_on_one_that_comes_later(bus: Bus) -> None:
    one, two = await bus.node(), await bus.node()
    async with AsyncExitStack() as stack:
        host = await stack.enter_async_context(one.viewer("host.host"))
        bob = await stack.enter_async_context(two.viewer("bob"))
        cid = await stack.enter_async_context(two.viewer("cid"))
        for command, fields in (
            ("mute", {"person": "bob", "seconds": 60}),
            ("words.set", {"words": ["grey"]}),
            ("notice.pin", {"text": "welcome"}),
            ("poll.start", {"title": "which", "options": ["a", "b"]}),
            ("ban", {"person": "dan"}),
        ):
            assert (await host.client.ask(command, **fields))["ok"], command
        poll = (await bob.event("poll"))["poll"]["poll"]
        assert (await bob.client.ask("chat.send", text="x"))["error"]["code"] == "muted"
        await cid.say("a grey day")
        await bob.text("a **** day")
        assert (await bob.client.ask("poll.vote", poll=poll, option=1))["ok"]
        await host.until(lambda event: event["t"] == "votes" and event["votes"] == [0, 1])
        assert (await host.client.ask("poll.vote", poll=poll, option=0))["ok"]
        await bob.until(lambda event: event["t"] == "votes" and event["votes"] == [1, 1])

        late = await bus.node()
        eve = await stack.enter_async_context(late.viewer("eve"))
        assert eve.first["pinned"]["text"] == "welcome"
        assert eve.first["poll"]["votes"] == [1, 1]
        assert (eve.first["epoch"], eve.first["offset"]) == (bob.epoch, bob.offset)
        bob2 = await stack.enter_async_context(late.viewer("bob"))
        assert (await bob2.client.ask("chat.send", text="x"))["error"]["code"] == "muted"
        assert (await bob2.client.ask("poll.vote", poll=poll, option=1))["error"]["code"] == "already"
        async with late.rig.client("dan") as dan:
            assert (await dan.closed())[0] == 4403
        agree(host, bob, cid, eve, bob2)


async def test_slow_mode_and_the_rate_of_a_person_hold_over_nodes(bus: Bus) -> None:
    one, two = await bus.node(), await bus.node()
    async with one.viewer("host.host") as host, one.viewer("ann") as here, two.viewer("ann") as there:
        assert (await host.client.ask("chat.slow", seconds=600))["ok"]
        await there.event("rules")
        assert (await here.client.ask("chat.send", text="one"))["ok"]
        await there.text("one")
        assert (await there.client.ask("chat.send", text="two"))["error"]["code"] == "slow_mode"


async def test_a_kick_reaches_the_person_on_another_node(bus: Bus) -> None:
    one, two = await bus.node(), await bus.node()
    async with one.viewer("host.host") as host, two.viewer("bob") as bob:
        assert (await host.client.ask("kick", person="bob", reason="enough"))["ok"]
        assert (await bob.event("kick"))["reason"] == "enough"
        assert (await bob.client.closed())[0] == 4403


async def test_personal_events_find_the_person_on_another_node_until_acknowledged(bus: Bus) -> None:
    one, two = await bus.node(), await bus.node()
    async with two.viewer("bob") as bob:
        one.rig.hub.send_personal("show", "bob", {"t": "coupon", "coupon": 1})
        assert (await bob.event("coupon"))["a"] == 1
        one.rig.hub.send_personal("show", "bob", {"t": "coupon", "coupon": 2})
        await bob.event("coupon")
        assert (await bob.client.ask("ack", to=1))["ok"]
    async with one.viewer("bob") as back:
        assert (await back.event("coupon"))["a"] == 2


async def test_commands_over_http_work_on_a_node_where_nobody_is(bus: Bus) -> None:
    one, two = await bus.node(), await bus.node()
    async with one.viewer("ann") as ann:
        assert (await ann.client.ask("chat.send", text="hello"))["ok"]
        line = await ann.text("hello")
        await two.rig.hub.order("show", member_of("show", "host.host"), "recall", {"offset": line["o"]})
        assert (await ann.event("recall"))["offset"] == line["o"]


async def test_who_sends_at_once_with_the_request_is_answered_after_the_room(bus: Bus) -> None:
    one, two = await bus.node(), await bus.node()
    async with one.viewer("host.host") as host:
        assert (await host.client.ask("mute", person="bob", seconds=60))["ok"]
        async with two.rig.client("bob") as bob:
            # Before anything was read: the node has yet to fetch the room, and with it the mute.
            number = await bob.say("chat.send", text="x")
            assert (await bob.read())[0]["t"] == "room"
            assert (await bob.answer(number))["error"]["code"] == "muted"


# People


async def test_people_are_counted_over_nodes_and_a_dead_node_leaves_no_ghosts(bus: Bus) -> None:
    one = await bus.node()
    dead = RedisBroker(bus.redis.url, limits=dataclasses.replace(STEADY, count_expires_ms=1_000))
    async with one.viewer("ann") as ann, running(broker=dead, limits=COUNTING) as rig:
        two = Node(rig, dead)
        async with two.viewer("bob") as bob, two.viewer("cid"):
            await bob.event("viewers", n=3)
            await ann.event("viewers", n=3)
            # As a process that is killed: it says nothing more, not even goodbye.
            assert dead._pulsing is not None
            dead._pulsing.cancel()
            await ann.event("viewers", n=1)


async def test_a_node_that_closes_takes_its_people_along_at_once(bus: Bus) -> None:
    slow = dataclasses.replace(STEADY, count_expires_ms=600_000)
    one = await bus.node(limits=slow)
    async with one.viewer("ann") as ann:
        async with running(broker=RedisBroker(bus.redis.url, limits=slow), limits=COUNTING) as rig, rig.client("bob"):
            await ann.event("viewers", n=2)
        await ann.event("viewers", n=1)


async def test_a_room_that_everybody_left_is_let_go_and_found_again(bus: Bus) -> None:
    one, two = await bus.node(limits=dataclasses.replace(STEADY, linger_ms=50)), await bus.node()
    async with two.viewer("bob") as bob:
        async with one.viewer("ann") as ann:
            since = ann.since
        await eventually(lambda: one.broker.stats().held == 0)
        heard = one.broker.stats().bytes_in
        await bob.say("missed")
        await bob.text("missed")
        assert one.broker.stats().bytes_in == heard
        async with one.viewer("ann", since) as back:
            assert [event["text"] for event in back.first["history"]] == ["missed"]
            assert back.first["resumed"] is True


# Outages


async def test_a_subscription_that_was_cut_loses_nothing(bus: Bus) -> None:
    one, two = await bus.node(), await bus.node()
    async with one.viewer("ann") as ann, two.viewer("bob") as bob:
        for number in range(5):
            await bob.say(f"line {number}")
            if number == 2:
                await cli(bus.redis, "CLIENT", "KILL", "TYPE", "pubsub")
        for viewer in (ann, bob):
            await viewer.kept(5)
            assert viewer.texts() == [f"line {number}" for number in range(5)]
            assert viewer.rooms == 1
        agree(ann, bob)


async def test_a_short_outage_costs_nobody_anything(bus: Bus) -> None:
    async with wire(bus.redis.port) as line:
        one, two = await bus.node(line.url, PATIENT), await bus.node()
        async with one.viewer("ann") as ann, two.viewer("bob") as bob:
            line.cut()
            await ann.say("of ann")
            one.pin(1)
            await bob.say("of bob")
            await bob.text("of bob")
            await eventually(lambda: one.broker.stats().up == 0)
            line.mend()
            for viewer in (ann, bob):
                await viewer.kept(3)
                assert viewer.rooms == 1
            assert ann.order == bob.order
            agree(ann, bob)


async def test_a_node_that_is_cut_off_goes_on_alone_and_comes_back(bus: Bus) -> None:
    async with wire(bus.redis.port) as line:
        one, two = await bus.node(line.url, HASTY), await bus.node()
        async with one.viewer("ann") as ann, one.viewer("host.host") as host, two.viewer("bob") as bob:
            await bob.say("before")
            await ann.text("before")
            line.cut()
            # What was on its way when the line went may arrive yet.
            await ann.say("on the way")
            await ann.text("on the way")
            # Chat goes on among those who are here; what must arrive arrives here at once and there afterwards.
            await ann.say("alone")
            await ann.text("alone")
            one.pin(7)
            await ann.event("pin", n=7)
            assert (await host.client.ask("mute", person="bob", seconds=60))["ok"]
            await bob.say("elsewhere")
            await bob.text("elsewhere")
            assert ann.epoch != bob.epoch
            line.mend()
            await bob.event("pin", n=7)
            await ann.event("room")
            assert (ann.epoch, ann.first["resumed"], ann.first["pins"]) == (bob.epoch, False, [7])
            assert "elsewhere" in [event.get("text") for event in ann.first["history"]]
            assert "alone" not in bob.texts()
            await eventually_refused(bob, "muted")
            two.pin(8)
            for viewer in (ann, bob):
                await viewer.event("pin", n=8)
            assert bob.rooms == 1
            agree(ann, host, bob)


async def test_a_redis_that_dies_and_comes_back_empty_parts_the_nodes_for_a_while(bus: Bus) -> None:
    one, two = await bus.node(limits=QUICK), await bus.node(limits=QUICK)
    async with one.viewer("ann") as ann, two.viewer("bob") as bob, two.viewer("host.host") as host:
        await ann.say("before")
        await bob.text("before")
        assert (await host.client.ask("notice.pin", text="welcome"))["ok"]
        await ann.event("pinned")
        bus.redis.kill()
        one.pin(1, once="e1")
        two.pin(1, once="e1")
        await ann.event("pin", n=1)
        await bob.event("pin", n=1)
        async with one.viewer("cid", since=ann.since) as cid:
            assert cid.first["resumed"] is True
            await cid.say("here")
            await ann.text("here")
        bus.redis.start()
        await eventually(lambda: one.broker.stats().up + two.broker.stats().up == 2)
        await eventually(lambda: one.broker.stats().alone + two.broker.stats().alone == 0)
        one.pin(2)
        for viewer in (ann, bob):
            await viewer.event("pin", n=2)
        assert ann.epoch == bob.epoch and ann.offset == bob.offset
        async with two.viewer("eve") as eve:
            assert eve.first["pinned"]["text"] == "welcome"
        # Told to both while they were apart, and to neither again.
        assert [event["n"] for event in ann.order if event["t"] == "pin"] == [1, 2]
        assert [event["n"] for event in bob.order if event["t"] == "pin"] == [1, 2]
        agree(ann, bob, eve)


async def test_a_redis_that_hangs_holds_up_nothing_for_long(bus: Bus) -> None:
    one = await bus.node(limits=HASTY)
    async with one.viewer("ann") as ann:
        bus.redis.pause()
        try:
            one.pin(1)
            await ann.event("pin", n=1)
            await ann.say("still here")
            await ann.text("still here")
        finally:
            bus.redis.resume()
        await eventually(lambda: one.broker.stats().up == 1 and one.broker.stats().alone == 0)
        one.pin(2)
        await ann.event("pin", n=2)
        assert [event["n"] for event in ann.order if event["t"] == "pin"] == [1, 2]


async def test_a_node_that_starts_without_its_bus_joins_it_later(bus: Bus) -> None:
    bus.redis.kill()
    one = await bus.node(limits=QUICK)
    async with one.viewer("ann") as ann:
        await ann.say("alone")
        await ann.text("alone")
        bus.redis.start()
        await eventually(lambda: one.broker.stats().alone == 0)
        two = await bus.node(limits=QUICK)
        async with two.viewer("bob") as bob:
            assert [event["text"] for event in bob.first["history"]] == ["alone"]
            await bob.say("together")
            await ann.text("together")
            agree(ann, bob)


async def test_a_log_that_is_emptied_under_way_begins_a_new_epoch(bus: Bus) -> None:
    one, two = await bus.node(), await bus.node()
    async with one.viewer("ann") as ann, two.viewer("bob") as bob:
        await ann.say("before")
        await bob.text("before")
        before = bob.epoch
        await cli(bus.redis, "FLUSHALL")
        await bob.say("after")
        await ann.text("after")
        await bob.text("after")
        assert ann.epoch == bob.epoch != before
        agree(ann, bob)


async def test_a_redis_that_forgot_what_was_seen_begins_a_new_epoch(bus: Bus) -> None:
    """As after a failover to a replica that had not all of it."""
    one, two = await bus.node(), await bus.node()
    async with one.viewer("ann") as ann, two.viewer("bob") as bob:
        for number in range(3):
            one.pin(number)
            await bob.event("pin", n=number)
        before = bob.epoch
        await cli(bus.redis, "HSET", "siyu:{show}:head", "seq", "1")
        await cli(bus.redis, "XTRIM", "siyu:{show}:log", "MAXLEN", "1")
        await cli(bus.redis, "CLIENT", "KILL", "TYPE", "normal")
        await cli(bus.redis, "CLIENT", "KILL", "TYPE", "pubsub")
        await ann.until(lambda _: ann.epoch != before)
        await bob.until(lambda _: bob.epoch != before)
        two.pin(9)
        await ann.event("pin", n=9)
        await bob.event("pin", n=9)
        assert ann.epoch == bob.epoch
        agree(ann, bob)


async def test_a_node_that_comes_when_the_log_was_cut_begins_with_a_checkpoint(bus: Bus) -> None:
    short = dataclasses.replace(STEADY, log_entries=200, checkpoint_entries=50, tick_ms=1)
    one = await bus.node(limits=short)
    async with one.viewer("ann") as ann:
        for number in range(400):
            one.pin(number)
            await asyncio.sleep(0)
        await ann.event("pin", n=399)
        # The bus cuts by whole nodes of its tree: more entries than asked for may stay.
        for number in range(400, 520):
            one.pin(number)
            await ann.event("pin", n=number)
        two = await bus.node(limits=short)
        async with two.viewer("bob") as bob:
            assert bob.first["offset"] == ann.offset == 520
            assert bob.first["pins"] == [519]
            agree(ann, bob)


async def test_an_entry_of_another_release_is_skipped_and_parts_nobody(bus: Bus) -> None:
    one, two = await bus.node(), await bus.node()
    async with one.viewer("ann") as ann, two.viewer("bob") as bob:
        await one.broker._log.append("show", 1, [("", b'["hologram",{},""]')])  # type: ignore[union-attr]
        one.broker._places["show"].seat._number = 1
        two.pin(3)
        for viewer in (ann, bob):
            await viewer.event("pin", n=3)
            assert viewer.offset == 1
        assert one.broker.stats().broken == two.broker.stats().broken == 1


async def test_what_cannot_be_sent_is_refused_where_it_is_said(bus: Bus) -> None:
    one = await bus.node()
    with pytest.raises(TypeError):
        one.rig.hub.publish("show", {"t": "x", "y": object()}, tier=Tier.P0)
    with pytest.raises(ValueError, match="history"):
        one.rig.hub.tell("show", Event({"t": "x"}, Tier.P0, sections={"history": []}))
    with pytest.raises(ValueError, match="scheme"):
        RedisBroker("http://127.0.0.1")


async def cli(redis: RedisServer, *command: str) -> None:
    """Give Redis one command."""
    reader, writer = await asyncio.open_connection("127.0.0.1", redis.port)
    parts = [f"${len(part)}\r\n{part}\r\n" for part in command]
    writer.write(f"*{len(command)}\r\n{''.join(parts)}".encode())
    answer = await reader.readline()
    assert not answer.startswith(b"-"), answer
    writer.close()


async def eventually_refused(viewer: Viewer, code: str) -> None:
    """Speak until it is refused with a code."""
    async with asyncio.timeout(5):
        while (await viewer.client.ask("chat.send", text="?")).get("error", {}).get("code") != code:
            await asyncio.sleep(0.02)
