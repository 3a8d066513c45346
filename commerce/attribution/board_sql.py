# ruff: noqa: S608 (statements are put together from this module's constants alone)
"""The board's figures, aggregated in the databases: traffic from the touch log, sales from the shop's.

Whole days of traffic are read from reach (``reach_sql.py``), any other period from the touches themselves. Orders of a
period are a range of the primary key, as ids begin with their time, with whom they credit beside them
(``order_credits_sql.py``). No query brings back rows per touch or order, only totals and one page of orders.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, bindparam, text

from commerce.attribution import reach_sql
from commerce.attribution.board import (
    HOUR_MS,
    ROWS_MAX,
    AtTill,
    BoardOrder,
    Key,
    Period,
    Sales,
    Side,
    Sold,
    StepSold,
    StepVisits,
    Traffic,
    Visits,
)
from commerce.attribution.credits import SHOWN
from commerce.attribution.reach import SHANGHAI_MS, day_of
from commerce.domain.ids import time_prefix
from commerce.freight_sql import BACK, CARRIED, FREIGHT, FREIGHT_BACK, GOODS

_PERIOD = "FROM touch WHERE merchant = :merchant AND ms >= :since AND ms < :until"
_PERSONS = (
    "count(DISTINCT person) AS visits, count(DISTINCT CASE WHEN kind = 'room_entry' THEN person END) AS entries,"
    " count(DISTINCT CASE WHEN kind = 'card_click' THEN person END) AS clicks"
)
_ALL = text(f"SELECT {_PERSONS} {_PERIOD}")
_REJECTED = text(f"SELECT reason, count(*) AS touches {_PERIOD} AND reason IS NOT NULL GROUP BY reason ORDER BY reason")
# A share is a link made from a link, or one that a viewer made; opening one's own brings nobody.
_SHARED = text(
    f"SELECT count(DISTINCT person) {_PERIOD} AND kind = 'room_entry' AND link IS NOT NULL AND reason IS NULL"
    " AND (depth > 0 OR role = 'viewer') AND issuer <> person"
)
_STEPS = text(
    f"SELECT (ms + {SHANGHAI_MS}) / :unit AS step, {_PERSONS} {_PERIOD} GROUP BY (ms + {SHANGHAI_MS}) / :unit"
    " ORDER BY step"
)
_VALID = f"{_PERIOD} AND reason IS NULL"
_TRAFFIC_BY: Mapping[str, str] = {
    "link": f"SELECT link AS key, max(issuer) AS issuer, max(role) AS role, max(channel) AS channel, {_PERSONS}"
    f" {_VALID} AND link IS NOT NULL GROUP BY link",
    "issuer": f"SELECT issuer AS key, issuer, max(role) AS role, '' AS channel, {_PERSONS} {_VALID}"
    " AND link IS NOT NULL GROUP BY issuer",
    "channel": f"SELECT nullif(channel, '') AS key, NULL AS issuer, '' AS role, channel, {_PERSONS} {_VALID}"
    " GROUP BY channel",
    "campaign": f"SELECT campaign AS key, NULL AS issuer, '' AS role, '' AS channel, {_PERSONS} {_VALID}"
    " AND link IS NOT NULL AND campaign <> '' GROUP BY campaign",
    "room": f"SELECT room AS key, NULL AS issuer, '' AS role, '' AS channel, {_PERSONS} {_PERIOD} AND room <> ''"
    " GROUP BY room",
    **{
        name: f"SELECT {name} AS key, NULL AS issuer, '' AS role, '' AS channel, {_PERSONS} {_PERIOD}"
        f" AND {name} <> '' GROUP BY {name}"
        for name in SHOWN
    },
}
_CREDITED = f"FROM orders AS o LEFT JOIN order_credit AS c ON c.order_id = o.id AND c.model = :model {CARRIED}"
# Stored value is not merchandise: it counts when it is spent. All this is in ix_orders_board.
_ORDERS = "WHERE o.id >= :lowest AND o.id < :highest AND o.merchant = :merchant AND o.kind = 'goods'"
OF_PERIOD = f"FROM orders AS o {_ORDERS}"
SOLD_OF_PERIOD = f"FROM orders AS o {CARRIED} {_ORDERS}"
CREDITED_OF_PERIOD = f"{_CREDITED} {_ORDERS}"
PAID = "o.status NOT IN ('pending', 'cancelled')"
_SOLD = (
    f"count(*) AS orders, sum(CASE WHEN {PAID} THEN 1 ELSE 0 END) AS paid,"
    f" sum(CASE WHEN {PAID} THEN {GOODS} ELSE 0 END) AS amount, sum({BACK}) AS refunded,"
    f" sum(CASE WHEN {PAID} THEN {FREIGHT} ELSE 0 END) AS freight, sum({FREIGHT_BACK}) AS freight_refunded"
)
_SALES = text(
    f"SELECT c.link, c.issuer, c.role, c.channel, {_SOLD} {CREDITED_OF_PERIOD}"
    " GROUP BY c.link, c.issuer, c.role, c.channel"
)
# Whom the room of an order was, and what had been watched of what was bought: beside whoever brought the buyer.
_SHOWN_SALES = text(
    f"SELECT s.model, s.issuer, {_SOLD} FROM order_credit AS s JOIN orders AS o ON o.id = s.order_id {CARRIED}"
    f" {_ORDERS} AND s.order_id >= :lowest AND s.order_id < :highest AND s.model IN ('host', 'clip')"
    " GROUP BY s.model, s.issuer"
)
_ROOM_SALES = text(f"SELECT o.room, {_SOLD} {SOLD_OF_PERIOD} GROUP BY o.room")
_BUYERS = text(
    "SELECT count(*) AS buyers, coalesce(sum(CASE WHEN paid > 0 THEN 1 ELSE 0 END), 0) AS payers,"
    " coalesce(sum(CASE WHEN paid > 1 THEN 1 ELSE 0 END), 0) AS repeaters FROM"
    f" (SELECT o.person, sum(CASE WHEN {PAID} THEN 1 ELSE 0 END) AS paid {OF_PERIOD} GROUP BY o.person) AS buyer"
)
# Tills by their own clocks: a sale of yesterday is yesterday's, whenever its till came online.
_RECEIPTS = "FROM pos_receipt AS s WHERE s.merchant = :merchant AND s.sold_ms >= :since AND s.sold_ms < :until"
_ONLINE_SALES = f"SELECT o.person, {GOODS} AS amount, {BACK} AS refunded {SOLD_OF_PERIOD} AND {PAID}"
_TILL_SALES = f"SELECT s.person, s.amount, s.refunded {_RECEIPTS}"
_SIDE = (
    "SELECT coalesce(sum(sales), 0) AS sales, CAST(coalesce(sum(amount), 0) AS bigint) AS amount,"
    " CAST(coalesce(sum(refunded), 0) AS bigint) AS refunded, count(person) AS payers,"
    " coalesce(sum(CASE WHEN person IS NOT NULL AND sales > 1 THEN 1 ELSE 0 END), 0) AS repeaters FROM"
    " (SELECT person, count(*) AS sales, sum(amount) AS amount, sum(refunded) AS refunded FROM ({0}) AS sale"
    " GROUP BY person) AS buyer"
)
_AT_TILLS = text(_SIDE.format(_TILL_SALES))
_TOGETHER = text(_SIDE.format(f"{_ONLINE_SALES} UNION ALL {_TILL_SALES}"))
_TILL_COUNTS = (
    "count(*) AS receipts, count(DISTINCT s.person) AS members, CAST(sum(s.amount) AS bigint) AS amount,"
    " CAST(sum(s.refunded) AS bigint) AS refunded"
)
_BY_OUTLET = text(
    "SELECT s.outlet, (SELECT x.name FROM outlet AS x WHERE x.id = s.outlet) AS name,"
    f" {_TILL_COUNTS} {_RECEIPTS} GROUP BY s.outlet ORDER BY amount DESC, s.outlet LIMIT {ROWS_MAX}"
)
_BY_SELLER = text(
    "SELECT s.seller, coalesce((SELECT min(c.name) FROM pos_code AS c WHERE c.merchant = :merchant"
    f" AND c.issuer = s.seller), '') AS name, {_TILL_COUNTS} {_RECEIPTS} GROUP BY s.seller"
    f" ORDER BY amount DESC, s.seller LIMIT {ROWS_MAX}"
)
_STEP = f"(o.created_ms + {SHANGHAI_MS}) / :unit"
_SOLD_STEPS = text(f"SELECT {_STEP} AS step, {_SOLD} {SOLD_OF_PERIOD} GROUP BY {_STEP} ORDER BY step")
_CAMPAIGNS = text("SELECT id, campaign FROM link WHERE id IN :ids AND campaign <> ''").bindparams(
    bindparam("ids", expanding=True)
)
_CLIPS = text(
    "SELECT c.id, p.title, c.room FROM clip AS c JOIN product AS p ON p.id = c.product"
    " WHERE c.merchant = :merchant AND c.id IN :ids"
).bindparams(bindparam("ids", expanding=True))
_ROOMS = text("SELECT id, title, host_name FROM room WHERE merchant = :merchant")
_COSTS = text(
    "SELECT campaign, sum(cost) AS cost FROM ad_cost WHERE merchant = :merchant AND day >= :first AND day <= :last"
    " GROUP BY campaign"
)
IDS_AT_ONCE = 500
"""Ids in one statement."""


def traffic(db: Connection, period: Period, now_ms: int) -> Traffic:
    """Read what the touch log says of a period; ``db`` is the log's."""
    days = period.whole_days(now_ms)
    if days is None:
        return traffic_of_rows(db, period)
    found = reach_sql.traffic(db, period, *days)
    return found if period.unit_ms != HOUR_MS else _with_hours(db, period, found)


