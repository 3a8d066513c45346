"""TLS before the door of the HTTP port: a connection counts from the moment it is accepted, not from its handshake.

asyncio's servers make a protocol's connection when TLS has been agreed on. Whoever never agrees would hold a
descriptor that nobody counts, for a minute and without a bound of its address. Here the gate is asked at accept, and
the handshake has as long as a request's head.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from gateway.gate import DoorProtocol, Gate

logger = logging.getLogger("siyu.http")

REFUSALS_TOLD_MAX = 64
"""Handshakes made at a time only to say in words that there is no room: more are cut without one."""
ACCEPTS_A_TURN_MAX = 100
"""Connections taken before the loop goes on with others."""
PAUSE_S = 1.0
"""Out of descriptors or memory: nothing is accepted for so long, as asyncio does it."""


class TlsListener:
    """Accepts on ``listening`` until closed; ``make`` gives the protocol that a connection becomes."""

    def __init__(
        self, gate: Gate, context: ssl.SSLContext, listening: socket.socket, make: Callable[[], DoorProtocol]
    ) -> None:
        self._gate = gate
        self._context = context
        self._listening = listening
        self._make = make
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._pause: asyncio.TimerHandle | None = None
        self._closed = False
        listening.setblocking(False)
        self._loop.add_reader(listening.fileno(), self._accept)

    def close(self) -> None:
        """Accept nothing more, and end the handshakes under way. A second call does nothing."""
        if self._closed:
            return
        self._closed = True
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._listening.fileno())
        self._listening.close()
        for task in self._tasks:
            task.cancel()

    async def wait_closed(self) -> None:
        """Wait for the handshakes that were ended."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self) -> None:
        for _ in range(ACCEPTS_A_TURN_MAX):
            try:
                accepted, name = self._listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                logger.error("connections cannot be accepted: %s", error)
                self._loop.remove_reader(self._listening.fileno())
                self._pause = self._loop.call_later(PAUSE_S, self._resume)
                return
            self._begin(accepted, str(name[0]) if isinstance(name, tuple) else "unix")

    def _resume(self) -> None:
        self._loop.add_reader(self._listening.fileno(), self._accept)

    def _begin(self, accepted: socket.socket, peer: str) -> None:
        refusal = self._gate.enter(peer)
        if refusal is not None and self._gate.counts.tls_refusing >= REFUSALS_TOLD_MAX:
            accepted.close()
            return
        accepted.setblocking(False)
        work = self._refuse(accepted, refusal) if refusal is not None else self._enter(accepted, peer)
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _enter(self, accepted: socket.socket, peer: str) -> None:
        protocol = self._make()
        protocol.entered_by(peer)
        if not await self._handshake(accepted, lambda: protocol):
            protocol.leave_gate()

    async def _refuse(self, accepted: socket.socket, refusal: bytes) -> None:
        counts = self._gate.counts
        counts.tls_refusing += 1
        try:
            await self._handshake(accepted, lambda: _Refusal(refusal))
        finally:
            counts.tls_refusing -= 1

    async def _handshake(self, accepted: socket.socket, protocol: Callable[[], asyncio.Protocol]) -> bool:
        """Agree on TLS and connect the protocol; whether it came to that."""
        counts = self._gate.counts
        counts.tls_handshakes += 1
        done = False
        try:
            await self._loop.connect_accepted_socket(
                protocol, accepted, ssl=self._context, ssl_handshake_timeout=self._gate.handshake_timeout_s
            )
            done = True
        except (OSError, ssl.SSLError) as error:
            # The peer's business: no TLS, another version, or too slow. Scanners do it all day.
            counts.tls_failed += 1
            logger.debug("a TLS handshake failed: %s", type(error).__name__)
        finally:
            counts.tls_handshakes -= 1
            if not done:
                accepted.close()
        return done


class _Refusal(asyncio.Protocol):
    """Says why there is no room, and closes."""

    def __init__(self, refusal: bytes) -> None:
        self._refusal = refusal

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclass of asyncio.Transport.
        secure = cast(asyncio.Transport, transport)
        secure.write(self._refusal)
        secure.close()
