"""What the books have beside orders, payments and entries: tax rates, providers' fees, corrections, closed periods.

All of it is append-only, and nothing is dated into a closed period: so a closed period reads the same for ever.
"""

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, Integer, LargeBinary, String, Table, Text, text
from sqlalchemy import UniqueConstraint as Unique

from commerce.tables import metadata
from commerce.tables_ledger import amount_column, id_column, ms_column, word_column

# The rate of value added tax of a SKU from a moment on; of SKU '' the shop's own rate.
sku_tax = Table(
    "sku_tax",
    metadata,
    id_column("merchant", primary_key=True),
    id_column("sku", primary_key=True),
    Column("from_ms", BigInteger, primary_key=True, nullable=False, autoincrement=False),
    Column("basis_points", Integer, nullable=False),
    id_column("staff"),
    CheckConstraint("basis_points >= 0 AND basis_points <= 2000", name="basis_points"),
    sqlite_with_rowid=False,
)

# A provider's fee on one movement, dated to when its file told us of it.
provider_fee = Table(
    "provider_fee",
    metadata,
    Column("provider", String(32), primary_key=True, nullable=False),
    Column("kind", String(12), primary_key=True, nullable=False),
    Column("number", String(64), primary_key=True, nullable=False),
    id_column("merchant"),
    amount_column("fee"),
    ms_column("known_ms"),
    Index("ix_provider_fee_merchant", "merchant", "known_ms"),
    sqlite_with_rowid=False,
)

book_correction = Table(
    "book_correction",
    metadata,
    id_column("id", primary_key=True),
    id_column("merchant"),
    Column("debit", String(32), nullable=False),
    Column("credit", String(32), nullable=False),
    amount_column("amount"),
    word_column("why", 200),
    id_column("staff"),
    ms_column("at_ms"),
    ms_column("created_ms"),
    CheckConstraint("amount > 0 AND debit <> credit", name="amount"),
    Index("ix_book_correction_merchant", "merchant", "at_ms"),
)

# Balances of all accounts at the end of a period that is closed.
book_close = Table(
    "book_close",
    metadata,
    id_column("merchant", primary_key=True),
    Column("through", String(10), primary_key=True, nullable=False),
    ms_column("until_ms"),
    Column("balances", Text, nullable=False),
    id_column("staff"),
    ms_column("closed_ms"),
    sqlite_with_rowid=False,
)

invoice = Table(
    "invoice",
    metadata,
    id_column("id", primary_key=True),
    id_column("merchant"),
    id_column("order_id"),
    # The refund that a red one answers; empty of a blue one.
    word_column("refund", 64),
    id_column("blue", nullable=True),
    Column("kind", String(4), nullable=False),
    Column("state", String(8), nullable=False),
    Column("issuer", String(32), nullable=False),
    Column("number", String(32), nullable=True),
    Column("title", String(100), nullable=False),
    word_column("tax_number", 20),
    amount_column("amount"),
    amount_column("tax"),
    Column("lines", Text, nullable=False),
    Column("document", LargeBinary, nullable=True),
    word_column("media_type", 60),
    word_column("error", 200),
    ms_column("created_ms"),
    ms_column("issued_ms", nullable=True),
    CheckConstraint("kind IN ('blue', 'red')", name="kind"),
    CheckConstraint("(kind = 'red') = (refund <> '')", name="refund"),
    CheckConstraint("state IN ('asked', 'issued')", name="state"),
    CheckConstraint("(state = 'issued') = (number IS NOT NULL)", name="number"),
    CheckConstraint("amount > 0 AND tax >= 0 AND tax < amount", name="amount"),
    Unique("order_id", "refund"),
    Unique("issuer", "number"),
    Index("ix_invoice_merchant", "merchant", "id"),
    Index("ix_invoice_blue", "blue", sqlite_where=text("blue IS NOT NULL"), postgresql_where=text("blue IS NOT NULL")),
    Index("ix_invoice_asked", "id", sqlite_where=text("state = 'asked'"), postgresql_where=text("state = 'asked'")),
)

# Which of its running numbers the sandbox has given to which invoice: asked again, it gives the same one.
invoice_number = Table(
    "invoice_number",
    metadata,
    Column("issuer", String(32), primary_key=True, nullable=False),
    Column("year", Integer, primary_key=True, nullable=False, autoincrement=False),
    Column("n", Integer, primary_key=True, nullable=False, autoincrement=False),
    id_column("invoice"),
    Unique("invoice"),
    CheckConstraint("n > 0", name="n"),
)
