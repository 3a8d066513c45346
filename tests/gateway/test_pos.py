"""A till over HTTP: receipts row by row, visits, pickups; and who may keep stores."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.rig import Rig, rig
from tests.gateway.test_distribution import done

STORE = {"name": "南京路店", "address": "南京路 1 号", "lat": 31.2345, "lng": 121.474}


@pytest.fixture
async def live(tmp_path: Path) -> AsyncIterator[Rig]:
    async with rig(tmp_path) as running:
        yield running


async def opened(live: Rig, **more: Any) -> dict[str, Any]:
    body = {**STORE, **more}
    made: dict[str, Any] = await done(live, "POST", "/outlets", body, token=live.shop.merchant_token, status=201)
    return made


async def test_a_till_tells_of_sales_row_by_row(live: Rig) -> None:
    store, boss = await opened(live), live.shop.merchant_token
    seller = {"code": "007", "issuer": "fay", "name": "阿飞"}
    await done(live, "POST", "/pos/sellers", seller, token=boss, status=201)
    guest = await live.guest(name="小雨")
    shown = await done(live, "GET", "/me/member-code", token=guest["token"])
    assert shown["qr"].startswith("data:image/svg+xml")
    now = live.clock()
    sale = {"number": "R1", "amount": 9_900, "sold": now, "staff_code": "007", "member": shown["code"]}
    told = {
        "receipts": [sale, {**sale, "number": "R2", "staff_code": "666"}, {**sale, "number": "R3", "sold": 1}],
        "refunds": [
            {"number": "F1", "receipt": "R1", "amount": 900, "refunded": now},
            {"number": "F2", "receipt": "R9", "amount": 1, "refunded": now},
        ],
    }
    for again in (False, True):
        answer = await done(live, "POST", "/pos/receipts", told, token=store["key"])
        assert [(row["ok"], row["code"]) for row in answer["receipts"]] == [
            (True, ""),
            (False, "not_found"),
            (False, "invalid"),
        ]
        assert [(row["ok"], row["again"]) for row in answer["refunds"]] == [(True, again), (False, False)]
        assert answer["receipts"][0]["again"] is again and answer["receipts"][0]["person"] == guest["person"]
    (row,) = await done(live, "GET", "/pos/sums", token=boss)
    assert (row["seller_name"], row["receipts"], row["members"], row["amount"], row["refunded"]) == (
        "阿飞",
        1,
        1,
        9_900,
        900,
    )
    assert (await done(live, "GET", "/member", token=guest["token"]))["spent"] == 9_000
    for token in ("guessed", boss):
        assert (await done(live, "POST", "/pos/receipts", told, token=token, status=401))["code"]
    assert await done(live, "GET", "/pos/sums", token=live.other.merchant_token) == []


async def test_a_visit_is_a_touch_and_a_pickup_is_handed_over_in_its_own_store(live: Rig) -> None:
    store, second = await opened(live), await opened(live, name="二店", lat=39.9)
    guest = await live.guest(name="小雨")
    near = await done(live, "GET", "/outlets?lat=39.8&lng=121.4", token=guest["token"])
    assert [one["outlet"] for one in near] == [second["outlet"], store["outlet"]] and near[0]["key"] is None
    for query in ("lat=1", "lat=nan&lng=1", "lat=91&lng=0", "lat=x&lng=0"):
        await done(live, "GET", f"/outlets?{query}", token=guest["token"], status=400)
    code = (await done(live, "GET", "/me/member-code", token=guest["token"]))["code"]
    visit = {"member": code, "at": live.clock(), "event": "tried on"}
    assert (await done(live, "POST", "/pos/visits", visit, token=store["key"]))["person"] == guest["person"]
    await done(
        live, "POST", "/pos/visits", {**visit, "member": "", "phone": "13800138022"}, token=store["key"], status=404
    )
    touches = (await done(live, "GET", "/me/data", token=guest["token"]))["touches"]
    assert "store_visit" in {touch["kind"] for touch in touches}
    sku = str(live.shop.products[1]["sku"])
    where = {"method": "pickup", "name": "小雨", "phone": "13800138022", "outlet": store["outlet"]}
    body = {"room": live.shop.room, "lines": [{"sku": sku, "quantity": 1}], "delivery": where}
    order = (await done(live, "POST", "/orders", body, token=guest["token"], status=201, key="o"))["order"]
    await done(live, "POST", f"/orders/{order['order']}/pay", token=guest["token"], key="p")
    wish = {"order": order["order"], "code": order["delivery"]["code"]}
    refused = await done(live, "POST", "/pos/pickups", wish, token=second["key"], status=422)
    assert refused["code"] == "not_open"
    await done(live, "POST", "/pos/pickups", {**wish, "code": "x"}, token=store["key"], status=422)
    handed = await done(live, "POST", "/pos/pickups", wish, token=store["key"])
    assert handed["status"] == "fulfilled"
    await done(live, "DELETE", f"/outlets/{store['outlet']}", token=live.other.merchant_token, status=404)
    await done(live, "DELETE", f"/outlets/{store['outlet']}", token=live.shop.merchant_token)
    await done(live, "POST", "/pos/visits", visit, token=store["key"], status=401)


async def test_what_a_till_took_is_in_the_days_books_and_its_drawer_is_counted(live: Rig) -> None:
    store, boss = await opened(live), live.shop.merchant_token
    now = live.clock()
    paid = {"tenders": [{"tender": "cash", "amount": 900}, {"tender": "card", "amount": 100}], "discount": 50}
    sale = {"number": "R1", "amount": 1_000, "sold": now, "takings": paid}
    back = {"number": "B1", "receipt": "R1", "amount": 100, "refunded": now}
    told = {
        "receipts": [sale, {**sale, "number": "R2", "takings": None}, {**sale, "number": "R3", "amount": 999}],
        "refunds": [{**back, "takings": {"tenders": [{"tender": "cash", "amount": 100}]}}],
    }
    answer = await done(live, "POST", "/pos/receipts", told, token=store["key"])
    assert [(row["ok"], row["booked"], row["code"]) for row in answer["receipts"]] == [
        (True, True, ""),
        (True, False, ""),
        (False, False, "invalid"),
    ]
    assert answer["refunds"][0]["booked"]
    book = await done(live, "GET", "/books", token=boss)
    assert book["tills"] == {"revenue": 900, "cost": 0, "margin": 900} and book["online"]["revenue"] == 0
    (day,) = await done(live, "GET", "/pos/takings", token=boss)
    assert (day["name"], day["tenders"]["cash"], day["tenders"]["card"], day["discount"]) == ("南京路店", 800, 100, 50)
    (waiting,) = (await done(live, "GET", "/pos/waiting", token=boss))["items"]
    assert (waiting["number"], waiting["kind"], waiting["amount"]) == ("R2", "sale", 1_000)
    by_hand = {"takings": {"tenders": [{"tender": "wechat", "amount": 1_000}]}, "why": "the slip"}
    await done(live, "POST", f"/pos/waiting/{waiting['ref']}", by_hand, token=live.other.merchant_token, status=404)
    await done(live, "POST", f"/pos/waiting/{waiting['ref']}", by_hand, token=boss)
    assert (await done(live, "GET", "/pos/waiting", token=boss))["items"] == []
    refused = await done(live, "POST", "/pos/count", {"counted": 700}, token=store["key"], status=422)
    assert (refused["code"], refused["expected"]) == ("difference", 800)
    counted = {"counted": 700, "banked": 600, "why": "short"}
    assert (await done(live, "POST", "/pos/count", counted, token=store["key"], status=201))["difference"] == -100
    (drawer,) = await done(live, "GET", "/pos/drawers", token=boss)
    assert (drawer["expected"], drawer["waiting"]) == (100, 0)
    assert (await done(live, "GET", "/pos/counts", token=boss))["items"][0]["why"] == "short"
    where = f"/pos/counts/{store['outlet']}"
    await done(live, "POST", where, {"counted": 700, "banked": 600}, token=live.other.merchant_token, status=404)
    board = await done(live, "GET", f"/board?since={now - 86_400_000}&until={now + 1_000}", token=boss)
    assert board["sold"]["tills"] == {"sales": 2, "amount": 2_000, "refunded": 100, "payers": 0, "repeaters": 0}
    assert board["sold"]["together"]["amount"] == 2_000 + board["gmv"] and board["sold"]["online"]["amount"] == 0
    assert [(row["name"], row["receipts"]) for row in board["by_outlet"]] == [("南京路店", 2)]
    for token in ("guessed", boss):
        await done(live, "POST", "/pos/count", counted, token=token, status=401)
