"""The audit trail of rooms: a line in the log for each action of staff, and a row of the shop's database.

hub, API → an entry → the log at once → a bounded queue → within half a second the database, for all servers of a shop

The queue waits for a database that is busy or away. What is over its bound is in the log alone, and counted.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Callable

from chat.audit import AuditEntry
from commerce.fresh_ids import fresh_id
from commerce.staff_actions_sql import StaffAction, StaffActions
from gateway.write_behind import WriteBehind

logger = logging.getLogger("siyu.audit")

WAITING_MAX = 10_000
"""Entries waiting for the database: staff of a hundred rooms for some minutes; about 10 MB."""
BATCH_MAX = 500
"""Entries of one transaction."""
WRITTEN_WAIT_S = 3.0
"""Who reads the trail waits so long for what was done just before."""


class RoomAudit:
    """Keeps what staff did."""

    def __init__(self, actions: StaffActions, *, clock: Callable[[], int]) -> None:
        self._actions = actions
        self._clock = clock
        self._newest_ms = 0
        self._rows = WriteBehind(actions.put, what="the audit trail", waiting_max=WAITING_MAX, batch_max=BATCH_MAX)
        self.start, self.close, self.stats = self._rows.start, self._rows.close, self._rows.stats

    def __call__(self, entry: AuditEntry) -> None:
        """Log an entry and queue it for the database."""
        fields = dataclasses.asdict(entry)
        # The log's own line has time and level; the room's moment is a field of another name.
        fields["at_ms"] = fields.pop("at")
        logger.info("%s", entry.action, extra={"fields": fields})
        # Ids sort by time; two of a millisecond keep their order.
        self._newest_ms = named_ms = max(entry.at, self._newest_ms + 1)
        number = fresh_id(named_ms)
        self._rows.append(StaffAction(number, entry.room, entry.at, entry.by, entry.action, entry.person, entry.detail))

    async def newest(self, room: str, after: str, limit: int) -> list[StaffAction]:
        """A room's entries of all servers, newest first; with ``after`` those before that one.

        What was done at this server just before is among them, unless the database does not take it in time.
        """
        try:
            async with asyncio.timeout(WRITTEN_WAIT_S):
                await self._rows.flush()
        except TimeoutError:
            logger.warning("the audit trail is read while %d entries wait to be written", self.stats().queued)
        return await self._actions.newest(room, after, limit)
