"""Purchasing over the API: from a draft to the margin of an order, sheets, and who may."""

from __future__ import annotations

from pathlib import Path

import msgspec

from gateway.schemas_accounting import BookAnswer, MarginPage
from gateway.schemas_purchases import CostPage, PurchasePage, PurchaseSheetAnswer, PurchaseView, SupplierPage
from tests.gateway.org_world import org_world
from tests.gateway.rig import rig


async def test_goods_are_bought_sold_and_their_margin_is_in_the_book(tmp_path: Path) -> None:
    async with rig(tmp_path) as live:
        boss = live.shop.merchant_token
        sku = (await live.call("GET", "/goods?limit=1", token=boss)).json()["items"][0]["id"]
        made = await live.call("POST", "/suppliers", {"name": "茶厂"}, token=boss)
        supplier = made.json()["supplier"]
        twice = await live.call("POST", "/suppliers", {"name": "茶厂"}, token=boss)
        assert (twice.status_code, twice.json()["code"]) == (422, "already")
        body = {"supplier": supplier, "number": "PO-1", "lines": [{"sku": sku, "quantity": 9, "unit_cost": 500}]}
        drafted = msgspec.convert((await live.call("POST", "/purchases", body, token=boss)).json(), PurchaseView)
        path = f"/purchases/{drafted.purchase}"
        early = await live.call("POST", f"{path}/receipts", {"lines": [{"sku": sku, "units": 1}]}, token=boss, key="a")
        assert (early.status_code, early.json()["code"]) == (422, "not_open")
        assert (await live.call("POST", f"{path}/steps", {"step": "order"}, token=boss)).json()["state"] == "ordered"
        came = {"number": "D7", "lines": [{"sku": sku, "units": 6}]}
        for _ in range(2):
            part = await live.call("POST", f"{path}/receipts", came, token=boss, key="b")
            assert (part.status_code, part.json()["state"], part.json()["short"]) == (201, "partly", 3)
        assert (await live.call("POST", f"{path}/receipts", came, token=boss)).status_code == 400
        back = {"why": "damp", "lines": [{"sku": sku, "units": 1}]}
        assert (await live.call("POST", f"{path}/returns", back, token=boss, key="c")).json()["amount"] == 2_500
        paid = await live.call("POST", f"/suppliers/{supplier}/payments", {"amount": 500, "number": "T1"}, token=boss)
        assert paid.json()["owed"] == 2_000
        page = msgspec.convert((await live.call("GET", "/suppliers", token=boss)).json(), SupplierPage)
        assert [(one.owed, one.open_orders) for one in page.items] == [(2_000, 1)]
        listed = msgspec.convert((await live.call("GET", "/purchases?state=partly", token=boss)).json(), PurchasePage)
        assert [one.number for one in listed.items] == ["PO-1"]
        assert (await live.call("GET", "/purchases?state=lost", token=boss)).status_code == 400
        sheet = await live.call("GET", f"{path}/export", token=boss)
        send = {"authorization": f"Bearer {boss}"}
        taken = await live.client.post(
            f"/api/v1/purchases/import?supplier={supplier}", content=sheet.content, headers=send
        )
        again = msgspec.convert(taken.json(), PurchaseSheetAnswer)
        assert again.purchase is not None and again.purchase.ordered == 4_500

        costed = {"unit_cost": 500, "why": "as of the old books"}
        assert (await live.call("PUT", f"/costs/{sku}", costed, token=boss)).status_code == 200
        costs = msgspec.convert((await live.call("GET", "/costs", token=boss)).json(), CostPage)
        assert next(one for one in costs.items if one.sku == sku).unit_cost == 500
        book = msgspec.convert((await live.call("GET", "/books", token=boss)).json(), BookAnswer)
        assert (book.revenue, book.margin, book.debit) == (0, -book.cost, book.credit)
        margins = msgspec.convert((await live.call("GET", "/books/margins", token=boss)).json(), MarginPage)
        assert sum(one.cost for one in margins.items) == book.cost
        file = await live.call("GET", "/books/margins?format=csv", token=boss)
        assert file.text.splitlines()[0].endswith("time,order,revenue,cost,margin,till")


async def test_buying_is_the_whole_shop_s_and_its_accountants_read_it(tmp_path: Path) -> None:
    async with rig(tmp_path) as live:
        world = await org_world(live)
        boss, mine = live.shop.merchant_token, world.mine
        supplier = (await live.call("POST", "/suppliers", {"name": "x"}, token=boss)).json()["supplier"]
        for role in ("owner", "accountant", "readonly", "host"):
            for path in ("/suppliers", "/purchases", "/costs", "/books", "/books/margins"):
                assert (await live.call("GET", path, token=mine.tokens[role])).status_code == 403, (role, path)
        staff = {"node": world.group, "role": "accountant"}
        await world.done("PUT", f"/org/members/{mine.staff['accountant']}", staff, token=boss)
        for path in ("/suppliers", "/purchases", "/costs", "/books", "/books/margins", "/books/entries"):
            assert (await live.call("GET", path, token=mine.tokens["accountant"])).status_code == 200, path
        body = {"amount": 1, "number": "x"}
        paid = await live.call("POST", f"/suppliers/{supplier}/payments", body, token=mine.tokens["accountant"])
        assert paid.status_code == 403
        assert (await live.call("GET", "/suppliers", token=live.other.merchant_token)).json()["items"] == []
