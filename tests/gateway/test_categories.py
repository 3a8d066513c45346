"""Categories of products over the API: made with goods, changed, listed, and told to who looks at the shelf."""

from __future__ import annotations

from pathlib import Path

import msgspec

from gateway.schemas_goods import ChangePage, ProductPage
from tests.gateway.rig import rig


async def test_goods_are_made_changed_and_found_by_category_and_their_room_is_told(tmp_path: Path) -> None:
    async with rig(tmp_path) as live:
        boss, room = live.shop.merchant_token, live.shop.room
        made = await live.call(
            "POST",
            f"/rooms/{room}/products",
            {"title": "茶", "price": 900, "stock": 3, "category": "茶叶"},
            token=live.shop.host_token,
        )
        card = made.json()
        assert card["category"] == "茶叶"
        path = f"/products/{card['product']}/category"
        body = {"category": "茶具", "why": "filed wrong"}
        assert (await live.call("PUT", path, body, token=boss)).json()["category"] == "茶具"
        page = msgspec.convert((await live.call("GET", "/products?category=茶具", token=boss)).json(), ProductPage)
        assert [one.product for one in page.items] == [card["product"]] and page.categories["茶具"] == 1
        none = (await live.call("GET", "/products?category=&limit=1", token=boss)).json()
        assert none["items"][0]["category"] == "" and none["next"] == none["items"][0]["product"]
        shelf = (await live.call("GET", f"/rooms/{room}/products")).json()
        assert [one["category"] for one in shelf if one["product"] == card["product"]] == ["茶具"]
        trail = msgspec.convert((await live.call("GET", "/goods/changes", token=boss)).json(), ChangePage)
        [told] = [one for one in trail.items if one.what == "category"]
        assert (told.before_text, told.after_text, told.why) == ("茶叶", "茶具", "filed wrong")
        line = {"product": card["product"], "sku": card["sku"], "category": ""}
        await live.call("POST", "/goods", {"rows": [line], "why": "none"}, token=boss)
        assert (await live.call("GET", "/products", token=boss)).json()["categories"].keys() == {""}
        for token, status in ((live.shop.host_token, 403), (live.other.merchant_token, 404)):
            assert (await live.call("PUT", path, body, token=token)).status_code == status
        long = await live.call("PUT", path, {"category": "长" * 41}, token=boss)
        assert (long.status_code, long.json()["code"]) == (400, "invalid")
