"""What goods cost, suppliers and purchase orders; the trail of manual changes knows costs."""

import sqlalchemy as sa
from alembic import op

revision: str = "0050"
down_revision: str | None = "0038"
branch_labels: str | None = None
depends_on: str | None = None

_KEPT = "manual changes are kept as they were written"


def upgrade() -> None:
    """Make the columns and tables."""
    # As text: SQLite takes a column with its check, but no check of its own on a table that is there.
    op.execute("ALTER TABLE stock ADD COLUMN cost BIGINT DEFAULT 0 NOT NULL CONSTRAINT ck_stock_cost CHECK (cost >= 0)")
    op.add_column("stock_entry", sa.Column("cost", sa.BigInteger(), nullable=False, server_default=sa.text("0")))
    op.create_index(
        "ix_stock_entry_cost",
        "stock_entry",
        ["merchant", "created_ms"],
        sqlite_where=sa.text("cost <> 0"),
        postgresql_where=sa.text("cost <> 0"),
    )
    _trail()
    _orders()
    _deliveries()


def _trail() -> None:
    anew = op.get_bind().dialect.name == "sqlite"
    with op.batch_alter_table("manual_change", recreate="always" if anew else "never") as trail:
        trail.drop_constraint(op.f("ck_manual_change_what"), type_="check")
        trail.create_check_constraint(
            op.f("ck_manual_change_what"), "what IN ('price', 'list_price', 'offer', 'stock', 'cost')"
        )
    if anew:
        # The table was copied: what keeps it as it was written went with the old one.
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER manual_change_kept_{verb.lower()} BEFORE {verb} ON manual_change"
                f" BEGIN SELECT RAISE(ABORT, '{_KEPT}'); END"
            )


def _orders() -> None:
    op.create_table(
        "supplier",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("merchant", sa.String(64), nullable=False),
        sa.Column("name", sa.String(60), nullable=False),
        sa.Column("contact", sa.String(60), nullable=False, server_default=sa.text("''")),
        sa.Column("phone", sa.String(21), nullable=False, server_default=sa.text("''")),
        sa.Column("note", sa.String(200), nullable=False, server_default=sa.text("''")),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("closed_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_supplier")),
        sa.UniqueConstraint("merchant", "name", name=op.f("uq_supplier_merchant_name")),
    )
    op.create_table(
        "purchase",
        *(sa.Column(name, sa.String(64), nullable=False) for name in ("id", "merchant", "supplier", "number")),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("note", sa.String(200), nullable=False, server_default=sa.text("''")),
        sa.Column("expected", sa.String(10), nullable=False, server_default=sa.text("''")),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("ordered_ms", sa.BigInteger(), nullable=True),
        sa.Column("ended_ms", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "state IN ('draft', 'ordered', 'partly', 'received', 'cancelled')", name=op.f("ck_purchase_state")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_purchase")),
        sa.UniqueConstraint("merchant", "number", name=op.f("uq_purchase_merchant_number")),
    )
    op.create_index("ix_purchase_merchant", "purchase", ["merchant", "id"])
    op.create_index("ix_purchase_supplier", "purchase", ["supplier", "id"])
    op.create_table(
        "purchase_line",
        sa.Column("purchase", sa.String(64), nullable=False),
        sa.Column("sku", sa.String(64), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("unit_cost", sa.BigInteger(), nullable=False),
        sa.Column("received", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("returned", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("quantity > 0 AND unit_cost >= 0 AND amount >= 0", name=op.f("ck_purchase_line_quantity")),
        sa.CheckConstraint("received >= 0 AND received <= quantity", name=op.f("ck_purchase_line_received")),
        sa.CheckConstraint("returned >= 0 AND returned <= received", name=op.f("ck_purchase_line_returned")),
        sa.PrimaryKeyConstraint("purchase", "sku", name=op.f("pk_purchase_line")),
    )
    op.create_index("ix_purchase_line_sku", "purchase_line", ["sku"])
    op.create_table(
        "purchase_step",
        *(sa.Column(name, sa.String(64), nullable=False) for name in ("id", "merchant", "purchase")),
        sa.Column("step", sa.String(12), nullable=False),
        sa.Column("why", sa.String(200), nullable=False, server_default=sa.text("''")),
        sa.Column("staff", sa.String(64), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_purchase_step")),
    )
    op.create_index("ix_purchase_step_purchase", "purchase_step", ["purchase", "id"])


def _deliveries() -> None:
    op.create_table(
        "purchase_delivery",
        *(sa.Column(name, sa.String(64), nullable=False) for name in ("id", "merchant", "purchase")),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("number", sa.String(64), nullable=False, server_default=sa.text("''")),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("why", sa.String(200), nullable=False, server_default=sa.text("''")),
        sa.Column("staff", sa.String(64), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("kind IN ('receipt', 'return')", name=op.f("ck_purchase_delivery_kind")),
        sa.CheckConstraint("amount >= 0", name=op.f("ck_purchase_delivery_amount")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_purchase_delivery")),
    )
    op.create_index("ix_purchase_delivery_purchase", "purchase_delivery", ["purchase", "id"])
    op.create_index("ix_purchase_delivery_merchant", "purchase_delivery", ["merchant", "created_ms"])
    op.create_table(
        "purchase_delivery_line",
        sa.Column("delivery", sa.String(64), nullable=False),
        sa.Column("sku", sa.String(64), nullable=False),
        sa.Column("units", sa.Integer(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("units > 0 AND amount >= 0", name=op.f("ck_purchase_delivery_line_units")),
        sa.PrimaryKeyConstraint("delivery", "sku", name=op.f("pk_purchase_delivery_line")),
    )
    op.create_table(
        "supplier_payment",
        *(sa.Column(name, sa.String(64), nullable=False) for name in ("id", "merchant", "supplier", "number")),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("staff", sa.String(64), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("amount > 0", name=op.f("ck_supplier_payment_amount")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_supplier_payment")),
        sa.UniqueConstraint("supplier", "number", name=op.f("uq_supplier_payment_supplier_number")),
    )
    op.create_index("ix_supplier_payment_merchant", "supplier_payment", ["merchant", "created_ms"])
