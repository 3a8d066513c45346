"""Pickup stations, how many orders each of their days has, and which orders are fetched where.

``station_day.orders = count of its station_order rows that are counted``, never above the capacity when one is added.
"""

from sqlalchemy import CheckConstraint, Column, Index, String, Table

from commerce.tables import metadata
from commerce.tables_ledger import count_column, id_column, ms_column

station = Table(
    "station",
    metadata,
    id_column("id", primary_key=True),
    id_column("merchant"),
    Column("name", String(60), nullable=False),
    Column("address", String(200), nullable=False),
    # The leader: hands over with codes, and earns like a distributor where nobody else brought the buyer.
    id_column("person"),
    count_column("capacity", None),
    count_column("cutoff", None),
    count_column("open", 1),
    id_column("staff"),
    ms_column("updated_ms"),
    CheckConstraint("capacity > 0 AND cutoff >= 0 AND cutoff < 1440 AND open IN (0, 1)", name="terms"),
    Index("ix_station_merchant", "merchant", "id"),
    Index("ix_station_person", "person"),
)

station_day = Table(
    "station_day",
    metadata,
    id_column("station", primary_key=True),
    Column("day", String(10), primary_key=True, nullable=False),
    count_column("orders"),
    CheckConstraint("orders >= 0", name="orders"),
    sqlite_with_rowid=False,
)

station_order = Table(
    "station_order",
    metadata,
    id_column("order_id", primary_key=True),
    id_column("merchant"),
    id_column("station"),
    Column("day", String(10), nullable=False),
    Column("code", String(6), nullable=False),
    # 1 while it takes a place of its day: not when it was cancelled or refunded whole.
    count_column("counted", 1),
    CheckConstraint("counted IN (0, 1)", name="counted"),
    # A leader hands over by the code alone.
    Index("ux_station_order_code", "station", "day", "code", unique=True),
    sqlite_with_rowid=False,
)
