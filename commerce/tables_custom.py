"""Custom orders: what can be wished, requests with their offers, and how far the making is.

What was wished is in the order's lines.
"""

from sqlalchemy import CheckConstraint, Column, Index, Integer, String, Table, Text, text

from commerce.tables import metadata
from commerce.tables_ledger import amount_column, count_column, id_column, ms_column, word_column

custom_form = Table(
    "custom_form",
    metadata,
    # A SKU, or a product: for those of its SKUs that have none of their own.
    id_column("target", primary_key=True),
    id_column("merchant"),
    # JSON: the fields in their order.
    Column("fields", Text, nullable=False),
    count_column("making_days"),
    count_column("asked"),
    id_column("staff"),
    ms_column("updated_ms"),
    CheckConstraint("making_days >= 0", name="days"),
    Index("ix_custom_form_merchant", "merchant"),
)

production = Table(
    "production",
    metadata,
    # The order that was paid first: of a presale or an offer with a deposit, that of the deposit.
    id_column("id", primary_key=True),
    id_column("merchant"),
    Column("stage", String(10), nullable=False),
    ms_column("due_ms"),
    ms_column("paid_ms"),
    ms_column("confirmed_ms", nullable=True),
    ms_column("making_ms", nullable=True),
    ms_column("ready_ms", nullable=True),
    ms_column("sent_ms", nullable=True),
    # When the order ended before its goods were sent.
    ms_column("ended_ms", nullable=True),
    CheckConstraint("stage IN ('paid', 'confirmed', 'making', 'ready', 'sent')", name="stage"),
    CheckConstraint("(confirmed_ms IS NULL) = (stage = 'paid')", name="confirmed"),
    CheckConstraint("(making_ms IS NULL) = (stage IN ('paid', 'confirmed'))", name="making"),
    CheckConstraint("(ready_ms IS NULL) = (stage IN ('paid', 'confirmed', 'making'))", name="ready"),
    CheckConstraint("(sent_ms IS NULL) = (stage <> 'sent')", name="sent"),
    Index(
        "ix_production_open",
        "merchant",
        "due_ms",
        "id",
        sqlite_where=text("ended_ms IS NULL AND stage <> 'sent'"),
        postgresql_where=text("ended_ms IS NULL AND stage <> 'sent'"),
    ),
)

custom_request = Table(
    "custom_request",
    metadata,
    id_column("id", primary_key=True),
    id_column("merchant"),
    id_column("person"),
    id_column("room"),
    id_column("product"),
    id_column("sku"),
    Column("title", String(200), nullable=False),
    count_column("quantity", None),
    # JSON: the wishes of the form; the words are what it has no field for.
    Column("wishes", Text, nullable=False),
    Column("words", Text, nullable=False),
    Column("state", String(10), nullable=False),
    # The offer; version 0: none yet.
    Column("version", Integer, nullable=False, server_default=text("0")),
    amount_column("price"),
    count_column("deposit_percent"),
    word_column("missed", 8),
    ms_column("deliver_ms", nullable=True),
    ms_column("valid_ms", nullable=True),
    Column("answer", Text, nullable=False),
    word_column("staff", 64),
    # The order that was made of it last.
    id_column("order_id", nullable=True),
    ms_column("created_ms"),
    ms_column("answered_ms", nullable=True),
    ms_column("closed_ms", nullable=True),
    CheckConstraint("quantity > 0", name="quantity"),
    CheckConstraint("state IN ('asked', 'offered', 'ordered', 'declined', 'withdrawn')", name="state"),
    CheckConstraint("(version = 0) = (price = 0) AND price >= 0", name="price"),
    CheckConstraint("state <> 'ordered' OR order_id IS NOT NULL", name="ordered"),
    CheckConstraint("deposit_percent BETWEEN 0 AND 90", name="deposit"),
    Index("ix_custom_request_person", "merchant", "person", "id"),
    Index("ix_custom_request_state", "merchant", "state", "id"),
    Index("ix_custom_request_order", "order_id"),
)
