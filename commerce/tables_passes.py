"""Passes: which SKUs are sold as such, those that were bought, and each use.

``uses = left_uses + Σ units of its uses``, and a pass that has left_uses 0 is used (``siyu audit`` looks).
"""

from sqlalchemy import CheckConstraint, Column, Index, Integer, String, Table, UniqueConstraint

from commerce.tables import metadata
from commerce.tables_ledger import amount_column, count_column, id_column, ms_column, word_column

pass_terms = Table(
    "pass_terms",
    metadata,
    id_column("sku", primary_key=True),
    id_column("merchant"),
    count_column("uses", None),
    count_column("days"),
    ms_column("from_ms", nullable=True),
    ms_column("until_ms", nullable=True),
    word_column("place", 60),
    id_column("staff"),
    ms_column("updated_ms"),
    CheckConstraint("uses > 0", name="uses"),
    CheckConstraint("(days > 0) = (until_ms IS NULL)", name="days"),
    Index("ix_pass_terms_merchant", "merchant"),
)

pass_ = Table(
    "pass_",
    metadata,
    id_column("id", primary_key=True),
    id_column("merchant"),
    id_column("person"),
    id_column("order_id"),
    id_column("sku"),
    Column("title", String(200), nullable=False),
    Column("code", String(12), nullable=False),
    count_column("uses", None),
    count_column("left_uses", None),
    # 分 of the order that were paid for it.
    amount_column("paid"),
    word_column("place", 60),
    ms_column("from_ms"),
    ms_column("until_ms"),
    Column("state", String(8), nullable=False),
    ms_column("created_ms"),
    CheckConstraint("left_uses >= 0 AND left_uses <= uses", name="left_uses"),
    CheckConstraint("state IN ('active', 'used', 'expired', 'refunded')", name="state"),
    CheckConstraint("state <> 'used' OR left_uses = 0", name="used"),
    UniqueConstraint("merchant", "code"),
    Index("ix_pass__person", "merchant", "person", "id"),
    Index("ix_pass__order", "order_id"),
)

pass_use = Table(
    "pass_use",
    metadata,
    id_column("id", primary_key=True),
    id_column("pass_id"),
    id_column("merchant"),
    Column("units", Integer, nullable=False),
    word_column("place", 60),
    id_column("staff"),
    ms_column("created_ms"),
    CheckConstraint("units > 0", name="units"),
    Index("ix_pass_use_pass", "pass_id"),
    # The day's uses, for who runs the till.
    Index("ix_pass_use_merchant", "merchant", "id"),
)
