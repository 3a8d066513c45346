"""Coming back: nothing kept is lost and nothing comes twice, however the client was cut off."""

from __future__ import annotations

import asyncio
import random

from chat.hub import Tier
from tests.chat.rig import Client, Rig, eventually, running


def take_in(client: Client, seen: list[int]) -> None:
    """Add what a client was told, as docs/hub.md says a client should."""
    for items in client.frames:
        for item in items:
            if item.get("t") == "room":
                assert item["resumed"] or not seen
                seen += [event["n"] for event in item["history"]]
            elif item.get("t") == "chat":
                seen.append(item["n"])
    client.frames.clear()


async def test_a_client_that_is_cut_off_again_and_again_sees_each_event_once_in_order() -> None:
    async with running() as rig:
        chance = random.Random(7)
        published = 0
        done = asyncio.Event()

        async def publish() -> None:
            nonlocal published
            while published < 600:
                published += 1
                tier = chance.choice([Tier.P0, Tier.P2, Tier.P2, Tier.P2])
                rig.hub.publish("show", {"t": "chat", "n": published}, tier=tier)
                if chance.random() < 0.2:
                    await asyncio.sleep(chance.random() / 100)
            done.set()

        publishing = asyncio.create_task(publish())
        seen: list[int] = []
        while not done.is_set() or len(seen) < published:
            await come_and_go(rig, chance, seen)
        await publishing
        assert seen == list(range(1, 601))


async def come_and_go(rig: Rig, chance: random.Random, seen: list[int]) -> None:
    """Join from where the client was, read a few frames, and be cut."""
    async with rig.client("ann", since=f"e1:{len(seen)}") as client:
        try:
            async with asyncio.timeout(0.1):
                for _ in range(chance.randrange(1, 5)):
                    await client.read()
        except TimeoutError:
            pass
        take_in(client, seen)
        client.socket.transport.abort()


async def test_a_client_of_another_epoch_or_too_far_behind_gets_the_state() -> None:
    async with running() as rig:
        for n in range(1_200):
            rig.hub.publish("show", {"t": "chat", "n": n}, tier=Tier.P2)
        await eventually(lambda: rig.hub.stats("show").offset == 1_200)
        for since in ("e0:1200", "e1:100", "e1:1201", "rubbish"):
            async with rig.client("ann", since=since) as ann:
                room = await ann.event("room")
                assert (room["resumed"], room["offset"]) == (False, 1_200)
                assert len(room["history"]) == rig.hub.limits.room.snapshot_events
        async with rig.client("ann", since="e1:200") as ann:
            room = await ann.event("room")
            assert (room["resumed"], len(room["history"])) == (True, 1_000)


async def test_who_joins_while_events_wait_for_the_tick_gets_them_once() -> None:
    async with running() as rig, rig.client("ann") as ann:
        rig.hub.publish("show", {"t": "chat", "n": 1}, tier=Tier.P2)
        await ann.event("chat")
        rig.hub.publish("show", {"t": "chat", "n": 2}, tier=Tier.P2)
        async with rig.client("bob") as bob:
            await bob.until(lambda item: item.get("t") == "chat" or len(item.get("history", ())) == 2)
            seen: list[int] = []
            take_in(bob, seen)
            assert seen == [1, 2]


async def test_two_connections_of_one_person_resume_each_for_itself() -> None:
    async with running() as rig, rig.client("ann") as one:
        for n in range(1, 4):
            rig.hub.publish("show", {"t": "chat", "n": n}, tier=Tier.P0)
        await one.until(lambda item: item.get("o") == 3)
        async with rig.client("ann", since="e1:1") as two:
            room = await two.event("room")
            assert [event["o"] for event in room["history"]] == [2, 3]
            rig.hub.publish("show", {"t": "chat", "n": 4}, tier=Tier.P0)
            assert (await one.until(lambda item: item.get("o") == 4))["n"] == 4
            assert (await two.event("chat"))["n"] == 4
