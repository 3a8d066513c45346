"""Rights that change while their bearer is connected.

Who joins is told apart by their token, by their seat in the organisation and by what they were appointed. When one of
these changes, whoever knows it says whose rights it may have changed, and those of them who are here are looked at
anew: nothing is asked while nobody's rights change, and a command finds its member as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from chat.errors import TokenRefused
from chat.member import Member

if TYPE_CHECKING:
    from chat.channel import Channel
    from chat.hub import Hub
    from chat.sink import Sink

Stands = Callable[[str, Member], Member]
"""Gets a room and who is in it, returns who they are now; raises TokenRefused for who may not be there any more."""


def as_they_came(room: str, member: Member) -> Member:
    """Somebody whose rights never change."""
    return member


def regard(hub: Hub, people: Collection[str]) -> None:
    """Look anew at those of these people who are at this node: tell them who they are now, or end their connection.

    `people` are ids; whoever is known by several is named by all of them.
    """
    for room in hub.rooms():
        channel = hub.channel(room)
        for person in channel.people.keys() & people:
            for sink in tuple(channel.people.get(person, ())):
                _regard(hub, channel, sink)


def look_again(hub: Hub, people: Collection[str]) -> None:
    """Bring these people what waits for them: they were found to be one, or two again.

    What is in the box of either is for the connections of both.
    """
    if hub.mailbox is None:
        return
    for room in hub.rooms():
        for person in {hub.ids_of(one)[0] for one in people}:
            if hub.is_present(room, person):
                hub.mailbox.look(room, person)


def _regard(hub: Hub, channel: Channel, sink: Sink) -> None:
    assert sink.member is not None
    before = sink.member
    try:
        member = hub.stands(channel.room.name, before)
    except TokenRefused as refused:
        sink.close(refused.code, refused.reason)
        return
    if member != before:
        channel.recount(sink, member)
    # Whoever was found to be somebody who is muted is so from now on, and free when that was a mistake.
    channel.tell_standing(sink)
