"""Sale on account: limits, debts of orders, bookings."""

import sqlalchemy as sa
from alembic import op

revision: str = "0095"
down_revision: str | None = "0094"
branch_labels: str | None = None
depends_on: str | None = None

_OPEN = sa.text("closed_ms IS NULL")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "credit_line",
        _id("merchant"),
        _id("person"),
        sa.Column("name", sa.String(60), nullable=False, server_default=sa.text("''")),
        sa.Column("most", sa.BigInteger(), nullable=False),
        sa.Column("days", sa.Integer(), nullable=False),
        sa.Column("open", sa.Integer(), nullable=False, server_default=sa.text("1")),
        _id("staff"),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("most >= 0", name=op.f("ck_credit_line_most")),
        sa.CheckConstraint("days > 0", name=op.f("ck_credit_line_days")),
        sa.PrimaryKeyConstraint("merchant", "person", name=op.f("pk_credit_line")),
    )
    op.create_table(
        "receivable",
        *(_id(name) for name in ("order_id", "merchant", "person")),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        *(
            sa.Column(name, sa.BigInteger(), nullable=False, server_default=sa.text("0"))
            for name in ("repaid", "returned", "lost")
        ),
        sa.Column("due_ms", sa.BigInteger(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("closed_ms", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "amount > 0 AND repaid >= 0 AND returned >= 0 AND lost >= 0", name=op.f("ck_receivable_amounts")
        ),
        sa.CheckConstraint("repaid + returned + lost <= amount", name=op.f("ck_receivable_whole")),
        sa.CheckConstraint(
            "(closed_ms IS NOT NULL) = (repaid + returned + lost = amount)", name=op.f("ck_receivable_closed")
        ),
        sa.PrimaryKeyConstraint("order_id", name=op.f("pk_receivable")),
    )
    op.create_index(
        "ix_receivable_open",
        "receivable",
        ["merchant", "person", "due_ms"],
        sqlite_where=_OPEN,
        postgresql_where=_OPEN,
    )
    op.create_table(
        "credit_booking",
        *(_id(name) for name in ("id", "merchant", "person")),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("order_id", sa.String(64), nullable=True),
        _id("staff"),
        sa.Column("reference", sa.String(60), nullable=False, server_default=sa.text("''")),
        sa.Column("reason", sa.String(200), nullable=False, server_default=sa.text("''")),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("kind IN ('repaid', 'lost', 'given')", name=op.f("ck_credit_booking_kind")),
        sa.CheckConstraint("amount > 0", name=op.f("ck_credit_booking_amount")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_credit_booking")),
    )
    op.create_index("ix_credit_booking_person", "credit_booking", ["merchant", "person", "id"])


def _id(name: str) -> "sa.Column[str]":
    return sa.Column(name, sa.String(64), nullable=False)


def downgrade() -> None:
    """Take them away again."""
    for table in ("credit_booking", "receivable", "credit_line"):
        op.drop_table(table)
