"""What guides wrote down about customers after a visit."""

from sqlalchemy import Column, Index, Table, Text

from commerce.tables import metadata
from commerce.tables_ledger import id_column, ms_column, word_column

# About the person, and theirs to be told and to have erased: no word on health, faith or the like belongs here.
visit_note = Table(
    "visit_note",
    metadata,
    id_column("id", primary_key=True),
    id_column("merchant"),
    id_column("person"),
    id_column("staff"),
    word_column("place", 60),
    Column("body", Text, nullable=False),
    ms_column("visited_ms"),
    ms_column("created_ms"),
    Index("ix_visit_note_person", "person", "id"),
)
