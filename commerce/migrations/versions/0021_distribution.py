"""Whose customer somebody is, distributors, rates, commission and withdrawals."""

import sqlalchemy as sa
from alembic import op

revision: str = "0021"
down_revision: str | None = "0020"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "traffic_policy",
        sa.Column("merchant", sa.String(length=64), nullable=False),
        sa.Column("terms", sa.Text(), nullable=False),
        sa.Column("staff", sa.String(length=64), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("merchant", name=op.f("pk_traffic_policy")),
    )
    op.create_table(
        "binding",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("merchant", sa.String(length=64), nullable=False),
        sa.Column("person", sa.String(length=64), nullable=False),
        sa.Column("issuer", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=12), nullable=False),
        sa.Column("link", sa.String(length=16), nullable=False),
        sa.Column("channel", sa.String(length=64), nullable=False),
        sa.Column("valid_days", sa.Integer(), nullable=False),
        sa.Column("protection_days", sa.Integer(), nullable=False),
        sa.Column("renews", sa.Boolean(), nullable=False),
        sa.Column("bound_ms", sa.BigInteger(), nullable=False),
        sa.Column("renewed_ms", sa.BigInteger(), nullable=False),
        sa.Column("closed_ms", sa.BigInteger(), nullable=True),
        sa.Column("why", sa.String(length=200), nullable=False),
        sa.Column("closed_why", sa.String(length=200), nullable=True),
        sa.CheckConstraint("role IN ('distributor', 'guide')", name=op.f("ck_binding_role")),
        sa.CheckConstraint("person <> issuer", name=op.f("ck_binding_self")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_binding")),
    )
    op.create_index(op.f("ix_binding_issuer"), "binding", ["merchant", "issuer", "closed_ms"], unique=False)
    op.create_index(op.f("ix_binding_person"), "binding", ["merchant", "person", "id"], unique=False)
    op.create_index(
        "ux_binding_active",
        "binding",
        ["merchant", "person", "role"],
        unique=True,
        sqlite_where=sa.text("closed_ms IS NULL"),
        postgresql_where=sa.text("closed_ms IS NULL"),
    )
    op.create_table(
        "distributor",
        sa.Column("merchant", sa.String(length=64), nullable=False),
        sa.Column("person", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("parent", sa.String(length=64), nullable=True),
        sa.Column("level", sa.String(length=20), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("parent IS NULL OR parent <> person", name=op.f("ck_distributor_parent")),
        sa.CheckConstraint("state IN ('applied', 'active', 'disabled')", name=op.f("ck_distributor_state")),
        sa.PrimaryKeyConstraint("merchant", "person", name=op.f("pk_distributor")),
    )
    op.create_table(
        "commission_rate",
        sa.Column("merchant", sa.String(length=64), nullable=False),
        sa.Column("scope", sa.String(length=8), nullable=False),
        sa.Column("target", sa.String(length=64), nullable=False),
        sa.Column("first_bp", sa.Integer(), nullable=False),
        sa.Column("second_bp", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "first_bp >= 0 AND second_bp >= 0 AND first_bp + second_bp <= 10000", name=op.f("ck_commission_rate_rate")
        ),
        sa.CheckConstraint("scope IN ('sku', 'category', 'level', 'shop')", name=op.f("ck_commission_rate_scope")),
        sa.PrimaryKeyConstraint("merchant", "scope", "target", name=op.f("pk_commission_rate")),
    )
    op.create_table(
        "commission",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("merchant", sa.String(length=64), nullable=False),
        sa.Column("order_id", sa.String(length=64), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("person", sa.String(length=64), nullable=False),
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("paid", sa.BigInteger(), nullable=False),
        sa.Column("base", sa.BigInteger(), nullable=False),
        sa.Column("rate_bp", sa.Integer(), nullable=False),
        sa.Column("rate_of", sa.String(length=80), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("reversed", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("held", sa.String(length=20), nullable=False),
        sa.Column("release_ms", sa.BigInteger(), nullable=True),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "amount >= 0 AND reversed >= 0 AND reversed <= amount AND amount <= base", name=op.f("ck_commission_amount")
        ),
        sa.CheckConstraint("level IN (1, 2)", name=op.f("ck_commission_level")),
        sa.CheckConstraint("state IN ('pending', 'frozen', 'available', 'void')", name=op.f("ck_commission_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_commission")),
    )
    op.create_index(
        op.f("ix_commission_due"),
        "commission",
        ["release_ms"],
        unique=False,
        sqlite_where=sa.text("state = 'frozen'"),
        postgresql_where=sa.text("state = 'frozen'"),
    )
    op.create_index(op.f("ix_commission_person"), "commission", ["merchant", "person", "id"], unique=False)
    op.create_index("ux_commission_line", "commission", ["order_id", "n", "level"], unique=True)
    op.create_table(
        "withdrawal",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("merchant", sa.String(length=64), nullable=False),
        sa.Column("person", sa.String(length=64), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("decided_ms", sa.BigInteger(), nullable=True),
        sa.Column("decided_by", sa.String(length=64), nullable=True),
        sa.Column("number", sa.String(length=64), nullable=True),
        sa.Column("reason", sa.String(length=200), nullable=False),
        sa.CheckConstraint("amount > 0", name=op.f("ck_withdrawal_amount")),
        sa.CheckConstraint("state IN ('requested', 'approved', 'paid', 'rejected')", name=op.f("ck_withdrawal_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_withdrawal")),
    )
    op.create_index(op.f("ix_withdrawal_merchant_id"), "withdrawal", ["merchant", "id"], unique=False)
    op.create_index(op.f("ix_withdrawal_person"), "withdrawal", ["merchant", "person", "id"], unique=False)


def downgrade() -> None:
    """Take them away again."""
    for table in ("withdrawal", "commission", "commission_rate", "distributor", "binding", "traffic_policy"):
        op.drop_table(table)
