"""Custom orders: forms, wishes in order lines, production, requests with their offers."""

import sqlalchemy as sa
from alembic import op

revision: str = "0094"
down_revision: str | None = "0091"
branch_labels: str | None = None
depends_on: str | None = None

_OPEN = sa.text("ended_ms IS NULL AND stage <> 'sent'")


def upgrade() -> None:
    """Make the tables."""
    op.add_column("order_line", sa.Column("wishes", sa.Text(), nullable=True))
    _form()
    _production()
    _request()


def _id(name: str, *, nullable: bool = False) -> "sa.Column[str]":
    return sa.Column(name, sa.String(64), nullable=nullable)


def _ms(name: str, *, nullable: bool = False) -> "sa.Column[int]":
    return sa.Column(name, sa.BigInteger(), nullable=nullable)


def _count(name: str) -> "sa.Column[int]":
    return sa.Column(name, sa.Integer(), nullable=False, server_default=sa.text("0"))


def _form() -> None:
    op.create_table(
        "custom_form",
        _id("target"),
        _id("merchant"),
        sa.Column("fields", sa.Text(), nullable=False),
        _count("making_days"),
        _count("asked"),
        _id("staff"),
        _ms("updated_ms"),
        sa.CheckConstraint("making_days >= 0", name=op.f("ck_custom_form_days")),
        sa.PrimaryKeyConstraint("target", name=op.f("pk_custom_form")),
    )
    op.create_index("ix_custom_form_merchant", "custom_form", ["merchant"])


def _production() -> None:
    op.create_table(
        "production",
        _id("id"),
        _id("merchant"),
        sa.Column("stage", sa.String(10), nullable=False),
        _ms("due_ms"),
        _ms("paid_ms"),
        *(_ms(name, nullable=True) for name in ("confirmed_ms", "making_ms", "ready_ms", "sent_ms", "ended_ms")),
        sa.CheckConstraint(
            "stage IN ('paid', 'confirmed', 'making', 'ready', 'sent')", name=op.f("ck_production_stage")
        ),
        sa.CheckConstraint("(confirmed_ms IS NULL) = (stage = 'paid')", name=op.f("ck_production_confirmed")),
        sa.CheckConstraint("(making_ms IS NULL) = (stage IN ('paid', 'confirmed'))", name=op.f("ck_production_making")),
        sa.CheckConstraint(
            "(ready_ms IS NULL) = (stage IN ('paid', 'confirmed', 'making'))", name=op.f("ck_production_ready")
        ),
        sa.CheckConstraint("(sent_ms IS NULL) = (stage <> 'sent')", name=op.f("ck_production_sent")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_production")),
    )
    op.create_index(
        "ix_production_open",
        "production",
        ["merchant", "due_ms", "id"],
        sqlite_where=_OPEN,
        postgresql_where=_OPEN,
    )


def _request() -> None:
    op.create_table(
        "custom_request",
        *(_id(name) for name in ("id", "merchant", "person", "room", "product", "sku")),
        sa.Column("title", sa.String(200), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("wishes", sa.Text(), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        _count("version"),
        sa.Column("price", sa.BigInteger(), nullable=False),
        _count("deposit_percent"),
        sa.Column("missed", sa.String(8), nullable=False, server_default=sa.text("''")),
        _ms("deliver_ms", nullable=True),
        _ms("valid_ms", nullable=True),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("staff", sa.String(64), nullable=False, server_default=sa.text("''")),
        _id("order_id", nullable=True),
        _ms("created_ms"),
        _ms("answered_ms", nullable=True),
        _ms("closed_ms", nullable=True),
        sa.CheckConstraint("quantity > 0", name=op.f("ck_custom_request_quantity")),
        sa.CheckConstraint(
            "state IN ('asked', 'offered', 'ordered', 'declined', 'withdrawn')", name=op.f("ck_custom_request_state")
        ),
        sa.CheckConstraint("(version = 0) = (price = 0) AND price >= 0", name=op.f("ck_custom_request_price")),
        sa.CheckConstraint("state <> 'ordered' OR order_id IS NOT NULL", name=op.f("ck_custom_request_ordered")),
        sa.CheckConstraint("deposit_percent BETWEEN 0 AND 90", name=op.f("ck_custom_request_deposit")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_custom_request")),
    )
    op.create_index("ix_custom_request_person", "custom_request", ["merchant", "person", "id"])
    op.create_index("ix_custom_request_state", "custom_request", ["merchant", "state", "id"])
    op.create_index("ix_custom_request_order", "custom_request", ["order_id"])


def downgrade() -> None:
    """Take them away again."""
    op.drop_table("custom_request")
    op.drop_table("production")
    op.drop_table("custom_form")
    op.drop_column("order_line", "wishes")
