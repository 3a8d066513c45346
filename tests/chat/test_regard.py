"""Rights that change while somebody is connected: told at once, held to at once, on every node."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from chat.errors import TokenRefused
from chat.member import Member
from chat.message import Regard
from chat.regard import regard
from tests.chat.bus_rig import QUICK, Bus, Node
from tests.chat.rig import WAIT_S, Rig, member_of, running
from tests.redis_server import RedisServer, redis_server


class Roles:
    """What somebody else has written down of people: their role, or that they are gone."""

    def __init__(self) -> None:
        self.of: dict[str, str] = {}

    def __call__(self, room: str, member: Member) -> Member:
        role = self.of.get(member.person, member.came_as or member.role)
        if role == "gone":
            raise TokenRefused(4401, "this account has left")
        return replace(member, role=role, came_as=member.came_as or member.role)

    def enters(self, room: str, token: str) -> Member:
        """Let somebody in as they are now."""
        return self(room, member_of(room, token))


@pytest.fixture
def roles() -> Roles:
    return Roles()


def counts(rig: Rig) -> tuple[int, dict[str, int]]:
    channel = rig.hub.channel("show")
    return channel.viewers, {role: count for role, count in channel.roles.items() if count}


async def test_who_is_appointed_is_told_and_may_at_once_and_who_is_dismissed_may_no_more(roles: Roles) -> None:
    async with AsyncExitStack() as stack:
        rig = await stack.enter_async_context(running(stands=roles))
        ann, again, bob = [await stack.enter_async_context(rig.client(who)) for who in ("ann", "ann", "bob")]
        assert (await ann.ask("mute", person="bob", seconds=60))["error"]["code"] == "forbidden"
        assert counts(rig) == (2, {"viewer": 3})
        roles.of["ann"] = "moderator"
        regard(rig.hub, {"ann", "nobody"})
        for client in (ann, again):
            assert (await client.event("you"))["you"] == {"person": "ann", "name": "Ann", "role": "moderator"}
        assert counts(rig) == (1, {"moderator": 2, "viewer": 1})
        assert (await ann.ask("mute", person="bob", seconds=60))["ok"]
        del roles.of["ann"]
        regard(rig.hub, {"ann"})
        regard(rig.hub, {"ann"})
        assert (await ann.ask("unmute", person="bob"))["error"]["code"] == "forbidden"
        assert [item["you"]["role"] for item in ann.pending if item.get("t") == "you"] == ["viewer"]
        assert counts(rig) == (2, {"viewer": 3})
        assert not [item for item in bob.pending if item.get("t") == "you"]


async def test_who_is_muted_is_told_at_each_connection_and_at_the_next_and_of_the_shadow_nobody_is() -> None:
    async with AsyncExitStack() as stack:
        rig = await stack.enter_async_context(running())
        enter = stack.enter_async_context
        host, ann, again, bob = [await enter(rig.client(who)) for who in ("boss.host", "ann", "ann", "bob")]
        until = (await host.ask("mute", person="ann", seconds=60))["until"]
        muted = {"person": "ann", "name": "Ann", "role": "viewer", "muted": until}
        assert [(await client.event("you"))["you"] for client in (ann, again)] == [muted, muted]
        late = await enter(rig.client("ann"))
        assert (await late.event("room"))["you"] == muted
        # What others see of a person has nothing of it.
        assert (await host.ask("unmute", person="ann"))["ok"]
        assert (await ann.ask("chat.send", text="back"))["ok"]
        assert (await bob.event("chat"))["from"] == {"person": "ann", "name": "Ann", "role": "viewer"}
        assert [(await client.event("you"))["you"] for client in (ann, late)] == [ann_free()] * 2
        for cmd, more in (("mute", {"seconds": 60, "shadow": True}), ("unmute", {}), ("unmute", {})):
            assert (await host.ask(cmd, person="ann", **more))["ok"]
        # An open mute that becomes one in the shadow looks like its end.
        await host.ask("mute", person="bob", seconds=60)
        await host.ask("mute", person="bob", seconds=60, shadow=True)
        assert [("muted" in (await bob.event("you"))["you"]) for _ in range(2)] == [True, False]
        for client in (ann, late):
            await client.ask("like")
            assert not [item for item in client.pending if item.get("t") == "you"]


def ann_free() -> dict[str, str]:
    return {"person": "ann", "name": "Ann", "role": "viewer"}


async def test_who_is_found_to_be_somebody_who_is_muted_is_told(roles: Roles) -> None:
    ids: dict[str, tuple[str, ...]] = {}
    async with AsyncExitStack() as stack:
        rig = await stack.enter_async_context(running(stands=roles, ids_of=lambda who: ids.get(who, (who,))))
        ann, host = [await stack.enter_async_context(rig.client(who)) for who in ("ann", "boss.host")]
        until = (await host.ask("mute", person="old", seconds=60))["until"]
        ids["ann"] = ids["old"] = ("old", "ann")
        regard(rig.hub, {"ann", "old"})
        assert (await ann.event("you"))["you"]["muted"] == until
        # That was a mistake: they are two again.
        ids.clear()
        regard(rig.hub, {"ann", "old"})
        assert (await ann.event("you"))["you"] == ann_free()


async def test_who_is_muted_is_told_once_however_often_anybody_looks_and_nothing_when_it_has_lapsed() -> None:
    async with running() as rig, rig.client("ann") as ann, rig.client("boss.host") as host:
        until = (await host.ask("mute", person="ann", seconds=60))["until"]
        assert (await ann.event("you"))["you"]["muted"] == until
        async with rig.client("ann") as late:
            assert (await late.event("room"))["you"]["muted"] == until
            regard(rig.hub, {"ann"})
            rig.clock.ahead_ms += 60_000
            regard(rig.hub, {"ann"})
            assert (await host.ask("unmute", person="ann"))["ok"]
            for client in (ann, late):
                await client.ask("like")
                assert not [item for item in client.pending if item.get("t") == "you"]


async def test_an_account_that_is_gone_is_closed_with_the_code_of_its_token(roles: Roles) -> None:
    async with running(stands=roles) as rig, rig.client("boss.host") as boss, rig.client("ann"):
        roles.of["boss"] = "gone"
        regard(rig.hub, {"boss"})
        assert await boss.closed() == (4401, "this account has left")
        assert counts(rig) == (1, {"viewer": 1})


async def test_counts_stay_right_whichever_of_a_person_s_connections_ends_first(roles: Roles) -> None:
    async with running(stands=roles) as rig:
        for first, second in (("ann", "ann.host"), ("ann.host", "ann")):
            async with AsyncExitStack() as stack:
                one = await stack.enter_async_context(rig.client(first))
                async with rig.client(second):
                    await one.ask("like")
                left = (1, {"viewer": 1}) if first == "ann" else (0, {"host": 1})
                await settled(partial(is_counted, rig, left))
            await settled(partial(is_counted, rig, (0, {})))


def is_counted(rig: Rig, wanted: tuple[int, dict[str, int]]) -> bool:
    return counts(rig) == wanted


async def settled(reached: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not reached():
            await asyncio.sleep(0.01)


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path) as started:
        yield started


async def node_of(bus: Bus, roles: Roles) -> Node:
    """A node that looks anew at everybody when it hears that rights have changed."""
    node = await bus.node(limits=QUICK, stands=roles, authenticate=roles.enters)
    node.rig.hub.rights_outdated = lambda version: regard(node.rig.hub, {"ann", "boss"})
    return node


async def test_other_nodes_hear_that_rights_have_changed_and_again_after_the_bus_was_lost(
    redis: RedisServer, roles: Roles
) -> None:
    async with AsyncExitStack() as stack:
        bus = Bus(redis, stack)
        one, two = await node_of(bus, roles), await node_of(bus, roles)
        async with one.viewer("bob") as _, two.viewer("ann") as ann, two.viewer("boss.host") as boss:
            roles.of["ann"] = "moderator"
            one.rig.hub.tell("show", Regard(1))
            assert (await ann.event("you"))["you"]["role"] == "moderator"
            redis.kill()
            await settled(lambda: not two.broker.stats().up and not one.broker.stats().up)
            roles.of["ann"], roles.of["boss"] = "viewer", "gone"
            one.rig.hub.tell("show", Regard(2))
            redis.start()
            assert (await ann.event("you"))["you"]["role"] == "viewer"
            assert (await boss.client.closed())[0] == 4401
