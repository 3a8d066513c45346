"""Invariants of who a thing belongs to: nothing crosses merchants, notices are of their payments, trees are trees."""

# ruff: noqa: S608 - the queries are constants.

from commerce.audit_aftersale_sql import Check

# What has an order's id, or a repayment's where the order is missing.
_OF_ORDERS = (
    (
        "payment",
        "p.merchant <> coalesce(o.merchant, y.merchant) OR p.person <> coalesce(o.person, y.person)"
        " OR p.amount > coalesce(o.amount, y.amount)",
    ),
    ("refund", "p.merchant <> coalesce(o.merchant, y.merchant)"),
)
SCOPE = (
    Check(
        "merchants: what belongs to an order is of its merchant, its lines of that merchant's goods",
        "SELECT count(DISTINCT merchant) AS merchants, count(*) AS orders FROM orders",
        " UNION ALL ".join(
            f"SELECT '{table}' AS what, p.id AS id FROM {table} AS p LEFT JOIN orders AS o ON o.id = p.order_id"
            f" LEFT JOIN repayment AS y ON y.id = p.order_id WHERE coalesce(o.id, y.id) IS NULL OR {wrong}"
            for table, wrong in _OF_ORDERS
        )
        + " UNION ALL SELECT 'line', l.order_id FROM order_line AS l JOIN orders AS o ON o.id = l.order_id"
        " LEFT JOIN stock AS t ON t.sku = l.sku WHERE t.sku IS NULL OR t.merchant <> o.merchant"
        " UNION ALL SELECT 'coupon', c.id FROM coupon AS c JOIN drop_ AS d ON d.id = c.drop_id"
        " WHERE c.merchant <> d.merchant"
        " UNION ALL SELECT 'room', o.id FROM orders AS o JOIN room AS r ON r.id = o.room"
        " WHERE r.merchant <> o.merchant",
    ),
    Check(
        "requests: a hold's key took it once, and the person's chain leads to it",
        "SELECT count(*) AS holds FROM hold WHERE key IS NOT NULL",
        "SELECT h.sale, h.person, h.key AS what FROM hold AS h WHERE h.key IS NOT NULL GROUP BY h.sale, h.person, h.key"
        " HAVING count(*) > 1"
        " UNION ALL SELECT h.sale, h.person, h.id FROM hold AS h WHERE h.key IS NOT NULL AND (h.hash IS NULL OR"
        " NOT EXISTS (SELECT 1 FROM quota AS q WHERE q.scope = h.sale AND q.person = h.person AND q.latest = h.id)"
        " AND h.id NOT IN (SELECT earlier FROM hold WHERE earlier IS NOT NULL))",
    ),
    Check(
        "payments: each notice is of a payment that there is, and of its amount",
        "SELECT count(*) AS notices, coalesce(sum(CASE WHEN kind = 'noted' THEN 1 ELSE 0 END), 0) AS noted"
        " FROM payment_event",
        "SELECT e.id, e.kind, e.payment, e.amount, p.amount AS of_payment FROM payment_event AS e"
        " LEFT JOIN payment AS p ON p.id = e.payment AND p.provider = e.provider WHERE p.id IS NULL"
        " OR p.merchant <> e.merchant"
        " OR (e.kind IN ('paid', 'declined', 'noted') AND e.amount <> p.amount)"
        " OR (e.kind IN ('refunded', 'refund_failed') AND e.amount > p.amount)",
    ),
    Check(
        "payments: at most one is open for an order, and none for one that is not waiting",
        "SELECT count(*) AS payments, coalesce(sum(CASE WHEN state = 'started' THEN 1 ELSE 0 END), 0) AS open"
        " FROM payment",
        "SELECT p.order_id, o.status, count(*) AS open FROM payment AS p JOIN orders AS o ON o.id = p.order_id"
        " WHERE p.state = 'started' GROUP BY p.order_id, o.status HAVING count(*) > 1 OR o.status = 'cancelled'",
    ),
    Check(
        "payments: of orders that ended, the provider is asked until it says how they ended",
        "SELECT count(due_ms) AS waiting, count(*) - count(due_ms) AS given_up, coalesce(max(tries), 0) AS tries,"
        " min(since_ms) AS since_ms FROM unheard_payment",
        # Due for long: its provider is not set up any more, or nobody sweeps.
        "SELECT u.payment, u.provider, u.due_ms, p.state FROM unheard_payment AS u"
        " LEFT JOIN payment AS p ON p.id = u.payment WHERE p.id IS NULL OR p.merchant <> u.merchant"
        " OR p.provider <> u.provider OR p.state = 'started' OR u.due_ms < :leaked",
    ),
    Check(
        "share tree: a link's parent is there, of the same merchant, and one step nearer to the root",
        "SELECT count(*) AS links, coalesce(max(depth), 0) AS depth FROM link",
        "SELECT l.id, l.parent, l.depth FROM link AS l LEFT JOIN link AS p ON p.id = l.parent"
        " WHERE (l.parent IS NULL) <> (l.depth = 0) OR (l.parent IS NOT NULL AND (p.id IS NULL"
        " OR p.merchant <> l.merchant OR p.depth <> l.depth - 1 OR p.root <> l.root))",
    ),
    Check(
        "personal events: acknowledged at most what was told",
        "SELECT count(*) AS boxes FROM personal_box",
        "SELECT box, last, acked FROM personal_box WHERE acked > last"
        " UNION ALL SELECT p.box, b.last, p.seq FROM personal AS p JOIN personal_box AS b ON b.box = p.box"
        " WHERE p.seq > b.last",
    ),
    Check(
        "appointments: for a room, a node or all of the merchant, and assistants are accounts of it",
        "SELECT count(*) AS appointed, coalesce(sum(CASE WHEN role = 'assistant' THEN 1 ELSE 0 END), 0) AS assistants"
        " FROM appointment",
        "SELECT a.place, a.person, a.role FROM appointment AS a WHERE"
        " (a.kind = 'room' AND NOT EXISTS (SELECT 1 FROM room AS r WHERE r.id = a.place AND r.merchant = a.merchant))"
        " OR (a.kind = 'node' AND NOT EXISTS"
        " (SELECT 1 FROM org_node AS n WHERE n.id = a.place AND n.merchant = a.merchant))"
        " OR (a.role = 'assistant' AND NOT EXISTS"
        " (SELECT 1 FROM staff AS s WHERE s.id = a.person AND s.merchant = a.merchant))",
    ),
)
