"""Deposits that are kept, and given up again, are entries of their own moment; who owes a balance is reminded."""

import time

import sqlalchemy as sa
from alembic import op

revision: str = "0070"
down_revision: str | None = "0064"
branch_labels: str | None = None
depends_on: str | None = None

# Whole ones were in the books already, at the moment of the decision. What was left of partly refunded ones was not:
# it comes now, as their days may be closed.
_KEPT = sa.text(
    "INSERT INTO kept_deposit (id, merchant, deposit, amount, at_ms)"
    " SELECT s.id, s.merchant, s.id, o.amount - o.refunded, CASE WHEN o.refunded = 0 THEN s.ended_ms ELSE :now END"
    " FROM presale AS s JOIN orders AS o ON o.id = s.id JOIN orders AS b ON b.id = s.balance"
    " WHERE s.ended_ms IS NOT NULL AND b.status = 'cancelled' AND o.amount > o.refunded"
)

_REMIND = sa.text(
    "INSERT INTO deadline (kind, subject, due_ms, tries) SELECT 'balance', id, from_ms, 0 FROM presale"
    " WHERE balance IS NOT NULL AND ended_ms IS NULL AND from_ms > :now"
)


def upgrade() -> None:
    """Make the table and fill it."""
    op.create_table(
        "kept_deposit",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("merchant", sa.String(64), nullable=False),
        sa.Column("deposit", sa.String(64), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("amount <> 0", name=op.f("ck_kept_deposit_amount")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_kept_deposit")),
    )
    op.create_index("ix_kept_deposit_deposit", "kept_deposit", ["deposit"])
    op.create_index("ix_kept_deposit_merchant", "kept_deposit", ["merchant", "at_ms"])
    now_ms = time.time_ns() // 1_000_000
    for statement in (_KEPT, _REMIND):
        op.get_bind().execute(statement, {"now": now_ms})
    _keep()


def _keep() -> None:
    """Let the database itself refuse to change what was booked."""
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER kept_deposit_kept_{verb.lower()} BEFORE {verb} ON kept_deposit"
                " BEGIN SELECT RAISE(ABORT, 'the books are kept as they were written'); END"
            )
        return
    # The function is of 0035b.
    op.execute(
        "CREATE TRIGGER kept_deposit_kept BEFORE UPDATE OR DELETE ON kept_deposit FOR EACH ROW"
        " EXECUTE FUNCTION books_kept()"
    )


def downgrade() -> None:
    """Take it away again."""
    op.execute("DELETE FROM deadline WHERE kind = 'balance'")
    op.drop_table("kept_deposit")
