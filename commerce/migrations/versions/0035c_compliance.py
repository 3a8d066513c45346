"""Switches, licences, hosts, kept chat, returns, complaints and takedowns."""

import sqlalchemy as sa
from alembic import op

revision: str = "0035c"
down_revision: str | None = "0035b"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "chat_line",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("merchant", sa.String(length=64), nullable=False),
        sa.Column("room", sa.String(length=64), nullable=False),
        sa.Column("person", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_chat_line")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_chat_line_merchant", "chat_line", ["merchant", "at_ms"], unique=False)
    op.create_index("ix_chat_line_room", "chat_line", ["room", "id"], unique=False)
    op.create_table(
        "complaint",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("merchant", sa.String(length=64), nullable=False),
        sa.Column("person", sa.String(length=64), nullable=False),
        sa.Column("room", sa.String(length=64), nullable=True),
        sa.Column("order_id", sa.String(length=64), nullable=True),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("contact", sa.String(length=60), server_default="", nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("answer", sa.String(length=1000), server_default="", nullable=False),
        sa.Column("staff", sa.String(length=64), nullable=True),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("due_ms", sa.BigInteger(), nullable=False),
        sa.Column("answered_ms", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("(state = 'answered') = (answered_ms IS NOT NULL)", name=op.f("ck_complaint_answered")),
        sa.CheckConstraint("kind IN ('complaint', 'report', 'praise')", name=op.f("ck_complaint_kind")),
        sa.CheckConstraint("state IN ('open', 'answered')", name=op.f("ck_complaint_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_complaint")),
    )
    op.create_index("ix_complaint_merchant", "complaint", ["merchant", "id"], unique=False)
    op.create_table(
        "host_identity",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("merchant", sa.String(length=64), nullable=False),
        sa.Column("room", sa.String(length=64), nullable=False),
        sa.Column("sealed", sa.Text(), nullable=False),
        sa.Column("shown", sa.String(length=60), nullable=False),
        sa.Column("staff", sa.String(length=64), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("ended_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_host_identity")),
    )
    op.create_index("ix_host_identity_room", "host_identity", ["merchant", "room"], unique=False)
    op.create_table(
        "return_request",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("merchant", sa.String(length=64), nullable=False),
        sa.Column("order_id", sa.String(length=64), nullable=False),
        sa.Column("person", sa.String(length=64), nullable=False),
        sa.Column("lines", sa.Text(), nullable=False),
        sa.Column("reason", sa.String(length=200), server_default="", nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("answer", sa.String(length=200), server_default="", nullable=False),
        sa.Column("staff", sa.String(length=64), nullable=True),
        sa.Column("refund", sa.String(length=64), nullable=True),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("decided_ms", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("state IN ('asked', 'accepted', 'refused')", name=op.f("ck_return_request_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_return_request")),
    )
    op.create_index("ix_return_request_merchant", "return_request", ["merchant", "id"], unique=False)
    op.create_index(
        "uq_return_request_open",
        "return_request",
        ["order_id"],
        unique=True,
        sqlite_where=sa.text("state = 'asked'"),
        postgresql_where=sa.text("state = 'asked'"),
    )
    op.create_table(
        "shop_licence",
        sa.Column("merchant", sa.String(length=64), nullable=False),
        sa.Column("company", sa.String(length=100), nullable=False),
        sa.Column("number", sa.String(length=18), nullable=False),
        sa.Column("address", sa.String(length=200), server_default="", nullable=False),
        sa.Column("image", sa.String(length=500), server_default="", nullable=False),
        sa.Column("permits", sa.Text(), server_default="[]", nullable=False),
        sa.Column("staff", sa.String(length=64), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("merchant", name=op.f("pk_shop_licence")),
    )
    op.create_table(
        "shop_policy",
        sa.Column("merchant", sa.String(length=64), nullable=False),
        sa.Column("terms", sa.Text(), nullable=False),
        sa.Column("staff", sa.String(length=64), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("merchant", name=op.f("pk_shop_policy")),
    )
    op.create_table(
        "takedown",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("merchant", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("ref", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.String(length=200), nullable=False),
        sa.Column("basis", sa.String(length=200), server_default="", nullable=False),
        sa.Column("staff", sa.String(length=64), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("lifted_by", sa.String(length=64), nullable=True),
        sa.Column("lifted_ms", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("kind IN ('product', 'room')", name=op.f("ck_takedown_kind")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_takedown")),
    )
    op.create_index("ix_takedown_ref", "takedown", ["merchant", "kind", "ref"], unique=False)


def downgrade() -> None:
    """Take them away again."""
    for table in (
        "takedown",
        "complaint",
        "return_request",
        "chat_line",
        "host_identity",
        "shop_licence",
        "shop_policy",
    ):
        op.drop_table(table)
