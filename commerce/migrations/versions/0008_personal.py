"""Personal events of rooms: what single people were told, and how far they have acknowledged it."""

import sqlalchemy as sa
from alembic import op

revision: str = "0008"
down_revision: str | None = "0007"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "personal",
        sa.Column("box", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("box", "seq", name=op.f("pk_personal")),
        sa.UniqueConstraint("event", name=op.f("uq_personal_event")),
    )
    op.create_index(op.f("ix_personal_created_ms"), "personal", ["created_ms"])
    op.create_table(
        "personal_box",
        sa.Column("box", sa.Text(), nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.Column("acked", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("box", name=op.f("pk_personal_box")),
    )


def downgrade() -> None:
    """Take them away again."""
    op.drop_table("personal_box")
    op.drop_table("personal")
