"""Advisors, questions and answers."""

import sqlalchemy as sa
from alembic import op

revision: str = "0062"
down_revision: str | None = "0061"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "advisor",
        sa.Column("staff", sa.String(length=64), nullable=False),
        sa.Column("merchant", sa.String(length=64), nullable=False),
        sa.Column("skills", sa.Text(), nullable=False),
        sa.Column("hours", sa.Text(), nullable=False),
        sa.Column("most", sa.Integer(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("last_ms", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("most BETWEEN 1 AND 100", name=op.f("ck_advisor_most")),
        sa.PrimaryKeyConstraint("staff", name=op.f("pk_advisor")),
    )
    op.create_index("ix_advisor_merchant", "advisor", ["merchant", "staff"], unique=False)
    op.create_table(
        "customer_advisor",
        sa.Column("merchant", sa.String(length=64), nullable=False),
        sa.Column("person", sa.String(length=64), nullable=False),
        sa.Column("staff", sa.String(length=64), nullable=False),
        sa.Column("since_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("merchant", "person", name=op.f("pk_customer_advisor")),
        sqlite_with_rowid=False,
    )
    _questions()


def _questions() -> None:
    op.create_table(
        "question",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("merchant", sa.String(length=64), nullable=False),
        sa.Column("person", sa.String(length=64), nullable=False),
        sa.Column("room", sa.String(length=64), server_default=sa.text("''"), nullable=False),
        sa.Column("skill", sa.String(length=20), server_default=sa.text("''"), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("advisor", sa.String(length=64), nullable=True),
        sa.Column("tried", sa.Text(), nullable=False),
        sa.Column("choice", sa.Text(), nullable=False),
        sa.Column("due_ms", sa.BigInteger(), nullable=True),
        sa.Column("public", sa.Boolean(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("answered_ms", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("state IN ('waiting', 'given', 'answered', 'accepted')", name=op.f("ck_question_state")),
        sa.CheckConstraint("state <> 'given' OR advisor IS NOT NULL", name=op.f("ck_question_given")),
        sa.CheckConstraint("(due_ms IS NOT NULL) = (state IN ('waiting', 'given'))", name=op.f("ck_question_due")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_question")),
    )
    op.create_index("ix_question_merchant", "question", ["merchant", "id"], unique=False)
    op.create_index("ix_question_person", "question", ["person", "id"], unique=False)
    op.create_index(
        "ix_question_due",
        "question",
        ["due_ms"],
        unique=False,
        sqlite_where=sa.text("due_ms IS NOT NULL"),
        postgresql_where=sa.text("due_ms IS NOT NULL"),
    )
    op.create_table(
        "answer",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("question", sa.String(length=64), nullable=False),
        sa.Column("person", sa.String(length=64), nullable=False),
        sa.Column("staff", sa.String(length=64), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("goods", sa.Text(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_answer")),
    )
    op.create_index("ix_answer_question", "answer", ["question", "id"], unique=False)
    op.create_index("ix_answer_person", "answer", ["person"], unique=False)


def downgrade() -> None:
    """Take them away again."""
    for table in ("answer", "question", "customer_advisor", "advisor"):
        op.drop_table(table)
