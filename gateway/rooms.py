"""Which rooms there are and whose they are, in memory: the door, the hub and RTMP ask this on every join."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from gateway.errors import Problem


@dataclass(frozen=True, slots=True)
class Room:
    """What every part needs to know of a room."""

    id: str
    merchant: str
    title: str
    host: str
    cover: str

    def view(self) -> dict[str, str]:
        """The public part, as in the room snapshot."""
        return {"id": self.id, "title": self.title, "host": self.host, "cover": self.cover}


class Rooms:
    """Rooms by id; the catalogue is the truth, this follows its events."""

    def __init__(self, rooms: Iterable[Room] = ()) -> None:
        self._rooms = {room.id: room for room in rooms}

    def put(self, room: Room) -> None:
        """Add a room or replace what is known of it."""
        self._rooms[room.id] = room

    def drop(self, room: str) -> None:
        """Forget a closed room."""
        self._rooms.pop(room, None)

    def find(self, room: str) -> Room | None:
        return self._rooms.get(room)

    def host_of(self, room: str) -> str:
        """Who hosts a room now; empty when nobody is named, or there is no such room."""
        found = self._rooms.get(room)
        return "" if found is None else found.host

    def get(self, room: str) -> Room:
        """The room. Raises ``Problem`` 404."""
        found = self._rooms.get(room)
        if found is None:
            raise Problem(404, "no_room", "there is no such room")
        return found

    def of(self, merchant: str) -> list[Room]:
        """The rooms of a merchant, by id."""
        return sorted((room for room in self._rooms.values() if room.merchant == merchant), key=lambda room: room.id)

    def __len__(self) -> int:
        return len(self._rooms)

    def __iter__(self) -> Iterator[Room]:
        return iter(list(self._rooms.values()))
