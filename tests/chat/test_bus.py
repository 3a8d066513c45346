"""Hubs of several nodes on one Redis: one order, one state, and people counted over all."""

from __future__ import annotations

import asyncio
import dataclasses
from contextlib import AsyncExitStack

import pytest

from chat.broker_redis import RedisBroker
from chat.message import Event, Tier
from chat.room_figures import summed
from tests.chat.bus_rig import COUNTING, STEADY, Bus, Node, agree
from tests.chat.rig import eventually, member_of, running

LOOPS = ("uvloop",)
"""As the server has it: what differs between loops is not what is tried here."""


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


async def test_who_comes_from_a_node_that_was_quicker_to_cut_a_frame_resumes(bus: Bus) -> None:
    one = await bus.node()
    two = await bus.node(hub=dataclasses.replace(COUNTING, tick_ms=60_000))
    async with two.viewer("bob") as bob, one.viewer("ann") as ann:
        one.pin(1)
        await ann.event("pin")
        await bob.event("pin")
        await ann.say("second")
        await ann.text("second")
        await eventually(lambda: two.broker._places["show"].seat.sequence == 2)
        # It waits for the tick there, and the tick is a minute away.
        async with two.viewer("ann", ann.since) as back:
            assert (back.first["resumed"], back.first["history"]) == (True, [])
            await bob.text("second")


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
        assert (await bob.event("you"))["you"]["muted"]
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


async def test_what_each_node_counts_is_told_to_whoever_looks_and_goes_with_the_node(bus: Bus) -> None:
    one = await bus.node()
    dead = RedisBroker(bus.redis.url, limits=dataclasses.replace(STEADY, count_expires_ms=1_000))
    async with (
        one.rig.client("ann") as ann,
        running(broker=dead, limits=COUNTING, server="two") as rig,
        rig.client("bob") as bob,
        rig.client("boss.host") as boss,
    ):
        for client, text in ((ann, "a"), (bob, "b"), (bob, "c")):
            assert (await client.ask("chat.send", text=text))["ok"]
        here = one.rig.hub.channel("show")
        assert (here.looked_at, here.others) == (False, [])
        # Looked at: the next count brings the others' along.
        assert [part.server for part in here.servers()] == [""]
        await eventually(lambda: [(part.chat_lines, part.messages_out > 0) for part in here.others] == [(2, True)])
        (other,) = here.others
        assert (other.server, other.viewers, other.connections) == ("two", 1, 2)
        assert other.roles == {"viewer": 1, "host": 1}
        both = summed(here.servers())
        assert (both.viewers, both.connections, both.chat_lines) == (2, 3, 3)
        assert both.messages_out >= other.messages_out
        await boss.ask("like")
        assert dead._pulsing is not None
        dead._pulsing.cancel()
        await eventually(lambda: here.servers()[1:] == [])


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
