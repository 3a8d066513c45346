"""What tills took, read for those who run the shop: by store and day, what waits, counts of drawers, who sold.

Days of takings are those of the books (when it was booked); what was sold is told by the tills' own clocks.
"""

# ruff: noqa: S608 - the queries are put together of this module's constants.

from typing import Any

from sqlalchemy import Connection, bindparam, text

from commerce.domain.day import DAY_MS
from commerce.domain.ids import AFTER_ALL
from commerce.domain.takings import TENDERS

LIST_MAX = 500
SHANGHAI_MS = 8 * 3_600_000
_DAY = f"({{0}} + {SHANGHAI_MS}) / {DAY_MS}"
_SUM = "CAST(coalesce(sum({0}), 0) AS bigint)"
_IN = "WHERE {0}.merchant = :merchant AND {0}.booked_ms >= :since AND {0}.booked_ms < :until"
_SALES = text(
    f"SELECT s.outlet, {_DAY.format('s.booked_ms')} AS day, count(*) AS receipts,"
    f" {_SUM.format('s.amount + s.discount')} AS gross, {_SUM.format('s.discount')} AS discount,"
    f" {_SUM.format('s.amount')} AS amount, {_SUM.format('s.tax')} AS tax, {_SUM.format('s.cost')} AS cost"
    f" FROM pos_receipt AS s {_IN.format('s')} GROUP BY s.outlet, {_DAY.format('s.booked_ms')}"
)
_REFUNDS = text(
    f"SELECT b.outlet, {_DAY.format('b.booked_ms')} AS day, count(*) AS refunds,"
    f" {_SUM.format('b.amount')} AS refunded, {_SUM.format('b.tax')} AS tax, {_SUM.format('b.cost')} AS cost"
    f" FROM pos_refund AS b {_IN.format('b')} GROUP BY b.outlet, {_DAY.format('b.booked_ms')}"
)
_TENDERS = text(
    f"SELECT t.outlet, {_DAY.format('t.booked_ms')} AS day, t.tender, {_SUM.format('t.amount')} AS amount"
    f" FROM pos_tender AS t {_IN.format('t')} GROUP BY t.outlet, {_DAY.format('t.booked_ms')}, t.tender"
)
_NAMES = text("SELECT id, name, closed_ms FROM outlet WHERE merchant = :merchant")
_WAITS_FOR = "WHERE {0}.merchant = :merchant AND {0}.booked_ms IS NULL AND {0}.id > :after ORDER BY {0}.id LIMIT :limit"
_WAITING = text(
    "SELECT * FROM (SELECT * FROM (SELECT 'sale' AS kind, s.id AS ref, s.id AS receipt, s.outlet, s.number, s.amount,"
    f" s.sold_ms AS at_ms, s.received_ms FROM pos_receipt AS s {_WAITS_FOR.format('s')}) AS sales"
    " UNION ALL SELECT * FROM (SELECT 'refund' AS kind, b.id AS ref, b.receipt, b.outlet, b.number, b.amount,"
    f" b.refunded_ms AS at_ms, b.received_ms FROM pos_refund AS b {_WAITS_FOR.format('b')}) AS refunds) AS waits"
    " ORDER BY ref LIMIT :limit"
)
_COSTS = text(
    "SELECT ref, CAST(sum(-cost) AS bigint) AS cost FROM stock_entry WHERE merchant = :merchant AND ref IN :refs"
    " AND kind IN ('till', 'returned') AND created_ms >= :since AND created_ms <= :until GROUP BY ref"
).bindparams(bindparam("refs", expanding=True))
_WAITS = text(
    "SELECT outlet, count(*) AS waiting, CAST(sum(amount) AS bigint) AS amount, min(received_ms) AS oldest_ms FROM"
    " (SELECT outlet, amount, received_ms FROM pos_receipt WHERE merchant = :merchant AND booked_ms IS NULL"
    " UNION ALL SELECT outlet, -amount, received_ms FROM pos_refund WHERE merchant = :merchant AND booked_ms IS NULL)"
    " AS waits GROUP BY outlet"
)
_CASH = text(
    "SELECT outlet, CAST(sum(amount) AS bigint) AS cash FROM pos_tender WHERE merchant = :merchant AND tender = 'cash'"
    " AND till_close IS NULL GROUP BY outlet"
)
_LAST = text(
    "SELECT c.* FROM till_close AS c WHERE c.merchant = :merchant"
    " AND c.day = (SELECT max(n.day) FROM till_close AS n WHERE n.outlet = c.outlet)"
)
_CLOSES = text(
    "SELECT c.*, o.name FROM till_close AS c JOIN outlet AS o ON o.id = c.outlet WHERE c.merchant = :merchant"
    " AND c.id < :before AND (:outlet = '' OR c.outlet = :outlet) ORDER BY c.id DESC LIMIT :limit"
)


