"""What the regulator asks of a shop: its switches and licence, who hosts, kept chat, complaints, takedowns."""

from sqlalchemy import CheckConstraint, Column, Index, String, Table, Text, text

from commerce.tables import metadata
from commerce.tables_ledger import id_column, ms_column, word_column

shop_policy = Table(
    "shop_policy",
    metadata,
    id_column("merchant", primary_key=True),
    Column("terms", Text, nullable=False),
    id_column("staff"),
    ms_column("updated_ms"),
)

shop_licence = Table(
    "shop_licence",
    metadata,
    id_column("merchant", primary_key=True),
    Column("company", String(100), nullable=False),
    Column("number", String(18), nullable=False),
    word_column("address", 200),
    word_column("image", 500),
    # Further permits (food, publications …): a JSON list of {name, number}.
    Column("permits", Text, nullable=False, server_default=text("'[]'")),
    id_column("staff"),
    ms_column("updated_ms"),
)

# Who answers for what is said in a room: name and number of the document are sealed, and kept when the room goes.
host_identity = Table(
    "host_identity",
    metadata,
    id_column("id", primary_key=True),
    id_column("merchant"),
    id_column("room"),
    Column("sealed", Text, nullable=False),
    Column("shown", String(60), nullable=False),
    id_column("staff"),
    ms_column("created_ms"),
    ms_column("ended_ms", nullable=True),
    Index("ix_host_identity_room", "merchant", "room"),
)

chat_line = Table(
    "chat_line",
    metadata,
    id_column("id", primary_key=True),
    id_column("merchant"),
    id_column("room"),
    id_column("person"),
    Column("role", String(16), nullable=False),
    Column("name", String(60), nullable=False),
    Column("text", Text, nullable=False),
    ms_column("at_ms"),
    Index("ix_chat_line_room", "room", "id"),
    Index("ix_chat_line_merchant", "merchant", "at_ms"),
    sqlite_with_rowid=False,
)

complaint = Table(
    "complaint",
    metadata,
    id_column("id", primary_key=True),
    id_column("merchant"),
    id_column("person"),
    id_column("room", nullable=True),
    id_column("order_id", nullable=True),
    # The organisation's node that it counts for, as it was when it was told; empty: the merchant's own.
    word_column("node", 64),
    Column("kind", String(12), nullable=False),
    Column("text", Text, nullable=False),
    word_column("contact", 60),
    Column("state", String(10), nullable=False),
    word_column("answer", 1000),
    id_column("staff", nullable=True),
    ms_column("created_ms"),
    ms_column("due_ms"),
    ms_column("answered_ms", nullable=True),
    CheckConstraint("kind IN ('complaint', 'report', 'praise')", name="kind"),
    CheckConstraint("state IN ('open', 'answered')", name="state"),
    CheckConstraint("(state = 'answered') = (answered_ms IS NOT NULL)", name="answered"),
    Index("ix_complaint_merchant", "merchant", "id"),
    Index("ix_complaint_person", "merchant", "person", "id"),
)

takedown = Table(
    "takedown",
    metadata,
    id_column("id", primary_key=True),
    id_column("merchant"),
    Column("kind", String(8), nullable=False),
    id_column("ref"),
    Column("reason", String(200), nullable=False),
    word_column("basis", 200),
    id_column("staff"),
    ms_column("created_ms"),
    id_column("lifted_by", nullable=True),
    ms_column("lifted_ms", nullable=True),
    CheckConstraint("kind IN ('product', 'room')", name="kind"),
    Index("ix_takedown_ref", "merchant", "kind", "ref"),
)
