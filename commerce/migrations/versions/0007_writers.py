"""Several processes on one database: who tells of an event, and the last batch that each process committed."""

import sqlalchemy as sa
from alembic import op

revision: str = "0007"
down_revision: str | None = "0006"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Add the outbox's column and the table of writers."""
    with op.batch_alter_table("outbox") as outbox:
        outbox.add_column(sa.Column("writer", sa.String(length=16), nullable=True))
    op.create_table(
        "ledger_writer",
        sa.Column("id", sa.String(length=16), nullable=False),
        sa.Column("batch", sa.BigInteger(), nullable=False),
        sa.Column("signed_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_writer")),
    )
