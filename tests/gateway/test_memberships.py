"""Paid membership over the API: plans, one's own, what a refund gives, and who may."""

from __future__ import annotations

from pathlib import Path

import msgspec

from gateway.schemas_memberships import MembershipPage, MembershipView, PlanView
from tests.gateway.rig import rig


async def test_a_plan_is_sold_bought_shown_and_given_back(tmp_path: Path) -> None:
    async with rig(tmp_path) as live:
        boss, room = live.shop.merchant_token, live.shop.room
        guest = (await live.call("POST", "/auth/guest", {"room": room, "name": "小雨"})).json()["token"]
        made = {"title": "年卡", "price": 36_500, "stock": 5}
        sku = (await live.call("POST", f"/rooms/{room}/products", made, token=live.shop.host_token)).json()["sku"]
        path = f"/memberships/plans/{sku}"
        bad = await live.call("PUT", path, {"months": 12}, token=boss)
        assert (bad.status_code, bad.json()["field"]) == (400, "price_percent")
        assert (await live.call("PUT", path, {"months": 12, "price_percent": 90}, token=guest)).status_code == 403
        sold = await live.call("PUT", path, {"months": 12, "price_percent": 90}, token=boss)
        [plan] = msgspec.convert(sold.json(), list[PlanView])
        assert (plan.title, plan.price, plan.refund) == ("年卡", 36_500, "prorata")
        assert (await live.call("GET", "/memberships/plans", token=guest)).json() == sold.json()
        basket = {"room": room, "lines": [{"sku": sku, "quantity": 1}]}
        order = (await live.call("POST", "/orders", basket, token=guest, key="o")).json()["order"]["order"]
        assert (await live.call("POST", f"/orders/{order}/pay", {}, token=guest, key="p")).status_code == 200
        mine = msgspec.convert((await live.call("GET", "/memberships", token=guest)).json(), list[MembershipView])
        page = msgspec.convert((await live.call("GET", "/memberships/all", token=boss)).json(), MembershipPage)
        assert [one.membership for one in page.items] == [mine[0].membership]
        assert (await live.call("GET", "/memberships/all?state=lost", token=boss)).status_code == 400
        back = f"/memberships/{mine[0].membership}/refund"
        assert (await live.call("POST", back, {}, token=guest, key="r")).status_code == 403
        given = await live.call("POST", back, {"reason": "moved"}, token=boss, key="r")
        assert given.status_code == 201 and 0 < given.json()["refund"]["amount"] < 36_500
        assert (await live.call("DELETE", path, token=boss)).json() == []
