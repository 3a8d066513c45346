"""What staff did in rooms, kept with the shop's books: rows are added, and removed only when they are KEPT_MS old."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from commerce.store_sql import Store

Clock = Callable[[], int]

KEPT_MS = 1096 * 24 * 3_600_000
"""Three years, as a show's own recording and chat."""
FORGET_EVERY_MS = 3_600_000
"""How often the old ones are removed: with the first write of an hour."""
FORGOTTEN_MAX = 10_000
"""How many at a time: some ten milliseconds."""

_PUT = text(
    'INSERT INTO staff_action (id, room, at_ms, "by", action, person, detail)'
    " VALUES (:id, :room, :at, :by, :action, :person, :detail) ON CONFLICT (id) DO NOTHING"
)
_SELECT = 'SELECT id, room, at_ms, "by", action, person, detail FROM staff_action WHERE room = :room'
_NEWEST = text(f"{_SELECT} ORDER BY id DESC LIMIT :limit")
_OLDER = text(f"{_SELECT} AND id < :after ORDER BY id DESC LIMIT :limit")
_FORGET = text(
    "DELETE FROM staff_action WHERE id IN"
    " (SELECT id FROM staff_action WHERE at_ms <= :before ORDER BY at_ms LIMIT :limit)"
)


@dataclass(frozen=True, slots=True)
class StaffAction:
    """Who did what to whom, when (Unix ms) and in which room; `id` sorts by time."""

    id: str
    room: str
    at_ms: int
    by: Mapping[str, str]
    action: str
    person: str | None
    detail: Mapping[str, Any]


class StaffActions:
    """The table of them."""

    def __init__(self, store: Store, *, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._forget_ms = 0

    async def put(self, actions: Sequence[StaffAction]) -> None:
        """Write them down; one that is there already stays as it is. Raises Busy, StoreError."""
        now_ms = self._clock()
        forget = now_ms >= self._forget_ms
        rows = [_row(action) for action in actions]

        def change(db: Connection) -> None:
            if forget:
                db.execute(_FORGET, {"before": now_ms - KEPT_MS, "limit": FORGOTTEN_MAX})
            db.execute(_PUT, rows)

        await self._store.write(change)
        if forget:
            self._forget_ms = now_ms + FORGET_EVERY_MS

    async def newest(self, room: str, after: str, limit: int) -> list[StaffAction]:
        """A room's, newest first; with `after` those before that one."""
        query = {"room": room, "after": after, "limit": limit}

        def read(db: Connection) -> list[StaffAction]:
            rows = db.execute(_OLDER if after else _NEWEST, query)
            return [
                StaffAction(r.id, r.room, r.at_ms, json.loads(r.by), r.action, r.person, json.loads(r.detail))
                for r in rows
            ]

        return await self._store.read(read)


def _row(action: StaffAction) -> dict[str, Any]:
    return {
        "id": action.id,
        "room": action.room,
        "at": action.at_ms,
        "by": json.dumps(dict(action.by), ensure_ascii=False),
        "action": action.action,
        "person": action.person,
        "detail": json.dumps(dict(action.detail), ensure_ascii=False),
    }
