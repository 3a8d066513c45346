"""Tables of what a room's audience asks and votes."""

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, Table, Text, text

from commerce.tables import metadata

# Questions that wait for an answer; one that was answered or dropped is gone.
room_question = Table(
    "room_question",
    metadata,
    Column("id", Text, primary_key=True),
    Column("room", Text, ForeignKey("room.id"), nullable=False, index=True),
    Column("person", Text, nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("asked_ms", BigInteger, nullable=False),
)

# ``options`` and ``votes`` are JSON arrays; ``votes`` is the result, null while the poll is open.
room_poll = Table(
    "room_poll",
    metadata,
    Column("id", Text, primary_key=True),
    Column("room", Text, ForeignKey("room.id"), nullable=False),
    Column("title", Text, nullable=False),
    Column("options", Text, nullable=False),
    Column("started_ms", BigInteger, nullable=False),
    Column("ends_ms", BigInteger, nullable=False),
    Column("ended_ms", BigInteger, nullable=False),
    Column("votes", Text),
    Index("ix_room_poll_room", "room", "started_ms", "id"),
    # One poll at a time, whichever process is asked.
    Index(
        "uq_room_poll_open",
        "room",
        unique=True,
        sqlite_where=text("ended_ms = 0"),
        postgresql_where=text("ended_ms = 0"),
    ),
)

# Who voted for what in an open poll; a poll that ended has its sums alone.
room_vote = Table(
    "room_vote",
    metadata,
    Column("poll", Text, ForeignKey("room_poll.id"), primary_key=True),
    Column("person", Text, primary_key=True, index=True),
    Column("option", Integer, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
)
