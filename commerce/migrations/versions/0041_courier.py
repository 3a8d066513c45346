"""Errands of same-city couriers and their callbacks."""

import sqlalchemy as sa
from alembic import op

revision: str = "0041"
down_revision: str | None = "0040"
branch_labels: str | None = None
depends_on: str | None = None

_OPEN = sa.text("ended_ms IS NULL")


def _id(name: str) -> "sa.Column[str]":
    return sa.Column(name, sa.String(length=64), nullable=False)


def _word(name: str, length: int) -> "sa.Column[str]":
    return sa.Column(name, sa.String(length=length), server_default=sa.text("''"), nullable=False)


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "courier_errand",
        *(_id(name) for name in ("id", "merchant", "order_id", "outlet")),
        sa.Column("provider", sa.String(length=32), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("fee", sa.BigInteger(), nullable=True),
        _word("rider", 40),
        _word("phone", 32),
        _word("reason", 200),
        _id("staff"),
        sa.Column("tries", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("ask_ms", sa.BigInteger(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("ended_ms", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "state IN ('asked', 'waiting', 'accepted', 'carried', 'back', 'delivered', 'failed')",
            name=op.f("ck_courier_errand_state"),
        ),
        sa.CheckConstraint(
            "(ended_ms IS NULL) = (state NOT IN ('delivered', 'failed'))", name=op.f("ck_courier_errand_ended")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_courier_errand")),
    )
    op.create_index("ix_courier_errand_order", "courier_errand", ["order_id", "id"])
    for name, column, unique in (
        ("ix_courier_errand_due", "ask_ms", False),
        ("uq_courier_errand_open", "order_id", True),
    ):
        op.create_index(name, "courier_errand", [column], unique=unique, sqlite_where=_OPEN, postgresql_where=_OPEN)
    op.create_table(
        "courier_event",
        _id("id"),
        sa.Column("provider", sa.String(length=32), nullable=False),
        sa.Column("event", sa.String(length=200), nullable=False),
        _id("errand"),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("raw", sa.Text(), nullable=False),
        sa.Column("received_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_courier_event")),
    )
    op.create_index("uq_courier_event_provider", "courier_event", ["provider", "event"], unique=True)
