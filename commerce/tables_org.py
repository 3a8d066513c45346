"""Tables of the organisation: a merchant's tree of group, brands, dealers, stores and guides, and who sits where.

``org_above`` is the tree's closure: one row for each node and each node above it, itself included, so that "all that
belongs to this subtree" is one join on a key. ``orders.node`` (tables_ledger.py) says whom an order counts for, as it
was when the order was made: it stays when people and rooms move on.
"""

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, String, Table, Text, text

from commerce.tables import metadata
from commerce.tables_ledger import count_column, id_column, ms_column


def of_column(name: str, target: str, *, primary_key: bool = False, nullable: bool = False) -> Column[str]:
    """A column for the id of a row of another table."""
    return Column(name, Text, ForeignKey(target), primary_key=primary_key, nullable=nullable)


# Raised by every change of a merchant's tree: it makes them wait for one another, and tells other processes.
org_tree = Table(
    "org_tree",
    metadata,
    of_column("merchant", "merchant.id", primary_key=True),
    count_column("version", None),
)

org_node = Table(
    "org_node",
    metadata,
    id_column("id", primary_key=True),
    of_column("merchant", "merchant.id"),
    Column("parent", String(64), ForeignKey("org_node.id"), nullable=True),
    Column("kind", String(8), nullable=False),
    Column("name", String(60), nullable=False),
    ms_column("created_ms"),
    ms_column("closed_ms", nullable=True),
    CheckConstraint("kind IN ('group', 'brand', 'dealer', 'store', 'guide')", name="kind"),
    CheckConstraint("(kind = 'group') = (parent IS NULL)", name="parent"),
    Index("ix_org_node_merchant", "merchant", "id"),
    # One tree a merchant, whatever the code above does.
    Index(
        "ux_org_node_root",
        "merchant",
        unique=True,
        sqlite_where=text("parent IS NULL"),
        postgresql_where=text("parent IS NULL"),
    ),
)

org_above = Table(
    "org_above",
    metadata,
    Column("node", String(64), ForeignKey("org_node.id"), primary_key=True),
    Column("above", String(64), ForeignKey("org_node.id"), primary_key=True),
    Index("ix_org_above_above", "above", "node"),
)

# An account has one seat. Who has left keeps theirs: without one, an account would be the whole shop's.
org_member = Table(
    "org_member",
    metadata,
    of_column("staff", "staff.id", primary_key=True),
    of_column("merchant", "merchant.id"),
    Column("node", String(64), ForeignKey("org_node.id"), nullable=False),
    Column("role", String(12), nullable=False),
    ms_column("joined_ms"),
    ms_column("left_ms", nullable=True),
    CheckConstraint(
        "role IN ('owner', 'manager', 'accountant', 'host', 'assistant', 'moderator', 'guide', 'readonly')",
        name="role",
    ),
    Index("ix_org_member_node", "node", "staff"),
)

org_room = Table(
    "org_room",
    metadata,
    of_column("room", "room.id", primary_key=True),
    of_column("merchant", "merchant.id"),
    Column("node", String(64), ForeignKey("org_node.id"), nullable=False),
    Index("ix_org_room_node", "node", "room"),
)
