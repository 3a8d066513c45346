"""Ledger: stock, sales, holds, coupons, orders, payments, request keys, outbox."""

import sqlalchemy as sa
from alembic import op

revision: str = "0001"
down_revision: str | None = None
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Make the ledger's tables."""
    op.create_table(
        "coupon",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("merchant", sa.String(length=64), nullable=False),
        sa.Column("drop_id", sa.String(length=64), nullable=False),
        sa.Column("person", sa.String(length=64), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("title", sa.String(length=200), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("threshold", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("order_id", sa.String(length=64), nullable=True),
        sa.Column("expires_ms", sa.BigInteger(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("(order_id IS NULL) = (state IN ('unused', 'expired'))", name=op.f("ck_coupon_order")),
        sa.CheckConstraint("state IN ('unused', 'locked', 'used', 'expired')", name=op.f("ck_coupon_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_coupon")),
        sa.UniqueConstraint("drop_id", "person", "n", name=op.f("uq_coupon_drop_id_person_n")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_coupon_person", "coupon", ["merchant", "person"], unique=False)
    op.create_table(
        "drop_",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("merchant", sa.String(length=64), nullable=False),
        sa.Column("room", sa.String(length=64), nullable=False),
        sa.Column("template", sa.String(length=64), nullable=True),
        sa.Column("title", sa.String(length=200), nullable=False),
        sa.Column("reason", sa.String(length=200), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("threshold", sa.BigInteger(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("issued", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("per_person", sa.Integer(), nullable=False),
        sa.Column("starts_ms", sa.BigInteger(), nullable=False),
        sa.Column("ends_ms", sa.BigInteger(), nullable=False),
        sa.Column("valid_ms", sa.BigInteger(), nullable=False),
        sa.Column("closed_ms", sa.BigInteger(), nullable=True),
        sa.Column("announced", sa.String(length=16), nullable=False),
        sa.CheckConstraint("amount > 0", name=op.f("ck_drop__amount")),
        sa.CheckConstraint("issued >= 0 AND issued <= total", name=op.f("ck_drop__issued")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_drop_")),
    )
    op.create_index(
        "ix_drop_active",
        "drop_",
        ["ends_ms"],
        unique=False,
        sqlite_where=sa.text("closed_ms IS NULL"),
        postgresql_where=sa.text("closed_ms IS NULL"),
    )
    op.create_index("ix_drop_room", "drop_", ["room", "starts_ms"], unique=False)
    op.create_table(
        "hold",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("merchant", sa.String(length=64), nullable=False),
        sa.Column("sale", sa.String(length=64), nullable=True),
        sa.Column("sku", sa.String(length=64), nullable=False),
        sa.Column("person", sa.String(length=64), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("price", sa.BigInteger(), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("order_id", sa.String(length=64), nullable=True),
        sa.CheckConstraint("state IN ('held', 'sold', 'released', 'expired')", name=op.f("ck_hold_state")),
        sa.CheckConstraint("quantity > 0", name=op.f("ck_hold_quantity")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hold")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_hold_due",
        "hold",
        ["expires_ms"],
        unique=False,
        sqlite_where=sa.text("state = 'held'"),
        postgresql_where=sa.text("state = 'held'"),
    )
    op.create_index(
        "ix_hold_order",
        "hold",
        ["order_id"],
        unique=False,
        sqlite_where=sa.text("order_id IS NOT NULL"),
        postgresql_where=sa.text("order_id IS NOT NULL"),
    )
    op.create_table(
        "order_line",
        sa.Column("order_id", sa.String(length=64), nullable=False),
        sa.Column("n", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("hold", sa.String(length=64), nullable=False),
        sa.Column("sale", sa.String(length=64), nullable=True),
        sa.Column("product", sa.String(length=64), nullable=False),
        sa.Column("sku", sa.String(length=64), nullable=False),
        sa.Column("title", sa.String(length=200), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("price", sa.BigInteger(), nullable=False),
        sa.Column("list_price", sa.BigInteger(), nullable=False),
        sa.Column("discount", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("quantity > 0", name=op.f("ck_order_line_quantity")),
        sa.PrimaryKeyConstraint("order_id", "n", name=op.f("pk_order_line")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "orders",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("merchant", sa.String(length=64), nullable=False),
        sa.Column("room", sa.String(length=64), nullable=False),
        sa.Column("person", sa.String(length=64), nullable=False),
        sa.Column("status", sa.String(length=12), nullable=False),
        sa.Column("goods", sa.BigInteger(), nullable=False),
        sa.Column("discount", sa.BigInteger(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("coupon", sa.String(length=64), nullable=True),
        sa.Column("steps", sa.Text(), nullable=False),
        sa.Column("decision", sa.Text(), nullable=True),
        sa.Column("card", sa.String(length=64), nullable=True),
        sa.Column("entered_ms", sa.BigInteger(), nullable=True),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=False),
        sa.Column("paid_ms", sa.BigInteger(), nullable=True),
        sa.Column("cancelled_ms", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.String(length=40), nullable=True),
        sa.CheckConstraint("status IN ('pending', 'paid', 'cancelled')", name=op.f("ck_orders_status")),
        sa.CheckConstraint("amount = goods - discount AND amount > 0 AND discount >= 0", name=op.f("ck_orders_amount")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_orders")),
    )
    op.create_index(
        "ix_orders_due",
        "orders",
        ["expires_ms"],
        unique=False,
        sqlite_where=sa.text("status = 'pending'"),
        postgresql_where=sa.text("status = 'pending'"),
    )
    op.create_index("ix_orders_person", "orders", ["merchant", "person", "id"], unique=False)
    op.create_index("ix_orders_room", "orders", ["merchant", "room", "id"], unique=False)
    op.create_table(
        "outbox",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("type", sa.String(length=32), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("delivered_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_outbox")),
        sa.UniqueConstraint("id", name=op.f("uq_outbox_id")),
    )
    op.create_index(
        "ix_outbox_undelivered",
        "outbox",
        ["seq"],
        unique=False,
        sqlite_where=sa.text("delivered_ms IS NULL"),
        postgresql_where=sa.text("delivered_ms IS NULL"),
    )
    op.create_table(
        "payment",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("order_id", sa.String(length=64), nullable=False),
        sa.Column("merchant", sa.String(length=64), nullable=False),
        sa.Column("person", sa.String(length=64), nullable=False),
        sa.Column("provider", sa.String(length=32), nullable=False),
        sa.Column("number", sa.String(length=64), nullable=True),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("settled_ms", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "state IN ('started', 'settled', 'declined', 'closed', 'refund_due', 'refunded')",
            name=op.f("ck_payment_state"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payment")),
        sa.UniqueConstraint("provider", "number", name=op.f("uq_payment_provider_number")),
    )
    op.create_index("ix_payment_order", "payment", ["order_id"], unique=False)
    op.create_index(
        "ix_payment_refund_due",
        "payment",
        ["settled_ms"],
        unique=False,
        sqlite_where=sa.text("state = 'refund_due'"),
        postgresql_where=sa.text("state = 'refund_due'"),
    )
    op.create_index(
        "uq_payment_settled",
        "payment",
        ["order_id"],
        unique=True,
        sqlite_where=sa.text("state = 'settled'"),
        postgresql_where=sa.text("state = 'settled'"),
    )
    op.create_table(
        "payment_event",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("provider", sa.String(length=32), nullable=False),
        sa.Column("number", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("payment", sa.String(length=64), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("raw", sa.Text(), nullable=False),
        sa.Column("received_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payment_event")),
        sa.UniqueConstraint("provider", "number", "kind", name=op.f("uq_payment_event_provider_number_kind")),
    )
    op.create_table(
        "quota",
        sa.Column("scope", sa.String(length=64), nullable=False),
        sa.Column("person", sa.String(length=64), nullable=False),
        sa.Column("used", sa.Integer(), nullable=False),
        sa.CheckConstraint("used >= 0", name=op.f("ck_quota_used")),
        sa.PrimaryKeyConstraint("scope", "person", name=op.f("pk_quota")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "request",
        sa.Column("merchant", sa.String(length=64), nullable=False),
        sa.Column("route", sa.String(length=64), nullable=False),
        sa.Column("person", sa.String(length=64), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("merchant", "route", "person", "key", name=op.f("pk_request")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "sale",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("merchant", sa.String(length=64), nullable=False),
        sa.Column("room", sa.String(length=64), nullable=False),
        sa.Column("product", sa.String(length=64), nullable=False),
        sa.Column("sku", sa.String(length=64), nullable=False),
        sa.Column("title", sa.String(length=200), nullable=False),
        sa.Column("image", sa.String(length=500), nullable=False),
        sa.Column("price", sa.BigInteger(), nullable=False),
        sa.Column("list_price", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("free", sa.Integer(), nullable=False),
        sa.Column("held", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("sold", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("returned", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("per_person", sa.Integer(), nullable=False),
        sa.Column("hold_ms", sa.BigInteger(), nullable=False),
        sa.Column("length_ms", sa.BigInteger(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("opens_ms", sa.BigInteger(), nullable=True),
        sa.Column("closes_ms", sa.BigInteger(), nullable=True),
        sa.Column("paused_ms", sa.BigInteger(), nullable=True),
        sa.Column("closed_ms", sa.BigInteger(), nullable=True),
        sa.Column("announced", sa.String(length=16), nullable=False),
        sa.CheckConstraint("free >= 0", name=op.f("ck_sale_free")),
        sa.CheckConstraint("held >= 0", name=op.f("ck_sale_held")),
        sa.CheckConstraint("price > 0", name=op.f("ck_sale_price")),
        sa.CheckConstraint("returned >= 0", name=op.f("ck_sale_returned")),
        sa.CheckConstraint("sold >= 0", name=op.f("ck_sale_sold")),
        sa.CheckConstraint("total = free + held + sold + returned", name=op.f("ck_sale_equation")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sale")),
    )
    op.create_index(
        "ix_sale_active",
        "sale",
        ["closes_ms"],
        unique=False,
        sqlite_where=sa.text("closed_ms IS NULL"),
        postgresql_where=sa.text("closed_ms IS NULL"),
    )
    op.create_index("ix_sale_room", "sale", ["room", "created_ms"], unique=False)
    op.create_table(
        "stock",
        sa.Column("sku", sa.String(length=64), nullable=False),
        sa.Column("merchant", sa.String(length=64), nullable=False),
        sa.Column("received", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("adjusted", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("free", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("held", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("sold", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("shipped", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("quarantined", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.CheckConstraint("free >= 0", name=op.f("ck_stock_free")),
        sa.CheckConstraint("held >= 0", name=op.f("ck_stock_held")),
        sa.CheckConstraint("quarantined >= 0", name=op.f("ck_stock_quarantined")),
        sa.CheckConstraint(
            "received + adjusted - shipped = free + held + sold + quarantined", name=op.f("ck_stock_equation")
        ),
        sa.CheckConstraint("shipped >= 0", name=op.f("ck_stock_shipped")),
        sa.CheckConstraint("sold >= 0", name=op.f("ck_stock_sold")),
        sa.PrimaryKeyConstraint("sku", name=op.f("pk_stock")),
    )
