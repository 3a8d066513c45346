"""What bringing goods costs: the shop's and its stores' rules, and what each order paid."""

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, String, Table, Text, false

from commerce.tables import metadata
from commerce.tables_ledger import amount_column, id_column, ms_column

freight_rule = Table(
    "freight_rule",
    metadata,
    id_column("merchant", primary_key=True),
    # The store whose rule it is; empty: of all that have none.
    Column("outlet", String(64), primary_key=True, nullable=False),
    Column("way", String(8), primary_key=True, nullable=False),
    # JSON: pairs of metres and 分, the nearest first.
    Column("bands", Text, nullable=False),
    Column("free_from", BigInteger, nullable=True),
    Column("keeps", Boolean, nullable=False),
    id_column("staff"),
    ms_column("updated_ms"),
    CheckConstraint("way IN ('express', 'courier')", name="way"),
    CheckConstraint("free_from > 0", name="free_from"),
    sqlite_with_rowid=False,
)

# Beside an order's lines: ``orders.goods`` has it in it.
order_freight = Table(
    "order_freight",
    metadata,
    id_column("order_id", primary_key=True),
    id_column("merchant"),
    Column("way", String(8), nullable=False),
    amount_column("amount"),
    # As the rule was when the order was made.
    Column("keeps", Boolean, nullable=False),
    # Whether points and tiers had it in them: of orders from before freight was told apart from goods.
    Column("counts", Boolean, nullable=False, server_default=false()),
    CheckConstraint("amount > 0", name="amount"),
    CheckConstraint("way IN ('express', 'courier')", name="way"),
    sqlite_with_rowid=False,
)
