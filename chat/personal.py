"""Personal events: numbered per person, kept until acknowledged, bounded in number and age. Pure.

With a `PersonalStore` they outlive the process and find a person on any node (`chat/mailbox.py`); without one, a room
keeps them in memory, and the bus brings them to the other nodes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import orjson

from chat.limits import RoomLimits
from chat.message import encode, encode_event


class Post(NamedTuple):
    """An event for a person; `key` is the id of what happened, `body` its JSON."""

    room: str
    person: str
    key: str
    body: bytes


class PersonalStore(Protocol):
    """Keeps personal events. Each call returns when it is done, and raises when it cannot be."""

    async def put(self, posts: Sequence[Post]) -> list[int]:
        """Write events down; return their sequences, which grow per room and person in the order of writing.

        An event whose key is known already is not written again; its sequence is returned.
        """

    async def acknowledge(self, acknowledged: Sequence[tuple[str, str, int]]) -> None:
        """Forget what each (room, person) has up to and with a sequence."""

    async def waiting(self, places: Sequence[tuple[str, str]]) -> Mapping[tuple[str, str], list[tuple[int, bytes]]]:
        """Return what each (room, person) has not acknowledged: sequences and JSON, in order."""


class KeptPersonal(NamedTuple):
    """A personal event that waits for its acknowledgement."""

    sequence: int
    ms: int
    data: bytes


class _Box:
    __slots__ = ("events", "sequence")

    def __init__(self, sequence: int) -> None:
        self.sequence = sequence
        self.events: deque[KeptPersonal] = deque()


class PersonalEvents:
    """What single people were told and have not acknowledged.

    A person's sequence only grows while the room lives, so a client may drop what it has seen; a forgotten person
    starts again above everyone who was forgotten.
    """

    __slots__ = ("_boxes", "_forgotten_sequence", "_kept", "_limits")

    def __init__(self, limits: RoomLimits) -> None:
        self._limits = limits
        self._boxes: dict[str, _Box] = {}
        self._forgotten_sequence = 0
        self._kept = 0

    def stamp(self, person: str, body: Mapping[str, Any], now_ms: int) -> bytes:
        """Return the JSON of an event with the person's next sequence `a`, and keep nothing of it."""
        data = b'%b,"a":%d}' % (encode_event(body)[:-1], self._next(person).sequence)
        self._forget(now_ms - self._limits.personal_age_ms)
        return data

    def _next(self, person: str) -> _Box:
        # Moved to the end: the first of the dict is the one longest unchanged.
        box = self._boxes.pop(person, None) or _Box(self._forgotten_sequence)
        self._boxes[person] = box
        box.sequence += 1
        return box

    def add(self, person: str, body: Mapping[str, Any], now_ms: int) -> bytes:
        """Keep an event; return its JSON with the sequence `a`. Raises TypeError for what JSON cannot hold."""
        data = encode_event(body)
        box = self._next(person)
        data = b'%b,"a":%d}' % (data[:-1], box.sequence)
        box.events.append(KeptPersonal(box.sequence, now_ms, data))
        self._kept += 1
        while len(box.events) > self._limits.personal_events:
            self._drop_oldest(box)
        self._forget(now_ms - self._limits.personal_age_ms)
        return data

    def _drop_oldest(self, box: _Box) -> None:
        box.events.popleft()
        self._kept -= 1

    def _forget(self, oldest_ms: int) -> None:
        """Let go of people, the one longest unchanged first, while there are too many or their events too old."""
        limits = self._limits
        while len(self._boxes) > 1:
            person, box = next(iter(self._boxes.items()))
            outdated = bool(box.events) and box.events[-1].ms < oldest_ms
            if not outdated and len(self._boxes) <= limits.personal_people and self._kept <= limits.personal_total:
                return
            del self._boxes[person]
            self._kept -= len(box.events)
            self._forgotten_sequence = max(self._forgotten_sequence, box.sequence)

    def acknowledge(self, person: str, to: int) -> None:
        """Forget the person's events up to and with sequence `to`."""
        box = self._boxes.get(person)
        if box is not None:
            while box.events and box.events[0].sequence <= to:
                self._drop_oldest(box)

    def unacknowledged(self, person: str, now_ms: int) -> tuple[bytes, ...]:
        """Return the JSON of the person's events that still wait, oldest first."""
        box = self._boxes.get(person)
        if box is None or not box.events:
            return ()
        oldest_ms = now_ms - self._limits.personal_age_ms
        while box.events and box.events[0].ms < oldest_ms:
            self._drop_oldest(box)
        return tuple(kept.data for kept in box.events)

    def state(self) -> dict[str, Any]:
        """Return all boxes, ready to encode."""
        boxes = [
            (person, box.sequence, [(kept.sequence, kept.ms, orjson.Fragment(kept.data)) for kept in box.events])
            for person, box in self._boxes.items()
        ]
        return {"forgotten": self._forgotten_sequence, "boxes": boxes}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Become the boxes whose `state` this is (decoded)."""
        self._forgotten_sequence = state["forgotten"]
        self._boxes.clear()
        self._kept = 0
        for person, sequence, events in state["boxes"]:
            box = self._boxes[person] = _Box(sequence)
            box.events.extend(KeptPersonal(number, ms, encode(body)) for number, ms, body in events)
            self._kept += len(box.events)
