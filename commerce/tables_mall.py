"""The points mall: what can be had for points and a little money, and which orders were exchanges."""

from sqlalchemy import CheckConstraint, Index, Table

from commerce.tables import metadata
from commerce.tables_ledger import amount_column, count_column, id_column, ms_column

mall_item = Table(
    "mall_item",
    metadata,
    id_column("sku", primary_key=True),
    id_column("merchant"),
    # Per unit.
    count_column("points", None),
    amount_column("cash"),
    # Units that one person may have in all; 0: no limit.
    count_column("per_person"),
    id_column("staff"),
    ms_column("updated_ms"),
    CheckConstraint("points > 0 AND cash > 0 AND per_person >= 0", name="terms"),
    Index("ix_mall_item_merchant", "merchant"),
)

mall_order = Table(
    "mall_order",
    metadata,
    id_column("order_id", primary_key=True),
    id_column("merchant"),
    id_column("sku"),
    count_column("units", None),
    count_column("points", None),
    CheckConstraint("units > 0 AND points > 0", name="units"),
    Index("ix_mall_order_sku", "sku"),
    sqlite_with_rowid=False,
)
