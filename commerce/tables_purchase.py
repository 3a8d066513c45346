"""Suppliers, purchase orders with their deliveries and returns, payments to suppliers.

``line.received = Σ units of its receipts``, ``line.returned = Σ units of its returns`` and ``line.amount`` is what the
receipts cost less what the returns gave back (``siyu audit`` looks). Deliveries, steps and payments are append-only.
"""

from sqlalchemy import CheckConstraint, Column, Index, Integer, String, Table, UniqueConstraint

from commerce.tables import metadata
from commerce.tables_ledger import amount_column, count_column, id_column, ms_column, word_column

supplier = Table(
    "supplier",
    metadata,
    id_column("id", primary_key=True),
    id_column("merchant"),
    Column("name", String(60), nullable=False),
    word_column("contact", 60),
    word_column("phone", 21),
    word_column("note", 200),
    ms_column("created_ms"),
    ms_column("closed_ms", nullable=True),
    UniqueConstraint("merchant", "name"),
)

purchase = Table(
    "purchase",
    metadata,
    id_column("id", primary_key=True),
    id_column("merchant"),
    id_column("supplier"),
    # The merchant's own number of it, or our id.
    Column("number", String(64), nullable=False),
    Column("state", String(10), nullable=False),
    word_column("note", 200),
    # The day on which it should come, YYYY-MM-DD; empty: none was agreed.
    word_column("expected", 10),
    ms_column("created_ms"),
    ms_column("ordered_ms", nullable=True),
    ms_column("ended_ms", nullable=True),
    CheckConstraint("state IN ('draft', 'ordered', 'partly', 'received', 'cancelled')", name="state"),
    UniqueConstraint("merchant", "number"),
    Index("ix_purchase_merchant", "merchant", "id"),
    Index("ix_purchase_supplier", "supplier", "id"),
)

purchase_line = Table(
    "purchase_line",
    metadata,
    id_column("purchase", primary_key=True),
    id_column("sku", primary_key=True),
    Column("n", Integer, nullable=False),
    count_column("quantity", None),
    amount_column("unit_cost"),
    count_column("received"),
    count_column("returned"),
    # 分 that the units which came and stayed cost.
    amount_column("amount"),
    CheckConstraint("quantity > 0 AND unit_cost >= 0 AND amount >= 0", name="quantity"),
    CheckConstraint("received >= 0 AND received <= quantity", name="received"),
    CheckConstraint("returned >= 0 AND returned <= received", name="returned"),
    Index("ix_purchase_line_sku", "sku"),
)

purchase_delivery = Table(
    "purchase_delivery",
    metadata,
    id_column("id", primary_key=True),
    id_column("merchant"),
    id_column("purchase"),
    Column("kind", String(8), nullable=False),
    # The supplier's delivery note, or the number of the way back.
    word_column("number", 64),
    amount_column("amount"),
    word_column("why", 200),
    id_column("staff"),
    ms_column("created_ms"),
    CheckConstraint("kind IN ('receipt', 'return')", name="kind"),
    CheckConstraint("amount >= 0", name="amount"),
    Index("ix_purchase_delivery_purchase", "purchase", "id"),
    Index("ix_purchase_delivery_merchant", "merchant", "created_ms"),
)

purchase_delivery_line = Table(
    "purchase_delivery_line",
    metadata,
    id_column("delivery", primary_key=True),
    id_column("sku", primary_key=True),
    Column("units", Integer, nullable=False),
    amount_column("amount"),
    CheckConstraint("units > 0 AND amount >= 0", name="units"),
)

purchase_step = Table(
    "purchase_step",
    metadata,
    id_column("id", primary_key=True),
    id_column("merchant"),
    id_column("purchase"),
    Column("step", String(12), nullable=False),
    word_column("why", 200),
    id_column("staff"),
    ms_column("created_ms"),
    Index("ix_purchase_step_purchase", "purchase", "id"),
)

# Money that went to a supplier, outside of this program: ``number`` says by which transfer.
supplier_payment = Table(
    "supplier_payment",
    metadata,
    id_column("id", primary_key=True),
    id_column("merchant"),
    id_column("supplier"),
    Column("number", String(64), nullable=False),
    amount_column("amount"),
    id_column("staff"),
    ms_column("created_ms"),
    CheckConstraint("amount > 0", name="amount"),
    UniqueConstraint("supplier", "number"),
    Index("ix_supplier_payment_merchant", "merchant", "created_ms"),
)
