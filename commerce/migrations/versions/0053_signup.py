"""Events that people sign up for."""

import sqlalchemy as sa
from alembic import op

revision: str = "0053"
down_revision: str | None = "0052"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "event_",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("merchant", sa.String(64), nullable=False),
        sa.Column("title", sa.String(60), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("place", sa.String(60), nullable=False, server_default=sa.text("''")),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("starts_ms", "ends_ms", "closes_ms")),
        sa.Column("places", sa.Integer(), nullable=False),
        sa.Column("taken", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("sku", sa.String(64), nullable=True),
        sa.Column("pay_ms", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("staff", sa.String(64), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("taken >= 0 AND taken <= places", name=op.f("ck_event__taken")),
        sa.CheckConstraint("starts_ms < ends_ms AND closes_ms <= ends_ms", name=op.f("ck_event__times")),
        sa.CheckConstraint("state IN ('open', 'cancelled', 'over')", name=op.f("ck_event__state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event_")),
    )
    op.create_index("ix_event__merchant", "event_", ["merchant", "starts_ms"])
    op.create_index(
        "ux_event__sku",
        "event_",
        ["sku"],
        unique=True,
        sqlite_where=sa.text("sku IS NOT NULL AND state = 'open'"),
        postgresql_where=sa.text("sku IS NOT NULL AND state = 'open'"),
    )
    op.create_table(
        "ticket",
        *(sa.Column(name, sa.String(64), nullable=False) for name in ("id", "merchant", "event", "person")),
        sa.Column("name", sa.String(40), nullable=False, server_default=sa.text("''")),
        sa.Column("code", sa.String(12), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("until_ms", sa.BigInteger(), nullable=True),
        sa.Column("order_id", sa.String(64), nullable=True),
        sa.Column("used_ms", sa.BigInteger(), nullable=True),
        sa.Column("used_by", sa.String(64), nullable=True),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "state IN ('waiting', 'reserved', 'good', 'used', 'cancelled')", name=op.f("ck_ticket_state")
        ),
        sa.CheckConstraint("state <> 'reserved' OR until_ms IS NOT NULL", name=op.f("ck_ticket_until")),
        sa.CheckConstraint("(state = 'used') = (used_ms IS NOT NULL)", name=op.f("ck_ticket_used")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ticket")),
        sa.UniqueConstraint("merchant", "code", name=op.f("uq_ticket_merchant_code")),
    )
    op.create_index(
        "ux_ticket_person",
        "ticket",
        ["event", "person"],
        unique=True,
        sqlite_where=sa.text("state <> 'cancelled'"),
        postgresql_where=sa.text("state <> 'cancelled'"),
    )
    op.create_index("ix_ticket_event", "ticket", ["event", "created_ms"])
    op.create_index("ix_ticket_person", "ticket", ["merchant", "person", "id"])
    op.create_index("ix_ticket_order", "ticket", ["order_id"])
