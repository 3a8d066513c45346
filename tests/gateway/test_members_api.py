"""Membership, coupon terms, quotes, variants and limited-time prices over the API."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from tests.gateway.rig import Rig, rig

DAY_MS = 86_400_000


async def good(rig_: Rig, method: str, path: str, body: Any = None, **more: Any) -> Any:
    """The answer of a request that must succeed."""
    answer = await rig_.call(method, path, body, **more)
    assert answer.status_code in (200, 201), answer.text
    return answer.json()


async def test_a_basket_is_quoted_and_ordered_with_coupons_points_and_stored_value(tmp_path: Path) -> None:
    async with rig(tmp_path) as shop:
        room, boss = shop.shop.room, shop.shop.merchant_token
        viewer = (await shop.guest())["token"]
        program = {"yuan_points": 1, "sign_in": [300], "tiers": [{"name": "银卡", "spent": 5_000}]}
        assert (await good(shop, "PUT", "/program", program, token=boss))["tiers"][0]["points_percent"] == 100
        assert (await shop.call("PUT", "/program", program, token=viewer)).status_code == 403
        bad = await shop.call("PUT", "/program", {"tiers": [{"name": "a", "spent": 2}] * 2}, token=boss)
        assert (bad.status_code, bad.json()["code"]) == (400, "invalid")

        signed = await good(shop, "POST", "/member/sign-in", token=viewer)
        assert (signed["points"], signed["fresh"]) == (300, True)
        card = {"title": "充100送20", "price": 10_000, "stock": 9, "kind": "stored", "bonus": 2_000}
        card = await good(shop, "POST", f"/rooms/{room}/products", card, token=boss)
        body = {"room": room, "lines": [{"sku": card["sku"], "quantity": 1}]}
        order = (await good(shop, "POST", "/orders", body, token=viewer, key="card"))["order"]
        assert order["kind"] == "stored"
        await good(shop, "POST", f"/orders/{order['order']}/pay", token=viewer, key="p1")

        giving = {"title": "进店礼", "reason": "进店送券", "amount": 500, "total": 9, "way": "entry", "stack": "entry"}
        await good(shop, "POST", f"/rooms/{room}/givings", giving, token=boss)
        assert [one["way"] for one in await good(shop, "GET", f"/rooms/{room}/givings", token=boss)] == ["entry"]
        given = await good(shop, "POST", f"/rooms/{room}/entry-coupons", token=viewer)
        assert [one["amount"] for one in given] == [500]
        assert await good(shop, "POST", f"/rooms/{room}/entry-coupons", token=viewer) == []
        [coupon] = await good(shop, "GET", "/coupons", token=viewer)
        assert (coupon["reason"], coupon["stack"]) == ("进店送券", "entry")

        sku = shop.shop.products[0]["sku"]
        basket = {"room": room, "lines": [{"sku": sku, "quantity": 2}]}
        quote = await good(shop, "POST", "/quotes", basket | {"points": True, "stored": True}, token=viewer)
        assert [step["step"] for step in quote["steps"]] == ["shelf", "coupon", "points", "stored"]
        assert sum(step["amount"] for step in quote["steps"]) == quote["due"]
        chosen = {"coupons": quote["coupons"], "points": quote["points"], "stored": quote["stored"]}
        order = (await good(shop, "POST", "/orders", basket | chosen, token=viewer, key="o"))["order"]
        assert (order["due"], order["steps"]) == (quote["due"], quote["steps"])
        paid = (await good(shop, "POST", f"/orders/{order['order']}/pay", token=viewer, key="p2"))["order"]
        assert paid["status"] == "paid"
        member = await good(shop, "GET", "/member", token=viewer)
        assert (member["tier_name"], member["points"]) == ("银卡", 0)
        entries = await good(shop, "GET", "/member/entries", token=viewer)
        assert {"bought", "spent", "order", "sign_in"} & {entry["why"] for entry in entries}
        person = (await good(shop, "GET", f"/people/{order['person']}/member", token=boss))["person"]
        assert person == order["person"]
        other = await shop.call("GET", f"/people/{order['person']}/member", token=shop.other.merchant_token)
        assert other.status_code == 404


async def test_a_product_has_variants_each_with_its_price_and_stock(tmp_path: Path) -> None:
    async with rig(tmp_path) as shop:
        room, boss = shop.shop.room, shop.shop.merchant_token
        viewer = (await shop.guest())["token"]
        body = {
            "title": "围巾",
            "price": 9_900,
            "stock": 1,
            "name": "红",
            "variants": [{"name": "蓝", "price": 10_900, "stock": 2}],
        }
        card = await good(shop, "POST", f"/rooms/{room}/products", body, token=boss)
        assert [(one["name"], one["stock"]) for one in card["variants"]] == [("红", 1), ("蓝", 2)]
        assert card["stock"] == 3
        green = {"name": "绿", "price": 8_000, "stock": 5}
        grown = await good(shop, "POST", f"/products/{card['product']}/variants", green, token=boss)
        assert [one["name"] for one in grown["variants"]] == ["红", "蓝", "绿"]
        again = await shop.call("POST", f"/products/{card['product']}/variants", green, token=boss)
        assert (again.status_code, again.json()["code"]) == (422, "already")
        blue = card["variants"][1]["sku"]
        lines = [{"sku": blue, "quantity": 2, "version": 1}, {"sku": card["sku"], "quantity": 1}]
        order = (await good(shop, "POST", "/orders", {"room": room, "lines": lines}, token=viewer, key="o"))["order"]
        assert [(line["title"], line["quantity"]) for line in order["lines"]] == [("围巾 蓝", 2), ("围巾 红", 1)]
        assert order["amount"] == 2 * 10_900 + 9_900
        shelf = await good(shop, "GET", f"/rooms/{room}/products")
        [shown] = [one for one in shelf if one["product"] == card["product"]]
        assert [one["stock"] for one in shown["variants"]] == [0, 0, 5]


async def test_a_limited_time_price_begins_and_ends_by_the_clock_with_its_own_version(tmp_path: Path) -> None:
    async with rig(tmp_path) as shop:
        shop.clock.stop()
        room, boss = shop.shop.room, shop.shop.merchant_token
        viewer = (await shop.guest())["token"]
        card = await good(
            shop, "POST", f"/rooms/{room}/products", {"title": "a", "price": 1_000, "stock": 99}, token=boss
        )
        now = shop.clock()
        offer = {"price": 800, "from_ms": now + 10_000, "until_ms": now + 20_000}
        await good(shop, "PUT", f"/skus/{card['sku']}/offer", offer, token=boss)
        high = await shop.call("PUT", f"/skus/{card['sku']}/offer", offer | {"price": 1_000}, token=boss)
        assert (high.status_code, high.json()["code"]) == (400, "invalid")

        async def shown() -> Any:
            shelf = await good(shop, "GET", f"/rooms/{room}/products")
            return next(one for one in shelf if one["product"] == card["product"])

        seen = [await shown()]
        assert (seen[0]["price"], seen[0]["turns"]) == (1_000, now + 10_000)
        for _ in range(2):
            shop.clock.ahead_ms += 10_000
            seen.append(await shown())
        assert [one["price"] for one in seen] == [1_000, 800, 1_000]
        assert (seen[1]["list_price"], seen[1]["offer_until"]) == (1_000, now + 20_000)
        assert len({one["version"] for one in seen}) == 3
        stale = {"room": room, "lines": [{"sku": card["sku"], "quantity": 1, "version": seen[1]["version"]}]}
        refused = await shop.call("POST", "/orders", stale, token=viewer, key="o")
        assert (refused.status_code, refused.json()["code"], refused.json()["price"]) == (422, "price_changed", 1_000)


async def test_a_guides_budget_is_funded_by_the_merchant_and_bounds_the_coupons(tmp_path: Path) -> None:
    async with rig(tmp_path) as shop:
        room, boss = shop.shop.room, shop.shop.merchant_token
        funded = {"issuer": "guide-1", "amount": 1_000}
        assert await good(shop, "POST", "/budgets", funded, token=boss, key="f") == {
            "issuer": "guide-1",
            "free": 1_000,
            "reserved": 0,
        }
        drop = {"title": "导购券", "reason": "老客", "amount": 600, "total": 50, "issuer": "guide-1"}
        made = await good(shop, "POST", f"/rooms/{room}/drops", drop, token=boss)
        template = drop | {"percent": 10, "audience": "new"}
        kept = await good(shop, "POST", "/coupon-templates", template, token=boss)
        assert await good(shop, "GET", "/coupon-templates", token=boss) == [kept]
        less = await shop.call("POST", "/budgets", {"issuer": "guide-1", "amount": -1_001}, token=boss, key="g")
        assert (less.status_code, less.json()["code"]) == (422, "insufficient")
        assert made["issuer"] == "guide-1"
        assert (await good(shop, "GET", "/budgets", token=boss))[0]["free"] == 1_000


async def test_a_room_hears_that_a_limited_time_price_has_ended(tmp_path: Path) -> None:
    async with rig(tmp_path) as shop:
        room, boss = shop.shop.room, shop.shop.merchant_token
        card = await good(
            shop, "POST", f"/rooms/{room}/products", {"title": "a", "price": 1_000, "stock": 9}, token=boss
        )
        now = shop.clock()
        offer = {"price": 800, "until_ms": now + 1_000}
        await good(shop, "PUT", f"/skus/{card['sku']}/offer", offer, token=boss)

        async with asyncio.timeout(60):
            while True:
                # The room's own copy, which snapshots and polls give out: nobody asks the shop anew here.
                cards = shop.application.bridge._states[room].shelf
                [shown] = [one for one in cards if one["product"] == card["product"]]
                if shop.clock() > now + 1_000 and shown["price"] == 1_000:
                    break
                await asyncio.sleep(0.05)
        assert "offer_until" not in shown or shown["offer_until"] is None


async def test_a_time_is_booked_up_to_its_places_and_until_it_begins(tmp_path: Path) -> None:
    async with rig(tmp_path) as shop:
        shop.clock.stop()
        room, boss = shop.shop.room, shop.shop.merchant_token
        begins = shop.clock() + 3_600_000
        slots = [
            {"name": "上午", "price": 5_000, "stock": 1, "slot_ms": begins},
            {"name": "下午", "price": 5_000, "stock": 1, "slot_ms": begins + 3_600_000},
        ]
        body = {"title": "茶艺课", "price": 5_000, "stock": 0, "name": "候补", "variants": slots}
        card = await good(shop, "POST", f"/rooms/{room}/products", body, token=boss)
        assert [one["slot"] for one in card["variants"]] == [None, begins, begins + 3_600_000]
        past = slots[0] | {"name": "昨天", "slot_ms": shop.clock()}
        refused = await shop.call("POST", f"/products/{card['product']}/variants", past, token=boss)
        assert (refused.status_code, refused.json()["code"]) == (400, "invalid")

        async def book(sku: str, person: str) -> tuple[int, str]:
            token = (await shop.guest(device=person))["token"]
            delivery = {"method": "pickup", "name": "小满", "phone": "13800000000"}
            order = {"room": room, "lines": [{"sku": sku, "quantity": 1}], "delivery": delivery}
            answer = await shop.call("POST", "/orders", order, token=token, key="o")
            return answer.status_code, answer.json().get("code", "")

        morning, afternoon = (one["sku"] for one in card["variants"][1:])
        assert await book(morning, "a") == (201, "")
        assert await book(morning, "b") == (422, "sold_out")
        shop.clock.ahead_ms += 3_600_000
        shelf = await good(shop, "GET", f"/rooms/{room}/products")
        [shown] = [one for one in shelf if one["product"] == card["product"]]
        assert [one["stock"] for one in shown["variants"]] == [0, 0, 1]
        assert await book(morning, "c") == (422, "closed")
        assert await book(afternoon, "c") == (201, "")
