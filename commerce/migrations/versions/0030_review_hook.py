"""The hook that looks at chat lines before they are shown."""

import sqlalchemy as sa
from alembic import op

revision: str = "0030"
down_revision: str | None = "0009"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "review_hook",
        sa.Column("merchant", sa.Text(), nullable=False),
        sa.Column("room", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("timeout_ms", sa.Integer(), nullable=False),
        sa.Column("fail_open", sa.Boolean(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["merchant"], ["merchant.id"], name=op.f("fk_review_hook_merchant_merchant")),
        sa.PrimaryKeyConstraint("merchant", "room", name=op.f("pk_review_hook")),
    )


def downgrade() -> None:
    """Take it away again."""
    op.drop_table("review_hook")
