"""Tables of helper tasks: the tasks, people's posters, and who helped whom.

A task is its own budget account (``account`` under the task's id): what it gives away is promised out of that, and the
account cannot fall below 0.
"""

from sqlalchemy import Boolean, CheckConstraint, Column, ForeignKey, Index, Integer, String, Table, text

from commerce.tables import metadata
from commerce.tables_ledger import amount_column, count_column, id_column, ms_column, word_column

help_task = Table(
    "help_task",
    metadata,
    id_column("id", primary_key=True),
    id_column("merchant"),
    id_column("room"),
    Column("title", String(60), nullable=False),
    Column("reason", String(60), nullable=False),
    count_column("needed", None),
    amount_column("amount"),
    amount_column("threshold"),
    Column("days", Integer, nullable=False),
    Column("active", Boolean, nullable=False),
    ms_column("until_ms"),
    id_column("staff"),
    ms_column("created_ms"),
    CheckConstraint("needed BETWEEN 1 AND 50", name="needed"),
    CheckConstraint("amount >= 1 AND threshold >= 0", name="amount"),
    Index("ix_help_task_merchant", "merchant", "id"),
)

help_poster = Table(
    "help_poster",
    metadata,
    id_column("id", primary_key=True),
    Column("task", String(64), ForeignKey("help_task.id"), nullable=False),
    id_column("person"),
    Column("link", String(16), nullable=False),
    ms_column("created_ms"),
    # Enough have helped; then the coupon, given once.
    ms_column("done_ms", nullable=True),
    word_column("coupon", 64),
    Index("ux_help_poster_person", "task", "person", unique=True),
    Index("ix_help_poster_person", "person"),
    Index(
        "ix_help_poster_owed",
        "done_ms",
        sqlite_where=text("done_ms IS NOT NULL AND coupon = ''"),
        postgresql_where=text("done_ms IS NOT NULL AND coupon = ''"),
    ),
)

# A person helps once in a task, whoever's poster it is; under the id that they had then.
helping = Table(
    "helping",
    metadata,
    Column("task", String(64), ForeignKey("help_task.id"), primary_key=True),
    id_column("person", primary_key=True),
    id_column("poster"),
    word_column("network", 32),
    ms_column("helped_ms"),
    Index("ix_helping_poster", "poster", "helped_ms"),
    Index("ix_helping_person", "person", "helped_ms"),
    Index(
        "ix_helping_network",
        "helped_ms",
        sqlite_where=text("network <> ''"),
        postgresql_where=text("network <> ''"),
    ),
    sqlite_with_rowid=False,
)
