"""The book of nodes in a real Redis: claims, parts, and what becomes of those who are gone."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.nodes import LIFE_MS, Held, Part
from gateway.nodes_redis import RedisBook
from tests.redis_server import RedisServer, redis_server

A, B = "http://a:1", "http://b:1"


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(Path(tmp_path_factory.mktemp("book"))) as server:
        yield server


def held(*, sending: bool) -> Held:
    return Held(sending, True, 1, "avc1.64001f", "mp4a.40.2", 640, 360, 5_000, False, 6_000)


async def test_a_room_is_its_claimers_until_its_host_is_silent(redis: RedisServer) -> None:
    one, two = RedisBook(redis.url, "one"), RedisBook(redis.url, "two")
    assert await one.claim("r", A)
    await one.exchange(Part(A, {"r": held(sending=True)}))
    assert not await two.claim("r", B)
    assert await one.claim("r", A), "its own host may come again"
    page = await two.exchange(Part(B, {}))
    assert page.owners["r"] == "one"
    assert page.parts["one"] == Part(A, {"r": held(sending=True)})
    await one.exchange(Part(A, {"r": held(sending=False)}))
    assert await two.claim("r", B)
    assert (await one.exchange(Part(A, {}))).owners["r"] == "two"
    await one.release(["r"])
    assert (await one.exchange(Part(A, {}))).owners["r"] == "two", "only the owner gives a room back"
    await two.release(["r"])
    assert "r" not in (await one.exchange(Part(A, {}))).owners
    for book in (one, two):
        await book.close()


async def test_a_worker_beside_takes_a_room_over_as_the_node_decided(redis: RedisServer) -> None:
    one, beside = RedisBook(redis.url, "w0"), RedisBook(redis.url, "w1")
    assert await one.claim("w", A)
    await one.exchange(Part(A, {"w": held(sending=True)}))
    assert await beside.claim("w", A)
    for book in (one, beside):
        await book.close()


async def test_what_a_node_had_that_says_nothing_more_is_free_and_forgotten(redis: RedisServer) -> None:
    gone, here = RedisBook(redis.url, "gone"), RedisBook(redis.url, "here")
    assert await gone.claim("g", A)
    await gone.exchange(Part(A, {"g": held(sending=True)}))
    assert not await here.claim("g", B)
    await asyncio.sleep(LIFE_MS / 1000 + 0.2)
    assert await here.claim("g", B)
    page = await here.exchange(Part(B, {"g": held(sending=True)}))
    assert "gone" not in page.parts
    assert page.owners["g"] == "here"
    for book in (gone, here):
        await book.close()


async def test_a_server_that_is_away_is_told_as_such() -> None:
    book = RedisBook("redis://127.0.0.1:1/0", "alone")
    with pytest.raises(OSError, match="onnect"):
        await book.exchange(Part(A, {}))
    await book.close()
    with pytest.raises(ValueError, match="scheme"):
        RedisBook("nonsense", "alone")
