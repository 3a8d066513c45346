"""Bans of rooms: who may not enter, until when (Unix ms), why and by whom."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, text

from commerce.store_sql import Store

Clock = Callable[[], int]

_PUT = text(
    "INSERT INTO ban (room, person, until_ms, reason, by, created_ms, devices)"
    " VALUES (:room, :person, :until_ms, :reason, :by, :now, :devices)"
    " ON CONFLICT (room, person) DO UPDATE SET until_ms = excluded.until_ms, reason = excluded.reason,"
    " by = excluded.by, created_ms = excluded.created_ms, devices = excluded.devices"
)
_REMOVE = text("DELETE FROM ban WHERE room = :room AND person = :person")
# What is over goes with the next ban: nobody asks for it, and the table stays as small as the rooms' lists.
_FORGET = text("DELETE FROM ban WHERE until_ms <= :now")
_OF_ROOM = text(
    "SELECT room, person, until_ms, reason, by, created_ms, devices FROM ban"
    " WHERE room = :room AND until_ms > :now ORDER BY created_ms, person"
)


@dataclass(frozen=True, slots=True)
class BanRow:
    """One ban as it is written down."""

    room: str
    person: str
    until_ms: int
    reason: str
    by: str
    created_ms: int
    devices: tuple[str, ...] = ()
    """What the person's devices are called: who comes with one of them is kept out, too."""


class Bans:
    """Bans in the shop's database; a write returns when it is synced."""

    def __init__(self, store: Store, *, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def put(
        self, room: str, person: str, until_ms: int, reason: str, by: str, devices: Sequence[str] = ()
    ) -> None:
        """Write down a ban, in place of the one there was. Raises ``IntegrityError`` for a room that there is not."""
        now_ms = self._clock()
        row = {"room": room, "person": person, "until_ms": until_ms, "reason": reason, "by": by, "now": now_ms}
        row["devices"] = " ".join(devices)

        def change(db: Connection) -> None:
            db.execute(_FORGET, {"now": now_ms})
            db.execute(_PUT, row)

        await self._store.write(change)

    async def remove(self, room: str, person: str) -> None:
        """Forget a ban; none there is fine."""

        def change(db: Connection) -> None:
            db.execute(_REMOVE, {"room": room, "person": person})

        await self._store.write(change)

    async def of_room(self, room: str) -> list[BanRow]:
        """Read the bans of a room that still hold, oldest first."""
        query = {"room": room, "now": self._clock()}

        def read(db: Connection) -> list[BanRow]:
            rows = db.execute(_OF_ROOM, query)
            return [
                BanRow(r.room, r.person, r.until_ms, r.reason, r.by, r.created_ms, tuple(r.devices.split()))
                for r in rows
            ]

        return await self._store.read(read)
