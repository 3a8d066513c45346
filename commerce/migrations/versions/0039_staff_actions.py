"""What staff did in rooms is kept."""

import sqlalchemy as sa
from alembic import op

revision: str = "0039"
down_revision: str | None = "0031"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "staff_action",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("room", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("person", sa.Text(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_staff_action")),
    )
    op.create_index("ix_staff_action_room", "staff_action", ["room", "id"])
    op.create_index("ix_staff_action_at_ms", "staff_action", ["at_ms"])


def downgrade() -> None:
    """Take it away again."""
    op.drop_table("staff_action")
