"""Rows on their way into the database, written behind what they tell of: a bounded queue that waits for a busy one."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Generic, TypeVar

from commerce.errors import CommerceError, StoreError
from commerce.periodic import Periodic

logger = logging.getLogger("siyu.app")

T = TypeVar("T")

INTERVAL_S = 0.5


@dataclass(slots=True)
class WriteBehindStats:
    """Figures for metrics. `dropped`: over the queue's bound, or such as the database does not take."""

    queued: int = 0
    written: int = 0
    dropped: int = 0


class WriteBehind(Generic[T]):
    """One queue. ``put`` writes a batch in one transaction, and the same batch again after an answer that did not come.

    ``what`` names the rows in the log; ``waiting_max`` rows wait at most, ``batch_max`` make a transaction.
    """

    def __init__(
        self, put: Callable[[Sequence[T]], Awaitable[None]], *, what: str, waiting_max: int, batch_max: int
    ) -> None:
        self._put = put
        self._what = what
        self._waiting_max = waiting_max
        self._batch_max = batch_max
        self._waiting: deque[T] = deque()
        self._turn = asyncio.Lock()
        self._stats = WriteBehindStats()
        self._writing = Periodic(self.flush, INTERVAL_S, what=what)

    def start(self) -> None:
        """Write until ``close``."""
        self._writing.start()

    async def close(self) -> None:
        """Write what waits, and end."""
        await self._writing.close()
        await self.flush()

    def append(self, row: T) -> None:
        """Queue a row; over the bound it is dropped and counted, and the log says so once in a while."""
        if len(self._waiting) >= self._waiting_max:
            if self._stats.dropped % self._batch_max == 0:
                logger.error("%s is lost: the database does not take it", self._what)
            self._stats.dropped += 1
            return
        self._waiting.append(row)

    def stats(self) -> WriteBehindStats:
        """Figures for metrics."""
        self._stats.queued = len(self._waiting)
        return self._stats

    async def flush(self) -> None:
        """Write what waits. What cannot be written now waits on; what cannot be written at all is dropped."""
        async with self._turn:
            while self._waiting:
                batch = list(islice(self._waiting, self._batch_max))
                try:
                    await self._put(batch)
                except (CommerceError, StoreError) as error:
                    logger.warning("%s waits for the database: %s", self._what, error)
                    return
                except Exception:
                    # The rows behind it must not wait for the next start.
                    logger.exception("%d rows of %s cannot be written", len(batch), self._what)
                    self._stats.dropped += len(batch)
                else:
                    self._stats.written += len(batch)
                for _ in batch:
                    self._waiting.popleft()
