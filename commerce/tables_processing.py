"""Processing of goods: recipes with the loss that is expected, runs with what went in and came out. Append-only runs.

``in_grams = out_grams + loss_grams`` of a run, and Σ cost of its lines in = Σ cost of those out = ``cost``
(``siyu audit`` looks).
"""

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, Integer, String, Table, UniqueConstraint

from commerce.tables import metadata
from commerce.tables_ledger import amount_column, id_column, ms_column, word_column

processing_recipe = Table(
    "processing_recipe",
    metadata,
    id_column("id", primary_key=True),
    id_column("merchant"),
    Column("name", String(60), nullable=False),
    # The loss that is usual, in 0.01 % of what goes in.
    Column("expected_bp", Integer, nullable=False),
    Column("basis", String(8), nullable=False),
    ms_column("created_ms"),
    ms_column("closed_ms", nullable=True),
    CheckConstraint("expected_bp >= 0 AND expected_bp < 10000", name="expected_bp"),
    CheckConstraint("basis IN ('grams', 'value')", name="basis"),
    UniqueConstraint("merchant", "name"),
)

processing_run = Table(
    "processing_run",
    metadata,
    id_column("id", primary_key=True),
    id_column("merchant"),
    id_column("recipe"),
    # What was expected when it was run.
    Column("expected_bp", Integer, nullable=False),
    Column("in_grams", BigInteger, nullable=False),
    Column("out_grams", BigInteger, nullable=False),
    Column("loss_grams", BigInteger, nullable=False),
    amount_column("cost"),
    word_column("why", 200),
    id_column("staff"),
    ms_column("created_ms"),
    CheckConstraint("in_grams = out_grams + loss_grams", name="grams"),
    CheckConstraint("out_grams > 0 AND loss_grams >= 0 AND cost >= 0", name="loss"),
    Index("ix_processing_run_merchant", "merchant", "created_ms"),
)

processing_line = Table(
    "processing_line",
    metadata,
    id_column("run", primary_key=True),
    Column("side", String(3), primary_key=True, nullable=False),
    id_column("sku", primary_key=True),
    Column("n", Integer, nullable=False),
    Column("units", Integer, nullable=False),
    Column("grams", BigInteger, nullable=False),
    amount_column("cost"),
    CheckConstraint("side IN ('in', 'out')", name="side"),
    CheckConstraint("units > 0 AND grams > 0 AND cost >= 0", name="units"),
)
