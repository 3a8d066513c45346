"""Where a viewer's connection waits until it is known whether it may play: only edges need to ask for that."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, cast

from gateway.auth import PlayPass
from gateway.doors import Admitted
from gateway.errors import Problem
from gateway.gate import refusal_of

logger = logging.getLogger("siyu.edge")

EARLY_BYTES_MAX: Final = 64 * 1024
"""What a viewer may send before the answer: its request's head again (WebSocket), then nothing."""


class Lobby(asyncio.Protocol):
    """One connection. ``decide`` gives why it is refused; ``enter`` makes the protocol that takes it over."""

    def __init__(
        self,
        decide: Callable[[], Awaitable[Admitted]],
        enter: Callable[[PlayPass | None], asyncio.Protocol],
        *,
        on_lost: Callable[[], None],
        waiting: set[Lobby],
    ) -> None:
        self._decide = decide
        self._enter = enter
        self._on_lost = on_lost
        self._waiting = waiting
        self._early = b""
        self._transport: asyncio.Transport | None = None
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to ask."""
        self._transport = cast(asyncio.Transport, transport)
        self._waiting.add(self)
        self._task = asyncio.get_running_loop().create_task(self._wait())

    def data_received(self, data: bytes) -> None:
        """Keep what is for whoever takes over."""
        self._early += data
        if len(self._early) > EARLY_BYTES_MAX and self._transport is not None:
            self._transport.abort()

    def eof_received(self) -> bool:
        """Let the transport close: a viewer that ends its side has gone."""
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """Ask no more."""
        self._waiting.discard(self)
        if self._task is not None:
            self._task.cancel()
        self._on_lost()

    def refuse(self, problem: Problem) -> None:
        """Answer and close."""
        transport = self._transport
        if transport is not None and not transport.is_closing():
            transport.write(refusal_of(problem))
            transport.close()

    async def _wait(self) -> None:
        try:
            admitted = await self._decide()
        except Exception:
            logger.exception("whether a viewer may play could not be decided")
            admitted = Problem(500, "internal", "something broke on our side; it is in the log")
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if isinstance(admitted, Problem):
            self.refuse(admitted)
            return
        self._waiting.discard(self)
        protocol = self._enter(admitted)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        if self._early:
            protocol.data_received(self._early)
