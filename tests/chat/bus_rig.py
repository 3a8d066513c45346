"""Hubs of several nodes on one Redis, and viewers who keep account of what they get."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from chat.broker_redis import RedisBroker
from chat.hub import HubLimits
from chat.limits import BusLimits
from chat.message import Tier
from tests.chat.rig import Client, Rig, running
from tests.redis_server import RedisServer, command

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

    async def node(
        self, url: str | None = None, limits: BusLimits = STEADY, hub: HubLimits | None = None, **more: Any
    ) -> Node:
        """Start a node."""
        broker = RedisBroker(url or self.redis.url, limits=limits)
        return Node(
            await self.stack.enter_async_context(running(broker=broker, limits=hub or COUNTING, **more)), broker
        )


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
        self.came_at = 0
        """How much had been told when this viewer came, for a test that counts."""

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


async def cli(redis: RedisServer, *words: str) -> str:
    """Give Redis one command."""
    return await asyncio.to_thread(command, redis, *words)
