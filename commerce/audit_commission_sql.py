"""Invariants of commission: what the accounts say is what the lines of orders say."""

# ruff: noqa: S608 - the queries are constants.

from commerce.audit_aftersale_sql import Check

_BY_PERSON = (
    "SELECT merchant, person, sum(CASE WHEN state = 'pending' THEN amount - reversed ELSE 0 END) AS pending,"
    " sum(CASE WHEN state = 'frozen' THEN amount - reversed ELSE 0 END) AS frozen,"
    " sum(CASE WHEN state = 'available' THEN amount - reversed ELSE 0 END) AS earned FROM commission"
    " WHERE contract {0} '' GROUP BY merchant, person"
)
_PAID = (
    "SELECT merchant, person, sum(CASE WHEN state = 'paid' THEN amount ELSE 0 END) AS paid,"
    " sum(CASE WHEN state IN ('requested', 'approved', 'transferring') THEN amount ELSE 0 END) AS leaving"
    " FROM withdrawal WHERE share = {0} GROUP BY merchant, person"
)
_BORNE = "SELECT merchant, partner, sum(borne - back) AS borne FROM partner_coupon_use GROUP BY merchant, partner"
_ON = "coalesce(sum(CASE WHEN a.kind = '{1}_{0}' THEN a.balance END), 0)"

_PAID_OUT = f"{_ON.format('paid', 'commission')} + {_ON.format('paid', 'share')}"
_TAXED = _ON.format("tax", "commission")


def _accounts(family: str, contract: str, share: str) -> str:
    """Accounts of one family that are not what their lines earn, less what was taken back and paid out, and less what
    a partner bears of coupons.
    """
    pending, frozen, available, leaving = (
        _ON.format(name, family) for name in ("pending", "frozen", "available", "leaving")
    )
    return (
        "SELECT * FROM (SELECT c.merchant, c.person, c.pending, c.frozen, c.earned, coalesce(max(w.paid), 0) AS paid,"
        " coalesce(max(b.borne), 0) AS borne,"
        f" coalesce(max(w.leaving), 0) AS leaving, {pending} AS on_pending, {frozen} AS"
        f" on_frozen, {available} AS on_available, {leaving} AS on_leaving"
        f" FROM ({_BY_PERSON.format(contract)}) AS c LEFT JOIN account AS a ON a.merchant = c.merchant"
        f" AND a.owner = c.person LEFT JOIN ({_PAID.format(share)}) AS w ON w.merchant = c.merchant"
        f" AND w.person = c.person LEFT JOIN ({_BORNE}) AS b ON b.merchant = c.merchant AND b.partner = c.person"
        " GROUP BY c.merchant, c.person, c.pending, c.frozen, c.earned) AS sums WHERE pending <> on_pending"
        " OR frozen <> on_frozen OR leaving <> on_leaving OR earned <> on_available + on_leaving + paid + borne"
    )


