"""Questions, polls and votes of a room that several nodes hold, with their bus and without it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from chat.floor_commands import end_overdue, untold
from commerce.catalogue import Catalogue
from commerce.room_floor_sql import RoomFloor
from commerce.store_sql import open_store
from tests.chat.bus_rig import QUICK, Bus, Node
from tests.chat.rig import Client, eventually
from tests.redis_server import RedisServer


@pytest.fixture
async def floor(tmp_path: Path) -> AsyncIterator[RoomFloor]:
    """The store that the nodes share."""
    store = open_store(tmp_path, synchronous="OFF")
    clock = Catalogue(store, clock=lambda: 1)
    merchant = (await clock.create_merchant("茶铺")).id
    room = (await clock.create_room(merchant, "一")).id
    await store.write(lambda db: db.execute(text("UPDATE room SET id = 'show' WHERE id = :id"), {"id": room}) and None)
    try:
        yield RoomFloor(store, clock=lambda: 1)
    finally:
        await clock.close()
        store.close()


def poll_of(node: Node) -> dict[str, Any]:
    poll = node.rig.hub.channel("show").room.poll
    return {} if poll is None else dict(poll.view())


async def told_of_the_poll(client: Client) -> None:
    """Wait for it: who comes to a node while it begins finds it in the room."""
    if not (await client.event("room")).get("poll"):
        await client.event("poll")


async def test_a_person_votes_once_on_all_nodes_and_the_result_is_one(bus: Bus, floor: RoomFloor) -> None:
    one, two = [await bus.node(floor_store=floor) for _ in range(2)]
    async with (
        one.rig.client("boss.host") as host,
        one.rig.client("ann") as ann,
        two.rig.client("ann") as again,
        two.rig.client("bob") as bob,
    ):
        poll = (await host.ask("poll.start", title="?", options=["a", "b"]))["poll"]["poll"]
        for voter in (ann, again, bob):
            await told_of_the_poll(voter)
        assert (await ann.ask("poll.vote", poll=poll, option=0))["ok"]
        assert (await again.ask("poll.vote", poll=poll, option=1))["error"]["code"] == "already"
        assert (await bob.ask("poll.vote", poll=poll, option=1))["ok"]
        await eventually(lambda: poll_of(one)["votes"] == poll_of(two)["votes"] == [1, 1])
        assert (await host.ask("poll.end", poll=poll))["ok"]
        await eventually(lambda: poll_of(two)["state"] == "ended")
        assert poll_of(two)["votes"] == [1, 1]
        async with (await bus.node(floor_store=floor)).rig.client("cid") as cid:
            assert (await cid.event("room"))["poll"]["votes"] == [1, 1]


async def test_votes_cast_while_the_bus_is_away_count_once_and_are_in_the_result(
    bus: Bus, floor: RoomFloor, redis: RedisServer
) -> None:
    one, two = [await bus.node(limits=QUICK, floor_store=floor) for _ in range(2)]
    async with (
        one.rig.client("boss.host") as host,
        one.rig.client("ann") as ann,
        two.rig.client("ann") as again,
        two.rig.client("bob") as bob,
    ):
        poll = (await host.ask("poll.start", title="?", options=["a", "b"]))["poll"]["poll"]
        for voter in (ann, again, bob):
            await told_of_the_poll(voter)
        redis.kill()
        assert (await ann.ask("poll.vote", poll=poll, option=0))["ok"]
        # The nodes do not hear of one another, and the store knows all the same.
        assert (await again.ask("poll.vote", poll=poll, option=1))["error"]["code"] == "already"
        assert (await bob.ask("poll.vote", poll=poll, option=1))["ok"]
        assert (await bob.ask("question.ask", text="多少钱?"))["question"]
        redis.start()
        await eventually(lambda: len(one.rig.hub.channel("show").room.questions) == 1)
        assert (await host.ask("poll.end", poll=poll))["ok"]
        await eventually(lambda: poll_of(two)["state"] == "ended")
        assert poll_of(one)["votes"] == poll_of(two)["votes"] == [1, 1]
        kept, questions = await floor.of_room("show")
        assert kept is not None and (kept.votes, len(questions)) == ((1, 1), 1)
        assert untold(one.rig.hub, "show", kept, questions) == []


async def test_a_poll_that_several_nodes_see_run_out_ends_once(bus: Bus, floor: RoomFloor) -> None:
    one, two = [await bus.node(floor_store=floor) for _ in range(2)]
    async with one.rig.client("boss.host") as host, two.rig.client("bob") as bob:
        await host.ask("poll.start", title="?", options=["a", "b"], seconds=5)
        await told_of_the_poll(bob)
        for node in (one, two):
            node.rig.clock.ahead_ms = 6_000
        assert (await bob.ask("poll.vote", poll=poll_of(two)["poll"], option=1))["error"]["code"] == "closed"
        for node in (one, two):
            await end_overdue(node.rig.hub)
        for client in (host, bob):
            assert (await client.until(lambda item: item.get("t") == "poll" and item["poll"]["state"] == "ended"))["o"]
        await host.ask("notice", text="last")
        for client in (host, bob):
            await client.event("notice")
            assert not [item for item in client.pending if item.get("t") == "poll" and item["poll"]["state"] == "ended"]
