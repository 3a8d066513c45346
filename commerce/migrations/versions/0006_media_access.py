"""Publish keys, revoked play tokens, and the hook that is asked before a broadcast."""

import sqlalchemy as sa
from alembic import op

revision: str = "0006"
down_revision: str | None = "0005"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Make the four tables."""
    op.create_table(
        "stream_key",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("room", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("network", sa.Text(), nullable=True),
        sa.Column("expires_ms", sa.BigInteger(), nullable=True),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("revoked_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["room"], ["room.id"], name=op.f("fk_stream_key_room_room")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stream_key")),
    )
    op.create_index("ix_stream_key_room_id", "stream_key", ["room", "id"], unique=False)
    op.create_table(
        "room_access",
        sa.Column("room", sa.Text(), nullable=False),
        sa.Column("key_generation", sa.Integer(), nullable=False),
        sa.Column("play_after_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("key_generation >= 0", name=op.f("ck_room_access_key_generation")),
        sa.ForeignKeyConstraint(["room"], ["room.id"], name=op.f("fk_room_access_room_room")),
        sa.PrimaryKeyConstraint("room", name=op.f("pk_room_access")),
    )
    op.create_table(
        "play_revocation",
        sa.Column("room", sa.Text(), nullable=False),
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["room"], ["room.id"], name=op.f("fk_play_revocation_room_room")),
        sa.PrimaryKeyConstraint("room", "token", name=op.f("pk_play_revocation")),
    )
    op.create_table(
        "media_hook",
        sa.Column("merchant", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("timeout_ms", sa.Integer(), nullable=False),
        sa.Column("fail_open", sa.Boolean(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["merchant"], ["merchant.id"], name=op.f("fk_media_hook_merchant_merchant")),
        sa.PrimaryKeyConstraint("merchant", name=op.f("pk_media_hook")),
    )


def downgrade() -> None:
    """Take them away again."""
    for table in ("media_hook", "play_revocation", "room_access"):
        op.drop_table(table)
    op.drop_index("ix_stream_key_room_id", table_name="stream_key")
    op.drop_table("stream_key")
