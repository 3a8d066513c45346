"""The audit trail of rooms: a line in the log for each action of staff, and a row of the shop's database.

hub, API → an entry → the log at once → a bounded queue → within half a second the database, for all servers of a shop

The queue waits for a database that is busy or away. What is over its bound is in the log alone, and counted.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import secrets
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from chat.audit import AuditEntry
from commerce.domain.ids import ENTROPY_BYTES, new_id
from commerce.errors import CommerceError
from commerce.staff_actions_sql import StaffAction, StaffActions

logger = logging.getLogger("siyu.audit")

INTERVAL_S = 0.5
WAITING_MAX = 10_000
"""Entries waiting for the database: staff of a hundred rooms for some minutes; about 10 MB."""
BATCH_MAX = 500
"""Entries of one transaction."""
WRITTEN_WAIT_S = 3.0
"""Who reads the trail waits so long for what was done just before."""


@dataclass(slots=True)
class RoomAuditStats:
    """Figures for metrics."""

    queued: int = 0
    written: int = 0
    dropped: int = 0


class RoomAudit:
    """Keeps what staff did."""

    def __init__(self, actions: StaffActions, *, clock: Callable[[], int]) -> None:
        self._actions = actions
        self._clock = clock
        self._waiting: deque[StaffAction] = deque()
        self._newest_ms = 0
        self._turn = asyncio.Lock()
        self._stats = RoomAuditStats()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Write until ``close``."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name="room-audit")

    async def close(self) -> None:
        """Write what waits, and end."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            await self._flush()

    def __call__(self, entry: AuditEntry) -> None:
        """Log an entry and queue it for the database."""
        fields = dataclasses.asdict(entry)
        # The log's own line has time and level; the room's moment is a field of another name.
        fields["at_ms"] = fields.pop("at")
        logger.info("%s", entry.action, extra={"fields": fields})
        if len(self._waiting) >= WAITING_MAX:
            self._stats.dropped += 1
            return
        # Ids sort by time; two of a millisecond keep their order.
        self._newest_ms = named_ms = max(entry.at, self._newest_ms + 1)
        number = new_id(named_ms, secrets.token_bytes(ENTROPY_BYTES))
        self._waiting.append(
            StaffAction(number, entry.room, entry.at, entry.by, entry.action, entry.person, entry.detail)
        )

    async def newest(self, room: str, after: str, limit: int) -> list[StaffAction]:
        """A room's entries of all servers, newest first; with ``after`` those before that one.

        What was done at this server just before is among them, unless the database does not take it in time.
        """
        try:
            async with asyncio.timeout(WRITTEN_WAIT_S):
                await self._flush()
        except TimeoutError:
            logger.warning("the audit trail is read while %d entries wait to be written", len(self._waiting))
        return await self._actions.newest(room, after, limit)

    def stats(self) -> RoomAuditStats:
        """Figures for metrics."""
        self._stats.queued = len(self._waiting)
        return self._stats

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL_S)
            await self._flush()

    async def _flush(self) -> None:
        """Write what waits; what cannot be written waits on."""
        async with self._turn:
            while self._waiting:
                batch = [self._waiting[at] for at in range(min(BATCH_MAX, len(self._waiting)))]
                try:
                    await self._actions.put(batch)
                except CommerceError as error:
                    logger.warning("the audit trail waits for the database: %s", error)
                    return
                for _ in batch:
                    self._waiting.popleft()
                self._stats.written += len(batch)
