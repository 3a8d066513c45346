"""Settlements: what banks, providers and couriers say they moved, and which items of the books that settles."""

import sqlalchemy as sa
from alembic import op

revision: str = "0119"
down_revision: str | None = "0118"
branch_labels: str | None = None
depends_on: str | None = None

_EMPTY = sa.text("''")
_NOUGHT = sa.text("0")


def _id(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.String(64), nullable=False)


def _word(name: str, characters: int) -> sa.Column[str]:
    return sa.Column(name, sa.String(characters), nullable=False, server_default=_EMPTY)


def _ms(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=False)


def _count(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), nullable=False, server_default=_NOUGHT)


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "settlement_file",
        _id("id"),
        _id("merchant"),
        sa.Column("source", sa.String(10), nullable=False),
        sa.Column("name", sa.String(32), nullable=False),
        _word("day", 10),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("file", sa.LargeBinary(), nullable=False),
        sa.Column("turn", sa.Integer(), nullable=False),
        _count("lines"),
        _ms("amount"),
        sa.Column("closing", sa.BigInteger(), nullable=True),
        _word("staff", 64),
        _ms("created_ms"),
        sa.CheckConstraint("source IN ('provider', 'bank', 'courier')", name=op.f("ck_settlement_file_source")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_settlement_file")),
        sa.UniqueConstraint(
            "merchant", "source", "name", "sha256", name=op.f("uq_settlement_file_merchant_source_name_sha256")
        ),
    )
    op.create_index("ix_settlement_file_merchant", "settlement_file", ["merchant", "id"])
    op.create_table(
        "settlement_line",
        _id("id"),
        _id("merchant"),
        _id("file"),
        sa.Column("source", sa.String(10), nullable=False),
        sa.Column("name", sa.String(32), nullable=False),
        sa.Column("number", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(10), nullable=False),
        _word("key", 64),
        _word("other", 64),
        _ms("amount"),
        _word("text", 200),
        _ms("at_ms"),
        _ms("created_ms"),
        sa.CheckConstraint("amount <> 0", name=op.f("ck_settlement_line_amount")),
        sa.CheckConstraint(
            "(source = 'provider') = (kind IN ('paid', 'refunded', 'fee', 'payout', 'other', 'opening'))",
            name=op.f("ck_settlement_line_kind"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_settlement_line")),
        sa.UniqueConstraint(
            "merchant", "source", "name", "number", name=op.f("uq_settlement_line_merchant_source_name_number")
        ),
    )
    op.create_index("ix_settlement_line_created", "settlement_line", ["merchant", "created_ms"])
    op.create_index("ix_settlement_line_file", "settlement_line", ["file"])
    op.create_table(
        "clearing_match",
        _id("merchant"),
        sa.Column("account", sa.String(32), nullable=False),
        sa.Column("kind", sa.String(12), nullable=False),
        sa.Column("ref", sa.String(64), nullable=False),
        _id("match"),
        _ms("amount"),
        sa.PrimaryKeyConstraint("merchant", "account", "kind", "ref", name=op.f("pk_clearing_match")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_clearing_match_match", "clearing_match", ["match"])
    op.create_table(
        "clearing",
        _id("id"),
        _id("merchant"),
        sa.Column("account", sa.String(32), nullable=False),
        _word("against", 32),
        _ms("amount"),
        _count("items"),
        _word("why", 200),
        _id("staff"),
        _ms("created_ms"),
        sa.CheckConstraint("(amount = 0) = (against = '') AND against <> account", name=op.f("ck_clearing_against")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_clearing")),
    )
    op.create_index("ix_clearing_merchant", "clearing", ["merchant", "id"])
    op.create_table(
        "clearing_turn",
        _id("merchant"),
        _count("version"),
        sa.Column("bank_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("merchant", name=op.f("pk_clearing_turn")),
    )


def downgrade() -> None:
    """Drop them."""
    for table in ("clearing_turn", "clearing", "clearing_match", "settlement_line", "settlement_file"):
        op.drop_table(table)
