"""Transfers of withdrawals with the tax withheld of them; children's records, erasures that wait, WeChat's events."""

import sqlalchemy as sa
from alembic import op

revision: str = "0037"
down_revision: str | None = "0031"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Make the columns and tables."""
    _withdrawals()
    _privacy()


def _privacy() -> None:
    op.create_table(
        "minor",
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("merchant", sa.Text(), nullable=False),
        sa.Column("sealed", sa.Text(), nullable=False),
        sa.Column("agreed", sa.Boolean(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("since_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["merchant"], ["merchant.id"], name=op.f("fk_minor_merchant_merchant")),
        sa.ForeignKeyConstraint(["person"], ["person.id"], name=op.f("fk_minor_person_person")),
        sa.PrimaryKeyConstraint("person", name=op.f("pk_minor")),
    )
    op.create_table(
        "erasure_due",
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("merchant", sa.Text(), nullable=False),
        sa.Column("asked_ms", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["merchant"], ["merchant.id"], name=op.f("fk_erasure_due_merchant_merchant")),
        sa.ForeignKeyConstraint(["person"], ["person.id"], name=op.f("fk_erasure_due_person_person")),
        sa.PrimaryKeyConstraint("person", name=op.f("pk_erasure_due")),
    )
    op.add_column("wechat_app", sa.Column("sealed_callback", sa.Text(), server_default=sa.text("''"), nullable=False))


def _withdrawals() -> None:
    # SQLite cannot change a constraint of a table that is there: the table is copied.
    anew = op.get_bind().dialect.name == "sqlite"
    with op.batch_alter_table("withdrawal", recreate="always" if anew else "never") as withdrawal:
        withdrawal.alter_column("state", existing_type=sa.String(length=10), type_=sa.String(length=12))
        withdrawal.add_column(sa.Column("approved_ms", sa.BigInteger(), nullable=True))
        withdrawal.add_column(sa.Column("tax", sa.BigInteger(), server_default=sa.text("0"), nullable=False))
        withdrawal.add_column(sa.Column("provider", sa.String(length=32), server_default=sa.text("''"), nullable=False))
        withdrawal.add_column(sa.Column("payee", sa.String(length=128), server_default=sa.text("''"), nullable=False))
        withdrawal.add_column(sa.Column("tries", sa.Integer(), server_default=sa.text("0"), nullable=False))
        withdrawal.add_column(sa.Column("ask_ms", sa.BigInteger(), nullable=True))
        withdrawal.add_column(sa.Column("confirm", sa.Text(), server_default=sa.text("''"), nullable=False))
        withdrawal.drop_constraint(op.f("ck_withdrawal_state"), type_="check")
        withdrawal.create_check_constraint(
            op.f("ck_withdrawal_state"),
            "state IN ('requested', 'approved', 'transferring', 'paid', 'rejected', 'failed')",
        )
        withdrawal.create_check_constraint(op.f("ck_withdrawal_tax"), "tax >= 0 AND tax <= amount")
        withdrawal.create_check_constraint(
            op.f("ck_withdrawal_transfer"), "state <> 'transferring' OR (provider <> '' AND ask_ms IS NOT NULL)"
        )
    op.execute("UPDATE withdrawal SET approved_ms = decided_ms WHERE state IN ('approved', 'paid')")
    op.create_index(
        "ix_withdrawal_ask",
        "withdrawal",
        ["ask_ms"],
        unique=False,
        sqlite_where=sa.text("state = 'transferring'"),
        postgresql_where=sa.text("state = 'transferring'"),
    )
