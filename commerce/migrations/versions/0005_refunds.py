"""Refunds in part, fulfilment, the stock's journal, webhooks.

What is there is carried over: money that was to go back becomes a refund of kind late, and each SKU's stock opens its
journal with what the row says at the moment of the upgrade.
"""

import time

import sqlalchemy as sa
from alembic import op

revision: str = "0005"
down_revision: str | None = "0004"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Widen orders, make the new tables, carry over what is owed and what is in stock."""
    _orders()
    _refunds()
    _stock()
    _webhooks()
    _carry_over(time.time_ns() // 1_000_000)


def _orders() -> None:
    # SQLite cannot change a CHECK: batch mode makes the table anew, with the checks named here. PostgreSQL can.
    anew = op.get_bind().dialect.name == "sqlite"
    checks = (
        sa.CheckConstraint("amount = goods - discount AND amount > 0 AND discount >= 0", name=op.f("ck_orders_amount")),
        sa.CheckConstraint(
            "status IN ('pending', 'paid', 'fulfilled', 'done', 'partly_refunded', 'refunded', 'cancelled')",
            name=op.f("ck_orders_status"),
        ),
        sa.CheckConstraint("refunded >= 0 AND refunded <= amount", name=op.f("ck_orders_refunded")),
        sa.CheckConstraint("(status = 'refunded') = (refunded = amount)", name=op.f("ck_orders_whole")),
        sa.CheckConstraint("fulfilment IN ('open', 'shipped', 'picked_up', 'done')", name=op.f("ck_orders_fulfilment")),
    )
    with op.batch_alter_table("orders", table_args=checks[2:], recreate="always" if anew else "never") as orders:
        for check in checks[:2]:
            orders.drop_constraint(op.f(str(check.name)), type_="check")
            orders.create_check_constraint(op.f(str(check.name)), check.sqltext)
        orders.alter_column("status", existing_type=sa.String(length=12), type_=sa.String(length=16))
        orders.add_column(sa.Column("refunded", sa.BigInteger(), server_default=sa.text("0"), nullable=False))
        orders.add_column(
            sa.Column("fulfilment", sa.String(length=12), server_default=sa.text("'open'"), nullable=False)
        )
        orders.add_column(sa.Column("delivery", sa.Text(), nullable=True))
        orders.add_column(sa.Column("fulfilled_ms", sa.BigInteger(), nullable=True))
        orders.add_column(sa.Column("done_ms", sa.BigInteger(), nullable=True))
        for check in () if anew else checks[2:]:
            orders.create_check_constraint(op.f(str(check.name)), check.sqltext)
    op.create_index("ix_orders_paid", "orders", ["merchant", "paid_ms"], unique=False)
    op.create_index(
        "ix_orders_sent",
        "orders",
        ["fulfilled_ms"],
        unique=False,
        sqlite_where=sa.text("fulfilment IN ('shipped', 'picked_up')"),
        postgresql_where=sa.text("fulfilment IN ('shipped', 'picked_up')"),
    )


def _refunds() -> None:
    op.create_table(
        "refund",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("merchant", sa.String(length=64), nullable=False),
        sa.Column("order_id", sa.String(length=64), nullable=False),
        sa.Column("payment", sa.String(length=64), nullable=False),
        sa.Column("staff", sa.String(length=64), nullable=True),
        sa.Column("provider", sa.String(length=32), nullable=False),
        sa.Column("number", sa.String(length=64), nullable=True),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("stock", sa.String(length=12), nullable=False),
        sa.Column("reason", sa.String(length=200), nullable=False),
        sa.Column("tries", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("next_ms", sa.BigInteger(), nullable=False),
        sa.Column("error", sa.String(length=200), nullable=True),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("done_ms", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("amount >= 0", name=op.f("ck_refund_amount")),
        sa.CheckConstraint("kind IN ('order', 'late')", name=op.f("ck_refund_kind")),
        sa.CheckConstraint("state IN ('requested', 'done', 'failed')", name=op.f("ck_refund_state")),
        sa.CheckConstraint("stock IN ('sellable', 'quarantine', 'none')", name=op.f("ck_refund_stock")),
        sa.CheckConstraint("(state = 'done') = (done_ms IS NOT NULL)", name=op.f("ck_refund_done")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_refund")),
        sa.UniqueConstraint("provider", "number", name=op.f("uq_refund_provider_number")),
    )
    op.create_index("ix_refund_order", "refund", ["order_id"], unique=False)
    op.create_index("ix_refund_merchant_id", "refund", ["merchant", "id"], unique=False)
    op.create_index("ix_refund_done", "refund", ["merchant", "done_ms"], unique=False)
    op.create_index(
        "ix_refund_due",
        "refund",
        ["next_ms"],
        unique=False,
        sqlite_where=sa.text("state = 'requested'"),
        postgresql_where=sa.text("state = 'requested'"),
    )
    op.create_table(
        "refund_line",
        sa.Column("refund", sa.String(length=64), nullable=False),
        sa.Column("n", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("order_id", sa.String(length=64), nullable=False),
        sa.Column("sku", sa.String(length=64), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("returned", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("quantity > 0", name=op.f("ck_refund_line_quantity")),
        sa.CheckConstraint("returned >= 0 AND returned <= quantity", name=op.f("ck_refund_line_returned")),
        sa.CheckConstraint("amount >= 0", name=op.f("ck_refund_line_amount")),
        sa.PrimaryKeyConstraint("refund", "n", name=op.f("pk_refund_line")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_refund_line_order", "refund_line", ["order_id"], unique=False)
    op.create_index("ix_refund_line_sku", "refund_line", ["sku"], unique=False)


def _stock() -> None:
    counters = ("received", "adjusted", "free", "held", "sold", "shipped", "quarantined")
    op.create_table(
        "stock_entry",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("merchant", sa.String(length=64), nullable=False),
        sa.Column("sku", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("ref", sa.String(length=200), nullable=False),
        *(sa.Column(name, sa.Integer(), server_default=sa.text("0"), nullable=False) for name in counters),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "received + adjusted - shipped = free + held + sold + quarantined", name=op.f("ck_stock_entry_equation")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stock_entry")),
    )
    op.create_index("ix_stock_entry_merchant", "stock_entry", ["merchant", "created_ms"], unique=False)


def _webhooks() -> None:
    op.create_table(
        "webhook",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("merchant", sa.String(length=64), nullable=False),
        sa.Column("url", sa.String(length=500), nullable=False),
        sa.Column("secret", sa.String(length=64), nullable=False),
        sa.Column("events", sa.Text(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook")),
    )
    op.create_index("ix_webhook_merchant", "webhook", ["merchant"], unique=False)
    op.create_table(
        "webhook_delivery",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("webhook", sa.String(length=64), nullable=False),
        sa.Column("event", sa.String(length=64), nullable=False),
        sa.Column("type", sa.String(length=32), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("tries", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("next_ms", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("error", sa.String(length=200), nullable=True),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("done_ms", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("state IN ('waiting', 'delivered', 'dead')", name=op.f("ck_webhook_delivery_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_delivery")),
        sa.UniqueConstraint("webhook", "event", name=op.f("uq_webhook_delivery_webhook_event")),
    )
    op.create_index(
        "ix_webhook_delivery_due",
        "webhook_delivery",
        ["next_ms"],
        unique=False,
        sqlite_where=sa.text("state = 'waiting'"),
        postgresql_where=sa.text("state = 'waiting'"),
    )


def _carry_over(now_ms: int) -> None:
    columns = (
        "INSERT INTO refund (id, merchant, order_id, payment, staff, provider, number, kind, amount, state, stock,"
        " reason, tries, next_ms, error, created_ms, done_ms)"
    )
    op.execute(
        f"{columns} SELECT id, merchant, order_id, id, NULL, provider,"  # noqa: S608 - constants of this module
        " CASE WHEN state = 'refunded' THEN number END, 'late', amount,"
        " CASE WHEN state = 'refunded' THEN 'done' ELSE 'requested' END, 'none', 'late', 1, settled_ms, NULL,"
        " settled_ms, CASE WHEN state = 'refunded' THEN settled_ms END"
        " FROM payment WHERE state IN ('refund_due', 'refunded')"
    )
    # A second transaction of a payment: whether it went back was written down nowhere, so people are asked.
    op.execute(
        f"{columns} SELECT e.id, p.merchant, p.order_id, p.id, NULL, p.provider, NULL, 'late', e.amount, 'failed',"  # noqa: S608
        " 'none', 'paid twice', 1, e.received_ms, 'from before refunds were kept: ask the provider', e.received_ms,"
        " NULL FROM payment_event AS e JOIN payment AS p ON p.id = e.payment AND p.provider = e.provider"
        " WHERE e.kind = 'paid' AND p.state IN ('settled', 'refund_due', 'refunded') AND e.number <> p.number"
    )
    op.execute(
        sa.text(
            "INSERT INTO stock_entry (id, merchant, sku, kind, ref, received, adjusted, free, held, sold, shipped,"
            " quarantined, created_ms) SELECT 'opening-' || sku, merchant, sku, 'opening', '', received, adjusted,"
            " free, held, sold, shipped, quarantined, :now FROM stock"
        ).bindparams(now=now_ms)
    )
