"""Lines that somebody outside looks at before they are shown: whom the hub asks, and what it hands over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from chat.member import Member


@dataclass(frozen=True, slots=True)
class Line:
    """A line of chat that passed every rule of the room, as it would be shown; `now_ms` is when it was said."""

    room: str
    member: Member
    text: str
    now_ms: int


class Reviewer(Protocol):
    """Looks at lines. Neither the room nor anything else that is said in it waits for an answer."""

    def wants(self, room: str) -> bool:
        """Tell whether lines of this room are looked at. Must not wait."""

    async def judge(self, line: Line) -> str | None:
        """Return why the line is not shown, or None for one that is; answers in bounded time.

        Raises CommandRefused `busy` when as many lines are held back as may be.
        """
