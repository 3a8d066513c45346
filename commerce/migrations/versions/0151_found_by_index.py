"""Indexes for what each payment, cancellation, refund and merge looks up, and for one person's debts."""

import sqlalchemy as sa
from alembic import op

revision: str = "0151"
down_revision: str | None = "0150"
branch_labels: str | None = None
depends_on: str | None = None

PERSON = ["merchant", "person", "id"]
WHOLE = {
    "ix_payment_gift_order": ("payment_gift", ["order_id"]),
    "ix_payment_gift_person": ("payment_gift", ["merchant", "person", "created_ms"]),
    "ix_receivable_person": ("receivable", ["person", "merchant"]),
    "ix_sale_merchant": ("sale", ["merchant"]),
    "ix_draw_merchant": ("draw", ["merchant"]),
    "ix_reminder_person": ("reminder", ["person"]),
    "ix_waiter_person": ("waiter", ["person"]),
    "ix_seat_person": ("seat", ["person"]),
}
PARTIAL = {
    "ix_coupon_order": ("coupon", ["order_id"], "order_id IS NOT NULL"),
    "ix_refund_late": ("refund", ["payment"], "kind = 'late'"),
    "ix_hold_keyless": ("hold", ["person"], "key IS NULL AND order_id IS NULL"),
    "ix_drop_open": ("drop_", ["merchant", "way"], "closed_ms IS NULL"),
    "ix_invoice_blue": ("invoice", ["blue"], "blue IS NOT NULL"),
    "ix_invoice_asked": ("invoice", ["id"], "state = 'asked'"),
    "ix_helping_network": ("helping", ["helped_ms"], "network <> ''"),
}


def upgrade() -> None:
    """Make them; the one of a person's orders anew, with what is summed of them."""
    for name, (table, columns) in WHOLE.items():
        op.create_index(name, table, columns)
    for name, (table, columns, where) in PARTIAL.items():
        op.create_index(name, table, columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where))
    op.drop_index("ix_orders_person", "orders")
    op.create_index("ix_orders_person", "orders", [*PERSON, "status", "kind", "amount", "refunded"])


def downgrade() -> None:
    """Find by reading all, as before."""
    op.drop_index("ix_orders_person", "orders")
    op.create_index("ix_orders_person", "orders", PERSON)
    for name, (table, *_) in (WHOLE | PARTIAL).items():
        op.drop_index(name, table)
