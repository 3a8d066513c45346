"""Pictures as wishes: what buyers attach to what is made for them."""

import sqlalchemy as sa
from alembic import op

revision: str = "0134"
down_revision: str | None = "0131"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "custom_picture",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("merchant", sa.String(64), nullable=False),
        sa.Column("person", sa.String(64), nullable=False),
        sa.Column("room", sa.String(64), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("jpeg", sa.LargeBinary(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("used_ms", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("width > 0 AND height > 0", name=op.f("ck_custom_picture_size")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_custom_picture")),
    )
    op.create_index("ix_custom_picture_person", "custom_picture", ["merchant", "person", "digest"])
    op.create_index("ix_custom_picture_used", "custom_picture", ["used_ms"])
    unused = sa.text("used_ms IS NULL")
    op.create_index(
        "ix_custom_picture_unused",
        "custom_picture",
        ["merchant", "created_ms"],
        sqlite_where=unused,
        postgresql_where=unused,
    )


def downgrade() -> None:
    """Take it away again."""
    op.drop_index("ix_custom_picture_unused", "custom_picture")
    op.drop_index("ix_custom_picture_used", "custom_picture")
    op.drop_index("ix_custom_picture_person", "custom_picture")
    op.drop_table("custom_picture")
