"""Codes, media and terms of goods, the trail of manual changes, and the sheets that were taken in."""

import sqlalchemy as sa
from alembic import op

revision: str = "0035"
down_revision: str | None = "0034"
branch_labels: str | None = None
depends_on: str | None = None

_KEPT = "manual changes are kept as they were written"


def upgrade() -> None:
    """Make the tables, and keep the trail."""
    op.create_table(
        "product_detail",
        sa.Column("product", sa.String(64), nullable=False),
        sa.Column("merchant", sa.String(64), nullable=False),
        sa.Column("code", sa.String(64), nullable=True),
        sa.Column("media", sa.Text(), nullable=False, server_default="[]"),
        sa.Column("returns", sa.String(12), nullable=False, server_default="seven_days"),
        sa.CheckConstraint(
            "returns IN ('seven_days', 'custom', 'perishable', 'digital', 'press', 'agreed')",
            name=op.f("ck_product_detail_returns"),
        ),
        sa.PrimaryKeyConstraint("product", name=op.f("pk_product_detail")),
        sa.UniqueConstraint("merchant", "code", name=op.f("uq_product_detail_merchant_code")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "sku_detail",
        sa.Column("sku", sa.String(64), nullable=False),
        sa.Column("merchant", sa.String(64), nullable=False),
        sa.Column("code", sa.String(64), nullable=True),
        sa.Column("grams", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("list_basis", sa.String(200), nullable=False, server_default=""),
        sa.CheckConstraint("grams >= 0", name=op.f("ck_sku_detail_grams")),
        sa.PrimaryKeyConstraint("sku", name=op.f("pk_sku_detail")),
        sa.UniqueConstraint("merchant", "code", name=op.f("uq_sku_detail_merchant_code")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "manual_change",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("merchant", sa.String(64), nullable=False),
        sa.Column("sku", sa.String(64), nullable=False),
        sa.Column("what", sa.String(12), nullable=False),
        sa.Column("before", sa.BigInteger(), nullable=True),
        sa.Column("after", sa.BigInteger(), nullable=True),
        sa.Column("staff", sa.String(64), nullable=False),
        sa.Column("why", sa.String(200), nullable=False, server_default=""),
        sa.Column("import_run", sa.String(64), nullable=True),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("what IN ('price', 'list_price', 'offer', 'stock')", name=op.f("ck_manual_change_what")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_manual_change")),
    )
    op.create_index("ix_manual_change_merchant_id", "manual_change", ["merchant", "id"])
    op.create_index("ix_manual_change_sku", "manual_change", ["sku", "id"])
    op.create_table(
        "goods_import",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("merchant", sa.String(64), nullable=False),
        sa.Column("staff", sa.String(64), nullable=False),
        sa.Column("why", sa.String(200), nullable=False, server_default=""),
        sa.Column("lines", sa.Integer(), nullable=False),
        sa.Column("report", sa.Text(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_goods_import")),
    )
    op.create_index("ix_goods_import_merchant_id", "goods_import", ["merchant", "id"])
    _keep()


def _keep() -> None:
    """Let the database itself refuse to change what was written down."""
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER manual_change_kept_{verb.lower()} BEFORE {verb} ON manual_change"
                f" BEGIN SELECT RAISE(ABORT, '{_KEPT}'); END"
            )
        return
    op.execute(
        "CREATE FUNCTION manual_change_kept() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$ BEGIN RAISE EXCEPTION '{_KEPT}' USING ERRCODE = 'restrict_violation'; END $$"
    )
    op.execute(
        "CREATE TRIGGER manual_change_kept BEFORE UPDATE OR DELETE ON manual_change FOR EACH ROW"
        " EXECUTE FUNCTION manual_change_kept()"
    )


def downgrade() -> None:
    """Take them away again."""
    for table in ("goods_import", "manual_change", "sku_detail", "product_detail"):
        op.drop_table(table)
    if op.get_bind().dialect.name != "sqlite":
        op.execute("DROP FUNCTION manual_change_kept()")
