"""Rights as they are now: of those who are connected at this process, and news of them for the others.

a seat, an appointment → the database → this process reads it → the sockets of whom it concerns
                                      → `Regard` in the merchant's rooms → the other nodes read it → their sockets

A node that does not hear of it (its bus is away, or it has none of these rooms) reads the version each second, as
`gateway/following.py` does for all that other processes change.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any

from chat.errors import CommandRefused
from chat.hub import Hub
from chat.member import Member
from chat.message import Regard
from chat.regard import regard
from commerce.errors import CommerceError
from commerce.identity.aliases import Aliases
from commerce.keepers import Keepers
from commerce.org import Organisation
from gateway.commands import refusal
from gateway.rooms import Rooms

logger = logging.getLogger("siyu.rights")

ROOMS_TOLD_MAX = 100
"""Rooms of a merchant in which the other nodes are told, those with people in them first: a chain of a thousand rooms
is no reason for a thousand messages, when each node reads it within a second anyway."""
READ_TIMEOUT_S = 20.0


class Rights:
    """Brings what changed of somebody's rights to where they are."""

    def __init__(self, hub: Hub, org: Organisation, aliases: Aliases, rooms: Rooms) -> None:
        self._hub = hub
        self._org = org
        self._aliases = aliases
        self._rooms = rooms
        self._wanted = 0
        self._reading: asyncio.Task[None] | None = None
        org.listen(self._changed, self._tell)
        aliases.listen(self._changed)
        hub.rights_outdated = self._outdated

    def _changed(self, people: Collection[str]) -> None:
        regard(self._hub, {one for person in people for one in (person, *self._aliases.ids(person))})

    def _tell(self, merchant: str) -> None:
        """Let the other nodes know that there is something to be read."""
        here = [room.id for room in self._rooms.of(merchant) if self._hub.is_open(room.id)]
        here.sort(key=lambda room: not self._hub.channel(room).people)
        for room in here[:ROOMS_TOLD_MAX]:
            self._hub.tell(room, Regard(self._org.version))

    def _outdated(self, version: int) -> None:
        self._wanted = max(self._wanted, version)
        if self._wanted > self._org.version and self._reading is None:
            self._reading = asyncio.get_running_loop().create_task(self._read(), name="rights")
            self._reading.add_done_callback(self._read_ended)

    async def _read(self) -> None:
        async with asyncio.timeout(READ_TIMEOUT_S):
            before = -1
            # Once more for what was told meanwhile; what cannot be found here was said by who has another database.
            while self._org.version < self._wanted and self._org.version != before:
                before = self._org.version
                await self._org.load()

    def _read_ended(self, task: asyncio.Task[None]) -> None:
        self._reading = None
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.warning("what somebody may do now could not be read, it is with the next second's look: %r", error)

    async def close(self) -> None:
        """Read nothing more."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)


class RoomKeepers:
    """Appointments as the hub's commands ask for them: ``chat.keepers.KeeperStore``."""

    def __init__(self, keepers: Keepers, rooms: Rooms) -> None:
        self._keepers = keepers
        self._rooms = rooms

    async def appoint(self, room: str, by: Member, person: str) -> None:
        """Make somebody a moderator of a room. Raises CommandRefused."""
        change = self._keepers.appoint_in_room
        await _asked(partial(change, self._merchant(room), room, person, "moderator", by.person))

    async def dismiss(self, room: str, by: Member, person: str) -> None:
        """Take that back. Raises CommandRefused."""
        change = self._keepers.dismiss_in_room
        await _asked(partial(change, self._merchant(room), room, person, by.person, assistants=by.role == "merchant"))

    async def listed(self, room: str) -> Sequence[Mapping[str, Any]]:
        """Who is appointed in a room."""
        found = await self._keepers.of_room(self._merchant(room), room)
        return [
            {
                "person": one.made.person,
                "name": one.name,
                "role": one.made.role,
                "everywhere": one.made.kind != "room",
            }
            for one in found
        ]

    def _merchant(self, room: str) -> str:
        found = self._rooms.find(room)
        if found is None:
            raise CommandRefused("closed", "the room was closed")
        return found.merchant


async def _asked(change: Any) -> None:
    try:
        await change()
    except CommerceError as error:
        raise refusal(error) from error
