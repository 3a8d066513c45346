"""Passes and the points mall over the API: terms, orders, the till, refunds, and who may do what."""

from pathlib import Path
from typing import Any

from tests.gateway.rig import Rig, rig


async def _bought(app: Rig, token: str, sku: str) -> dict[str, Any]:
    asked = {"room": app.shop.room, "lines": [{"sku": sku, "quantity": 1}]}
    order = (await app.call("POST", "/orders", asked, token=token, key="o")).json()["order"]
    await app.call("POST", f"/orders/{order['order']}/pay", {}, token=token, key="p")
    [card] = (await app.call("GET", "/passes", token=token)).json()
    return dict(card)


async def test_a_pass_is_sold_used_at_a_till_and_refunded_for_the_rest(tmp_path: Path) -> None:
    async with rig(tmp_path) as app:
        host, boss = app.shop.host_token, app.shop.merchant_token
        sku = (await app.call("GET", f"/rooms/{app.shop.room}/products")).json()[0]["sku"]
        terms = {"uses": 4, "days": 30, "place": "West Lake"}
        bad = await app.call("PUT", f"/passes/terms/{sku}", terms | {"days": 0}, token=boss)
        assert (bad.status_code, bad.json()["field"]) == (400, "days")
        # What a SKU is sold as is about the whole shop, and this host has one room.
        assert (await app.call("PUT", f"/passes/terms/{sku}", terms, token=host)).json()["code"] == "outside"
        assert (await app.call("PUT", f"/passes/terms/{sku}", terms, token=boss)).json()["uses"] == 4
        guest = (await app.guest())["token"]
        card = await _bought(app, guest, sku)
        assert (card["left"], card["state"], card["qr"][:14]) == (4, "active", "data:image/svg")
        use = {"code": card["code"], "units": 1, "place": "West Lake"}
        assert (await app.call("POST", "/passes/uses", use, token=guest, key="u")).status_code == 403
        for _ in range(2):
            used = await app.call("POST", "/passes/uses", use, token=host, key="u")
            assert (used.status_code, used.json()["left"], used.json()["qr"]) == (201, 3, None)
        more = await app.call("POST", "/passes/uses", use | {"units": 4}, token=host, key="v")
        assert (more.status_code, more.json()["code"], more.json()["left"]) == (422, "insufficient", 3)
        assert (await app.call("GET", f"/passes/codes/{card['code']}", token=host)).json()["history"][0]["units"] == 1
        stranger = await app.call("GET", f"/passes/codes/{card['code']}", token=app.other.merchant_token)
        assert stranger.status_code == 404
        back = await app.call("POST", f"/passes/{card['card']}/refund", {"reason": "moved"}, token=boss, key="r")
        assert (back.status_code, back.json()["refund"]["amount"]) == (201, card_price(await mine(app, guest)) * 3 // 4)
        assert (await mine(app, guest))["state"] == "refunded"
        assert (await app.call("DELETE", f"/passes/terms/{sku}", token=boss)).json() == []


async def mine(app: Rig, token: str) -> dict[str, Any]:
    [card] = (await app.call("GET", "/passes", token=token)).json()
    order = (await app.call("GET", f"/orders/{card['order']}", token=token)).json()["order"]
    return {**card, "amount": order["amount"]}


def card_price(card: dict[str, Any]) -> int:
    return int(card["amount"])


async def test_the_mall_is_the_merchants_to_fill_and_an_exchange_is_an_order(tmp_path: Path) -> None:
    async with rig(tmp_path) as app:
        boss, host = app.shop.merchant_token, app.shop.host_token
        sku = (await app.call("GET", f"/rooms/{app.shop.room}/products")).json()[0]["sku"]
        assert (await app.call("PUT", f"/mall/{sku}", {"points": 5}, token=host)).status_code == 403
        [item] = (await app.call("PUT", f"/mall/{sku}", {"points": 5, "per_person": 1}, token=boss)).json()
        assert (item["sku"], item["points"], item["cash"]) == (sku, 5, 1)
        program = (await app.call("GET", "/program", token=boss)).json()
        await app.call("PUT", "/program", program | {"sign_in": [5]}, token=boss)
        guest = (await app.guest())["token"]
        asked = {"room": app.shop.room, "lines": [{"sku": sku, "quantity": 1}], "mall": True}
        poor = await app.call("POST", "/orders", asked, token=guest, key="o")
        assert (poor.status_code, poor.json()["code"], poor.json()["left"]) == (422, "insufficient", 0)
        assert (await app.call("POST", "/member/sign-in", {}, token=guest)).json()["points"] == 5
        assert (await app.call("POST", "/quotes", asked, token=guest)).json()["due"] == 1
        order = (await app.call("POST", "/orders", asked, token=guest, key="o2")).json()["order"]
        assert (order["points"], order["due"]) == (5, 1)
        assert (await app.call("DELETE", f"/mall/{sku}", token=boss)).json() == []
