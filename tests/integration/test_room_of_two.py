"""A room at two servers on one database: polls, mutes and figures, with deaths of a server and of the bus."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path
from typing import Any

import pytest

from tests.harness import LiveServer
from tests.integration.test_nodes import Watcher, become, metric, watch
from tests.integration.test_personal import NUMBERS, commands, shop_of_two
from tests.postgres import Cluster
from tests.redis_server import redis_server

LOOKED_S = 2.0
"""How long one looks for what must not come: personal events follow a join within some milliseconds."""


def code_of(server: LiveServer, room: str, token: str, cmd: str, **arguments: Any) -> str:
    """What a command comes to: empty when it was done, else the code of its refusal."""
    body = {"id": next(NUMBERS), "cmd": cmd, **arguments}
    answer = server.call("POST", f"/rooms/{room}/commands?client=code", body, token=token)
    assert answer.status_code == 200, answer.text
    (only,) = answer.json()
    return "" if only.get("ok") else str(only["error"]["code"])


async def refused(viewer: Watcher, text: str) -> str:
    """Say a line by an open connection; the code of its refusal, or nothing."""
    number = next(viewer._ids)
    await viewer.socket.send(json.dumps({"id": number, "cmd": "chat.send", "text": text}))
    answer = await viewer.until(lambda item: item.get("re") == number)
    return str(answer.get("error", {}).get("code", ""))


@pytest.mark.soak
async def test_a_poll_outlives_its_bus_and_its_servers_and_counts_each_once(cluster: Cluster, tmp_path: Path) -> None:
    with redis_server(tmp_path) as redis, shop_of_two(cluster, tmp_path, redis.url) as (one, two):
        host, room = one.seed["host_token"], one.room
        guests = [one.guest(device=f"d{number}")["token"] for number in range(6)]
        (begun,) = commands(one, host, {"cmd": "poll.start", "title": "?", "options": ["a", "b"], "seconds": 86_400})
        poll = begun["poll"]["poll"]

        def vote(server: LiveServer, guest: int, option: int) -> str:
            return code_of(server, room, guests[guest], "poll.vote", poll=poll, option=option)

        async with watch(two, room, guests[0]) as there:
            assert there.first["poll"]["state"] == "open"
            assert [vote(one, 0, 0), vote(two, 0, 1), vote(two, 1, 1)] == ["", "already", ""]
            redis.kill()
            await become(lambda: metric(one, "siyu_bus_up") == 0)
            assert [vote(one, 1, 0), vote(one, 2, 0), vote(two, 2, 1), vote(two, 3, 1)] == [
                "already",
                "",
                "already",
                "",
            ]
            commands(one, guests[2], {"cmd": "question.ask", "text": "能退吗?"})
        # One that had something to tell the others dies before the bus is back.
        one.kill()
        redis.start()
        await become(lambda: metric(two, "siyu_bus_up") == 1)
        assert [vote(two, 2, 1), vote(two, 4, 1)] == ["already", ""]
        async with watch(two, room, guests[1]) as bob:
            if bob.first.get("questions") != 1:
                # It is in the database alone: the other server finds it there.
                await bob.until(lambda item: item.get("t") == "questions" and item["n"] == 1)
        two.kill()
        one.start()
        two.start()
        assert [vote(one, guest, 0) for guest in range(5)] == ["already"] * 5
        assert vote(one, 5, 0) == ""
        async with watch(two, room, guests[0]) as ann:
            commands(one, host, {"cmd": "poll.end", "poll": poll})
            ended = await ann.until(lambda item: item.get("t") == "poll" and item["poll"]["state"] == "ended")
            assert ended["poll"]["votes"] == [3, 3]
        polls = two.call("GET", f"/rooms/{room}/polls", token=host).json()["items"]
        assert [(item["poll"], item["votes"]) for item in polls] == [(poll, [3, 3])]


@pytest.mark.soak
async def test_a_mute_follows_into_a_merge_at_the_other_server_too(cluster: Cluster, tmp_path: Path) -> None:
    with redis_server(tmp_path) as redis, shop_of_two(cluster, tmp_path, redis.url) as (one, two):
        host, boss, room = one.seed["host_token"], one.seed["merchant_token"], one.room
        elder, younger, third = [one.guest(device=device) for device in "abc"]
        async with watch(two, room, elder["token"]) as ann:
            commands(one, host, {"cmd": "mute", "person": younger["person"], "seconds": 3_600})
            assert await refused(ann, "你好") == ""
            body = {"other": younger["person"], "reason": "同一位顾客"}
            merged = one.call("POST", f"/people/{elder['person']}/merges", body, token=boss).json()
            assert merged["person"] == elder["person"]
            while await refused(ann, "还在吗") != "muted":
                await asyncio.sleep(0.6)
            one.call("POST", f"/merges/{merged['merge']}/undo", token=boss).raise_for_status()
            while await refused(ann, "回来了") != "":
                await asyncio.sleep(0.6)
            # A ban of the one closes the connection that the other has open.
            commands(one, host, {"cmd": "ban", "person": younger["person"]})
            body["reason"] = "还是同一位"
            one.call("POST", f"/people/{elder['person']}/merges", body, token=boss).raise_for_status()
            await asyncio.wait_for(ann.socket.wait_closed(), 60)
            assert ann.socket.close_code == 4403
        async with watch(one, room, third["token"]), watch(two, room, one.guest()["token"]):
            path = f"/rooms/{room}/figures"
            await become(lambda: len(one.call("GET", path, token=host).json()["servers"]) == 2)
            found = one.call("GET", path, token=host).json()
            assert (found["connections"], found["ways"]) == (2, {"websocket": 2})
            assert [server["connections"] for server in found["servers"]] == [1, 1]
            assert found["chat_lines"] >= 2


async def role_of(viewer: Watcher) -> str:
    """Who a viewer is told to be from now on."""
    return str((await viewer.until(lambda item: item.get("t") == "you"))["you"]["role"])


async def kinds(viewer: Watcher, for_s: float) -> set[str]:
    """The types of all that comes within a time."""
    found: set[str] = set()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(for_s):
            await viewer.until(lambda item: found.add(str(item.get("t"))))
    return found


@pytest.mark.soak
async def test_rights_and_personal_events_follow_to_the_other_server_with_the_bus_and_without_it(
    cluster: Cluster, tmp_path: Path
) -> None:
    with redis_server(tmp_path) as redis, shop_of_two(cluster, tmp_path, redis.url) as (one, two):
        host, boss, room = one.seed["host_token"], one.seed["merchant_token"], one.room
        elder, younger = [one.guest(device=device) for device in "ab"]
        async with watch(two, room, younger["token"]) as bob:
            commands(one, host, {"cmd": "moderator.add", "person": younger["person"]})
            assert await role_of(bob) == "moderator"
            assert code_of(two, room, younger["token"], "bans.list") == ""
            redis.kill()
            await become(lambda: metric(one, "siyu_bus_up") == 0 and metric(two, "siyu_bus_up") == 0)
            # Without the bus it is with the next second's look at the database.
            commands(one, host, {"cmd": "moderator.remove", "person": younger["person"]})
            assert await role_of(bob) == "viewer"
            assert code_of(two, room, younger["token"], "bans.list") == "forbidden"
            redis.start()
            await become(lambda: metric(two, "siyu_bus_up") == 1)
            body = {"other": younger["person"], "reason": "同一位顾客"}
            one.call("POST", f"/people/{elder['person']}/merges", body, token=boss).raise_for_status()
            drop = {"title": "券", "reason": "店庆", "amount": 100, "threshold": 0, "total": 5, "seconds": 600}
            (begun,) = commands(one, host, {"cmd": "drop.start", **drop})
            commands(one, elder["token"], {"cmd": "coupon.claim", "drop": begun["drop"]["drop"]})
            told = await bob.until(lambda item: item.get("t") == "coupon")
            await bob.socket.send(json.dumps({"id": next(bob._ids), "cmd": "ack", "to": told["a"]}))
            # An acknowledgement is written down before this is answered, or just after.
            assert await kinds(bob, LOOKED_S) <= {"likes", "viewers", "room", "None", "drop", "epoch"}
        # Nothing twice after it was acknowledged, at whichever server and under whichever id.
        for server, guest in ((one, elder), (two, younger)):
            async with watch(server, room, guest["token"]) as again:
                assert "coupon" not in await kinds(again, LOOKED_S)
