"""What banks, providers and couriers say they moved: files, their lines, and which items of the books they settle."""

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, LargeBinary, String, Table, UniqueConstraint

from commerce.tables import metadata
from commerce.tables_ledger import amount_column, count_column, id_column, ms_column, word_column

settlement_file = Table(
    "settlement_file",
    metadata,
    id_column("id", primary_key=True),
    id_column("merchant"),
    Column("source", String(10), nullable=False),
    # The provider, the bank account or the courier, as the accountant calls it.
    Column("name", String(32), nullable=False),
    # Of a file that was fetched: the day it is of.
    word_column("day", 10),
    Column("sha256", String(64), nullable=False),
    # As it came, packed.
    Column("file", LargeBinary, nullable=False),
    # Which turn of the merchant's took it in: files follow one another by it.
    count_column("turn", None),
    count_column("lines"),
    amount_column("amount"),
    # The balance after its last line, where the file says it.
    Column("closing", BigInteger, nullable=True),
    # Who took it in; empty: fetched.
    word_column("staff", 64),
    ms_column("created_ms"),
    CheckConstraint("source IN ('provider', 'bank', 'courier')", name="source"),
    UniqueConstraint("merchant", "source", "name", "sha256"),
    Index("ix_settlement_file_merchant", "merchant", "id"),
)

settlement_line = Table(
    "settlement_line",
    metadata,
    id_column("id", primary_key=True),
    id_column("merchant"),
    id_column("file"),
    Column("source", String(10), nullable=False),
    Column("name", String(32), nullable=False),
    Column("number", String(64), nullable=False),
    Column("kind", String(10), nullable=False),
    word_column("key", 64),
    word_column("other", 64),
    amount_column("amount"),
    word_column("text", 200),
    ms_column("at_ms"),
    # When we took it in: the books have it from then on.
    ms_column("created_ms"),
    CheckConstraint("amount <> 0", name="amount"),
    CheckConstraint(
        "(source = 'provider') = (kind IN ('paid', 'refunded', 'fee', 'payout', 'other', 'opening'))", name="kind"
    ),
    UniqueConstraint("merchant", "source", "name", "number"),
    Index("ix_settlement_line_created", "merchant", "created_ms"),
    Index("ix_settlement_line_file", "file"),
)

# An item is matched once; ``amount`` is what the books have of it on that account. A match comes to 0.
clearing_match = Table(
    "clearing_match",
    metadata,
    id_column("merchant", primary_key=True),
    Column("account", String(32), primary_key=True, nullable=False),
    Column("kind", String(12), primary_key=True, nullable=False),
    Column("ref", String(64), primary_key=True, nullable=False),
    id_column("match"),
    amount_column("amount"),
    Index("ix_clearing_match_match", "match"),
    sqlite_with_rowid=False,
)

# Matches that somebody made, and what they moved from the clearing account to another. Never changed.
clearing = Table(
    "clearing",
    metadata,
    id_column("id", primary_key=True),
    id_column("merchant"),
    Column("account", String(32), nullable=False),
    word_column("against", 32),
    # What is booked to ``against``, debits positive.
    amount_column("amount"),
    count_column("items"),
    word_column("why", 200),
    id_column("staff"),
    ms_column("created_ms"),
    CheckConstraint("(amount = 0) = (against = '') AND against <> account", name="against"),
    Index("ix_clearing_merchant", "merchant", "id"),
)

# One at a time takes files in and matches, of a merchant.
clearing_turn = Table(
    "clearing_turn",
    metadata,
    id_column("merchant", primary_key=True),
    count_column("version"),
    # From here on drawers' deposits wait for the bank: when its first statement came.
    ms_column("bank_ms", nullable=True),
)
