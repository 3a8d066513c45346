"""What single people were told in rooms, kept until they acknowledge it: coupons, orders, removals.

A box is a room and a person. Whoever writes to one locks its row first, in the order of boxes, so that several
processes give one sequence in the order of commits, and an event that two of them tell is written once.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, text

from commerce import personal_join_sql as join
from commerce.identity.merge_sql import aliases_of, survivor
from commerce.store_sql import Store

Clock = Callable[[], int]
IdsOf = Callable[[str], Sequence[str]]
"""Gets an id of a person and gives all that they are known by, the one they go on under first."""
Place = tuple[str, str]
"""A room and an id of a person."""

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

    def __init__(
        self,
        store: Store,
        *,
        clock: Clock,
        ids_of: IdsOf = lambda person: (person,),
        ids_in: Callable[[Connection, str], Sequence[str]] | None = None,
    ) -> None:
        """``ids_of`` is what this process has heard, ``ids_in`` what is written down: asked where boxes are joined.

        A process that has not heard of a merge, or of its end, would else take apart what another has just joined.
        """
        self._store = store
        self._clock = clock
        self._ids_of = ids_of
        self._ids_in = ids_in or written_ids
        self._forget_ms = 0

    def _joined(self, db: Connection, places: Iterable[Place]) -> dict[Place, tuple[str, ...]]:
        """The boxes of those who have, or had, several ids: that of whoever goes on first."""
        asked = {place: _box(*place) for place in places}
        marked = join.marked(db, sorted(set(asked.values())))
        several = [place for place, box in asked.items() if box in marked or len(self._ids_of(place[1])) > 1]
        return {place: tuple(_box(place[0], one) for one in self._ids_in(db, place[1])) for place in several}

    async def put(self, posts: Sequence[tuple[str, str, str, bytes]]) -> list[int]:
        """Write (room, person, key, JSON) down; give their sequences. A key that is known gives the sequence it has."""
        now_ms = self._clock()
        forget = now_ms >= self._forget_ms
        rows = [((room, person), key, body.decode()) for room, person, key, body in posts]

        def change(db: Connection) -> list[int]:
            if forget:
                db.execute(_FORGET, {"before": now_ms - KEPT_MS, "limit": FORGOTTEN_MAX})
            joined = self._joined(db, {place for place, _, _ in rows})
            for boxes in sorted(set(joined.values())):
                join.settle(db, boxes)
            heads = {place: boxes[0] for place, boxes in joined.items()}
            return _put(db, [(heads.get(place) or _box(*place), key, body) for place, key, body in rows], now_ms)

        sequences = await self._store.write(change)
        if forget:
            self._forget_ms = now_ms + FORGET_EVERY_MS
        return sequences

    async def acknowledge(self, acknowledged: Sequence[tuple[str, str, int]]) -> None:
        """Bring what each (room, person) has up to a sequence no more; of several the highest counts."""
        rows = sorted(((room, person), upto) for room, person, upto in acknowledged)

        def change(db: Connection) -> None:
            joined = self._joined(db, [place for place, _ in rows])
            asked = [{"box": _box(*place), "upto": upto} for place, upto in rows if place not in joined]
            if asked:
                db.execute(_ACKNOWLEDGE, asked)
            for place, upto in rows:
                if place in joined:
                    join.acknowledge(db, _box(*place), joined[place], upto)

        await self._store.write(change)

    async def waiting(self, places: Sequence[tuple[str, str]]) -> dict[tuple[str, str], list[tuple[int, bytes]]]:
        """What each (room, person) has not acknowledged: sequences and JSON, in order; nothing for who has it all."""
        if not places:
            return {}
        joined = await self._settle(places)
        by_box: dict[str, list[Place]] = {}
        for place in places:
            by_box.setdefault(joined.get(place) or _box(*place), []).append(place)
        query = {"boxes": list(by_box), "newest": NEWEST_MAX, "after": self._clock() - KEPT_MS}
        found: dict[tuple[str, str], list[tuple[int, bytes]]] = {}
        for row in await self._store.read(lambda db: db.execute(_WAITING, query).all()):
            for place in by_box[row.box]:
                found.setdefault(place, []).append((row.seq, row.body.encode()))
        return found

    async def _settle(self, places: Sequence[Place]) -> dict[Place, str]:
        """See that people of several ids have one box, before they are brought what is in it; which one it is."""

        def look(db: Connection) -> tuple[dict[Place, str], bool]:
            joined = self._joined(db, places)
            due = any(join.unsettled(db, boxes) for boxes in joined.values())
            return {place: boxes[0] for place, boxes in joined.items()}, due

        def change(db: Connection) -> dict[Place, str]:
            joined = self._joined(db, places)
            for boxes in sorted(set(joined.values())):
                join.settle(db, boxes)
            return {place: boxes[0] for place, boxes in joined.items()}

        heads, due = await self._store.read(look)
        return await self._store.write(change) if due else heads


def written_ids(db: Connection, person: str) -> Sequence[str]:
    """All ids of a person, the one they go on under first, as it is written down."""
    return list(dict.fromkeys(aliases_of(db, survivor(db, person))))


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
