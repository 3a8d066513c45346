"""Chat that a shop has to keep: lines of rooms whose shop has switched it on, on their way into the database.

hub → a line that passed every rule → a bounded queue → within half a second the database

The queue waits for a database that is busy or away; what is over its bound is counted, and said in the log. Lines past
their shop's time are forgotten once an hour. Erasing a person leaves them: the law that wants them kept says so.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from chat.review import Line
from commerce.compliance import Compliance
from commerce.fresh_ids import fresh_id
from commerce.periodic import Periodic
from gateway.rooms import Rooms
from gateway.write_behind import WriteBehind

logger = logging.getLogger("siyu.app")

WAITING_MAX = 20_000
"""Lines waiting for the database: a room at its cap of 200 a second for a minute and a half, some 10 MB."""
BATCH_MAX = 1_000
"""Lines of one transaction."""
REREAD_S = 30.0
"""How long another process may go on by switches that were changed here."""
FORGET_EVERY_MS = 3_600_000


class ChatArchive:
    """Keeps lines of chat until closed."""

    def __init__(self, compliance: Compliance, rooms: Rooms, *, clock: Callable[[], int]) -> None:
        self._compliance = compliance
        self._rooms = rooms
        self._clock = clock
        self._keeping: set[str] = set()
        self._newest_ms = 0
        self._lines = WriteBehind(
            compliance.keep_lines, what="chat that has to be kept", waiting_max=WAITING_MAX, batch_max=BATCH_MAX
        )
        self.flush, self.stats = self._lines.flush, self._lines.stats
        self._reading = Periodic(self._reread_and_forget, REREAD_S, what="which shops keep their chat")
        self._forget_ms = 0

    async def start(self) -> None:
        """Read the switches, and write until ``close``."""
        await self.reread()
        self._lines.start()
        self._reading.start()

    async def close(self) -> None:
        """Write what waits, and end."""
        await self._reading.close()
        await self._lines.close()

    async def reread(self) -> None:
        """Learn which shops keep their chat."""
        policies = await self._compliance.policies()
        self._keeping = {merchant for merchant, policy in policies.items() if policy.keep_chat_days}

    def __call__(self, line: Line) -> None:
        """Queue a line of a room whose shop keeps it."""
        room = self._rooms.find(line.room)
        if room is None or room.merchant not in self._keeping:
            return
        # Ids sort by time; two of a millisecond keep their order.
        self._newest_ms = named_ms = max(line.now_ms, self._newest_ms + 1)
        member = line.member
        self._lines.append(
            {
                "id": fresh_id(named_ms),
                "merchant": room.merchant,
                "room": line.room,
                "person": member.person,
                "role": member.role,
                "name": member.name[:60],
                "text": line.text,
                "at": line.now_ms,
            }
        )

    async def _reread_and_forget(self) -> None:
        await self.reread()
        now_ms = self._clock()
        if now_ms >= self._forget_ms:
            await self._compliance.forget_lines()
            self._forget_ms = now_ms + FORGET_EVERY_MS
