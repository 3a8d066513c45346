"""Paid memberships."""

import sqlalchemy as sa
from alembic import op

revision: str = "0052"
down_revision: str | None = "0051"
branch_labels: str | None = None
depends_on: str | None = None

_BENEFITS = "price_percent BETWEEN 50 AND 100 AND points_percent BETWEEN 100 AND 1000 AND coupon_amount >= 0"


def _terms() -> "list[sa.Column[int] | sa.Column[str]]":
    return [
        sa.Column("months", sa.Integer(), nullable=False),
        sa.Column("price_percent", sa.Integer(), nullable=False),
        sa.Column("points_percent", sa.Integer(), nullable=False),
        sa.Column("coupon_amount", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("coupon_threshold", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("coupon_days", sa.Integer(), nullable=False),
        sa.Column("refund", sa.String(8), nullable=False),
    ]


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "membership_plan",
        sa.Column("sku", sa.String(64), nullable=False),
        sa.Column("merchant", sa.String(64), nullable=False),
        *_terms(),
        sa.Column("staff", sa.String(64), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("months IN (1, 3, 12)", name=op.f("ck_membership_plan_months")),
        sa.CheckConstraint(_BENEFITS, name=op.f("ck_membership_plan_benefits")),
        sa.CheckConstraint("refund IN ('prorata', 'none')", name=op.f("ck_membership_plan_refund")),
        sa.PrimaryKeyConstraint("sku", name=op.f("pk_membership_plan")),
    )
    op.create_index("ix_membership_plan_merchant", "membership_plan", ["merchant"])
    op.create_table(
        "membership",
        *(
            sa.Column(name, sa.String(64), nullable=False)
            for name in ("id", "merchant", "person", "order_id", "room", "sku")
        ),
        sa.Column("title", sa.String(200), nullable=False),
        *_terms(),
        sa.Column("paid", sa.BigInteger(), nullable=False),
        sa.Column("from_ms", sa.BigInteger(), nullable=False),
        sa.Column("until_ms", sa.BigInteger(), nullable=False),
        sa.Column("coupons", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("from_ms < until_ms AND paid >= 0", name=op.f("ck_membership_times")),
        sa.CheckConstraint("coupons >= 0 AND coupons <= months", name=op.f("ck_membership_coupons")),
        sa.CheckConstraint(_BENEFITS, name=op.f("ck_membership_benefits")),
        sa.CheckConstraint("state IN ('active', 'ended', 'refunded')", name=op.f("ck_membership_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_membership")),
    )
    op.create_index("ix_membership_person", "membership", ["merchant", "person", "until_ms"])
    op.create_index("ix_membership_order", "membership", ["order_id"])
