"""Refunds with their lines, providers' daily files, the stock's journal, webhooks and their deliveries.

A refund's ``kind`` is ``order`` (staff give money of a paid order back) or ``late`` (money came that bought nothing).
It counts as given from the moment it is booked: Σ refunds of kind order = ``orders.refunded`` ≤ ``orders.amount``.
``state`` is requested → done, or failed when the provider refuses or never confirms; a failed one is still owed and is
asked for again by hand. Of the ``amount``, ``stored`` 分 went back to the buyer's stored value in the booking itself;
the rest is the provider's to give. ``points`` went back, too.
"""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from commerce.tables import metadata
from commerce.tables_ledger import amount_column, count_column, id_column, ms_column, word_column

refund = Table(
    "refund",
    metadata,
    id_column("id", primary_key=True),
    id_column("merchant"),
    id_column("order_id"),
    id_column("payment"),
    id_column("staff", nullable=True),
    Column("provider", String(32), nullable=False),
    Column("number", String(64), nullable=True),
    Column("kind", String(8), nullable=False),
    amount_column("amount"),
    Column("state", String(12), nullable=False),
    Column("stock", String(12), nullable=False),
    Column("reason", String(200), nullable=False),
    count_column("tries", 1),
    ms_column("next_ms"),
    Column("error", String(200), nullable=True),
    ms_column("created_ms"),
    ms_column("done_ms", nullable=True),
    Column("stored", BigInteger, nullable=False, server_default=text("0")),
    Column("bonus", BigInteger, nullable=False, server_default=text("0")),
    count_column("points"),
    CheckConstraint("bonus >= 0", name="bonus"),
    CheckConstraint("stored >= 0 AND stored <= amount", name="stored"),
    CheckConstraint("points >= 0", name="points"),
    CheckConstraint("amount >= 0", name="amount"),
    CheckConstraint("kind IN ('order', 'late')", name="kind"),
    CheckConstraint("state IN ('requested', 'done', 'failed')", name="state"),
    CheckConstraint("stock IN ('sellable', 'quarantine', 'none')", name="stock"),
    CheckConstraint("(state = 'done') = (done_ms IS NOT NULL)", name="done"),
    # Two refunds of one payment are two numbers at the provider; one number is one refund (promise P6).
    UniqueConstraint("provider", "number"),
    Index("ix_refund_order", "order_id"),
    Index("ix_refund_late", "payment", sqlite_where=text("kind = 'late'"), postgresql_where=text("kind = 'late'")),
    Index("ix_refund_merchant_id", "merchant", "id"),
    Index("ix_refund_done", "merchant", "done_ms"),
    Index(
        "ix_refund_due",
        "next_ms",
        sqlite_where=text("state = 'requested'"),
        postgresql_where=text("state = 'requested'"),
    ),
)

refund_line = Table(
    "refund_line",
    metadata,
    id_column("refund", primary_key=True),
    Column("n", Integer, primary_key=True, nullable=False, autoincrement=False),
    id_column("order_id"),
    id_column("sku"),
    count_column("quantity", None),
    count_column("returned"),
    amount_column("amount"),
    CheckConstraint("quantity > 0", name="quantity"),
    CheckConstraint("returned >= 0 AND returned <= quantity", name="returned"),
    CheckConstraint("amount >= 0", name="amount"),
    Index("ix_refund_line_order", "order_id"),
    Index("ix_refund_line_sku", "sku"),
    sqlite_with_rowid=False,
)

bill = Table(
    "bill",
    metadata,
    # A provider's file of one day as it came, packed: what the accountant keeps, and each report is made from.
    Column("provider", String(32), primary_key=True, nullable=False),
    Column("day", String(10), primary_key=True, nullable=False),
    Column("file", LargeBinary, nullable=False),
    Column("lines", Text, nullable=False),
    Column("sha256", String(64), nullable=False),
    ms_column("fetched_ms"),
)

stock_entry = Table(
    "stock_entry",
    metadata,
    id_column("id", primary_key=True),
    id_column("merchant"),
    id_column("sku"),
    Column("kind", String(12), nullable=False),
    Column("ref", String(200), nullable=False),
    count_column("received"),
    count_column("adjusted"),
    count_column("free"),
    count_column("held"),
    count_column("sold"),
    count_column("shipped"),
    count_column("quarantined"),
    # 分 by which the value of the units on hand changed.
    Column("cost", BigInteger, nullable=False, server_default=text("0")),
    ms_column("created_ms"),
    # Whose stock moved; empty: the warehouse's.
    word_column("outlet", 64),
    CheckConstraint("received + adjusted - shipped = free + held + sold + quarantined", name="equation"),
    Index("ix_stock_entry_merchant", "merchant", "created_ms"),
    # What moved value: the books read no other, and the rush writes none.
    Index(
        "ix_stock_entry_cost",
        "merchant",
        "created_ms",
        sqlite_where=text("cost <> 0"),
        postgresql_where=text("cost <> 0"),
    ),
)

webhook = Table(
    "webhook",
    metadata,
    id_column("id", primary_key=True),
    id_column("merchant"),
    Column("url", String(500), nullable=False),
    Column("secret", String(64), nullable=False),
    Column("events", Text, nullable=False),
    ms_column("created_ms"),
    Index("ix_webhook_merchant", "merchant"),
)

webhook_delivery = Table(
    "webhook_delivery",
    metadata,
    id_column("id", primary_key=True),
    id_column("webhook"),
    id_column("event"),
    Column("type", String(32), nullable=False),
    Column("body", Text, nullable=False),
    Column("state", String(12), nullable=False),
    count_column("tries"),
    ms_column("next_ms"),
    Column("status", Integer, nullable=True),
    Column("error", String(200), nullable=True),
    ms_column("created_ms"),
    ms_column("done_ms", nullable=True),
    CheckConstraint("state IN ('waiting', 'delivered', 'dead')", name="state"),
    UniqueConstraint("webhook", "event"),
    Index(
        "ix_webhook_delivery_due",
        "next_ms",
        sqlite_where=text("state = 'waiting'"),
        postgresql_where=text("state = 'waiting'"),
    ),
)
