"""Reach: different people of any run of days; and the campaign of a touch's link.

The tables are filled from the log when it is opened (SQLite) or by ``siyu migrate`` (PostgreSQL).
"""

import sqlalchemy as sa
from alembic import op

revision: str = "touches_0002"
down_revision: str | None = "touches_0001"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Make the tables and the column."""
    op.add_column("touch", sa.Column("campaign", sa.Text(), nullable=False, server_default=""))
    op.create_table(
        "reach_key",
        sa.Column("id", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("merchant", sa.Text(), nullable=False),
        sa.Column("dimension", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reach_key")),
    )
    op.create_index("ix_reach_key_merchant", "reach_key", ["merchant", "dimension", "key"], unique=True)
    op.create_table(
        "reach_seen",
        sa.Column("key_id", sa.BigInteger(), nullable=False),
        sa.Column("person", sa.BigInteger(), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("steps", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("key_id", "person", "day", name=op.f("pk_reach_seen")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "reach",
        sa.Column("key_id", sa.BigInteger(), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("before", sa.Integer(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("persons", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key_id", "day", "before", "step", name=op.f("pk_reach")),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    """Take them away again."""
    for table in ("reach", "reach_seen", "reach_key"):
        op.drop_table(table)
    op.drop_column("touch", "campaign")
