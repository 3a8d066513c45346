"""Invariants of accounts, coupons' budgets, points and stored value."""

# ruff: noqa: S608 - the queries are constants.

from commerce.audit_aftersale_sql import Check
from commerce.domain.pricing import POINT_FEN
from commerce.freight_sql import CARRIED, EARNS, EARNS_BACK

_UNPAID = "('pending', 'cancelled')"

MEMBERS = (
    Check(
        "accounts: each transfer adds up to 0 in each unit",
        "SELECT count(*) AS entries, count(DISTINCT transfer) AS transfers FROM entry",
        "SELECT merchant, transfer, unit, sum(amount) AS sum FROM entry GROUP BY merchant, transfer, unit"
        " HAVING sum(amount) <> 0",
    ),
    Check(
        "accounts: each balance is the sum of its entries, and bounded ones are not below 0",
        "SELECT count(*) AS accounts FROM account",
        "SELECT a.merchant, a.owner, a.kind, a.balance, coalesce(e.amount, 0) AS by_entries FROM account AS a LEFT JOIN"
        " (SELECT merchant, owner, kind, sum(amount) AS amount FROM entry GROUP BY merchant, owner, kind) AS e"
        " ON e.merchant = a.merchant AND e.owner = a.owner AND e.kind = a.kind"
        " WHERE a.balance <> coalesce(e.amount, 0) OR (a.bounded AND a.balance < 0)"
        " UNION ALL SELECT e.merchant, e.owner, e.kind, 0, sum(e.amount) FROM entry AS e LEFT JOIN account AS a"
        " ON a.merchant = e.merchant AND a.owner = e.owner AND a.kind = e.kind WHERE a.kind IS NULL"
        " GROUP BY e.merchant, e.owner, e.kind",
    ),
    Check(
        "points: lots are what the accounts say",
        "SELECT count(*) AS lots, coalesce(sum(left_units), 0) AS points FROM points_lot",
        "SELECT a.merchant, a.owner, a.kind, a.balance, coalesce(l.points, 0) AS of_lots FROM account AS a LEFT JOIN"
        " (SELECT merchant, person, CASE state WHEN 'pending' THEN 'points_pending' ELSE 'points' END AS kind,"
        " sum(left_units) AS points FROM points_lot GROUP BY 1, 2, 3) AS l"
        " ON l.merchant = a.merchant AND l.person = a.owner AND l.kind = a.kind"
        " WHERE a.kind IN ('points', 'points_pending') AND a.balance <> coalesce(l.points, 0)"
        " UNION ALL SELECT merchant, person, state, 0, left_units FROM points_lot"
        " WHERE left_units > 0 AND (state = 'ended' OR NOT EXISTS (SELECT 1 FROM account AS a"
        " WHERE a.merchant = points_lot.merchant AND a.owner = points_lot.person AND a.kind LIKE 'points%'))",
    ),
    Check(
        "points and stored value held are those of pending orders",
        "SELECT coalesce(sum(stored), 0) AS stored, coalesce(sum(points), 0) AS points FROM orders"
        " WHERE status = 'pending'",
        "SELECT a.merchant, a.owner, a.kind, a.balance, coalesce(o.held, 0) AS of_orders FROM account AS a LEFT JOIN"
        " (SELECT merchant, person, 'points_held' AS kind, sum(points) AS held FROM orders WHERE status = 'pending'"
        " GROUP BY merchant, person UNION ALL SELECT merchant, person, 'principal_held', sum(stored - bonus)"
        " FROM orders WHERE status = 'pending' AND kind = 'goods' GROUP BY merchant, person"
        " UNION ALL SELECT merchant, person, 'bonus_held', sum(bonus) FROM orders WHERE status = 'pending'"
        " AND kind = 'goods' GROUP BY merchant, person) AS o"
        " ON o.merchant = a.merchant AND o.person = a.owner AND o.kind = a.kind"
        " WHERE a.kind IN ('points_held', 'principal_held', 'bonus_held') AND a.balance <> coalesce(o.held, 0)",
    ),
    Check(
        "orders: coupons, points and a presale's deposit make the discount",
        "SELECT count(*) AS coupons, coalesce(sum(amount), 0) AS amount FROM order_coupon",
        "SELECT o.id, o.discount, o.points, coalesce(c.amount, 0) AS of_coupons FROM orders AS o LEFT JOIN"
        " (SELECT order_id, sum(amount) AS amount FROM order_coupon GROUP BY order_id) AS c ON c.order_id = o.id"
        " LEFT JOIN orders AS d ON d.id = o.presale AND d.id <> o.id"
        f" WHERE o.discount <> coalesce(c.amount, 0) + o.points * {POINT_FEN} + coalesce(d.amount, 0)",
    ),
    Check(
        "refunds: stored value and points go back in proportion to the money, all of them in the end",
        "SELECT coalesce(sum(stored), 0) AS stored, coalesce(sum(points), 0) AS points FROM refund",
        "SELECT o.id, o.stored, o.bonus, o.points, r.stored AS stored_back, r.bonus AS bonus_back,"
        " r.points AS points_back FROM orders AS o JOIN (SELECT order_id, sum(stored) AS stored, sum(bonus) AS bonus,"
        " sum(points) AS points FROM refund WHERE kind = 'order' GROUP BY order_id) AS r ON r.order_id = o.id"
        " WHERE o.kind = 'goods' AND (r.stored <> o.stored * o.refunded / o.amount"
        " OR r.points <> o.points * o.refunded / o.amount OR r.bonus > o.bonus"
        " OR (o.refunded = o.amount AND (r.stored <> o.stored OR r.bonus <> o.bonus OR r.points <> o.points)))",
    ),
    Check(
        "stored value: what people paid for and were given is what they have, hold and have spent",
        "SELECT coalesce(sum(CASE WHEN kind = 'principal' THEN balance ELSE 0 END), 0) AS principal,"
        " coalesce(sum(CASE WHEN kind = 'bonus' THEN balance ELSE 0 END), 0) AS bonus FROM account",
        "SELECT merchant, sum(CASE WHEN kind IN ('principal', 'principal_held', 'stored_cash', 'stored_spent')"
        " THEN balance ELSE 0 END) AS principal, sum(CASE WHEN kind IN ('bonus', 'bonus_held', 'stored_bonus',"
        " 'bonus_spent') THEN balance ELSE 0 END) AS bonus FROM account GROUP BY merchant HAVING"
        " sum(CASE WHEN kind IN ('principal', 'principal_held', 'stored_cash', 'stored_spent') THEN balance ELSE 0 END)"
        " <> 0 OR sum(CASE WHEN kind IN ('bonus', 'bonus_held', 'stored_bonus', 'bonus_spent') THEN balance ELSE 0 END)"
        " <> 0",
    ),
    Check(
        "budgets: what is reserved is the worth of the coupons in people's hands",
        "SELECT coalesce(sum(balance), 0) AS reserved FROM account WHERE kind = 'budget_reserved'",
        "SELECT a.merchant, a.owner, a.balance, coalesce(c.amount, 0) AS of_coupons FROM account AS a LEFT JOIN"
        " (SELECT merchant, issuer, sum(amount) AS amount FROM coupon WHERE issuer <> ''"
        " AND state IN ('unused', 'locked') GROUP BY merchant, issuer) AS c"
        " ON c.merchant = a.merchant AND c.issuer = a.owner"
        " WHERE a.kind = 'budget_reserved' AND a.balance <> coalesce(c.amount, 0)",
    ),
    Check(
        "members: what they have spent is what their orders say",
        "SELECT count(*) AS members FROM member",
        "SELECT m.merchant, m.person, m.spent, coalesce(o.spent, 0) AS of_orders FROM member AS m LEFT JOIN"
        " (SELECT merchant, person, sum(spent) AS spent FROM (SELECT o.merchant, o.person,"
        f" {EARNS} - {EARNS_BACK} AS spent FROM orders AS o {CARRIED}"
        f" WHERE o.kind = 'goods' AND o.status NOT IN {_UNPAID} UNION ALL SELECT merchant, person,"
        " amount - refunded FROM pos_receipt WHERE person IS NOT NULL) AS sold"
        " GROUP BY merchant, person) AS o ON o.merchant = m.merchant"
        " AND o.person = m.person WHERE m.spent <> coalesce(o.spent, 0)",
    ),
    Check(
        "tills: what was refunded is what the refunds say, of receipts of that store",
        "SELECT count(*) AS receipts, coalesce(sum(amount), 0) AS amount, coalesce(sum(refunded), 0) AS refunded"
        " FROM pos_receipt",
        "SELECT r.id, r.refunded, coalesce(f.amount, 0) AS of_refunds FROM pos_receipt AS r LEFT JOIN (SELECT receipt,"
        " outlet, sum(amount) AS amount FROM pos_refund GROUP BY receipt, outlet) AS f ON f.receipt = r.id"
        " AND f.outlet = r.outlet WHERE r.refunded <> coalesce(f.amount, 0)"
        " UNION ALL SELECT r.id, 0, 0 FROM pos_receipt AS r JOIN outlet AS o ON o.id = r.outlet"
        " WHERE o.merchant <> r.merchant",
    ),
    Check(
        "payment gifts: of a payment that was settled for that order",
        "SELECT count(*) AS gifts FROM payment_gift",
        "SELECT g.payment, g.order_id FROM payment_gift AS g LEFT JOIN payment AS p ON p.id = g.payment"
        " AND p.order_id = g.order_id AND p.state = 'settled' WHERE p.id IS NULL",
    ),
)
