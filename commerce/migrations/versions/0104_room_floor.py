"""Questions, polls and votes of rooms are kept."""

import sqlalchemy as sa
from alembic import op

revision: str = "0104"
down_revision: str | None = "0101"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "room_question",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("room", sa.Text(), nullable=False),
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("asked_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["room"], ["room.id"], name=op.f("fk_room_question_room_room")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_room_question")),
    )
    op.create_index("ix_room_question_room", "room_question", ["room"])
    op.create_index("ix_room_question_person", "room_question", ["person"])
    op.create_table(
        "room_poll",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("room", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("options", sa.Text(), nullable=False),
        sa.Column("started_ms", sa.BigInteger(), nullable=False),
        sa.Column("ends_ms", sa.BigInteger(), nullable=False),
        sa.Column("ended_ms", sa.BigInteger(), nullable=False),
        sa.Column("votes", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["room"], ["room.id"], name=op.f("fk_room_poll_room_room")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_room_poll")),
    )
    op.create_index("ix_room_poll_room", "room_poll", ["room", "started_ms", "id"])
    open_ = sa.text("ended_ms = 0")
    op.create_index("uq_room_poll_open", "room_poll", ["room"], unique=True, sqlite_where=open_, postgresql_where=open_)
    op.create_table(
        "room_vote",
        sa.Column("poll", sa.Text(), nullable=False),
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("option", sa.Integer(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["poll"], ["room_poll.id"], name=op.f("fk_room_vote_poll_room_poll")),
        sa.PrimaryKeyConstraint("poll", "person", name=op.f("pk_room_vote")),
    )
    op.create_index("ix_room_vote_person", "room_vote", ["person"])


def downgrade() -> None:
    """Take them away again."""
    op.drop_table("room_vote")
    op.drop_table("room_poll")
    op.drop_table("room_question")
