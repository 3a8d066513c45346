"""uvicorn's server as ours: its signals and its life belong to `gateway/server.py`."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn


class HttpServer(uvicorn.Server):
    """uvicorn's server without its signal handlers, and with a moment to wait for."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._up = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._up.set()

    async def came_up(self, task: asyncio.Task[None]) -> None:
        """Wait until it listens, or until ``task`` (its ``serve``) ended without."""
        up = asyncio.ensure_future(self._up.wait())
        await asyncio.wait([up, task], return_when=asyncio.FIRST_COMPLETED)
        up.cancel()
