"""Boxes of people who were found to be one person become one box."""

import sqlalchemy as sa
from alembic import op

revision: str = "0116"
down_revision: str | None = "0115"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Add where an event was first, and where a box has gone."""
    op.add_column("personal", sa.Column("first_box", sa.Text(), nullable=True))
    op.add_column("personal", sa.Column("first_seq", sa.BigInteger(), nullable=True))
    op.create_index(op.f("ix_personal_first_box"), "personal", ["first_box"])
    op.add_column("personal_box", sa.Column("base", sa.BigInteger(), nullable=False, server_default=sa.text("0")))
    op.add_column("personal_box", sa.Column("folded", sa.BigInteger(), nullable=False, server_default=sa.text("0")))
    op.add_column("personal_box", sa.Column("joined", sa.Text(), nullable=True))


def downgrade() -> None:
    """Leave what was joined in the box where it is: its numbers are good there."""
    op.drop_index(op.f("ix_personal_first_box"), "personal")
    for table, columns in (("personal", ("first_seq", "first_box")), ("personal_box", ("joined", "folded", "base"))):
        with op.batch_alter_table(table) as batch:
            for column in columns:
                batch.drop_column(column)
