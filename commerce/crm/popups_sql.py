"""Pop-ups: what shows itself to a viewer, as often as its caps allow; inside the caller's transaction.

How often somebody saw one is kept under the id that they had then and summed over all their ids: a merge never raises
a cap.
"""

from collections.abc import Sequence
from typing import Any

import orjson
from sqlalchemy import Connection, bindparam, text

from commerce.crm import tags_sql
from commerce.crm.condition_sql import day_number
from commerce.domain.condition import read_condition
from commerce.errors import NotFound, Refused

Row = dict[str, Any]

POPUPS_MAX = 50
"""Pop-ups of a shop whose time is not over."""
LIST_MAX = 100

_ADD = text(
    "INSERT INTO popup (id, merchant, room, title, body, condition, per_day, total, from_ms, until_ms, active, staff,"
    " created_ms) VALUES (:id, :merchant, :room, :title, :body, :condition, :per_day, :total, :from_ms, :until_ms,"
    " true, :staff, :now)"
)
_COUNT = text("SELECT count(*) FROM popup WHERE merchant = :merchant AND until_ms > :now")
_LIST = text(
    "SELECT p.*, coalesce(s.n, 0) AS shown, coalesce(s.clicks, 0) AS clicks, coalesce(s.people, 0) AS people"
    " FROM popup AS p LEFT JOIN (SELECT s.popup, sum(s.n) AS n, sum(s.clicks) AS clicks,"
    " count(DISTINCT s.person) AS people FROM popup AS o CROSS JOIN popup_shown AS s"
    " WHERE o.merchant = :merchant AND s.popup = o.id GROUP BY s.popup) AS s ON s.popup = p.id"
    " WHERE p.merchant = :merchant ORDER BY p.id DESC LIMIT :limit"
)
_TURN = text("UPDATE popup SET active = :active WHERE id = :id AND merchant = :merchant")
_OPEN = text(
    "SELECT * FROM popup WHERE merchant = :merchant AND active AND from_ms <= :now AND until_ms > :now"
    " AND room IN ('', :room) ORDER BY created_ms DESC, id"
)
_SEEN = text(
    "SELECT coalesce(sum(n), 0) AS total, coalesce(sum(CASE WHEN day = :day THEN n ELSE 0 END), 0) AS today"
    " FROM popup_shown WHERE popup = :popup AND person IN :people"
).bindparams(bindparam("people", expanding=True))
_SHOWN = text(
    "INSERT INTO popup_shown (popup, person, day, n) VALUES (:popup, :person, :day, 1)"
    " ON CONFLICT (popup, person, day) DO UPDATE SET n = popup_shown.n + 1"
)
_CLICK = text(
    "UPDATE popup_shown SET clicks = clicks + 1 WHERE popup = :popup AND person IN :people AND day = :day"
    " AND EXISTS (SELECT 1 FROM popup WHERE id = :popup AND merchant = :merchant)"
).bindparams(bindparam("people", expanding=True))


def add(db: Connection, **row: Any) -> None:
    """Keep a pop-up. Raises Refused (limit)."""
    if db.execute(_COUNT, {"merchant": row["merchant"], "now": row["now"]}).scalar_one() >= POPUPS_MAX:
        raise Refused("limit", f"a shop has at most {POPUPS_MAX} pop-ups at a time")
    db.execute(_ADD, row)


def popups(db: Connection, merchant: str) -> list[Row]:
    """A merchant's pop-ups, newest first, with how often they were shown and clicked."""
    found = db.execute(_LIST, {"merchant": merchant, "limit": LIST_MAX}).mappings()
    return [{**row, "active": bool(row["active"])} for row in found]


def turn(db: Connection, merchant: str, popup: str, *, active: bool) -> None:
    """Switch a pop-up on or off. Raises NotFound."""
    if not db.execute(_TURN, {"id": popup, "merchant": merchant, "active": active}).rowcount:
        raise NotFound("no such pop-up")


def open_in(db: Connection, merchant: str, room: str, now_ms: int) -> bool:
    """Whether there is a pop-up for anybody in a room now."""
    return db.execute(_OPEN, {"merchant": merchant, "room": room, "now": now_ms}).first() is not None


def show(db: Connection, merchant: str, room: str, person: str, people: Sequence[str], now_ms: int) -> Row | None:
    """The newest pop-up that a person may see now, counted as shown; ``people`` are all ids that they have had."""
    day = day_number(now_ms)
    for row in db.execute(_OPEN, {"merchant": merchant, "room": room, "now": now_ms}).mappings().all():
        seen = db.execute(_SEEN, {"popup": row["id"], "people": list(people), "day": day}).one()
        if seen.today >= row["per_day"] or seen.total >= row["total"]:
            continue
        condition = row["condition"]
        if condition and not tags_sql.meeting(db, merchant, read_condition(orjson.loads(condition)), now_ms, [person]):
            continue
        db.execute(_SHOWN, {"popup": row["id"], "person": person, "day": day})
        return dict(row)
    return None


def click(db: Connection, merchant: str, popup: str, people: Sequence[str], now_ms: int) -> bool:
    """Count a click on what was shown today; whether it was."""
    asked = {"popup": popup, "people": list(people), "day": day_number(now_ms), "merchant": merchant}
    return bool(db.execute(_CLICK, asked).rowcount)
