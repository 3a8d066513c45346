"""Advisors and askers are told of questions and answers outside the page: by which channel, and when one was opened."""

import sqlalchemy as sa
from alembic import op

revision: str = "0101"
down_revision: str | None = "0100"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Make the table, and the columns of advisors and questions."""
    nothing = sa.text("''")
    op.create_table(
        "advice_notice",
        sa.Column("merchant", sa.String(64), nullable=False),
        sa.Column("channel", sa.String(12), nullable=False),
        sa.Column("template", sa.String(64), server_default=nothing, nullable=False),
        sa.Column("answer_template", sa.String(64), server_default=nothing, nullable=False),
        sa.Column("fields", sa.Text(), nullable=False),
        sa.Column("page", sa.String(128), server_default=nothing, nullable=False),
        sa.Column("open_minutes", sa.Integer(), nullable=False),
        sa.Column("most_hour", sa.Integer(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("channel IN ('subscribe', 'sms')", name=op.f("ck_advice_notice_channel")),
        sa.CheckConstraint(
            "open_minutes BETWEEN 1 AND 60 AND most_hour BETWEEN 0 AND 60", name=op.f("ck_advice_notice_terms")
        ),
        sa.PrimaryKeyConstraint("merchant", name=op.f("pk_advice_notice")),
    )
    op.add_column("advisor", sa.Column("person", sa.String(64), nullable=True))
    op.add_column("advisor", sa.Column("told", sa.Boolean(), server_default=sa.text("true"), nullable=False))
    op.add_column("question", sa.Column("opened_ms", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    """Take them away again."""
    op.drop_column("question", "opened_ms")
    op.drop_column("advisor", "told")
    op.drop_column("advisor", "person")
    op.drop_table("advice_notice")
