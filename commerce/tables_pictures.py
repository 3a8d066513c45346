"""Pictures that buyers attach to what is made for them (定制)."""

from sqlalchemy import CheckConstraint, Column, Index, Integer, LargeBinary, String, Table, text

from commerce.tables import metadata
from commerce.tables_ledger import id_column, ms_column

custom_picture = Table(
    "custom_picture",
    metadata,
    id_column("id", primary_key=True),
    id_column("merchant"),
    id_column("person"),
    # Where it was sent from: who runs a part of the shop sees those of its rooms and customers.
    id_column("room"),
    # Of the file as it was sent, SHA-256: what is sent again is the same picture.
    Column("digest", String(64), nullable=False),
    Column("jpeg", LargeBinary, nullable=False),
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    ms_column("created_ms"),
    # When an order or a request named it last; one that none names goes after a day.
    ms_column("used_ms", nullable=True),
    CheckConstraint("width > 0 AND height > 0", name="size"),
    Index("ix_custom_picture_person", "merchant", "person", "digest"),
    Index("ix_custom_picture_used", "used_ms"),
    Index(
        "ix_custom_picture_unused",
        "merchant",
        "created_ms",
        sqlite_where=text("used_ms IS NULL"),
        postgresql_where=text("used_ms IS NULL"),
    ),
)
