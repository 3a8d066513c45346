"""Tables of who is who: phones, merged persons, conflicts that people must decide, consents, and who looked at what.

A phone number is kept twice: sealed (AES-GCM), for those who may read it, and as a keyed hash, by which its person is
found; neither is of use without the server's secret. ``person_alias`` points from a person who was merged away to the
one who goes on, never to another alias; after an unmerge the row points to itself, so that other processes see it.
"""

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, ForeignKey, Index, Table, Text, text

from commerce.tables import metadata

person_phone = Table(
    "person_phone",
    metadata,
    Column("person", Text, ForeignKey("person.id"), primary_key=True),
    Column("merchant", Text, ForeignKey("merchant.id"), nullable=False),
    # The value of the identity row of kind phone.
    Column("digest", Text, nullable=False),
    Column("sealed", Text, nullable=False),
    # NULL: somebody wrote it into a list; nobody has shown yet that it is theirs.
    Column("verified_ms", BigInteger, nullable=True),
    Column("created_ms", BigInteger, nullable=False),
    Index("ux_person_phone", "merchant", "digest", unique=True),
)

person_alias = Table(
    "person_alias",
    metadata,
    Column("alias", Text, ForeignKey("person.id"), primary_key=True),
    Column("merchant", Text, ForeignKey("merchant.id"), nullable=False),
    Column("person", Text, ForeignKey("person.id"), nullable=False, index=True),
    Column("changed_ms", BigInteger, nullable=False, index=True),
)

merge_journal = Table(
    "merge_journal",
    metadata,
    Column("id", Text, primary_key=True),
    Column("merchant", Text, ForeignKey("merchant.id"), nullable=False),
    Column("elder", Text, ForeignKey("person.id"), nullable=False, index=True),
    Column("younger", Text, ForeignKey("person.id"), nullable=False),
    # What joined them: unionid, phone, wecom, or staff.
    Column("cause", Text, nullable=False),
    Column("by", Text, nullable=True),
    Column("reason", Text, nullable=False),
    # The ids of the rows that moved and the counters before, to go back by.
    Column("moved", Text, nullable=False),
    Column("merged_ms", BigInteger, nullable=False),
    Column("undone_ms", BigInteger, nullable=True),
    Column("undone_by", Text, nullable=True),
    CheckConstraint("elder <> younger", name="two"),
    Index("ix_merge_journal_merchant_id", "merchant", "id"),
)

merge_conflict = Table(
    "merge_conflict",
    metadata,
    Column("id", Text, primary_key=True),
    Column("merchant", Text, ForeignKey("merchant.id"), nullable=False),
    # Who showed the key, and whose it is so far (themselves, when they have another phone already).
    Column("person", Text, ForeignKey("person.id"), nullable=False),
    Column("other", Text, ForeignKey("person.id"), nullable=False),
    Column("cause", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("value", Text, nullable=False),
    Column("sealed", Text, nullable=True),
    Column("state", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("decided_ms", BigInteger, nullable=True),
    Column("decided_by", Text, nullable=True),
    CheckConstraint("cause IN ('two_phones', 'second_phone', 'recycled', 'two_distributors')", name="cause"),
    CheckConstraint("state IN ('open', 'merged', 'split', 'dismissed')", name="state"),
    Index("ix_merge_conflict_merchant_id", "merchant", "id"),
    # Asking again does not fill the queue.
    Index(
        "ux_merge_conflict_open",
        "merchant",
        "person",
        "other",
        "kind",
        "value",
        unique=True,
        sqlite_where=text("state = 'open'"),
        postgresql_where=text("state = 'open'"),
    ),
)

# Append-only: what holds is the newest row of a person and purpose.
consent = Table(
    "consent",
    metadata,
    Column("id", Text, primary_key=True),
    Column("merchant", Text, ForeignKey("merchant.id"), nullable=False),
    Column("person", Text, ForeignKey("person.id"), nullable=False),
    Column("purpose", Text, nullable=False),
    Column("granted", Boolean, nullable=False),
    # Why the shop may: consent, contract, import … and where that was said.
    Column("basis", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Index("ix_consent_person_purpose_id", "person", "purpose", "id"),
)

# Who looked at or did something with personal data (PIPL art. 51, 54).
privacy_log = Table(
    "privacy_log",
    metadata,
    Column("id", Text, primary_key=True),
    Column("merchant", Text, ForeignKey("merchant.id"), nullable=False),
    Column("person", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Index("ix_privacy_log_merchant_id", "merchant", "id"),
)

# Persons under 14, apart from all the rest: their guardian, sealed, and whether they agreed (PIPL art. 31).
minor = Table(
    "minor",
    metadata,
    Column("person", Text, ForeignKey("person.id"), primary_key=True),
    Column("merchant", Text, ForeignKey("merchant.id"), nullable=False),
    Column("sealed", Text, nullable=False),
    Column("agreed", Boolean, nullable=False),
    Column("by", Text, nullable=False),
    Column("since_ms", BigInteger, nullable=False),
)

# Who asked to be forgotten while an order was under way.
erasure_due = Table(
    "erasure_due",
    metadata,
    Column("person", Text, ForeignKey("person.id"), primary_key=True),
    Column("merchant", Text, ForeignKey("merchant.id"), nullable=False),
    Column("asked_ms", BigInteger, nullable=False),
    Column("source", Text, nullable=False),
)

wechat_app = Table(
    "wechat_app",
    metadata,
    Column("merchant", Text, ForeignKey("merchant.id"), primary_key=True),
    Column("appid", Text, nullable=False),
    Column("sealed_secret", Text, nullable=False),
    # The open-platform account that the app is bound to: unionids of one are comparable, of two are not.
    Column("platform", Text, nullable=False),
    # Token and EncodingAESKey of its events; empty: it sends none.
    Column("sealed_callback", Text, nullable=False, server_default=text("''")),
    Column("updated_ms", BigInteger, nullable=False),
)
