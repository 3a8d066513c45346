"""The organisation's tree, seats, rooms, whom an order counts for; customers handed over, coupons by their issuer."""

import sqlalchemy as sa
from alembic import op

revision: str = "0032"
down_revision: str | None = "0039"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Make the tables and the column."""
    op.create_table(
        "org_tree",
        sa.Column("merchant", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["merchant"], ["merchant.id"], name=op.f("fk_org_tree_merchant_merchant")),
        sa.PrimaryKeyConstraint("merchant", name=op.f("pk_org_tree")),
    )
    op.create_table(
        "org_node",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("merchant", sa.Text(), nullable=False),
        sa.Column("parent", sa.String(length=64), nullable=True),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("closed_ms", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("kind IN ('group', 'brand', 'dealer', 'store', 'guide')", name=op.f("ck_org_node_kind")),
        sa.CheckConstraint("(kind = 'group') = (parent IS NULL)", name=op.f("ck_org_node_parent")),
        sa.ForeignKeyConstraint(["merchant"], ["merchant.id"], name=op.f("fk_org_node_merchant_merchant")),
        sa.ForeignKeyConstraint(["parent"], ["org_node.id"], name=op.f("fk_org_node_parent_org_node")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_org_node")),
    )
    op.create_index("ix_org_node_merchant", "org_node", ["merchant", "id"], unique=False)
    op.create_index(
        "ux_org_node_root",
        "org_node",
        ["merchant"],
        unique=True,
        sqlite_where=sa.text("parent IS NULL"),
        postgresql_where=sa.text("parent IS NULL"),
    )
    op.create_table(
        "org_above",
        sa.Column("node", sa.String(length=64), nullable=False),
        sa.Column("above", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["above"], ["org_node.id"], name=op.f("fk_org_above_above_org_node")),
        sa.ForeignKeyConstraint(["node"], ["org_node.id"], name=op.f("fk_org_above_node_org_node")),
        sa.PrimaryKeyConstraint("node", "above", name=op.f("pk_org_above")),
    )
    op.create_index("ix_org_above_above", "org_above", ["above", "node"], unique=False)
    op.create_table(
        "org_member",
        sa.Column("staff", sa.Text(), nullable=False),
        sa.Column("merchant", sa.Text(), nullable=False),
        sa.Column("node", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=12), nullable=False),
        sa.Column("joined_ms", sa.BigInteger(), nullable=False),
        sa.Column("left_ms", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "role IN ('owner', 'manager', 'accountant', 'host', 'guide', 'readonly')", name=op.f("ck_org_member_role")
        ),
        sa.ForeignKeyConstraint(["merchant"], ["merchant.id"], name=op.f("fk_org_member_merchant_merchant")),
        sa.ForeignKeyConstraint(["node"], ["org_node.id"], name=op.f("fk_org_member_node_org_node")),
        sa.ForeignKeyConstraint(["staff"], ["staff.id"], name=op.f("fk_org_member_staff_staff")),
        sa.PrimaryKeyConstraint("staff", name=op.f("pk_org_member")),
    )
    op.create_index("ix_org_member_node", "org_member", ["node", "staff"], unique=False)
    op.create_table(
        "org_room",
        sa.Column("room", sa.Text(), nullable=False),
        sa.Column("merchant", sa.Text(), nullable=False),
        sa.Column("node", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["merchant"], ["merchant.id"], name=op.f("fk_org_room_merchant_merchant")),
        sa.ForeignKeyConstraint(["node"], ["org_node.id"], name=op.f("fk_org_room_node_org_node")),
        sa.ForeignKeyConstraint(["room"], ["room.id"], name=op.f("fk_org_room_room_room")),
        sa.PrimaryKeyConstraint("room", name=op.f("pk_org_room")),
    )
    op.create_index("ix_org_room_node", "org_room", ["node", "room"], unique=False)
    op.add_column("orders", sa.Column("node", sa.String(length=64), nullable=False, server_default=sa.text("''")))
    op.create_index(
        "ix_orders_node",
        "orders",
        ["node", "id"],
        unique=False,
        sqlite_where=sa.text("node <> ''"),
        postgresql_where=sa.text("node <> ''"),
    )
    op.create_index(
        "ix_drop_issuer",
        "drop_",
        ["merchant", "issuer"],
        unique=False,
        sqlite_where=sa.text("issuer <> ''"),
        postgresql_where=sa.text("issuer <> ''"),
    )
    op.add_column("binding", sa.Column("handed", sa.Boolean(), nullable=False, server_default=sa.text("false")))


def downgrade() -> None:
    """Take them away again."""
    op.drop_column("binding", "handed")
    op.drop_index("ix_drop_issuer", table_name="drop_")
    op.drop_index("ix_orders_node", table_name="orders")
    op.drop_column("orders", "node")
    for table in ("org_room", "org_member", "org_above", "org_node", "org_tree"):
        op.drop_table(table)
