"""Touches: the append-only log of who was brought by whom."""

import sqlalchemy as sa
from alembic import op

revision: str = "touches_0001"
down_revision: str | None = None
branch_labels: str | None = "touches"
depends_on: str | None = None


def upgrade() -> None:
    """Make the log's table."""
    op.create_table(
        "touch",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("ms", sa.BigInteger(), nullable=False),
        sa.Column("merchant", sa.Text(), nullable=False),
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("room", sa.Text(), nullable=False),
        sa.Column("sku", sa.Text(), nullable=False),
        sa.Column("link", sa.Text(), nullable=True),
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("root", sa.Text(), nullable=False),
        sa.Column("depth", sa.Integer(), nullable=False),
        sa.Column("evidence", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_touch")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_touch_merchant_link_ms",
        "touch",
        ["merchant", "link", "ms", "person"],
        unique=False,
        sqlite_where=sa.text("link IS NOT NULL"),
        postgresql_where=sa.text("link IS NOT NULL"),
    )
    op.create_index("ix_touch_merchant_ms", "touch", ["merchant", "ms", "kind", "person"], unique=False)
    op.create_index("ix_touch_merchant_person_ms", "touch", ["merchant", "person", "ms"], unique=False)
