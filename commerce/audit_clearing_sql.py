"""Clearing accounts against their open items, matches that come to nothing, providers' balances by their own files."""

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Connection, text

from commerce.audit_aftersale_sql import Check
from commerce.domain.chart import SETTLED
from commerce.domain.clearing import is_clearing
from commerce.settlement_sql import open_items

CLEARED = (
    Check(
        "clearing: what was matched comes to nothing, on one account of one merchant",
        "SELECT count(*) AS items, count(DISTINCT match) AS matches FROM clearing_match",
        "SELECT match, min(account) AS account, sum(amount) AS amount FROM clearing_match GROUP BY match"
        " HAVING sum(amount) <> 0 OR min(account) <> max(account) OR min(merchant) <> max(merchant)",
    ),
    Check(
        "clearing: a file has the lines that it says, and what was closed by hand has its items",
        "SELECT count(*) AS files, CAST(coalesce(sum(lines), 0) AS bigint) AS lines,"
        " (SELECT count(*) FROM clearing) AS closed FROM settlement_file",
        "SELECT f.id, f.lines, f.amount, coalesce(l.n, 0) AS there, coalesce(l.amount, 0) AS comes_to FROM"
        " settlement_file AS f LEFT JOIN (SELECT file, merchant, count(*) AS n, sum(amount) AS amount FROM"
        " settlement_line GROUP BY file, merchant) AS l ON l.file = f.id AND l.merchant = f.merchant"
        " WHERE f.lines <> coalesce(l.n, 0) OR f.amount <> coalesce(l.amount, 0)"
        " UNION ALL SELECT c.id, c.items, c.amount, coalesce(m.n, 0), coalesce(m.amount, 0) FROM clearing AS c"
        " LEFT JOIN (SELECT match, merchant, sum(CASE kind WHEN 'closed' THEN CASE WHEN ref = match THEN 0 ELSE 1 END"
        " ELSE 1 END) AS n, sum(CASE WHEN kind = 'closed' AND ref = match THEN 0 ELSE amount END) AS amount"
        " FROM clearing_match GROUP BY match, merchant) AS m ON m.match = c.id AND m.merchant = c.merchant"
        " WHERE c.items <> coalesce(m.n, 0) OR c.amount <> coalesce(m.amount, 0)",
    ),
)
_BALANCES = text(
    "SELECT f.name, f.closing FROM settlement_file AS f WHERE f.merchant = :merchant AND f.source = 'provider'"
    " AND f.closing IS NOT NULL AND NOT EXISTS (SELECT 1 FROM settlement_file AS n WHERE n.merchant = f.merchant"
    " AND n.source = 'provider' AND n.name = f.name AND n.closing IS NOT NULL AND n.turn > f.turn)"
)
_UNTOLD = text(
    "SELECT count(*) FROM settlement_file WHERE merchant = :merchant AND source = 'provider' AND name = :name"
    " AND closing IS NULL AND lines > 0"
)


def clearing_faults(
    db: Connection, merchant: str, balances: Mapping[str, int], corrected: Mapping[str, int]
) -> Iterator[dict[str, Any]]:
    """Where a clearing account is not its open items, or a provider's balance not what its last file says.

    A balance that a correction moved on purpose is left out; on a clearing account a correction is an item.
    """
    items: dict[str, int] = {}
    for item in open_items(db, merchant):
        items[item.account] = items.get(item.account, 0) + item.amount
    for account in sorted({*items, *filter(is_clearing, balances)}):
        booked, there = balances.get(account, 0), items.get(account, 0)
        if booked != there:
            yield {"merchant": merchant, "account": account, "booked": booked, "open items": there}
    for row in db.execute(_BALANCES, {"merchant": merchant}):
        account = f"{SETTLED}.{row.name}"
        booked = balances.get(account, 0) - corrected.get(account, 0)
        # Files without balances moved it, too: then nobody can say.
        known = not db.execute(_UNTOLD, {"merchant": merchant, "name": row.name}).scalar_one()
        if known and booked != row.closing:
            yield {"merchant": merchant, "account": account, "booked": booked, "file": row.closing}
