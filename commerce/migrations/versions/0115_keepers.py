"""Assistants have seats, and assistants and moderators are appointed for rooms."""

import sqlalchemy as sa
from alembic import op

from commerce.migrations.in_place import change_check

revision: str = "0115"
down_revision: str | None = "0112"
branch_labels: str | None = None
depends_on: str | None = None

DOORS = "role IN ('merchant', 'host', 'assistant', 'moderator', 'guide')"
DOORS_BEFORE = "role IN ('merchant', 'host', 'moderator', 'guide')"
SEATS = "role IN ('owner', 'manager', 'accountant', 'host', 'assistant', 'moderator', 'guide', 'readonly')"
SEATS_BEFORE = "role IN ('owner', 'manager', 'accountant', 'host', 'moderator', 'guide', 'readonly')"


def upgrade() -> None:
    """Take the role in, and make the table."""
    change_check("staff", "role", DOORS_BEFORE, DOORS)
    change_check("org_member", "role", SEATS_BEFORE, SEATS)
    op.create_table(
        "appointment",
        sa.Column("merchant", sa.Text(), nullable=False),
        sa.Column("place", sa.String(64), nullable=False),
        sa.Column("person", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(4), nullable=False),
        sa.Column("role", sa.String(12), nullable=False),
        sa.Column("appointed_by", sa.String(64), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("kind IN ('room', 'node', 'all')", name=op.f("ck_appointment_kind")),
        sa.CheckConstraint("(kind = 'all') = (place = '')", name=op.f("ck_appointment_place")),
        sa.CheckConstraint("role IN ('assistant', 'moderator')", name=op.f("ck_appointment_role")),
        sa.ForeignKeyConstraint(["merchant"], ["merchant.id"], name=op.f("fk_appointment_merchant_merchant")),
        sa.PrimaryKeyConstraint("merchant", "place", "person", name=op.f("pk_appointment")),
    )
    op.create_index("ix_appointment_person", "appointment", ["person"])


def downgrade() -> None:
    """Make moderators of the assistants that no older version knows."""
    op.drop_table("appointment")
    op.execute("UPDATE org_member SET role = 'moderator' WHERE role = 'assistant'")
    op.execute("UPDATE staff SET role = 'moderator' WHERE role = 'assistant'")
    change_check("org_member", "role", SEATS, SEATS_BEFORE)
    change_check("staff", "role", DOORS, DOORS_BEFORE)
