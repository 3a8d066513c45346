"""Accounts and seats of moderators, who keep order in a room's chat and nothing else."""

from alembic import op

from commerce.migrations.in_place import change_check

revision: str = "0111"
down_revision: str | None = "0110"
branch_labels: str | None = None
depends_on: str | None = None

DOORS = "role IN ('merchant', 'host', 'moderator', 'guide')"
DOORS_BEFORE = "role IN ('merchant', 'host', 'guide')"
SEATS = "role IN ('owner', 'manager', 'accountant', 'host', 'moderator', 'guide', 'readonly')"
SEATS_BEFORE = "role IN ('owner', 'manager', 'accountant', 'host', 'guide', 'readonly')"


def upgrade() -> None:
    """Take the role in."""
    change_check("staff", "role", DOORS_BEFORE, DOORS)
    change_check("org_member", "role", SEATS_BEFORE, SEATS)


def downgrade() -> None:
    """Make guides without a room of those accounts that no older version knows, and readers of their seats."""
    op.execute("UPDATE org_member SET role = 'readonly' WHERE role = 'moderator'")
    op.execute("UPDATE staff SET role = 'guide' WHERE role = 'moderator'")
    change_check("org_member", "role", SEATS, SEATS_BEFORE)
    change_check("staff", "role", DOORS, DOORS_BEFORE)
