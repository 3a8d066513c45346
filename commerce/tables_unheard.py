"""Payments of ended orders that their provider has not yet said the end of."""

from sqlalchemy import Column, Index, String, Table, text

from commerce.tables import metadata
from commerce.tables_ledger import count_column, id_column, ms_column

# A row from the moment an order ends with an open payment until its provider was asked, and had closed it or told of
# the money. ``due_ms`` is when it is asked next; none once it was asked so often that it is left to people.
unheard_payment = Table(
    "unheard_payment",
    metadata,
    id_column("payment", primary_key=True),
    id_column("merchant"),
    Column("provider", String(32), nullable=False),
    count_column("tries"),
    ms_column("since_ms"),
    ms_column("due_ms", nullable=True),
    Index("ix_unheard_payment_merchant", "merchant", "payment"),
    Index(
        "ix_unheard_payment_due",
        "provider",
        "due_ms",
        sqlite_where=text("due_ms IS NOT NULL"),
        postgresql_where=text("due_ms IS NOT NULL"),
    ),
)
