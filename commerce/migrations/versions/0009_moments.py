"""Recurring sales, reminders, waiting lists, deadlines, draws and group buys."""

import sqlalchemy as sa
from alembic import op

revision: str = "0009"
down_revision: str | None = "0021"
branch_labels: str | None = None
depends_on: str | None = None

TABLES = ("seat", "team", "follower", "draw_entry", "draw", "deadline", "waiter", "reminder", "sale_plan")
# In one statement each, as both engines add a column with its check without making the table anew.
COLUMNS = (
    "mode VARCHAR(8) DEFAULT 'rush' NOT NULL CONSTRAINT ck_sale_mode CHECK (mode IN ('rush', 'draw', 'bag', 'team'))",
    "live_only INTEGER DEFAULT 0 NOT NULL",
    "waiting INTEGER DEFAULT 0 NOT NULL CONSTRAINT ck_sale_waiting CHECK (waiting >= 0)",
    "reserved INTEGER DEFAULT 0 NOT NULL CONSTRAINT ck_sale_reserved CHECK (reserved >= 0)",
    "plan VARCHAR(64)",
    "draw VARCHAR(64)",
    "enter_ms BIGINT DEFAULT 0 NOT NULL",
    "drawn_ms BIGINT",
    "team_size INTEGER DEFAULT 0 NOT NULL",
    "team_winners INTEGER DEFAULT 0 NOT NULL",
    "team_ms BIGINT DEFAULT 0 NOT NULL",
)


def upgrade() -> None:
    """Make the tables, and widen the sale's."""
    for column in COLUMNS:
        op.execute(f"ALTER TABLE sale ADD COLUMN {column}")
    _tables()


def downgrade() -> None:
    """Take them away again."""
    for table in TABLES:
        op.drop_table(table)
    with op.batch_alter_table("sale") as sale:
        for column in reversed(COLUMNS):
            sale.drop_column(column.partition(" ")[0])


