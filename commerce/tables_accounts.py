"""Accounts of points, stored value and budgets, their entries, and the coupons of an order.

``entry`` is the journal: signed legs that add up to 0 per transfer and unit, never changed or deleted (a trigger in the
database refuses it). ``account`` is the sum of an account's entries, kept so that it can be read and checked at once;
``bounded`` ones cannot fall below 0. The kinds are in domain/accounts.py.
"""

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, Index, Integer, String, Table

from commerce.tables import metadata
from commerce.tables_ledger import amount_column, id_column, ms_column

account = Table(
    "account",
    metadata,
    id_column("merchant", primary_key=True),
    id_column("owner", primary_key=True),
    Column("kind", String(20), primary_key=True, nullable=False),
    Column("bounded", Boolean, nullable=False),
    Column("balance", BigInteger, nullable=False),
    CheckConstraint("balance >= 0 OR NOT bounded", name="balance"),
    sqlite_with_rowid=False,
)

entry = Table(
    "entry",
    metadata,
    id_column("id", primary_key=True),
    id_column("transfer"),
    id_column("merchant"),
    id_column("owner"),
    Column("kind", String(20), nullable=False),
    Column("unit", String(8), nullable=False),
    amount_column("amount"),
    Column("why", String(20), nullable=False),
    id_column("ref"),
    ms_column("created_ms"),
    CheckConstraint("amount <> 0", name="amount"),
    Index("ix_entry_account", "merchant", "owner", "kind", "id"),
    Index("ix_entry_transfer", "transfer"),
    Index("ix_entry_ref", "ref"),
    Index("ix_entry_merchant", "merchant", "created_ms"),
)

# Which coupons an order was made with, and what each took off: a cancelled order's coupons are on no order any more.
order_coupon = Table(
    "order_coupon",
    metadata,
    id_column("order_id", primary_key=True),
    Column("n", Integer, primary_key=True, nullable=False, autoincrement=False),
    id_column("coupon"),
    amount_column("amount"),
    CheckConstraint("amount >= 0", name="amount"),
    Index("ix_order_coupon_coupon", "coupon"),
    sqlite_with_rowid=False,
)
