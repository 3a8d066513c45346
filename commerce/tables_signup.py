"""Events that people sign up for, and their tickets.

``event_.taken`` is the number of its tickets that are reserved, good or used (``siyu audit`` looks).
"""

from sqlalchemy import CheckConstraint, Column, Index, String, Table, Text, UniqueConstraint, text

from commerce.tables import metadata
from commerce.tables_ledger import count_column, id_column, ms_column, word_column

event_ = Table(
    "event_",
    metadata,
    id_column("id", primary_key=True),
    id_column("merchant"),
    Column("title", String(60), nullable=False),
    Column("detail", Text, nullable=False),
    word_column("place", 60),
    ms_column("starts_ms"),
    ms_column("ends_ms"),
    ms_column("closes_ms"),
    count_column("places", None),
    count_column("taken"),
    # What pays a place; none of a free event.
    id_column("sku", nullable=True),
    ms_column("pay_ms"),
    Column("state", String(10), nullable=False),
    id_column("staff"),
    ms_column("created_ms"),
    CheckConstraint("taken >= 0 AND taken <= places", name="taken"),
    CheckConstraint("starts_ms < ends_ms AND closes_ms <= ends_ms", name="times"),
    CheckConstraint("state IN ('open', 'cancelled', 'over')", name="state"),
    Index("ix_event__merchant", "merchant", "starts_ms"),
    # One event a SKU: an order of it says which.
    Index(
        "ux_event__sku",
        "sku",
        unique=True,
        sqlite_where=text("sku IS NOT NULL AND state = 'open'"),
        postgresql_where=text("sku IS NOT NULL AND state = 'open'"),
    ),
)

ticket = Table(
    "ticket",
    metadata,
    id_column("id", primary_key=True),
    id_column("merchant"),
    id_column("event"),
    id_column("person"),
    word_column("name", 40),
    Column("code", String(12), nullable=False),
    Column("state", String(10), nullable=False),
    # Until when a reserved place is kept for its payment.
    ms_column("until_ms", nullable=True),
    id_column("order_id", nullable=True),
    ms_column("used_ms", nullable=True),
    id_column("used_by", nullable=True),
    ms_column("created_ms"),
    CheckConstraint("state IN ('waiting', 'reserved', 'good', 'used', 'cancelled')", name="state"),
    CheckConstraint("state <> 'reserved' OR until_ms IS NOT NULL", name="until"),
    CheckConstraint("(state = 'used') = (used_ms IS NOT NULL)", name="used"),
    UniqueConstraint("merchant", "code"),
    Index(
        "ux_ticket_person",
        "event",
        "person",
        unique=True,
        sqlite_where=text("state <> 'cancelled'"),
        postgresql_where=text("state <> 'cancelled'"),
    ),
    Index("ix_ticket_event", "event", "created_ms"),
    Index("ix_ticket_person", "merchant", "person", "id"),
    Index("ix_ticket_order", "order_id"),
)
