"""Tables of partners of another trade: who they are, what was agreed with them, who came by them, what each sale gave.

A ``partner_contract`` is the record by which a partner earns, and by which another merchant of this server reads
anything: it is written once and closed, never changed. Shares stand beside commission, in ``commission`` with the
contract's id, and move on accounts of their own (``share_…``).
"""

from sqlalchemy import Boolean, CheckConstraint, Column, Index, Integer, String, Table, Text, text

from commerce.tables import metadata
from commerce.tables_ledger import amount_column, count_column, id_column, ms_column, word_column

partner = Table(
    "partner",
    metadata,
    id_column("id", primary_key=True),
    id_column("merchant"),
    Column("name", String(60), nullable=False),
    word_column("trade", 40),
    # Another merchant of this server; none: a business that is not here.
    id_column("counterpart", nullable=True),
    # Who runs it, where they are a customer here: what they buy and have sent to themselves is looked at.
    id_column("owner", nullable=True),
    Column("state", String(8), nullable=False),
    # The partner's own key, by which it reads its statement: each renewal is a generation of its own, 0 is none.
    count_column("key_generation"),
    ms_column("key_ms", nullable=True),
    ms_column("created_ms"),
    CheckConstraint("state IN ('active', 'paused', 'ended')", name="state"),
    CheckConstraint("counterpart IS NULL OR counterpart <> merchant", name="two"),
    Index("ix_partner_merchant", "merchant", "id"),
    Index("ix_partner_counterpart", "counterpart", "id"),
)

partner_contract = Table(
    "partner_contract",
    metadata,
    id_column("id", primary_key=True),
    id_column("partner"),
    id_column("merchant"),
    Column("state", String(8), nullable=False),
    # Days in Asia/Shanghai, both included; until empty: until it is ended.
    Column("since", String(10), nullable=False),
    word_column("until", 10),
    Column("days", Integer, nullable=False),
    Column("first_only", Boolean, nullable=False),
    amount_column("cap_order"),
    amount_column("cap_month"),
    Column("sees", String(4), nullable=False),
    # What of a coupon of theirs the partner bears, in 1/100 of a percent.
    count_column("coupon_bp"),
    # JSON: [{scope, target, bp}].
    Column("rates", Text, nullable=False),
    # The paper's number, or what else was written down with it.
    Column("note", String(200), nullable=False),
    ms_column("proposed_ms"),
    id_column("proposed_by"),
    ms_column("decided_ms", nullable=True),
    id_column("decided_by", nullable=True),
    ms_column("closed_ms", nullable=True),
    CheckConstraint("state IN ('proposed', 'agreed', 'refused', 'closed')", name="state"),
    CheckConstraint("sees IN ('rows', 'sums')", name="sees"),
    CheckConstraint("days > 0 AND cap_order >= 0 AND cap_month >= 0", name="terms"),
    Index("ix_partner_contract_partner", "partner", "id"),
    # One stands at a time, whatever the code above does.
    Index(
        "ux_partner_contract_agreed",
        "partner",
        unique=True,
        sqlite_where=text("state = 'agreed'"),
        postgresql_where=text("state = 'agreed'"),
    ),
)

# The last time that a person came by a partner's code.
partner_visit = Table(
    "partner_visit",
    metadata,
    id_column("merchant", primary_key=True),
    id_column("person", primary_key=True),
    id_column("partner", primary_key=True),
    Column("link", String(16), nullable=False),
    Column("channel", String(64), nullable=False),
    ms_column("first_ms"),
    ms_column("last_ms"),
    Index("ix_partner_visit_partner", "partner", "first_ms"),
    sqlite_with_rowid=False,
)

# A sale that was credited to a partner, and what was said of it: also of one that gave nothing.
partner_sale = Table(
    "partner_sale",
    metadata,
    # The order, or a till's receipt.
    id_column("id", primary_key=True),
    id_column("merchant"),
    id_column("partner"),
    id_column("contract", nullable=True),
    id_column("person"),
    # What of it earns, before any rate: 分.
    amount_column("base"),
    # Why it gave less than the rates say, or nothing; empty: it did not.
    word_column("why", 12),
    ms_column("created_ms"),
    CheckConstraint(
        "why IN ('', 'no_contract', 'own', 'not_first', 'no_rate', 'order_cap', 'month_cap', 'cap')", name="why"
    ),
    Index("ix_partner_sale_partner", "partner", "id"),
    Index("ix_partner_sale_person", "merchant", "person"),
)

# A partner's coupon that an order was paid with: what it took off, what of that the partner bore, what went back; 分.
partner_coupon_use = Table(
    "partner_coupon_use",
    metadata,
    id_column("order_id", primary_key=True),
    id_column("coupon", primary_key=True),
    id_column("merchant"),
    id_column("partner"),
    id_column("contract"),
    amount_column("took"),
    amount_column("borne"),
    amount_column("back"),
    ms_column("created_ms"),
    CheckConstraint("back >= 0 AND back <= borne AND borne <= took", name="borne"),
    Index("ix_partner_coupon_use_partner", "partner", "created_ms"),
)
