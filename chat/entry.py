"""What nodes tell one another of a room: messages to bytes and back, and which of them matter after an outage. Pure.

An entry is what one node says to a room in one tick: a JSON array of `[tag, fields, once]`. On the bus:

    SEQUENCE SP EPOCH SP NODE SP NUMBER LF [[tag, {…}, once], …]

where the sequence counts the room's entries in this epoch, node and number tell who said it and as its how-manieth
entry, so that an entry which was sent twice is taken once, and `once` is the id of what happened, or empty.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import orjson

from chat.errors import BadEntry
from chat.message import (
    Acknowledged,
    Admitted,
    Asked,
    Ban,
    Event,
    Latest,
    Likes,
    Mute,
    Personal,
    PollEnded,
    PollOpened,
    Recall,
    Regard,
    Removal,
    RoomMessage,
    Rules,
    Section,
    Tier,
    Unasked,
    Viewers,
    Vote,
    Words,
)
from chat.room import RESERVED_SECTIONS

_KINDS: dict[str, type[RoomMessage]] = {
    "event": Event,
    "latest": Latest,
    "section": Section,
    "likes": Likes,
    "viewers": Viewers,
    "recall": Recall,
    "poll": PollOpened,
    "vote": Vote,
    "poll.end": PollEnded,
    "asked": Asked,
    "unasked": Unasked,
    "mute": Mute,
    "ban": Ban,
    "rules": Rules,
    "words": Words,
    "admitted": Admitted,
    "personal": Personal,
    "ack": Acknowledged,
    "removal": Removal,
    "regard": Regard,
}
_Item = tuple[str, dict[str, Any], str]
_TAGS = {kind: tag for tag, kind in _KINDS.items()}


class Stamp(NamedTuple):
    """Who made an entry, and as its how-manieth."""

    node: str
    number: int


class Entry(NamedTuple):
    """One entry of a room as it comes from the bus; `data` is the array of messages."""

    sequence: int
    epoch: str
    stamp: Stamp
    data: bytes


def encode_message(message: RoomMessage, once: str = "") -> bytes:
    """Return a message as it goes into an entry.

    Raises TypeError for what JSON cannot hold, ValueError for an event without a type or a reserved section: here,
    where it was said, and not on all nodes at once.
    """
    if isinstance(message, (Event, Latest, Personal)) and "t" not in message.body:
        raise ValueError('an event has its type in "t"')
    sections = message.sections or {} if isinstance(message, Event) else ()
    named = {message.name} if isinstance(message, Section) else set(sections)
    if named & RESERVED_SECTIONS:
        raise ValueError(f"the snapshot has a field of its own named {(named & RESERVED_SECTIONS).pop()}")
    return orjson.dumps((_TAGS[type(message)], message, once))


def decode_messages(data: bytes) -> tuple[list[RoomMessage], set[str]]:
    """Return the messages of an entry, and the ids of what they tell. Raises BadEntry for what is none of ours."""
    try:
        items: list[_Item] = msgspec.json.decode(data, type=list[_Item])
        return [msgspec.convert(fields, _KINDS[tag]) for tag, fields, _ in items], {once for *_, once in items if once}
    except (msgspec.MsgspecError, KeyError) as error:
        raise BadEntry(f"not an entry of this version: {error}") from error


def decode_entry(payload: bytes) -> Entry:
    """Return an entry as it came over the bus. Raises BadEntry."""
    head, mark, data = payload.partition(b"\n")
    parts = head.decode("ascii", "replace").split(" ")
    if not mark or len(parts) != 4 or not (parts[0].isdecimal() and parts[3].isdecimal()):
        raise BadEntry(f"not an entry: {head[:80]!r}")
    return Entry(int(parts[0]), parts[1], Stamp(parts[2], int(parts[3])), data)


def urgent(messages: Sequence[RoomMessage]) -> bool:
    """Tell whether one of these does not wait for the tick."""
    for message in messages:
        if isinstance(message, Event):
            if message.tier is Tier.P0:
                return True
        elif isinstance(message, (Personal, Removal, Ban, Mute, PollOpened, PollEnded, Recall, Regard)):
            return True
    return False


def droppable(message: RoomMessage) -> bool:
    """Tell whether a bus that cannot keep up may lose this: chat (P2) and what is summed or replaced (P3)."""
    if isinstance(message, (Event, Latest)):
        return message.tier >= Tier.P2
    return isinstance(message, Likes)


def outlives(message: RoomMessage) -> bool:
    """Tell whether what was said while a node was alone is said to the others when the bus is back.

    Chat and passing values are not: who was not there has missed them. Nor are recalls, as an offset is one of another
    epoch then. What staff decided, votes, questions, likes and all that must arrive (P0, P1) are.
    """
    if isinstance(message, Event):
        return message.tier <= Tier.P1 and message.body["t"] != "chat"
    if isinstance(message, Latest):
        return message.tier is Tier.P0
    return not isinstance(message, (Recall, Viewers))
