"""Customers sorted and spoken to: tags, segments, stages of life, what they did by days, messages, automations.

``person_day`` counts touches, under the id that a person had then, as the touch log does: it is read through
``person_alias``, so a merge and its undoing change nothing in it. The log is in another database; what is counted here
can be counted anew from it.
"""

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, Index, Integer, String, Table, Text, text

from commerce.tables import metadata
from commerce.tables_ledger import count_column, id_column, ms_column, word_column

# A merchant's terms of all this: what makes a fan, caps on messages, quiet hours.
crm_policy = Table(
    "crm_policy",
    metadata,
    id_column("merchant", primary_key=True),
    Column("terms", Text, nullable=False),
    id_column("staff"),
    ms_column("updated_ms"),
    sqlite_with_rowid=False,
)

tag = Table(
    "tag",
    metadata,
    id_column("merchant", primary_key=True),
    Column("name", String(20), primary_key=True),
    Column("kind", String(8), nullable=False),
    # JSON of a condition; empty for a manual tag.
    Column("condition", Text, nullable=False),
    id_column("staff"),
    ms_column("created_ms"),
    CheckConstraint("kind IN ('manual', 'rule', 'computed')", name="kind"),
    CheckConstraint("(kind = 'manual') = (condition = '')", name="condition"),
    sqlite_with_rowid=False,
)

person_tag = Table(
    "person_tag",
    metadata,
    id_column("merchant", primary_key=True),
    id_column("person", primary_key=True),
    Column("tag", String(20), primary_key=True),
    # A member of staff, or empty: the rule.
    word_column("staff", 64),
    ms_column("since_ms"),
    Index("ix_person_tag_tag", "merchant", "tag", "person"),
    sqlite_with_rowid=False,
)

person_stage = Table(
    "person_stage",
    metadata,
    id_column("merchant", primary_key=True),
    id_column("person", primary_key=True),
    Column("stage", String(8), nullable=False),
    ms_column("since_ms"),
    CheckConstraint("stage IN ('passer', 'fan', 'customer', 'loyal')", name="stage"),
    Index("ix_person_stage_stage", "merchant", "stage", "person"),
    sqlite_with_rowid=False,
)

person_day = Table(
    "person_day",
    metadata,
    id_column("merchant", primary_key=True),
    id_column("person", primary_key=True),
    Column("kind", String(16), primary_key=True),
    id_column("room", primary_key=True),
    # Days since 1970-01-01 in Shanghai.
    Column("day", Integer, primary_key=True, autoincrement=False, nullable=False),
    count_column("n", None),
    CheckConstraint("n > 0", name="n"),
    Index("ix_person_day_kind", "merchant", "kind", "day", "person", "n"),
    sqlite_with_rowid=False,
)

# How far something was read; one row a reader.
crm_cursor = Table(
    "crm_cursor",
    metadata,
    Column("name", String(20), primary_key=True),
    ms_column("upto_ms"),
    sqlite_with_rowid=False,
)

segment = Table(
    "segment",
    metadata,
    id_column("id", primary_key=True),
    id_column("merchant"),
    Column("name", String(60), nullable=False),
    Column("condition", Text, nullable=False),
    id_column("staff"),
    ms_column("created_ms"),
    Index("ix_segment_merchant", "merchant", "id"),
)

# Accounts at channels that are not the mini-program's: open settings as JSON, secrets sealed.
channel_account = Table(
    "channel_account",
    metadata,
    id_column("merchant", primary_key=True),
    Column("channel", String(8), primary_key=True),
    Column("settings", Text, nullable=False),
    Column("sealed", Text, nullable=False),
    ms_column("updated_ms"),
    CheckConstraint("channel IN ('wecom', 'sms', 'wecomapp')", name="channel"),
    sqlite_with_rowid=False,
)

# One grant is one message; it is the openid's, whoever that is.
subscribe_grant = Table(
    "subscribe_grant",
    metadata,
    id_column("merchant", primary_key=True),
    Column("openid", String(128), primary_key=True),
    id_column("template", primary_key=True),
    count_column("left_n"),
    ms_column("updated_ms"),
    CheckConstraint("left_n >= 0", name="left_n"),
    sqlite_with_rowid=False,
)

broadcast = Table(
    "broadcast",
    metadata,
    id_column("id", primary_key=True),
    id_column("merchant"),
    Column("name", String(60), nullable=False),
    Column("condition", Text, nullable=False),
    Column("channel", String(10), nullable=False),
    Column("body", Text, nullable=False),
    count_column("people"),
    # Messages are written by and by, in the order of people: up to whom; NULL when all are.
    Column("upto", String(64), nullable=True),
    id_column("staff"),
    ms_column("created_ms"),
    Index("ix_broadcast_merchant", "merchant", "id"),
    Index(
        "ix_broadcast_filling", "id", sqlite_where=text("upto IS NOT NULL"), postgresql_where=text("upto IS NOT NULL")
    ),
)

