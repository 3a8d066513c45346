"""What commerce tells, as it reaches the hub."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from gateway.bridge import RoomState
from tests.gateway.rig import rig


async def test_a_room_is_told_what_is_left_on_its_shelf_after_an_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with rig(tmp_path) as live:
        services, room = live.application.services, live.shop.room
        told: list[dict[str, Any]] = []
        tell = services.hub.publish_latest

        def listen(to: str, key: str, event: Any, **more: Any) -> None:
            told.append(dict(event))
            tell(to, key, event, **more)

        monkeypatch.setattr(services.hub, "publish_latest", listen)
        token = (await live.guest())["token"]
        sku = live.shop.products[3]["sku"]
        body = {"room": room, "lines": [{"sku": sku, "quantity": 2}]}
        assert (await live.call("POST", "/orders", body, token=token, key="o")).status_code == 201
        async with asyncio.timeout(60):
            while not [event for event in told if event["t"] == "left"]:
                await asyncio.sleep(0.02)
        assert told[-1]["left"][sku] == 118


async def test_what_commerce_tells_after_the_close_is_let_go(tmp_path: Path) -> None:
    async with rig(tmp_path) as live:
        services, heard = live.application.services, list[Any]()
        services.shop.listen(heard.append)
        drop = {"title": "立减", "reason": "上新", "amount": 100, "total": 5}
        path = f"/rooms/{live.shop.room}/drops"
        assert (await live.call("POST", path, drop, token=live.shop.merchant_token)).status_code == 201
        async with asyncio.timeout(60):
            while not heard:
                await asyncio.sleep(0.02)
        await live.application.bridge.close()
        await services.hub.close()
        for event in heard:
            live.application.bridge.hear(event)


def test_a_moments_media_time_is_never_before_that_of_an_earlier_moment() -> None:
    state = RoomState()
    assert state.moment(1_000, 14_294) == 14_294
    # The host sends unevenly: its newest picture is up to a few of them late.
    assert state.moment(1_100, 14_292) == 14_294
    assert state.moment(1_200, 14_390) == 14_390
    # An event that is told late was before.
    assert state.moment(1_150, 14_340) == 14_340
    # A room whose clock began anew.
    assert state.moment(9_000, 120) == 120
