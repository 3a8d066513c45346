"""What other processes of a shop change and this one keeps in memory: rooms, keys, revoked tokens, merges, hooks.

They are asked for at every request, so they are in memory; with one process its own changes are all there are. On a
database that several processes write to, this one reads them again each `REREAD_S`: what was made or revoked at another
process holds here that much later, and ends the broadcasts and closes the viewers that it concerns.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from commerce.catalogue import Catalogue
from commerce.identity.service import Identities
from commerce.periodic import Periodic
from gateway.access import Access
from gateway.rooms import Room, Rooms

logger = logging.getLogger("siyu.following")

REREAD_S = 1.0
"""Three small queries a second and process; a second is what a revoked key is good for at another process."""
READ_TIMEOUT_S = 20.0


class OpenRooms(Protocol):
    """Whoever shows rooms to the hub."""

    async def open(self, room: Room) -> None: ...
    def shut(self, room: str) -> None: ...


class Following:
    """Follows the other processes until closed.

    ``expel_viewers`` closes those of a room whose token was revoked; each of ``reread`` reads something else again.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        rooms: Rooms,
        access: Access,
        shown: OpenRooms,
        expel_viewers: Callable[[str], Awaitable[int]],
        identities: Identities,
        reread: Sequence[Callable[[], Awaitable[None]]] = (),
    ) -> None:
        self._reread = reread
        self._catalogue = catalogue
        self._rooms = rooms
        self._access = access
        self._shown = shown
        self._expel_viewers = expel_viewers
        self._identities = identities
        self._reading = Periodic(self._read, REREAD_S, what="what other processes changed")

    def start(self) -> None:
        """Begin to follow."""
        self._reading.start()

    async def close(self) -> None:
        """Follow no more."""
        await self._reading.close()

    async def read(self) -> None:
        """Read once, and do what follows from what changed."""
        await self._identities.follow()
        before = list(self._rooms)
        there = {
            one.id: Room(one.id, one.merchant, one.title, one.host, one.cover)
            for one in await self._catalogue.every_room()
        }
        # A room opened here while the answer was on its way is not in it.
        for known in before:
            if known.id not in there:
                self._rooms.drop(known.id)
                self._shown.shut(known.id)
        for room in there.values():
            # Who finds a room finds it open.
            await self._shown.open(room)
            if self._rooms.find(room.id) != room:
                self._rooms.put(room)
        for name in await self._access.follow():
            await self._expel_viewers(name)
        for again in self._reread:
            await again()

    async def _read(self) -> None:
        try:
            async with asyncio.timeout(READ_TIMEOUT_S):
                await self.read()
        except Exception:
            # The database may be away for a while; what is known holds until it is back.
            logger.warning("what other processes changed could not be read, trying again", exc_info=True)
