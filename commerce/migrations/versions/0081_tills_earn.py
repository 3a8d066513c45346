"""Sales at a till are credited: who brought the buyer is kept with the receipt."""

import sqlalchemy as sa
from alembic import op

revision: str = "0081"
down_revision: str | None = "0080"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("pos_receipt", sa.Column("decision", sa.Text(), nullable=True))


def downgrade() -> None:
    """Take it away again."""
    op.drop_column("pos_receipt", "decision")
