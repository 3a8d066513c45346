"""Advice over HTTP: a customer asks in a room, the advisor answers with a product, the order is the advisor's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.gateway.rig import Rig, rig


async def done(live: Rig, method: str, path: str, body: Any = None, *, token: str | None = None, **more: Any) -> Any:
    answer = await live.call(method, path, body, token=token or live.shop.merchant_token, **more)
    assert answer.status_code < 300, answer.text
    return answer.json()


async def test_a_question_of_the_room_is_answered_and_its_order_credited_to_the_advisor(tmp_path: Path) -> None:
    async with rig(tmp_path) as live:
        catalogue, tokens = live.application.services.catalogue, live.application.services.tokens
        staff = await catalogue.create_staff(live.shop.merchant, "advisor", "a long password", "guide", "顾问小陈")
        guide = tokens.mint(person=staff.id, name=staff.name, role="guide", merchant=live.shop.merchant, room=None)[0]
        assert staff.id in {one["staff"] for one in (await done(live, "GET", "/advisors"))["accounts"]}
        body = {"skills": ["冲泡"], "hours": [{"weekday": day, "since": 0, "until": 1440} for day in range(7)]}
        await done(live, "PUT", f"/advisors/{staff.id}", body)
        viewer = await live.guest(device="d" * 20)
        assert (await done(live, "GET", "/me/questions", token=viewer["token"]))["skills"] == ["冲泡"]
        asked = {"body": "几度水？", "skill": "冲泡", "room": live.shop.room}
        question = await done(live, "POST", "/questions", asked, token=viewer["token"])
        assert (question["state"], question["advisor"]) == ("given", "顾问小陈")
        [mine] = (await done(live, "GET", "/questions", token=guide))["items"]
        assert mine["mine"] and mine["why"][0]["word"] == "chosen"
        sku = str(live.shop.products[0]["sku"])
        path = f"/questions/{question['question']}"
        foreign = await live.call("POST", f"{path}/answers", {"body": "x"}, token=live.other.merchant_token)
        assert foreign.status_code == 404
        await done(live, "POST", f"{path}/answers", {"body": "80 度", "skus": [sku]}, token=guide)
        [told] = (await done(live, "GET", "/me/questions", token=viewer["token"]))["items"]
        [goods] = told["answers"][0]["goods"]
        assert goods["url"] == f"http://shop.test/r/{live.shop.room}?s={goods['token']}"
        await live.guest(device="d" * 20, scene=goods["token"])
        lines = {"room": live.shop.room, "lines": [{"sku": sku, "quantity": 1, "version": 1}]}
        address = {"method": "express", "name": "张三", "phone": "13800138000", "address": "茶山路 1 号"}
        order = await done(
            live, "POST", "/orders", lines | {"delivery": address}, token=viewer["token"], key="order-0001"
        )
        number = order["order"]["order"]
        why = await done(live, "GET", f"/orders/{number}/explanation")
        assert why["decision"]["winner"]["issuer"] == staff.id
        await done(live, "POST", f"{path}/accept", {"public": True}, token=viewer["token"])
        [kept] = await done(live, "GET", "/answers", token=(await live.guest())["token"])
        assert kept["body"] == "几度水？" and "观众" not in str(kept)
        held = (await done(live, "GET", "/me/data", token=viewer["token"]))["held"]
        assert held["question"][0]["body"] == "几度水？" and held["answer"][0]["body"] == "80 度"
        await done(live, "PUT", f"/people/{viewer['person']}/advisor", {"staff": staff.id})
        assert (await done(live, "GET", f"/people/{viewer['person']}/advisor"))["staff"] == staff.id
        other = await live.call("GET", f"/people/{viewer['person']}/advisor", token=live.other.merchant_token)
        assert other.status_code == 404
