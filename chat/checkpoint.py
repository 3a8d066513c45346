"""The state of a room that crosses nodes, in one place: a checkpoint is all of it, and nothing else crosses.

| part | of | how nodes agree |
|---|---|---|
| sections of the snapshot (pins, sales, drops, pinned notice, announcement, rules …) | `Room` | the log's order |
| history, offset, likes, poll with its votes, questions | `Room` | the log's order; likes and votes are sums |
| mutes, shadow mutes, bans, who may chat, slow mode, words, members | `ChatGate` | the log's order |
| who spoke when (slow mode), persons' rates, the room's cap | `ChatGate` | a line let through is charged everywhere |
| personal events that wait (only where no store keeps them) | `PersonalEvents` | the log's order |
| who has which rights (seats, appointments) | the shop's database | `Regard` tells that it is to be read again |

Beside it stands what is no state, told every `count_ms` with an expiry: people here, summed on the bus
(`Replica.count`), and what each node counts of the room (`chat/room_figures.py`), summed where somebody looks. What
protects one process stays its own: joins a second, commands and bytes of a connection.
"""

from __future__ import annotations

from collections.abc import Collection

import orjson

from chat.moderation import ChatGate
from chat.personal import PersonalEvents
from chat.room import Room

VERSION = 1
"""Raised when the form changes: a node does not take over what it cannot read."""


def pack(room: Room, gate: ChatGate, personal: PersonalEvents) -> bytes:
    """Return the state of a room that has nothing pending, as JSON."""
    parts = {"version": VERSION, "room": room.state(), "gate": gate.state(), "personal": personal.state()}
    return orjson.dumps(parts)


def unpack(
    data: bytes, epoch: str, room: Room, gate: ChatGate, personal: PersonalEvents, *, keep: Collection[str] = ()
) -> None:
    """Give a room the state that `pack` returned elsewhere, except the sections to `keep`.

    Raises ValueError for a state of another version.
    """
    parts = orjson.loads(data)
    if parts["version"] != VERSION:
        raise ValueError(f"a checkpoint of version {parts['version']}, this is {VERSION}")
    room.restore(epoch, parts["room"], keep)
    gate.restore(parts["gate"])
    personal.restore(parts["personal"])
