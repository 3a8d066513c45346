"""What single people were told in rooms, kept until they acknowledge it: coupons, orders, removals.

A box is a room and a person. Whoever writes to one locks its row first, in the order of boxes, so that several
processes give one sequence in the order of commits, and an event that two of them tell is written once.
"""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, text

from commerce.store_sql import Store

Clock = Callable[[], int]

KEPT_MS = 7 * 24 * 3_600_000
"""How long an event is kept: who has not come for a week reads orders and coupons over the API."""
NEWEST_MAX = 64
"""Events that are brought to one person of a room, the newest."""
FORGET_EVERY_MS = 3_600_000
"""How often the old ones are removed: with the first write of an hour."""
FORGOTTEN_MAX = 10_000
"""How many at a time: some ten milliseconds."""

_MAKE = text("INSERT INTO personal_box (box, last, acked) VALUES (:box, 0, 0) ON CONFLICT (box) DO NOTHING")
_LOCK = text("UPDATE personal_box SET last = last WHERE box = :box")
_LAST = text("SELECT box, last FROM personal_box WHERE box IN :boxes").bindparams(bindparam("boxes", expanding=True))
_KNOWN = text("SELECT event, seq FROM personal WHERE event IN :events").bindparams(bindparam("events", expanding=True))
_ADVANCE = text("UPDATE personal_box SET last = :last WHERE box = :box")
_PUT = text("INSERT INTO personal (box, seq, event, body, created_ms) VALUES (:box, :seq, :event, :body, :now)")
_ACKNOWLEDGE = text(
    "UPDATE personal_box SET acked = CASE WHEN last < :upto THEN last ELSE :upto END WHERE box = :box AND acked < :upto"
)
_WAITING = text(
    "SELECT personal.box AS box, personal.seq AS seq, personal.body AS body FROM personal_box"
    " JOIN personal ON personal.box = personal_box.box"
    " WHERE personal_box.box IN :boxes AND personal_box.acked < personal_box.last"
    " AND personal.seq > personal_box.acked AND personal.seq > personal_box.last - :newest"
    " AND personal.created_ms > :after ORDER BY personal.box, personal.seq"
).bindparams(bindparam("boxes", expanding=True))
_FORGET = text(
    "DELETE FROM personal WHERE event IN"
    " (SELECT event FROM personal WHERE created_ms <= :before ORDER BY created_ms LIMIT :limit)"
)


def _box(room: str, person: str) -> str:
    return f"{room}/{person}"


class PersonalEvents:
    """Personal events in the shop's database; a write returns when it is synced."""

    def __init__(self, store: Store, *, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._forget_ms = 0

    async def put(self, posts: Sequence[tuple[str, str, str, bytes]]) -> list[int]:
        """Write (room, person, key, JSON) down; give their sequences. A key that is known gives the sequence it has."""
        now_ms = self._clock()
        forget = now_ms >= self._forget_ms
        rows = [(_box(room, person), key, body.decode()) for room, person, key, body in posts]

        def change(db: Connection) -> list[int]:
            if forget:
                db.execute(_FORGET, {"before": now_ms - KEPT_MS, "limit": FORGOTTEN_MAX})
            return _put(db, rows, now_ms)

        sequences = await self._store.write(change)
        if forget:
            self._forget_ms = now_ms + FORGET_EVERY_MS
        return sequences

    async def acknowledge(self, acknowledged: Sequence[tuple[str, str, int]]) -> None:
        """Bring what each (room, person) has up to a sequence no more; of several the highest counts."""
        rows = sorted((_box(room, person), upto) for room, person, upto in acknowledged)
        asked = [{"box": box, "upto": upto} for box, upto in rows]

        def change(db: Connection) -> None:
            if asked:
                db.execute(_ACKNOWLEDGE, asked)

        await self._store.write(change)

    async def waiting(self, places: Sequence[tuple[str, str]]) -> dict[tuple[str, str], list[tuple[int, bytes]]]:
        """What each (room, person) has not acknowledged: sequences and JSON, in order; nothing for who has it all."""
        if not places:
            return {}
        by_box = {_box(*place): place for place in places}
        query = {"boxes": list(by_box), "newest": NEWEST_MAX, "after": self._clock() - KEPT_MS}
        found: dict[tuple[str, str], list[tuple[int, bytes]]] = {}
        for row in await self._store.read(lambda db: db.execute(_WAITING, query).all()):
            found.setdefault(by_box[row.box], []).append((row.seq, row.body.encode()))
        return found


def _put(db: Connection, rows: Sequence[tuple[str, str, str]], now_ms: int) -> list[int]:
    if not rows:
        return []
    boxes = [{"box": box} for box in sorted({box for box, _, _ in rows})]
    db.execute(_MAKE, boxes)
    db.execute(_LOCK, boxes)
    last: dict[str, int] = {row.box: row.last for row in db.execute(_LAST, {"boxes": [row["box"] for row in boxes]})}
    events = list({key for _, key, _ in rows})
    sequences: dict[str, int] = {row.event: row.seq for row in db.execute(_KNOWN, {"events": events})}
    new: list[dict[str, Any]] = []
    for box, key, body in rows:
        if key not in sequences:
            last[box] += 1
            sequences[key] = last[box]
            new.append({"box": box, "seq": last[box], "event": key, "body": body, "now": now_ms})
    if new:
        db.execute(_ADVANCE, [{"box": box, "last": last[box]} for box in sorted({row["box"] for row in new})])
        db.execute(_PUT, new)
    return [sequences[key] for _, key, _ in rows]
