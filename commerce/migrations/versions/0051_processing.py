"""Processing of goods by weight with its loss."""

import sqlalchemy as sa
from alembic import op

revision: str = "0051"
down_revision: str | None = "0050"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "processing_recipe",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("merchant", sa.String(64), nullable=False),
        sa.Column("name", sa.String(60), nullable=False),
        sa.Column("expected_bp", sa.Integer(), nullable=False),
        sa.Column("basis", sa.String(8), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("closed_ms", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("expected_bp >= 0 AND expected_bp < 10000", name=op.f("ck_processing_recipe_expected_bp")),
        sa.CheckConstraint("basis IN ('grams', 'value')", name=op.f("ck_processing_recipe_basis")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_processing_recipe")),
        sa.UniqueConstraint("merchant", "name", name=op.f("uq_processing_recipe_merchant_name")),
    )
    op.create_table(
        "processing_run",
        *(sa.Column(name, sa.String(64), nullable=False) for name in ("id", "merchant", "recipe")),
        sa.Column("expected_bp", sa.Integer(), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("in_grams", "out_grams", "loss_grams", "cost")),
        sa.Column("why", sa.String(200), nullable=False, server_default=sa.text("''")),
        sa.Column("staff", sa.String(64), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("in_grams = out_grams + loss_grams", name=op.f("ck_processing_run_grams")),
        sa.CheckConstraint("out_grams > 0 AND loss_grams >= 0 AND cost >= 0", name=op.f("ck_processing_run_loss")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_processing_run")),
    )
    op.create_index("ix_processing_run_merchant", "processing_run", ["merchant", "created_ms"])
    op.create_table(
        "processing_line",
        sa.Column("run", sa.String(64), nullable=False),
        sa.Column("side", sa.String(3), nullable=False),
        sa.Column("sku", sa.String(64), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("units", sa.Integer(), nullable=False),
        sa.Column("grams", sa.BigInteger(), nullable=False),
        sa.Column("cost", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("side IN ('in', 'out')", name=op.f("ck_processing_line_side")),
        sa.CheckConstraint("units > 0 AND grams > 0 AND cost >= 0", name=op.f("ck_processing_line_units")),
        sa.PrimaryKeyConstraint("run", "side", "sku", name=op.f("pk_processing_line")),
    )
