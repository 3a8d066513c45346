"""What tills took is in the books: by tender, with discount, tax and cost; drawers are counted."""

import sqlalchemy as sa
from alembic import op

revision: str = "0090"
down_revision: str | None = "0083"
branch_labels: str | None = None
depends_on: str | None = None

_NOUGHT = sa.text("0")
_EMPTY = sa.text("''")
_TOLD = ("told", "told_by", "told_why")


def _add(table: str, *amounts: str) -> None:
    for name in amounts:
        op.add_column(table, sa.Column(name, sa.BigInteger(), nullable=False, server_default=_NOUGHT))
    for name, characters in zip(_TOLD, (32, 64, 200), strict=True):
        op.add_column(table, sa.Column(name, sa.String(characters), nullable=False, server_default=_EMPTY))
    op.add_column(table, sa.Column("booked_ms", sa.BigInteger(), nullable=True))
    op.create_index(f"ix_{table}_booked", table, ["merchant", "booked_ms", "id"])


def _drop(table: str, *amounts: str) -> None:
    op.drop_index(f"ix_{table}_booked", table)
    for name in (*amounts, *_TOLD, "booked_ms"):
        op.drop_column(table, name)


def upgrade() -> None:
    """Add the columns and make the tables; what was sold before waits for its takings."""
    _add("pos_receipt", "discount", "tax", "cost")
    _add("pos_refund", "tax", "cost")
    op.create_table(
        "pos_tender",
        sa.Column("ref", sa.String(64), nullable=False),
        sa.Column("tender", sa.String(8), nullable=False),
        sa.Column("receipt", sa.String(64), nullable=False),
        sa.Column("merchant", sa.String(64), nullable=False),
        sa.Column("outlet", sa.String(64), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("bonus", sa.BigInteger(), nullable=False, server_default=_NOUGHT),
        sa.Column("booked_ms", sa.BigInteger(), nullable=False),
        sa.Column("till_close", sa.String(64), nullable=True),
        sa.CheckConstraint(
            "tender IN ('cash', 'wechat', 'alipay', 'card', 'stored', 'other')", name=op.f("ck_pos_tender_tender")
        ),
        sa.CheckConstraint("amount <> 0 AND (amount > 0) = (ref = receipt)", name=op.f("ck_pos_tender_amount")),
        sa.CheckConstraint("till_close IS NULL OR tender = 'cash'", name=op.f("ck_pos_tender_till_close")),
        sa.CheckConstraint("bonus = 0 OR tender = 'stored'", name=op.f("ck_pos_tender_bonus")),
        sa.PrimaryKeyConstraint("ref", "tender", name=op.f("pk_pos_tender")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_pos_tender_receipt", "pos_tender", ["receipt"])
    op.create_index("ix_pos_tender_booked", "pos_tender", ["merchant", "booked_ms"])
    uncounted = sa.text("tender = 'cash' AND till_close IS NULL")
    op.create_index("ix_pos_tender_open", "pos_tender", ["outlet"], sqlite_where=uncounted, postgresql_where=uncounted)
    op.create_table(
        "till_close",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("merchant", sa.String(64), nullable=False),
        sa.Column("outlet", sa.String(64), nullable=False),
        sa.Column("day", sa.String(10), nullable=False),
        *(
            sa.Column(name, sa.BigInteger(), nullable=False)
            for name in ("opening", "cash", "counted", "difference", "banked")
        ),
        sa.Column("why", sa.String(200), nullable=False, server_default=_EMPTY),
        sa.Column("staff", sa.String(64), nullable=False, server_default=_EMPTY),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "counted >= 0 AND counted >= banked AND difference = counted - opening - cash",
            name=op.f("ck_till_close_sums"),
        ),
        sa.CheckConstraint("difference = 0 OR why <> ''", name=op.f("ck_till_close_why")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_till_close")),
    )
    op.create_index("ux_till_close_day", "till_close", ["outlet", "day"], unique=True)
    op.create_index("ix_till_close_merchant", "till_close", ["merchant", "at_ms"])


def downgrade() -> None:
    """Take them away again."""
    op.drop_table("till_close")
    op.drop_table("pos_tender")
    _drop("pos_refund", "tax", "cost")
    _drop("pos_receipt", "discount", "tax", "cost")
