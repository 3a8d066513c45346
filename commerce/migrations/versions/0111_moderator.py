"""Accounts and seats of moderators, who keep order in a room's chat and nothing else."""

from alembic import op

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
    _check("staff", DOORS_BEFORE, DOORS)
    _check("org_member", SEATS_BEFORE, SEATS)


def downgrade() -> None:
    """Make guides without a room of those accounts that no older version knows, and readers of their seats."""
    op.execute("UPDATE org_member SET role = 'readonly' WHERE role = 'moderator'")
    op.execute("UPDATE staff SET role = 'guide' WHERE role = 'moderator'")
    _check("org_member", SEATS, SEATS_BEFORE)
    _check("staff", DOORS, DOORS_BEFORE)


def _check(table: str, before: str, after: str) -> None:
    name = f"ck_{table}_role"
    if op.get_bind().dialect.name != "sqlite":
        op.drop_constraint(op.f(name), table, type_="check")
        op.create_check_constraint(op.f(name), table, after)
        return
    # A copy of the table would have to drop one that others refer to. A CHECK is text alone, and SQLite lets it be
    # changed in place (sqlite.org/lang_altertable.html, section 7: "Making Other Kinds Of Table Schema Changes").
    bind = op.get_bind()
    version = bind.exec_driver_sql("PRAGMA schema_version").scalar_one()
    bind.exec_driver_sql("PRAGMA writable_schema = ON")
    changed = bind.exec_driver_sql(
        "UPDATE sqlite_master SET sql = replace(sql, ?, ?) WHERE type = 'table' AND name = ? AND instr(sql, ?)",
        (before, after, table, before),
    )
    bind.exec_driver_sql(f"PRAGMA schema_version = {version + 1}")
    bind.exec_driver_sql("PRAGMA writable_schema = OFF")
    if changed.rowcount != 1:
        raise RuntimeError(f"the table {table} has no check of the roles as the version before made it")
