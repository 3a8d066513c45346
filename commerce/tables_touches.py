"""The touch log's table, in a database file of its own: writing it never delays a hold.

A touch with a link carries what the link said then (issuer, role, channel, root, depth): reports and decisions read one
table, and a later change of the link changes no history. ``reason`` tells why a token gave no attribution; ``link`` is
then NULL unless the token named a real but lapsed link.
"""

from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, Table, Text, text

touches_metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_N_label)s",
        "pk": "pk_%(table_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

touch = Table(
    "touch",
    touches_metadata,
    Column("id", Text, primary_key=True),
    Column("ms", BigInteger, nullable=False),
    Column("merchant", Text, nullable=False),
    Column("person", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("room", Text, nullable=False),
    Column("sku", Text, nullable=False),
    Column("link", Text, nullable=True),
    Column("issuer", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("root", Text, nullable=False),
    Column("depth", Integer, nullable=False),
    Column("evidence", Text, nullable=False),
    Column("reason", Text, nullable=True),
    Column("campaign", Text, nullable=False, server_default=text("''")),
    # Who hosted the room then, and the explanation that was watched.
    Column("host", Text, nullable=False, server_default=text("''")),
    Column("clip", Text, nullable=False, server_default=text("''")),
    Column("content", Text, nullable=False, server_default=text("''")),
    Index("ix_touch_merchant_person_ms", "merchant", "person", "ms"),
    Index("ix_touch_merchant_ms", "merchant", "ms", "kind", "person"),
    Index(
        "ix_touch_merchant_link_ms",
        "merchant",
        "link",
        "ms",
        "person",
        sqlite_where=text("link IS NOT NULL"),
        postgresql_where=text("link IS NOT NULL"),
    ),
    # Readings are counted by this alone, and are all that is in it: the other touches do not pay for it.
    Index(
        "ix_touch_merchant_content",
        "merchant",
        "content",
        "issuer",
        "person",
        sqlite_where=text("content <> '' AND kind = 'content_read'"),
        postgresql_where=text("content <> '' AND kind = 'content_read'"),
    ),
    sqlite_with_rowid=False,
)

# How many different people met the shop in any run of days: commerce/attribution/reach.py says how.
reach_key = Table(
    "reach_key",
    touches_metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("merchant", Text, nullable=False),
    Column("dimension", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("issuer", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Index("ix_reach_key_merchant", "merchant", "dimension", "key", unique=True),
)

reach_seen = Table(
    "reach_seen",
    touches_metadata,
    Column("key_id", BigInteger, primary_key=True),
    Column("person", BigInteger, primary_key=True),
    Column("day", Integer, primary_key=True),
    Column("steps", Integer, nullable=False),
    sqlite_with_rowid=False,
)

reach = Table(
    "reach",
    touches_metadata,
    Column("key_id", BigInteger, primary_key=True),
    Column("day", Integer, primary_key=True),
    Column("before", Integer, primary_key=True),
    Column("step", Integer, primary_key=True),
    Column("persons", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
