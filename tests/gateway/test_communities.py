"""Community groups over HTTP: a code is scanned, rules are accepted, the group is a channel of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from gateway.poster import code_png
from tests.gateway.rig import Rig, rig

pytestmark = pytest.mark.asyncio(loop_scope="module")

GROUP = {"name": "茶友群", "rules": "1. 请友善。"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def live(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    async with rig(tmp_path_factory.mktemp("communities")) as running:
        yield running


async def done(live: Rig, method: str, path: str, body: Any = None, *, token: str | None = None, **more: Any) -> Any:
    answer = await live.call(method, path, body, token=token or live.shop.merchant_token, **more)
    assert answer.status_code < 300, answer.text
    return answer.json()


async def group(live: Rig, **fields: Any) -> str:
    made = await done(live, "POST", "/communities", {**GROUP, "room": live.shop.room, **fields})
    return str(made["community"])


async def test_a_scanned_code_leads_to_the_rules_and_a_yes_to_the_group_and_its_orders_to_its_board(live: Rig) -> None:
    community = await group(live)
    path = f"/communities/{community}"
    assert (await live.client.get(f"/g/{community}")).status_code == 200
    [made] = [one for one in await done(live, "GET", "/links") if one["channel"] == f"group:{community}"]
    token = made["token"]
    png = await live.call("GET", f"{path}/code?format=png", token=live.shop.merchant_token)
    assert png.content == code_png(f"http://shop.test/g/{community}?s={token}&q=1", 10)
    opened = {"device": "d" * 20, "scene": token, "scanned": True}
    page = (await live.call("POST", f"{path}/open", opened)).json()
    assert (page["title"], page["member"], page["rules"]) == ("茶友群", False, GROUP["rules"])
    viewer = page["token"]
    await done(live, "POST", f"{path}/join", {"rules": page["rules_version"]}, token=viewer)
    assert (await live.call("POST", f"{path}/open", opened)).json()["accepted"] == 1
    [mine] = await done(live, "GET", "/me/communities", token=viewer)
    assert (mine["community"], mine["role"]) == (community, "member")
    lines = {"room": live.shop.room, "lines": [{"sku": live.shop.products[0]["sku"], "quantity": 1, "version": 1}]}
    address = {"method": "express", "name": "张三", "phone": "13800138000", "address": "茶山路 1 号"}
    order = await done(live, "POST", "/orders", lines | {"delivery": address}, token=viewer, key="order-0001")
    await done(live, "POST", f"/orders/{order['order']['order']}/pay", token=viewer, key="payment-01")
    await done(live, "PUT", f"{path}/members/{page['person']}", {"role": "leader"})
    board = await done(live, "GET", path)
    assert (board["orders"], board["buyers"], board["amount"]) == (1, 1, order["order"]["amount"])
    assert (board["visits"], board["group"]["stage"]) == (1, "new")
    [member] = board["members"]
    assert (member["role"], member["score"]) == ("leader", 10) and member["parts"][0]["name"] == "orders"
    assert {part["name"] for part in board["formula"]} >= {"visits", "brought"} and len(board["stages"]) == 4
    export = await done(live, "GET", "/me/data", token=viewer)
    assert export["held"]["community_member"][0]["community"] == community
    await done(live, "POST", f"{path}/leave", {}, token=viewer)
    assert (await done(live, "GET", path))["members"] == []


async def test_what_is_posted_in_a_group_carries_its_channel(live: Rig) -> None:
    path = f"/communities/{await group(live)}"
    body = {"kind": "article", "title": "茶", "body": "水温 80 度。"}
    content = (await done(live, "POST", "/contents", body))["content"]
    refused = await live.call("POST", f"{path}/links", {"content": content}, token=live.shop.merchant_token)
    assert refused.status_code == 404  # a draft
    await done(live, "POST", f"/contents/{content}/publish", {"version": 1})
    link = await done(live, "POST", f"{path}/links", {"content": content})
    assert link["url"].startswith(f"http://shop.test/c/{content}?s=")
    room = await done(live, "POST", f"{path}/links", {})
    assert room["url"].startswith(f"http://shop.test/r/{live.shop.room}?s=")
    shown = {one["token"]: one["channel"] for one in await done(live, "GET", "/links")}
    assert shown[link["token"]] == shown[room["token"]] == f"group:{path.rsplit('/', 1)[1]}"


async def test_a_guide_begins_groups_and_sees_no_others(live: Rig) -> None:
    tokens = live.application.services.tokens
    node = await done(live, "POST", "/org/nodes", {"kind": "group", "name": "集团"})
    seats = []
    for name in ("guide-one", "guide-two"):
        body = {"node": node["node"], "role": "guide", "name": name, "login": name, "password": "a long password"}
        seats.append(await done(live, "POST", "/org/members", body))
    mine, other = (
        tokens.mint(person=seat["staff"], name="g", role="guide", merchant=live.shop.merchant, room=None)[0]
        for seat in seats
    )
    made = await done(live, "POST", "/communities", GROUP, token=mine)
    assert made["node"] == seats[0]["node"]
    await done(live, "POST", "/communities", GROUP)
    [listed] = (await done(live, "GET", "/communities", token=mine))["items"]
    assert listed["community"] == made["community"]
    path = f"/communities/{made['community']}"
    assert (await live.call("GET", path, token=other)).status_code == 404
    assert (await live.call("PATCH", path, {"name": "x"}, token=other)).status_code == 404
    assert (await live.call("GET", f"{path}/code", token=other)).status_code == 404
    assert (await live.call("GET", path, token=live.other.merchant_token)).status_code == 404
    foreign = {**GROUP, "room": live.other.room}
    assert (await live.call("POST", "/communities", foreign, token=live.shop.merchant_token)).status_code == 404