def _with_hours(db: Connection, period: Period, found: Traffic) -> Traffic:
    return replace(found, series=_steps(db, period))


def traffic_of_rows(db: Connection, period: Period) -> Traffic:
    """Count a period touch by touch: what reach must agree with, and the way for parts of days."""
    asked = {"merchant": period.merchant, "since": period.since_ms, "until": period.until_ms}
    everybody = db.execute(_ALL, asked).one()
    by = {name: _visits(db, query, asked) for name, query in _TRAFFIC_BY.items()}
    return Traffic(
        visits=everybody.visits,
        entries=everybody.entries,
        clicks=everybody.clicks,
        shared=db.execute(_SHARED, asked).scalar_one(),
        rejected={row.reason: row.touches for row in db.execute(_REJECTED, asked)},
        by_link=by["link"],
        by_issuer=by["issuer"],
        by_channel=by["channel"],
        by_campaign=by["campaign"],
        by_room=by["room"],
        by_host=by["host"],
        by_clip=by["clip"],
        series=_steps(db, period),
    )


def _steps(db: Connection, period: Period) -> list[StepVisits]:
    asked = {"merchant": period.merchant, "since": period.since_ms, "until": period.until_ms, "unit": period.unit_ms}
    return [StepVisits(row.step, row.visits, row.entries, row.clicks) for row in db.execute(_STEPS, asked)]


