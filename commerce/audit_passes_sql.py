"""Invariants of passes, of exchanges in the mall, and of places at pickup stations."""

from commerce.audit_aftersale_sql import Check

PASSES = (
    Check(
        "events: as many places are taken as tickets have one, never more than there are, paid ones on paid orders",
        "SELECT count(*) AS events, coalesce(sum(taken), 0) AS taken FROM event_",
        "SELECT e.id, e.places, e.taken, coalesce(t.taken, 0) AS tickets FROM event_ AS e LEFT JOIN (SELECT event,"
        " count(*) AS taken FROM ticket WHERE state IN ('reserved', 'good', 'used') GROUP BY event) AS t"
        " ON t.event = e.id WHERE e.taken <> coalesce(t.taken, 0) OR e.taken > e.places"
        " UNION ALL SELECT t.id, 0, 0, 0 FROM ticket AS t JOIN event_ AS e ON e.id = t.event LEFT JOIN orders AS o"
        " ON o.id = t.order_id WHERE e.merchant <> t.merchant OR (e.sku IS NOT NULL AND t.state = 'good'"
        " AND (o.id IS NULL OR o.status IN ('pending', 'cancelled', 'refunded')))",
    ),
    Check(
        "memberships: good ones are on orders that were paid and not refunded whole, each of its order's line",
        "SELECT count(*) AS memberships, coalesce(sum(paid), 0) AS paid, coalesce(sum(coupons), 0) AS coupons"
        " FROM membership",
        "SELECT m.id, m.order_id, m.state, o.status FROM membership AS m LEFT JOIN orders AS o ON o.id = m.order_id"
        " WHERE o.id IS NULL OR o.merchant <> m.merchant OR o.status IN ('pending', 'cancelled')"
        " OR (o.status = 'refunded' AND m.state = 'active')"
        " UNION ALL SELECT l.sku, l.order_id, 'line', '' FROM (SELECT order_id, sku, sum(quantity) AS units,"
        " sum(quantity * price - discount) AS paid FROM order_line GROUP BY order_id, sku) AS l JOIN"
        " (SELECT order_id, sku, count(*) AS units, sum(paid) AS paid FROM membership GROUP BY order_id, sku) AS m"
        " ON m.order_id = l.order_id AND m.sku = l.sku WHERE m.units <> l.units OR m.paid <> l.paid",
    ),
    Check(
        "stations: each day has as many orders as are fetched there, and none that has ended",
        "SELECT count(*) AS orders, coalesce(sum(counted), 0) AS counted FROM station_order",
        "SELECT d.station, d.day, d.orders, coalesce(s.there, 0) AS there FROM station_day AS d LEFT JOIN"
        " (SELECT station, day, sum(counted) AS there FROM station_order GROUP BY station, day) AS s"
        " ON s.station = d.station AND s.day = d.day WHERE d.orders <> coalesce(s.there, 0)"
        " UNION ALL SELECT s.station, s.order_id, s.counted, 0 FROM station_order AS s LEFT JOIN orders AS o"
        " ON o.id = s.order_id WHERE o.id IS NULL OR (s.counted = 1) = (o.status = 'cancelled'"
        " OR (o.status = 'refunded' AND o.fulfilment = 'open'))",
    ),
    Check(
        "mall: an exchange spent the points of its units, and somebody had them",
        "SELECT count(*) AS exchanges, coalesce(sum(points), 0) AS points FROM mall_order",
        "SELECT m.order_id, m.points, o.points AS of_order FROM mall_order AS m LEFT JOIN orders AS o"
        " ON o.id = m.order_id WHERE o.id IS NULL OR o.points <> m.points OR o.merchant <> m.merchant",
    ),
    Check(
        "passes: what is left and what was used is what was sold",
        "SELECT count(*) AS passes, coalesce(sum(uses), 0) AS uses, coalesce(sum(left_uses), 0) AS left_uses"
        " FROM pass_",
        "SELECT p.id, p.uses, p.left_uses, p.state, coalesce(u.units, 0) AS used FROM pass_ AS p LEFT JOIN"
        " (SELECT pass_id, sum(units) AS units FROM pass_use GROUP BY pass_id) AS u ON u.pass_id = p.id"
        " WHERE p.uses <> p.left_uses + coalesce(u.units, 0) OR (p.state = 'active' AND p.left_uses = 0)",
    ),
    Check(
        "passes: good ones are on orders that were paid and not refunded whole, and each line of an order has its own",
        "SELECT count(*) AS active, coalesce(sum(paid), 0) AS paid FROM pass_ WHERE state = 'active'",
        "SELECT p.id, p.order_id, p.state, o.status FROM pass_ AS p LEFT JOIN orders AS o ON o.id = p.order_id"
        " WHERE o.id IS NULL OR o.merchant <> p.merchant OR o.status IN ('pending', 'cancelled')"
        " OR (o.status = 'refunded' AND p.state IN ('active', 'expired'))"
        " UNION ALL SELECT l.sku, l.order_id, 'line', '' FROM (SELECT order_id, sku, sum(quantity) AS units,"
        " sum(quantity * price - discount) AS paid FROM order_line GROUP BY order_id, sku) AS l JOIN"
        " (SELECT order_id, sku, count(*) AS units, sum(paid) AS paid FROM pass_ GROUP BY order_id, sku) AS p"
        " ON p.order_id = l.order_id AND p.sku = l.sku WHERE p.units <> l.units OR p.paid <> l.paid",
    ),
)
