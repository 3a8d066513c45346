"""Tables of the content library: what a merchant publishes and keeps for its people, each text in all its versions.

A version is never changed: a change writes the next one, and ``content.published`` says which of them readers see.
"""

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, Integer, String, Table, Text

from commerce.tables import metadata
from commerce.tables_ledger import count_column, id_column, ms_column, word_column

content = Table(
    "content",
    metadata,
    id_column("id", primary_key=True),
    id_column("merchant"),
    Column("kind", String(8), nullable=False),
    word_column("category", 20),
    Column("audience", String(10), nullable=False),
    Column("sharers", String(12), nullable=False),
    # Where a reader goes from here; empty: nowhere.
    word_column("room", 64),
    count_column("version", None),
    Column("published", Integer, nullable=True),
    id_column("staff"),
    ms_column("created_ms"),
    ms_column("updated_ms"),
    CheckConstraint("kind IN ('article', 'picture', 'video')", name="kind"),
    CheckConstraint("audience IN ('staff', 'everybody')", name="audience"),
    CheckConstraint("sharers IN ('nobody', 'staff', 'distributors', 'everybody')", name="sharers"),
    CheckConstraint("audience = 'everybody' OR sharers = 'nobody'", name="within"),
    CheckConstraint("version >= 1 AND (published IS NULL OR published BETWEEN 1 AND version)", name="version"),
    Index("ix_content_merchant", "merchant", "id"),
)

content_version = Table(
    "content_version",
    metadata,
    Column("content", String(64), ForeignKey("content.id"), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("title", String(60), nullable=False),
    word_column("summary", 200),
    Column("body", Text, nullable=False),
    word_column("cover", 500),
    # JSON lists: addresses of pictures, ids of clips, of SKUs; and the name of a recorded show of the room.
    Column("pictures", Text, nullable=False),
    Column("clips", Text, nullable=False),
    Column("skus", Text, nullable=False),
    word_column("show", 64),
    id_column("staff"),
    ms_column("created_ms"),
    sqlite_with_rowid=False,
)
