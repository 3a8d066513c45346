"""The end of a process: everybody is told to come back, in batches, and nobody holds it up."""

from __future__ import annotations

import asyncio
import dataclasses
from contextlib import AsyncExitStack

from chat.hub import HubLimits, Tier
from tests.chat.rig import running


async def test_a_drain_tells_everyone_to_come_back_at_different_times() -> None:
    async with running() as rig, AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(rig.client(f"p{n}")) for n in range(25)]
        for client in clients:
            await client.event("room")
        ends = asyncio.gather(*(client.closed() for client in clients))
        await rig.hub.drain(batch=10, interval=0.01)
        closes = await ends
        assert {code for code, _ in closes} == {4000}
        waits = {int(reason.rpartition("retry_ms=")[2]) for _, reason in closes}
        assert len(waits) > 5
        assert max(waits) < rig.hub.limits.drain_jitter_ms
        assert rig.hub.totals().connections == 0


async def test_who_comes_during_a_drain_is_sent_away_with_the_same_code() -> None:
    async with running() as rig:
        await rig.hub.drain()
        async with rig.client("ann") as ann:
            code, reason = await ann.closed()
            assert (code, "retry_ms=" in reason) == (4000, True)


async def test_what_was_published_before_the_drain_arrives_before_the_close() -> None:
    async with running() as rig, rig.client("ann") as ann:
        await ann.event("room")
        rig.hub.publish("show", {"t": "pin"}, tier=Tier.P0)
        await asyncio.sleep(0.01)
        draining = asyncio.create_task(rig.hub.drain())
        assert (await ann.closed())[0] == 4000
        assert "pin" in [item["t"] for item in ann.pending]
        await draining


async def test_a_peer_that_answers_nothing_does_not_hold_up_the_drain() -> None:
    limits = dataclasses.replace(HubLimits(), closing_ms=50, wheel_ms=10, wheel_round_ms=10)
    async with running(limits=limits) as rig:
        bare = await rig.bare()
        await bare.frame()
        async with asyncio.timeout(60):
            await rig.hub.drain()
        assert await bare.closed() == 4000
        bare.close()
