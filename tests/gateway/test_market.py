"""The market over HTTP: from an offer to the payment between two merchants, and nothing of it for a third."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.gateway.rig import Rig, rig
from tests.gateway.test_distribution import done


@pytest.fixture
async def live(tmp_path: Path) -> AsyncIterator[Rig]:
    async with rig(tmp_path) as running:
        yield running


async def test_two_merchants_sell_together_by_a_grant(live: Rig) -> None:
    ours, theirs = live.shop.merchant_token, live.other.merchant_token
    sku = str(live.shop.products[1]["sku"])
    offer = {"sku": sku, "supply_price": 4_000, "least_price": 5_000, "note": "spring"}
    await done(live, "POST", "/market/offers", offer, token=theirs, status=404)
    await done(live, "POST", "/market/offers", {**offer, "least_price": 1}, token=ours, status=400)
    made = (await done(live, "POST", "/market/offers", offer, token=ours, status=201))["offer"]
    (seen,) = (await done(live, "GET", "/market/offers", token=theirs))["items"]
    assert (seen["offer"], seen["supply_price"]) == (made, 4_000)
    applied = await done(live, "POST", f"/market/offers/{made}/applications", token=theirs, status=201)
    grant = f"/market/grants/{applied['grant']}"
    await done(live, "POST", f"{grant}/listing", {"price": 6_000}, token=theirs, status=422)
    await done(live, "POST", grant, {"decision": "granted"}, token=theirs, status=404)
    await done(live, "POST", grant, {"decision": "granted"}, token=ours)
    listed = await done(live, "POST", f"{grant}/listing", {"price": 6_000}, token=theirs, status=201)
    assert (await done(live, "POST", f"{grant}/units", {"units": 2}, token=ours))["allotted"] == 2
    shelf = (await done(live, "GET", "/market/shelf", token=theirs))["items"]
    (tea,) = [one for one in shelf if one["supplier"]]
    assert (tea["product"], tea["stock"]) == (listed["product"], 2) and len(shelf) > 1
    guest = await live.guest(room=live.other.room, name="小雨")
    where = {"method": "express", "name": "安", "phone": "13800138022", "address": "南京路 1 号"}
    body = {"room": live.other.room, "lines": [{"sku": tea["sku"], "quantity": 1}], "delivery": where}
    order = (await done(live, "POST", "/orders", body, token=guest["token"], status=201, key="o"))["order"]
    await done(live, "POST", f"/orders/{order['order']}/pay", token=guest["token"], key="p")
    (drop,) = (await done(live, "GET", "/market/orders", token=ours))["items"]
    assert (drop["side"], drop["order"], drop["delivery"]["address"]) == ("supplier", order["order"], "南京路 1 号")
    await done(live, "GET", f"/orders/{order['order']}", token=ours, status=404)
    sent = {"carrier": "顺丰", "number": "SF1"}
    await done(live, "POST", f"/market/orders/{drop['drop']}/shipment", sent, token=theirs, status=404)
    await done(live, "POST", f"/market/orders/{drop['drop']}/shipment", sent, token=ours)
    bought = await done(live, "GET", f"/orders/{order['order']}", token=guest["token"])
    assert bought["order"]["status"] == "fulfilled"
    (owed,) = await done(live, "GET", "/market/debts", token=theirs)
    assert (owed["kind"], owed["amount"]) == ("supply_owed", 4_000)
    money = {"channel": live.other.merchant, "amount": 4_000, "number": "T1"}
    assert (await done(live, "POST", "/market/settlements", money, token=ours))["owed"] == 0
    await done(live, "POST", grant, {"decision": "revoked", "reason": "over"}, token=ours)
    (row,) = await done(live, "GET", "/market/grants", token=theirs)
    assert (row["state"], row["side"], row["allotted"]) == ("revoked", "channel", 1)
