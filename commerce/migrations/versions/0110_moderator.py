"""Accounts and seats of moderators, who keep order in a room's chat and nothing else."""

from alembic import op

revision: str = "0110"
down_revision: str | None = "0108b"
branch_labels: str | None = None
depends_on: str | None = None

DOORS = "role IN ('merchant', 'host', 'moderator', 'guide')"
DOORS_BEFORE = "role IN ('merchant', 'host', 'guide')"
SEATS = "role IN ('owner', 'manager', 'accountant', 'host', 'moderator', 'guide', 'readonly')"
SEATS_BEFORE = "role IN ('owner', 'manager', 'accountant', 'host', 'guide', 'readonly')"


def upgrade() -> None:
    """Take the role in."""
    _check("staff", DOORS)
    _check("org_member", SEATS)


def downgrade() -> None:
    """Make guides without a room of those accounts that no older version knows, and readers of their seats."""
    op.execute("UPDATE org_member SET role = 'readonly' WHERE role = 'moderator'")
    op.execute("UPDATE staff SET role = 'guide' WHERE role = 'moderator'")
    _check("org_member", SEATS_BEFORE)
    _check("staff", DOORS_BEFORE)


def _check(table: str, condition: str) -> None:
    # SQLite cannot change a CHECK: batch mode makes the table anew. PostgreSQL can.
    anew = op.get_bind().dialect.name == "sqlite"
    with op.batch_alter_table(table, recreate="always" if anew else "never") as changed:
        changed.drop_constraint(op.f(f"ck_{table}_role"), type_="check")
        changed.create_check_constraint(op.f(f"ck_{table}_role"), condition)
