"""Stock, prices and promotions of single stores, and what moved between them.

A store that keeps its own stock (``outlet.stocked``) has a row in ``outlet_stock`` for each SKU that was ever there,
with the counters of ``stock`` and the same equation; ``stock`` is what the shop has elsewhere (its warehouse). The
journal of both is ``stock_entry``, whose ``outlet`` is empty for the warehouse: a place's entries add up to its row.
Units on their way into an order are told by ``hold.outlet``, units sold at the till by ``pos_unit``.
"""

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, Integer, String, Table, text

from commerce.tables import metadata
from commerce.tables_ledger import count_column, id_column, ms_column

outlet_stock = Table(
    "outlet_stock",
    metadata,
    id_column("outlet", primary_key=True),
    id_column("sku", primary_key=True),
    id_column("merchant"),
    count_column("received"),
    count_column("adjusted"),
    count_column("free"),
    count_column("held"),
    count_column("sold"),
    count_column("shipped"),
    count_column("quarantined"),
    # 分 that the units on hand (received + adjusted - shipped) cost.
    Column("cost", BigInteger, nullable=False, server_default=text("0")),
    CheckConstraint("cost >= 0", name="cost"),
    CheckConstraint("free >= 0", name="free"),
    CheckConstraint("held >= 0", name="held"),
    CheckConstraint("sold >= 0", name="sold"),
    CheckConstraint("shipped >= 0", name="shipped"),
    CheckConstraint("quarantined >= 0", name="quarantined"),
    CheckConstraint("received + adjusted - shipped = free + held + sold + quarantined", name="equation"),
    Index("ix_outlet_stock_sku", "sku", "outlet"),
    sqlite_with_rowid=False,
)

# A row stays when both prices are taken away: its version goes on from there, and none comes twice.
outlet_price = Table(
    "outlet_price",
    metadata,
    id_column("outlet", primary_key=True),
    id_column("sku", primary_key=True),
    id_column("merchant"),
    # 分 a unit in this store; NULL: the shop's price.
    Column("price", BigInteger, nullable=True),
    Column("offer_price", BigInteger, nullable=True),
    ms_column("offer_from_ms", nullable=True),
    ms_column("offer_until_ms", nullable=True),
    count_column("version", 1),
    CheckConstraint("price > 0 AND offer_price > 0 AND version > 0", name="price"),
    sqlite_with_rowid=False,
)

stock_transfer = Table(
    "stock_transfer",
    metadata,
    id_column("id", primary_key=True),
    id_column("merchant"),
    id_column("sku"),
    # Stores; empty: the warehouse.
    Column("source", String(64), nullable=False),
    Column("target", String(64), nullable=False),
    Column("quantity", Integer, nullable=False),
    id_column("staff"),
    Column("why", String(200), nullable=False),
    ms_column("created_ms"),
    CheckConstraint("quantity > 0 AND source <> target", name="moved"),
    Index("ix_stock_transfer_merchant", "merchant", "id"),
)

pos_unit = Table(
    "pos_unit",
    metadata,
    id_column("receipt", primary_key=True),
    id_column("sku", primary_key=True),
    id_column("merchant"),
    id_column("outlet"),
    Column("quantity", Integer, nullable=False),
    # Of these, units that the store's books did not have free: they were counted as found.
    count_column("short"),
    count_column("returned"),
    CheckConstraint(
        "quantity > 0 AND short >= 0 AND short <= quantity AND returned >= 0 AND returned <= quantity", name="units"
    ),
    Index("ix_pos_unit_outlet", "outlet", "sku"),
    sqlite_with_rowid=False,
)

shop_ways = Table(
    "shop_ways",
    metadata,
    id_column("merchant", primary_key=True),
    count_column("express", 1),
    count_column("pickup", 1),
    id_column("staff"),
    ms_column("updated_ms"),
    CheckConstraint("express IN (0, 1) AND pickup IN (0, 1)", name="ways"),
)

# Without a row a template, and a coupon of a drop, is good everywhere.
template_outlet = Table(
    "template_outlet",
    metadata,
    id_column("template", primary_key=True),
    id_column("outlet", primary_key=True),
    sqlite_with_rowid=False,
)

drop_outlet = Table(
    "drop_outlet",
    metadata,
    id_column("drop_id", primary_key=True),
    id_column("outlet", primary_key=True),
    sqlite_with_rowid=False,
)
