"""What the measured servers wait for: their clients, and the last byte."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from multiprocessing.connection import Connection
from typing import Any

from gateway.bench.baseline_write import SETTLE_S
from gateway.bench.process import WAIT_S, told


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a state of the server. Raises TimeoutError."""
    async with asyncio.timeout(WAIT_S):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.01)


async def until_told(pipe: Connection) -> None:
    """Wait until the parent says that the clients have counted. Raises TimeoutError."""
    await until(lambda: told(pipe))


async def close_all(transports: Iterable[Any]) -> None:
    """Close what is connected, after its last byte."""
    leaving = list(transports)
    for transport in leaving:
        transport.close()
    await until(lambda: not any(transport.get_write_buffer_size() for transport in leaving))
    await asyncio.sleep(SETTLE_S)
