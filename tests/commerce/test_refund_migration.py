"""A database from before refunds were kept is carried over with what is in it."""

from pathlib import Path

from sqlalchemy import text

from commerce.audit_sql import audit
from tests.commerce.shop_world import upgraded

BEFORE = (
    "INSERT INTO stock (sku, merchant, received, free, sold) VALUES ('k2', 'm1', 9, 7, 2)",
    "INSERT INTO hold (id, merchant, sku, person, quantity, price, expires_ms, state, order_id)"
    " VALUES ('h1', 'm1', 'k2', 'one', 2, 2000, 5, 'sold', 'o1'),"
    " ('h2', 'm1', 'k2', 'one', 1, 2000, 5, 'released', 'o2')",
    "INSERT INTO orders (id, merchant, room, person, status, goods, discount, amount, steps, created_ms, expires_ms,"
    " paid_ms) VALUES ('o1', 'm1', 'r1', 'one', 'paid', 4000, 0, 4000, '[]', 1, 5, 2),"
    " ('o2', 'm1', 'r1', 'one', 'cancelled', 2000, 0, 2000, '[]', 1, 5, NULL)",
    "INSERT INTO order_line (order_id, n, hold, product, sku, title, quantity, price, list_price, discount)"
    " VALUES ('o1', 0, 'h1', 'p2', 'k2', 't', 2, 2000, 2000, 0), ('o2', 0, 'h2', 'p2', 'k2', 't', 1, 2000, 2000, 0)",
    "INSERT INTO payment (id, order_id, merchant, person, provider, number, amount, state, created_ms, settled_ms)"
    " VALUES ('a', 'o1', 'm1', 'one', 'sandbox', 'n1', 4000, 'settled', 1, 2),"
    " ('b', 'o2', 'm1', 'one', 'sandbox', 'n2', 2000, 'refund_due', 1, 3),"
    " ('c', 'o2', 'm1', 'one', 'sandbox', 'n3', 2000, 'refunded', 1, 4)",
    "INSERT INTO payment_event (id, provider, number, kind, payment, amount, raw, received_ms)"
    " VALUES ('e1', 'sandbox', 'n1', 'paid', 'a', 4000, '', 2), ('e2', 'sandbox', 'n2', 'paid', 'b', 2000, '', 3),"
    " ('e3', 'sandbox', 'n3', 'paid', 'c', 2000, '', 3), ('e4', 'sandbox', 'n3', 'refunded', 'c', 2000, '', 4),"
    " ('e5', 'sandbox', 'n9', 'paid', 'a', 4000, '', 5)",
)


def test_what_is_owed_and_what_is_in_stock_is_carried_over(tmp_path: Path) -> None:
    engine = upgraded(tmp_path, "0004", BEFORE)
    assert len(list(tmp_path.glob("shop.db.before-*"))) == 1
    with engine.begin() as connection:
        refunds = connection.execute(text("SELECT id, kind, state, amount, done_ms FROM refund ORDER BY id")).all()
        assert [tuple(row) for row in refunds] == [
            ("b", "late", "requested", 2000, None),
            ("c", "late", "done", 2000, 4),
            ("e5", "late", "failed", 4000, None),
        ]
        orders = connection.execute(text("SELECT status, refunded, fulfilment FROM orders ORDER BY id")).all()
        assert [tuple(row) for row in orders] == [("paid", 0, "open"), ("cancelled", 0, "open")]
        assert connection.execute(text("SELECT kind, free, sold FROM stock_entry")).all() == [("opening", 7, 2)]
        assert connection.execute(text("PRAGMA integrity_check")).scalar_one() == "ok"
    engine.dispose()
    broken = [finding for finding in audit(tmp_path, now_ms=6) if not finding.ok]
    assert not broken, broken
