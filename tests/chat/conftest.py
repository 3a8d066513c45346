"""Run what touches sockets on uvloop, as the server does, and on asyncio's own loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import uvloop

from tests.chat.bus_rig import Bus
from tests.redis_server import RedisServer, redis_server


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Give each asynchronous test both loops, or those that its module names in LOOPS."""
    loops = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
    wanted = getattr(getattr(item, "module", None), "LOOPS", tuple(loops))
    return {name: loops[name] for name in wanted}


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path) as server:
        yield server


@pytest.fixture
async def bus(redis: RedisServer) -> AsyncIterator[Bus]:
    async with AsyncExitStack() as stack:
        yield Bus(redis, stack)
