"""A complaint counts for a node of the organisation: that of its order, else of its room."""

import sqlalchemy as sa
from alembic import op

revision: str = "0082"
down_revision: str | None = "0081"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Add the column and fill it."""
    op.add_column("complaint", sa.Column("node", sa.String(64), nullable=False, server_default=""))
    op.execute(
        "UPDATE complaint SET node = coalesce((SELECT nullif(o.node, '') FROM orders AS o"
        " WHERE o.id = complaint.order_id), (SELECT r.node FROM org_room AS r WHERE r.room = complaint.room), '')"
    )
    op.create_index("ix_complaint_person", "complaint", ["merchant", "person", "id"])


def downgrade() -> None:
    """Take it away again."""
    op.drop_index("ix_complaint_person", "complaint")
    op.drop_column("complaint", "node")
