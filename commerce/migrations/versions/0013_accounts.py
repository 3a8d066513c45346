"""Accounts in double entry, coupons with percentages, groups, audiences and budgets, limited-time prices."""

import sqlalchemy as sa
from alembic import op

revision: str = "0013"
down_revision: str | None = "0008"
branch_labels: str | None = None
depends_on: str | None = None

# Said as text: both engines take a check with the column that it is about, and neither makes the table anew.
_COLUMNS = (
    ("drop_", "percent", "INTEGER DEFAULT 0 NOT NULL"),
    ("drop_", "stack", "VARCHAR(20) DEFAULT '' NOT NULL"),
    ("drop_", "audience", "VARCHAR(8) DEFAULT 'all' NOT NULL"),
    ("drop_", "issuer", "VARCHAR(64) DEFAULT '' NOT NULL"),
    ("drop_", "way", "VARCHAR(8) DEFAULT 'drop' NOT NULL"),
    ("coupon", "percent", "INTEGER DEFAULT 0 NOT NULL"),
    ("coupon", "stack", "VARCHAR(20) DEFAULT '' NOT NULL"),
    ("coupon", "reason", "VARCHAR(200) DEFAULT '' NOT NULL"),
    ("coupon", "issuer", "VARCHAR(64) DEFAULT '' NOT NULL"),
    (
        "orders",
        "kind",
        "VARCHAR(12) DEFAULT 'goods' NOT NULL CONSTRAINT ck_orders_kind CHECK (kind IN ('goods', 'stored'))",
    ),
    (
        "orders",
        "stored",
        "BIGINT DEFAULT 0 NOT NULL CONSTRAINT ck_orders_stored CHECK (stored >= 0 AND stored <= amount)",
    ),
    ("orders", "bonus", "BIGINT DEFAULT 0 NOT NULL CONSTRAINT ck_orders_bonus CHECK (bonus >= 0)"),
    ("orders", "points", "INTEGER DEFAULT 0 NOT NULL CONSTRAINT ck_orders_points CHECK (points >= 0)"),
    (
        "refund",
        "stored",
        "BIGINT DEFAULT 0 NOT NULL CONSTRAINT ck_refund_stored CHECK (stored >= 0 AND stored <= amount)",
    ),
    ("refund", "bonus", "BIGINT DEFAULT 0 NOT NULL CONSTRAINT ck_refund_bonus CHECK (bonus >= 0)"),
    ("refund", "points", "INTEGER DEFAULT 0 NOT NULL CONSTRAINT ck_refund_points CHECK (points >= 0)"),
    ("sku", "offer_from_ms", "BIGINT"),
    ("sku", "offer_until_ms", "BIGINT"),
    (
        "sku",
        "offer_price",
        "BIGINT CONSTRAINT ck_sku_offer"
        " CHECK (offer_price IS NULL OR (offer_price >= 1 AND offer_from_ms < offer_until_ms))",
    ),
    ("sku", "kind", "TEXT DEFAULT 'goods' NOT NULL CONSTRAINT ck_sku_kind CHECK (kind IN ('goods', 'stored'))"),
    ("sku", "bonus", "BIGINT DEFAULT 0 NOT NULL CONSTRAINT ck_sku_bonus CHECK (bonus >= 0)"),
    ("coupon_template", "percent", "INTEGER DEFAULT 0 NOT NULL"),
    ("coupon_template", "stack", "TEXT DEFAULT '' NOT NULL"),
    ("coupon_template", "audience", "TEXT DEFAULT 'all' NOT NULL"),
    ("coupon_template", "issuer", "TEXT DEFAULT '' NOT NULL"),
)
_KEPT = "entries are never changed"


def upgrade() -> None:
    """Add the columns, make the tables, name the coupons of the orders that there are."""
    for table, name, kind in _COLUMNS:
        op.execute(f"ALTER TABLE {table} ADD COLUMN {name} {kind}")
    op.create_index(
        "ix_coupon_budget_due",
        "coupon",
        ["expires_ms"],
        sqlite_where=sa.text("state = 'unused' AND issuer <> ''"),
        postgresql_where=sa.text("state = 'unused' AND issuer <> ''"),
    )
    op.create_table(
        "account",
        sa.Column("merchant", sa.String(length=64), nullable=False),
        sa.Column("owner", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("bounded", sa.Boolean(), nullable=False),
        sa.Column("balance", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("balance >= 0 OR NOT bounded", name=op.f("ck_account_balance")),
        sa.PrimaryKeyConstraint("merchant", "owner", "kind", name=op.f("pk_account")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "entry",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("transfer", sa.String(length=64), nullable=False),
        sa.Column("merchant", sa.String(length=64), nullable=False),
        sa.Column("owner", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("unit", sa.String(length=8), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("why", sa.String(length=20), nullable=False),
        sa.Column("ref", sa.String(length=64), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("amount <> 0", name=op.f("ck_entry_amount")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_entry")),
    )
    op.create_index("ix_entry_account", "entry", ["merchant", "owner", "kind", "id"])
    op.create_index("ix_entry_transfer", "entry", ["transfer"])
    op.create_index("ix_entry_ref", "entry", ["ref"])
    op.create_table(
        "order_coupon",
        sa.Column("order_id", sa.String(length=64), nullable=False),
        sa.Column("n", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("coupon", sa.String(length=64), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("amount >= 0", name=op.f("ck_order_coupon_amount")),
        sa.PrimaryKeyConstraint("order_id", "n", name=op.f("pk_order_coupon")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_order_coupon_coupon", "order_coupon", ["coupon"])
    op.execute(
        "INSERT INTO order_coupon (order_id, n, coupon, amount) SELECT id, 0, coupon, discount FROM orders"
        " WHERE coupon IS NOT NULL"
    )
    _keep_entries()


def _keep_entries() -> None:
    """The database itself refuses to change or delete an entry."""
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER entry_kept_{verb.lower()} BEFORE {verb} ON entry"
                f" BEGIN SELECT RAISE(ABORT, '{_KEPT}'); END"
            )
        return
    op.execute(
        "CREATE FUNCTION entry_kept() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$ BEGIN RAISE EXCEPTION '{_KEPT}' USING ERRCODE = 'restrict_violation'; END $$"
    )
    op.execute("CREATE TRIGGER entry_kept BEFORE UPDATE OR DELETE ON entry FOR EACH ROW EXECUTE FUNCTION entry_kept()")
