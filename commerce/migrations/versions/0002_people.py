"""People: merchants, staff, rooms, goods, shelves, pins, coupon templates, persons and share links."""

import sqlalchemy as sa
from alembic import op

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Make the tables of the merchant's side."""
    _shops()
    _goods()
    _shelves()
    _people()


def _shops() -> None:
    op.create_table(
        "merchant",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_merchant")),
    )
    op.create_table(
        "room",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("merchant", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("host_name", sa.Text(), nullable=False),
        sa.Column("cover", sa.Text(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("closed_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["merchant"], ["merchant.id"], name=op.f("fk_room_merchant_merchant")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_room")),
    )
    op.create_index(op.f("ix_room_merchant"), "room", ["merchant"], unique=False)
    op.create_table(
        "staff",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("merchant", sa.Text(), nullable=False),
        sa.Column("login", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("room", sa.Text(), nullable=True),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("role IN ('merchant', 'host', 'guide')", name=op.f("ck_staff_role")),
        sa.ForeignKeyConstraint(["merchant"], ["merchant.id"], name=op.f("fk_staff_merchant_merchant")),
        sa.ForeignKeyConstraint(["room"], ["room.id"], name=op.f("fk_staff_room_room")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_staff")),
        sa.UniqueConstraint("login", name=op.f("uq_staff_login")),
    )
    op.create_index(op.f("ix_staff_merchant"), "staff", ["merchant"], unique=False)


def _goods() -> None:
    op.create_table(
        "product",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("merchant", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("image", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("on_shelf", sa.Boolean(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["merchant"], ["merchant.id"], name=op.f("fk_product_merchant_merchant")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_product")),
    )
    op.create_index(op.f("ix_product_merchant"), "product", ["merchant"], unique=False)
    op.create_table(
        "sku",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("product", sa.Text(), nullable=False),
        sa.Column("merchant", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("price", sa.BigInteger(), nullable=False),
        sa.Column("list_price", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.CheckConstraint("list_price >= price", name=op.f("ck_sku_list_price")),
        sa.CheckConstraint("price >= 1", name=op.f("ck_sku_price")),
        sa.CheckConstraint("version >= 1", name=op.f("ck_sku_version")),
        sa.ForeignKeyConstraint(["merchant"], ["merchant.id"], name=op.f("fk_sku_merchant_merchant")),
        sa.ForeignKeyConstraint(["product"], ["product.id"], name=op.f("fk_sku_product_product")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sku")),
    )
    op.create_index(op.f("ix_sku_product"), "sku", ["product"], unique=False)


def _shelves() -> None:
    op.create_table(
        "shelf",
        sa.Column("room", sa.Text(), nullable=False),
        sa.Column("product", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.CheckConstraint("state IN ('on', 'sold_out')", name=op.f("ck_shelf_state")),
        sa.ForeignKeyConstraint(["product"], ["product.id"], name=op.f("fk_shelf_product_product")),
        sa.ForeignKeyConstraint(["room"], ["room.id"], name=op.f("fk_shelf_room_room")),
        sa.PrimaryKeyConstraint("room", "product", name=op.f("pk_shelf")),
    )
    op.create_index("ix_shelf_product", "shelf", ["product"], unique=False)
    op.create_table(
        "pin",
        sa.Column("room", sa.Text(), nullable=False),
        sa.Column("product", sa.Text(), nullable=False),
        sa.Column("explaining", sa.Boolean(), nullable=False),
        sa.Column("pinned_ms", sa.BigInteger(), nullable=False),
        sa.Column("media_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["product"], ["product.id"], name=op.f("fk_pin_product_product")),
        sa.ForeignKeyConstraint(["room"], ["room.id"], name=op.f("fk_pin_room_room")),
        sa.PrimaryKeyConstraint("room", "product", name=op.f("pk_pin")),
    )
    op.create_index(
        "ux_pin_explaining",
        "pin",
        ["room"],
        unique=True,
        sqlite_where=sa.text("explaining"),
        postgresql_where=sa.text("explaining"),
    )
    op.create_table(
        "coupon_template",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("merchant", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("threshold", sa.BigInteger(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("per_person", sa.Integer(), nullable=False),
        sa.Column("valid_s", sa.Integer(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("amount >= 1 AND threshold >= 0", name=op.f("ck_coupon_template_amount")),
        sa.CheckConstraint("total >= 1 AND per_person >= 1 AND valid_s >= 1", name=op.f("ck_coupon_template_total")),
        sa.ForeignKeyConstraint(["merchant"], ["merchant.id"], name=op.f("fk_coupon_template_merchant_merchant")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_coupon_template")),
    )
    op.create_index(op.f("ix_coupon_template_merchant"), "coupon_template", ["merchant"], unique=False)


def _people() -> None:
    op.create_table(
        "person",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("merchant", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["merchant"], ["merchant.id"], name=op.f("fk_person_merchant_merchant")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_person")),
    )
    op.create_index("ix_person_merchant_id", "person", ["merchant", "id"], unique=False)
    op.create_table(
        "identity",
        sa.Column("merchant", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("kind IN ('guest', 'device', 'wechat')", name=op.f("ck_identity_kind")),
        sa.ForeignKeyConstraint(["merchant"], ["merchant.id"], name=op.f("fk_identity_merchant_merchant")),
        sa.ForeignKeyConstraint(["person"], ["person.id"], name=op.f("fk_identity_person_person")),
        sa.PrimaryKeyConstraint("merchant", "kind", "value", name=op.f("pk_identity")),
    )
    op.create_index(op.f("ix_identity_person"), "identity", ["person"], unique=False)
    op.create_table(
        "link",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("merchant", sa.Text(), nullable=False),
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("room", sa.Text(), nullable=False),
        sa.Column("sku", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("campaign", sa.Text(), nullable=False),
        sa.Column("parent", sa.Text(), nullable=True),
        sa.Column("root", sa.Text(), nullable=False),
        sa.Column("depth", sa.Integer(), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=True),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("depth >= 0 AND (depth = 0) = (parent IS NULL)", name=op.f("ck_link_depth")),
        sa.ForeignKeyConstraint(["merchant"], ["merchant.id"], name=op.f("fk_link_merchant_merchant")),
        sa.ForeignKeyConstraint(["parent"], ["link.id"], name=op.f("fk_link_parent_link")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_link")),
    )
    op.create_index("ix_link_merchant_id", "link", ["merchant", "id"], unique=False)
    op.create_index(
        "ux_link_share",
        "link",
        ["parent", "issuer", "room", "sku", "channel", "campaign"],
        unique=True,
        sqlite_where=sa.text("parent IS NOT NULL"),
        postgresql_where=sa.text("parent IS NOT NULL"),
    )
