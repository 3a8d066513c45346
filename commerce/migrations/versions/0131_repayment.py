"""Debts are paid back through providers: what a payment is for, repayments, and when debtors were reminded."""

import sqlalchemy as sa
from alembic import op

revision: str = "0131"
down_revision: str | None = "0122"
branch_labels: str | None = None
depends_on: str | None = None

_OPEN = sa.text("state = 'open'")


def upgrade() -> None:
    """Make the column and the tables: every payment until now was for an order."""
    op.add_column("payment", sa.Column("kind", sa.String(8), server_default=sa.text("'order'"), nullable=False))
    op.create_table(
        "repayment",
        *(_id(name) for name in ("id", "merchant", "person")),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("applied", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("order_id", sa.String(64), nullable=True),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=False),
        sa.Column("paid_ms", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("state IN ('open', 'paid', 'ended')", name=op.f("ck_repayment_state")),
        sa.CheckConstraint("amount > 0 AND applied >= 0 AND applied <= amount", name=op.f("ck_repayment_amounts")),
        sa.CheckConstraint(
            "(state = 'paid') = (paid_ms IS NOT NULL) AND (applied = 0 OR state = 'paid')",
            name=op.f("ck_repayment_paid"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_repayment")),
    )
    op.create_index("ix_repayment_person", "repayment", ["merchant", "person", "id"])
    op.create_index("ix_repayment_paid", "repayment", ["merchant", "paid_ms"])
    op.create_index("ix_repayment_open", "repayment", ["expires_ms"], sqlite_where=_OPEN, postgresql_where=_OPEN)
    op.create_table(
        "credit_reminder",
        *(_id(name) for name in ("id", "merchant", "person")),
        sa.Column("overdue", sa.BigInteger(), nullable=False),
        _id("staff"),
        sa.Column("note", sa.String(200), nullable=False, server_default=sa.text("''")),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("overdue > 0", name=op.f("ck_credit_reminder_overdue")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_credit_reminder")),
    )
    op.create_index("ix_credit_reminder_person", "credit_reminder", ["merchant", "person", "id"])


def downgrade() -> None:
    """Take them away again."""
    op.drop_table("credit_reminder")
    op.drop_table("repayment")
    op.drop_column("payment", "kind")


def _id(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.String(64), nullable=False)
