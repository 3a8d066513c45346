"""Refunds, shipping, pickup and statements over the API: who may, what is told to whom, what bad input gets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway import schemas_books
from tests.gateway.rig import Rig, rig
from tests.gateway.test_webhooks import order


@pytest.fixture
async def live(tmp_path: Path) -> AsyncIterator[Rig]:
    async with rig(tmp_path) as running:
        yield running


def code(answer: Any) -> tuple[int, str]:
    """Status and code of a problem."""
    return answer.status_code, answer.json()["code"]


async def test_an_order_is_shipped_refunded_and_accounted_for(live: Rig) -> None:
    boss = live.shop.merchant_token
    view = await order(live)
    path = f"/orders/{view['order']}"
    sku = view["lines"][0]["sku"]
    shipped = await live.call("POST", f"{path}/ship", {"carrier": "顺丰", "number": "SF1"}, token=boss)
    assert shipped.status_code == 200 and shipped.json()["order"]["status"] == "fulfilled"
    assert shipped.json()["order"]["delivery"]["address"] == "长宁区 1 号"
    assert code(await live.call("POST", f"{path}/ship", {"carrier": "a", "number": "b"}, token=boss)) == (
        422,
        "already",
    )
    body = {"lines": [{"sku": sku, "quantity": 1}], "reason": "broken", "stock": "quarantine"}
    first = await live.call("POST", f"{path}/refunds", body, token=boss, key="r1")
    again = await live.call("POST", f"{path}/refunds", body, token=boss, key="r1")
    assert first.status_code == again.status_code == 201
    refund = msgspec.convert(first.json(), schemas_books.RefundAnswer).refund
    assert again.json()["refund"]["refund"] == refund.refund
    assert code(await live.call("POST", f"{path}/refunds", body | {"reason": "x"}, token=boss, key="r1")) == (
        409,
        "key_reused",
    )
    async with asyncio.timeout(60):
        while True:
            listed = (await live.call("GET", f"{path}/refunds", token=view["token"])).json()
            if listed[0]["state"] == "done":
                break
            await asyncio.sleep(0.02)
    mine = (await live.call("GET", path, token=view["token"])).json()["order"]
    assert (mine["status"], mine["refunded"]) == ("partly_refunded", refund.amount)
    assert (await live.call("POST", f"{path}/done", token=view["token"])).json()["order"]["fulfilment"] == "done"
    books = await live.call("GET", "/statements", token=boss)
    statement = msgspec.convert(books.json(), schemas_books.StatementAnswer)
    assert statement.money.closing == view["amount"] - refund.amount
    assert view["order"] in statement.orders.ids
    sheet = await live.call("GET", f"/statements?day={statement.day}&format=csv", token=boss)
    assert sheet.headers["content-type"] == "text/csv; charset=utf-8"
    assert sheet.content.startswith(b"\xef\xbb\xbfsection,") and statement.day in sheet.headers["content-disposition"]


async def test_the_pickup_code_is_the_buyer_s_alone(live: Rig) -> None:
    token = (await live.guest())["token"]
    shelf = (await live.call("GET", f"/rooms/{live.shop.room}/products")).json()
    delivery = {"method": "pickup", "name": "小雨", "phone": "13800000022"}
    body = {"room": live.shop.room, "lines": [{"sku": shelf[0]["sku"], "quantity": 1}], "delivery": delivery}
    made = (await live.call("POST", "/orders", body, token=token, key="o")).json()["order"]
    path = f"/orders/{made['order']}"
    await live.call("POST", f"{path}/pay", token=token, key="p")
    number = (await live.call("GET", path, token=token)).json()["order"]["delivery"]["code"]
    host = live.shop.host_token
    assert "code" not in (await live.call("GET", path, token=host)).json()["order"]["delivery"]
    listed = (await live.call("GET", "/orders", token=host)).json()["items"]
    assert all("code" not in (entry["delivery"] or {}) for entry in listed)
    wrong = await live.call("POST", f"{path}/pickup", {"code": number[::-1] + "1"}, token=host)
    assert code(wrong) == (422, "bad_code")
    assert (await live.call("POST", f"{path}/pickup", {"code": number}, token=host)).status_code == 200


async def test_other_merchants_viewers_and_strangers_do_nothing(live: Rig) -> None:
    view = await order(live)
    path = f"/orders/{view['order']}"
    stranger = (await live.guest())["token"]
    refund, ship, number = {"reason": "x"}, {"carrier": "a", "number": "b"}, {"code": "1"}
    for way, body in (("refunds", refund), ("ship", ship), ("pickup", number), ("refunds/x/retry", None)):
        call = f"{path}/{way}"
        assert code(await live.call("POST", call, body, token=live.other.merchant_token, key="k")) == (404, "not_found")
        assert code(await live.call("POST", call, body, token=view["token"], key="k")) == (403, "forbidden")
        assert (await live.call("POST", call, body, key="k")).status_code == 401
    assert (await live.call("GET", f"{path}/refunds", token=stranger)).status_code == 404
    assert (await live.call("GET", f"{path}/refunds", token=live.other.merchant_token)).status_code == 404
    assert (await live.call("POST", f"{path}/done", token=stranger)).status_code == 404
    for token in (stranger, live.shop.host_token):
        assert (await live.call("GET", "/statements", token=token)).status_code == 403
    assert (await live.call("GET", path, token=view["token"])).json()["order"]["status"] == "paid"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"reason": ""},
        {"reason": "x", "amount": 0},
        {"reason": "x", "amount": -5},
        {"reason": "x", "amount": 1.5},
        {"reason": "x", "amount": "1"},
        {"reason": "x", "amount": 1, "stock": "sellable"},
        {"reason": "x", "lines": []},
        {"reason": "x", "lines": [{"sku": "a", "quantity": 0}]},
        {"reason": "x", "lines": [{"sku": "a", "quantity": 10**20}]},
        {"reason": "x", "stock": "moon"},
        {"reason": "x", "more": 1},
    ],
)
async def test_a_refund_of_the_wrong_shape_is_refused(live: Rig, body: dict[str, Any]) -> None:
    view = await order(live)
    path = f"/orders/{view['order']}/refunds"
    assert code(await live.call("POST", path, body, token=live.shop.host_token, key="k")) == (400, "invalid")
    good = {"reason": "x", "amount": 1}
    assert code(await live.call("POST", path, good, token=live.shop.host_token)) == (400, "invalid")


@pytest.mark.parametrize("query", ["day=x", "day=2999-01-01", "day=2026-13-01", "format=xls"])
async def test_a_statement_of_no_day_is_refused(live: Rig, query: str) -> None:
    assert code(await live.call("GET", f"/statements?{query}", token=live.shop.merchant_token)) == (400, "invalid")
