"""What staff decided about a room, as the room says it: who may write, slow mode, words, mutes, the pinned notice.

The bytes are the room's affair; here they have a name, a person whom they may be about, and an end (Unix ms).
"""

from collections.abc import Callable

from sqlalchemy import Connection, text

from commerce.store_sql import Store

Clock = Callable[[], int]

RULES_MAX = 10_000
"""Read of one room: its mutes above all, of which a gate keeps no more."""

_PUT = text(
    "INSERT INTO room_rule (room, name, person, until_ms, body, created_ms)"
    " VALUES (:room, :name, :person, :until_ms, :body, :now)"
    " ON CONFLICT (room, name) DO UPDATE SET person = excluded.person, until_ms = excluded.until_ms,"
    " body = excluded.body, created_ms = excluded.created_ms"
)
_REMOVE = text("DELETE FROM room_rule WHERE room = :room AND name = :name")
# What is over goes with the next decision.
_FORGET = text("DELETE FROM room_rule WHERE until_ms <= :now")
_OF_ROOM = text(
    "SELECT body FROM room_rule WHERE room = :room AND until_ms > :now ORDER BY created_ms DESC, name LIMIT :limit"
)


class RoomRules:
    """Decisions in the shop's database; a write returns when it is synced."""

    def __init__(self, store: Store, *, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def put(self, room: str, name: str, said: bytes, until_ms: int, person: str) -> None:
        """Write down a decision, in place of the one of that name. Raises ``IntegrityError`` for an unknown room."""
        now_ms = self._clock()
        row = {"room": room, "name": name, "person": person, "until_ms": until_ms, "body": said.decode(), "now": now_ms}

        def change(db: Connection) -> None:
            db.execute(_FORGET, {"now": now_ms})
            db.execute(_PUT, row)

        await self._store.write(change)

    async def remove(self, room: str, name: str) -> None:
        """Forget a decision; none there is fine."""

        def change(db: Connection) -> None:
            db.execute(_REMOVE, {"room": room, "name": name})

        await self._store.write(change)

    async def of_room(self, room: str) -> list[bytes]:
        """Read what still holds in a room, oldest first."""
        query = {"room": room, "now": self._clock(), "limit": RULES_MAX}

        def read(db: Connection) -> list[bytes]:
            return [row.body.encode() for row in db.execute(_OF_ROOM, query)]

        return (await self._store.read(read))[::-1]
