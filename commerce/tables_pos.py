"""Tables of stores and their tills: outlets, sellers' codes, receipts and refunds as tills told of them.

A receipt, and a refund, is in the books from ``booked_ms`` on, when its takings were known: ``pos_tender`` has them by
tender, ``told`` is their fingerprint, ``told_by`` who wrote them by hand (empty: the till). Until then it waits.
"""

from sqlalchemy import Boolean, CheckConstraint, Column, Index, Integer, String, Table, Text, false, text

from commerce.tables import metadata
from commerce.tables_ledger import amount_column, count_column, id_column, ms_column, word_column

_UNCOUNTED = text("tender = 'cash' AND till_close IS NULL")

outlet = Table(
    "outlet",
    metadata,
    id_column("id", primary_key=True),
    id_column("merchant"),
    Column("name", String(60), nullable=False),
    Column("address", String(300), nullable=False),
    word_column("phone", 21),
    # Degrees × 10⁶.
    Column("lat_e6", Integer, nullable=False),
    Column("lng_e6", Integer, nullable=False),
    Column("pickup", Boolean, nullable=False),
    # SHA-256 of the till's key, which is shown once.
    Column("key_digest", String(64), nullable=False),
    ms_column("created_ms"),
    ms_column("closed_ms", nullable=True),
    # Ways of handing over beside ``pickup``; whether it keeps stock of its own.
    Column("express", Boolean, nullable=False, server_default=false()),
    Column("courier", Boolean, nullable=False, server_default=false()),
    Column("stocked", Boolean, nullable=False, server_default=false()),
    count_column("radius_m", 5_000),
    # JSON: seven pairs of minutes from Monday on, or none: always open.
    Column("hours", Text, nullable=False, server_default=text("'[]'")),
    # The organisation's node that runs it; empty: the merchant's own.
    word_column("node", 64),
    CheckConstraint("lat_e6 BETWEEN -90000000 AND 90000000 AND lng_e6 BETWEEN -180000000 AND 180000000", name="place"),
    Index("ix_outlet_merchant", "merchant", "id"),
    Index("ix_outlet_node", "node", "id"),
    Index("ux_outlet_key", "key_digest", unique=True),
)

pos_code = Table(
    "pos_code",
    metadata,
    id_column("merchant", primary_key=True),
    Column("code", String(16), primary_key=True, nullable=False),
    # Whose sale it is: a guide's or distributor's person, or a staff account.
    id_column("issuer"),
    Column("name", String(60), nullable=False),
    ms_column("created_ms"),
    ms_column("closed_ms", nullable=True),
)

pos_receipt = Table(
    "pos_receipt",
    metadata,
    id_column("id", primary_key=True),
    id_column("merchant"),
    id_column("outlet"),
    Column("number", String(64), nullable=False),
    Column("hash", String(32), nullable=False),
    id_column("person", nullable=True),
    id_column("seller", nullable=True),
    amount_column("amount"),
    amount_column("refunded"),
    Column("lines", Text, nullable=False),
    # Who brought the buyer, judged when the till told of the sale, as of when it was made.
    Column("decision", Text, nullable=True),
    # The till's time, and ours: a till may be offline for days.
    ms_column("sold_ms"),
    ms_column("received_ms"),
    # What the till took off before ``amount``, the tax in it, and what the goods cost as they left.
    amount_column("discount", 0),
    amount_column("tax", 0),
    amount_column("cost", 0),
    word_column("told", 32),
    word_column("told_by", 64),
    word_column("told_why", 200),
    ms_column("booked_ms", nullable=True),
    # The organisation's node that it counts for, as it was when the till told of it; empty: the merchant's own.
    word_column("node", 64),
    CheckConstraint("amount > 0 AND refunded >= 0 AND refunded <= amount", name="amount"),
    Index("ux_pos_receipt_number", "outlet", "number", unique=True),
    Index("ix_pos_receipt_person", "merchant", "person", "id"),
    Index("ix_pos_receipt_sold", "merchant", "sold_ms"),
    # What waits (NULL) in its order, page by page.
    Index("ix_pos_receipt_booked", "merchant", "booked_ms", "id"),
)

pos_refund = Table(
    "pos_refund",
    metadata,
    id_column("id", primary_key=True),
    id_column("merchant"),
    id_column("outlet"),
    Column("number", String(64), nullable=False),
    Column("hash", String(32), nullable=False),
    id_column("receipt"),
    amount_column("amount"),
    ms_column("refunded_ms"),
    ms_column("received_ms"),
    amount_column("tax", 0),
    # Of the goods that came back with it.
    amount_column("cost", 0),
    word_column("told", 32),
    word_column("told_by", 64),
    word_column("told_why", 200),
    ms_column("booked_ms", nullable=True),
    CheckConstraint("amount > 0", name="amount"),
    Index("ux_pos_refund_number", "outlet", "number", unique=True),
    Index("ix_pos_refund_receipt", "receipt"),
    Index("ix_pos_refund_booked", "merchant", "booked_ms", "id"),
)

pos_tender = Table(
    "pos_tender",
    metadata,
    # The receipt, or the refund of ``receipt``.
    id_column("ref", primary_key=True),
    Column("tender", String(8), primary_key=True, nullable=False),
    id_column("receipt"),
    id_column("merchant"),
    id_column("outlet"),
    # What came in; below 0 what went out.
    amount_column("amount"),
    # Of stored value: what of it is bonus.
    amount_column("bonus", 0),
    ms_column("booked_ms"),
    # Of cash: with which count of the drawer it was counted.
    Column("till_close", String(64), nullable=True),
    CheckConstraint("tender IN ('cash', 'wechat', 'alipay', 'card', 'stored', 'other')", name="tender"),
    CheckConstraint("amount <> 0 AND (amount > 0) = (ref = receipt)", name="amount"),
    CheckConstraint("till_close IS NULL OR tender = 'cash'", name="till_close"),
    CheckConstraint("bonus = 0 OR tender = 'stored'", name="bonus"),
    Index("ix_pos_tender_receipt", "receipt"),
    Index("ix_pos_tender_booked", "merchant", "booked_ms"),
    Index("ix_pos_tender_open", "outlet", sqlite_where=_UNCOUNTED, postgresql_where=_UNCOUNTED),
    sqlite_with_rowid=False,
)

till_close = Table(
    "till_close",
    metadata,
    id_column("id", primary_key=True),
    id_column("merchant"),
    id_column("outlet"),
    Column("day", String(10), nullable=False),
    # opening + cash = expected; counted = expected + difference; counted - banked is the next opening.
    amount_column("opening"),
    amount_column("cash"),
    amount_column("counted"),
    amount_column("difference"),
    amount_column("banked"),
    word_column("why", 200),
    # Who counted; empty: the till itself.
    word_column("staff", 64),
    ms_column("at_ms"),
    CheckConstraint("counted >= 0 AND counted >= banked AND difference = counted - opening - cash", name="sums"),
    CheckConstraint("difference = 0 OR why <> ''", name="why"),
    Index("ux_till_close_day", "outlet", "day", unique=True),
    Index("ix_till_close_merchant", "merchant", "at_ms"),
)
