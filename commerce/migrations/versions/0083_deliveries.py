"""What became of mass messages that WeCom took."""

import sqlalchemy as sa
from alembic import op

revision: str = "0083"
down_revision: str | None = "0082"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "wecom_delivery",
        sa.Column("message", sa.String(64), nullable=False),
        sa.Column("merchant", sa.String(64), nullable=False),
        sa.Column("number", sa.String(128), nullable=False),
        sa.Column("sender", sa.String(64), nullable=False),
        sa.Column("external", sa.String(64), nullable=False, server_default=""),
        sa.Column("outcome", sa.String(12), nullable=False),
        sa.Column("asks", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("ask_ms", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("(outcome = 'waiting') = (ask_ms IS NOT NULL)", name=op.f("ck_wecom_delivery_ask")),
        sa.CheckConstraint(
            "outcome IN ('waiting', 'delivered', 'no_friend', 'had_another', 'untapped')",
            name=op.f("ck_wecom_delivery_outcome"),
        ),
        sa.PrimaryKeyConstraint("message", name=op.f("pk_wecom_delivery")),
        sqlite_with_rowid=False,
    )
    open_ = sa.text("ask_ms IS NOT NULL")
    op.create_index("ix_wecom_delivery_ask", "wecom_delivery", ["ask_ms"], sqlite_where=open_, postgresql_where=open_)
    op.create_index("ix_wecom_delivery_task", "wecom_delivery", ["merchant", "number", "sender"])


def downgrade() -> None:
    """Take it away again."""
    op.drop_table("wecom_delivery")