COMMISSION = (
    Check(
        "commission: accounts are what the lines earn, less what was taken back and paid out",
        "SELECT count(*) AS lines, coalesce(sum(amount), 0) AS amount, coalesce(sum(reversed), 0) AS reversed"
        " FROM commission WHERE contract = ''",
        _accounts("commission", "=", "false"),
    ),
    Check(
        "commission: an order pays at most two levels, less than its lines cost, and nothing when it was given back",
        "SELECT count(DISTINCT order_id) AS orders FROM commission",
        "SELECT c.order_id, o.status, sum(c.amount - c.reversed) AS left_over, o.amount FROM commission AS c"
        " JOIN orders AS o ON o.id = c.order_id WHERE c.state <> 'void' GROUP BY c.order_id, o.status, o.amount"
        " HAVING sum(c.amount) > o.amount"
        " OR (o.status IN ('cancelled', 'refunded') AND sum(c.amount - c.reversed) <> 0)"
        " OR (o.status = 'pending' AND max(CASE WHEN c.state <> 'pending' THEN 1 ELSE 0 END) = 1)",
    ),
    Check(
        "commission: a sale at a till pays less than it cost, and nothing when it was given back; each has its sale",
        "SELECT count(DISTINCT c.order_id) AS receipts FROM commission AS c JOIN pos_receipt AS r ON r.id = c.order_id",
        "SELECT c.order_id, sum(c.amount - c.reversed) AS left_over, r.amount FROM commission AS c"
        " JOIN pos_receipt AS r ON r.id = c.order_id GROUP BY c.order_id, r.amount, r.refunded"
        " HAVING sum(c.amount) > r.amount OR (r.refunded = r.amount AND sum(c.amount - c.reversed) <> 0)"
        " OR max(CASE WHEN c.state = 'pending' THEN 1 ELSE 0 END) = 1"
        " UNION ALL SELECT c.order_id, c.amount, 0 FROM commission AS c WHERE NOT EXISTS"
        " (SELECT 1 FROM orders AS o WHERE o.id = c.order_id) AND NOT EXISTS"
        " (SELECT 1 FROM pos_receipt AS r WHERE r.id = c.order_id)",
    ),
    Check(
        "withdrawals: what was paid and withheld is on the shop's accounts, and every transfer has one who makes it",
        "SELECT count(*) AS withdrawals,"
        " coalesce(sum(CASE WHEN state = 'paid' THEN amount - tax ELSE 0 END), 0) AS paid,"
        " coalesce(sum(CASE WHEN state = 'paid' THEN tax ELSE 0 END), 0) AS tax,"
        " coalesce(sum(CASE WHEN state = 'transferring' THEN 1 ELSE 0 END), 0) AS under_way FROM withdrawal",
        f"SELECT s.merchant, s.paid, s.tax, {_PAID_OUT} AS on_paid, {_TAXED} AS on_tax FROM"
        " (SELECT merchant, sum(CASE WHEN state = 'paid' THEN amount - tax ELSE 0 END) AS paid,"
        " sum(CASE WHEN state = 'paid' THEN tax ELSE 0 END) AS tax FROM withdrawal GROUP BY merchant) AS s"
        " LEFT JOIN account AS a ON a.merchant = s.merchant AND a.owner = ''"
        f" GROUP BY s.merchant, s.paid, s.tax HAVING s.paid <> {_PAID_OUT} OR s.tax <> {_TAXED}"
        " UNION ALL SELECT merchant, amount, tax, 0, 0 FROM withdrawal WHERE approved_ms IS NULL"
        " AND state = 'transferring'",
    ),
    Check(
        "partners: accounts are what the shares say, less what was taken back and settled",
        "SELECT count(*) AS lines, coalesce(sum(amount), 0) AS amount, coalesce(sum(reversed), 0) AS reversed"
        " FROM commission WHERE contract <> ''",
        _accounts("share", "<>", "true"),
    ),
    Check(
        "partners: each share is of one level, of a sale that was credited, by a contract that was agreed, in its cap",
        "SELECT count(*) AS sales FROM partner_sale",
        "SELECT c.order_id, c.person, c.contract, sum(c.amount) AS amount FROM commission AS c"
        " LEFT JOIN partner_contract AS t ON t.id = c.contract AND t.partner = c.person AND t.merchant = c.merchant"
        " AND t.state IN ('agreed', 'closed') LEFT JOIN partner_sale AS s ON s.id = c.order_id"
        " AND s.partner = c.person AND s.contract = c.contract WHERE c.contract <> ''"
        " GROUP BY c.order_id, c.person, c.contract HAVING max(c.level) > 1 OR count(t.id) < count(*)"
        " OR count(s.id) < count(*) OR (max(t.cap_order) > 0 AND sum(c.amount) > max(t.cap_order))",
    ),
    Check(
        "partners: what they bear of coupons is what was taken off by them, and what the accounts say",
        "SELECT count(*) AS coupons, coalesce(sum(took), 0) AS took, coalesce(sum(borne - back), 0) AS borne"
        " FROM partner_coupon_use",
        "SELECT u.order_id, u.coupon, u.took, coalesce(o.amount, -1) AS of_order, u.borne, u.back"
        " FROM partner_coupon_use AS u LEFT JOIN order_coupon AS o ON o.order_id = u.order_id AND o.coupon = u.coupon"
        " LEFT JOIN orders AS r ON r.id = u.order_id LEFT JOIN partner_contract AS t ON t.id = u.contract"
        " AND t.partner = u.partner AND t.merchant = u.merchant WHERE o.amount IS NULL OR o.amount <> u.took"
        " OR t.id IS NULL OR u.borne <> u.took * t.coupon_bp / 10000"
        " OR (r.amount > 0 AND r.refunded = r.amount AND u.back <> u.borne)"
        " UNION ALL SELECT s.merchant, s.partner, 0, 0, s.borne, coalesce(e.amount, 0) FROM"
        f" ({_BORNE}) AS s LEFT JOIN (SELECT merchant, owner, sum(amount) AS amount FROM entry WHERE why = 'coupon'"
        " AND kind = 'share_available' GROUP BY merchant, owner) AS e ON e.merchant = s.merchant"
        " AND e.owner = s.partner WHERE s.borne + coalesce(e.amount, 0) <> 0",
    ),
    Check(
        "partners: what was settled with another merchant of this server is in its books",
        "SELECT count(*) AS settlements FROM withdrawal WHERE share = true AND state = 'paid'",
        "SELECT w.id, w.amount, coalesce(sum(e.amount), 0) AS booked FROM withdrawal AS w JOIN partner AS p"
        " ON p.id = w.person LEFT JOIN entry AS e ON e.merchant = p.counterpart AND e.ref = w.id"
        " AND e.kind = 'share_received' WHERE w.share = true AND w.state = 'paid' AND p.counterpart IS NOT NULL"
        " GROUP BY w.id, w.amount HAVING coalesce(sum(e.amount), 0) <> w.amount",
    ),
    Check(
        "market: units given over left one side and came to the other, by a grant",
        "SELECT count(*) AS grants, coalesce(sum(allotted), 0) AS units FROM market_grant",
        "SELECT g.id, g.allotted, e.merchant, coalesce(sum(e.free), 0) AS units FROM market_grant AS g JOIN stock_entry"
        " AS e ON e.kind = 'allotted' AND e.ref = g.id GROUP BY g.id, g.allotted, e.merchant, g.supplier, g.channel"
        " HAVING sum(e.free) <> CASE e.merchant WHEN g.supplier THEN -g.allotted WHEN g.channel THEN g.allotted END"
        " OR (e.merchant <> g.supplier AND e.merchant <> g.channel)"
        " UNION ALL SELECT e.ref, 0, e.merchant, e.free FROM stock_entry AS e LEFT JOIN market_grant AS g"
        " ON g.id = e.ref WHERE e.kind = 'allotted' AND g.id IS NULL",
    ),
    Check(
        "market: both sides' books say the same, which is what was sold less what was settled",
        "SELECT count(*) AS orders, coalesce(sum(owed), 0) AS owed FROM drop_order",
        "SELECT * FROM (SELECT d.supplier, d.channel, d.booked - coalesce(s.settled, 0) AS due,"
        " coalesce(a.balance, 0) AS owed, coalesce(b.balance, 0) AS claimed FROM (SELECT supplier, channel,"
        " sum(booked) AS booked FROM drop_order GROUP BY supplier, channel) AS d LEFT JOIN (SELECT supplier, channel,"
        " sum(amount) AS settled FROM market_settlement GROUP BY supplier, channel) AS s ON s.supplier = d.supplier"
        " AND s.channel = d.channel LEFT JOIN account AS a ON a.merchant = d.channel AND a.owner = d.supplier"
        " AND a.kind = 'supply_owed' LEFT JOIN account AS b ON b.merchant = d.supplier AND b.owner = d.channel"
        " AND b.kind = 'supply_due') AS sums WHERE due <> owed OR due <> claimed"
        " UNION ALL SELECT d.supplier, d.channel, d.owed, 0, 0 FROM drop_order AS d LEFT JOIN market_grant AS g"
        " ON g.id = d.grant_id AND g.supplier = d.supplier AND g.channel = d.channel LEFT JOIN orders AS o"
        " ON o.id = d.order_id AND o.merchant = d.channel WHERE g.id IS NULL OR o.id IS NULL",
    ),
    Check(
        "bindings: one active of a person and role, to somebody else",
        "SELECT count(*) AS bindings, coalesce(sum(CASE WHEN closed_ms IS NULL THEN 1 ELSE 0 END), 0) AS active"
        " FROM binding",
        "SELECT merchant, person, role, count(*) AS active FROM binding WHERE closed_ms IS NULL"
        " GROUP BY merchant, person, role HAVING count(*) > 1 OR max(CASE WHEN person = issuer THEN 1 ELSE 0 END) = 1",
    ),
)
