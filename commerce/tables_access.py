"""Who may broadcast into a room and watch it: publish keys, revoked play tokens, and a merchant's own say."""

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, ForeignKey, Index, Integer, Table, Text

from commerce.tables import metadata

# The key's text is not here: it is computed from the server's secret, so a copy of the database opens no room.
stream_key = Table(
    "stream_key",
    metadata,
    Column("id", Text, primary_key=True),
    Column("room", Text, ForeignKey("room.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("network", Text, nullable=True),
    Column("expires_ms", BigInteger, nullable=True),
    Column("created_ms", BigInteger, nullable=False),
    Column("revoked_ms", BigInteger, nullable=True),
    Index("ix_stream_key_room_id", "room", "id"),
)

# A room without a row has its first key, and no play token of it is too old.
room_access = Table(
    "room_access",
    metadata,
    Column("room", Text, ForeignKey("room.id"), primary_key=True),
    Column("key_generation", Integer, nullable=False),
    Column("play_after_ms", BigInteger, nullable=False),
    CheckConstraint("key_generation >= 0", name="key_generation"),
)

play_revocation = Table(
    "play_revocation",
    metadata,
    Column("room", Text, ForeignKey("room.id"), primary_key=True),
    Column("token", Text, primary_key=True),
    Column("expires_ms", BigInteger, nullable=False),
)

media_hook = Table(
    "media_hook",
    metadata,
    Column("merchant", Text, ForeignKey("merchant.id"), primary_key=True),
    Column("url", Text, nullable=False),
    Column("secret", Text, nullable=False),
    Column("timeout_ms", Integer, nullable=False),
    Column("fail_open", Boolean, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
)

review_hook = Table(
    "review_hook",
    metadata,
    Column("merchant", Text, ForeignKey("merchant.id"), primary_key=True),
    # Empty for all rooms of the merchant that have none of their own.
    Column("room", Text, primary_key=True),
    Column("url", Text, nullable=False),
    Column("secret", Text, nullable=False),
    Column("timeout_ms", Integer, nullable=False),
    Column("fail_open", Boolean, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
)
