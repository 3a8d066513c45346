"""Invariants of what goods cost, of purchase orders and processing runs."""

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Connection, text

from commerce.audit_aftersale_sql import Check
from commerce.domain.chart import GOODS, PURCHASES, WORK

# ruff: noqa: S608 - the queries are constants.

_ON_HAND = "received + adjusted - shipped"
_KEPT = "sku, merchant, received, adjusted, shipped, cost"
_PLACES = f"SELECT '' AS outlet, {_KEPT} FROM stock UNION ALL SELECT outlet, {_KEPT} FROM outlet_stock"
COSTS = (
    Check(
        "costs: what goods on hand cost is what their entries say, and nothing where none is there",
        f"SELECT coalesce(sum(cost), 0) AS cost FROM ({_PLACES}) AS t",
        f"SELECT t.outlet, t.sku, t.cost, coalesce(e.cost, 0) AS cost_by_entries FROM ({_PLACES}) AS t LEFT JOIN"
        " (SELECT outlet, sku, sum(cost) AS cost FROM stock_entry GROUP BY outlet, sku) AS e"
        " ON e.sku = t.sku AND e.outlet = t.outlet WHERE t.cost <> coalesce(e.cost, 0) OR t.cost < 0"
        f" OR ({_ON_HAND} = 0 AND t.cost <> 0)"
        " UNION ALL SELECT outlet, id, cost, 0 FROM stock_entry"
        f" WHERE cost <> 0 AND {_ON_HAND} = 0 AND kind <> 'valued'",
    ),
    Check(
        "purchases: each line has received, sent back and cost what its deliveries say, and its state fits",
        "SELECT count(*) AS lines, coalesce(sum(received), 0) AS received, coalesce(sum(returned), 0) AS returned,"
        " coalesce(sum(amount), 0) AS amount FROM purchase_line",
        "SELECT l.purchase, l.sku, p.state, l.received, l.returned, l.amount FROM purchase_line AS l"
        " LEFT JOIN purchase AS p ON p.id = l.purchase LEFT JOIN (SELECT d.purchase, x.sku,"
        " sum(CASE d.kind WHEN 'receipt' THEN x.units ELSE 0 END) AS received,"
        " sum(CASE d.kind WHEN 'return' THEN x.units ELSE 0 END) AS returned,"
        " sum(CASE d.kind WHEN 'receipt' THEN x.amount ELSE -x.amount END) AS amount"
        " FROM purchase_delivery_line AS x JOIN purchase_delivery AS d ON d.id = x.delivery GROUP BY d.purchase, x.sku)"
        " AS e ON e.purchase = l.purchase AND e.sku = l.sku WHERE p.id IS NULL OR l.received <> coalesce(e.received, 0)"
        " OR l.returned <> coalesce(e.returned, 0) OR l.amount <> coalesce(e.amount, 0)"
        " OR (l.received > 0 AND p.state NOT IN ('partly', 'received'))",
    ),
    Check(
        "purchases: each delivery moved its units and their cost in stock, and comes to its lines",
        "SELECT count(*) AS deliveries, coalesce(sum(amount), 0) AS amount FROM purchase_delivery",
        "SELECT d.id, d.kind, x.sku, x.units, x.amount, e.received FROM purchase_delivery AS d"
        " JOIN purchase_delivery_line AS x ON x.delivery = d.id LEFT JOIN stock_entry AS e ON e.ref = d.id"
        " AND e.sku = x.sku AND e.merchant = d.merchant AND e.kind IN ('purchased', 'sent_back')"
        " WHERE e.id IS NULL OR e.received <> CASE d.kind WHEN 'receipt' THEN x.units ELSE -x.units END"
        " OR (d.kind = 'receipt' AND e.cost <> x.amount)"
        " UNION ALL SELECT d.id, d.kind, '', 0, d.amount, x.amount FROM purchase_delivery AS d LEFT JOIN"
        " (SELECT delivery, sum(amount) AS amount FROM purchase_delivery_line GROUP BY delivery) AS x"
        " ON x.delivery = d.id WHERE x.amount IS NULL OR x.amount <> d.amount",
    ),
    Check(
        "processing: a run's weights and costs add up on both sides, and each line moved its units and cost in stock",
        "SELECT count(*) AS runs, coalesce(sum(in_grams), 0) AS in_grams, coalesce(sum(loss_grams), 0) AS loss_grams,"
        " coalesce(sum(cost), 0) AS cost FROM processing_run",
        "SELECT r.id, r.cost, r.in_grams, r.out_grams, l.cost_in, l.cost_out FROM processing_run AS r LEFT JOIN"
        " (SELECT run, sum(CASE side WHEN 'in' THEN cost ELSE 0 END) AS cost_in,"
        " sum(CASE side WHEN 'out' THEN cost ELSE 0 END) AS cost_out,"
        " sum(CASE side WHEN 'in' THEN grams ELSE 0 END) AS grams_in,"
        " sum(CASE side WHEN 'out' THEN grams ELSE 0 END) AS grams_out FROM processing_line GROUP BY run)"
        " AS l ON l.run = r.id WHERE l.run IS NULL OR l.cost_in <> r.cost OR l.cost_out <> r.cost"
        " OR l.grams_in <> r.in_grams OR l.grams_out <> r.out_grams"
        " UNION ALL SELECT r.id, l.cost, l.units, l.grams, e.cost, e.adjusted FROM processing_line AS l"
        " JOIN processing_run AS r ON r.id = l.run LEFT JOIN stock_entry AS e ON e.ref = l.run AND e.sku = l.sku"
        " AND e.merchant = r.merchant AND e.kind = CASE l.side WHEN 'in' THEN 'processed' ELSE 'yielded' END"
        " WHERE e.id IS NULL OR e.adjusted <> CASE l.side WHEN 'in' THEN -l.units ELSE l.units END"
        " OR e.cost <> CASE l.side WHEN 'in' THEN -l.cost ELSE l.cost END",
    ),
)
_THERE = text(
    f"SELECT CAST(coalesce((SELECT sum(cost) FROM ({_PLACES}) AS t WHERE merchant = :merchant), 0) AS bigint) AS goods,"
    " CAST(coalesce((SELECT sum(CASE kind WHEN 'receipt' THEN amount ELSE -amount END) FROM purchase_delivery"
    " WHERE merchant = :merchant), 0) - coalesce((SELECT sum(amount) FROM supplier_payment"
    " WHERE merchant = :merchant), 0) AS bigint) AS owed"
)
_CORRECTED = text(
    "SELECT account, CAST(sum(amount) AS bigint) AS amount FROM (SELECT debit AS account, amount FROM book_correction"
    " WHERE merchant = :merchant UNION ALL SELECT credit, -amount FROM book_correction WHERE merchant = :merchant"
    " UNION ALL SELECT against, amount FROM clearing WHERE merchant = :merchant AND amount <> 0"
    " UNION ALL SELECT account, -amount FROM clearing WHERE merchant = :merchant)"
    " AS sides GROUP BY account"
)


def read_corrected(db: Connection, merchant: str) -> dict[str, int]:
    """What corrections have moved, account by account, and what accountants closed items of clearing accounts with."""
    return {row.account: int(row.amount) for row in db.execute(_CORRECTED, {"merchant": merchant})}


def cost_faults(
    db: Connection, merchant: str, balances: Mapping[str, int], corrected: Mapping[str, int]
) -> Iterator[dict[str, Any]]:
    """Where the books' goods on hand and debts to suppliers are not what the stock and the purchases say.

    What a correction moved on purpose is left out.
    """
    there = db.execute(_THERE, {"merchant": merchant}).one()
    for account, amount in ((GOODS, int(there.goods)), (PURCHASES, -int(there.owed)), (WORK, 0)):
        booked = balances.get(account, 0) - corrected.get(account, 0)
        if booked != amount:
            yield {"merchant": merchant, "account": account, "booked": booked, "there": amount}