def _visits(db: Connection, query: str, asked: Mapping[str, object]) -> list[Visits]:
    found = db.execute(text(f"{query} ORDER BY entries DESC, visits DESC, key LIMIT {ROWS_MAX}"), dict(asked))
    return [Visits(row.key, row.issuer, row.role, row.channel, row.visits, row.entries, row.clicks) for row in found]


def asked_of(period: Period) -> dict[str, object]:
    """The period as the statements on orders take it."""
    return {
        "merchant": period.merchant,
        "lowest": time_prefix(period.since_ms),
        "highest": time_prefix(period.until_ms),
        "model": period.model,
    }


def sales(db: Connection, period: Period, orders_limit: int) -> Sales:
    """Read what the orders of a period say, with the newest ``orders_limit`` of them; ``db`` is the shop's."""
    asked = asked_of(period)
    found = db.execute(_SALES, asked).all()
    campaigns = _campaigns(db, {row.link for row in found if row.link})
    people = db.execute(_BUYERS, asked).one()
    shown = db.execute(_SHOWN_SALES, asked).all()
    asked_at = {"merchant": period.merchant, "since": period.since_ms, "until": period.until_ms}
    costs = {"merchant": period.merchant, "first": day_of(period.since_ms), "last": day_of(period.until_ms - 1)}
    return Sales(
        orders=sum(row.orders for row in found),
        paid=sum(row.paid for row in found),
        gmv=sum(row.amount for row in found),
        refunded=sum(row.refunded for row in found),
        freight=sum(row.freight for row in found),
        freight_refunded=sum(row.freight_refunded for row in found),
        buyers=people.buyers,
        payers=people.payers,
        repeaters=people.repeaters,
        latest=latest(db, period, orders_limit),
        by_link=_sold(found, lambda row: row.link or None, ("issuer", "role", "channel")),
        by_issuer=_sold(found, lambda row: row.issuer, ("issuer", "role")),
        by_channel=_sold(found, lambda row: row.channel or None, ("channel",)),
        by_campaign=_sold(found, lambda row: campaigns.get(row.link), ()),
        by_room=_sold(db.execute(_ROOM_SALES, asked).all(), lambda row: row.room, ()),
        by_host=_sold([row for row in shown if row.model == "host"], lambda row: row.issuer, ()),
        by_clip=_sold([row for row in shown if row.model == "clip"], lambda row: row.issuer, ()),
        series=[
            StepSold(row.step, row.orders, row.paid, row.amount)
            for row in db.execute(_SOLD_STEPS, {**asked, "unit": period.unit_ms})
        ],
        rooms={row.id: (row.title, row.host_name) for row in db.execute(_ROOMS, {"merchant": period.merchant})},
        costs={row.campaign: row.cost for row in db.execute(_COSTS, costs)},
        tills=Side(*(int(n) for n in db.execute(_AT_TILLS, asked_at).one())),
        together=Side(*(int(n) for n in db.execute(_TOGETHER, {**asked, **asked_at}).one())),
        by_outlet=[AtTill(*row) for row in db.execute(_BY_OUTLET, asked_at)],
        by_seller=[AtTill(*row) for row in db.execute(_BY_SELLER, asked_at)],
    )


