"""Whose a provider's notice is, and the indexes that a day's statement sums by."""

import sqlalchemy as sa
from alembic import op

revision: str = "0108b"
down_revision: str | None = "0108"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Add the column, fill it, and make the indexes."""
    op.add_column("payment_event", sa.Column("merchant", sa.String(64), nullable=False, server_default=""))
    op.execute(
        "UPDATE payment_event SET merchant ="
        " coalesce((SELECT p.merchant FROM payment AS p WHERE p.id = payment_event.payment), '')"
    )
    paid, cancelled = sa.text("kind = 'paid'"), sa.text("status = 'cancelled'")
    columns = ["merchant", "received_ms", "provider", "amount", "payment"]
    op.create_index("ix_payment_event_paid", "payment_event", columns, sqlite_where=paid, postgresql_where=paid)
    columns = ["merchant", "cancelled_ms"]
    op.create_index("ix_orders_cancelled", "orders", columns, sqlite_where=cancelled, postgresql_where=cancelled)
    op.create_index("ix_entry_merchant", "entry", ["merchant", "created_ms"])


def downgrade() -> None:
    """Take them away again."""
    op.drop_index("ix_entry_merchant", "entry")
    op.drop_index("ix_orders_cancelled", "orders")
    op.drop_index("ix_payment_event_paid", "payment_event")
    op.drop_column("payment_event", "merchant")
