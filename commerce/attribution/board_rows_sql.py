# ruff: noqa: S608 (statements are put together from this module's constants alone)
"""The rows behind the board's figures: who came, which orders, who came back, what advertisements cost."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, text

from commerce.attribution.ad_list import AdCost, day_text
from commerce.attribution.board import BoardOrder, Period
from commerce.attribution.board_sql import OF_PERIOD, PAID, latest
from commerce.attribution.credits import SHOWN
from commerce.attribution.insight_sql import BOUGHT

_STEPS: Mapping[str, str] = {
    "visit": "",
    "entry": " AND kind = 'room_entry'",
    "click": " AND kind = 'card_click'",
}
_VALID = " AND reason IS NULL"
_TOUCHED: Mapping[str, str] = {
    "": "",
    "link": f"{_VALID} AND link = :key",
    "issuer": f"{_VALID} AND link IS NOT NULL AND issuer = :key",
    "channel": f"{_VALID} AND channel = :key",
    "campaign": f"{_VALID} AND link IS NOT NULL AND campaign = :key",
    "room": " AND room = :key",
    **{name: f" AND {name} = :key" for name in SHOWN},
    "reason": " AND reason = :key",
    "shared": f"{_VALID} AND link IS NOT NULL AND (depth > 0 OR role = 'viewer') AND issuer <> person",
}
_ORDERED: Mapping[str, str] = {
    "": "",
    "link": " AND coalesce(c.link, '') = :key",
    "issuer": " AND coalesce(c.issuer, '') = :key",
    "channel": " AND coalesce(c.channel, '') = :key",
    "campaign": " AND c.link IN (SELECT id FROM link WHERE merchant = :merchant AND campaign = :key)",
    "room": " AND o.room = :key",
    **{
        name: " AND EXISTS (SELECT 1 FROM order_credit AS s WHERE s.order_id = o.id"
        f" AND s.model = '{name}' AND s.issuer = :key)"
        for name in SHOWN
    },
}
_STATES: Mapping[str, str] = {
    "all": "",
    "paid": f" AND {PAID}",
    "repeat": f" AND {PAID} AND o.person IN"
    f" (SELECT o.person {OF_PERIOD} AND {PAID} GROUP BY o.person HAVING count(*) > 1)",
}
STEPS, TOUCHED, ORDERED, STATES = tuple(_STEPS), tuple(_TOUCHED), tuple(_ORDERED), tuple(_STATES)

_RETURNED = text(
    f"{BOUGHT} SELECT began.person, bought.amount FROM began JOIN bought ON bought.person = began.person"
    " WHERE began.week = :week AND bought.week = :week + :later AND began.person > :after"
    " ORDER BY began.person LIMIT :limit"
)
_COSTS = text(
    "SELECT day, campaign, cost, staff, imported_ms FROM ad_cost WHERE merchant = :merchant AND day >= :first"
    " AND day <= :last ORDER BY day, campaign"
)
_WRITE_COST = text(
    "INSERT INTO ad_cost (merchant, day, campaign, cost, staff, imported_ms)"
    " VALUES (:merchant, :day, :campaign, :cost, :staff, :now) ON CONFLICT (merchant, day, campaign)"
    " DO UPDATE SET cost = excluded.cost, staff = excluded.staff, imported_ms = excluded.imported_ms"
)


def people(
    db: Connection, period: Period, step: str, dimension: str, key: str, after: str, limit: int
) -> list[dict[str, Any]]:
    """The persons behind a figure of traffic, by id, with their first and last touch of that kind in the period."""
    query = text(
        "SELECT person, min(ms) AS first, max(ms) AS last, count(*) AS touches FROM touch WHERE merchant = :merchant"
        f" AND ms >= :since AND ms < :until AND person > :after{_STEPS[step]}{_TOUCHED[dimension]}"
        " GROUP BY person ORDER BY person LIMIT :limit"
    )
    asked = {"merchant": period.merchant, "since": period.since_ms, "until": period.until_ms, "key": key}
    return [dict(row) for row in db.execute(query, {**asked, "after": after, "limit": limit}).mappings()]


def orders(
    db: Connection, period: Period, state: str, dimension: str, key: str, before: str, limit: int
) -> list[BoardOrder]:
    """The orders behind a figure of sales, newest first."""
    narrowed = f" AND o.id < :before{_STATES[state]}{_ORDERED[dimension]}"
    return latest(db, period, limit, narrowed, {"before": before, "key": key})


def returned(
    db: Connection, merchant: str, highest: str, week: int, later: int, after: str, limit: int
) -> list[dict[str, Any]]:
    """The persons behind a cohort's cell, by id, with what they paid in that week."""
    asked = {"merchant": merchant, "highest": highest, "week": week, "later": later, "after": after, "limit": limit}
    return [dict(row) for row in db.execute(_RETURNED, asked).mappings()]


def costs(db: Connection, merchant: str, first: int, last: int) -> list[dict[str, Any]]:
    """What advertisements cost on the days from ``first`` to ``last``."""
    found = db.execute(_COSTS, {"merchant": merchant, "first": first, "last": last})
    return [
        {"date": day_text(row.day), "campaign": row.campaign, "cost": row.cost, "imported": row.imported_ms}
        for row in found
    ]


def write_costs(db: Connection, merchant: str, staff: str, rows: Sequence[AdCost], now_ms: int) -> None:
    """Write a list, all of it in this transaction; what is there for a day and campaign is replaced."""
    about = {"merchant": merchant, "staff": staff, "now": now_ms}
    if rows:
        db.execute(_WRITE_COST, [{**about, "day": one.day, "campaign": one.campaign, "cost": one.cost} for one in rows])
