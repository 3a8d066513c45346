"""The bus on a cluster: rooms on several servers, and slots that move."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

from tests.chat.bus_rig import Bus, agree, cli
from tests.redis_server import RedisServer, redis_cluster

LOOPS = ("uvloop",)
"""As the server has it: what differs between loops is not what is tried here."""


async def test_rooms_live_on_the_servers_of_a_cluster(tmp_path: Path) -> None:
    with redis_cluster(tmp_path) as servers:
        async with AsyncExitStack() as stack:
            bus = Bus(servers[0], stack)
            one, two = await bus.node(), await bus.node(servers[1].url.removesuffix("/0"))
            for node in (one, two):
                node.rig.hub.open_room("far", {})
            for room in ("show", "far"):
                async with one.viewer("ann", room=room) as ann, two.viewer("bob", room=room) as bob:
                    await ann.say("hello")
                    await bob.text("hello")
                    await bob.say("again")
                    await ann.text("again")
                    await bob.text("again")
                    agree(ann, bob)
                    since = ann.since
                async with two.viewer("ann", since, room=room) as back:
                    assert back.first["resumed"] is True
        with_rooms = [server for server in servers if "siyu" in await cli(server, "KEYS", "*")]
        assert len(with_rooms) == 2, "two rooms of different slots lie on different servers"


async def test_a_slot_that_moves_to_another_server_takes_its_room_along(tmp_path: Path) -> None:
    with redis_cluster(tmp_path) as servers:
        async with AsyncExitStack() as stack:
            bus = Bus(servers[0], stack)
            one, two = await bus.node(), await bus.node()
            async with one.viewer("ann") as ann, two.viewer("bob") as bob:
                await ann.say("before")
                await bob.text("before")
                (here,) = [server for server in servers if "siyu" in await cli(server, "KEYS", "*")]
                there = servers[servers.index(here) - 1]
                await move(here, there, "siyu:{show}")
                await bob.say("after")
                await ann.text("after")
                await bob.text("after")
                assert "siyu" in await cli(there, "KEYS", "*") and "siyu" not in await cli(here, "KEYS", "*")
                agree(ann, bob)


async def move(here: RedisServer, there: RedisServer, key: str) -> None:
    """Move a slot with what is in it, as `redis-cli --cluster reshard` does."""
    slot = (await cli(here, "CLUSTER", "KEYSLOT", key)).strip().removeprefix(":")
    names = [(await cli(server, "CLUSTER", "MYID")).split()[1] for server in (here, there)]
    await cli(there, "CLUSTER", "SETSLOT", slot, "IMPORTING", names[0])
    await cli(here, "CLUSTER", "SETSLOT", slot, "MIGRATING", names[1])
    keys = [
        word for word in (await cli(here, "CLUSTER", "GETKEYSINSLOT", slot, "100")).split() if word.startswith("siyu")
    ]
    await cli(here, "MIGRATE", "127.0.0.1", str(there.port), "", "0", "5000", "REPLACE", "KEYS", *keys)
    for server in (there, here):
        await cli(server, "CLUSTER", "SETSLOT", slot, "NODE", names[1])
