"""Invariants of after-sale requests: what each gave back, its deadline, its lines."""

from commerce.audit_aftersale_sql import Check

REQUESTS = (
    Check(
        "after-sale: a done request has its own refund of its order, no larger than what was asked; no other has one",
        "SELECT count(*) AS requests, coalesce(sum(CASE WHEN a.state = 'done' THEN 1 ELSE 0 END), 0) AS done,"
        " coalesce(sum(r.amount), 0) AS amount FROM after_sale AS a LEFT JOIN refund AS r ON r.id = a.refund",
        "SELECT a.id, a.state, a.refund, r.amount FROM after_sale AS a LEFT JOIN refund AS r ON r.id = a.refund"
        " LEFT JOIN order_freight AS f ON f.order_id = a.order_id"
        " WHERE (a.state = 'done') <> (r.id IS NOT NULL) OR r.order_id <> a.order_id OR r.kind <> 'order'"
        # The last units that were not sent take the freight with them, if others went after it was asked.
        " OR r.amount > a.most + CASE WHEN a.gone = 0 THEN coalesce(f.amount, 0) ELSE 0 END"
        # The refund of a request is booked under its id.
        " UNION ALL SELECT a.id, a.state, q.answer, 0 FROM after_sale AS a JOIN request AS q ON q.merchant = a.merchant"
        " AND q.route = 'refund' AND q.key = a.id WHERE a.refund IS NULL OR a.refund <> q.answer"
        " UNION ALL SELECT min(id), 'twice', refund, 0 FROM after_sale WHERE refund IS NOT NULL GROUP BY refund"
        " HAVING count(*) > 1",
    ),
    Check(
        "after-sale: what requests of an order gave back is at most what was paid, of its own buyer",
        "SELECT count(DISTINCT order_id) AS orders, coalesce(sum(most), 0) AS most FROM after_sale",
        "SELECT o.id, o.amount, s.given FROM (SELECT a.order_id, sum(r.amount) AS given FROM after_sale AS a"
        " JOIN refund AS r ON r.id = a.refund GROUP BY a.order_id) AS s JOIN orders AS o ON o.id = s.order_id"
        " WHERE s.given > o.refunded OR s.given > o.amount"
        " UNION ALL SELECT a.id, 0, 0 FROM after_sale AS a LEFT JOIN orders AS o ON o.id = a.order_id"
        " WHERE o.id IS NULL OR o.merchant <> a.merchant OR o.person <> a.person",
    ),
    Check(
        "after-sale: an open request has lines of its order, one at a time, and a deadline; an ended one has neither",
        "SELECT count(*) AS open, (SELECT count(*) FROM deadline WHERE kind = 'after') AS deadlines"
        " FROM after_sale WHERE ended_ms IS NULL",
        "SELECT a.id, a.state, 'deadline' AS what FROM after_sale AS a LEFT JOIN deadline AS d"
        " ON d.kind = 'after' AND d.subject = a.id WHERE (a.ended_ms IS NULL) <> (d.subject IS NOT NULL)"
        " UNION ALL SELECT a.id, a.state, 'lines' FROM after_sale AS a LEFT JOIN after_sale_line AS l"
        " ON l.request = a.id WHERE l.sku IS NULL OR l.order_id <> a.order_id"
        " OR (a.ended_ms IS NULL) <> (l.open = 1)"
        " UNION ALL SELECT l.request, l.sku, 'units' FROM after_sale_line AS l LEFT JOIN"
        " (SELECT order_id, sku, sum(quantity) AS units FROM order_line GROUP BY order_id, sku) AS b"
        " ON b.order_id = l.order_id AND b.sku = l.sku WHERE b.units IS NULL OR b.units < l.quantity",
    ),
    Check(
        "after-sale: units counted as come back are those of its refund",
        "SELECT coalesce(sum(sellable), 0) AS sellable, coalesce(sum(quarantined), 0) AS quarantined"
        " FROM after_sale_line",
        "SELECT l.request, l.sku, l.sellable, l.quarantined, coalesce(f.units, 0) AS of_refund"
        " FROM after_sale_line AS l JOIN after_sale AS a ON a.id = l.request LEFT JOIN (SELECT refund, sku,"
        " sum(returned) AS units FROM refund_line GROUP BY refund, sku) AS f ON f.refund = a.refund AND f.sku = l.sku"
        " WHERE l.sellable + l.quarantined > 0 AND l.sellable + l.quarantined <> coalesce(f.units, 0)",
    ),
)
