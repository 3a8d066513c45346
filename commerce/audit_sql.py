"""Every invariant of the ledger as one query, on a live or a stopped database (``siyu audit``).

Each check selects what breaks it: no row is a clean bill. All run in one read transaction, so they see one moment.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text

from commerce.audit_aftersale_sql import AFTER_SALE, Check
from commerce.audit_books_sql import BOOKS, GOODS, recompute_books
from commerce.audit_clearing_sql import CLEARED
from commerce.audit_commission_sql import COMMISSION
from commerce.audit_credit_sql import CREDIT
from commerce.audit_custom_sql import CUSTOM
from commerce.audit_floor_sql import FLOOR
from commerce.audit_members_sql import MEMBERS
from commerce.audit_moments_sql import MOMENTS, RECOMPUTED, recompute_draws
from commerce.audit_outlets_sql import OUTLETS
from commerce.audit_passes_sql import PASSES
from commerce.audit_people_sql import PEOPLE
from commerce.audit_purchases_sql import COSTS
from commerce.audit_requests_sql import REQUESTS
from commerce.audit_scope_sql import SCOPE
from commerce.audit_tills_sql import TILLS
from commerce.ledger import PAYMENT_GRACE_MS
from commerce.store_sql import read_engine

LEAK_GRACE_MS = 60_000
"""How long past its expiry a hold may wait for the sweeper (and its order for the provider) before it is a leak."""
BROKEN_SHOWN_MAX = 10
"""Broken rows shown per finding."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One checked invariant: its name, whether it holds, figures over all rows, and up to ten broken rows."""

    name: str
    ok: bool
    figures: dict[str, Any]
    detail: tuple[dict[str, Any], ...] = ()


