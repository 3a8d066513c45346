"""Presales: which two orders belong together, by which rule, and which deposits are kept.

The terms of a sale are in its own row.
"""

from sqlalchemy import CheckConstraint, Column, Index, String, Table

from commerce.tables import metadata
from commerce.tables_ledger import amount_column, id_column, ms_column

presale = Table(
    "presale",
    metadata,
    # The deposit's order.
    id_column("id", primary_key=True),
    id_column("merchant"),
    id_column("sale"),
    # 分 a unit in all.
    amount_column("price"),
    # The balance's order: there once the deposit is paid.
    id_column("balance", nullable=True),
    ms_column("from_ms"),
    ms_column("until_ms"),
    Column("missed", String(8), nullable=False),
    # When it was decided about the deposit of a balance that did not come, or went back.
    ms_column("ended_ms", nullable=True),
    CheckConstraint("missed IN ('keep', 'refund')", name="missed"),
    CheckConstraint("ended_ms IS NULL OR balance IS NOT NULL", name="ended"),
    Index("uq_presale_balance", "balance", unique=True),
)

# Entries, never changed: what is kept, and (below 0) what is given up again, each at its own moment.
kept_deposit = Table(
    "kept_deposit",
    metadata,
    id_column("id", primary_key=True),
    id_column("merchant"),
    id_column("deposit"),
    amount_column("amount"),
    ms_column("at_ms"),
    CheckConstraint("amount <> 0", name="amount"),
    Index("ix_kept_deposit_deposit", "deposit"),
    Index("ix_kept_deposit_merchant", "merchant", "at_ms"),
)