def clips(db: Connection, merchant: str, ids: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Product and room of some clips; those that were removed are left out."""
    if not ids:
        return {}
    return {row.id: (row.title, row.room) for row in db.execute(_CLIPS, {"merchant": merchant, "ids": list(ids)})}


def _campaigns(db: Connection, links: Iterable[str]) -> dict[str, str]:
    ids = sorted(links)
    found: dict[str, str] = {}
    for start in range(0, len(ids), IDS_AT_ONCE):
        rows = db.execute(_CAMPAIGNS, {"ids": ids[start : start + IDS_AT_ONCE]})
        found |= {row.id: row.campaign for row in rows}
    return found


def _sold(rows: Iterable[Any], key: Callable[[Any], Key], about: tuple[str, ...]) -> list[Sold]:
    """Sum rows under a key; ``about`` is what the key's row says beside the counts, the greatest when it differs."""
    totals: dict[Key, dict[str, Any]] = {}
    for row in rows:
        total = totals.setdefault(
            key(row), {"issuer": "", "role": "", "channel": "", "orders": 0, "paid": 0, "amount": 0, "refunded": 0}
        )
        for name in about:
            total[name] = max(total[name], getattr(row, name) or "")
        for name in ("orders", "paid", "amount", "refunded"):
            total[name] += getattr(row, name)
    made = [Sold(one, **{**total, "issuer": total["issuer"] or None}) for one, total in totals.items()]
    return sorted(made, key=lambda one: (-one.amount, -one.orders, one.key or ""))[:ROWS_MAX]


def latest(
    db: Connection, period: Period, limit: int, narrowed: str = "", more: Mapping[str, object] | None = None
) -> list[BoardOrder]:
    """The newest orders of a period; ``narrowed`` adds a condition (of constants) with what ``more`` binds."""
    if db.dialect.name == "postgresql":
        words = "o.decision::jsonb ->> 'rule' AS rule, jsonb_array_length(o.decision::jsonb -> 'losers') AS losers"
    else:
        words = "json_extract(o.decision, '$.rule') AS rule, json_array_length(o.decision, '$.losers') AS losers"
    query = text(
        f"SELECT o.id, o.person, {GOODS} AS amount, o.status, o.created_ms, nullif(c.link, '') AS link, c.issuer,"
        f" c.role, c.channel, {words} {CREDITED_OF_PERIOD}{narrowed} ORDER BY o.id DESC LIMIT :limit"
    )
    return [
        BoardOrder(
            row.id,
            row.person,
            row.amount,
            row.status,
            row.created_ms,
            row.link,
            row.issuer,
            row.role,
            row.channel,
            row.rule,
            row.losers or 0,
        )
        for row in db.execute(query, {**asked_of(period), "limit": limit, **(more or {})})
    ]
