"""Who takes part in a room."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

STAFF_ROLES = frozenset({"moderator", "assistant", "host", "merchant"})


@dataclass(frozen=True, slots=True)
class Member:
    """A person in a room, as the token says and as they were appointed.

    `role` is one of guest, viewer, moderator, assistant, host, merchant; `expires_ms` is Unix milliseconds (0: never).
    """

    person: str
    name: str
    role: str
    merchant: str | None
    expires_ms: int
    known: bool = False
    """A customer of the merchant: may write where only members may."""

    device: str = ""
    """What the device is called that they come with, the same for all who use it; empty when nobody knows."""

    came_as: str = ""
    """The role of the token itself, where this room knows them by another; empty when nobody told."""

    @property
    def staff(self) -> bool:
        """Tell whether this person keeps order here; what else they may do is in `chat/rights.py`."""
        return self.role in STAFF_ROLES

    def shown(self) -> dict[str, str]:
        """Return what others see of this person."""
        return {"person": self.person, "name": self.name, "role": self.role}

    def told(self, muted_until_ms: int) -> dict[str, Any]:
        """Return what this person is told of themselves, with the end of an open mute (Unix ms; 0: there is none)."""
        return {**self.shown(), "muted": muted_until_ms} if muted_until_ms else self.shown()
