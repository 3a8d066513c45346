"""Who hosted the room of a touch, and which explanation was watched; of touches before this neither is known."""

import sqlalchemy as sa
from alembic import op

revision: str = "touches_0003"
down_revision: str | None = "touches_0002"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Add the columns."""
    for name in ("host", "clip"):
        op.add_column("touch", sa.Column(name, sa.Text(), nullable=False, server_default=""))


def downgrade() -> None:
    """Take them away again."""
    for name in ("clip", "host"):
        op.drop_column("touch", name)
