"""Invariants of the stock of stores: counters and what they are made of, transfers, who a thing belongs to."""

from commerce.audit_aftersale_sql import Check
from commerce.stock_sql import COUNTERS

# ruff: noqa: S608 - the queries are constants.

_SUMS = ", ".join(f"sum({name}) AS {name}" for name in COUNTERS)
_DIFFER = " OR ".join(f"coalesce(e.{name}, 0) <> t.{name}" for name in COUNTERS)

OUTLETS = (
    Check(
        "stores: received + adjusted - shipped = free + held + sold + quarantined, none below 0",
        "SELECT count(*) AS rows, count(DISTINCT outlet) AS stores, coalesce(sum(received + adjusted), 0) AS units,"
        " coalesce(sum(free), 0) AS free FROM outlet_stock",
        "SELECT * FROM outlet_stock WHERE received + adjusted - shipped <> free + held + sold + quarantined"
        " OR free < 0 OR held < 0 OR sold < 0 OR quarantined < 0 OR shipped < 0",
    ),
    Check(
        "stores: the journal's entries add up to each store's row",
        "SELECT count(*) AS entries FROM stock_entry WHERE outlet <> ''",
        "SELECT t.outlet, t.sku, t.free, e.free AS free_by_entries FROM outlet_stock AS t LEFT JOIN"
        f" (SELECT outlet, sku, {_SUMS} FROM stock_entry WHERE outlet <> '' GROUP BY outlet, sku) AS e"
        f" ON e.outlet = t.outlet AND e.sku = t.sku WHERE {_DIFFER}"
        " UNION ALL SELECT e.outlet, e.sku, NULL, e.free FROM stock_entry AS e WHERE e.outlet <> '' AND NOT EXISTS"
        " (SELECT 1 FROM outlet_stock AS t WHERE t.outlet = e.outlet AND t.sku = e.sku)",
    ),
    Check(
        "stores: counters equal the holds of orders and the receipts of tills",
        "SELECT coalesce(sum(held), 0) AS held, coalesce(sum(sold), 0) AS sold FROM outlet_stock",
        "SELECT t.outlet, t.sku, t.held, t.sold, t.shipped, coalesce(h.held, 0) AS held_by_holds,"
        " coalesce(h.sold, 0) AS sold_by_holds, coalesce(r.returned, 0) AS returned, coalesce(p.units, 0) AS of_tills"
        " FROM outlet_stock AS t"
        " LEFT JOIN (SELECT outlet, sku, sum(CASE WHEN state = 'held' THEN quantity ELSE 0 END) AS held,"
        " sum(CASE WHEN state = 'sold' THEN quantity ELSE 0 END) AS sold FROM hold WHERE outlet IS NOT NULL"
        " GROUP BY outlet, sku) AS h ON h.outlet = t.outlet AND h.sku = t.sku"
        " LEFT JOIN (SELECT o.outlet, b.sku, sum(b.returned) AS returned FROM refund_line AS b JOIN order_line AS l"
        " ON l.order_id = b.order_id AND l.n = b.n JOIN hold AS o ON o.id = l.hold WHERE o.outlet IS NOT NULL"
        " GROUP BY o.outlet, b.sku) AS r ON r.outlet = t.outlet AND r.sku = t.sku"
        " LEFT JOIN (SELECT outlet, sku, sum(quantity - returned) AS units FROM pos_unit GROUP BY outlet, sku) AS p"
        " ON p.outlet = t.outlet AND p.sku = t.sku WHERE t.held <> coalesce(h.held, 0)"
        " OR t.sold + t.shipped <> coalesce(h.sold, 0) - coalesce(r.returned, 0) + coalesce(p.units, 0)",
    ),
    Check(
        "stores: a transfer is what left one place and came to the other",
        "SELECT count(*) AS transfers, coalesce(sum(quantity), 0) AS units FROM stock_transfer",
        "SELECT t.id, t.quantity, coalesce(e.there, 0) AS entries FROM stock_transfer AS t LEFT JOIN"
        " (SELECT ref, merchant, sku, count(*) AS there, sum(free) AS free, max(free) AS most,"
        " max(CASE WHEN free < 0 THEN outlet END) AS source, max(CASE WHEN free > 0 THEN outlet END) AS target"
        " FROM stock_entry WHERE kind = 'moved' GROUP BY ref, merchant, sku) AS e ON e.ref = t.id"
        " WHERE e.ref IS NULL OR e.there <> 2 OR e.free <> 0 OR e.most <> t.quantity OR e.source <> t.source"
        " OR e.target <> t.target OR e.merchant <> t.merchant OR e.sku <> t.sku"
        " UNION ALL SELECT e.ref, e.free, 0 FROM stock_entry AS e WHERE e.kind = 'moved' AND NOT EXISTS"
        " (SELECT 1 FROM stock_transfer AS t WHERE t.id = e.ref)",
    ),
    Check(
        "stores: stock, prices, holds and orders are of the store's merchant",
        "SELECT count(*) AS stores FROM outlet",
        "SELECT 'stock' AS what, s.sku AS id FROM outlet_stock AS s LEFT JOIN outlet AS o ON o.id = s.outlet"
        " LEFT JOIN sku AS k ON k.id = s.sku"
        " WHERE o.id IS NULL OR k.id IS NULL OR o.merchant <> s.merchant OR k.merchant <> s.merchant"
        " UNION ALL SELECT 'price', p.sku FROM outlet_price AS p LEFT JOIN outlet AS o ON o.id = p.outlet"
        " LEFT JOIN sku AS k ON k.id = p.sku"
        " WHERE o.id IS NULL OR k.id IS NULL OR o.merchant <> p.merchant OR k.merchant <> p.merchant"
        " UNION ALL SELECT 'hold', h.id FROM hold AS h LEFT JOIN outlet AS o ON o.id = h.outlet"
        " WHERE h.outlet IS NOT NULL AND (o.id IS NULL OR o.merchant <> h.merchant OR h.sale IS NOT NULL)"
        " UNION ALL SELECT 'order', r.id FROM orders AS r LEFT JOIN outlet AS o ON o.id = r.outlet"
        " WHERE r.outlet <> '' AND (o.id IS NULL OR o.merchant <> r.merchant)",
    ),
    Check(
        "freight: of an order that is brought, and what couriers charge is of errands that ended",
        "SELECT count(*) AS orders, coalesce(sum(amount), 0) AS freight,"
        " (SELECT coalesce(sum(charged), 0) FROM courier_errand) AS charged FROM order_freight",
        "SELECT f.order_id, f.amount, o.amount AS of_order, f.way FROM order_freight AS f LEFT JOIN orders AS o"
        " ON o.id = f.order_id WHERE o.id IS NULL OR o.merchant <> f.merchant OR o.kind <> 'goods'"
        " OR f.amount >= o.amount OR o.presale IS NOT NULL OR o.delivery IS NULL"
        " UNION ALL SELECT id, charged, fee, state FROM courier_errand"
        " WHERE charged < 0 OR (charged > 0 AND ended_ms IS NULL)",
    ),
    Check(
        "couriers: an errand is of an order of its store, and what it delivered was sent",
        "SELECT count(*) AS errands, coalesce(sum(CASE WHEN ended_ms IS NULL THEN 1 ELSE 0 END), 0) AS under_way"
        " FROM courier_errand",
        "SELECT e.id, e.state, o.status, o.fulfilment FROM courier_errand AS e LEFT JOIN orders AS o"
        " ON o.id = e.order_id WHERE o.id IS NULL OR o.merchant <> e.merchant OR o.outlet <> e.outlet"
        " OR o.status IN ('pending', 'cancelled')"
        " OR (e.state = 'delivered' AND o.fulfilment = 'open' AND o.status <> 'refunded')"
        " UNION ALL SELECT v.id, v.kind, v.provider, v.errand FROM courier_event AS v LEFT JOIN courier_errand AS e"
        " ON e.id = v.errand WHERE e.id IS NULL OR e.provider <> v.provider",
    ),
)
