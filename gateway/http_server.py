"""uvicorn's server as ours: its signals and its life belong to `gateway/server.py`."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator
from typing import Any, cast

import uvicorn

from gateway.gate import DoorProtocol, Gate
from gateway.tls_door import TlsListener


class HttpServer(uvicorn.Server):
    """uvicorn's server without its signal handlers, with TLS of our own, and with a moment to wait for."""

    def __init__(self, config: uvicorn.Config, gate: Gate, context: ssl.SSLContext | None) -> None:
        super().__init__(config)
        self._up = asyncio.Event()
        self._gate = gate
        self._context = context

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        context = self._context
        await super().startup(sockets if context is None else [])
        if context is not None:
            # Closed and waited for by uvicorn as one of its own servers.
            self.servers += cast(Any, [TlsListener(self._gate, context, each, self._door) for each in sockets or ()])
        self._up.set()

    def _door(self) -> DoorProtocol:
        made = cast(Any, self.config.http_protocol_class)(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return cast(DoorProtocol, made)

    async def came_up(self, task: asyncio.Task[None]) -> None:
        """Wait until it listens, or until ``task`` (its ``serve``) ended without."""
        up = asyncio.ensure_future(self._up.wait())
        await asyncio.wait([up, task], return_when=asyncio.FIRST_COMPLETED)
        up.cancel()
