"""Assistants have seats, and assistants and moderators are appointed for rooms."""

import sqlalchemy as sa
from alembic import op

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
    _check("staff", DOORS_BEFORE, DOORS)
    _check("org_member", SEATS_BEFORE, SEATS)
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
