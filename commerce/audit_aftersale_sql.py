"""Invariants of what comes after a payment: refunds, fulfilment, the stock's journal, the money that is there."""

# ruff: noqa: S608 - the queries are constants.

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Check:
    """One invariant: a query of figures over all rows, and one that selects what breaks it."""

    name: str
    figures: str
    broken: str


_UNPAID = "('pending', 'cancelled')"

AFTER_SALE = (
    Check(
        "refunds: their sum is what the order says, and at most what was paid",
        "SELECT count(*) AS refunds, coalesce(sum(amount), 0) AS amount,"
        " coalesce(sum(CASE WHEN state = 'done' THEN amount ELSE 0 END), 0) AS done FROM refund WHERE kind = 'order'",
        "SELECT o.id, o.status, o.amount, o.refunded, coalesce(r.amount, 0) AS of_refunds FROM orders AS o LEFT JOIN"
        " (SELECT order_id, sum(amount) AS amount FROM refund WHERE kind = 'order' GROUP BY order_id) AS r"
        " ON r.order_id = o.id WHERE o.refunded <> coalesce(r.amount, 0) OR o.refunded > o.amount"
        f" OR (o.refunded > 0 AND o.status IN {_UNPAID})"
        " OR (o.refunded = o.amount) <> (o.status = 'refunded')"
        " OR (o.refunded > 0 AND o.refunded < o.amount) <> (o.status = 'partly_refunded')",
    ),
    Check(
        "refunds: lines give back no more units or money than was bought and paid",
        "SELECT count(*) AS lines, coalesce(sum(quantity), 0) AS units, coalesce(sum(amount), 0) AS amount"
        " FROM refund_line",
        "SELECT r.order_id, r.n, r.units, r.amount, l.quantity FROM"
        " (SELECT order_id, n, sum(quantity) AS units, sum(amount) AS amount, min(sku) AS sku FROM refund_line"
        " GROUP BY order_id, n) AS r LEFT JOIN order_line AS l ON l.order_id = r.order_id AND l.n = r.n"
        " WHERE l.n IS NULL OR l.sku <> r.sku OR r.units > l.quantity"
        " OR r.amount > l.quantity * l.price - l.discount",
    ),
    Check(
        "refunds: lines belong to their refund and come to no more than its amount",
        "SELECT count(*) AS refunds FROM refund WHERE EXISTS (SELECT 1 FROM refund_line WHERE refund = refund.id)",
        "SELECT l.refund, l.order_id, l.amount AS of_lines, r.amount FROM (SELECT refund, order_id, sum(amount) AS"
        " amount FROM refund_line GROUP BY refund, order_id) AS l LEFT JOIN refund AS r ON r.id = l.refund"
        " LEFT JOIN order_freight AS f ON f.order_id = l.order_id WHERE r.id IS NULL OR r.order_id <> l.order_id"
        # The freight goes back with the last units.
        " OR r.amount - l.amount NOT IN (0, coalesce(f.amount, 0))",
    ),
    Check(
        "refunds: a done one has the notice that settled it, of its amount",
        "SELECT count(*) AS notices FROM payment_event WHERE kind = 'refunded'",
        # Those that were carried over from before refunds had rows have their payment's number.
        "SELECT r.id, r.payment, r.number, r.amount FROM refund AS r LEFT JOIN payment_event AS e"
        " ON e.provider = r.provider AND e.number = r.number AND e.kind = 'refunded' AND e.payment = r.payment"
        " AND e.amount = r.amount - r.stored WHERE r.state = 'done' AND r.amount > r.stored AND e.id IS NULL",
    ),
    Check(
        "money: what came for a payment paid its order, lowered debts or goes back",
        "SELECT coalesce(sum(e.amount), 0) AS came,"
        " (SELECT coalesce(sum(amount - stored), 0) FROM refund WHERE state = 'done') AS went,"
        " coalesce(sum(e.amount), 0) - (SELECT coalesce(sum(amount - stored), 0) FROM refund WHERE state = 'done')"
        " AS balance FROM payment_event AS e WHERE e.kind = 'paid'",
        "SELECT p.id, p.state, coalesce(e.amount, 0) AS came, coalesce(r.amount, 0) AS late FROM payment AS p"
        " LEFT JOIN (SELECT provider, payment, sum(amount) AS amount FROM payment_event WHERE kind = 'paid'"
        " GROUP BY provider, payment) AS e ON e.payment = p.id AND e.provider = p.provider"
        " LEFT JOIN (SELECT payment, sum(amount) AS amount FROM refund WHERE kind = 'late' GROUP BY payment) AS r"
        " ON r.payment = p.id LEFT JOIN repayment AS y ON y.id = p.order_id WHERE coalesce(e.amount, 0)"
        " <> coalesce(r.amount, 0) + CASE p.state WHEN 'settled' THEN coalesce(y.applied, p.amount) ELSE 0 END",
    ),
    Check(
        "money: payments - refunds = what paid orders keep + what debtors paid back + what is still owed",
        "SELECT (SELECT coalesce(sum(amount - refunded - stored), 0) FROM orders"
        f" WHERE status NOT IN {_UNPAID}) + (SELECT coalesce(sum(stored), 0) FROM refund) AS kept,"
        " (SELECT coalesce(sum(applied), 0) FROM repayment) AS paid_back,"
        " (SELECT coalesce(sum(amount - stored), 0) FROM refund WHERE state <> 'done') AS owed",
        "SELECT * FROM (SELECT"
        " (SELECT coalesce(sum(amount), 0) FROM payment_event WHERE kind = 'paid')"
        " - (SELECT coalesce(sum(amount - stored), 0) FROM refund WHERE state = 'done') AS balance,"
        f" (SELECT coalesce(sum(amount - refunded - stored), 0) FROM orders WHERE status NOT IN {_UNPAID})"
        " + (SELECT coalesce(sum(stored), 0) FROM refund) + (SELECT coalesce(sum(applied), 0) FROM repayment)"
        " + (SELECT coalesce(sum(amount - stored), 0) FROM refund WHERE state <> 'done') AS kept_and_owed) AS sums"
        " WHERE balance <> kept_and_owed",
    ),
    Check(
        "stock: the journal's entries add up to each SKU's row",
        "SELECT count(*) AS entries FROM stock_entry WHERE outlet = ''",
        "SELECT t.sku, t.free, t.sold, t.shipped, e.free AS free_by_entries, e.sold AS sold_by_entries,"
        " e.shipped AS shipped_by_entries FROM stock AS t LEFT JOIN (SELECT sku, max(merchant) AS merchant,"
        " sum(received) AS received, sum(adjusted) AS adjusted, sum(free) AS free, sum(held) AS held,"
        " sum(sold) AS sold, sum(shipped) AS shipped, sum(quarantined) AS quarantined FROM stock_entry"
        " WHERE outlet = '' GROUP BY sku)"
        " AS e ON e.sku = t.sku WHERE coalesce(e.received, 0) <> t.received OR coalesce(e.adjusted, 0) <> t.adjusted"
        " OR coalesce(e.free, 0) <> t.free OR coalesce(e.held, 0) <> t.held OR coalesce(e.sold, 0) <> t.sold"
        " OR coalesce(e.shipped, 0) <> t.shipped OR coalesce(e.quarantined, 0) <> t.quarantined"
        " OR coalesce(e.merchant, t.merchant) <> t.merchant",
    ),
    Check(
        "orders: goods leave only after the money came, and the status says so",
        "SELECT count(*) AS sent FROM orders WHERE fulfilment <> 'open'",
        "SELECT id, status, fulfilment FROM orders WHERE"
        f" (fulfilment <> 'open' AND (status IN {_UNPAID} OR fulfilled_ms IS NULL))"
        " OR (status = 'paid' AND fulfilment <> 'open')"
        " OR (status = 'fulfilled' AND fulfilment NOT IN ('shipped', 'picked_up'))"
        " OR (status = 'done' AND fulfilment <> 'done') OR (fulfilment = 'done') <> (done_ms IS NOT NULL)",
    ),
    Check(
        "webhooks: each delivery is of a webhook that there is or was, and ends",
        "SELECT count(*) AS deliveries, coalesce(sum(CASE WHEN state = 'waiting' THEN 1 ELSE 0 END), 0) AS waiting,"
        " coalesce(sum(CASE WHEN state = 'dead' THEN 1 ELSE 0 END), 0) AS dead FROM webhook_delivery",
        "SELECT id, webhook, state, tries FROM webhook_delivery WHERE (state = 'waiting') <> (done_ms IS NULL)",
    ),
)
