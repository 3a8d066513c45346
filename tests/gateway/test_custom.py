"""Custom orders over the API and the hub's rooms: forms, filtered wishes, the making, offers, and who may."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from chat.message import Words
from gateway.schemas_custom import FormView, RequestPage, RequestView, WorkView
from tests.gateway.rig import rig

DAY_MS = 86_400_000
RING = {
    "fields": [
        {"label": "刻字", "kind": "text", "most": 8, "amount": 500, "required": True},
        {"label": "wood", "kind": "choice", "options": [{"value": "oak"}, {"value": "walnut", "amount": 3_000}]},
    ],
    "making_days": 7,
}
WISHED = {"刻字": "永远", "wood": "walnut"}


async def test_wishes_are_filled_in_priced_told_made_and_packed(tmp_path: Path) -> None:
    async with rig(tmp_path) as live:
        boss, host, room = live.shop.merchant_token, live.shop.host_token, live.shop.room
        guest = (await live.call("POST", "/auth/guest", {"room": room, "name": "小雨"})).json()["token"]
        made = {"title": "戒指", "price": 10_000, "stock": 5}
        product = (await live.call("POST", f"/rooms/{room}/products", made, token=host)).json()
        form = f"/custom/forms/{product['product']}"
        assert (await live.call("PUT", form, RING, token=guest)).status_code == 403
        nothing = await live.call("PUT", form, {"fields": []}, token=boss)
        assert (nothing.status_code, nothing.json()["field"]) == (400, "fields")
        assert (await live.call("PUT", form, RING, token=boss)).status_code == 200
        exempt = await live.call("PUT", f"/products/{product['product']}/returns", {"returns": "custom"}, token=boss)
        assert exempt.status_code == 200
        answer = await live.call("GET", f"/custom/forms?skus={product['sku']}", token=guest)
        [seen] = msgspec.convert(answer.json(), list[FormView])
        assert (seen.target, seen.returns, seen.making_days) == (product["sku"], "custom", 7)

        def basket(**custom: str) -> dict[str, Any]:
            return {"room": room, "lines": [{"sku": product["sku"], "quantity": 1, "custom": custom}]}

        bare = await live.call("POST", "/quotes", basket(), token=guest)
        assert (bare.status_code, bare.json()["field"]) == (400, "custom")
        quote = (await live.call("POST", "/quotes", basket(**WISHED), token=guest)).json()
        assert (quote["due"], quote["lines"][0]["returns"]) == (13_500, "custom")
        assert {"step": "custom", "amount": 3_500, "why": "made to the buyer's wishes"} in quote["steps"]
        live.application.services.hub.channel(room).gate.rule(Words(("永远",)))
        filtered = await live.call("POST", "/orders", basket(**WISHED), token=guest, key="bad")
        assert (filtered.status_code, filtered.json()["field"]) == (400, "custom")
        order = (await live.call("POST", "/orders", basket(**WISHED | {"刻字": "安"}), token=guest, key="o")).json()
        one = order["order"]["order"]
        assert (await live.call("POST", f"/orders/{one}/pay", {}, token=guest, key="p")).status_code == 200
        stage = f"/orders/{one}/production"
        assert (await live.call("POST", stage, {"stage": "confirmed"}, token=guest)).status_code == 403
        assert (await live.call("POST", stage, {"stage": "confirmed"}, token=host)).status_code == 200
        [work] = msgspec.convert((await live.call("GET", "/custom/making", token=boss)).json(), list[WorkView])
        assert (work.stage, work.lines[0].wishes[0].value) == ("confirmed", "安")
        sheet = await live.call("GET", "/custom/making/export", token=boss)
        assert "刻字: 安; wood: walnut" in sheet.text
        back = await live.call("POST", f"/orders/{one}/change-of-mind", token=guest, key="c")
        assert (back.status_code, back.json()["refund"]["amount"]) == (201, 13_500)
        mine = (await live.call("GET", f"/orders/{one}", token=guest)).json()["order"]
        assert mine["status"] == "refunded" and mine["production"]["ended"]


async def test_a_request_is_answered_and_its_offer_ordered_with_a_deposit(tmp_path: Path) -> None:
    async with rig(tmp_path) as live:
        boss, room = live.shop.merchant_token, live.shop.room
        guest, other = [
            (await live.call("POST", "/auth/guest", {"room": room, "name": name})).json()["token"]
            for name in ("小雨", "小雪")
        ]
        made = {"title": "厨房", "price": 1_000_000, "stock": 3}
        product = (await live.call("POST", f"/rooms/{room}/products", made, token=live.shop.host_token)).json()
        form = {"asked": True, "making_days": 30}
        assert (await live.call("PUT", f"/custom/forms/{product['sku']}", form, token=boss)).status_code == 200
        plain = {"room": room, "lines": [{"sku": product["sku"], "quantity": 1}]}
        refused = await live.call("POST", "/orders", plain, token=guest, key="o")
        assert (refused.status_code, refused.json()["code"]) == (422, "not_open")
        ask = {"room": room, "sku": product["sku"], "words": "3 米, https://example.org/plan.png"}
        asked = await live.call("POST", "/custom/requests", ask, token=guest, key="a")
        request = msgspec.convert(asked.json(), RequestView)
        assert asked.status_code == 201 and request.state == "asked"
        page = msgspec.convert((await live.call("GET", "/custom/requests", token=boss)).json(), RequestPage)
        assert [row.request for row in page.items] == [request.request]
        assert (await live.call("GET", "/custom/requests", token=other)).json()["items"] == []
        now = live.clock()
        offer = {"price": 800_000, "deposit_percent": 25, "valid": now + 9 * DAY_MS, "deliver": now + 40 * DAY_MS}
        path = f"/custom/requests/{request.request}/offer"
        assert (await live.call("POST", path, offer, token=guest)).status_code == 403
        assert (await live.call("POST", path, offer | {"valid": 1}, token=boss)).status_code == 400
        assert (await live.call("POST", path, offer, token=boss)).json()["deposit"] == 200_000
        agreed = {"room": room, "offer": {"request": request.request, "version": 1}}
        assert (await live.call("POST", "/quotes", agreed, token=guest)).json()["due"] == 200_000
        stranger = await live.call("POST", "/orders", agreed, token=other, key="o")
        assert stranger.status_code == 404
        order = (await live.call("POST", "/orders", agreed, token=guest, key="o2")).json()["order"]
        paid = (await live.call("POST", f"/orders/{order['order']}/pay", {}, token=guest, key="p")).json()["order"]
        balance = (await live.call("GET", f"/orders/{paid['presale']['balance_order']}", token=guest)).json()["order"]
        assert (balance["due"], balance["production"]["due"]) == (600_000, now + 40 * DAY_MS)
        gone = await live.call("POST", f"/custom/requests/{request.request}/withdraw", token=guest)
        assert gone.json()["code"] == "already"
