"""A till's day and a delivered order on a running server: what the accountant reads then, and what the audit says."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tests.harness import LiveServer, live_server

STORE: dict[str, Any] = {"name": "南京路店", "address": "南京路 1 号", "lat": 31.2345, "lng": 121.474}
STORE |= {"courier": True, "stocked": True}
WHERE: dict[str, Any] = {"method": "courier", "name": "小雨", "phone": "13800138000", "address": "某路 1 号"}
WHERE |= {"lat": 31.24, "lng": 121.474}
DELIVERED_WITHIN_S = 180.0
"""The sandbox's rider takes three steps of half a minute at the most."""

pytestmark = pytest.mark.soak


def asked(server: LiveServer, method: str, path: str, body: Any = None, *, token: str, key: str = "") -> Any:
    """An answer that must be good."""
    more = {"key": key} if key else {}
    answer = server.call(method, path, body, token=token, **more)
    assert answer.status_code < 300, (path, answer.text)
    return answer.json()


def opened(server: LiveServer, boss: str) -> tuple[dict[str, Any], str]:
    """A store with goods that cost 30 yuan each, at 13 % of tax."""
    sku = server.call("GET", f"/rooms/{server.room}/products").json()[0]["sku"]
    store = asked(server, "POST", "/outlets", STORE, token=boss)
    asked(server, "PUT", f"/costs/{sku}", {"unit_cost": 3_000, "why": "opening"}, token=boss)
    move = {"sku": sku, "quantity": 5, "source": "", "target": store["outlet"], "why": "opening"}
    asked(server, "POST", "/stock/moves", move, token=boss, key="move")
    asked(server, "PUT", "/tax-rates", {"basis_points": 1_300}, token=boss)
    return store, sku


def audited(server: LiveServer) -> None:
    """The audit and the replay, beside the running server."""
    for command in ("audit", "replay"):
        done = server.run(command, check=False)
        assert done.returncode == 0, done.stdout[-4_000:]


def test_a_day_of_a_till_is_in_the_books_when_its_drawer_is_counted(tmp_path: Path) -> None:
    with live_server(tmp_path) as server:
        boss = server.seed["merchant_token"]
        store, sku = opened(server, boss)
        now = time.time_ns() // 1_000_000
        sale = {"number": "R1", "amount": 11_300, "sold": now}
        sale |= {"lines": [{"article": sku, "quantity": 2, "amount": 11_300}]}
        takings = {"tenders": [{"tender": "cash", "amount": 11_300}]}
        back = {"number": "B1", "receipt": "R1", "amount": 5_650, "refunded": now}
        back |= {"lines": [{"article": sku, "quantity": 1}]}
        back |= {"takings": {"tenders": [{"tender": "cash", "amount": 5_650}]}}
        asked(server, "POST", "/pos/receipts", {"receipts": [sale]}, token=store["key"])
        assert asked(server, "GET", "/pos/waiting", token=boss)["items"][0]["cost"] == 6_000
        told = {"receipts": [sale | {"takings": takings}], "refunds": [back]}
        asked(server, "POST", "/pos/receipts", told, token=store["key"])
        asked(server, "POST", "/pos/count", {"counted": 5_600, "banked": 5_600, "why": "short"}, token=store["key"])
        book = asked(server, "GET", "/books", token=boss)
        closing = {one["account"]: one["closing"] for one in book["accounts"]}
        assert book["tills"] == {"revenue": 5_000, "cost": 3_000, "margin": 2_000}
        assert (closing["1001"], closing["1002"], closing["6602.02"], closing.get("1406", 0)) == (0, 5_600, 50, 0)
        audited(server)


def test_a_delivered_orders_freight_is_income_and_its_couriers_fee_a_cost(tmp_path: Path) -> None:
    with live_server(tmp_path, flags=["--sandbox"]) as server:
        boss, buyer = server.seed["merchant_token"], server.guest()["token"]
        store, sku = opened(server, boss)
        rule = {"outlet": store["outlet"], "way": "courier", "bands": [[0, 1_130]]}
        asked(server, "PUT", "/freight", rule, token=boss)
        body = {"room": server.room, "lines": [{"sku": sku, "quantity": 1}]}
        body["delivery"] = WHERE | {"outlet": store["outlet"]}
        order = asked(server, "POST", "/orders", body, token=buyer, key="o")["order"]
        assert order["amount"] == order["goods"] - order["discount"] + 1_130
        asked(server, "POST", f"/orders/{order['order']}/pay", token=buyer, key="p")
        asked(server, "POST", f"/orders/{order['order']}/courier", token=boss)
        until = time.monotonic() + DELIVERED_WITHIN_S
        while True:
            (errand,) = asked(server, "GET", f"/orders/{order['order']}/courier", token=boss)
            if errand["ended"]:
                break
            assert time.monotonic() < until, errand
            time.sleep(1)
        assert (errand["state"], errand["charged"]) == ("delivered", errand["fee"])
        book = asked(server, "GET", "/books", token=boss)
        closing = {one["account"]: one["closing"] for one in book["accounts"]}
        assert (closing["6001.09"], closing["6401.05"], closing["2202.03"]) == (1_000, errand["fee"], errand["fee"])
        audited(server)
