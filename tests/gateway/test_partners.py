"""Partners over HTTP: the shop's side, another merchant's, and that of a business with a key; and nobody else's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.rig import Rig, rig
from tests.gateway.test_distribution import done

CONTRACT: dict[str, Any] = {"rates": [{"scope": "shop", "bp": 1_000}], "days": 30}


@pytest.fixture
async def live(tmp_path: Path) -> AsyncIterator[Rig]:
    async with rig(tmp_path) as running:
        yield running


async def bought_by(live: Rig, link: dict[str, Any], name: str = "王小明") -> Any:
    """A guest scans a code, orders and pays."""
    guest = await live.guest(room=live.shop.room, name=name, scene=link["token"], scanned=True)
    body = {"room": live.shop.room, "lines": [{"sku": live.shop.products[1]["sku"], "quantity": 1}]}
    order = (await done(live, "POST", "/orders", body, token=guest["token"], status=201, key="o"))["order"]
    await done(live, "POST", f"/orders/{order['order']}/pay", token=guest["token"], key="p")
    return order


async def test_a_business_with_a_key_sees_its_share_and_no_buyers(live: Rig) -> None:
    boss = live.shop.merchant_token
    body = {"name": "力量健身房", "trade": "健身", "contract": CONTRACT}
    await done(live, "POST", "/partners", {**body, "contract": {**CONTRACT, "days": 0}}, token=boss, status=400)
    gym = await done(live, "POST", "/partners", body, token=boss, status=201)
    path = f"/partners/{gym['partner']}"
    assert [one["state"] for one in gym["contracts"]] == ["agreed"]
    where = {"room": live.shop.room, "channel": "前台"}
    link = await done(live, "POST", f"{path}/links", where, token=boss, status=201)
    order = await bought_by(live, link)
    share = order["amount"] // 10
    made = await done(live, "POST", f"{path}/key", token=boss, status=201)
    assert made["url"].endswith(f"/partner#{made['key']}")
    await done(live, "POST", "/auth/partner", {"key": made["key"][:-1]}, token="", status=401)
    mine = (await done(live, "POST", "/auth/partner", {"key": made["key"]}, token=""))["token"]
    row = await done(live, "GET", "/partner", token=mine)
    assert (row["name"], row["frozen"], row["owner"], row["visitors"]) == ("力量健身房", share, None, 1)
    statement = await done(live, "GET", "/partner/statement", token=mine)
    (sale,) = statement["sales"]
    assert (sale["name"], sale["person"], sale["amount"]) == ("王**", "", share)
    assert "王小明" not in str(statement)
    said = (await done(live, "GET", f"/orders/{order['order']}/explanation", token=mine))["sentences"]
    assert any("合作分成" in one for one in said)
    (code,) = await done(live, "GET", "/partner/links", token=mine)
    poster = await live.client.get(f"/api/v1/links/{code['token']}/poster", headers={"authorization": f"Bearer {mine}"})
    assert poster.status_code == 200 and "力量健身房" in poster.text
    for closed in ("/partners", "/orders", "/people", "/board", "/me/commission", "/links"):
        await done(live, "GET", closed, token=mine, status=403)
    await done(live, "POST", "/partner/settlements", {"amount": 1}, token=mine, status=422, key="s")
    answer = await live.client.get(f"/api/v1{path}/statement?format=csv", headers={"authorization": f"Bearer {boss}"})
    assert answer.headers["content-type"].startswith("text/csv") and "王小明" in answer.text
    await done(live, "GET", f"{path}/statement?month=never", token=boss, status=400)
    await done(live, "POST", f"{path}/key", token=boss, status=201)
    await done(live, "GET", "/partner", token=mine, status=401)
    await done(live, "POST", "/auth/partner", {"key": made["key"]}, token="", status=401)


async def test_a_partners_coupon_is_on_its_poster_and_its_page_and_comes_to_who_scanned_its_code(live: Rig) -> None:
    boss, other = live.shop.merchant_token, live.other.merchant_token
    contract = {**CONTRACT, "coupon_bp": 5_000}
    gym = await done(live, "POST", "/partners", {"name": "力量健身房", "contract": contract}, token=boss, status=201)
    path, room = f"/partners/{gym['partner']}", live.shop.room
    link = await done(live, "POST", f"{path}/links", {"room": room, "channel": "前台"}, token=boss, status=201)
    offer = {"room": room, "title": "健身房专享", "reason": "邻里开业", "amount": 1_000, "threshold": 2_000}
    offer |= {"total": 10, "budget": 5_000}
    for wrong in ({"budget": 999}, {"reason": ""}, {"audience": "friends"}, {"total": 0}):
        await done(live, "POST", f"{path}/coupons", {**offer, **wrong}, token=boss, key="w", status=400)
    await done(live, "POST", f"{path}/coupons", offer, token=other, key="k", status=404)
    made = await done(live, "POST", f"{path}/coupons", offer, token=boss, key="k", status=201)
    assert await done(live, "POST", f"{path}/coupons", offer, token=boss, key="k", status=201) == made
    await done(live, "POST", f"{path}/coupons", {**offer, "amount": 2_000}, token=boss, key="k", status=409)
    signed = {"authorization": f"Bearer {boss}"}
    poster = (await live.client.get(f"/api/v1/links/{link['token']}/poster", headers=signed)).text
    assert "邻里开业 满¥20减¥10" in poster

    visitor = await live.guest(room=room, name="王小明", scene=link["token"], scanned=True)
    stranger = await live.guest(room=room, name="路人")
    [coupon] = await done(live, "POST", f"/rooms/{room}/entry-coupons", token=visitor["token"])
    assert (coupon["title"], coupon["amount"]) == ("健身房专享", 1_000)
    assert await done(live, "POST", f"/rooms/{room}/entry-coupons", token=stranger["token"]) == []
    body = {
        "room": room,
        "lines": [{"sku": live.shop.products[1]["sku"], "quantity": 1}],
        "coupons": [coupon["coupon"]],
    }
    order = (await done(live, "POST", "/orders", body, token=visitor["token"], status=201, key="o"))["order"]
    await done(live, "POST", f"/orders/{order['order']}/pay", token=visitor["token"], key="p")

    key = (await done(live, "POST", f"{path}/key", token=boss, status=201))["key"]
    mine = (await done(live, "POST", "/auth/partner", {"key": key}, token=""))["token"]
    [shown] = await done(live, "GET", "/partner/coupons", token=mine)
    assert (shown["issued"], shown["used"], shown["took"], shown["borne"], shown["open"]) == (1, 1, 1_000, 500, True)
    statement = await done(live, "GET", "/partner/statement", token=mine)
    assert (statement["discount"], statement["borne"], statement["closing"]["available"]) == (1_000, 500, -500)
    assert [one["sale"] for one in statement["coupons"]] == [order["order"]] and "王小明" not in str(statement)
    await done(live, "GET", f"{path}/coupons", token=other, status=404)
    await done(live, "DELETE", f"{path}/coupons/{made['offer']}", token=other, status=404)
    await done(live, "DELETE", f"{path}/coupons/{made['offer']}", token=boss)
    assert not (await done(live, "GET", f"{path}/coupons", token=boss))[0]["open"]
    poster = (await live.client.get(f"/api/v1/links/{link['token']}/poster", headers=signed)).text
    assert "邻里开业" not in poster


async def test_two_merchants_share_by_a_contract_that_both_recorded(live: Rig) -> None:
    ours, theirs = live.shop.merchant_token, live.other.merchant_token
    body = {"name": "对门", "counterpart": live.other.merchant, "contract": CONTRACT}
    made = await done(live, "POST", "/partners", body, token=ours, status=201)
    await done(live, "POST", "/partners", body, token=ours, status=422)
    (proposed,) = made["contracts"]
    (seen,) = await done(live, "GET", "/partnerships", token=theirs)
    assert (seen["side"], seen["contracts"][0]["state"]) == ("partner", "proposed")
    assert await done(live, "GET", "/partnerships", token=ours) == []
    decide = f"/partner-contracts/{proposed['contract']}"
    await done(live, "POST", decide, {"decision": "agreed"}, token=ours, status=404)
    await done(live, "POST", decide, {"decision": "agreed"}, token=theirs)
    await done(live, "POST", decide, {"decision": "refused"}, token=theirs, status=409)
    path = f"/partners/{made['partner']}"
    await done(live, "POST", f"{path}/links", {"room": live.shop.room}, token=theirs, status=404)
    link = await done(live, "POST", f"{path}/links", {"room": live.shop.room}, token=ours, status=201)
    order = await bought_by(live, link)
    there = f"/partnerships/{made['partner']}"
    assert len(await done(live, "GET", f"{there}/links", token=theirs)) == 1
    statement = await done(live, "GET", f"{there}/statement", token=theirs)
    assert statement["amount"] == order["amount"] // 10 and statement["sales"][0]["person"] == ""
    await done(live, "GET", f"{there}/statement", token=ours, status=404)
    await done(live, "GET", f"{path}/statement", token=theirs, status=404)
    day_ms = 86_400_000
    span = f"since={live.clock() - day_ms}&until={live.clock() + 1}"
    board = await done(live, "GET", f"/board/models?{span}", token=ours)
    (row,) = board["partner"]
    assert (row["name"], row["amount"]) == ("对门", order["amount"])
    changed = await done(live, "PATCH", path, {"state": "ended"}, token=ours)
    assert (changed["state"], changed["contracts"][0]["state"]) == ("ended", "closed")
    await done(live, "POST", f"{path}/contracts", CONTRACT, token=ours, status=422)
