"""What it costs when Redis goes, or a node is cut off from it: what the promises of docs/hub.md allow, and no more."""

from __future__ import annotations

import asyncio
import dataclasses

from tests.chat.bus_rig import HASTY, PATIENT, QUICK, STEADY, Bus, Viewer, agree, cli
from tests.chat.rig import WAIT_S, eventually
from tests.redis_server import wire

LOOPS = ("uvloop",)
"""As the server has it: what differs between loops is not what is tried here."""


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


async def eventually_refused(viewer: Viewer, code: str) -> None:
    """Speak until it is refused with a code."""
    async with asyncio.timeout(WAIT_S):
        while (await viewer.client.ask("chat.send", text="?")).get("error", {}).get("code") != code:
            await asyncio.sleep(0.02)
