"""A reader that does not keep up loses, by tiers, and delays nobody."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from typing import Any

from chat.hub import HubLimits, Tier
from tests.chat.rig import Bare, Rig, eventually, running

LIMITS = dataclasses.replace(
    HubLimits(),
    soft_bytes=32 * 1024,
    chat_bytes=64 * 1024,
    skip_bytes=128 * 1024,
    hard_bytes=512 * 1024,
    notsent_bytes=16 * 1024,
    wheel_ms=10,
    wheel_round_ms=10,
    silent_ms=10**9,
    ping_ms=10**9,
)
FILL = "x" * 2_000


async def stall(rig: Rig) -> Bare:
    """Connect a client that reads its first frame and then no more."""
    slow = await rig.bare("slow")
    await slow.frame()
    slow.writer.transport.pause_reading()  # type: ignore[attr-defined]
    return slow


async def publish_until(rig: Rig, condition: Any) -> int:
    """Publish an event of each tier, again and again, until a condition holds; return how many rounds it took."""
    for n in range(20_000):
        if condition():
            return n
        for tier in (Tier.P0, Tier.P2, Tier.P3):
            rig.hub.publish("show", {"t": tier.name, "n": n, "fill": FILL}, tier=tier, keep=tier is not Tier.P3)
        await asyncio.sleep(0)
        while rig.hub.channel("show").audience.walking:
            await asyncio.sleep(0)
    raise AssertionError("the socket swallowed everything")


async def items_of(bare: Bare, last: str) -> list[dict[str, Any]]:
    """Read frames until an item of a type has come; return all items."""
    items: list[dict[str, Any]] = []
    while not any(item.get("t") == last for item in items):
        opcode, payload = await bare.frame()
        if opcode == 1:
            items += json.loads(payload)
    return items


async def test_a_stalled_reader_loses_likes_first_then_chat_then_gets_the_present_state() -> None:
    async with running(limits=LIMITS) as rig, rig.client("quick") as quick:
        slow = await stall(rig)
        rounds = await publish_until(rig, lambda: rig.hub.totals().slow_skipped == 1)
        dropped = rig.hub.totals().dropped_by_tier
        assert dropped["P3"] > dropped["P2"] > dropped["P0"] > 0
        rig.hub.publish("show", {"t": "pin"}, tier=Tier.P0, sections={"pins": ["new"]})
        await quick.event("pin")
        got = [item for frame in quick.frames for item in frame if item.get("t") == "P2"]
        assert [item["n"] for item in got] == list(range(rounds))

        slow.writer.transport.resume_reading()  # type: ignore[attr-defined]
        items = await items_of(slow, "room")
        state = items[-1]
        assert (state["resumed"], state["pins"]) == (False, ["new"])
        offsets = [item["o"] for item in items if "o" in item]
        assert offsets == sorted(set(offsets))
        rig.hub.publish("show", {"t": "end"}, tier=Tier.P2)
        after = await items_of(slow, "end")
        assert after[-1]["o"] == state["offset"] + 1
        assert rig.hub.stats("show").skipping == 0
        slow.close()


async def test_a_reader_that_stalls_for_long_is_closed_as_slow() -> None:
    async with running(limits=LIMITS) as rig, rig.client("quick") as quick:
        slow = await stall(rig)
        await publish_until(rig, lambda: rig.hub.stats("show").skipping == 1)
        rig.clock.ahead_ms += LIMITS.stall_ms + 1_000
        await eventually(lambda: rig.hub.totals().closed_by_code.get(4008) == 1)
        assert rig.hub.stats("show").connections == 1
        slow.writer.transport.resume_reading()  # type: ignore[attr-defined]
        assert await slow.closed() == 4008
        slow.close()
        assert (await quick.ask("ack", to=0))["ok"] is True


async def test_a_reader_that_never_comes_back_is_cut() -> None:
    async with running(limits=LIMITS) as rig:
        slow = await stall(rig)
        await publish_until(rig, lambda: rig.hub.stats("show").skipping == 1)
        rig.clock.ahead_ms += LIMITS.stall_ms + 1_000
        await eventually(lambda: rig.hub.totals().closed_by_code.get(4008) == 1)
        rig.clock.ahead_ms += LIMITS.closing_ms + 1_000
        await eventually(lambda: rig.hub.totals().connections == 0)
        slow.close()


async def test_personal_events_go_past_the_soft_limits_but_not_past_the_hard_one() -> None:
    async with running(limits=LIMITS) as rig:
        slow = await stall(rig)
        await publish_until(rig, lambda: rig.hub.stats("show").skipping == 1)
        rig.hub.send_personal("show", "slow", {"t": "order", "fill": FILL})
        assert rig.hub.stats("show").connections == 1
        for _ in range(400):
            rig.hub.send_personal("show", "slow", {"t": "order", "fill": FILL})
        assert rig.hub.totals().closed_by_code == {4008: 1}
        slow.writer.transport.resume_reading()  # type: ignore[attr-defined]
        assert await slow.closed() == 4008
        slow.close()


async def test_many_who_never_read_hold_few_bytes_and_those_who_read_lose_nothing() -> None:
    async with running(limits=LIMITS) as rig, rig.client("quick") as quick, rig.client("brisk") as brisk:
        stalled = [await stall(rig) for _ in range(20)]
        sinks = rig.hub.channel("show").people["slow"]
        most = 0

        def all_skipped() -> bool:
            nonlocal most
            most = max(most, *(sink.transport.get_write_buffer_size() for sink in sinks))
            return rig.hub.totals().slow_skipped == len(stalled)

        rounds = await publish_until(rig, all_skipped)
        # One more write may follow the one that found a buffer just under the limit.
        frame_bytes = 4 * len(FILL)
        assert LIMITS.skip_bytes - frame_bytes < most <= LIMITS.skip_bytes + frame_bytes
        rig.hub.publish("show", {"t": "end"}, tier=Tier.P0)
        for reader in (quick, brisk):
            await reader.event("end")
            items = [item for frame in reader.frames for item in frame]
            assert [item["n"] for item in items if item.get("t") == "P3"] == list(range(rounds))
            offsets = [item["o"] for item in items if "o" in item]
            assert offsets == list(range(1, 2 * rounds + 2))
        for each in stalled:
            each.close()
