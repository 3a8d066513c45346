"""Stores over the API: what they offer, their stock and prices, what buyers are offered, who may steer which."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.rig import Rig, rig
from tests.gateway.test_distribution import done
from tests.gateway.test_pos import STORE, opened

EVERY_WAY = {"express": True, "pickup": True, "courier": True, "stocked": True}


@pytest.fixture
async def live(tmp_path: Path) -> AsyncIterator[Rig]:
    async with rig(tmp_path) as running:
        yield running


async def test_a_buyer_is_offered_the_nearest_store_that_has_the_goods_at_its_own_price(live: Rig) -> None:
    boss, sku = live.shop.merchant_token, str(live.shop.products[1]["sku"])
    near = (await opened(live, **EVERY_WAY))["outlet"]
    far = (await opened(live, name="二店", lat=31.4, **EVERY_WAY))["outlet"]
    for outlet, units in ((near, 1), (far, 5)):
        await done(live, "POST", f"/outlets/{outlet}/stock", {"sku": sku, "quantity": units}, token=boss)
    await done(live, "PUT", f"/outlets/{near}/prices/{sku}", {"price": 7_700, "why": "开业"}, token=boss)
    guest = await live.guest(name="小雨")
    asked = f"/outlets?lat=31.24&lng=121.474&goods={sku}:"
    found = await done(live, "GET", asked + "1", token=guest["token"])
    assert [(one["outlet"], one["has"], one["mine"]) for one in found] == [(near, True, False), (far, True, False)]
    assert found[0]["ways"] == ["express", "pickup", "courier"] and found[1]["ways"] == ["express", "pickup"]
    assert [one["has"] for one in await done(live, "GET", asked + "2", token=guest["token"])] == [True, False]
    for wrong in ("x", f"{sku}:0", f"{sku}:x"):
        await done(live, "GET", f"/outlets?goods={wrong}", token=guest["token"], status=400)
    [price] = await done(live, "GET", f"/outlets/{near}/prices?goods={sku}:1", token=guest["token"])
    quote = {"room": live.shop.room, "lines": [{"sku": sku, "quantity": 1, "version": price["version"]}]}
    quoted = await done(live, "POST", "/quotes", quote | {"outlet": near}, token=guest["token"])
    assert (price["price"], quoted["amount"]) == (7_700, 7_700)
    address = {"method": "courier", "name": "小雨", "phone": "13800138000", "address": "某路 1 号", "outlet": near}
    too_far = quote | {"delivery": address | {"lat": 31.4, "lng": 121.474}}
    refused = await done(live, "POST", "/orders", too_far, token=guest["token"], status=422, key="o1")
    assert refused["code"] == "too_far"
    there = quote | {"delivery": address | {"lat": 31.24, "lng": 121.474}}
    order = (await done(live, "POST", "/orders", there, token=guest["token"], status=201, key="o2"))["order"]
    assert (order["amount"], order["delivery"]["outlet"]) == (7_700, near)
    page = await done(live, "GET", f"/outlets/{near}/stock", token=boss)
    assert [(row["sku"], row["free"], row["held"], row["price"]) for row in page["items"]] == [(sku, 0, 1, 7_700)]
    changes = await done(live, "GET", "/goods/changes", token=boss)
    assert [(one["what"], one["outlet_name"], one["why"]) for one in changes["items"]] == [
        ("price", "南京路店", "开业"),
        ("stock", "二店", "received"),
        ("stock", "南京路店", "received"),
    ]


async def test_what_a_store_offers_is_changed_part_by_part_and_the_shops_own_ways_are_chosen(live: Rig) -> None:
    boss, guest = live.shop.merchant_token, await live.guest(name="小雨")
    outlet = (await opened(live))["outlet"]
    hours = [[540, 1_080]] * 7
    changed = await done(live, "PATCH", f"/outlets/{outlet}", {"hours": hours, "express": True}, token=boss)
    assert (changed["hours"], changed["offers"], changed["name"], changed["lat"]) == (
        hours,
        ["express", "pickup"],
        STORE["name"],
        STORE["lat"],
    )
    for wrong in ({"hours": [[1, 2]]}, {"radius": 0}, {"hours": [[9, 8]] * 7}, {"lat": 91}):
        await done(live, "PATCH", f"/outlets/{outlet}", wrong, token=boss, status=400)
    await done(live, "PATCH", "/outlets/nosuch", {"express": True}, token=boss, status=404)
    await done(live, "PATCH", f"/outlets/{outlet}", {"express": True}, token=live.other.merchant_token, status=404)
    assert (await done(live, "GET", "/ways", token=guest["token"]))["ways"] == ["express", "pickup"]
    ways = {"express": False, "pickup": True}
    assert (await done(live, "PUT", "/ways", ways, token=boss))["ways"] == ["pickup"]
    await done(live, "PUT", "/ways", ways, token=guest["token"], status=403)


async def test_stock_moves_between_stores_with_a_journal(live: Rig) -> None:
    boss, sku = live.shop.merchant_token, str(live.shop.products[1]["sku"])
    outlet = (await opened(live, **EVERY_WAY))["outlet"]
    move = {"sku": sku, "quantity": 2, "target": outlet, "why": "补货"}
    await done(live, "POST", "/stock/moves", move, token=boss, status=400)
    made = [await done(live, "POST", "/stock/moves", move, token=boss, status=201, key="k") for _ in range(2)]
    assert made[0] == made[1] and made[0]["there"] == 2
    back = {"sku": sku, "quantity": 3, "source": outlet, "why": "x"}
    assert (await done(live, "POST", "/stock/moves", back, token=boss, status=422, key="b"))["code"] == "sold_out"
    journal = await done(live, "GET", f"/stock/moves?outlet={outlet}", token=boss)
    assert [(one["quantity"], one["target"], one["why"]) for one in journal["items"]] == [(2, outlet, "补货")]
    day = (await done(live, "GET", "/statements", token=boss))["day"]
    rows = (await done(live, "GET", f"/books/stock?since={day}&sku={sku}", token=boss))["items"]
    moved = [(one["outlet_name"], one["free"]) for one in rows if one["kind"] == "moved"]
    assert sorted(moved) == [("", -2), ("南京路店", 2)]
    assert (await done(live, "DELETE", f"/outlets/{outlet}", token=boss, status=422))["code"] == "in_use"


async def test_a_sheet_of_goods_carries_the_stock_of_stores(live: Rig) -> None:
    boss, sku = live.shop.merchant_token, str(live.shop.products[1]["sku"])
    outlet = (await opened(live, **EVERY_WAY))["outlet"]
    twin = (await opened(live, name="双店", **EVERY_WAY))["outlet"]
    (await opened(live, name="双店", **EVERY_WAY))["outlet"]

    async def taken(sheet: str, status: int = 200) -> Any:
        answer = await live.client.post(
            "/api/v1/goods/import?why=count",
            content=sheet.encode(),
            headers={"authorization": f"Bearer {boss}"},
        )
        assert answer.status_code == status, answer.text
        return answer.json()

    product = str(live.shop.products[1]["product"])
    heading = f"product,sku,库存@南京路店,stock@{twin}\n"
    report = await taken(f"{heading}{product},{sku},6,2\n")
    assert [one["what"] for one in report["rows"][0]["changes"]] == ["stock@南京路店", f"stock@{twin}"]
    file = await live.client.get("/api/v1/goods/export", headers={"authorization": f"Bearer {boss}"})
    first = file.content.decode("utf-8-sig").splitlines()[0].split(",")
    assert {"stock@南京路店", "seen@南京路店", f"stock@{twin}"} <= set(first)
    # What comes back untouched changes nothing; what was sold meanwhile is not overwritten.
    assert (await taken(file.content.decode("utf-8-sig")))["written"] is False
    count = {"sku": sku, "quantity": -1, "reason": "broken"}
    await done(live, "POST", f"/outlets/{outlet}/stock", count, token=boss)
    stale = await taken(f"product,sku,stock@南京路店,seen@南京路店\n{product},{sku},9,6\n")
    assert (stale["rows"][0]["outcome"], stale["rows"][0]["column"]) == ("fault", "stock@南京路店")
    ambiguous = await taken(f"product,sku,stock@双店\n{product},{sku},9\n")
    assert "two have this name" in ambiguous["rows"][0]["message"]
    await taken(f"product,sku,stock@\n{product},{sku},9\n", 400)
    rows = {"why": "api", "rows": [{"product": product, "sku": sku, "outlets": [{"outlet": outlet, "stock": 8}]}]}
    assert (await done(live, "POST", "/goods", rows, token=boss))["written"]
    [line] = [one for one in (await done(live, "GET", "/goods", token=boss))["items"] if one["id"] == sku]
    assert {one["outlet"]: one["stock"] for one in line["outlets"]}["南京路店"] == 8


async def test_a_card_shows_what_is_free_in_the_warehouse_and_in_the_stores(live: Rig) -> None:
    boss, room = live.shop.merchant_token, live.shop.room
    goods = {"title": "只在门店", "price": 1_000, "stock": 0}
    card = await done(live, "POST", f"/rooms/{room}/products", goods, token=boss, status=201)
    outlet = (await opened(live, **EVERY_WAY))["outlet"]
    await done(live, "POST", f"/outlets/{outlet}/stock", {"sku": card["sku"], "quantity": 4}, token=boss)
    guest = await live.guest(name="小雨")
    shelf = await done(live, "GET", f"/rooms/{room}/products", token=guest["token"])
    assert [one["stock"] for one in shelf if one["sku"] == card["sku"]] == [4]
    body = {"room": room, "lines": [{"sku": card["sku"], "quantity": 1}]}
    assert (await done(live, "POST", "/orders", body, token=guest["token"], status=422, key="a"))["code"] == "sold_out"
    delivery = {"method": "pickup", "name": "小雨", "phone": "13800138000", "outlet": outlet}
    await done(live, "POST", "/orders", body | {"delivery": delivery}, token=guest["token"], status=201, key="b")


async def test_a_till_brings_goods_back(live: Rig) -> None:
    boss, sku = live.shop.merchant_token, str(live.shop.products[1]["sku"])
    store = await opened(live, **EVERY_WAY)
    await done(live, "POST", f"/outlets/{store['outlet']}/stock", {"sku": sku, "quantity": 5}, token=boss)
    now = live.clock()
    lines = [{"article": sku, "quantity": 2, "amount": 200}]
    refund = {"number": "F", "receipt": "R", "amount": 100, "refunded": now}
    told = {
        "receipts": [{"number": "R", "amount": 200, "sold": now, "lines": lines}],
        "refunds": [refund | {"lines": [{"article": sku, "quantity": 1}], "stock": "quarantine"}],
    }
    await done(live, "POST", "/pos/receipts", told, token=store["key"])
    [row] = (await done(live, "GET", f"/outlets/{store['outlet']}/stock", token=boss))["items"]
    assert (row["free"], row["shipped"], row["quarantined"]) == (3, 1, 1)


async def test_a_template_of_certain_stores_makes_coupons_that_count_there(live: Rig) -> None:
    boss, sku = live.shop.merchant_token, str(live.shop.products[1]["sku"])
    outlet = (await opened(live, **EVERY_WAY))["outlet"]
    await done(live, "POST", f"/outlets/{outlet}/stock", {"sku": sku, "quantity": 5}, token=boss)
    terms = {"title": "南京路店券", "reason": "开业", "amount": 300, "total": 9, "outlets": [outlet]}
    made = await done(live, "POST", "/coupon-templates", terms, token=boss, status=201)
    listed = await done(live, "GET", "/coupon-templates", token=boss)
    assert [one["outlets"] for one in listed if one["id"] == made["id"]] == [[outlet]]
    await done(live, "POST", "/coupon-templates", terms | {"outlets": ["nosuch"]}, token=boss, status=404)
    drop = terms | {"seconds": 60}
    started = await done(live, "POST", f"/rooms/{live.shop.room}/drops", drop, token=boss, status=201)
    guest = await live.guest(name="小雨")
    services = live.application.services
    coupon = await services.shop.claim_coupon(live.shop.merchant, live.shop.room, guest["person"], started["drop"], "c")
    quote = {"room": live.shop.room, "lines": [{"sku": sku, "quantity": 1}], "coupons": [coupon.coupon]}
    elsewhere = await done(live, "POST", "/quotes", quote, token=guest["token"], status=422)
    assert elsewhere["code"] == "coupon_invalid"
    assert (await done(live, "POST", "/quotes", quote | {"outlet": outlet}, token=guest["token"]))["discount"] == 300


async def test_a_store_sends_a_courier_and_the_buyer_sees_who_brings_it(live: Rig) -> None:
    boss, sku = live.shop.merchant_token, str(live.shop.products[1]["sku"])
    outlet = (await opened(live, **EVERY_WAY))["outlet"]
    await done(live, "POST", f"/outlets/{outlet}/stock", {"sku": sku, "quantity": 5}, token=boss)
    guest = await live.guest(name="小雨")
    address = {"method": "courier", "name": "小雨", "phone": "13800138000", "address": "某路 1 号", "outlet": outlet}
    body = {"room": live.shop.room, "lines": [{"sku": sku, "quantity": 1}]}
    there = body | {"delivery": address | {"lat": 31.24, "lng": 121.474}}
    order = (await done(live, "POST", "/orders", there, token=guest["token"], status=201, key="o"))["order"]["order"]
    path = f"/orders/{order}/courier"
    assert (await done(live, "POST", path, token=boss, status=422))["code"] == "not_open"
    await done(live, "POST", f"/orders/{order}/pay", token=guest["token"], key="p")
    assert (await done(live, "GET", f"{path}/quote", token=boss))["fee"] == 600
    await done(live, "POST", path, token=guest["token"], status=403)
    await done(live, "POST", path, token=live.other.merchant_token, status=404)
    errand = await done(live, "POST", path, token=boss, status=201)
    shipped = {"carrier": "SF", "number": "1"}
    assert (await done(live, "POST", f"/orders/{order}/ship", shipped, token=boss, status=422))["code"] == "courier"
    provider = live.application.services.couriers._named("sandbox")
    message = provider.move(errand["errand"], "carried")  # type: ignore[attr-defined]
    for _ in range(2):
        answer = await live.client.post("/api/v1/couriers/sandbox", content=message.body, headers=message.headers)
        assert answer.status_code == 200
    assert (await live.client.post("/api/v1/couriers/sandbox", content=b"{}")).status_code == 400
    seen = (await done(live, "GET", f"/orders/{order}", token=guest["token"]))["order"]
    assert (seen["delivery"]["courier"]["state"], seen["status"]) == ("carried", "paid")
    refused = await done(live, "POST", f"{path}/cancel", {"reason": "x"}, token=boss, status=422)
    assert refused["code"] == "courier_refused"
    message = provider.move(errand["errand"], "delivered")  # type: ignore[attr-defined]
    await live.client.post("/api/v1/couriers/sandbox", content=message.body, headers=message.headers)
    [row] = await done(live, "GET", path, token=boss)
    assert (row["state"], row["fee"]) == ("delivered", 600)
    assert (await done(live, "GET", f"/orders/{order}", token=guest["token"]))["order"]["status"] == "done"


async def test_what_bringing_costs_is_quoted_paid_and_set_by_the_shop_alone(live: Rig) -> None:
    boss, guest = live.shop.merchant_token, await live.guest(name="小雨")
    sku = str(live.shop.products[0]["sku"])
    near = (await opened(live, **EVERY_WAY))["outlet"]
    await done(live, "POST", f"/outlets/{near}/stock", {"sku": sku, "quantity": 3}, token=boss)
    rule = {"outlet": near, "way": "courier", "bands": [[1_000, 400], [3_000, 600]], "free_from": 90_000}
    (told,) = await done(live, "PUT", "/freight", rule, token=boss)
    assert told == {**rule, "name": told["name"], "keeps": True}
    for wrong in ({"bands": [[3_000, 1], [1_000, 1]]}, {"way": "pickup"}, {"bands": [[1, 2, 3]]}, {"free_from": 0}):
        await done(live, "PUT", "/freight", rule | wrong, token=boss, status=400)
    await done(live, "PUT", "/freight", rule, token=guest["token"], status=403)
    await done(live, "PUT", "/freight", rule, token=live.other.merchant_token, status=404)
    assert await done(live, "GET", "/freight", token=live.other.merchant_token) == []
    asked = {"room": live.shop.room, "lines": [{"sku": sku, "quantity": 1}]}
    where = {"lat": 31.24, "lng": 121.474}
    quote = await done(
        live, "POST", "/quotes", asked | {"outlet": near, "way": "courier"} | where, token=guest["token"]
    )
    assert (quote["freight"], quote["amount"]) == (400, quote["goods"] - quote["discount"] + 400)
    address = {"method": "courier", "name": "小雨", "phone": "13800138000", "address": "某路 1 号", "outlet": near}
    body = asked | {"delivery": address | where, "coupons": quote["coupons"]}
    order = (await done(live, "POST", "/orders", body, token=guest["token"], status=201, key="o"))["order"]
    assert (order["freight"], order["amount"], order["steps"]) == (400, quote["amount"], quote["steps"])
    await done(live, "POST", f"/orders/{order['order']}/pay", token=guest["token"], key="p")
    refund = {"reason": "x"}
    back = await done(live, "POST", f"/orders/{order['order']}/refunds", refund, token=boss, status=201, key="r")
    assert back["refund"]["amount"] == order["amount"]
    assert await done(live, "PUT", "/freight", {"outlet": near, "way": "courier"}, token=boss) == []
