"""Brings questions to advisors and answers to those who asked over the hub, where they have a page open."""

from __future__ import annotations

from collections.abc import Callable

from chat.hub import Hub
from commerce.advice import Told
from gateway.rooms import Rooms


def teller(hub: Hub, rooms: Rooms) -> Callable[[Told], None]:
    """Tell somebody in the room where it was asked, until they acknowledge it, and in others where they are now."""

    def tell(told: Told) -> None:
        found = {room.id for room in rooms.of(told.merchant) if hub.is_present(room.id, told.person)}
        asked = rooms.find(told.room) if told.room else None
        if asked is not None:
            found.add(asked.id)
        for room in sorted(found):
            hub.send_personal(room, told.person, told.body, once=f"advice:{told.key}:{room}")

    return tell
