"""Sheets of goods over the API: the file, the lines, the trail, and who may."""

from __future__ import annotations

from pathlib import Path

import msgspec

from gateway.schemas_goods import ChangePage, GoodsPage, GoodsReportAnswer, GoodsRunPage
from tests.gateway.rig import rig

SHEET = "商品编码,规格编码,商品名称,售价,单位,库存\r\nrice,rice-1,大米,6.50,500g,12500\r\n"


async def test_goods_go_in_by_file_or_lines_and_come_out_again_with_the_trail(tmp_path: Path) -> None:
    async with rig(tmp_path) as live:
        boss = live.shop.merchant_token
        send = {"authorization": f"Bearer {boss}"}
        path = "/api/v1/goods/import"
        tried = await live.client.post(f"{path}?why=新米&try=1", content=SHEET.encode(), headers=send)
        assert tried.json()["counts"] == {"created": 1, "changed": 0, "same": 0, "fault": 0}
        done = await live.client.post(f"{path}?why=新米", content=SHEET.encode(), headers=send)
        report = msgspec.convert(done.json(), GoodsReportAnswer)
        assert report.written and report.run
        nothing = await live.client.post(path, content=SHEET.encode(), headers=send)
        assert (nothing.status_code, nothing.json()["code"]) == (400, "invalid")

        line = {"product": "rice", "sku": "rice-1", "price": 700, "stock": 10_000, "seen": 12_500}
        body = {"rows": [line], "why": "corrected"}
        changed = await live.call("POST", "/goods", body, token=boss)
        assert changed.json()["counts"]["changed"] == 1, changed.text
        again = await live.call("POST", "/goods", body, token=boss)
        assert (again.json()["written"], again.json()["counts"]["same"]) == (False, 1)

        first = msgspec.convert((await live.call("GET", "/goods?limit=1", token=boss)).json(), GoodsPage)
        rest = msgspec.convert((await live.call("GET", f"/goods?after={first.next}", token=boss)).json(), GoodsPage)
        rice = next(row for row in rest.items if row.sku == "rice-1")
        assert (rice.grams, rice.stock, rice.price, rice.version) == (500, 10_000, 700, 2)
        changes = msgspec.convert(
            (await live.call("GET", f"/goods/changes?sku={rice.id}", token=boss)).json(), ChangePage
        )
        assert {(one.what, one.before, one.after, one.why) for one in changes.items} == {
            ("price", None, 650, "新米"),
            ("list_price", None, 650, "新米"),
            ("stock", 0, 25, "新米"),
            ("price", 650, 700, "corrected"),
            ("list_price", 650, 700, "corrected"),
            ("stock", 25, 20, "corrected"),
        }
        assert all(one.login and one.title == "大米" for one in changes.items)
        runs = msgspec.convert((await live.call("GET", "/goods/imports", token=boss)).json(), GoodsRunPage)
        assert [run.why for run in runs.items] == ["corrected", "新米"]
        sheet = await live.call("GET", "/goods/export", token=boss)
        assert sheet.headers["content-type"] == "text/csv; charset=utf-8"
        back = await live.client.post(f"{path}?why=back", content=sheet.content, headers=send)
        assert back.json()["counts"]["same"] == len(back.json()["rows"]) and not back.json()["written"]


async def test_every_way_to_change_a_price_or_a_count_by_hand_leaves_a_trace(tmp_path: Path) -> None:
    async with rig(tmp_path) as live:
        host, boss, room = live.shop.host_token, live.shop.merchant_token, live.shop.room
        made = {"title": "茶", "price": 900, "stock": 3}
        card = (await live.call("POST", f"/rooms/{room}/products", made, token=host)).json()
        sku, product = card["sku"], card["product"]
        grown = await live.call(
            "POST", f"/products/{product}/variants", {"name": "b", "price": 5, "stock": 2}, token=boss
        )
        other = grown.json()["variants"][1]["sku"]
        until = live.clock() + 60_000
        for method, path, body in (
            ("PATCH", f"/rooms/{room}/products/{product}", {"price": 800, "why": "show"}),
            ("PUT", f"/skus/{sku}/price", {"price": 700, "why": "show"}),
            ("PUT", f"/skus/{sku}/offer", {"price": 600, "until_ms": until, "why": "show"}),
            ("POST", f"/rooms/{room}/stock/{sku}", {"quantity": -1, "reason": "show"}),
        ):
            token = host if "rooms" in path else boss
            assert (await live.call(method, path, body, token=token)).status_code == 200, path
        found = (await live.call("GET", "/goods/changes?limit=50", token=boss)).json()["items"]
        assert {(one["what"], one["before"], one["after"]) for one in found if one["why"] == "show"} == {
            ("stock", 3, 2),
            ("offer", None, 600),
            ("list_price", 800, 700),
            ("price", 800, 700),
            ("list_price", 900, 800),
            ("price", 900, 800),
        }
        assert {(one["sku"], one["after"]) for one in found if one["why"] == "first stock"} == {(sku, 3), (other, 2)}


async def test_only_the_merchant_s_own_people_of_that_role_see_or_change_goods_by_the_sheet(tmp_path: Path) -> None:
    async with rig(tmp_path) as live:
        guest = (await live.guest())["token"]
        for method, path in (
            ("GET", "/goods"),
            ("GET", "/goods/export"),
            ("POST", "/goods/import"),
            ("POST", "/goods"),
            ("GET", "/goods/imports"),
            ("GET", "/goods/changes"),
        ):
            assert (await live.call(method, path, token=guest)).status_code == 403
            assert (await live.call(method, path, token=live.shop.host_token)).status_code == 403
            assert (await live.call(method, path)).status_code == 401
        theirs = (await live.call("GET", "/goods", token=live.other.merchant_token)).json()["items"]
        mine = (await live.call("GET", "/goods", token=live.shop.merchant_token)).json()["items"]
        assert not {row["id"] for row in mine} & {row["id"] for row in theirs}
