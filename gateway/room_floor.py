"""Keeps rooms' polls and questions as they are written down: ends polls whose time is over, mends what a room shows.

A process that dies after it wrote something down, and before it told the room, leaves others that show less or more
than was kept; so does a bus that came back with an older state. What is written down is right.
"""

from __future__ import annotations

import asyncio
import logging

from chat.floor_commands import end_overdue, occupied, untold
from chat.hub import Hub
from chat.message import StateMessage
from commerce.periodic import Periodic
from commerce.room_floor_sql import RoomFloor

logger = logging.getLogger("siyu.room_floor")

LOOK_S = 1.0
"""How often it is looked whether a poll's time is over."""
MEND_S = 12.0
"""How often rooms are compared with what was kept. What differs twice is told: longer than a command may take, so that
nothing is mended that is on its way."""
READ_TIMEOUT_S = 20.0


class RoomFloorKeeper:
    """Looks after the rooms of a hub until closed. What a hub does not keep is not mended."""

    def __init__(self, hub: Hub, floor: RoomFloor) -> None:
        self._hub = hub
        self._floor = floor
        self._differed: dict[str, list[StateMessage]] = {}
        self._looking = Periodic(self.look, LOOK_S, what="polls whose time is over")
        self._mending = Periodic(self.mend, MEND_S, what="rooms' polls and questions")

    def start(self) -> None:
        """Begin."""
        self._looking.start()
        if self._hub.floor_store is not None:
            self._mending.start()

    async def close(self) -> None:
        """End."""
        await self._looking.close()
        await self._mending.close()

    async def look(self) -> None:
        """End polls whose time is over."""
        async with asyncio.timeout(READ_TIMEOUT_S):
            await end_overdue(self._hub)

    async def mend(self) -> None:
        """Compare each room that people are in with what was kept, and tell what differed the last time as well."""
        differed: dict[str, list[StateMessage]] = {}
        for room in self._hub.rooms():
            if not occupied(self._hub, room):
                continue
            async with asyncio.timeout(READ_TIMEOUT_S):
                poll, questions = await self._floor.of_room(room)
            found = untold(self._hub, room, poll, questions)
            before = self._differed.get(room, [])
            again = [message for message in found if message in before]
            if again:
                logger.warning("room %s did not show what was kept of its questions and polls: mended", room)
                self._hub.tell_if_open(room, *again)
            if found:
                differed[room] = found
        self._differed = differed