# What is to be said to one person by one channel, and what became of it: the delivery journal.
message = Table(
    "message",
    metadata,
    id_column("id", primary_key=True),
    id_column("merchant"),
    # Empty: to staff, of whom the body says who.
    id_column("person"),
    Column("channel", String(10), nullable=False),
    Column("purpose", String(10), nullable=False),
    # The same key again is the same message.
    Column("key", String(160), nullable=False),
    Column("body", Text, nullable=False),
    Column("state", String(10), nullable=False),
    word_column("why", 200),
    count_column("tries"),
    ms_column("next_ms"),
    # What the provider calls it.
    word_column("number", 128),
    ms_column("created_ms"),
    ms_column("done_ms", nullable=True),
    CheckConstraint("channel IN ('subscribe', 'wecom', 'sms', 'wecomapp')", name="channel"),
    CheckConstraint("purpose IN ('service', 'marketing')", name="purpose"),
    CheckConstraint("state IN ('waiting', 'sent', 'failed', 'dropped')", name="state"),
    Index("ux_message_key", "merchant", "key", unique=True),
    Index(
        "ix_message_due",
        "next_ms",
        sqlite_where=text("state = 'waiting'"),
        postgresql_where=text("state = 'waiting'"),
    ),
    Index("ix_message_person", "merchant", "person", "channel", "done_ms"),
    Index("ix_message_merchant", "merchant", "id"),
)

automation = Table(
    "automation",
    metadata,
    id_column("id", primary_key=True),
    id_column("merchant"),
    Column("name", String(60), nullable=False),
    Column("condition", Text, nullable=False),
    # What is done, as JSON: a coupon of a giving, a tag, a message.
    Column("action", Text, nullable=False),
    # How long the condition is waited out, and whether it still has to hold then.
    Column("delay_ms", BigInteger, nullable=False),
    count_column("again_days"),
    Column("active", Boolean, nullable=False),
    id_column("staff"),
    ms_column("created_ms"),
    Index("ix_automation_merchant", "merchant", "id"),
)

automation_run = Table(
    "automation_run",
    metadata,
    id_column("automation", primary_key=True),
    id_column("person", primary_key=True),
    Column("n", Integer, primary_key=True, autoincrement=False, nullable=False),
    id_column("merchant"),
    Column("state", String(8), nullable=False),
    word_column("why", 200),
    word_column("ref", 64),
    ms_column("begun_ms"),
    ms_column("due_ms"),
    ms_column("done_ms", nullable=True),
    CheckConstraint("state IN ('due', 'done', 'skipped')", name="state"),
    Index("ix_automation_run_merchant", "merchant", "automation", "begun_ms"),
    sqlite_with_rowid=False,
)

popup = Table(
    "popup",
    metadata,
    id_column("id", primary_key=True),
    id_column("merchant"),
    # Empty: in every room.
    word_column("room", 64),
    Column("title", String(60), nullable=False),
    Column("body", Text, nullable=False),
    # JSON of a condition; empty: for everybody.
    Column("condition", Text, nullable=False),
    count_column("per_day", None),
    count_column("total", None),
    ms_column("from_ms"),
    ms_column("until_ms"),
    Column("active", Boolean, nullable=False),
    id_column("staff"),
    ms_column("created_ms"),
    CheckConstraint("per_day > 0 AND total >= per_day", name="total"),
    CheckConstraint("from_ms < until_ms", name="until"),
    Index("ix_popup_merchant", "merchant", "until_ms"),
)

# Under the id that a person had then, as ``person_day``.
popup_shown = Table(
    "popup_shown",
    metadata,
    id_column("popup", primary_key=True),
    id_column("person", primary_key=True),
    Column("day", Integer, primary_key=True, autoincrement=False, nullable=False),
    count_column("n", None),
    count_column("clicks"),
    CheckConstraint("n >= 0", name="n"),
    sqlite_with_rowid=False,
)

# A code by which customers add a member of staff at WeCom; its ``state`` is a link's token.
contact_way = Table(
    "contact_way",
    metadata,
    id_column("id", primary_key=True),
    id_column("merchant"),
    Column("link", String(16), nullable=False),
    Column("config", String(128), nullable=False),
    Column("qr_code", String(500), nullable=False),
    Column("users", Text, nullable=False),
    Column("name", String(60), nullable=False),
    id_column("staff"),
    ms_column("created_ms"),
    Index("ix_contact_way_merchant", "merchant", "id"),
)

# Who has whom at WeCom: a customer may have added several members of staff.
wecom_contact = Table(
    "wecom_contact",
    metadata,
    id_column("merchant", primary_key=True),
    id_column("external", primary_key=True),
    id_column("user", primary_key=True),
    word_column("state", 64),
    ms_column("added_ms"),
    ms_column("ended_ms", nullable=True),
    sqlite_with_rowid=False,
)

# What became of a mass message at WeCom: asked for until it is known, or nobody would send it any more.
wecom_delivery = Table(
    "wecom_delivery",
    metadata,
    id_column("message", primary_key=True),
    id_column("merchant"),
    # The task at WeCom and the member of staff whose it is; who the customer is there, while that is asked for.
    Column("number", String(128), nullable=False),
    id_column("sender"),
    word_column("external", 64),
    Column("outcome", String(12), nullable=False),
    count_column("asks"),
    ms_column("ask_ms", nullable=True),
    CheckConstraint("(outcome = 'waiting') = (ask_ms IS NOT NULL)", name="ask"),
    CheckConstraint(
        "outcome IN ('waiting', 'delivered', 'no_friend', 'had_another', 'untapped')",
        name="outcome",
    ),
    Index(
        "ix_wecom_delivery_ask",
        "ask_ms",
        sqlite_where=text("ask_ms IS NOT NULL"),
        postgresql_where=text("ask_ms IS NOT NULL"),
    ),
    Index("ix_wecom_delivery_task", "merchant", "number", "sender"),
    sqlite_with_rowid=False,
)
