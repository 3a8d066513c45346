"""Invariants of what tills took: tenders and receipts, tax given back, stored value, drawers, and their accounts."""

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Connection, text

from commerce.audit_aftersale_sql import Check
from commerce.domain.chart import AT_TILLS, DRAWERS

# ruff: noqa: S608 - the queries are constants.

_BOOKED = (
    "SELECT id AS ref, id AS receipt, merchant, outlet, amount, tax, cost, booked_ms FROM pos_receipt"
    " UNION ALL SELECT id, receipt, merchant, outlet, -amount, tax, cost, booked_ms FROM pos_refund"
)
TILLS = (
    Check(
        "tills: tenders come to the receipts and refunds that are booked, and to no others",
        "SELECT count(*) AS tenders, coalesce(sum(amount), 0) AS amount,"
        " (SELECT count(*) FROM pos_receipt WHERE booked_ms IS NULL) AS sales_waiting,"
        " (SELECT count(*) FROM pos_refund WHERE booked_ms IS NULL) AS refunds_waiting FROM pos_tender",
        "SELECT b.ref, b.amount, coalesce(t.amount, 0) AS of_tenders FROM"
        f" ({_BOOKED}) AS b LEFT JOIN (SELECT ref, sum(amount) AS amount FROM pos_tender GROUP BY ref) AS t"
        " ON t.ref = b.ref WHERE coalesce(t.amount, 0) <> CASE WHEN b.booked_ms IS NULL THEN 0 ELSE b.amount END"
        " UNION ALL SELECT t.ref, t.amount, 0 FROM pos_tender AS t LEFT JOIN"
        f" ({_BOOKED}) AS b ON b.ref = t.ref AND b.receipt = t.receipt AND b.merchant = t.merchant"
        " AND b.outlet = t.outlet AND b.booked_ms = t.booked_ms WHERE b.ref IS NULL",
    ),
    Check(
        "tills: a refund is booked after its sale, and gives back no more tax, cost or tender than there was",
        "SELECT count(*) AS refunds, coalesce(sum(tax), 0) AS tax FROM pos_refund WHERE booked_ms IS NOT NULL",
        "SELECT s.id, s.amount, s.tax, b.amount AS back, b.tax AS tax_back FROM (SELECT receipt, sum(amount) AS amount,"
        " sum(tax) AS tax, min(booked_ms) AS first_ms FROM pos_refund WHERE booked_ms IS NOT NULL GROUP BY receipt)"
        " AS b LEFT JOIN pos_receipt AS s ON s.id = b.receipt WHERE s.booked_ms IS NULL OR s.booked_ms > b.first_ms"
        " OR b.tax > s.tax OR (b.amount = s.amount AND b.tax <> s.tax)"
        " UNION ALL SELECT receipt, sum(amount), 0, sum(bonus), 0 FROM pos_tender GROUP BY receipt,"
        " CASE tender WHEN 'stored' THEN 1 ELSE 0 END HAVING sum(amount) < 0 OR sum(bonus) < 0",
    ),
    Check(
        "tills: stored value that paid there left its member's account, with its bonus",
        "SELECT count(*) AS tenders, coalesce(sum(amount), 0) AS amount FROM pos_tender WHERE tender = 'stored'",
        "SELECT t.ref, t.amount, t.bonus, coalesce(e.amount, 0) AS by_entries FROM pos_tender AS t LEFT JOIN"
        " (SELECT ref, merchant, sum(amount) AS amount, sum(CASE kind WHEN 'bonus_spent' THEN amount ELSE 0 END)"
        " AS bonus FROM entry WHERE why = 'till' AND kind IN ('stored_spent', 'bonus_spent') GROUP BY ref, merchant)"
        " AS e ON e.ref = t.ref AND e.merchant = t.merchant WHERE t.tender = 'stored'"
        " AND (coalesce(e.amount, 0) <> t.amount OR coalesce(e.bonus, 0) <> t.bonus)"
        " UNION ALL SELECT e.ref, 0, 0, sum(e.amount) FROM entry AS e WHERE e.why = 'till' AND NOT EXISTS"
        " (SELECT 1 FROM pos_tender AS t WHERE t.ref = e.ref AND t.tender = 'stored') GROUP BY e.ref",
    ),
    Check(
        "tills: a count of a drawer begins where the last one ended, and has the cash that came between",
        "SELECT count(*) AS counts, coalesce(sum(difference), 0) AS difference, coalesce(sum(banked), 0) AS banked"
        " FROM till_close",
        "SELECT c.id, c.outlet, c.day, c.opening, c.cash, coalesce(t.amount, 0) AS booked FROM (SELECT id, outlet,"
        " merchant, day, opening, cash, lag(counted - banked, 1, 0) OVER (PARTITION BY outlet ORDER BY day) AS before"
        " FROM till_close) AS c LEFT JOIN (SELECT till_close, outlet, merchant, sum(amount) AS amount FROM pos_tender"
        " WHERE till_close IS NOT NULL GROUP BY till_close, outlet, merchant) AS t ON t.till_close = c.id"
        " AND t.outlet = c.outlet AND t.merchant = c.merchant"
        " WHERE c.opening <> c.before OR c.cash <> coalesce(t.amount, 0)"
        " UNION ALL SELECT t.till_close, t.outlet, '', 0, 0, t.amount FROM pos_tender AS t LEFT JOIN till_close AS c"
        " ON c.id = t.till_close WHERE t.till_close IS NOT NULL AND (c.id IS NULL OR c.outlet <> t.outlet)",
    ),
)
_THERE = text(
    "SELECT CAST(coalesce((SELECT sum(-e.cost) FROM stock_entry AS e JOIN pos_receipt AS s ON s.id = e.ref"
    " WHERE e.merchant = :merchant AND e.kind = 'till' AND s.booked_ms IS NULL), 0)"
    " - coalesce((SELECT sum(e.cost) FROM stock_entry AS e JOIN pos_refund AS b ON b.id = e.ref"
    " WHERE e.merchant = :merchant AND e.kind = 'returned' AND b.booked_ms IS NULL), 0) AS bigint) AS waiting,"
    " CAST(coalesce((SELECT sum(amount) FROM pos_tender WHERE merchant = :merchant AND tender = 'cash'"
    " AND till_close IS NULL), 0) + coalesce((SELECT sum(c.counted - c.banked) FROM till_close AS c"
    " WHERE c.merchant = :merchant AND c.day = (SELECT max(n.day) FROM till_close AS n WHERE n.outlet = c.outlet)), 0)"
    " AS bigint) AS drawers"
)


def till_faults(
    db: Connection, merchant: str, balances: Mapping[str, int], corrected: Mapping[str, int]
) -> Iterator[dict[str, Any]]:
    """Where the books' waiting cost is not that of what waits, or their cash not what should be in the drawers.

    What a correction moved on purpose is left out.
    """
    there = db.execute(_THERE, {"merchant": merchant}).one()
    for account, amount in ((AT_TILLS, int(there.waiting)), (DRAWERS, int(there.drawers))):
        booked = balances.get(account, 0) - corrected.get(account, 0)
        if booked != amount:
            yield {"merchant": merchant, "account": account, "booked": booked, "there": amount}
