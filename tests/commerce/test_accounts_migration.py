"""A database from before orders took several coupons is carried over with those that are on its orders."""

from pathlib import Path

from sqlalchemy import text

from commerce.audit_sql import audit
from tests.commerce.shop_world import upgraded

BEFORE = (
    "INSERT INTO stock (sku, merchant, received, free, held, sold) VALUES ('k2', 'm1', 9, 6, 1, 2)",
    "INSERT INTO stock_entry (id, merchant, sku, kind, ref, received, free, held, sold, created_ms)"
    " VALUES ('s', 'm1', 'k2', 'opening', '', 9, 6, 1, 2, 1)",
    "INSERT INTO drop_ (id, merchant, room, title, reason, amount, threshold, total, issued, per_person, starts_ms,"
    " ends_ms, valid_ms, announced) VALUES ('d', 'm1', 'r1', 't', '店庆', 500, 0, 9, 2, 2, 1, 9, 99, 'open')",
    "INSERT INTO quota (scope, person, used) VALUES ('d', 'one', 2)",
    "INSERT INTO coupon (id, merchant, drop_id, person, n, title, amount, threshold, state, order_id, expires_ms,"
    " created_ms) VALUES ('c1', 'm1', 'd', 'one', 1, 't', 500, 0, 'used', 'o1', 99, 1),"
    " ('c2', 'm1', 'd', 'one', 2, 't', 500, 0, 'locked', 'o2', 99, 1)",
    "INSERT INTO hold (id, merchant, sku, person, quantity, price, expires_ms, state, order_id)"
    " VALUES ('h1', 'm1', 'k2', 'one', 2, 2000, 9, 'sold', 'o1'), ('h2', 'm1', 'k2', 'one', 1, 2000, 9, 'held', 'o2')",
    "INSERT INTO orders (id, merchant, room, person, status, goods, discount, amount, coupon, steps, created_ms,"
    " expires_ms, paid_ms) VALUES ('o1', 'm1', 'r1', 'one', 'paid', 4000, 500, 3500, 'c1', '[]', 1, 9, 2),"
    " ('o2', 'm1', 'r1', 'one', 'pending', 2000, 500, 1500, 'c2', '[]', 1, 9, NULL)",
    "INSERT INTO order_line (order_id, n, hold, product, sku, title, quantity, price, list_price, discount)"
    " VALUES ('o1', 0, 'h1', 'p2', 'k2', 't', 2, 2000, 2000, 500),"
    " ('o2', 0, 'h2', 'p2', 'k2', 't', 1, 2000, 2000, 500)",
    "INSERT INTO payment (id, order_id, merchant, person, provider, number, amount, state, created_ms, settled_ms)"
    " VALUES ('a', 'o1', 'm1', 'one', 'sandbox', 'n1', 3500, 'settled', 1, 2)",
    "INSERT INTO payment_event (id, provider, number, kind, payment, amount, raw, received_ms)"
    " VALUES ('e1', 'sandbox', 'n1', 'paid', 'a', 3500, '', 2)",
)


def test_the_coupons_of_orders_are_carried_over_with_what_they_took(tmp_path: Path) -> None:
    engine = upgraded(tmp_path, "0008", BEFORE)
    with engine.begin() as connection:
        taken = connection.execute(text("SELECT order_id, coupon, amount FROM order_coupon ORDER BY order_id")).all()
        assert [tuple(row) for row in taken] == [("o1", "c1", 500), ("o2", "c2", 500)]
        orders = connection.execute(text("SELECT kind, stored, points FROM orders")).all()
        assert {tuple(row) for row in orders} == {("goods", 0, 0)}
    engine.dispose()
    broken = [finding for finding in audit(tmp_path, now_ms=6) if not finding.ok]
    assert not broken, broken
