# ruff: noqa: S608 (statements are put together from this module's constants alone)
"""The board's figures, aggregated in the databases: traffic from ``touches.db``, sales from the shop's.

Orders of a period are a range of the primary key, as ids begin with their time. Neither query brings back rows per
touch or order, only totals and one page of orders.
"""

from collections.abc import Mapping

from sqlalchemy import Connection, text

from commerce.attribution.board import ROWS_MAX, BoardOrder, Period, Sales, Sold, Traffic, Visits
from commerce.domain.ids import time_prefix

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
_VALID = f"{_PERIOD} AND reason IS NULL"
_TRAFFIC_BY: Mapping[str, str] = {
    "link": f"SELECT link AS key, max(issuer) AS issuer, max(role) AS role, max(channel) AS channel, {_PERSONS}"
    f" {_VALID} AND link IS NOT NULL GROUP BY link",
    "issuer": f"SELECT issuer AS key, issuer, max(role) AS role, '' AS channel, {_PERSONS} {_VALID}"
    " AND link IS NOT NULL GROUP BY issuer",
    "channel": f"SELECT nullif(channel, '') AS key, NULL AS issuer, '' AS role, channel, {_PERSONS} {_VALID}"
    " GROUP BY channel",
}
_FIELDS = ("link", "issuer", "role", "channel")
_SOLD = (
    "count(*) AS orders, sum(CASE WHEN status NOT IN ('pending', 'cancelled') THEN 1 ELSE 0 END) AS paid,"
    " sum(CASE WHEN status NOT IN ('pending', 'cancelled') THEN amount ELSE 0 END) AS amount"
)
_SALES_BY: Mapping[str, str] = {
    "link": f"SELECT link AS key, max(issuer) AS issuer, max(role) AS role, max(channel) AS channel, {_SOLD}"
    " FROM judged GROUP BY link",
    "issuer": f"SELECT issuer AS key, issuer, max(role) AS role, '' AS channel, {_SOLD} FROM judged GROUP BY issuer",
    "channel": f"SELECT nullif(channel, '') AS key, NULL AS issuer, '' AS role, channel, {_SOLD}"
    " FROM judged GROUP BY nullif(channel, ''), channel",
}
_TOTAL = (
    f"SELECT {_SOLD}, count(DISTINCT person) AS buyers,"
    " count(DISTINCT CASE WHEN status NOT IN ('pending', 'cancelled') THEN person END) AS payers FROM judged"
)
_REPEATERS = (
    "SELECT count(*) FROM"
    " (SELECT person FROM judged WHERE status NOT IN ('pending', 'cancelled')"
    " GROUP BY person HAVING count(*) > 1) AS again"
)


def traffic(db: Connection, period: Period) -> Traffic:
    """Read what the touch log says of a period; ``db`` is the log's."""
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
    )


def sales(db: Connection, period: Period, orders_limit: int) -> Sales:
    """Read what the orders of a period say, with the newest ``orders_limit`` of them; ``db`` is the shop's."""
    asked = {
        "merchant": period.merchant,
        "lowest": time_prefix(period.since_ms),
        "highest": time_prefix(period.until_ms),
        "limit": orders_limit,
    }
    judged = _judged(db)
    total = db.execute(text(f"{judged} {_TOTAL}"), asked).one()
    by = {name: _sold(db, f"{judged} {query}", asked) for name, query in _SALES_BY.items()}
    latest = text(
        f"{judged} SELECT id, person, amount, status, created_ms, link, issuer, role, channel, rule, losers"
        " FROM judged ORDER BY id DESC LIMIT :limit"
    )
    return Sales(
        orders=total.orders,
        paid=total.paid or 0,
        gmv=total.amount or 0,
        buyers=total.buyers,
        payers=total.payers,
        repeaters=db.execute(text(f"{judged} {_REPEATERS}"), asked).scalar_one(),
        latest=[
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
            for row in db.execute(latest, asked)
        ],
        by_link=by["link"],
        by_issuer=by["issuer"],
        by_channel=by["channel"],
    )


def _judged(db: Connection) -> str:
    """Orders of the period with the fields of their stored decision, as a common table expression."""
    if db.dialect.name == "postgresql":
        fields = [f"decision::jsonb #>> '{{winner,{name}}}' AS {name}" for name in _FIELDS]
        fields += ["decision::jsonb ->> 'rule' AS rule", "jsonb_array_length(decision::jsonb -> 'losers') AS losers"]
    else:
        fields = [f"json_extract(decision, '$.winner.{name}') AS {name}" for name in _FIELDS]
        fields += ["json_extract(decision, '$.rule') AS rule", "json_array_length(decision, '$.losers') AS losers"]
    return (
        f"WITH judged AS (SELECT id, person, amount, status, created_ms, {', '.join(fields)} FROM orders"
        # Stored value is not merchandise: it counts when it is spent.
        " WHERE id >= :lowest AND id < :highest AND merchant = :merchant AND kind = 'goods')"
    )


def _visits(db: Connection, query: str, asked: Mapping[str, object]) -> list[Visits]:
    found = db.execute(text(f"{query} ORDER BY entries DESC, visits DESC LIMIT {ROWS_MAX}"), dict(asked))
    return [Visits(row.key, row.issuer, row.role, row.channel, row.visits, row.entries, row.clicks) for row in found]


def _sold(db: Connection, query: str, asked: Mapping[str, object]) -> list[Sold]:
    found = db.execute(text(f"{query} ORDER BY amount DESC, orders DESC LIMIT {ROWS_MAX}"), dict(asked))
    return [
        Sold(row.key, row.issuer, row.role or "", row.channel or "", row.orders, row.paid, row.amount) for row in found
    ]