_CHECKS = (
    Check(
        "stock: received + adjusted - shipped = free + held + sold + quarantined, none below 0",
        "SELECT count(*) AS skus, coalesce(sum(received + adjusted), 0) AS units, coalesce(sum(free), 0) AS free,"
        " coalesce(sum(held), 0) AS held, coalesce(sum(sold), 0) AS sold FROM stock",
        "SELECT * FROM stock WHERE received + adjusted - shipped <> free + held + sold + quarantined"
        " OR free < 0 OR held < 0 OR sold < 0 OR quarantined < 0 OR shipped < 0",
    ),
    Check(
        "sale: total = free + held + sold + returned, none below 0",
        "SELECT count(*) AS sales, coalesce(sum(total), 0) AS total, coalesce(sum(sold), 0) AS sold FROM sale",
        "SELECT * FROM sale WHERE total <> free + held + sold + returned OR free < 0 OR held < 0 OR sold < 0"
        " OR returned < 0 OR (closed_ms IS NOT NULL AND free <> 0)",
    ),
    Check(
        "sale counters equal the sum over its holds",
        "SELECT count(*) AS holds, coalesce(sum(quantity), 0) AS units FROM hold WHERE sale IS NOT NULL",
        "SELECT s.id, s.held, s.sold, coalesce(h.held, 0) AS held_by_holds, coalesce(h.sold, 0) AS sold_by_holds"
        " FROM sale AS s LEFT JOIN (SELECT sale, sum(CASE state WHEN 'held' THEN quantity ELSE 0 END) AS held,"
        " sum(CASE state WHEN 'sold' THEN quantity ELSE 0 END) AS sold FROM hold WHERE sale IS NOT NULL GROUP BY sale)"
        " AS h ON h.sale = s.id WHERE s.held <> coalesce(h.held, 0) OR s.sold <> coalesce(h.sold, 0)",
    ),
    Check(
        "stock counters equal sales and holds",
        "SELECT coalesce(sum(held), 0) AS held, coalesce(sum(sold), 0) AS sold FROM stock",
        "SELECT t.sku, t.held, t.sold, coalesce(s.reserved, 0) + coalesce(h.held, 0) AS held_by_parts,"
        " coalesce(h.sold, 0) AS sold_by_holds, coalesce(r.returned, 0) AS returned FROM stock AS t"
        " LEFT JOIN (SELECT b.sku, sum(b.returned) AS returned FROM refund_line AS b JOIN order_line AS l"
        " ON l.order_id = b.order_id AND l.n = b.n JOIN hold AS o ON o.id = l.hold WHERE o.outlet IS NULL"
        " GROUP BY b.sku) AS r ON r.sku = t.sku"
        " LEFT JOIN (SELECT sku, sum(free + held) AS reserved FROM sale GROUP BY sku) AS s ON s.sku = t.sku"
        " LEFT JOIN (SELECT sku, sum(CASE WHEN state = 'held' AND sale IS NULL THEN quantity ELSE 0 END) AS held,"
        " sum(CASE WHEN state = 'sold' THEN quantity ELSE 0 END) AS sold FROM hold"
        " WHERE outlet IS NULL GROUP BY sku) AS h"
        " ON h.sku = t.sku WHERE t.held <> coalesce(s.reserved, 0) + coalesce(h.held, 0)"
        " OR t.sold + t.shipped <> coalesce(h.sold, 0) - coalesce(r.returned, 0)",
    ),
    Check(
        "holds and sales belong to known stock of the same merchant",
        "SELECT count(*) AS holds FROM hold",
        "SELECT h.id, h.sku, h.sale FROM hold AS h LEFT JOIN stock AS t ON t.sku = h.sku"
        " LEFT JOIN sale AS s ON s.id = h.sale WHERE t.sku IS NULL OR t.merchant <> h.merchant"
        " OR (h.sale IS NOT NULL AND (s.id IS NULL OR s.sku <> h.sku OR s.merchant <> h.merchant))",
    ),
    Check(
        "no leaked hold: what is due has ended",
        "SELECT count(*) AS held, min(expires_ms) AS next_expiry_ms FROM hold WHERE state = 'held'",
        "SELECT id, sale, person, expires_ms FROM hold WHERE state = 'held' AND expires_ms < :leaked",
    ),
    Check(
        "per-person limit of sales",
        "SELECT count(*) AS people FROM quota",
        "SELECT h.sale, h.person, sum(h.quantity) AS units, s.per_person FROM hold AS h JOIN sale AS s ON s.id = h.sale"
        # Two who bought before they were known to be one may have more together. Of a group buy the seats are counted:
        # a refunded one may be had again.
        " WHERE h.state IN ('held', 'sold') AND s.mode <> 'team' AND h.person NOT IN"
        " (SELECT elder FROM merge_journal WHERE undone_ms IS NULL) GROUP BY h.sale, h.person, s.per_person"
        " HAVING sum(h.quantity) > s.per_person",
    ),
    Check(
        "quotas equal the holds and coupons behind them",
        "SELECT coalesce(sum(used), 0) AS used FROM quota",
        "SELECT q.scope, q.person, q.used, coalesce(h.units, 0) + coalesce(c.units, 0) AS behind FROM quota AS q"
        " LEFT JOIN (SELECT sale, person, sum(quantity) AS units FROM hold WHERE state IN ('held', 'sold')"
        " AND sale IS NOT NULL GROUP BY sale, person) AS h ON h.sale = q.scope AND h.person = q.person"
        " LEFT JOIN (SELECT drop_id, person, count(*) AS units FROM coupon GROUP BY drop_id, person) AS c"
        " ON c.drop_id = q.scope AND c.person = q.person WHERE q.used <> coalesce(h.units, 0) + coalesce(c.units, 0)",
    ),
    Check(
        "coupons: issued equals the coupons there are, and is at most the total",
        "SELECT count(*) AS drops, coalesce(sum(issued), 0) AS issued, coalesce(sum(total), 0) AS total FROM drop_",
        "SELECT d.id, d.issued, d.total, coalesce(c.there, 0) AS there FROM drop_ AS d LEFT JOIN"
        " (SELECT drop_id, count(*) AS there FROM coupon GROUP BY drop_id) AS c ON c.drop_id = d.id"
        " WHERE d.issued > d.total OR d.issued <> coalesce(c.there, 0)",
    ),
    Check(
        "coupons: per-person limit",
        "SELECT count(*) AS coupons FROM coupon",
        "SELECT c.drop_id, c.person, count(*) AS coupons, d.per_person FROM coupon AS c JOIN drop_ AS d"
        # As with holds: two who were given theirs before they were known to be one may have more together.
        " ON d.id = c.drop_id WHERE c.person NOT IN (SELECT elder FROM merge_journal WHERE undone_ms IS NULL)"
        " GROUP BY c.drop_id, c.person, d.per_person HAVING count(*) > d.per_person",
    ),
    Check(
        "coupons: on one living order at most, in the state of that order",
        "SELECT count(*) AS on_orders FROM coupon WHERE order_id IS NOT NULL",
        "SELECT o.id, o.status, u.coupon, c.state, c.order_id FROM orders AS o JOIN order_coupon AS u"
        " ON u.order_id = o.id LEFT JOIN coupon AS c ON c.id = u.coupon"
        " WHERE o.status NOT IN ('cancelled', 'refunded')"
        " AND (c.id IS NULL OR c.order_id IS NULL"
        " OR c.order_id <> o.id OR c.person <> o.person"
        " OR c.state <> CASE o.status WHEN 'pending' THEN 'locked' ELSE 'used' END)"
        " UNION ALL SELECT o.id, o.status, c.id, c.state, c.order_id FROM coupon AS c LEFT JOIN orders AS o"
        " ON o.id = c.order_id WHERE c.order_id IS NOT NULL AND (o.id IS NULL OR o.status = 'cancelled'"
        " OR NOT EXISTS (SELECT 1 FROM order_coupon AS u WHERE u.order_id = o.id AND u.coupon = c.id))",
    ),
    Check(
        "orders: lines and discounts add up",
        "SELECT count(*) AS orders, coalesce(sum(amount), 0) AS amount FROM orders",
        "SELECT o.id, o.goods, o.discount, o.amount, l.goods AS of_lines, l.discount AS discounts_of_lines,"
        " f.amount AS freight"
        " FROM orders AS o LEFT JOIN (SELECT order_id, sum(quantity * price) AS goods, sum(discount) AS discount"
        " FROM order_line GROUP BY order_id) AS l ON l.order_id = o.id LEFT JOIN order_freight AS f"
        " ON f.order_id = o.id WHERE l.goods IS NULL OR l.goods + coalesce(f.amount, 0) <> o.goods"
        " OR l.discount <> o.discount OR o.amount <> o.goods - o.discount",
    ),
    Check(
        "orders: each line has its own hold, in the state of the order",
        "SELECT count(*) AS lines FROM order_line",
        "SELECT l.order_id, l.n, o.status, h.id AS hold, h.state FROM order_line AS l JOIN orders AS o"
        " ON o.id = l.order_id LEFT JOIN hold AS h ON h.id = l.hold"
        # A paid deposit's units are its balance order's.
        " WHERE (o.presale IS NULL OR o.presale <> o.id OR o.status IN ('pending', 'cancelled'))"
        " AND (h.id IS NULL OR h.order_id IS NULL"
        " OR h.order_id <> o.id OR h.quantity <> l.quantity OR h.sku <> l.sku OR h.person <> o.person"
        " OR (o.status NOT IN ('pending', 'cancelled') AND h.state <> 'sold')"
        " OR (o.status = 'pending' AND h.state <> 'held')"
        " OR (o.status = 'cancelled' AND h.state NOT IN ('released', 'expired')))",
    ),
    Check(
        "presales: a paid deposit has its balance order, less the deposit, and what became of it is by the rule",
        "SELECT count(*) AS presales, count(balance) AS paid, count(ended_ms) AS ended FROM presale",
        "SELECT p.id, p.balance, d.status, b.status AS of_balance FROM presale AS p JOIN orders AS d ON d.id = p.id"
        " LEFT JOIN orders AS b ON b.id = p.balance WHERE d.presale IS NULL OR d.presale <> d.id"
        " OR (p.balance IS NULL) <> (d.status IN ('pending', 'cancelled'))"
        " OR (p.balance IS NOT NULL AND (b.id IS NULL OR b.presale <> p.id OR b.person <> d.person"
        " OR b.discount <> d.amount))"
        " OR (b.status = 'pending' AND d.status = 'refunded')"
        " OR (p.ended_ms IS NOT NULL AND b.status NOT IN ('cancelled', 'refunded') AND d.status <> 'refunded')"
        " OR (p.ended_ms IS NOT NULL AND b.status = 'cancelled' AND p.missed = 'refund' AND d.status <> 'refunded')",
    ),
    Check(
        "holds: sold ones are on paid orders",
        "SELECT count(*) AS sold FROM hold WHERE state = 'sold'",
        "SELECT h.id, h.order_id, o.status FROM hold AS h LEFT JOIN orders AS o ON o.id = h.order_id"
        " WHERE h.state = 'sold' AND (o.id IS NULL OR o.status IN ('pending', 'cancelled'))",
    ),
    Check(
        "payments: a paid order has exactly one settled payment of its amount, others have none",
        "SELECT count(*) AS settled, coalesce(sum(amount), 0) AS amount FROM payment WHERE state = 'settled'",
        "SELECT o.id, o.status, o.amount, p.there, p.amount AS settled FROM orders AS o LEFT JOIN"
        " (SELECT order_id, count(*) AS there, sum(amount) AS amount FROM payment WHERE state = 'settled'"
        " GROUP BY order_id) AS p ON p.order_id = o.id WHERE (o.status NOT IN ('pending', 'cancelled') AND"
        " (p.there IS NULL OR p.there <> 1 OR p.amount <> o.amount - o.stored))"
        " OR (o.status IN ('pending', 'cancelled') AND p.there IS NOT NULL)",
    ),
    Check(
        "payments: whatever had an effect has the notice that caused it",
        "SELECT count(*) AS notices FROM payment_event",
        "SELECT p.id, p.state, p.number FROM payment AS p LEFT JOIN payment_event AS e ON e.provider = p.provider"
        " AND e.number = p.number AND e.kind = 'paid' AND e.payment = p.id AND e.amount = p.amount"
        " WHERE p.state IN ('settled', 'refund_due', 'refunded') AND e.id IS NULL",
    ),
    *AFTER_SALE,
    *MEMBERS,
    *SCOPE,
    *COMMISSION,
    *MOMENTS,
    *FLOOR,
    *GOODS,
    *PASSES,
    *OUTLETS,
    *TILLS,
    *COSTS,
    *CUSTOM,
    *REQUESTS,
    *CREDIT,
    *CLEARED,
    *PEOPLE,
    Check(
        "requests: each stored answer is an effect that is there",
        "SELECT count(*) AS requests FROM request",
        "SELECT q.merchant, q.person, q.route, q.key, q.answer FROM request AS q"
        " LEFT JOIN coupon AS c ON q.route LIKE 'claim/%' AND c.id = q.answer AND c.person = q.person"
        " LEFT JOIN orders AS o ON q.route IN ('order', 'pay') AND o.id = q.answer AND o.person = q.person"
        " LEFT JOIN refund AS r ON q.route = 'refund' AND r.id = q.answer AND r.staff = q.person"
        " LEFT JOIN withdrawal AS w ON q.route = 'withdraw' AND w.id = q.answer AND w.person = q.person"
        " LEFT JOIN coupon AS g ON q.route = 'guide_coupon' AND g.id = q.answer AND g.issuer = q.person"
        " LEFT JOIN drop_ AS i ON q.route = 'partner_coupon' AND i.id = q.answer AND i.merchant = q.merchant"
        " LEFT JOIN pass_use AS u ON q.route = 'pass.use' AND u.id = q.answer AND u.staff = q.person"
        " LEFT JOIN stock_transfer AS m ON q.route = 'stock.move' AND m.id = q.answer AND m.staff = q.person"
        " LEFT JOIN purchase_delivery AS d ON q.route LIKE 'purchase.%' AND d.id = q.answer AND d.staff = q.person"
        " LEFT JOIN processing_run AS x ON q.route = 'processing' AND x.id = q.answer AND x.staff = q.person"
        " LEFT JOIN credit_booking AS z ON q.route = 'credit' AND z.id = q.answer AND z.staff = q.person"
        " LEFT JOIN repayment AS v ON q.route = 'repay' AND v.id = q.answer AND v.person = q.person"
        " LEFT JOIN credit_reminder AS n ON q.route = 'credit.remind' AND n.id = q.answer AND n.staff = q.person"
        " LEFT JOIN after_sale AS a ON q.route = 'after_sale' AND a.id = q.answer"
        " LEFT JOIN custom_request AS y ON q.route = 'custom.ask' AND y.id = q.answer AND y.person = q.person"
        " WHERE q.route <> 'budget' AND i.id IS NULL AND g.id IS NULL AND u.id IS NULL AND m.id IS NULL"
        " AND d.id IS NULL AND x.id IS NULL AND y.id IS NULL AND a.id IS NULL AND z.id IS NULL AND c.id IS NULL"
        " AND v.id IS NULL AND n.id IS NULL AND o.id IS NULL AND r.id IS NULL AND w.id IS NULL",
    ),
    Check(
        "outbox: nothing waits for long",
        "SELECT count(*) AS kept, coalesce(sum(CASE WHEN delivered_ms IS NULL THEN 1 ELSE 0 END), 0) AS undelivered"
        " FROM outbox",
        "SELECT id, type, created_ms FROM outbox WHERE delivered_ms < created_ms",
    ),
)


