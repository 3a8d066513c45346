"""Buyers pay for what is brought to them, and what couriers charge is in the books."""

import sqlalchemy as sa
from alembic import op

revision: str = "0091"
down_revision: str | None = "0090"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Make the tables; errands of before charge nothing, as their days may be closed."""
    op.create_table(
        "freight_rule",
        sa.Column("merchant", sa.String(64), nullable=False),
        sa.Column("outlet", sa.String(64), nullable=False),
        sa.Column("way", sa.String(8), nullable=False),
        sa.Column("bands", sa.Text(), nullable=False),
        sa.Column("free_from", sa.BigInteger(), nullable=True),
        sa.Column("keeps", sa.Boolean(), nullable=False),
        sa.Column("staff", sa.String(64), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("way IN ('express', 'courier')", name=op.f("ck_freight_rule_way")),
        sa.CheckConstraint("free_from > 0", name=op.f("ck_freight_rule_free_from")),
        sa.PrimaryKeyConstraint("merchant", "outlet", "way", name=op.f("pk_freight_rule")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "order_freight",
        sa.Column("order_id", sa.String(64), nullable=False),
        sa.Column("merchant", sa.String(64), nullable=False),
        sa.Column("way", sa.String(8), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("keeps", sa.Boolean(), nullable=False),
        sa.CheckConstraint("amount > 0", name=op.f("ck_order_freight_amount")),
        sa.CheckConstraint("way IN ('express', 'courier')", name=op.f("ck_order_freight_way")),
        sa.PrimaryKeyConstraint("order_id", name=op.f("pk_order_freight")),
        sqlite_with_rowid=False,
    )
    op.add_column("courier_errand", sa.Column("charged", sa.BigInteger(), nullable=False, server_default=sa.text("0")))
    op.create_index("ix_courier_errand_ended", "courier_errand", ["merchant", "ended_ms"])


def downgrade() -> None:
    """Take them away again."""
    op.drop_index("ix_courier_errand_ended", "courier_errand")
    op.drop_column("courier_errand", "charged")
    op.drop_table("order_freight")
    op.drop_table("freight_rule")
