"""Three nodes in a storm: whatever breaks at random, an offset means one thing and what must arrive arrives once."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack, suppress
from random import Random

import pytest

from chat.broker_redis import RedisBroker
from tests.chat.bus_rig import COUNTING, HASTY, Node, Viewer, agree
from tests.chat.rig import eventually, running
from tests.redis_server import RedisServer, Wire, wire

LOOPS = ("uvloop",)
"""As the server has it: what differs between loops is not what is tried here."""


class Storm:
    """Three nodes behind wires of their own, people who come and go, and everything that can break at random."""

    def __init__(self, redis: RedisServer, random: Random) -> None:
        self.redis = redis
        self.random = random
        self.nodes: list[Node] = []
        self.wires: list[Wire] = []
        self.viewers: list[tuple[int, Viewer, AsyncExitStack]] = []
        self.gone: list[Viewer] = []
        self.told = 0

    async def step(self) -> None:
        """Do one thing."""
        await self.random.choice(
            [self.say, self.say, self.tell, self.tell, self.come, self.move, self.cut, self.mend]
        )()

    async def say(self) -> None:
        if self.viewers:
            _, viewer, _ = self.random.choice(self.viewers)
            await viewer.say(f"line {self.random.random()}")

    async def tell(self) -> None:
        """Let the shop tell something: every node hears of it, in its own time."""
        self.told += 1
        nodes = self.random.sample(self.nodes, len(self.nodes))
        for node in nodes:
            node.pin(self.told, once=f"event-{self.told}")
            await asyncio.sleep(self.random.random() * 0.01)

    async def come(self, since: Viewer | None = None) -> None:
        number = self.random.randrange(len(self.nodes))
        stack = AsyncExitStack()
        name = f"p{self.random.randrange(10**9)}"
        viewer = await stack.enter_async_context(
            self.nodes[number].viewer(name, None if since is None else since.since)
        )
        if since is not None and viewer.first["resumed"]:
            # What came back, on whatever node, is what was missed: without a gap and nothing twice.
            offsets = [event["o"] for event in viewer.first["history"]]
            assert offsets == list(range(since.offset + 1, viewer.first["offset"] + 1))
        self.viewers.append((number, viewer, stack))
        viewer.came_at = self.told

    async def move(self) -> None:
        if len(self.viewers) > 2:
            _, viewer, stack = self.viewers.pop(self.random.randrange(len(self.viewers)))
            await self.drain(viewer)
            await stack.aclose()
            self.gone.append(viewer)
            await self.come(viewer)

    async def cut(self) -> None:
        self.random.choice(self.wires).cut()
        await asyncio.sleep(self.random.random())

    async def mend(self) -> None:
        for line in self.wires:
            line.mend()
        await asyncio.sleep(self.random.random())

    async def drain(self, viewer: Viewer) -> None:
        """Look at what has come so far."""
        with suppress(TimeoutError):
            async with asyncio.timeout(0.02):
                await viewer.until(lambda _: False)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(8))
async def test_whatever_breaks_an_offset_means_one_thing_and_what_must_arrive_arrives(
    redis: RedisServer, seed: int
) -> None:
    await storm(redis, seed, steps=250)


async def test_a_little_storm(redis: RedisServer) -> None:
    await storm(redis, seed=1, steps=40)


async def storm(redis: RedisServer, seed: int, steps: int) -> None:
    """Let things break at random, then come to rest; assert what is promised."""
    async with AsyncExitStack() as stack:
        world = Storm(redis, Random(seed))
        for _ in range(3):
            line = await stack.enter_async_context(wire(redis.port))
            world.wires.append(line)
            broker = RedisBroker(line.url, limits=HASTY)
            world.nodes.append(Node(await stack.enter_async_context(running(broker=broker, limits=COUNTING)), broker))
        for _ in range(3):
            await world.come()
        for _ in range(steps):
            await world.step()
        await world.mend()
        brokers = [node.broker for node in world.nodes]
        await eventually(lambda: all(broker.stats().up and not broker.stats().alone for broker in brokers))
        world.nodes[0].pin(10**6)
        for _, viewer, _ in world.viewers:
            await viewer.until(lambda event: event["t"] == "pin" and event["n"] == 10**6)
        present = [viewer for _, viewer, _ in world.viewers]
        agree(*present, *world.gone)
        assert len({viewer.since for viewer in present}) == 1
        for viewer in (*present, *world.gone):
            pins = Counter(event["n"] for event in viewer.order if event["t"] == "pin")
            assert set(pins.values()) <= {1}, "something was told twice"
        for viewer in present:
            if viewer.rooms == 1:
                # Never given the state afresh: each thing that was told since must have come by itself.
                pins = Counter(event["n"] for event in viewer.order if event["t"] == "pin")
                assert set(range(viewer.came_at + 1, world.told + 1)) <= set(pins), "something never arrived"
        for _, _, each in world.viewers:
            await each.aclose()
