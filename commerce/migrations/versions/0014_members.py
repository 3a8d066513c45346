"""Members: terms, tiers, lots of points, sign-ins, payment gifts."""

import sqlalchemy as sa
from alembic import op

revision: str = "0014"
down_revision: str | None = "0013"
branch_labels: str | None = None
depends_on: str | None = None


def _id(name: str, *, nullable: bool = False) -> "sa.Column[str]":
    return sa.Column(name, sa.String(length=64), nullable=nullable)


def _number(name: str, *, nullable: bool = False) -> "sa.Column[int]":
    return sa.Column(name, sa.BigInteger(), nullable=nullable)


def _count(name: str, default: str) -> "sa.Column[int]":
    return sa.Column(name, sa.Integer(), server_default=sa.text(default), nullable=False)


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "member_program",
        _id("merchant"),
        sa.Column("terms", sa.Text(), nullable=False),
        _count("version", "1"),
        _id("staff"),
        _number("updated_ms"),
        sa.PrimaryKeyConstraint("merchant", name=op.f("pk_member_program")),
    )
    op.create_table(
        "member",
        _id("merchant"),
        _id("person"),
        _number("spent"),
        _count("tier", "0"),
        sa.Column("signed_day", sa.String(length=10), nullable=True),
        _count("streak", "0"),
        _number("updated_ms"),
        sa.CheckConstraint("spent >= 0", name=op.f("ck_member_spent")),
        sa.CheckConstraint("tier >= 0 AND streak >= 0", name=op.f("ck_member_tier")),
        sa.PrimaryKeyConstraint("merchant", "person", name=op.f("pk_member")),
        sqlite_with_rowid=False,
    )
    _points()
    op.create_table(
        "sign_in",
        _id("merchant"),
        _id("person"),
        sa.Column("day", sa.String(length=10), nullable=False),
        _count("streak", "1"),
        _number("points"),
        _id("coupon", nullable=True),
        _number("created_ms"),
        sa.PrimaryKeyConstraint("merchant", "person", "day", name=op.f("pk_sign_in")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "payment_gift",
        _id("payment"),
        _id("merchant"),
        _id("order_id"),
        _id("person"),
        _number("points"),
        _id("coupon", nullable=True),
        _number("created_ms"),
        sa.PrimaryKeyConstraint("payment", name=op.f("pk_payment_gift")),
        sqlite_with_rowid=False,
    )


def _points() -> None:
    op.create_table(
        "points_lot",
        _id("id"),
        _id("merchant"),
        _id("person"),
        _number("granted"),
        _number("left_units"),
        sa.Column("state", sa.String(length=8), nullable=False),
        _number("ready_ms", nullable=True),
        _number("expires_ms", nullable=True),
        sa.Column("why", sa.String(length=20), nullable=False),
        _id("ref"),
        _number("created_ms"),
        sa.CheckConstraint("left_units >= 0 AND left_units <= granted", name=op.f("ck_points_lot_left_units")),
        sa.CheckConstraint("state IN ('pending', 'ready', 'ended')", name=op.f("ck_points_lot_state")),
        sa.CheckConstraint("state <> 'ready' OR expires_ms IS NOT NULL", name=op.f("ck_points_lot_expires")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_points_lot")),
    )
    op.create_index("ix_points_lot_person", "points_lot", ["merchant", "person", "expires_ms"])
    op.create_index("ix_points_lot_ref", "points_lot", ["ref"])
    for name, column, state in (
        ("ix_points_lot_pending", "ready_ms", "pending"),
        ("ix_points_lot_expires", "expires_ms", "ready"),
    ):
        where = sa.text(f"state = '{state}'")
        op.create_index(name, "points_lot", [column], sqlite_where=where, postgresql_where=where)
    op.create_table(
        "points_use",
        _id("order_id"),
        _id("lot"),
        _number("units"),
        sa.CheckConstraint("units > 0", name=op.f("ck_points_use_units")),
        sa.PrimaryKeyConstraint("order_id", "lot", name=op.f("pk_points_use")),
        sqlite_with_rowid=False,
    )
