"""Whom the host made a moderator of the room, as the hub asks it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from chat.member import Member


class KeeperStore(Protocol):
    """Keeps appointments. Each call returns when it is written down, and what follows from it has begun."""

    async def appoint(self, room: str, by: Member, person: str) -> None:
        """Make somebody a moderator of the room. Raises CommandRefused `not_found`, `limit`, `forbidden`."""

    async def dismiss(self, room: str, by: Member, person: str) -> None:
        """Take that back. Raises CommandRefused `not_found`, `forbidden`."""

    async def listed(self, room: str) -> Sequence[Mapping[str, Any]]:
        """Return who is appointed in the room, as `chat.schemas.KeeperView`."""
