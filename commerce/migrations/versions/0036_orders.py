"""Presales with a deposit and a balance; a second ticket of one person in a draw is void."""

import sqlalchemy as sa
from alembic import op

revision: str = "0036"
down_revision: str | None = "0031"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Make the columns and the table."""
    op.add_column("draw_entry", sa.Column("void", sa.Integer(), nullable=False, server_default=sa.text("0")))
    op.add_column("sale", sa.Column("deposit", sa.BigInteger(), nullable=False, server_default=sa.text("0")))
    op.add_column("sale", sa.Column("balance_from_ms", sa.BigInteger(), nullable=True))
    op.add_column("sale", sa.Column("balance_until_ms", sa.BigInteger(), nullable=True))
    op.add_column("sale", sa.Column("balance_missed", sa.String(8), nullable=False, server_default=sa.text("''")))
    op.add_column("orders", sa.Column("presale", sa.String(64), nullable=True))
    op.create_table(
        "presale",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("merchant", sa.String(64), nullable=False),
        sa.Column("sale", sa.String(64), nullable=False),
        sa.Column("price", sa.BigInteger(), nullable=False),
        sa.Column("balance", sa.String(64), nullable=True),
        sa.Column("from_ms", sa.BigInteger(), nullable=False),
        sa.Column("until_ms", sa.BigInteger(), nullable=False),
        sa.Column("missed", sa.String(8), nullable=False),
        sa.Column("ended_ms", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("missed IN ('keep', 'refund')", name=op.f("ck_presale_missed")),
        sa.CheckConstraint("ended_ms IS NULL OR balance IS NOT NULL", name=op.f("ck_presale_ended")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_presale")),
    )
    op.create_index("uq_presale_balance", "presale", ["balance"], unique=True)


def downgrade() -> None:
    """Take them away again."""
    op.drop_table("presale")
    op.drop_column("orders", "presale")
    for name in ("balance_missed", "balance_until_ms", "balance_from_ms", "deposit"):
        op.drop_column("sale", name)
    op.drop_column("draw_entry", "void")