def read_takings(db: Connection, merchant: str, since_ms: int, until_ms: int) -> list[dict[str, Any]]:
    """What was booked for each store and day: sales, discounts, tax, refunds, cost, margin (分) and tenders."""
    asked = {"merchant": merchant, "since": since_ms, "until": until_ms}
    names = {row.id: row.name for row in db.execute(_NAMES, {"merchant": merchant})}
    found: dict[tuple[int, str], dict[str, Any]] = {}

    def of(row: Any) -> dict[str, Any]:
        blank = dict.fromkeys(("receipts", "gross", "discount", "amount", "refunds", "refunded", "tax", "cost"), 0)
        start = {"day": int(row.day), "outlet": row.outlet, "name": names[row.outlet]}
        return found.setdefault(
            (int(row.day), row.outlet), start | blank | {"tenders": dict.fromkeys(TENDERS, 0)}
        )  # fmt: skip

    for row in db.execute(_SALES, asked):
        part = {name: int(getattr(row, name)) for name in ("gross", "discount", "amount", "tax", "cost")}
        of(row).update(part, receipts=row.receipts)
    for row in db.execute(_REFUNDS, asked):
        one = of(row)
        one["tax"] -= int(row.tax)
        one["cost"] -= int(row.cost)
        one.update(refunds=row.refunds, refunded=int(row.refunded))
    for row in db.execute(_TENDERS, asked):
        of(row)["tenders"][row.tender] = int(row.amount)
    for one in found.values():
        one["revenue"] = one["amount"] - one["refunded"] - one["tax"]
        one["margin"] = one["revenue"] - one["cost"]
    return [found[key] for key in sorted(found)]


def read_waiting(db: Connection, merchant: str, after: str, limit: int) -> list[dict[str, Any]]:
    """Sales and refunds whose takings nobody told of, oldest first, with what their goods cost (refunds: below 0)."""
    asked = {"merchant": merchant, "after": after, "limit": min(limit, LIST_MAX)}
    rows = [dict(row) for row in db.execute(_WAITING, asked).mappings()]
    times = [row["received_ms"] for row in rows]
    costs: dict[str, int] = {}
    if rows:
        span = {"merchant": merchant, "since": min(times), "until": max(times)}
        costs = {row.ref: int(row.cost) for row in db.execute(_COSTS, span | {"refs": [row["ref"] for row in rows]})}
    return [{**row, "cost": costs.get(row["ref"], 0)} for row in rows]


def read_drawers(db: Connection, merchant: str) -> list[dict[str, Any]]:
    """Each store's drawer: what should be in it, when it was counted last, and what waits for its takings."""
    cash = {row.outlet: int(row.cash) for row in db.execute(_CASH, {"merchant": merchant})}
    last = {row.outlet: row for row in db.execute(_LAST, {"merchant": merchant})}
    waits = {row.outlet: row for row in db.execute(_WAITS, {"merchant": merchant})}
    made = []
    for outlet in db.execute(_NAMES, {"merchant": merchant}):
        closed, wait = last.get(outlet.id), waits.get(outlet.id)
        opening = 0 if closed is None else closed.counted - closed.banked
        if outlet.closed_ms is not None and not (opening or cash.get(outlet.id) or wait):
            continue
        made.append(
            {
                "outlet": outlet.id,
                "name": outlet.name,
                "opening": opening,
                "cash": cash.get(outlet.id, 0),
                "expected": opening + cash.get(outlet.id, 0),
                "closed": None if closed is None else closed.day,
                "waiting": 0 if wait is None else wait.waiting,
                "waiting_amount": 0 if wait is None else int(wait.amount),
                "oldest_ms": None if wait is None else wait.oldest_ms,
            }
        )
    return sorted(made, key=lambda one: one["outlet"])


def read_till_closes(
    db: Connection, merchant: str, outlet: str, before: str | None, limit: int
) -> list[dict[str, Any]]:  # fmt: skip
    """Counts of drawers, newest first; of one store when one is named."""
    asked = {"merchant": merchant, "outlet": outlet, "before": before or AFTER_ALL, "limit": min(limit, LIST_MAX)}
    return [dict(row) for row in db.execute(_CLOSES, asked).mappings()]
