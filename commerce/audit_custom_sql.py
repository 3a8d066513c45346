"""Invariants of custom orders: requests, and how far the making is."""

# ruff: noqa: S608 - the queries are constants.

from commerce.audit_aftersale_sql import Check

_UNPAID = "('pending', 'cancelled')"

CUSTOM = (
    Check(
        "production: every paid order with wishes has its making, which goes as far as its goods have",
        "SELECT count(*) AS orders, coalesce(sum(CASE WHEN stage = 'sent' THEN 1 ELSE 0 END), 0) AS sent,"
        " coalesce(sum(CASE WHEN ended_ms IS NOT NULL THEN 1 ELSE 0 END), 0) AS ended FROM production",
        "SELECT o.id, o.status, 'no making' AS what FROM orders AS o JOIN order_line AS l ON l.order_id = o.id"
        " LEFT JOIN production AS p ON p.id = coalesce(o.presale, o.id) WHERE l.wishes IS NOT NULL"
        f" AND o.status NOT IN {_UNPAID} AND (p.id IS NULL OR p.merchant <> o.merchant)"
        " UNION ALL SELECT p.id, p.stage, g.fulfilment FROM production AS p LEFT JOIN orders AS o ON o.id = p.id"
        " LEFT JOIN presale AS s ON s.id = p.id LEFT JOIN orders AS g ON g.id = coalesce(s.balance, o.id)"
        f" WHERE g.id IS NULL OR o.status IN {_UNPAID} OR (p.stage = 'sent') <> (g.fulfilment <> 'open')"
        # What went back whole, and a deposit that was kept, is not made any more.
        " OR (p.ended_ms IS NULL AND p.stage <> 'sent' AND (o.status = 'refunded' OR g.status = 'refunded'))"
        " OR (p.ended_ms IS NOT NULL AND o.status <> 'refunded' AND g.status NOT IN ('refunded', 'cancelled'))",
    ),
    Check(
        "production: stages follow one another in time",
        "SELECT count(making_ms) AS making, count(ready_ms) AS ready FROM production",
        "SELECT id, stage FROM production WHERE confirmed_ms < paid_ms OR making_ms < confirmed_ms"
        " OR ready_ms < making_ms OR sent_ms < ready_ms",
    ),
    Check(
        "requests: an ordered offer is in one order of its person, at its price",
        "SELECT count(*) AS requests, coalesce(sum(CASE WHEN state = 'ordered' THEN 1 ELSE 0 END), 0) AS ordered"
        " FROM custom_request",
        "SELECT r.id, r.order_id, r.state, o.status FROM custom_request AS r LEFT JOIN orders AS o ON o.id = r.order_id"
        " LEFT JOIN order_line AS l ON l.order_id = r.order_id AND l.n = 0 LEFT JOIN presale AS s ON s.id = r.order_id"
        " WHERE r.state = 'ordered' AND (o.id IS NULL OR o.merchant <> r.merchant OR o.person <> r.person"
        " OR o.status = 'cancelled' OR l.sku <> r.sku OR l.quantity <> r.quantity"
        " OR coalesce(s.price, l.price) <> r.price)"
        " UNION ALL SELECT min(id), order_id, 'twice', '' FROM custom_request WHERE state = 'ordered'"
        " GROUP BY order_id HAVING count(*) > 1",
    ),
)
