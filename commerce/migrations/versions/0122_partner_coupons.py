"""Coupons of partners: what of them a contract says that the partner bears, and each one that was used."""

import sqlalchemy as sa
from alembic import op

revision: str = "0122"
down_revision: str | None = "0121"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Make the column and the table."""
    zero = sa.text("0")
    op.add_column("partner_contract", sa.Column("coupon_bp", sa.Integer(), server_default=zero, nullable=False))
    op.create_table(
        "partner_coupon_use",
        sa.Column("order_id", sa.String(64), nullable=False),
        sa.Column("coupon", sa.String(64), nullable=False),
        sa.Column("merchant", sa.String(64), nullable=False),
        sa.Column("partner", sa.String(64), nullable=False),
        sa.Column("contract", sa.String(64), nullable=False),
        sa.Column("took", sa.BigInteger(), nullable=False),
        sa.Column("borne", sa.BigInteger(), nullable=False),
        sa.Column("back", sa.BigInteger(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("back >= 0 AND back <= borne AND borne <= took", name=op.f("ck_partner_coupon_use_borne")),
        sa.PrimaryKeyConstraint("order_id", "coupon", name=op.f("pk_partner_coupon_use")),
    )
    op.create_index("ix_partner_coupon_use_partner", "partner_coupon_use", ["partner", "created_ms"])


def downgrade() -> None:
    """Take them away again."""
    op.drop_index("ix_partner_coupon_use_partner", "partner_coupon_use")
    op.drop_table("partner_coupon_use")
    op.drop_column("partner_contract", "coupon_bp")
