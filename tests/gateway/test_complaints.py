"""Complaints and praise by node: a store reads what its customers say, whoever stands above it too, nobody else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.gateway.org_world import World, org_world, seated_token
from tests.gateway.rig import rig

pytestmark = pytest.mark.asyncio(loop_scope="module")

DAY_MS = 86_400_000


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with rig(tmp_path_factory.mktemp("complaints")) as made:
        yield await org_world(made)


async def read(world: World, token: str, query: str = "") -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await world.done("GET", f"/complaints{query}", token=token))["items"]
    return items


async def test_what_a_stores_customer_says_reaches_the_store_and_those_above_and_nobody_else(world: World) -> None:
    mine, boss = world.mine, world.live.shop.merchant_token
    guide, owner = mine.tokens["guide"], mine.tokens["owner"]
    assert [one["text"] for one in await read(world, owner)] == ["投诉甲"]
    assert {one["text"] for one in await read(world, boss)} == {"投诉甲", "投诉乙"}
    # Of an order: its guide's node. Of nothing named: the guide whose customer says it. Of a room: the store's.
    viewer = mine.tokens["viewer"]
    await world.done("POST", "/complaints", {"text": "导购很好", "kind": "praise"}, token=viewer)
    other = await world.live.guest(mine.ids["room"], name="路人", device="device-of-a-passer-by-0123")
    said = await world.done("POST", "/complaints", {"text": "太吵", "room": mine.ids["room"]}, token=other["token"])
    assert {one["text"]: one["node"] for one in await read(world, owner)} == {
        "投诉甲": mine.ids["node"],
        "导购很好": mine.ids["node"],
        "太吵": mine.store,
    }
    assert {one["text"] for one in await read(world, guide)} == {"投诉甲", "导购很好"}
    assert [one["text"] for one in await read(world, owner, "?kind=praise")] == ["导购很好"]
    assert [one["text"] for one in await read(world, other["token"])] == ["太吵"]
    answer = f"/complaints/{said['id']}/answer"
    for role in ("accountant", "host"):
        assert (await world.live.call("GET", "/complaints", token=mine.tokens[role])).status_code == 403, role
    for token, status in ((world.theirs.tokens["owner"], 404), (mine.tokens["readonly"], 403), (guide, 403)):
        assert (await world.live.call("POST", answer, {"answer": "?"}, token=token)).status_code == status
    await world.done("POST", answer, {"answer": "已调低音量"}, token=owner)
    (answered,) = await read(world, other["token"])
    assert (answered["state"], answered["answer"]) == ("answered", "已调低音量")


async def test_what_is_not_answered_in_its_days_is_overdue_and_praise_never_is(world: World) -> None:
    theirs, viewer = world.theirs, world.theirs.tokens["viewer"]
    await world.done("POST", "/complaints", {"text": "谢谢", "kind": "praise"}, token=viewer)
    await world.done("POST", "/complaints", {"text": "又碎了"}, token=viewer)
    assert await read(world, theirs.tokens["owner"], "?state=overdue") == []
    world.live.clock.ahead_ms += 16 * DAY_MS
    owner = seated_token(world.live, theirs.staff["owner"], "owner")
    late = await read(world, owner, "?state=overdue")
    assert {one["text"] for one in late} == {"投诉乙", "又碎了"} and all(one["overdue"] for one in late)
    await world.done("POST", f"/complaints/{late[0]['id']}/answer", {"answer": "补发"}, token=owner)
    (row,) = await world.done("GET", "/complaints/sums", token=owner)
    assert (row["node"], row["told"], row["praise"], row["open"], row["overdue"]) == (theirs.ids["node"], 3, 1, 1, 1)
    assert (row["answered"], row["late"]) == (1, 1) and row["waited_ms"] >= 15 * DAY_MS
    assert (await world.live.call("GET", "/complaints?state=lost", token=owner)).status_code == 400
