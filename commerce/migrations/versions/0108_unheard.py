"""Payments of ended orders that their provider has not yet said the end of."""

import sqlalchemy as sa
from alembic import op

revision: str = "0108"
down_revision: str | None = "0104"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Make the table. What ended before is the daily reconciliation's to find, as it was."""
    op.create_table(
        "unheard_payment",
        sa.Column("payment", sa.String(64), nullable=False),
        sa.Column("merchant", sa.String(64), nullable=False),
        sa.Column("provider", sa.String(32), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("since_ms", sa.BigInteger(), nullable=False),
        sa.Column("due_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("payment", name=op.f("pk_unheard_payment")),
    )
    due = sa.text("due_ms IS NOT NULL")
    op.create_index("ix_unheard_payment_merchant", "unheard_payment", ["merchant", "payment"])
    op.create_index(
        "ix_unheard_payment_due", "unheard_payment", ["provider", "due_ms"], sqlite_where=due, postgresql_where=due
    )


def downgrade() -> None:
    """Take it away again."""
    op.drop_table("unheard_payment")
