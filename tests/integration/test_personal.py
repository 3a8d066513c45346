"""What a person was told waits for them: over a crash, and on another server."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.harness import LiveServer, live_server
from tests.integration.test_nodes import watch
from tests.postgres import Cluster
from tests.redis_server import redis_server

NUMBERS = itertools.count()
"""Ids of commands: one that is known is answered and not run again."""


def commands(server: LiveServer, token: str, *given: dict[str, Any]) -> list[dict[str, Any]]:
    """Run hub commands without a connection; all must succeed."""
    body = [{"id": next(NUMBERS), **command} for command in given]
    answer = server.call("POST", f"/rooms/{server.room}/commands", body, token=token)
    assert answer.status_code == 200, answer.text
    answers: list[dict[str, Any]] = answer.json()
    assert all(one.get("ok") for one in answers), answers
    return answers


def buy(server: LiveServer, token: str, key: str) -> str:
    """Order something from the shelf, and pay; the order."""
    card = server.call("GET", f"/rooms/{server.room}/products").json()[0]
    lines = [{"sku": card["sku"], "quantity": 1, "version": card["version"]}]
    (made,) = commands(server, token, {"cmd": "order.create", "lines": lines, "key": key})
    order: str = made["order"]["order"]
    commands(server, token, {"cmd": "order.pay", "order": order, "key": key})
    return order


async def test_a_buyer_who_was_away_is_told_after_a_kill_and_until_they_acknowledge(
    tmp_path: Path,
) -> None:
    with live_server(tmp_path) as server:
        token = server.guest()["token"]
        order = buy(server, token, "one")
        server.kill()
        server.start()
        async with watch(server, server.room, token) as back:
            told = [await back.event("order") for _ in range(2)]
            assert [(event["a"], event["order"]["order"], event["order"]["status"]) for event in told] == [
                (1, order, "pending"),
                (2, order, "paid"),
            ]
            await back.ask("ack", to=1)
        async with watch(server, server.room, token) as again:
            event = await again.event("order")
            assert (event["a"], event["order"]["status"]) == (2, "paid")
            # Numbers go on after a restart, so a client may drop what it has seen.
            buy(server, token, "two")
            assert [(await again.event("order"))["a"] for _ in range(2)] == [3, 4]


@contextmanager
def shop_of_two(cluster: Cluster, folder: Path, redis_url: str) -> Iterator[tuple[LiveServer, LiveServer]]:
    """Two servers on one database and one Redis."""
    environment = {"SIYU_DATABASE_URL": cluster.address(cluster.database()), "SIYU_REDIS_URL": redis_url}
    one = LiveServer(folder / "one", environment=environment)
    shutil.copytree(one.data, folder / "two")
    two = LiveServer(folder / "two", environment=environment)
    try:
        one.start()
        two.start()
        yield one, two
    finally:
        for server in (one, two):
            if server.process is not None and server.process.poll() is None:
                server.kill()
            print(server.log()[-6_000:])


@pytest.mark.soak
async def test_a_buyer_is_told_on_whichever_server_they_are(cluster: Cluster, tmp_path: Path) -> None:
    with redis_server(tmp_path) as redis, shop_of_two(cluster, tmp_path, redis.url) as (one, two):
        guest = one.guest()
        async with watch(two, one.room, guest["token"]) as here:
            order = buy(one, guest["token"], "one")
            told = [await here.event("order") for _ in range(2)]
            assert [(event["a"], event["order"]["order"]) for event in told] == [(1, order), (2, order)]
            # Without its bus as well: what must arrive comes from the store.
            redis.kill()
            buy(one, guest["token"], "two")
            assert [(await here.event("order"))["a"] for _ in range(2)] == [3, 4]
            await here.ask("ack", to=3)
        one.kill()
        async with watch(two, one.room, guest["token"]) as back:
            assert (await back.event("order"))["a"] == 4


@pytest.mark.soak
async def test_what_the_shop_tells_a_room_reaches_each_server_once_with_and_without_its_bus(
    cluster: Cluster, tmp_path: Path
) -> None:
    with redis_server(tmp_path) as redis, shop_of_two(cluster, tmp_path, redis.url) as (one, two):
        host = one.seed["host_token"]
        async with watch(one, one.room, one.guest()["token"]) as ann, watch(two, one.room, one.guest()["token"]) as bob:
            drop = {"cmd": "drop.start", "title": "t", "reason": "r", "amount": 100, "total": 5}
            commands(one, host, drop)
            for viewer in (ann, bob):
                assert (await viewer.event("drop"))["drop"]["left"] == 5
            assert (ann.epoch, ann.offset) == (bob.epoch, bob.offset)
            redis.kill()
            commands(one, host, drop | {"title": "u"})
            for viewer in (ann, bob):
                assert (await viewer.event("drop"))["drop"]["title"] == "u"
            for viewer in (ann, bob):
                assert [event["drop"]["title"] for event in viewer.seen if event["t"] == "drop"] == ["t", "u"]
