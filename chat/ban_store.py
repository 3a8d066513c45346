"""Where bans are written down, so that they outlive the process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class BanStore(Protocol):
    """Keeps bans. Both calls return when it is done, and raise when it cannot be."""

    async def put(
        self, room: str, person: str, until_ms: int, reason: str, by: str, devices: Sequence[str] = ()
    ) -> None:
        """Write down a ban (`until_ms` Unix ms), in place of the one there was; `by` is the person who gave it."""

    async def remove(self, room: str, person: str) -> None:
        """Forget a ban; none there is fine."""
