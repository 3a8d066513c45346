"""Members: a shop's terms, who is in which tier, lots of points, sign-ins, payment gifts.

A lot is points that came at once and expire at once; ``left_units`` of it are not spent. The sum of the ready lots is
the person's account ``points``, that of the pending ones ``points_pending`` (``siyu audit`` compares them).
"""

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, String, Table, Text, text

from commerce.tables import metadata
from commerce.tables_ledger import amount_column, count_column, id_column, ms_column

member_program = Table(
    "member_program",
    metadata,
    id_column("merchant", primary_key=True),
    Column("terms", Text, nullable=False),
    count_column("version", 1),
    id_column("staff"),
    ms_column("updated_ms"),
)

member = Table(
    "member",
    metadata,
    id_column("merchant", primary_key=True),
    id_column("person", primary_key=True),
    Column("spent", BigInteger, nullable=False),
    count_column("tier"),
    Column("signed_day", String(10), nullable=True),
    count_column("streak"),
    ms_column("updated_ms"),
    CheckConstraint("spent >= 0", name="spent"),
    CheckConstraint("tier >= 0 AND streak >= 0", name="tier"),
    sqlite_with_rowid=False,
)

points_lot = Table(
    "points_lot",
    metadata,
    id_column("id", primary_key=True),
    id_column("merchant"),
    id_column("person"),
    amount_column("granted"),
    amount_column("left_units"),
    Column("state", String(8), nullable=False),
    ms_column("ready_ms", nullable=True),
    ms_column("expires_ms", nullable=True),
    Column("why", String(20), nullable=False),
    id_column("ref"),
    ms_column("created_ms"),
    CheckConstraint("left_units >= 0 AND left_units <= granted", name="left_units"),
    CheckConstraint("state IN ('pending', 'ready', 'ended')", name="state"),
    CheckConstraint("state <> 'ready' OR expires_ms IS NOT NULL", name="expires"),
    Index("ix_points_lot_person", "merchant", "person", "expires_ms"),
    Index("ix_points_lot_ref", "ref"),
    Index(
        "ix_points_lot_pending",
        "ready_ms",
        sqlite_where=text("state = 'pending'"),
        postgresql_where=text("state = 'pending'"),
    ),
    Index(
        "ix_points_lot_expires",
        "expires_ms",
        sqlite_where=text("state = 'ready'"),
        postgresql_where=text("state = 'ready'"),
    ),
)

# From which lots an order's points were taken: they go back there when it ends unpaid.
points_use = Table(
    "points_use",
    metadata,
    id_column("order_id", primary_key=True),
    id_column("lot", primary_key=True),
    amount_column("units"),
    CheckConstraint("units > 0", name="units"),
    sqlite_with_rowid=False,
)

sign_in = Table(
    "sign_in",
    metadata,
    id_column("merchant", primary_key=True),
    id_column("person", primary_key=True),
    Column("day", String(10), primary_key=True, nullable=False),
    count_column("streak", 1),
    amount_column("points"),
    id_column("coupon", nullable=True),
    ms_column("created_ms"),
    sqlite_with_rowid=False,
)

# At most one per payment: its key says so.
payment_gift = Table(
    "payment_gift",
    metadata,
    id_column("payment", primary_key=True),
    id_column("merchant"),
    id_column("order_id"),
    id_column("person"),
    amount_column("points"),
    id_column("coupon", nullable=True),
    ms_column("created_ms"),
    Index("ix_payment_gift_order", "order_id"),
    Index("ix_payment_gift_person", "merchant", "person", "created_ms"),
    sqlite_with_rowid=False,
)
