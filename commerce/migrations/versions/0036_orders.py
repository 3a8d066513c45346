"""A second ticket of one person in a draw is void."""

import sqlalchemy as sa
from alembic import op

revision: str = "0036"
down_revision: str | None = "0031"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Make the column."""
    op.add_column("draw_entry", sa.Column("void", sa.Integer(), nullable=False, server_default=sa.text("0")))


def downgrade() -> None:
    """Take it away again."""
    op.drop_column("draw_entry", "void")
