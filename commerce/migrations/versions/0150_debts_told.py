"""How debtors are told outside the page; deadlines of the debts that are open."""

import sqlalchemy as sa
from alembic import op

revision: str = "0150"
down_revision: str | None = "0137"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Make the table, which begins empty; each open debt is told of a day before it is due, or half its time."""
    op.create_table(
        "credit_notice",
        sa.Column("merchant", sa.String(64), nullable=False),
        sa.Column("channel", sa.String(10), nullable=False),
        sa.Column("due_template", sa.String(64), nullable=False),
        sa.Column("overdue_template", sa.String(64), nullable=False),
        sa.Column("fields", sa.Text(), nullable=False),
        sa.Column("page", sa.String(128), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("channel IN ('subscribe', 'sms')", name=op.f("ck_credit_notice_channel")),
        sa.PrimaryKeyConstraint("merchant", name=op.f("pk_credit_notice")),
    )
    op.execute(
        "INSERT INTO deadline (kind, subject, due_ms, tries) SELECT 'debt', order_id, due_ms - CASE WHEN"
        " (due_ms - created_ms) / 2 < 86400000 THEN (due_ms - created_ms) / 2 ELSE 86400000 END, 0"
        " FROM receivable WHERE closed_ms IS NULL"
    )


def downgrade() -> None:
    """Tell nobody."""
    op.execute("DELETE FROM deadline WHERE kind = 'debt'")
    op.drop_table("credit_notice")
