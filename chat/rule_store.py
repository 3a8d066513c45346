"""Where what staff decided about a room is written down, so that it outlives the process.

What is kept is the message itself, as the nodes tell it to one another, under a name that the next one of its kind has
as well: `rules`, `words`, `pinned`, `mute:PERSON`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from chat.entry import decode_messages
from chat.errors import BadEntry
from chat.message import Event, Mute, RoomMessage, RuleMessage, Rules

log = logging.getLogger(__name__)


class RuleStore(Protocol):
    """Keeps decisions. Both calls return when it is done, and raise when it cannot be."""

    async def put(self, room: str, name: str, said: bytes, until_ms: int, person: str) -> None:
        """Write down what `Restored.of` reads, in place of what has that name; it holds until `until_ms`.

        `person` is whom it is about, or empty.
        """

    async def remove(self, room: str, name: str) -> None:
        """Forget what has that name; nothing there is fine."""


class Restored(NamedTuple):
    """What a room is opened with: whom its gate lets speak, and sections of its snapshot."""

    rules: Sequence[RuleMessage]
    sections: Mapping[str, Any]

    @classmethod
    def of(cls, kept: Iterable[bytes]) -> Restored:
        """Read what was kept. What this version does not know is left out, and said in the log."""
        rules: list[RuleMessage] = []
        sections: dict[str, Any] = {}
        for said in kept:
            try:
                [message], _ = decode_messages(b"[" + said + b"]")
            except BadEntry as error:
                # One decision less is better than a room that cannot be opened, and a server that does not start.
                log.warning("a decision about a room cannot be read and does not hold any more: %s", error)
                continue
            if isinstance(message, Event):
                sections |= message.sections or {}
                continue
            if isinstance(message, Rules):
                sections["rules"] = rules_view(message)
            if isinstance(message, RuleMessage):
                rules.append(message)
        return cls(rules, sections)

    def and_rules(self, rules: Iterable[RuleMessage]) -> Restored:
        """Return these and more rules."""
        return Restored([*self.rules, *rules], self.sections)


NOTHING_KEPT = Restored((), {})


def rules_view(rules: Rules) -> dict[str, Any]:
    """Return the section of the snapshot that tells who may write."""
    return {"audience": rules.audience, "slow_s": rules.slow_s}


def name_of(message: RoomMessage) -> str:
    """Return under which name a decision is kept."""
    if isinstance(message, Mute):
        return f"mute:{message.person}"
    return message.body["t"] if isinstance(message, Event) else type(message).__name__.lower()
