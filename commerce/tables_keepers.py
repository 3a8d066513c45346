"""Whom a merchant's people made assistants and moderators of rooms, beside the seats of the organisation."""

from sqlalchemy import CheckConstraint, Column, Index, String, Table

from commerce.tables import metadata
from commerce.tables_ledger import id_column, ms_column
from commerce.tables_org import of_column

# ``place`` is a room, a node (its rooms and those below it), or empty for all rooms of the merchant. ``person`` is a
# viewer's id or an account's; one that was merged into another stays as it is, and holds for both.
appointment = Table(
    "appointment",
    metadata,
    of_column("merchant", "merchant.id", primary_key=True),
    id_column("place", primary_key=True),
    id_column("person", primary_key=True),
    Column("kind", String(4), nullable=False),
    Column("role", String(12), nullable=False),
    id_column("appointed_by"),
    ms_column("created_ms"),
    CheckConstraint("kind IN ('room', 'node', 'all')", name="kind"),
    CheckConstraint("(kind = 'all') = (place = '')", name="place"),
    CheckConstraint("role IN ('assistant', 'moderator')", name="role"),
    Index("ix_appointment_person", "person"),
)

# Each appointment and dismissal, for as long as what staff did in rooms is kept.
appointment_step = Table(
    "appointment_step",
    metadata,
    id_column("id", primary_key=True),
    of_column("merchant", "merchant.id"),
    id_column("place"),
    Column("kind", String(4), nullable=False),
    id_column("person"),
    Column("role", String(12), nullable=False),
    Column("step", String(10), nullable=False),
    Column("by", String(64), nullable=False),
    ms_column("at_ms"),
    CheckConstraint("step IN ('appointed', 'dismissed')", name="step"),
    Index("ix_appointment_step_merchant", "merchant", "id"),
    Index("ix_appointment_step_at", "at_ms"),
)
