"""Sale on account: who has a limit, what each order owes, what was booked by hand and what was paid back.

Balances move by accounts_sql alone: ``credit_owed`` of a person is the sum of what is left of their debts.
"""

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, String, Table, Text, text

from commerce.tables import metadata
from commerce.tables_ledger import amount_column, count_column, id_column, ms_column, word_column


def _amount(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False, server_default=text("0"))


credit_line = Table(
    "credit_line",
    metadata,
    id_column("merchant", primary_key=True),
    id_column("person", primary_key=True),
    word_column("name", 60),
    amount_column("most"),
    count_column("days", None),
    count_column("open", 1),
    id_column("staff"),
    ms_column("updated_ms"),
    CheckConstraint("most >= 0", name="most"),
    CheckConstraint("days > 0", name="days"),
)

receivable = Table(
    "receivable",
    metadata,
    id_column("order_id", primary_key=True),
    id_column("merchant"),
    id_column("person"),
    amount_column("amount"),
    # Money that came, refunds of the order, and what nobody hopes for any more.
    _amount("repaid"),
    _amount("returned"),
    _amount("lost"),
    ms_column("due_ms"),
    ms_column("created_ms"),
    ms_column("closed_ms", nullable=True),
    CheckConstraint("amount > 0 AND repaid >= 0 AND returned >= 0 AND lost >= 0", name="amounts"),
    CheckConstraint("repaid + returned + lost <= amount", name="whole"),
    CheckConstraint("(closed_ms IS NOT NULL) = (repaid + returned + lost = amount)", name="closed"),
    # The person first: all of a merchant's debtors are found by the open ones.
    Index("ix_receivable_person", "person", "merchant"),
    Index(
        "ix_receivable_open",
        "merchant",
        "person",
        "due_ms",
        sqlite_where=text("closed_ms IS NULL"),
        postgresql_where=text("closed_ms IS NULL"),
    ),
)

# What staff booked: money that came past the providers, debts given up, money that was given back. Never changed.
credit_booking = Table(
    "credit_booking",
    metadata,
    id_column("id", primary_key=True),
    id_column("merchant"),
    id_column("person"),
    Column("kind", String(10), nullable=False),
    amount_column("amount"),
    id_column("order_id", nullable=True),
    id_column("staff"),
    word_column("reference", 60),
    word_column("reason", 200),
    ms_column("created_ms"),
    CheckConstraint("kind IN ('repaid', 'lost', 'given')", name="kind"),
    CheckConstraint("amount > 0", name="amount"),
    Index("ix_credit_booking_person", "merchant", "person", "id"),
)

# Money that a debtor pays through a provider: asked for (open), come (paid), or given up (ended); what comes for one
# that was given up still counts. ``applied`` of ``amount`` lowered debts, the rest went back.
repayment = Table(
    "repayment",
    metadata,
    id_column("id", primary_key=True),
    id_column("merchant"),
    id_column("person"),
    amount_column("amount"),
    _amount("applied"),
    id_column("order_id", nullable=True),
    Column("state", String(8), nullable=False),
    ms_column("created_ms"),
    ms_column("expires_ms"),
    ms_column("paid_ms", nullable=True),
    CheckConstraint("state IN ('open', 'paid', 'ended')", name="state"),
    CheckConstraint("amount > 0 AND applied >= 0 AND applied <= amount", name="amounts"),
    CheckConstraint("(state = 'paid') = (paid_ms IS NOT NULL) AND (applied = 0 OR state = 'paid')", name="paid"),
    Index("ix_repayment_person", "merchant", "person", "id"),
    Index("ix_repayment_paid", "merchant", "paid_ms"),
    Index(
        "ix_repayment_open",
        "expires_ms",
        sqlite_where=text("state = 'open'"),
        postgresql_where=text("state = 'open'"),
    ),
)

# Each time that staff asked a debtor for what is overdue, and what they said. Never changed, but for the note, which an
# erasure of the debtor empties.
credit_reminder = Table(
    "credit_reminder",
    metadata,
    id_column("id", primary_key=True),
    id_column("merchant"),
    id_column("person"),
    amount_column("overdue"),
    id_column("staff"),
    word_column("note", 200),
    ms_column("created_ms"),
    CheckConstraint("overdue > 0", name="overdue"),
    Index("ix_credit_reminder_person", "merchant", "person", "id"),
)

# How a shop tells debtors outside the page: by which templates, an empty one tells nobody of that.
credit_notice = Table(
    "credit_notice",
    metadata,
    id_column("merchant", primary_key=True),
    Column("channel", String(10), nullable=False),
    word_column("due_template", 64),
    word_column("overdue_template", 64),
    # JSON: the template's field → amount, due or orders.
    Column("fields", Text, nullable=False),
    word_column("page", 128),
    ms_column("updated_ms"),
    CheckConstraint("channel IN ('subscribe', 'sms')", name="channel"),
)
