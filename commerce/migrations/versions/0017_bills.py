"""How a payment is paid at its provider, and the providers' daily files."""

import sqlalchemy as sa
from alembic import op

revision: str = "0017"
down_revision: str | None = "0015"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Add the column and the table."""
    op.add_column("payment", sa.Column("method", sa.String(16), nullable=False, server_default=""))
    op.create_table(
        "bill",
        sa.Column("provider", sa.String(32), nullable=False),
        sa.Column("day", sa.String(10), nullable=False),
        sa.Column("file", sa.LargeBinary(), nullable=False),
        sa.Column("lines", sa.Text(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("fetched_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("provider", "day", name=op.f("pk_bill")),
    )


def downgrade() -> None:
    """Take them away again."""
    op.drop_table("bill")
    op.drop_column("payment", "method")
