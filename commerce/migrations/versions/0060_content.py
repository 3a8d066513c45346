"""The content library, and links that lead to what is in it."""

import sqlalchemy as sa
from alembic import op

revision: str = "0060"
down_revision: str | None = "0053"
branch_labels: str | None = None
depends_on: str | None = None

SHARED = ["parent", "issuer", "room", "sku", "channel", "campaign"]
CHILDREN = {"sqlite_where": sa.text("parent IS NOT NULL"), "postgresql_where": sa.text("parent IS NOT NULL")}
OF_CONTENT = {"sqlite_where": sa.text("content <> ''"), "postgresql_where": sa.text("content <> ''")}


def upgrade() -> None:
    """Make the tables, and the columns of links."""
    op.create_table(
        "content",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("merchant", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("category", sa.String(length=20), server_default=sa.text("''"), nullable=False),
        sa.Column("audience", sa.String(length=10), nullable=False),
        sa.Column("sharers", sa.String(length=12), nullable=False),
        sa.Column("room", sa.String(length=64), server_default=sa.text("''"), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("published", sa.Integer(), nullable=True),
        sa.Column("staff", sa.String(length=64), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("kind IN ('article', 'picture', 'video')", name=op.f("ck_content_kind")),
        sa.CheckConstraint("audience IN ('staff', 'everybody')", name=op.f("ck_content_audience")),
        sa.CheckConstraint(
            "sharers IN ('nobody', 'staff', 'distributors', 'everybody')", name=op.f("ck_content_sharers")
        ),
        sa.CheckConstraint("audience = 'everybody' OR sharers = 'nobody'", name=op.f("ck_content_within")),
        sa.CheckConstraint(
            "version >= 1 AND (published IS NULL OR published BETWEEN 1 AND version)", name=op.f("ck_content_version")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_content")),
    )
    op.create_index("ix_content_merchant", "content", ["merchant", "id"], unique=False)
    op.create_table(
        "content_version",
        sa.Column("content", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("title", sa.String(length=60), nullable=False),
        sa.Column("summary", sa.String(length=200), server_default=sa.text("''"), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("cover", sa.String(length=500), server_default=sa.text("''"), nullable=False),
        sa.Column("pictures", sa.Text(), nullable=False),
        sa.Column("clips", sa.Text(), nullable=False),
        sa.Column("skus", sa.Text(), nullable=False),
        sa.Column("show", sa.String(length=64), server_default=sa.text("''"), nullable=False),
        sa.Column("staff", sa.String(length=64), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["content"], ["content.id"], name=op.f("fk_content_version_content_content")),
        sa.PrimaryKeyConstraint("content", "version", name=op.f("pk_content_version")),
        sqlite_with_rowid=False,
    )
    op.add_column("link", sa.Column("content", sa.Text(), server_default=sa.text("''"), nullable=False))
    # The same person sharing the same link for other content is another child.
    op.drop_index("ux_link_share", "link")
    op.create_index("ux_link_share", "link", [*SHARED, "content"], unique=True, **CHILDREN)  # type: ignore[arg-type]
    op.create_index("ix_link_content", "link", ["merchant", "content"], unique=False, **OF_CONTENT)  # type: ignore[arg-type]
    op.create_index("ix_order_credit_link", "order_credit", ["link", "model"], unique=False)


def downgrade() -> None:
    """Take them away again."""
    op.drop_index("ix_order_credit_link", "order_credit")
    op.drop_index("ix_link_content", "link")
    op.drop_index("ux_link_share", "link")
    op.drop_column("link", "content")
    op.create_index("ux_link_share", "link", SHARED, unique=True, **CHILDREN)  # type: ignore[arg-type]
    op.drop_table("content_version")
    op.drop_table("content")
