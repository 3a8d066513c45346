"""What each server counts of a room, told to the others with its people and summed for whoever looks. Pure.

The words that are said most are not in it: each server hears every line, those of the others as well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import msgspec

LOOKED_AT_S = 60.0
"""So long after somebody looked at a room's figures those of the other servers are brought along with its people."""


class ServerFigures(msgspec.Struct, frozen=True, omit_defaults=True):
    """One room at one server; counts are since the room was opened there.

    `viewers` are people there, staff not counted; `roles` and `ways` count connections.
    """

    server: str
    viewers: int = 0
    connections: int = 0
    roles: dict[str, int] = {}
    ways: dict[str, int] = {}
    chat_lines: int = 0
    chat_sampled: int = 0
    messages_out: int = 0
    dropped: dict[str, int] = {}
    skipping: int = 0
    slow_skipped: int = 0
    held: int = 0


def encode(figures: ServerFigures) -> bytes:
    """Return what a server tells the others."""
    return msgspec.json.encode(figures)


def decode(told: Iterable[bytes]) -> list[ServerFigures]:
    """Return what others told, by the name of the server; what another version says in other words is left out."""
    found: list[ServerFigures] = []
    for data in told:
        try:
            found.append(msgspec.json.decode(data, type=ServerFigures))
        except msgspec.MsgspecError:
            continue
    return sorted(found, key=lambda one: one.server)


def summed(servers: Iterable[ServerFigures]) -> ServerFigures:
    """Return the sums over servers, under no name."""
    there = list(servers)
    return ServerFigures(
        server="",
        viewers=sum(one.viewers for one in there),
        connections=sum(one.connections for one in there),
        roles=_added(one.roles for one in there),
        ways=_added(one.ways for one in there),
        chat_lines=sum(one.chat_lines for one in there),
        chat_sampled=sum(one.chat_sampled for one in there),
        messages_out=sum(one.messages_out for one in there),
        dropped=_added(one.dropped for one in there),
        skipping=sum(one.skipping for one in there),
        slow_skipped=sum(one.slow_skipped for one in there),
        held=sum(one.held for one in there),
    )


def _added(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for one in counts:
        total.update(one)
    return dict(total)
