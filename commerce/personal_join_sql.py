"""Boxes of personal events when several ids become one person, and when they become several persons again.

A socket may have been opened under either id, and has seen numbers of that id's box. What nobody has acknowledged
moves into the box of whoever goes on, under numbers above all that any of these sockets can have seen:

    elder's box   1 2 3 4*          (* not acknowledged)        elder's box   … 8* 9*   base 7, last 9
    younger's box 1 2 3 4 5 6* 7     ──── they are one ────▶    younger's box joined to it, last 9

`first_box` and `first_seq` of a moved event say where it was: an acknowledgement that was on its way names the old
number, so one up to `base` is for those that were first in the box of the id that gave it. `folded` is how far a joined
box was emptied: a process that has not heard yet may write to it, and that moves with the next look. When the ids part
again, what was first in a box and still waits goes back to it.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, text

_ROWS = text("SELECT box, last, acked, base, folded, joined FROM personal_box WHERE box IN :boxes").bindparams(
    bindparam("boxes", expanding=True)
)
_MARKED = text("SELECT box FROM personal_box WHERE box IN :boxes AND (base > 0 OR joined IS NOT NULL)").bindparams(
    bindparam("boxes", expanding=True)
)
_LOCK = text("UPDATE personal_box SET last = last WHERE box = :box")
_MAKE = text("INSERT INTO personal_box (box, last, acked) VALUES (:box, 0, 0) ON CONFLICT (box) DO NOTHING")
_UNREAD = text(
    "SELECT p.event, p.box, p.seq, p.first_box, p.first_seq FROM personal AS p JOIN personal_box AS b ON b.box = p.box"
    " WHERE p.box IN :boxes AND p.seq > b.acked ORDER BY p.created_ms, p.box, p.seq"
).bindparams(bindparam("boxes", expanding=True))
_MOVE = text(
    "UPDATE personal SET box = :box, seq = :seq, first_box = :first_box, first_seq = :first_seq WHERE event = :event"
)
_GO_ON = text(
    "UPDATE personal_box SET last = :last, acked = :base, base = :base, folded = :last, joined = NULL WHERE box = :box"
)
_GROW = text("UPDATE personal_box SET last = :last WHERE box = :box")
_JOIN = text("UPDATE personal_box SET last = :last, acked = :last, folded = :last, joined = :into WHERE box = :box")
_PART = text("UPDATE personal_box SET last = :last, folded = :last, joined = NULL WHERE box = :box")
_UNMARK = text("UPDATE personal_box SET base = 0 WHERE box = :box")
_STRAY = text(
    "SELECT p.event, p.box, p.first_box, p.seq FROM personal AS p JOIN personal_box AS b ON b.box = p.box"
    " WHERE p.seq > b.acked AND p.first_box IS NOT NULL"
    " AND ((p.box IN :boxes AND p.first_box NOT IN :boxes) OR (p.first_box IN :boxes AND p.box NOT IN :boxes))"
    " ORDER BY p.seq"
).bindparams(bindparam("boxes", expanding=True))
_BACK = text(
    "UPDATE personal SET box = first_box, seq = first_seq, first_box = NULL, first_seq = NULL WHERE box = :box"
    " AND first_box = :first AND first_seq <= :upto AND seq > :acked"
)
_ACKNOWLEDGE = text(
    "UPDATE personal_box SET acked = CASE WHEN last < :upto THEN last ELSE :upto END WHERE box = :box AND acked < :upto"
)


def marked(db: Connection, boxes: Sequence[str]) -> set[str]:
    """Which of these boxes were joined to one another once."""
    return set(db.execute(_MARKED, {"boxes": list(boxes)}).scalars()) if boxes else set()


def unsettled(db: Connection, boxes: Sequence[str]) -> bool:
    """Whether the boxes of a person's ids, that of whoever goes on first, are not one yet."""
    found = _rows(db, boxes)
    if len(boxes) == 1:
        row = found.get(boxes[0])
        return row is not None and (row.base > 0 or row.joined is not None)
    head = found.get(boxes[0])
    return (head is not None and head.joined is not None) or any(
        row.joined != boxes[0] or row.last > row.folded for box, row in found.items() if box != boxes[0]
    )


def settle(db: Connection, boxes: Sequence[str]) -> None:
    """Make one of the boxes of a person's ids, and give back what belongs to ids that are theirs no more."""
    db.execute(_MAKE, {"box": boxes[0]})
    db.execute(_LOCK, [{"box": box} for box in sorted(boxes)])
    _part(db, boxes)
    if len(boxes) > 1 and unsettled(db, boxes):
        _fold(db, boxes)


def acknowledge(db: Connection, box: str, boxes: Sequence[str], upto: int) -> None:
    """Take an acknowledgement that was given under the id of ``box``, one of a person's ``boxes``."""
    settle(db, boxes)
    head = _rows(db, boxes)[boxes[0]]
    if upto > head.base:
        db.execute(_ACKNOWLEDGE, {"box": boxes[0], "upto": upto})
    else:
        # Back where it was it is an event that was acknowledged, as others are.
        db.execute(_BACK, {"box": boxes[0], "first": box, "upto": upto, "acked": head.acked})


def _rows(db: Connection, boxes: Sequence[str]) -> dict[str, Any]:
    # PostgreSQL knows no type for a list of nothing.
    return {row.box: row for row in db.execute(_ROWS, {"boxes": list(boxes)})} if boxes else {}


def _fold(db: Connection, boxes: Sequence[str]) -> None:
    found, into = _rows(db, boxes), boxes[0]
    others = found.keys() - {into}
    base = max(row.last for row in found.values())
    # What is here under numbers of both stays under them; a box that comes anew has others' numbers.
    anew = found[into].joined is not None or any(found[box].joined != into for box in others)
    unread = db.execute(_UNREAD, {"boxes": list(boxes) if anew else sorted(others)}).all()
    moves = [
        {
            "event": row.event,
            "box": into,
            "seq": base + number,
            "first_box": row.first_box or row.box,
            "first_seq": row.first_seq or row.seq,
        }
        for number, row in enumerate(unread, 1)
    ]
    if moves:
        db.execute(_MOVE, moves)
    last = base + len(moves)
    db.execute(_GO_ON if anew else _GROW, {"box": into, "base": base, "last": last})
    for box in sorted(others):
        db.execute(_JOIN, {"box": box, "last": last, "into": into})


def _part(db: Connection, boxes: Sequence[str]) -> None:
    """Send home what is here and not theirs, and bring home what is theirs and elsewhere."""
    found = _rows(db, boxes)
    strays = db.execute(_STRAY, {"boxes": list(boxes)}).all()
    homes = {row.first_box for row in strays} | {
        box for box, row in found.items() if row.joined is not None and row.joined not in boxes
    }
    known = _rows(db, sorted({*homes, *(row.box for row in strays), *(_joined(found, homes))}))
    for home in sorted(homes & known.keys()):
        theirs = [row for row in strays if row.first_box == home]
        away = {row.box for row in theirs} | ({known[home].joined} - {None})
        last = max(known[box].last for box in {home, *away} & known.keys())
        moves = [
            {"event": row.event, "box": home, "seq": last + number, "first_box": None, "first_seq": None}
            for number, row in enumerate(theirs, 1)
        ]
        if moves:
            db.execute(_MOVE, moves)
        db.execute(_PART, {"box": home, "last": last + len(moves)})
    if len(boxes) == 1:
        db.execute(_UNMARK, {"box": boxes[0]})


def _joined(found: dict[str, Any], homes: set[str]) -> list[str]:
    return [row.joined for box, row in found.items() if box in homes and row.joined is not None]
