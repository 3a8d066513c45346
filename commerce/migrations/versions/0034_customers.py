"""Customers: tags, segments, stages of life, messages and their journal, automations, pop-ups, WeCom."""

import sqlalchemy as sa
from alembic import op

revision: str = "0034"
down_revision: str | None = "0039"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Make the tables, and room for the tag that a drop is for."""
    op.add_column("drop_", sa.Column("for_tag", sa.String(length=20), nullable=False, server_default=sa.text("''")))
    _sorted()
    _told()
    _acts()


def _sorted() -> None:
    """How customers are sorted."""
    op.create_table(
        "crm_cursor",
        sa.Column("name", sa.String(length=20), nullable=False),
        sa.Column("upto_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_crm_cursor")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "crm_policy",
        sa.Column("merchant", sa.String(length=64), nullable=False),
        sa.Column("terms", sa.Text(), nullable=False),
        sa.Column("staff", sa.String(length=64), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("merchant", name=op.f("pk_crm_policy")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "person_day",
        sa.Column("merchant", sa.String(length=64), nullable=False),
        sa.Column("person", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("room", sa.String(length=64), nullable=False),
        sa.Column("day", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.CheckConstraint("n > 0", name=op.f("ck_person_day_n")),
        sa.PrimaryKeyConstraint("merchant", "person", "kind", "room", "day", name=op.f("pk_person_day")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_person_day_kind", "person_day", ["merchant", "kind", "day", "person", "n"], unique=False)
    op.create_table(
        "person_stage",
        sa.Column("merchant", sa.String(length=64), nullable=False),
        sa.Column("person", sa.String(length=64), nullable=False),
        sa.Column("stage", sa.String(length=8), nullable=False),
        sa.Column("since_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("stage IN ('passer', 'fan', 'customer', 'loyal')", name=op.f("ck_person_stage_stage")),
        sa.PrimaryKeyConstraint("merchant", "person", name=op.f("pk_person_stage")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_person_stage_stage", "person_stage", ["merchant", "stage", "person"], unique=False)
    op.create_table(
        "person_tag",
        sa.Column("merchant", sa.String(length=64), nullable=False),
        sa.Column("person", sa.String(length=64), nullable=False),
        sa.Column("tag", sa.String(length=20), nullable=False),
        sa.Column("staff", sa.String(length=64), server_default=sa.text("''"), nullable=False),
        sa.Column("since_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("merchant", "person", "tag", name=op.f("pk_person_tag")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_person_tag_tag", "person_tag", ["merchant", "tag", "person"], unique=False)
    op.create_table(
        "segment",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("merchant", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("condition", sa.Text(), nullable=False),
        sa.Column("staff", sa.String(length=64), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_segment")),
    )
    op.create_index("ix_segment_merchant", "segment", ["merchant", "id"], unique=False)
    op.create_table(
        "tag",
        sa.Column("merchant", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=20), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("condition", sa.Text(), nullable=False),
        sa.Column("staff", sa.String(length=64), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("(kind = 'manual') = (condition = '')", name=op.f("ck_tag_condition")),
        sa.CheckConstraint("kind IN ('manual', 'rule', 'computed')", name=op.f("ck_tag_kind")),
        sa.PrimaryKeyConstraint("merchant", "name", name=op.f("pk_tag")),
        sqlite_with_rowid=False,
    )


def _told() -> None:
    """What they are told."""
    op.create_table(
        "broadcast",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("merchant", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("condition", sa.Text(), nullable=False),
        sa.Column("channel", sa.String(length=10), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("people", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("upto", sa.String(length=64), nullable=True),
        sa.Column("staff", sa.String(length=64), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_broadcast")),
    )
    op.create_index(
        "ix_broadcast_filling",
        "broadcast",
        ["id"],
        unique=False,
        sqlite_where=sa.text("upto IS NOT NULL"),
        postgresql_where=sa.text("upto IS NOT NULL"),
    )
    op.create_index("ix_broadcast_merchant", "broadcast", ["merchant", "id"], unique=False)
    op.create_table(
        "channel_account",
        sa.Column("merchant", sa.String(length=64), nullable=False),
        sa.Column("channel", sa.String(length=8), nullable=False),
        sa.Column("settings", sa.Text(), nullable=False),
        sa.Column("sealed", sa.Text(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("channel IN ('wecom', 'sms')", name=op.f("ck_channel_account_channel")),
        sa.PrimaryKeyConstraint("merchant", "channel", name=op.f("pk_channel_account")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "message",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("merchant", sa.String(length=64), nullable=False),
        sa.Column("person", sa.String(length=64), nullable=False),
        sa.Column("channel", sa.String(length=10), nullable=False),
        sa.Column("purpose", sa.String(length=10), nullable=False),
        sa.Column("key", sa.String(length=160), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("why", sa.String(length=200), server_default=sa.text("''"), nullable=False),
        sa.Column("tries", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("next_ms", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.String(length=128), server_default=sa.text("''"), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("done_ms", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("channel IN ('subscribe', 'wecom', 'sms')", name=op.f("ck_message_channel")),
        sa.CheckConstraint("purpose IN ('service', 'marketing')", name=op.f("ck_message_purpose")),
        sa.CheckConstraint("state IN ('waiting', 'sent', 'failed', 'dropped')", name=op.f("ck_message_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_message")),
    )
    op.create_index(
        "ix_message_due",
        "message",
        ["next_ms"],
        unique=False,
        sqlite_where=sa.text("state = 'waiting'"),
        postgresql_where=sa.text("state = 'waiting'"),
    )
    op.create_index("ix_message_merchant", "message", ["merchant", "id"], unique=False)
    op.create_index("ix_message_person", "message", ["merchant", "person", "channel", "done_ms"], unique=False)
    op.create_index("ux_message_key", "message", ["merchant", "key"], unique=True)
    op.create_table(
        "subscribe_grant",
        sa.Column("merchant", sa.String(length=64), nullable=False),
        sa.Column("openid", sa.String(length=128), nullable=False),
        sa.Column("template", sa.String(length=64), nullable=False),
        sa.Column("left_n", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("left_n >= 0", name=op.f("ck_subscribe_grant_left_n")),
        sa.PrimaryKeyConstraint("merchant", "openid", "template", name=op.f("pk_subscribe_grant")),
        sqlite_with_rowid=False,
    )


def _acts() -> None:
    """What happens by itself."""
    op.create_table(
        "automation",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("merchant", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("condition", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("delay_ms", sa.BigInteger(), nullable=False),
        sa.Column("again_days", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("staff", sa.String(length=64), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_automation")),
    )
    op.create_index("ix_automation_merchant", "automation", ["merchant", "id"], unique=False)
    op.create_table(
        "automation_run",
        sa.Column("automation", sa.String(length=64), nullable=False),
        sa.Column("person", sa.String(length=64), nullable=False),
        sa.Column("n", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("merchant", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("why", sa.String(length=200), server_default=sa.text("''"), nullable=False),
        sa.Column("ref", sa.String(length=64), server_default=sa.text("''"), nullable=False),
        sa.Column("begun_ms", sa.BigInteger(), nullable=False),
        sa.Column("due_ms", sa.BigInteger(), nullable=False),
        sa.Column("done_ms", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("state IN ('due', 'done', 'skipped')", name=op.f("ck_automation_run_state")),
        sa.PrimaryKeyConstraint("automation", "person", "n", name=op.f("pk_automation_run")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_automation_run_merchant", "automation_run", ["merchant", "automation", "begun_ms"], unique=False
    )
    op.create_table(
        "contact_way",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("merchant", sa.String(length=64), nullable=False),
        sa.Column("link", sa.String(length=16), nullable=False),
        sa.Column("config", sa.String(length=128), nullable=False),
        sa.Column("qr_code", sa.String(length=500), nullable=False),
        sa.Column("users", sa.Text(), nullable=False),
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("staff", sa.String(length=64), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contact_way")),
    )
    op.create_index("ix_contact_way_merchant", "contact_way", ["merchant", "id"], unique=False)
    op.create_table(
        "popup",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("merchant", sa.String(length=64), nullable=False),
        sa.Column("room", sa.String(length=64), server_default=sa.text("''"), nullable=False),
        sa.Column("title", sa.String(length=60), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("condition", sa.Text(), nullable=False),
        sa.Column("per_day", sa.Integer(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("from_ms", sa.BigInteger(), nullable=False),
        sa.Column("until_ms", sa.BigInteger(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("staff", sa.String(length=64), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("from_ms < until_ms", name=op.f("ck_popup_until")),
        sa.CheckConstraint("per_day > 0 AND total >= per_day", name=op.f("ck_popup_total")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_popup")),
    )
    op.create_index("ix_popup_merchant", "popup", ["merchant", "until_ms"], unique=False)
    op.create_table(
        "popup_shown",
        sa.Column("popup", sa.String(length=64), nullable=False),
        sa.Column("person", sa.String(length=64), nullable=False),
        sa.Column("day", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("clicks", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.CheckConstraint("n >= 0", name=op.f("ck_popup_shown_n")),
        sa.PrimaryKeyConstraint("popup", "person", "day", name=op.f("pk_popup_shown")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "wecom_contact",
        sa.Column("merchant", sa.String(length=64), nullable=False),
        sa.Column("external", sa.String(length=64), nullable=False),
        sa.Column("user", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=64), server_default=sa.text("''"), nullable=False),
        sa.Column("added_ms", sa.BigInteger(), nullable=False),
        sa.Column("ended_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("merchant", "external", "user", name=op.f("pk_wecom_contact")),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    """Take them away again."""
    for table in (
        "automation",
        "automation_run",
        "broadcast",
        "channel_account",
        "contact_way",
        "crm_cursor",
        "crm_policy",
        "message",
        "person_day",
        "person_stage",
        "person_tag",
        "popup",
        "popup_shown",
        "segment",
        "subscribe_grant",
        "tag",
        "wecom_contact",
    ):
        op.drop_table(table)
    op.drop_column("drop_", "for_tag")
