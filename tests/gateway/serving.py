"""Whole servers on ports of loopback inside the test's own process: no start of a process to wait for."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

from gateway.config import Settings
from gateway.server import Server, serve
from tests.gateway.rig import seeded_folder

START_TIMEOUT_S = 60.0


@contextlib.asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[Server]:
    """Serve ``settings`` until the block ends; RTMP and UDP take any port."""
    settings = replace(settings, rtmp_port=0, udp_port=0, drain_s=3.0)
    stop = asyncio.Event()
    up: asyncio.Future[Server] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(serve(settings, ready=up.set_result, stop=stop))
    try:
        task.add_done_callback(lambda _: up.done() or up.cancel())
        async with asyncio.timeout(START_TIMEOUT_S):
            yielded = await up
        yield yielded
    finally:
        stop.set()
        await task


async def shop_settings(folder: Path, **more: object) -> tuple[Settings, str]:
    """Settings of a server with a seeded shop in ``folder``, and its room."""
    shop = await seeded_folder(folder / "data")
    return Settings(data=folder / "data", http_port=0, **more), shop.room  # type: ignore[arg-type]
