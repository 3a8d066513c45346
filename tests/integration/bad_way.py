"""A way to a server as bad proxies and telephones make it: it keeps back what comes, cuts off, and dawdles."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

READ_BYTES = 16 * 1024


@dataclass
class BadWay:
    """A TCP proxy before a port; what it does to a connection it draws from its seed.

    Downwards it passes on whole buffers of `hold_bytes` only, as a proxy that buffers does, and what is left at the
    server's end. After a number of bytes up to `cut_bytes` it cuts both sides, wherever that is in a frame.
    """

    port: int
    seed: int = 0
    hold_bytes: int = 0
    cut_bytes: int = 0
    pause_s: float = 0.0
    refuses: bytes = b""
    """How requests begin that end in nothing, such as those for a WebSocket."""
    connections: int = 0
    cuts: int = 0
    held: int = 0
    """Bytes that are kept back now, of all connections."""
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[int]:
        """Let clients in; gives the port they come to."""
        server = await asyncio.start_server(self._begin, "127.0.0.1", 0)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            for task in tuple(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.create_task(self._carry(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.port)
        budget = self._random.randint(1, self.cut_bytes) if self.cut_bytes else 0
        ways = [
            asyncio.create_task(self._pass(reader, far_writer, 0, 0)),
            asyncio.create_task(self._pass(far_reader, writer, budget, self.hold_bytes)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            writer.transport.abort() if budget else writer.close()
            far_writer.transport.abort()

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, budget: int, hold_bytes: int
    ) -> None:
        passed = 0
        waiting = b""
        while data := await reader.read(READ_BYTES):
            if self.refuses and data.startswith(self.refuses):
                return
            self.held -= len(waiting)
            waiting += data
            size = len(waiting) // hold_bytes * hold_bytes if hold_bytes else len(waiting)
            now, waiting = waiting[:size], waiting[size:]
            self.held += len(waiting)
            if self.pause_s:
                await asyncio.sleep(self._random.random() * self.pause_s)
            if budget and passed + len(now) >= budget:
                writer.write(now[: budget - passed])
                await writer.drain()
                self.cuts += 1
                return
            passed += len(now)
            writer.write(now)
            await writer.drain()
        self.held -= len(waiting)
        writer.write(waiting)
        await writer.drain()
