"""The content library over HTTP: written, published, shared with a token, read at /c/ID by anybody."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from gateway.poster import code_png
from tests.gateway.rig import Rig, rig

pytestmark = pytest.mark.asyncio(loop_scope="module")

PIECE = {"kind": "article", "title": "如何冲泡龙井", "category": "冲泡", "body": "水温 80 度。"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def live(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    async with rig(tmp_path_factory.mktemp("content")) as running:
        yield running


async def done(live: Rig, method: str, path: str, body: Any = None, *, token: str | None = None, **more: Any) -> Any:
    answer = await live.call(method, path, body, token=token or live.shop.merchant_token, **more)
    assert answer.status_code < 300, answer.text
    return answer.json()


async def piece(live: Rig, **fields: Any) -> str:
    made = await done(live, "POST", "/contents", {**PIECE, "room": live.shop.room, **fields})
    await done(live, "POST", f"/contents/{made['content']}/publish", {"version": 1})
    return str(made["content"])


async def test_a_shared_piece_brings_a_reader_who_buys_and_the_library_says_so(live: Rig) -> None:
    sku = str(live.shop.products[0]["sku"])
    content = await piece(live, skus=[sku])
    link = await done(live, "POST", f"/contents/{content}/links", {"channel": "朋友圈"})
    assert link["url"] == f"http://shop.test/c/{content}?s={link['token']}"
    page = await live.client.get(f"/c/{content}")
    assert page.status_code == 200 and "content.js" in page.text
    opened = await live.call("POST", f"/contents/{content}/open", {"device": "d" * 20, "scene": link["token"]})
    read = opened.json()
    assert (opened.status_code, read["content"]["title"], read["may_share"]) == (200, PIECE["title"], True)
    # The same device in the room is the same person, and may buy with the token of the page, too.
    assert (await live.guest(device="d" * 20))["person"] == read["person"]
    lines = {"room": live.shop.room, "lines": [{"sku": sku, "quantity": 1, "version": 1}]}
    address = {"method": "express", "name": "张三", "phone": "13800138000", "address": "茶山路 1 号"}
    order = await done(live, "POST", "/orders", lines | {"delivery": address}, token=read["token"], key="order-0001")
    await done(live, "POST", f"/orders/{order['order']['order']}/pay", token=read["token"], key="payment-01")
    row = (await done(live, "GET", "/contents"))["items"][0]
    amount = order["order"]["amount"]
    assert row["figures"] == {"shares": 1, "reads": 1, "readers": 1, "orders": 1, "amount": amount}
    child = await done(live, "POST", f"/contents/{content}/links", {"parent": link["token"]}, token=read["token"])
    links = await done(live, "GET", "/links")
    assert {one["token"]: one["depth"] for one in links if one["content"] == content}[child["token"]] == 1
    export = await done(live, "GET", "/me/data", token=read["token"])
    assert content in {touch["content"] for touch in export["touches"]}


async def test_the_code_and_poster_of_a_shared_piece_lead_to_its_page(live: Rig) -> None:
    content = await piece(live, cover="/static/img/tea.svg")
    token = (await done(live, "POST", f"/contents/{content}/links", {}))["token"]
    boss = live.shop.merchant_token
    png = await live.call("GET", f"/links/{token}/code?format=png&scale=4", token=boss)
    assert png.content == code_png(f"http://shop.test/c/{content}?s={token}", 4)
    poster = await live.call("GET", f"/links/{token}/poster", token=boss)
    assert poster.status_code == 200 and PIECE["title"] in poster.text and "扫码阅读" in poster.text


async def test_drafts_and_knowledge_are_not_for_readers_nor_drafts_for_guides(live: Rig) -> None:
    draft = (await done(live, "POST", "/contents", PIECE))["content"]
    known = await piece(live, audience="staff", sharers="nobody", title="内部话术")
    for content in (draft, known, "nosuch"):
        refused = await live.call("POST", f"/contents/{content}/open", {})
        assert (refused.status_code, refused.json()["code"]) == (404, "not_found")
    tokens = live.application.services.tokens
    guide = tokens.mint(person="guide-1", name="导购", role="guide", merchant=live.shop.merchant, room=None)[0]
    listed = {one["content"] for one in (await done(live, "GET", "/contents", token=guide))["items"]}
    assert known in listed and draft not in listed
    assert (await done(live, "GET", f"/contents/{known}", token=guide))["title"] == "内部话术"
    assert (await live.call("GET", f"/contents/{draft}", token=guide)).status_code == 404
    assert (await live.call("POST", "/contents", PIECE, token=guide)).status_code == 403
    assert (await live.call("GET", f"/contents/{known}", token=live.other.merchant_token)).status_code == 404
    assert (await live.call("POST", f"/contents/{known}/links", {}, token=guide)).json()["code"] == "not_for_you"


async def test_a_reader_without_the_right_to_share_is_told_so(live: Rig) -> None:
    content = await piece(live, sharers="distributors")
    read = (await live.call("POST", f"/contents/{content}/open", {})).json()
    assert read["may_share"] is False
    refused = await live.call("POST", f"/contents/{content}/links", {}, token=read["token"])
    assert (refused.status_code, refused.json()["code"]) == (422, "not_for_you")


async def test_a_recorded_show_must_be_there(live: Rig) -> None:
    body = {**PIECE, "kind": "video", "room": live.shop.room, "show": "nosuch"}
    refused = await live.call("POST", "/contents", body, token=live.shop.merchant_token)
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid")
