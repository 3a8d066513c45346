"""Presales, passes, the points mall, pickup stations; a second ticket of one person in a draw is void."""

import sqlalchemy as sa
from alembic import op

revision: str = "0036"
down_revision: str | None = "0035c"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Make the columns and the table."""
    op.add_column("draw_entry", sa.Column("void", sa.Integer(), nullable=False, server_default=sa.text("0")))
    op.add_column("sale", sa.Column("deposit", sa.BigInteger(), nullable=False, server_default=sa.text("0")))
    op.add_column("sale", sa.Column("balance_from_ms", sa.BigInteger(), nullable=True))
    op.add_column("sale", sa.Column("balance_until_ms", sa.BigInteger(), nullable=True))
    op.add_column("sale", sa.Column("balance_missed", sa.String(8), nullable=False, server_default=sa.text("''")))
    op.add_column("orders", sa.Column("presale", sa.String(64), nullable=True))
    op.create_table(
        "presale",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("merchant", sa.String(64), nullable=False),
        sa.Column("sale", sa.String(64), nullable=False),
        sa.Column("price", sa.BigInteger(), nullable=False),
        sa.Column("balance", sa.String(64), nullable=True),
        sa.Column("from_ms", sa.BigInteger(), nullable=False),
        sa.Column("until_ms", sa.BigInteger(), nullable=False),
        sa.Column("missed", sa.String(8), nullable=False),
        sa.Column("ended_ms", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("missed IN ('keep', 'refund')", name=op.f("ck_presale_missed")),
        sa.CheckConstraint("ended_ms IS NULL OR balance IS NOT NULL", name=op.f("ck_presale_ended")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_presale")),
    )
    op.create_index("uq_presale_balance", "presale", ["balance"], unique=True)
    _passes()
    _mall()
    _stations()


def _passes() -> None:
    op.create_table(
        "pass_terms",
        sa.Column("sku", sa.String(64), nullable=False),
        sa.Column("merchant", sa.String(64), nullable=False),
        sa.Column("uses", sa.Integer(), nullable=False),
        sa.Column("days", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("from_ms", sa.BigInteger(), nullable=True),
        sa.Column("until_ms", sa.BigInteger(), nullable=True),
        sa.Column("place", sa.String(60), nullable=False, server_default=sa.text("''")),
        sa.Column("staff", sa.String(64), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("uses > 0", name=op.f("ck_pass_terms_uses")),
        sa.CheckConstraint("(days > 0) = (until_ms IS NULL)", name=op.f("ck_pass_terms_days")),
        sa.PrimaryKeyConstraint("sku", name=op.f("pk_pass_terms")),
    )
    op.create_index("ix_pass_terms_merchant", "pass_terms", ["merchant"])
    op.create_table(
        "pass_",
        *(sa.Column(name, sa.String(64), nullable=False) for name in ("id", "merchant", "person", "order_id", "sku")),
        sa.Column("title", sa.String(200), nullable=False),
        sa.Column("code", sa.String(12), nullable=False),
        sa.Column("uses", sa.Integer(), nullable=False),
        sa.Column("left_uses", sa.Integer(), nullable=False),
        sa.Column("paid", sa.BigInteger(), nullable=False),
        sa.Column("place", sa.String(60), nullable=False, server_default=sa.text("''")),
        sa.Column("from_ms", sa.BigInteger(), nullable=False),
        sa.Column("until_ms", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("left_uses >= 0 AND left_uses <= uses", name=op.f("ck_pass__left_uses")),
        sa.CheckConstraint("state IN ('active', 'used', 'expired', 'refunded')", name=op.f("ck_pass__state")),
        sa.CheckConstraint("state <> 'used' OR left_uses = 0", name=op.f("ck_pass__used")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pass_")),
        sa.UniqueConstraint("merchant", "code", name=op.f("uq_pass__merchant_code")),
    )
    op.create_index("ix_pass__person", "pass_", ["merchant", "person", "id"])
    op.create_index("ix_pass__order", "pass_", ["order_id"])
    op.create_table(
        "pass_use",
        *(sa.Column(name, sa.String(64), nullable=False) for name in ("id", "pass_id", "merchant")),
        sa.Column("units", sa.Integer(), nullable=False),
        sa.Column("place", sa.String(60), nullable=False, server_default=sa.text("''")),
        sa.Column("staff", sa.String(64), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("units > 0", name=op.f("ck_pass_use_units")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pass_use")),
    )
    op.create_index("ix_pass_use_pass", "pass_use", ["pass_id"])
    op.create_index("ix_pass_use_merchant", "pass_use", ["merchant", "id"])


def _mall() -> None:
    op.create_table(
        "mall_item",
        sa.Column("sku", sa.String(64), nullable=False),
        sa.Column("merchant", sa.String(64), nullable=False),
        sa.Column("points", sa.Integer(), nullable=False),
        sa.Column("cash", sa.BigInteger(), nullable=False),
        sa.Column("per_person", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("staff", sa.String(64), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("points > 0 AND cash > 0 AND per_person >= 0", name=op.f("ck_mall_item_terms")),
        sa.PrimaryKeyConstraint("sku", name=op.f("pk_mall_item")),
    )
    op.create_index("ix_mall_item_merchant", "mall_item", ["merchant"])
    op.create_table(
        "mall_order",
        *(sa.Column(name, sa.String(64), nullable=False) for name in ("order_id", "merchant", "sku")),
        sa.Column("units", sa.Integer(), nullable=False),
        sa.Column("points", sa.Integer(), nullable=False),
        sa.CheckConstraint("units > 0 AND points > 0", name=op.f("ck_mall_order_units")),
        sa.PrimaryKeyConstraint("order_id", name=op.f("pk_mall_order")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_mall_order_sku", "mall_order", ["sku"])


def _stations() -> None:
    op.create_table(
        "station",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("merchant", sa.String(64), nullable=False),
        sa.Column("name", sa.String(60), nullable=False),
        sa.Column("address", sa.String(200), nullable=False),
        sa.Column("person", sa.String(64), nullable=False),
        sa.Column("capacity", sa.Integer(), nullable=False),
        sa.Column("cutoff", sa.Integer(), nullable=False),
        sa.Column("open", sa.Integer(), nullable=False, server_default=sa.text("1")),
        sa.Column("staff", sa.String(64), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "capacity > 0 AND cutoff >= 0 AND cutoff < 1440 AND open IN (0, 1)", name=op.f("ck_station_terms")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_station")),
    )
    op.create_index("ix_station_merchant", "station", ["merchant", "id"])
    op.create_index("ix_station_person", "station", ["person"])
    op.create_table(
        "station_day",
        sa.Column("station", sa.String(64), nullable=False),
        sa.Column("day", sa.String(10), nullable=False),
        sa.Column("orders", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.CheckConstraint("orders >= 0", name=op.f("ck_station_day_orders")),
        sa.PrimaryKeyConstraint("station", "day", name=op.f("pk_station_day")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "station_order",
        *(sa.Column(name, sa.String(64), nullable=False) for name in ("order_id", "merchant", "station")),
        sa.Column("day", sa.String(10), nullable=False),
        sa.Column("code", sa.String(6), nullable=False),
        sa.Column("counted", sa.Integer(), nullable=False, server_default=sa.text("1")),
        sa.CheckConstraint("counted IN (0, 1)", name=op.f("ck_station_order_counted")),
        sa.PrimaryKeyConstraint("order_id", name=op.f("pk_station_order")),
        sqlite_with_rowid=False,
    )
    op.create_index("ux_station_order_code", "station_order", ["station", "day", "code"], unique=True)


def downgrade() -> None:
    """Take them away again."""
    for name in (
        "station_order",
        "station_day",
        "station",
        "mall_order",
        "mall_item",
        "pass_use",
        "pass_",
        "pass_terms",
        "presale",
    ):
        op.drop_table(name)
    op.drop_column("orders", "presale")
    for name in ("balance_missed", "balance_until_ms", "balance_from_ms", "deposit"):
        op.drop_column("sale", name)
    op.drop_column("draw_entry", "void")
