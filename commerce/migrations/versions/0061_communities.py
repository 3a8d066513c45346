"""Community groups and their members."""

import sqlalchemy as sa
from alembic import op

revision: str = "0061"
down_revision: str | None = "0060"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "community",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("merchant", sa.String(length=64), nullable=False),
        sa.Column("node", sa.String(length=64), server_default=sa.text("''"), nullable=False),
        sa.Column("owner", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("rules", sa.Text(), nullable=False),
        sa.Column("rules_version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("room", sa.String(length=64), server_default=sa.text("''"), nullable=False),
        sa.Column("link", sa.String(length=16), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("closed_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_community")),
    )
    op.create_index("ix_community_merchant", "community", ["merchant", "id"], unique=False)
    op.create_table(
        "community_member",
        sa.Column("community", sa.String(length=64), nullable=False),
        sa.Column("person", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=8), nullable=False),
        sa.Column("rules_version", sa.Integer(), nullable=False),
        sa.Column("joined_ms", sa.BigInteger(), nullable=False),
        sa.Column("left_ms", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("role IN ('member', 'leader')", name=op.f("ck_community_member_role")),
        sa.ForeignKeyConstraint(["community"], ["community.id"], name=op.f("fk_community_member_community_community")),
        sa.PrimaryKeyConstraint("community", "person", name=op.f("pk_community_member")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_community_member_person", "community_member", ["person"], unique=False)
    op.create_index(
        "ix_community_member_joined",
        "community_member",
        ["community", "joined_ms"],
        unique=False,
        sqlite_where=sa.text("left_ms IS NULL"),
        postgresql_where=sa.text("left_ms IS NULL"),
    )


def downgrade() -> None:
    """Take them away again."""
    op.drop_table("community_member")
    op.drop_table("community")