def _tables() -> None:
    op.create_table(
        "deadline",
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("subject", sa.String(length=64), nullable=False),
        sa.Column("due_ms", sa.BigInteger(), nullable=False),
        sa.Column("tries", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("kind", "subject", name=op.f("pk_deadline")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_deadline_due", "deadline", ["due_ms"], unique=False)
    op.create_table(
        "draw",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("merchant", sa.String(length=64), nullable=False),
        sa.Column("room", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("subject", sa.String(length=64), nullable=True),
        sa.Column("title", sa.String(length=200), nullable=False),
        sa.Column("task", sa.String(length=8), nullable=False),
        sa.Column("word", sa.String(length=40), nullable=False),
        sa.Column("seed", sa.String(length=64), nullable=False),
        sa.Column("commitment", sa.String(length=64), nullable=False),
        sa.Column("winners", sa.Integer(), nullable=False),
        sa.Column("pool", sa.BigInteger(), nullable=False),
        sa.Column("least", sa.BigInteger(), nullable=False),
        sa.Column("valid_ms", sa.BigInteger(), nullable=False),
        sa.Column("entries", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("won", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("opens_ms", sa.BigInteger(), nullable=False),
        sa.Column("closes_ms", sa.BigInteger(), nullable=False),
        sa.Column("drawn_ms", sa.BigInteger(), nullable=True),
        sa.Column("voided_ms", sa.BigInteger(), nullable=True),
        sa.Column("announced", sa.String(length=8), nullable=False),
        sa.CheckConstraint("kind IN ('sale', 'bag', 'packet', 'team')", name=op.f("ck_draw_kind")),
        sa.CheckConstraint("pool >= 0 AND (kind = 'packet') = (pool > 0)", name=op.f("ck_draw_pool")),
        sa.CheckConstraint("task IN ('none', 'comment', 'follow')", name=op.f("ck_draw_task")),
        sa.CheckConstraint("drawn_ms IS NULL OR voided_ms IS NULL", name=op.f("ck_draw_ended")),
        sa.CheckConstraint("winners > 0 AND won >= 0 AND won <= winners AND won <= entries", name=op.f("ck_draw_won")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_draw")),
    )
    op.create_index("ix_draw_room", "draw", ["room", "id"], unique=False)
    op.create_table(
        "draw_entry",
        sa.Column("draw", sa.String(length=64), nullable=False),
        sa.Column("person", sa.String(length=64), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("ticket", sa.String(length=64), nullable=False),
        sa.Column("place", sa.Integer(), nullable=True),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("prize", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("draw", "person", name=op.f("pk_draw_entry")),
        sa.UniqueConstraint("draw", "n", name=op.f("uq_draw_entry_draw_n")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "follower",
        sa.Column("merchant", sa.String(length=64), nullable=False),
        sa.Column("person", sa.String(length=64), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("merchant", "person", name=op.f("pk_follower")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "reminder",
        sa.Column("subject", sa.String(length=64), nullable=False),
        sa.Column("person", sa.String(length=64), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("subject", "person", name=op.f("pk_reminder")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "sale_plan",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("merchant", sa.String(length=64), nullable=False),
        sa.Column("room", sa.String(length=64), nullable=False),
        sa.Column("sku", sa.String(length=64), nullable=False),
        sa.Column("rule", sa.String(length=200), nullable=False),
        sa.Column("price", sa.BigInteger(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("per_person", sa.Integer(), nullable=False),
        sa.Column("hold_ms", sa.BigInteger(), nullable=False),
        sa.Column("length_ms", sa.BigInteger(), nullable=False),
        sa.Column("mode", sa.String(length=8), nullable=False),
        sa.Column("live_only", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("enter_ms", sa.BigInteger(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("next_ms", sa.BigInteger(), nullable=True),
        sa.Column("ended_ms", sa.BigInteger(), nullable=True),
        sa.Column("made", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("skipped", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.CheckConstraint("price > 0", name=op.f("ck_sale_plan_price")),
        sa.CheckConstraint("total > 0", name=op.f("ck_sale_plan_total")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sale_plan")),
    )
    op.create_index("ix_sale_plan_room", "sale_plan", ["room", "id"], unique=False)
    op.create_table(
        "seat",
        sa.Column("hold", sa.String(length=64), nullable=False),
        sa.Column("team", sa.String(length=64), nullable=False),
        sa.Column("person", sa.String(length=64), nullable=False),
        sa.Column("order_id", sa.String(length=64), nullable=True),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("taken_ms", sa.BigInteger(), nullable=False),
        sa.Column("paid_ms", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("state IN ('held', 'paid', 'left', 'refunded')", name=op.f("ck_seat_state")),
        sa.PrimaryKeyConstraint("hold", name=op.f("pk_seat")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_seat_order", "seat", ["order_id"], unique=False)
    op.create_index("ix_seat_team", "seat", ["team"], unique=False)
    op.create_index(
        "uq_seat_person",
        "seat",
        ["team", "person"],
        unique=True,
        sqlite_where=sa.text("state IN ('held', 'paid')"),
        postgresql_where=sa.text("state IN ('held', 'paid')"),
    )
    op.create_table(
        "team",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("sale", sa.String(length=64), nullable=False),
        sa.Column("merchant", sa.String(length=64), nullable=False),
        sa.Column("room", sa.String(length=64), nullable=False),
        sa.Column("leader", sa.String(length=64), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("winners", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("taken", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("paid", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("opened_ms", sa.BigInteger(), nullable=False),
        sa.Column("deadline_ms", sa.BigInteger(), nullable=False),
        sa.Column("ended_ms", sa.BigInteger(), nullable=True),
        sa.Column("draw", sa.String(length=64), nullable=True),
        sa.CheckConstraint("(state = 'open') = (ended_ms IS NULL)", name=op.f("ck_team_ended")),
        sa.CheckConstraint("state <> 'full' OR paid = size", name=op.f("ck_team_full")),
        sa.CheckConstraint("state IN ('open', 'full', 'failed')", name=op.f("ck_team_state")),
        sa.CheckConstraint("paid >= 0 AND paid <= taken AND taken <= size", name=op.f("ck_team_seats")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_team")),
    )
    op.create_index("ix_team_room", "team", ["room", "id"], unique=False)
    op.create_index("ix_team_sale", "team", ["sale", "id"], unique=False)
    op.create_table(
        "waiter",
        sa.Column("sale", sa.String(length=64), nullable=False),
        sa.Column("person", sa.String(length=64), nullable=False),
        sa.Column("place", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("hold", sa.String(length=64), nullable=True),
        sa.CheckConstraint("(state = 'served') = (hold IS NOT NULL)", name=op.f("ck_waiter_served")),
        sa.CheckConstraint("state IN ('waiting', 'served', 'left', 'ended')", name=op.f("ck_waiter_state")),
        sa.PrimaryKeyConstraint("sale", "person", name=op.f("pk_waiter")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_waiter_next",
        "waiter",
        ["sale", "place"],
        unique=False,
        sqlite_where=sa.text("state = 'waiting'"),
        postgresql_where=sa.text("state = 'waiting'"),
    )
