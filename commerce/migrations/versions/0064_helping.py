"""Helper tasks, posters and helpers."""

import sqlalchemy as sa
from alembic import op

revision: str = "0064"
down_revision: str | None = "0063"
branch_labels: str | None = None
depends_on: str | None = None

OWED = "done_ms IS NOT NULL AND coupon = ''"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "help_task",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("merchant", sa.String(length=64), nullable=False),
        sa.Column("room", sa.String(length=64), nullable=False),
        sa.Column("title", sa.String(length=60), nullable=False),
        sa.Column("reason", sa.String(length=60), nullable=False),
        sa.Column("needed", sa.Integer(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("threshold", sa.BigInteger(), nullable=False),
        sa.Column("days", sa.Integer(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("until_ms", sa.BigInteger(), nullable=False),
        sa.Column("staff", sa.String(length=64), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("needed BETWEEN 1 AND 50", name=op.f("ck_help_task_needed")),
        sa.CheckConstraint("amount >= 1 AND threshold >= 0", name=op.f("ck_help_task_amount")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_help_task")),
    )
    op.create_index("ix_help_task_merchant", "help_task", ["merchant", "id"], unique=False)
    op.create_table(
        "help_poster",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("task", sa.String(length=64), nullable=False),
        sa.Column("person", sa.String(length=64), nullable=False),
        sa.Column("link", sa.String(length=16), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("done_ms", sa.BigInteger(), nullable=True),
        sa.Column("coupon", sa.String(length=64), server_default=sa.text("''"), nullable=False),
        sa.ForeignKeyConstraint(["task"], ["help_task.id"], name=op.f("fk_help_poster_task_help_task")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_help_poster")),
    )
    op.create_index("ux_help_poster_person", "help_poster", ["task", "person"], unique=True)
    op.create_index("ix_help_poster_person", "help_poster", ["person"], unique=False)
    op.create_index(
        "ix_help_poster_owed",
        "help_poster",
        ["done_ms"],
        unique=False,
        sqlite_where=sa.text(OWED),
        postgresql_where=sa.text(OWED),
    )
    op.create_table(
        "helping",
        sa.Column("task", sa.String(length=64), nullable=False),
        sa.Column("person", sa.String(length=64), nullable=False),
        sa.Column("poster", sa.String(length=64), nullable=False),
        sa.Column("network", sa.String(length=32), server_default=sa.text("''"), nullable=False),
        sa.Column("helped_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["task"], ["help_task.id"], name=op.f("fk_helping_task_help_task")),
        sa.PrimaryKeyConstraint("task", "person", name=op.f("pk_helping")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_helping_poster", "helping", ["poster", "helped_ms"], unique=False)
    op.create_index("ix_helping_person", "helping", ["person", "helped_ms"], unique=False)


def downgrade() -> None:
    """Take them away again."""
    for table in ("helping", "help_poster", "help_task"):
        op.drop_table(table)
