"""Clips: each explanation of a product, cut out of a show's recording."""

import sqlalchemy as sa
from alembic import op

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Make the table of clips."""
    op.create_table(
        "clip",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("merchant", sa.Text(), nullable=False),
        sa.Column("room", sa.Text(), nullable=False),
        sa.Column("product", sa.Text(), nullable=False),
        sa.Column("show", sa.Text(), nullable=False),
        sa.Column("start_ms", sa.BigInteger(), nullable=False),
        sa.Column("end_ms", sa.BigInteger(), nullable=False),
        sa.Column("length_ms", sa.BigInteger(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("file", sa.Text(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "start_ms >= 0 AND end_ms > start_ms AND length_ms > 0 AND bytes > 0", name=op.f("ck_clip_length")
        ),
        sa.ForeignKeyConstraint(["merchant"], ["merchant.id"], name=op.f("fk_clip_merchant_merchant")),
        sa.ForeignKeyConstraint(["product"], ["product.id"], name=op.f("fk_clip_product_product")),
        sa.ForeignKeyConstraint(["room"], ["room.id"], name=op.f("fk_clip_room_room")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_clip")),
    )
    op.create_index("ix_clip_created_ms", "clip", ["created_ms"], unique=False)
    op.create_index("ix_clip_room_product_id", "clip", ["room", "product", "id"], unique=False)
