"""Transfers of withdrawals and their tax; children's records, erasures that wait, tills; the market."""

import sqlalchemy as sa
from alembic import op

revision: str = "0037"
down_revision: str | None = "0036"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Make the columns and tables."""
    _withdrawals()
    _privacy()
    _pos()
    _market()
    _market_orders()


def _pos() -> None:
    op.create_table(
        "outlet",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("merchant", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("address", sa.String(length=300), nullable=False),
        sa.Column("phone", sa.String(length=21), server_default=sa.text("''"), nullable=False),
        sa.Column("lat_e6", sa.Integer(), nullable=False),
        sa.Column("lng_e6", sa.Integer(), nullable=False),
        sa.Column("pickup", sa.Boolean(), nullable=False),
        sa.Column("key_digest", sa.String(length=64), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("closed_ms", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "lat_e6 BETWEEN -90000000 AND 90000000 AND lng_e6 BETWEEN -180000000 AND 180000000",
            name=op.f("ck_outlet_place"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outlet")),
    )
    op.create_index("ix_outlet_merchant", "outlet", ["merchant", "id"], unique=False)
    op.create_index("ux_outlet_key", "outlet", ["key_digest"], unique=True)
    op.create_table(
        "pos_code",
        sa.Column("merchant", sa.String(length=64), nullable=False),
        sa.Column("code", sa.String(length=16), nullable=False),
        sa.Column("issuer", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("closed_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("merchant", "code", name=op.f("pk_pos_code")),
    )
    op.create_table(
        "pos_receipt",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("merchant", sa.String(length=64), nullable=False),
        sa.Column("outlet", sa.String(length=64), nullable=False),
        sa.Column("number", sa.String(length=64), nullable=False),
        sa.Column("hash", sa.String(length=32), nullable=False),
        sa.Column("person", sa.String(length=64), nullable=True),
        sa.Column("seller", sa.String(length=64), nullable=True),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("refunded", sa.BigInteger(), nullable=False),
        sa.Column("lines", sa.Text(), nullable=False),
        sa.Column("sold_ms", sa.BigInteger(), nullable=False),
        sa.Column("received_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("amount > 0 AND refunded >= 0 AND refunded <= amount", name=op.f("ck_pos_receipt_amount")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pos_receipt")),
    )
    op.create_index("ux_pos_receipt_number", "pos_receipt", ["outlet", "number"], unique=True)
    op.create_index("ix_pos_receipt_person", "pos_receipt", ["merchant", "person", "id"], unique=False)
    op.create_index("ix_pos_receipt_sold", "pos_receipt", ["merchant", "sold_ms"], unique=False)
    op.create_table(
        "pos_refund",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("merchant", sa.String(length=64), nullable=False),
        sa.Column("outlet", sa.String(length=64), nullable=False),
        sa.Column("number", sa.String(length=64), nullable=False),
        sa.Column("hash", sa.String(length=32), nullable=False),
        sa.Column("receipt", sa.String(length=64), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("refunded_ms", sa.BigInteger(), nullable=False),
        sa.Column("received_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("amount > 0", name=op.f("ck_pos_refund_amount")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pos_refund")),
    )
    op.create_index("ux_pos_refund_number", "pos_refund", ["outlet", "number"], unique=True)
    op.create_index("ix_pos_refund_receipt", "pos_refund", ["receipt"], unique=False)


def _privacy() -> None:
    op.create_table(
        "minor",
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("merchant", sa.Text(), nullable=False),
        sa.Column("sealed", sa.Text(), nullable=False),
        sa.Column("agreed", sa.Boolean(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("since_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["merchant"], ["merchant.id"], name=op.f("fk_minor_merchant_merchant")),
        sa.ForeignKeyConstraint(["person"], ["person.id"], name=op.f("fk_minor_person_person")),
        sa.PrimaryKeyConstraint("person", name=op.f("pk_minor")),
    )
    op.create_table(
        "erasure_due",
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("merchant", sa.Text(), nullable=False),
        sa.Column("asked_ms", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["merchant"], ["merchant.id"], name=op.f("fk_erasure_due_merchant_merchant")),
        sa.ForeignKeyConstraint(["person"], ["person.id"], name=op.f("fk_erasure_due_person_person")),
        sa.PrimaryKeyConstraint("person", name=op.f("pk_erasure_due")),
    )
    op.add_column("wechat_app", sa.Column("sealed_callback", sa.Text(), server_default=sa.text("''"), nullable=False))


def _market() -> None:
    op.create_table(
        "market_offer",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("supplier", sa.String(length=64), nullable=False),
        sa.Column("sku", sa.String(length=64), nullable=False),
        sa.Column("supply_price", sa.BigInteger(), nullable=False),
        sa.Column("least_price", sa.BigInteger(), nullable=False),
        sa.Column("note", sa.String(length=200), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("closed_ms", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("supply_price > 0 AND least_price >= supply_price", name=op.f("ck_market_offer_price")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_market_offer")),
    )
    op.create_index("ix_market_offer_supplier", "market_offer", ["supplier", "id"], unique=False)
    op.create_table(
        "market_grant",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("offer", sa.String(length=64), nullable=False),
        sa.Column("supplier", sa.String(length=64), nullable=False),
        sa.Column("channel", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("sku", sa.String(length=64), nullable=False),
        sa.Column("supply_price", sa.BigInteger(), nullable=False),
        sa.Column("least_price", sa.BigInteger(), nullable=False),
        sa.Column("listed_product", sa.String(length=64), nullable=True),
        sa.Column("listed_sku", sa.String(length=64), nullable=True),
        sa.Column("allotted", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("applied_ms", sa.BigInteger(), nullable=False),
        sa.Column("decided_ms", sa.BigInteger(), nullable=True),
        sa.Column("decided_by", sa.String(length=64), nullable=True),
        sa.Column("reason", sa.String(length=200), nullable=False),
        sa.CheckConstraint("state IN ('applied', 'granted', 'refused', 'revoked')", name=op.f("ck_market_grant_state")),
        sa.CheckConstraint("supplier <> channel", name=op.f("ck_market_grant_two")),
        sa.CheckConstraint("allotted >= 0", name=op.f("ck_market_grant_allotted")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_market_grant")),
    )
    op.create_index(
        "ux_market_grant_open",
        "market_grant",
        ["offer", "channel"],
        unique=True,
        sqlite_where=sa.text("state IN ('applied', 'granted')"),
        postgresql_where=sa.text("state IN ('applied', 'granted')"),
    )
    op.create_index("ix_market_grant_supplier", "market_grant", ["supplier", "id"], unique=False)
    op.create_index("ix_market_grant_channel", "market_grant", ["channel", "id"], unique=False)
    op.create_index("ux_market_grant_sku", "market_grant", ["listed_sku"], unique=True)


def _market_orders() -> None:
    op.create_table(
        "drop_order",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("grant_id", sa.String(length=64), nullable=False),
        sa.Column("supplier", sa.String(length=64), nullable=False),
        sa.Column("channel", sa.String(length=64), nullable=False),
        sa.Column("order_id", sa.String(length=64), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("supply", sa.BigInteger(), nullable=False),
        sa.Column("owed", sa.BigInteger(), nullable=False),
        sa.Column("booked", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("carrier", sa.String(length=40), server_default=sa.text("''"), nullable=False),
        sa.Column("number", sa.String(length=64), server_default=sa.text("''"), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("sent_ms", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("state IN ('open', 'sent', 'cancelled')", name=op.f("ck_drop_order_state")),
        sa.CheckConstraint("owed >= 0 AND owed <= supply", name=op.f("ck_drop_order_owed")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_drop_order")),
    )
    op.create_index("ux_drop_order_line", "drop_order", ["order_id", "n"], unique=True)
    op.create_index("ix_drop_order_supplier", "drop_order", ["supplier", "id"], unique=False)
    op.create_index("ix_drop_order_channel", "drop_order", ["channel", "id"], unique=False)
    op.create_index(
        "ix_drop_order_unbooked",
        "drop_order",
        ["id"],
        unique=False,
        sqlite_where=sa.text("booked <> owed"),
        postgresql_where=sa.text("booked <> owed"),
    )
    op.create_table(
        "market_settlement",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("supplier", sa.String(length=64), nullable=False),
        sa.Column("channel", sa.String(length=64), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.String(length=64), nullable=False),
        sa.Column("by", sa.String(length=64), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("amount > 0", name=op.f("ck_market_settlement_amount")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_market_settlement")),
    )
    op.create_index("ux_market_settlement_number", "market_settlement", ["supplier", "channel", "number"], unique=True)


def _withdrawals() -> None:
    # SQLite cannot change a constraint of a table that is there: the table is copied.
    anew = op.get_bind().dialect.name == "sqlite"
    with op.batch_alter_table("withdrawal", recreate="always" if anew else "never") as withdrawal:
        withdrawal.alter_column("state", existing_type=sa.String(length=10), type_=sa.String(length=12))
        withdrawal.add_column(sa.Column("approved_ms", sa.BigInteger(), nullable=True))
        withdrawal.add_column(sa.Column("tax", sa.BigInteger(), server_default=sa.text("0"), nullable=False))
        withdrawal.add_column(sa.Column("provider", sa.String(length=32), server_default=sa.text("''"), nullable=False))
        withdrawal.add_column(sa.Column("payee", sa.String(length=128), server_default=sa.text("''"), nullable=False))
        withdrawal.add_column(sa.Column("tries", sa.Integer(), server_default=sa.text("0"), nullable=False))
        withdrawal.add_column(sa.Column("ask_ms", sa.BigInteger(), nullable=True))
        withdrawal.add_column(sa.Column("confirm", sa.Text(), server_default=sa.text("''"), nullable=False))
        withdrawal.drop_constraint(op.f("ck_withdrawal_state"), type_="check")
        withdrawal.create_check_constraint(
            op.f("ck_withdrawal_state"),
            "state IN ('requested', 'approved', 'transferring', 'paid', 'rejected', 'failed')",
        )
        withdrawal.create_check_constraint(op.f("ck_withdrawal_tax"), "tax >= 0 AND tax <= amount")
        withdrawal.create_check_constraint(
            op.f("ck_withdrawal_transfer"), "state <> 'transferring' OR (provider <> '' AND ask_ms IS NOT NULL)"
        )
    op.execute("UPDATE withdrawal SET approved_ms = decided_ms WHERE state IN ('approved', 'paid')")
    op.create_index(
        "ix_withdrawal_ask",
        "withdrawal",
        ["ask_ms"],
        unique=False,
        sqlite_where=sa.text("state = 'transferring'"),
        postgresql_where=sa.text("state = 'transferring'"),
    )
