"""Switches, licence, hosts, kept chat, returns, complaints and takedowns over the API, and who may."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.access import ROOM_KEY
from gateway.errors import Problem
from gateway.members import member_of
from stream.origin import Origin
from tests.gateway.rig import Rig, rig
from tests.gateway.test_webhooks import order


async def good(live: Rig, method: str, path: str, body: Any = None, **more: Any) -> Any:
    """The answer of a request that must succeed."""
    answer = await live.call(method, path, body, **more)
    assert answer.status_code in (200, 201), answer.text
    return answer.json()


async def test_chat_is_kept_where_the_shop_wants_it_and_erasing_a_person_leaves_it(tmp_path: Path) -> None:
    async with rig(tmp_path) as live:
        boss, room = live.shop.merchant_token, live.shop.room
        guest = await live.guest()

        async def say(words: str) -> None:
            services = live.application.services
            member = member_of(services.tokens.read(guest["token"]))
            await services.hub.order(room, member, "chat.send", {"text": words})

        await say("before")
        await good(live, "PUT", "/policy", {"keep_chat_days": 1_096}, token=boss)
        await say("好茶")
        kept = (await good(live, "GET", f"/chat-lines?room={room}", token=boss))["items"]
        assert [(one["text"], one["person"]) for one in kept] == [("好茶", guest["person"])]
        gone = await live.call("POST", f"/people/{guest['person']}/erase", {"reason": "asked"}, token=boss)
        assert gone.status_code == 200, gone.text
        after = (await good(live, "GET", f"/chat-lines?person={guest['person']}", token=boss))["items"]
        assert after == kept
        bad = await live.call("PUT", "/policy", {"keep_chat_days": 30}, token=boss)
        assert (bad.status_code, bad.json()["code"]) == (400, "invalid")


async def test_erasing_a_buyer_leaves_the_transaction_and_its_books(tmp_path: Path) -> None:
    async with rig(tmp_path) as live:
        boss = live.shop.merchant_token
        view = await order(live)
        path = f"/orders/{view['order']}"
        await good(live, "POST", f"{path}/ship", {"carrier": "a", "number": "b"}, token=boss)
        await good(live, "POST", f"{path}/done", token=view["token"])
        live.clock.ahead_ms += 1
        before = await good(live, "GET", "/books", token=boss)
        person = (await good(live, "GET", path, token=boss))["order"]["person"]
        erased = await good(live, "POST", f"/people/{person}/erase", {"reason": "asked"}, token=boss)
        assert erased["kept"]["orders"] == 1
        assert (await good(live, "GET", path, token=boss))["order"]["amount"] == view["amount"]
        assert (await good(live, "GET", "/books", token=boss))["accounts"] == before["accounts"]


async def test_nobody_goes_live_without_a_host_on_record_where_the_shop_wants_one(tmp_path: Path) -> None:
    async with rig(tmp_path) as live:
        boss, room = live.shop.merchant_token, live.shop.room
        doors = live.application.streaming._doors
        origin = Origin("rtmp", ROOM_KEY, "", "")
        await doors.authorize_host(room, origin)
        await good(live, "PUT", "/policy", {"host_identity_required": True}, token=boss)
        with pytest.raises(Problem) as refused:
            await doors.authorize_host(room, origin)
        assert (refused.value.status, refused.value.code) == (403, "host_identity")
        body = {"room": room, "name": "李小雨", "number": "310101199003071234"}
        [record] = await good(live, "POST", "/hosts", body, token=boss)
        await doors.authorize_host(room, origin)
        clear = await good(live, "POST", f"/hosts/{record['id']}/reveal", {"reason": "police"}, token=boss)
        assert clear["number"] == body["number"]


async def test_a_buyer_complains_and_the_shop_answers(tmp_path: Path) -> None:
    async with rig(tmp_path) as live:
        boss = live.shop.merchant_token
        view = await order(live)
        told = await good(live, "POST", "/complaints", {"text": "碎了", "order": view["order"]}, token=view["token"])
        await good(live, "POST", f"/complaints/{told['id']}/answer", {"answer": "补发"}, token=boss)
        assert (await good(live, "GET", "/complaints", token=view["token"]))["items"][0]["answer"] == "补发"
        stranger = (await live.guest())["token"]
        assert (await good(live, "GET", "/complaints", token=stranger))["items"] == []


async def test_anyone_reads_licence_and_notice_and_only_the_merchant_writes(tmp_path: Path) -> None:
    async with rig(tmp_path) as live:
        boss, room = live.shop.merchant_token, live.shop.room
        licence = {
            "company": "思语科技",
            "number": "91310000MA1K4BX92Q",
            "permits": [{"name": "食品", "number": "JY1"}],
        }
        await good(live, "PUT", "/licence", licence, token=boss)
        assert (await good(live, "GET", f"/rooms/{room}/licence"))["licence"]["permits"] == licence["permits"]
        shelf = await good(live, "GET", f"/rooms/{room}/products")
        product, sku = shelf[0]["product"], shelf[0]["sku"]
        await good(live, "PUT", f"/products/{product}/returns", {"returns": "perishable"}, token=boss)
        await good(live, "PUT", f"/skus/{sku}/list-basis", {"list_basis": "吊牌价"}, token=boss)
        notice = await good(live, "GET", f"/products/{product}/notice")
        assert (notice["returns"], notice["skus"][0]["list_basis"]) == ("perishable", "吊牌价")
        down = await good(live, "POST", "/takedowns", {"kind": "product", "ref": product, "reason": "fake"}, token=boss)
        assert (await live.call("GET", f"/products/{product}/notice")).status_code == 404
        await good(live, "POST", f"/takedowns/{down['id']}/lift", token=boss)
        guest = (await live.guest())["token"]
        for method, path in (
            ("GET", "/policy"), ("PUT", "/policy"), ("PUT", "/licence"), ("POST", "/hosts"), ("GET", "/hosts"),
            ("GET", "/chat-lines"), ("POST", "/takedowns"), ("GET", "/takedowns"),
            ("POST", "/complaints/x/answer"), ("POST", "/hosts/x/reveal"), ("PUT", f"/products/{product}/returns"),
        ):  # fmt: skip
            for token in (guest, live.shop.host_token):
                assert (await live.call(method, path, {}, token=token)).status_code == 403, path
