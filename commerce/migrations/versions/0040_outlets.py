"""Stock, prices, ways of delivery and promotions of single stores."""

import sqlalchemy as sa
from alembic import op

revision: str = "0040"
down_revision: str | None = "0038"
branch_labels: str | None = None
depends_on: str | None = None

_COUNTERS = ("received", "adjusted", "free", "held", "sold", "shipped", "quarantined")


def _id(name: str) -> "sa.Column[str]":
    return sa.Column(name, sa.String(length=64), nullable=False)


def _count(name: str, default: int = 0) -> "sa.Column[int]":
    return sa.Column(name, sa.Integer(), server_default=sa.text(str(default)), nullable=False)


def _word(name: str) -> "sa.Column[str]":
    return sa.Column(name, sa.String(length=64), server_default=sa.text("''"), nullable=False)


def upgrade() -> None:
    """Make the columns and tables."""
    for name in ("express", "courier", "stocked"):
        op.add_column("outlet", sa.Column(name, sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("outlet", _count("radius_m", 5_000))
    op.add_column("outlet", sa.Column("hours", sa.Text(), server_default=sa.text("'[]'"), nullable=False))
    op.add_column("outlet", _word("node"))
    op.create_index("ix_outlet_node", "outlet", ["node", "id"])
    op.add_column("hold", sa.Column("outlet", sa.String(length=64), nullable=True))
    op.add_column("orders", _word("outlet"))
    op.create_index(
        "ix_orders_outlet",
        "orders",
        ["outlet", "id"],
        sqlite_where=sa.text("outlet <> ''"),
        postgresql_where=sa.text("outlet <> ''"),
    )
    op.add_column("stock_entry", _word("outlet"))
    op.add_column("manual_change", _word("outlet"))
    _stock()
    _moves()
    _offers()


def _stock() -> None:
    op.create_table(
        "outlet_stock",
        *(_id(name) for name in ("outlet", "sku", "merchant")),
        *(_count(name) for name in _COUNTERS),
        *(
            sa.CheckConstraint(f"{name} >= 0", name=op.f(f"ck_outlet_stock_{name}"))
            for name in ("free", "held", "sold", "shipped", "quarantined")
        ),
        sa.CheckConstraint(
            "received + adjusted - shipped = free + held + sold + quarantined", name=op.f("ck_outlet_stock_equation")
        ),
        sa.PrimaryKeyConstraint("outlet", "sku", name=op.f("pk_outlet_stock")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_outlet_stock_sku", "outlet_stock", ["sku", "outlet"])
    op.create_table(
        "outlet_price",
        *(_id(name) for name in ("outlet", "sku", "merchant")),
        *(
            sa.Column(name, sa.BigInteger(), nullable=True)
            for name in ("price", "offer_price", "offer_from_ms", "offer_until_ms")
        ),
        _count("version", 1),
        sa.CheckConstraint("price > 0 AND offer_price > 0 AND version > 0", name=op.f("ck_outlet_price_price")),
        sa.PrimaryKeyConstraint("outlet", "sku", name=op.f("pk_outlet_price")),
        sqlite_with_rowid=False,
    )


def _moves() -> None:
    op.create_table(
        "stock_transfer",
        *(_id(name) for name in ("id", "merchant", "sku", "source", "target")),
        sa.Column("quantity", sa.Integer(), nullable=False),
        _id("staff"),
        sa.Column("why", sa.String(length=200), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("quantity > 0 AND source <> target", name=op.f("ck_stock_transfer_moved")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stock_transfer")),
    )
    op.create_index("ix_stock_transfer_merchant", "stock_transfer", ["merchant", "id"])
    op.create_table(
        "pos_unit",
        *(_id(name) for name in ("receipt", "sku", "merchant", "outlet")),
        sa.Column("quantity", sa.Integer(), nullable=False),
        _count("short"),
        _count("returned"),
        sa.CheckConstraint(
            "quantity > 0 AND short >= 0 AND short <= quantity AND returned >= 0 AND returned <= quantity",
            name=op.f("ck_pos_unit_units"),
        ),
        sa.PrimaryKeyConstraint("receipt", "sku", name=op.f("pk_pos_unit")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_pos_unit_outlet", "pos_unit", ["outlet", "sku"])


def _offers() -> None:
    op.create_table(
        "shop_ways",
        _id("merchant"),
        _count("express", 1),
        _count("pickup", 1),
        _id("staff"),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("express IN (0, 1) AND pickup IN (0, 1)", name=op.f("ck_shop_ways_ways")),
        sa.PrimaryKeyConstraint("merchant", name=op.f("pk_shop_ways")),
    )
    for table, of in (("template_outlet", "template"), ("drop_outlet", "drop_id")):
        op.create_table(
            table,
            _id(of),
            _id("outlet"),
            sa.PrimaryKeyConstraint(of, "outlet", name=op.f(f"pk_{table}")),
            sqlite_with_rowid=False,
        )
