"""Tables of community groups: their rules, and who is in them under which version of the rules."""

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, Integer, String, Table, Text, text

from commerce.tables import metadata
from commerce.tables_ledger import count_column, id_column, ms_column, word_column

community = Table(
    "community",
    metadata,
    id_column("id", primary_key=True),
    id_column("merchant"),
    # Of the organisation; empty: the whole shop's.
    word_column("node", 64),
    id_column("owner"),
    Column("name", String(60), nullable=False),
    Column("rules", Text, nullable=False),
    count_column("rules_version", 1),
    # Whose room its members are led to; empty: none.
    word_column("room", 64),
    # The link by which people join; its channel is the group's.
    Column("link", String(16), nullable=False),
    ms_column("created_ms"),
    ms_column("closed_ms", nullable=True),
    Index("ix_community_merchant", "merchant", "id"),
)

# Who has left keeps their row: joining again is told apart from joining.
community_member = Table(
    "community_member",
    metadata,
    Column("community", String(64), ForeignKey("community.id"), primary_key=True),
    id_column("person", primary_key=True),
    Column("role", String(8), nullable=False),
    # Which version of the rules they said yes to.
    Column("rules_version", Integer, nullable=False),
    ms_column("joined_ms"),
    ms_column("left_ms", nullable=True),
    CheckConstraint("role IN ('member', 'leader')", name="role"),
    Index("ix_community_member_person", "person"),
    Index(
        "ix_community_member_joined",
        "community",
        "joined_ms",
        sqlite_where=text("left_ms IS NULL"),
        postgresql_where=text("left_ms IS NULL"),
    ),
    sqlite_with_rowid=False,
)
