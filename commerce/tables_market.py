"""Tables of the distribution market: what suppliers offer, who may sell it, and what is sent and owed for it.

A ``market_grant`` is the one record by which anything crosses from one merchant to another: units, an order's delivery,
and money owed.
"""

from sqlalchemy import CheckConstraint, Column, Index, Integer, String, Table, text

from commerce.tables import metadata
from commerce.tables_ledger import amount_column, count_column, id_column, ms_column, word_column

market_offer = Table(
    "market_offer",
    metadata,
    id_column("id", primary_key=True),
    id_column("supplier"),
    id_column("sku"),
    # What a channel owes for a unit, and the least that it may sell it for.
    amount_column("supply_price"),
    amount_column("least_price"),
    Column("note", String(200), nullable=False),
    ms_column("created_ms"),
    ms_column("closed_ms", nullable=True),
    CheckConstraint("supply_price > 0 AND least_price >= supply_price", name="price"),
    Index("ix_market_offer_supplier", "supplier", "id"),
)

market_grant = Table(
    "market_grant",
    metadata,
    id_column("id", primary_key=True),
    id_column("offer"),
    id_column("supplier"),
    id_column("channel"),
    Column("state", String(8), nullable=False),
    # As agreed when it was granted: a later offer changes nothing of it.
    id_column("sku"),
    amount_column("supply_price"),
    amount_column("least_price"),
    # The channel's own product for it, once it is listed.
    id_column("listed_product", nullable=True),
    id_column("listed_sku", nullable=True),
    # Units that the supplier has given over and not taken back.
    count_column("allotted"),
    ms_column("applied_ms"),
    ms_column("decided_ms", nullable=True),
    id_column("decided_by", nullable=True),
    Column("reason", String(200), nullable=False),
    CheckConstraint("state IN ('applied', 'granted', 'refused', 'revoked')", name="state"),
    CheckConstraint("supplier <> channel", name="two"),
    CheckConstraint("allotted >= 0", name="allotted"),
    Index(
        "ux_market_grant_open",
        "offer",
        "channel",
        unique=True,
        sqlite_where=text("state IN ('applied', 'granted')"),
        postgresql_where=text("state IN ('applied', 'granted')"),
    ),
    Index("ix_market_grant_supplier", "supplier", "id"),
    Index("ix_market_grant_channel", "channel", "id"),
    Index("ux_market_grant_sku", "listed_sku", unique=True),
)

# One line of a channel's paid order that its supplier sends.
drop_order = Table(
    "drop_order",
    metadata,
    id_column("id", primary_key=True),
    id_column("grant_id"),
    id_column("supplier"),
    id_column("channel"),
    id_column("order_id"),
    Column("n", Integer, nullable=False),
    count_column("quantity", None),
    # What is owed for it when nothing goes back, what is by now, and what both sides' accounts say of it.
    amount_column("supply"),
    amount_column("owed"),
    amount_column("booked"),
    Column("state", String(10), nullable=False),
    word_column("carrier", 40),
    word_column("number", 64),
    ms_column("created_ms"),
    ms_column("sent_ms", nullable=True),
    CheckConstraint("state IN ('open', 'sent', 'cancelled')", name="state"),
    CheckConstraint("owed >= 0 AND owed <= supply", name="owed"),
    Index("ux_drop_order_line", "order_id", "n", unique=True),
    Index("ix_drop_order_supplier", "supplier", "id"),
    Index("ix_drop_order_channel", "channel", "id"),
    Index(
        "ix_drop_order_unbooked",
        "id",
        sqlite_where=text("booked <> owed"),
        postgresql_where=text("booked <> owed"),
    ),
)

# A channel's payment to a supplier outside of this program, as both have it in their books.
market_settlement = Table(
    "market_settlement",
    metadata,
    id_column("id", primary_key=True),
    id_column("supplier"),
    id_column("channel"),
    amount_column("amount"),
    Column("number", String(64), nullable=False),
    id_column("by"),
    ms_column("created_ms"),
    CheckConstraint("amount > 0", name="amount"),
    Index("ux_market_settlement_number", "supplier", "channel", "number", unique=True),
)
