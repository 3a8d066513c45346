"""What content of the library a touch is about."""

import sqlalchemy as sa
from alembic import op

revision: str = "touches_0004"
down_revision: str | None = "touches_0003"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Make the column and its index."""
    op.add_column("touch", sa.Column("content", sa.Text(), nullable=False, server_default=sa.text("''")))
    op.create_index(
        "ix_touch_merchant_content",
        "touch",
        ["merchant", "content", "issuer", "person"],
        unique=False,
        sqlite_where=sa.text("content <> '' AND kind = 'content_read'"),
        postgresql_where=sa.text("content <> '' AND kind = 'content_read'"),
    )


def downgrade() -> None:
    """Take them away again."""
    op.drop_index("ix_touch_merchant_content", "touch")
    op.drop_column("touch", "content")
