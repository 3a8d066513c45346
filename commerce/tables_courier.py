"""Errands of same-city couriers, and the callbacks that told of them."""

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, String, Table, Text, text

from commerce.tables import metadata
from commerce.tables_ledger import amount_column, count_column, id_column, ms_column, word_column

courier_errand = Table(
    "courier_errand",
    metadata,
    # Our number at the courier.
    id_column("id", primary_key=True),
    id_column("merchant"),
    id_column("order_id"),
    id_column("outlet"),
    Column("provider", String(32), nullable=False),
    Column("state", String(12), nullable=False),
    # 分, once the courier said so.
    Column("fee", BigInteger, nullable=True),
    # What it cost in the end: the fee of a delivered one, the penalty of one that was called off.
    amount_column("charged", 0),
    word_column("rider", 40),
    word_column("phone", 32),
    word_column("reason", 200),
    id_column("staff"),
    count_column("tries"),
    # When the courier is asked about it again.
    ms_column("ask_ms"),
    ms_column("created_ms"),
    ms_column("ended_ms", nullable=True),
    CheckConstraint(
        "state IN ('asked', 'waiting', 'accepted', 'carried', 'back', 'delivered', 'failed')", name="state"
    ),
    CheckConstraint("(ended_ms IS NULL) = (state NOT IN ('delivered', 'failed'))", name="ended"),
    Index("ix_courier_errand_ended", "merchant", "ended_ms"),
    Index("ix_courier_errand_order", "order_id", "id"),
    Index(
        "ix_courier_errand_due",
        "ask_ms",
        sqlite_where=text("ended_ms IS NULL"),
        postgresql_where=text("ended_ms IS NULL"),
    ),
    # One rider at a time goes for an order.
    Index(
        "uq_courier_errand_open",
        "order_id",
        unique=True,
        sqlite_where=text("ended_ms IS NULL"),
        postgresql_where=text("ended_ms IS NULL"),
    ),
)

courier_event = Table(
    "courier_event",
    metadata,
    id_column("id", primary_key=True),
    Column("provider", String(32), nullable=False),
    Column("event", String(200), nullable=False),
    id_column("errand"),
    Column("kind", String(12), nullable=False),
    Column("raw", Text, nullable=False),
    ms_column("received_ms"),
    Index("uq_courier_event_provider", "provider", "event", unique=True),
)
