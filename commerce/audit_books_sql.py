"""The books against what they are made of: read from the beginning, not from the last closed period on.

Also the trail of manual changes: it is of goods that are there, and of the merchant whose goods they are.
"""

from typing import Any

import orjson
from sqlalchemy import Connection, bindparam, text

from commerce.audit_aftersale_sql import Check
from commerce.audit_clearing_sql import clearing_faults
from commerce.audit_purchases_sql import cost_faults, read_corrected
from commerce.audit_tills_sql import till_faults
from commerce.books_sql import read_balances, read_closes
from commerce.domain.chart import CUSTOMERS, LIABILITIES
from commerce.domain.pricing import POINT_FEN

BOOKS = "books: they add up, agree with the accounts, and closed periods read the same"
FOR_EVER_MS = 1 << 52

_MERCHANTS = text(
    "SELECT DISTINCT merchant FROM orders UNION SELECT DISTINCT merchant FROM entry"
    " UNION SELECT DISTINCT merchant FROM stock_entry WHERE cost <> 0"
    " UNION SELECT DISTINCT merchant FROM purchase_delivery"
    " UNION SELECT DISTINCT merchant FROM pos_receipt UNION SELECT DISTINCT merchant FROM till_close"
    " UNION SELECT merchant FROM settlement_file ORDER BY 1"
)
_HELD = text(
    "SELECT CAST(coalesce(sum(balance), 0) AS bigint) AS held FROM account"
    " WHERE merchant = :merchant AND owner <> '' AND kind IN :kinds"
).bindparams(bindparam("kinds", expanding=True))

GOODS = (
    Check(
        "deposits: kept is what was neither given back nor counts for goods",
        "SELECT count(*) AS entries, CAST(coalesce(sum(amount), 0) AS bigint) AS kept FROM kept_deposit",
        "SELECT p.id, k.kept, d.amount, d.refunded, b.status FROM presale AS p JOIN orders AS d ON d.id = p.id"
        " LEFT JOIN orders AS b ON b.id = p.balance LEFT JOIN (SELECT deposit, min(merchant) AS merchant,"
        " sum(amount) AS kept FROM kept_deposit GROUP BY deposit) AS k ON k.deposit = p.id"
        " WHERE coalesce(k.kept, 0) <> CASE WHEN p.ended_ms IS NOT NULL AND b.status = 'cancelled'"
        " THEN d.amount - d.refunded ELSE 0 END OR k.merchant <> p.merchant",
    ),
    Check(
        "manual changes: of goods that are there, of their own merchant",
        "SELECT count(*) AS changes, count(DISTINCT staff) AS people FROM manual_change",
        "SELECT c.id, c.sku, c.merchant FROM manual_change AS c LEFT JOIN sku AS k ON k.id = c.sku"
        " WHERE k.id IS NULL OR k.merchant <> c.merchant",
    ),
    Check(
        "invoices: never more than the order, red ones never more than their blue one",
        "SELECT count(*) AS invoices, coalesce(sum(CASE kind WHEN 'red' THEN -amount ELSE amount END), 0) AS amount"
        " FROM invoice",
        "SELECT b.id, b.amount, o.amount AS of_order, coalesce(r.amount, 0) AS red, coalesce(r.tax, 0) AS red_tax"
        " FROM invoice AS b LEFT JOIN orders AS o ON o.id = b.order_id AND o.merchant = b.merchant"
        " LEFT JOIN (SELECT blue, sum(amount) AS amount, sum(tax) AS tax FROM invoice WHERE kind = 'red' GROUP BY blue)"
        " AS r ON r.blue = b.id WHERE b.kind = 'blue'"
        " AND (o.id IS NULL OR b.amount > o.amount OR coalesce(r.amount, 0) > b.amount OR coalesce(r.tax, 0) > b.tax)",
    ),
)


def recompute_books(db: Connection) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Figures over all merchants, and what does not agree."""
    broken: list[dict[str, Any]] = []
    closed = 0
    merchants = list(db.execute(_MERCHANTS).scalars())
    for merchant in merchants:
        balances = read_balances(db, merchant, FOR_EVER_MS, from_closed=False)
        if sum(balances.values()):
            broken.append({"merchant": merchant, "what": "debits and credits", "difference": sum(balances.values())})
        for code, kinds in LIABILITIES.items():
            held = int(db.execute(_HELD, {"merchant": merchant, "kinds": list(kinds)}).scalar_one())
            held *= POINT_FEN if kinds[0].startswith("points") else 1
            if balances.get(code, 0) != -held:
                broken.append({"merchant": merchant, "account": code, "booked": -balances.get(code, 0), "held": held})
        corrected = read_corrected(db, merchant)
        broken += cost_faults(db, merchant, balances, corrected)
        broken += till_faults(db, merchant, balances, corrected)
        broken += clearing_faults(db, merchant, balances, corrected)
        owed = int(db.execute(_HELD, {"merchant": merchant, "kinds": ["credit_owed", "credit_spare"]}).scalar_one())
        if balances.get(CUSTOMERS, 0) != owed:
            broken.append({"merchant": merchant, "account": CUSTOMERS, "booked": balances.get(CUSTOMERS), "held": owed})
        for period in read_closes(db, merchant):
            closed += 1
            now = read_balances(db, merchant, period["until_ms"], from_closed=False)
            if now != period["balances"]:
                then, here = (orjson.dumps(one).decode() for one in (period["balances"], now))
                broken.append({"merchant": merchant, "closed": period["through"], "then": then, "now": here})
    return {"merchants": len(merchants), "closed": closed}, broken
