"""Bans extend to the devices that a person came with."""

import sqlalchemy as sa
from alembic import op

revision: str = "0031"
down_revision: str | None = "0030"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Make the column."""
    op.add_column("ban", sa.Column("devices", sa.Text(), nullable=False, server_default=""))


def downgrade() -> None:
    """Take it away again."""
    op.drop_column("ban", "devices")
