"""After-sale requests of buyers (domain/aftersale.py) and the lines that each is about."""

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, String, Table, Text, text

from commerce.tables import metadata
from commerce.tables_ledger import amount_column, count_column, id_column, ms_column, word_column

after_sale = Table(
    "after_sale",
    metadata,
    id_column("id", primary_key=True),
    id_column("merchant"),
    id_column("order_id"),
    id_column("room"),
    id_column("person"),
    Column("kind", String(8), nullable=False),
    Column("reason", String(20), nullable=False),
    Column("words", Text, nullable=False),
    Column("state", String(10), nullable=False),
    # Whether the goods had left when it was asked.
    count_column("gone"),
    Column("pays", String(8), nullable=False),
    amount_column("most"),
    amount_column("amount"),
    Column("offer", BigInteger, nullable=True),
    count_column("keeps"),
    count_column("offers"),
    Column("answer", Text, nullable=False),
    word_column("staff", 64),
    word_column("why", 10),
    word_column("back_to", 400),
    word_column("carrier", 40),
    word_column("number", 60),
    id_column("refund", nullable=True),
    ms_column("due_ms", nullable=True),
    ms_column("created_ms"),
    ms_column("answered_ms", nullable=True),
    ms_column("sent_ms", nullable=True),
    ms_column("ended_ms", nullable=True),
    CheckConstraint("kind IN ('refund', 'return')", name="kind"),
    CheckConstraint(
        "state IN ('asked', 'offered', 'approved', 'sent', 'done', 'refused', 'withdrawn', 'closed')", name="state"
    ),
    CheckConstraint("kind = 'return' OR state NOT IN ('approved', 'sent')", name="way"),
    CheckConstraint("amount > 0 AND amount <= most", name="amount"),
    CheckConstraint("offer IS NULL OR (offer > 0 AND offer <= most)", name="offer"),
    CheckConstraint("(state = 'done') = (refund IS NOT NULL)", name="refund"),
    CheckConstraint("(state IN ('asked', 'offered', 'approved', 'sent')) = (ended_ms IS NULL)", name="ended"),
    CheckConstraint("(ended_ms IS NULL) = (due_ms IS NOT NULL)", name="due"),
    Index("ix_after_sale_merchant", "merchant", "id"),
    Index("ix_after_sale_person", "merchant", "person", "id"),
    Index("ix_after_sale_order", "order_id"),
    Index(
        "ix_after_sale_open",
        "merchant",
        "due_ms",
        sqlite_where=text("ended_ms IS NULL"),
        postgresql_where=text("ended_ms IS NULL"),
    ),
)

after_sale_line = Table(
    "after_sale_line",
    metadata,
    id_column("request", primary_key=True),
    id_column("sku", primary_key=True),
    id_column("order_id"),
    Column("title", String(200), nullable=False),
    count_column("quantity", None),
    amount_column("amount"),
    count_column("sellable"),
    count_column("quarantined"),
    count_column("open", 1),
    CheckConstraint("quantity > 0", name="quantity"),
    CheckConstraint("amount >= 0", name="amount"),
    CheckConstraint("sellable >= 0 AND quarantined >= 0 AND sellable + quarantined <= quantity", name="came"),
    # One at a time for a line of an order.
    Index(
        "uq_after_sale_line_open",
        "order_id",
        "sku",
        unique=True,
        sqlite_where=text("open = 1"),
        postgresql_where=text("open = 1"),
    ),
)
