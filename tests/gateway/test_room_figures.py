"""What a shop's own tools read of a room, and what they tell it and are told of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.room_figures import SECONDS_KEPT
from gateway.routes_figures import EVENT_BYTES_MAX
from tests.gateway.rig import Rig, rig
from tests.gateway.test_media_events import told, until
from tests.gateway.test_review import say
from tests.gateway.test_webhooks import Receiver, hook


@pytest.fixture
async def live(tmp_path: Path) -> AsyncIterator[Rig]:
    async with rig(tmp_path) as running:
        yield running


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    server = Receiver()
    await server.start()
    yield server
    await server.stop()


async def polls(live: Rig, token: str) -> dict[str, Any]:
    """The first answer to a client that polls: from then on it is in the room."""
    answer = await live.client.get(f"/poll/{live.shop.room}", params={"token": token})
    assert answer.status_code == 200, answer.text
    first: dict[str, Any] = answer.json()
    return first


async def figures(live: Rig) -> dict[str, Any]:
    answer = await live.call("GET", f"/rooms/{live.shop.room}/figures", token=live.shop.host_token)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_a_room_is_told_by_role_by_way_by_second_and_by_word(live: Rig) -> None:
    room_figures = live.application.services.room_figures
    await room_figures.close()
    guests = [await live.guest() for _ in range(3)]
    await polls(live, guests[0]["token"])
    await polls(live, guests[1]["token"])
    await polls(live, live.shop.host_token)
    room_figures.look()
    for guest in guests:
        assert (await say(live, guest["token"], "连衣裙有黑色吗"))["ok"]
    room_figures.look()
    found = await figures(live)
    assert (found["viewers"], found["connections"]) == (2, 3)
    assert found["roles"] == {"viewer": 2, "host": 1} and found["ways"] == {"poll": 3}
    assert {word["count"] for word in found["words"]} == {3}
    assert [second["lines"] for second in found["seconds"]] == [0, 3]
    assert found["chat_lines"] == 3 and found["dropped"] == {"P0": 0, "P1": 0, "P2": 0, "P3": 0}
    for _ in range(SECONDS_KEPT + 5):
        room_figures.look()
    assert len(room_figures.of(live.shop.room)) == SECONDS_KEPT
    assert room_figures.of(live.other.room) == []


async def test_figures_are_for_the_rooms_own_staff(live: Rig) -> None:
    path = f"/rooms/{live.shop.room}/figures"
    viewer = (await live.guest())["token"]
    assert (await live.call("GET", path, token=viewer)).status_code == 403
    assert (await live.call("GET", path, token=live.other.host_token)).status_code in {403, 404}
    assert (await live.call("GET", path)).status_code == 401


async def test_an_event_of_the_shops_own_reaches_the_room_and_its_history(live: Rig) -> None:
    path = f"/rooms/{live.shop.room}/events"
    first = await polls(live, (await live.guest())["token"])
    event = {"name": "fireworks", "data": {"colour": "red"}, "tier": "P0"}
    assert (await live.call("POST", path, event, token=live.shop.host_token)).status_code == 200
    fleeting = {"name": "gust", "data": {}, "keep": False}
    assert (await live.call("POST", path, fleeting, token=live.shop.merchant_token)).status_code == 200
    query = {"token": live.shop.host_token, "poll": first["poll"], "n": str(first["n"])}
    heard: list[dict[str, Any]] = []
    async with asyncio.timeout(60):
        while len(heard) < 2:
            answer = (await live.client.get(f"/poll/{live.shop.room}", params=query)).json()
            query |= {"poll": answer["poll"], "n": str(answer["n"])}
            for item in answer["items"]:
                heard += [one for one in [*item.get("history", []), item] if one["t"] == "custom"]
            if not heard:
                continue
            later = await polls(live, (await live.guest())["token"])
            kept = [one for one in later["items"][0]["history"] if one["t"] == "custom"]
            if kept:
                break
    assert [(one["name"], one["data"]) for one in kept] == [("fireworks", {"colour": "red"})]
    assert kept[0]["o"] > 0


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"name": "Fire works", "data": {}}, 400),
        ({"name": "x", "data": {}, "tier": "P9"}, 400),
        ({"name": "x", "data": {"text": "长" * EVENT_BYTES_MAX}}, 413),
    ],
)
async def test_an_event_out_of_bounds_is_refused(live: Rig, body: dict[str, Any], status: int) -> None:
    answer = await live.call("POST", f"/rooms/{live.shop.room}/events", body, token=live.shop.host_token)
    assert answer.status_code == status, answer.text
    viewer = (await live.guest())["token"]
    assert (await live.call("POST", f"/rooms/{live.shop.room}/events", body, token=viewer)).status_code == 403


async def test_a_merchant_hears_when_a_room_fills_and_empties(live: Rig, receiver: Receiver) -> None:
    services = live.application.services
    await services.room_events.close()
    await hook(live, receiver.url, ["room.opened", "room.visited", "room.empty"])
    services.room_events.look()
    for _ in range(2):
        await polls(live, (await live.guest())["token"])
    await polls(live, live.shop.host_token)
    services.room_events.look()
    services.room_events.look()
    live.clock.ahead_ms += 120_000
    await until(lambda: not services.hub.stats(live.shop.room).connections)
    services.room_events.look()
    await until(lambda: told(receiver, "room.empty"))
    assert [one["viewers"] for one in told(receiver, "room.opened")] == [2]
    visited = [(one["viewers"], one["joined"], one["left"]) for one in told(receiver, "room.visited")]
    assert visited == [(2, 2, 0), (0, 0, 2)]
    assert all(body["room"] == live.shop.room for _, body, _ in receiver.got)
