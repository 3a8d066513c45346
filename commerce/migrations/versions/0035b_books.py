"""Rates of tax, providers' fees, corrections, closed periods and invoices."""

import json

import sqlalchemy as sa
from alembic import op

revision: str = "0035b"
down_revision: str | None = "0035"
branch_labels: str | None = None
depends_on: str | None = None

_KEPT = ("provider_fee", "book_correction", "book_close")
_WORDS = "the books are kept as they were written"


def _id(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(64), nullable=nullable)


def _ms(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=nullable)


def upgrade() -> None:
    """Make the tables, take over the fees of the files that are there, and keep what is written."""
    op.create_table(
        "sku_tax",
        _id("merchant"),
        _id("sku"),
        _ms("from_ms"),
        sa.Column("basis_points", sa.Integer(), nullable=False),
        _id("staff"),
        sa.CheckConstraint("basis_points >= 0 AND basis_points <= 2000", name=op.f("ck_sku_tax_basis_points")),
        sa.PrimaryKeyConstraint("merchant", "sku", "from_ms", name=op.f("pk_sku_tax")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "provider_fee",
        sa.Column("provider", sa.String(32), nullable=False),
        sa.Column("kind", sa.String(12), nullable=False),
        sa.Column("number", sa.String(64), nullable=False),
        _id("merchant"),
        _ms("fee"),
        _ms("known_ms"),
        sa.PrimaryKeyConstraint("provider", "kind", "number", name=op.f("pk_provider_fee")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_provider_fee_merchant", "provider_fee", ["merchant", "known_ms"])
    op.create_table(
        "book_correction",
        _id("id"),
        _id("merchant"),
        sa.Column("debit", sa.String(32), nullable=False),
        sa.Column("credit", sa.String(32), nullable=False),
        _ms("amount"),
        sa.Column("why", sa.String(200), nullable=False, server_default=""),
        _id("staff"),
        _ms("at_ms"),
        _ms("created_ms"),
        sa.CheckConstraint("amount > 0 AND debit <> credit", name=op.f("ck_book_correction_amount")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_book_correction")),
    )
    op.create_index("ix_book_correction_merchant", "book_correction", ["merchant", "at_ms"])
    op.create_table(
        "book_close",
        _id("merchant"),
        sa.Column("through", sa.String(10), nullable=False),
        _ms("until_ms"),
        sa.Column("balances", sa.Text(), nullable=False),
        _id("staff"),
        _ms("closed_ms"),
        sa.PrimaryKeyConstraint("merchant", "through", name=op.f("pk_book_close")),
        sqlite_with_rowid=False,
    )
    _invoices()
    _fees()
    _keep()


def _invoices() -> None:
    op.create_table(
        "invoice",
        _id("id"),
        _id("merchant"),
        _id("order_id"),
        sa.Column("refund", sa.String(64), nullable=False, server_default=""),
        _id("blue", nullable=True),
        sa.Column("kind", sa.String(4), nullable=False),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("issuer", sa.String(32), nullable=False),
        sa.Column("number", sa.String(32), nullable=True),
        sa.Column("title", sa.String(100), nullable=False),
        sa.Column("tax_number", sa.String(20), nullable=False, server_default=""),
        _ms("amount"),
        _ms("tax"),
        sa.Column("lines", sa.Text(), nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=True),
        sa.Column("media_type", sa.String(60), nullable=False, server_default=""),
        sa.Column("error", sa.String(200), nullable=False, server_default=""),
        _ms("created_ms"),
        _ms("issued_ms", nullable=True),
        sa.CheckConstraint("kind IN ('blue', 'red')", name=op.f("ck_invoice_kind")),
        sa.CheckConstraint("(kind = 'red') = (refund <> '')", name=op.f("ck_invoice_refund")),
        sa.CheckConstraint("state IN ('asked', 'issued')", name=op.f("ck_invoice_state")),
        sa.CheckConstraint("(state = 'issued') = (number IS NOT NULL)", name=op.f("ck_invoice_number")),
        sa.CheckConstraint("amount > 0 AND tax >= 0 AND tax < amount", name=op.f("ck_invoice_amount")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_invoice")),
        sa.UniqueConstraint("order_id", "refund", name=op.f("uq_invoice_order_id_refund")),
        sa.UniqueConstraint("issuer", "number", name=op.f("uq_invoice_issuer_number")),
    )
    op.create_index("ix_invoice_merchant", "invoice", ["merchant", "id"])
    op.create_table(
        "invoice_number",
        sa.Column("issuer", sa.String(32), nullable=False),
        sa.Column("year", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("n", sa.Integer(), nullable=False, autoincrement=False),
        _id("invoice"),
        sa.CheckConstraint("n > 0", name=op.f("ck_invoice_number_n")),
        sa.PrimaryKeyConstraint("issuer", "year", "n", name=op.f("pk_invoice_number")),
        sa.UniqueConstraint("invoice", name=op.f("uq_invoice_number_invoice")),
    )


def _fees() -> None:
    connection = op.get_bind()
    owner = sa.text("SELECT merchant FROM payment WHERE id = :id AND provider = :provider")
    insert = sa.text(
        "INSERT INTO provider_fee (provider, kind, number, merchant, fee, known_ms)"
        " VALUES (:provider, :kind, :number, :merchant, :fee, :known)"
        " ON CONFLICT (provider, kind, number) DO NOTHING"
    )
    for bill in connection.execute(sa.text("SELECT provider, lines, fetched_ms FROM bill ORDER BY day")).all():
        for line in json.loads(bill.lines):
            if line["fee"]:
                asked = {"id": line["payment"], "provider": bill.provider}
                row = {
                    "provider": bill.provider,
                    "kind": line["kind"],
                    "number": line["refund"] if line["kind"] == "refunded" else line["number"],
                    "merchant": connection.execute(owner, asked).scalar_one_or_none() or line.get("merchant", ""),
                    "fee": line["fee"],
                    "known": bill.fetched_ms,
                }
                connection.execute(insert, row)


def _keep() -> None:
    """Let the database itself refuse to change what was booked."""
    if op.get_bind().dialect.name == "sqlite":
        for table in _KEPT:
            for verb in ("UPDATE", "DELETE"):
                op.execute(
                    f"CREATE TRIGGER {table}_kept_{verb.lower()} BEFORE {verb} ON {table}"
                    f" BEGIN SELECT RAISE(ABORT, '{_WORDS}'); END"
                )
        return
    op.execute(
        "CREATE FUNCTION books_kept() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$ BEGIN RAISE EXCEPTION '{_WORDS}' USING ERRCODE = 'restrict_violation'; END $$"
    )
    for table in _KEPT:
        op.execute(
            f"CREATE TRIGGER {table}_kept BEFORE UPDATE OR DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION books_kept()"
        )


def downgrade() -> None:
    """Take them away again."""
    for table in ("invoice_number", "invoice", *_KEPT, "sku_tax"):
        op.drop_table(table)
    if op.get_bind().dialect.name != "sqlite":
        op.execute("DROP FUNCTION books_kept()")
