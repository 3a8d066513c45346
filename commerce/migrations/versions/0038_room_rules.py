"""What staff decided about rooms is kept."""

import sqlalchemy as sa
from alembic import op

revision: str = "0038"
down_revision: str | None = "0037"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "room_rule",
        sa.Column("room", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("until_ms", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["room"], ["room.id"], name=op.f("fk_room_rule_room_room")),
        sa.PrimaryKeyConstraint("room", "name", name=op.f("pk_room_rule")),
    )
    op.create_index("ix_room_rule_person", "room_rule", ["person"])


def downgrade() -> None:
    """Take it away again."""
    op.drop_table("room_rule")
