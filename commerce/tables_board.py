"""Tables of the board: whom each order credits, as columns, and what advertisements cost."""

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, Integer, String, Table

from commerce.tables import metadata
from commerce.tables_ledger import amount_column, id_column, ms_column

# A row for each way of judging that credits somebody; written with the order, from its decision, and never changed.
order_credit = Table(
    "order_credit",
    metadata,
    Column("order_id", String(64), ForeignKey("orders.id"), primary_key=True),
    # A model of the decision, or a role that is credited by itself: distributor, guide.
    Column("model", String(16), primary_key=True),
    Column("link", String(16), nullable=False),
    id_column("issuer"),
    Column("role", String(16), nullable=False),
    Column("channel", String(64), nullable=False),
    Index("ix_order_credit_link", "link", "model"),
    sqlite_with_rowid=False,
)

ad_cost = Table(
    "ad_cost",
    metadata,
    id_column("merchant", primary_key=True),
    # Days since 1970-01-01, Asia/Shanghai.
    Column("day", Integer, primary_key=True, autoincrement=False),
    Column("campaign", String(64), primary_key=True),
    amount_column("cost"),
    id_column("staff"),
    ms_column("imported_ms"),
    CheckConstraint("cost >= 0", name="cost"),
)
