"""After-sale requests over the API and webhooks: the way of a buyer, the shop's answers, and who may."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from commerce.domain.webhook import ORDER_TYPES, REQUEST_TYPES
from gateway.schemas_after_sale import AfterSalePage, AfterSaleView
from tests.gateway.rig import Rig, rig

ADDRESS = {"method": "express", "name": "Ann", "phone": "13800138000", "address": "1 Lake Road"}


async def good(live: Rig, method: str, path: str, body: Any = None, **more: Any) -> Any:
    answer = await live.call(method, path, body, **more)
    assert answer.status_code < 300, answer.text
    return answer.json()


async def view_of(live: Rig, method: str, path: str, body: Any = None, **more: Any) -> AfterSaleView:
    return msgspec.convert(await good(live, method, path, body, **more), AfterSaleView)


async def bought(live: Rig, units: int = 2) -> tuple[str, dict[str, Any], str]:
    """The token of a guest, their paid order, and its SKU."""
    room = live.shop.room
    guest = (await live.guest())["token"]
    made = {"title": "茶", "price": 2_000, "stock": 10}
    sku = (await good(live, "POST", f"/rooms/{room}/products", made, token=live.shop.host_token))["sku"]
    body = {"room": room, "lines": [{"sku": sku, "quantity": units}], "delivery": ADDRESS}
    order = (await good(live, "POST", "/orders", body, token=guest, key="o"))["order"]["order"]
    paid = await good(live, "POST", f"/orders/{order}/pay", {}, token=guest, key="p")
    return guest, paid["order"], sku


async def test_goods_are_asked_back_sent_counted_and_paid(tmp_path: Path) -> None:
    async with rig(tmp_path) as live:
        boss = live.shop.merchant_token
        guest, order, sku = await bought(live)
        hook = {"url": "http://127.0.0.1:9/x", "events": ["aftersale.changed"]}
        hook_id = (await good(live, "POST", "/webhooks", hook, token=boss))["webhook"]
        assert not REQUEST_TYPES & ORDER_TYPES
        ask = f"/orders/{order['order']}/after-sales"
        body = {"kind": "return", "reason": "faulty", "lines": [{"sku": sku, "quantity": 2}], "words": "碎了"}
        early = await live.call("POST", ask, body, token=guest, key="a")
        assert (early.status_code, early.json()["code"]) == (422, "not_open")
        shipped = {"carrier": "SF", "number": "1"}
        await good(live, "POST", f"/orders/{order['order']}/ship", shipped, token=boss)
        asked = await view_of(live, "POST", ask, body, token=guest, key="a2")
        assert (asked.state, asked.amount, asked.pays, asked.words) == ("asked", 4_000, "shop", "碎了")
        again = await view_of(live, "POST", ask, body, token=guest, key="a2")
        assert again == asked
        one = f"/after-sales/{asked.request}"
        stranger = (await live.guest())["token"]
        assert (await live.call("GET", one, token=stranger)).status_code == 404
        assert (await live.call("POST", f"{one}/approve", {}, token=guest)).status_code == 403
        nameless = await live.call("POST", f"{one}/refuse", {"answer": ""}, token=boss)
        assert nameless.status_code == 400
        offered = await view_of(live, "POST", f"{one}/offer", {"amount": 900, "keeps": True}, token=boss)
        assert (offered.state, offered.offer) == ("offered", 900)
        stale = await live.call("POST", f"{one}/take", {"amount": 800}, token=guest)
        assert (stale.status_code, stale.json()["code"]) == (422, "price_changed")
        await good(live, "POST", f"{one}/leave", token=guest)
        approved = await view_of(live, "POST", f"{one}/approve", {"answer": "抱歉"}, token=boss)
        assert (approved.state, approved.answer) == ("approved", "抱歉")
        under_way = await view_of(live, "POST", f"{one}/send", {"carrier": "SF", "number": "SF9"}, token=guest)
        assert under_way.state == "sent"
        count = {"lines": [{"sku": sku, "sellable": 1, "quarantined": 1}]}
        done = await view_of(live, "POST", f"{one}/receive", count, token=boss)
        assert (done.state, done.refunded) == ("done", 4_000)
        for token in (guest, boss):
            page = msgspec.convert(await good(live, "GET", "/after-sales?state=done", token=token), AfterSalePage)
            assert [row.request for row in page.items] == [asked.request]
        assert (await good(live, "GET", "/after-sales?state=open", token=boss))["items"] == []
        assert (await good(live, "GET", "/after-sales", token=stranger))["items"] == []
        told = await good(live, "GET", f"/webhooks/{hook_id}/deliveries", token=boss)
        assert {one["type"] for one in told} == {"aftersale.changed"} and len(told) == 6


async def test_settings_of_requests_are_the_shop_s_own(tmp_path: Path) -> None:
    async with rig(tmp_path) as live:
        boss = live.shop.merchant_token
        terms = {"answer_hours": 12, "send_back_days": 5, "back_to": "杭州茶路一号"}
        seen = await good(live, "PUT", "/policy", terms, token=boss)
        assert {name: seen[name] for name in terms} == terms
        wrong = await live.call("PUT", "/policy", {"check_back_days": 31}, token=boss)
        assert (wrong.status_code, wrong.json()["field"]) == (400, "check_back_days")
