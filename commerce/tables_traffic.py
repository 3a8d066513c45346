"""Tables of whose customer somebody is, and of what those who bring customers earn.

Money moves on the accounts (tables_accounts.py); a ``commission`` row says why: one a line of an order and level, with
the rate as it was when the order was made.
"""

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, Index, Integer, String, Table, Text, text

from commerce.tables import metadata
from commerce.tables_ledger import amount_column, count_column, id_column, ms_column, word_column

traffic_policy = Table(
    "traffic_policy",
    metadata,
    id_column("merchant", primary_key=True),
    Column("terms", Text, nullable=False),
    id_column("staff"),
    ms_column("updated_ms"),
)

binding = Table(
    "binding",
    metadata,
    id_column("id", primary_key=True),
    id_column("merchant"),
    id_column("person"),
    id_column("issuer"),
    Column("role", String(12), nullable=False),
    Column("link", String(16), nullable=False),
    Column("channel", String(64), nullable=False),
    Column("valid_days", Integer, nullable=False),
    Column("protection_days", Integer, nullable=False),
    Column("renews", Boolean, nullable=False),
    ms_column("bound_ms"),
    # When validity and protection began: at the binding, and anew with each order if it renews.
    ms_column("renewed_ms"),
    ms_column("closed_ms", nullable=True),
    Column("why", String(200), nullable=False),
    Column("closed_why", String(200), nullable=True),
    # It came from another guide who goes on working: WeCom allows two of these in 90 days.
    Column("handed", Boolean, nullable=False, server_default=text("false")),
    CheckConstraint("role IN ('distributor', 'guide')", name="role"),
    CheckConstraint("person <> issuer", name="self"),
    # One of each role at a time, whatever the code above does.
    Index(
        "ux_binding_active",
        "merchant",
        "person",
        "role",
        unique=True,
        sqlite_where=text("closed_ms IS NULL"),
        postgresql_where=text("closed_ms IS NULL"),
    ),
    Index("ix_binding_person", "merchant", "person", "id"),
    Index("ix_binding_issuer", "merchant", "issuer", "closed_ms"),
)

distributor = Table(
    "distributor",
    metadata,
    id_column("merchant", primary_key=True),
    id_column("person", primary_key=True),
    Column("name", String(60), nullable=False),
    # Who recruited them: earns the second level's rate where the shop has one.
    id_column("parent", nullable=True),
    Column("level", String(20), nullable=False),
    Column("state", String(8), nullable=False),
    ms_column("created_ms"),
    CheckConstraint("state IN ('applied', 'active', 'disabled')", name="state"),
    CheckConstraint("parent IS NULL OR parent <> person", name="parent"),
)

commission_rate = Table(
    "commission_rate",
    metadata,
    id_column("merchant", primary_key=True),
    Column("scope", String(8), primary_key=True, nullable=False),
    id_column("target", primary_key=True),
    # Hundredths of a percent of the base, for who brought the buyer and for who recruited them.
    count_column("first_bp", None),
    count_column("second_bp", None),
    CheckConstraint("scope IN ('sku', 'category', 'level', 'shop')", name="scope"),
    CheckConstraint("first_bp >= 0 AND second_bp >= 0 AND first_bp + second_bp <= 10000", name="rate"),
)

commission = Table(
    "commission",
    metadata,
    id_column("id", primary_key=True),
    id_column("merchant"),
    id_column("order_id"),
    Column("n", Integer, nullable=False),
    id_column("person"),
    Column("level", Integer, nullable=False),
    amount_column("paid"),
    amount_column("base"),
    count_column("rate_bp", None),
    Column("rate_of", String(80), nullable=False),
    amount_column("amount"),
    amount_column("reversed"),
    Column("state", String(10), nullable=False),
    # Why it waits for somebody to look at it; empty: it does not.
    Column("held", String(20), nullable=False),
    ms_column("release_ms", nullable=True),
    ms_column("created_ms"),
    # A partner's contract, where it is a partner's share (tables_partners.py); empty: a distributor's commission.
    word_column("contract", 64),
    CheckConstraint("level IN (1, 2)", name="level"),
    CheckConstraint("amount >= 0 AND reversed >= 0 AND reversed <= amount AND amount <= base", name="amount"),
    CheckConstraint("state IN ('pending', 'frozen', 'available', 'void')", name="state"),
    Index("ux_commission_line", "order_id", "n", "level", "contract", unique=True),
    Index("ix_commission_person", "merchant", "person", "id"),
    Index(
        "ix_commission_due",
        "release_ms",
        sqlite_where=text("state = 'frozen'"),
        postgresql_where=text("state = 'frozen'"),
    ),
)

withdrawal = Table(
    "withdrawal",
    metadata,
    id_column("id", primary_key=True),
    id_column("merchant"),
    id_column("person"),
    amount_column("amount"),
    Column("state", String(12), nullable=False),
    ms_column("created_ms"),
    ms_column("decided_ms", nullable=True),
    id_column("decided_by", nullable=True),
    # The transfer's number at the bank or provider.
    Column("number", String(64), nullable=True),
    Column("reason", String(200), nullable=False),
    # In which month it counts for the tax that is withheld, and how much that is.
    ms_column("approved_ms", nullable=True),
    Column("tax", BigInteger, nullable=False, server_default=text("0")),
    # Who pays it, to whom there, and when they are asked next what became of it.
    word_column("provider", 32),
    word_column("payee", 128),
    count_column("tries"),
    ms_column("ask_ms", nullable=True),
    # While the person must take it in their wallet: what their client needs for that (JSON).
    Column("confirm", Text, nullable=False, server_default=text("''")),
    # A partner's share is settled by it, not a distributor's commission.
    Column("share", Boolean, nullable=False, server_default=text("false")),
    CheckConstraint(
        "state IN ('requested', 'approved', 'transferring', 'paid', 'rejected', 'failed')",
        name="state",
    ),
    CheckConstraint("amount > 0", name="amount"),
    CheckConstraint("tax >= 0 AND tax <= amount", name="tax"),
    CheckConstraint("state <> 'transferring' OR (provider <> '' AND ask_ms IS NOT NULL)", name="transfer"),
    Index(
        "ix_withdrawal_ask",
        "ask_ms",
        sqlite_where=text("state = 'transferring'"),
        postgresql_where=text("state = 'transferring'"),
    ),
    Index("ix_withdrawal_merchant_id", "merchant", "id"),
    Index("ix_withdrawal_person", "merchant", "person", "id"),
)
