"""Indexes for what each payment, cancellation and refund looks up, and for one person's debts."""

import sqlalchemy as sa
from alembic import op

revision: str = "0151"
down_revision: str | None = "0150"
branch_labels: str | None = None
depends_on: str | None = None

PERSON = ["merchant", "person", "id"]


def _index(name: str, table: str, columns: list[str], where: str) -> None:
    op.create_index(name, table, columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where))


def upgrade() -> None:
    """Make them; the one of a person's orders anew, with what is summed of them."""
    _index("ix_coupon_order", "coupon", ["order_id"], "order_id IS NOT NULL")
    _index("ix_refund_late", "refund", ["payment"], "kind = 'late'")
    op.create_index("ix_payment_gift_order", "payment_gift", ["order_id"])
    op.create_index("ix_payment_gift_person", "payment_gift", ["merchant", "person", "created_ms"])
    op.create_index("ix_receivable_person", "receivable", ["person", "merchant"])
    op.drop_index("ix_orders_person", "orders")
    op.create_index("ix_orders_person", "orders", [*PERSON, "status", "kind", "amount", "refunded"])


def downgrade() -> None:
    """Find by reading all, as before."""
    op.drop_index("ix_orders_person", "orders")
    op.create_index("ix_orders_person", "orders", PERSON)
    op.drop_index("ix_receivable_person", "receivable")
    op.drop_index("ix_payment_gift_person", "payment_gift")
    op.drop_index("ix_payment_gift_order", "payment_gift")
    op.drop_index("ix_refund_late", "refund")
    op.drop_index("ix_coupon_order", "coupon")
