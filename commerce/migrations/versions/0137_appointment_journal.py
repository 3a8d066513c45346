"""Who was appointed and dismissed, by whom and when."""

import sqlalchemy as sa
from alembic import op

revision: str = "0137"
down_revision: str | None = "0134"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Make the journal, which begins empty: who appointed the keepers of today was not written down."""
    op.create_table(
        "appointment_step",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("merchant", sa.Text(), nullable=False),
        sa.Column("place", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(4), nullable=False),
        sa.Column("person", sa.String(64), nullable=False),
        sa.Column("role", sa.String(12), nullable=False),
        sa.Column("step", sa.String(10), nullable=False),
        sa.Column("by", sa.String(64), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("step IN ('appointed', 'dismissed')", name=op.f("ck_appointment_step_step")),
        sa.ForeignKeyConstraint(["merchant"], ["merchant.id"], name=op.f("fk_appointment_step_merchant_merchant")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_appointment_step")),
    )
    op.create_index("ix_appointment_step_merchant", "appointment_step", ["merchant", "id"])
    op.create_index("ix_appointment_step_at", "appointment_step", ["at_ms"])


def downgrade() -> None:
    """Forget the journal."""
    op.drop_table("appointment_step")