def audit(where: Path | str, *, now_ms: int | None = None) -> list[Finding]:
    """Check every invariant of a database (a data directory, ``sqlite:///FILE``, ``postgresql://…``) at one moment.

    ``now_ms`` is what "due" is measured against; the machine's clock if not given. Raises StoreError when there is
    no database.
    """
    now_ms = time.time_ns() // 1_000_000 if now_ms is None else now_ms
    engine = read_engine(where)
    try:
        with engine.begin() as connection:
            return audit_all(connection, now_ms)
    finally:
        engine.dispose()


def audit_all(connection: Connection, now_ms: int) -> list[Finding]:
    """Check every invariant in the caller's transaction."""
    checked = [_check(connection, check, now_ms) for check in _CHECKS]
    return [*checked, _recompute(connection), _books(connection)]


def _recompute(connection: Connection) -> Finding:
    drawn, broken = recompute_draws(connection)
    return Finding(RECOMPUTED, not broken, {"drawn": drawn}, tuple(broken[:BROKEN_SHOWN_MAX]))


def _books(connection: Connection) -> Finding:
    figures, broken = recompute_books(connection)
    return Finding(BOOKS, not broken, figures, tuple(broken[:BROKEN_SHOWN_MAX]))


def _check(connection: Connection, check: Check, now_ms: int) -> Finding:
    figures = dict(connection.execute(text(check.figures)).mappings().one())
    known = {"leaked": now_ms - LEAK_GRACE_MS - PAYMENT_GRACE_MS, "now": now_ms}
    parameters = {name: value for name, value in known.items() if f":{name}" in check.broken}
    # Each broken-row query is a constant of this module.
    limited = text(f"SELECT * FROM ({check.broken}) AS broken LIMIT {BROKEN_SHOWN_MAX}")  # noqa: S608
    broken = tuple(dict(row) for row in connection.execute(limited, parameters).mappings())
    return Finding(check.name, not broken, figures, broken)
