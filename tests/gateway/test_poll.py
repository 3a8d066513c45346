"""A room by plain requests: /poll/ROOM over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx

from gateway.hub_contract import EVENTS
from tests.gateway.rig import Rig, rig
from tests.gateway.test_hub_contract import conforms


async def poll(rig: Rig, room: str, **query: Any) -> httpx.Response:
    return await rig.client.get(f"/poll/{room}", params=query)


async def test_a_room_is_read_by_asking_and_commands_go_beside_it(tmp_path: Path) -> None:
    async with rig(tmp_path) as shop:
        guest = await shop.guest()
        room, token = shop.shop.room, guest["token"]
        first = await poll(shop, room, token=token)
        assert first.status_code == 200 and first.headers["cache-control"] == "no-store"
        body = first.json()
        conforms(body["items"][0], EVENTS["room"])
        assert body["items"][0]["you"]["person"] == guest["person"]
        said = [{"id": 1, "cmd": "chat.send", "text": "你好"}]
        assert (await shop.call("POST", f"/rooms/{room}/commands", said, token=token)).json()[0]["ok"]
        items: list[dict[str, Any]] = []
        while not any(item["t"] == "chat" for item in items):
            answer = await poll(shop, room, token=token, poll=body["poll"], n=body["n"])
            body = answer.json()
            items += body["items"]
        assert next(item for item in items if item["t"] == "chat")["text"] == "你好"
        # The token may be in the header, too.
        more = await shop.client.get(f"/poll/{room}", headers={"authorization": f"Bearer {token}"})
        assert more.json()["items"][0]["t"] == "room"


async def test_who_may_not_is_told_why_and_when_to_come_back(tmp_path: Path) -> None:
    async with rig(tmp_path) as shop:
        guest = await shop.guest()
        room, token = shop.shop.room, guest["token"]
        for query, status, code in (
            ({"token": "x"}, 401, "token"),
            ({}, 401, "token"),
            ({"token": token, "n": "-1"}, 400, "invalid"),
            ({"token": token, "n": "٣"}, 400, "invalid"),
        ):
            refused = await poll(shop, room, **query)
            assert (refused.status_code, refused.json()["code"]) == (status, code)
        assert (await poll(shop, "nowhere", token=token)).status_code == 404
        shop.application.services.hub.ban(room, guest["person"], 2**53 - 1)
        assert (await poll(shop, room, token=token)).json()["code"] == "banned"
        await shop.application.services.hub.drain()
        other = await poll(shop, room, token=token)
        assert other.status_code == 503 and int(other.headers["retry-after"]) >= 0


async def test_it_is_in_both_contracts(tmp_path: Path) -> None:
    async with rig(tmp_path) as shop:
        assert "get" in (await shop.client.get("/openapi.json")).json()["paths"]["/poll/{room}"]
        channels = (await shop.client.get("/asyncapi.json")).json()["channels"]
        assert channels["poll"]["address"] == "/poll/{room}"
