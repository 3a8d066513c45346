"""The audit trail of rooms: a line in the log for each action of staff, and the newest of each room in memory."""

from __future__ import annotations

import dataclasses
import logging
from collections import deque
from typing import Any

from chat.audit import AuditEntry

logger = logging.getLogger("siyu.audit")

ENTRIES_MAX = 1_000
"""Entries kept of a room: a busy evening. The log has them all."""


class RoomAudit:
    """Keeps what staff did."""

    def __init__(self) -> None:
        self._rooms: dict[str, deque[AuditEntry]] = {}

    def __call__(self, entry: AuditEntry) -> None:
        """Log an entry and keep it; the oldest of the room goes when there are too many."""
        fields = dataclasses.asdict(entry)
        # The log's own line has time and level; the room's moment is a field of another name.
        fields["at_ms"] = fields.pop("at")
        logger.info("%s", entry.action, extra={"fields": fields})
        self._rooms.setdefault(entry.room, deque(maxlen=ENTRIES_MAX)).append(entry)

    def forget(self, room: str) -> None:
        """Let go of a closed room's entries."""
        self._rooms.pop(room, None)

    def newest(self, room: str, limit: int) -> list[dict[str, Any]]:
        """Return the newest entries of a room, newest first."""
        entries = list(self._rooms.get(room, ()))[-limit:]
        return [dataclasses.asdict(entry) for entry in reversed(entries)]
