"""Who is who: phones, merged persons, conflicts, consents, the log of who looked, mini-program accounts."""

import sqlalchemy as sa
from alembic import op

revision: str = "0020"
down_revision: str | None = "0018"
branch_labels: str | None = None
depends_on: str | None = None

KINDS = "kind IN ('guest', 'device', 'wechat', 'unionid', 'phone', 'wecom')"
KINDS_BEFORE = "kind IN ('guest', 'device', 'wechat')"


def upgrade() -> None:
    """Widen the kinds of identity, make the tables."""
    _kinds(KINDS)
    _tables()


def _kinds(condition: str) -> None:
    # SQLite cannot change a CHECK: batch mode makes the table anew. PostgreSQL can.
    anew = op.get_bind().dialect.name == "sqlite"
    with op.batch_alter_table("identity", recreate="always" if anew else "never") as identity:
        identity.drop_constraint(op.f("ck_identity_kind"), type_="check")
        identity.create_check_constraint(op.f("ck_identity_kind"), condition)


def _tables() -> None:
    op.create_table(
        "person_phone",
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("merchant", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("sealed", sa.Text(), nullable=False),
        sa.Column("verified_ms", sa.BigInteger(), nullable=True),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["merchant"], ["merchant.id"], name=op.f("fk_person_phone_merchant_merchant")),
        sa.ForeignKeyConstraint(["person"], ["person.id"], name=op.f("fk_person_phone_person_person")),
        sa.PrimaryKeyConstraint("person", name=op.f("pk_person_phone")),
    )
    op.create_index("ux_person_phone", "person_phone", ["merchant", "digest"], unique=True)
    op.create_table(
        "person_alias",
        sa.Column("alias", sa.Text(), nullable=False),
        sa.Column("merchant", sa.Text(), nullable=False),
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("changed_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["alias"], ["person.id"], name=op.f("fk_person_alias_alias_person")),
        sa.ForeignKeyConstraint(["merchant"], ["merchant.id"], name=op.f("fk_person_alias_merchant_merchant")),
        sa.ForeignKeyConstraint(["person"], ["person.id"], name=op.f("fk_person_alias_person_person")),
        sa.PrimaryKeyConstraint("alias", name=op.f("pk_person_alias")),
    )
    op.create_index(op.f("ix_person_alias_changed_ms"), "person_alias", ["changed_ms"], unique=False)
    op.create_index(op.f("ix_person_alias_person"), "person_alias", ["person"], unique=False)
    op.create_table(
        "merge_journal",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("merchant", sa.Text(), nullable=False),
        sa.Column("elder", sa.Text(), nullable=False),
        sa.Column("younger", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("moved", sa.Text(), nullable=False),
        sa.Column("merged_ms", sa.BigInteger(), nullable=False),
        sa.Column("undone_ms", sa.BigInteger(), nullable=True),
        sa.Column("undone_by", sa.Text(), nullable=True),
        sa.CheckConstraint("elder <> younger", name=op.f("ck_merge_journal_two")),
        sa.ForeignKeyConstraint(["elder"], ["person.id"], name=op.f("fk_merge_journal_elder_person")),
        sa.ForeignKeyConstraint(["merchant"], ["merchant.id"], name=op.f("fk_merge_journal_merchant_merchant")),
        sa.ForeignKeyConstraint(["younger"], ["person.id"], name=op.f("fk_merge_journal_younger_person")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_merge_journal")),
    )
    op.create_index(op.f("ix_merge_journal_elder"), "merge_journal", ["elder"], unique=False)
    op.create_index(op.f("ix_merge_journal_merchant_id"), "merge_journal", ["merchant", "id"], unique=False)
    op.create_table(
        "merge_conflict",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("merchant", sa.Text(), nullable=False),
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("other", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("sealed", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("decided_ms", sa.BigInteger(), nullable=True),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "cause IN ('two_phones', 'second_phone', 'recycled', 'two_distributors')",
            name=op.f("ck_merge_conflict_cause"),
        ),
        sa.CheckConstraint("state IN ('open', 'merged', 'split', 'dismissed')", name=op.f("ck_merge_conflict_state")),
        sa.ForeignKeyConstraint(["merchant"], ["merchant.id"], name=op.f("fk_merge_conflict_merchant_merchant")),
        sa.ForeignKeyConstraint(["other"], ["person.id"], name=op.f("fk_merge_conflict_other_person")),
        sa.ForeignKeyConstraint(["person"], ["person.id"], name=op.f("fk_merge_conflict_person_person")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_merge_conflict")),
    )
    op.create_index(op.f("ix_merge_conflict_merchant_id"), "merge_conflict", ["merchant", "id"], unique=False)
    op.create_index(
        "ux_merge_conflict_open",
        "merge_conflict",
        ["merchant", "person", "other", "kind", "value"],
        unique=True,
        sqlite_where=sa.text("state = 'open'"),
        postgresql_where=sa.text("state = 'open'"),
    )
    op.create_table(
        "consent",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("merchant", sa.Text(), nullable=False),
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("granted", sa.Boolean(), nullable=False),
        sa.Column("basis", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["merchant"], ["merchant.id"], name=op.f("fk_consent_merchant_merchant")),
        sa.ForeignKeyConstraint(["person"], ["person.id"], name=op.f("fk_consent_person_person")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_consent")),
    )
    op.create_index(op.f("ix_consent_person_purpose_id"), "consent", ["person", "purpose", "id"], unique=False)
    op.create_table(
        "privacy_log",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("merchant", sa.Text(), nullable=False),
        sa.Column("person", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["merchant"], ["merchant.id"], name=op.f("fk_privacy_log_merchant_merchant")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_privacy_log")),
    )
    op.create_index(op.f("ix_privacy_log_merchant_id"), "privacy_log", ["merchant", "id"], unique=False)
    op.create_table(
        "wechat_app",
        sa.Column("merchant", sa.Text(), nullable=False),
        sa.Column("appid", sa.Text(), nullable=False),
        sa.Column("sealed_secret", sa.Text(), nullable=False),
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("updated_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["merchant"], ["merchant.id"], name=op.f("fk_wechat_app_merchant_merchant")),
        sa.PrimaryKeyConstraint("merchant", name=op.f("pk_wechat_app")),
    )


def downgrade() -> None:
    """Take them away again."""
    for table in (
        "wechat_app",
        "privacy_log",
        "consent",
        "merge_conflict",
        "merge_journal",
        "person_alias",
        "person_phone",
    ):
        op.drop_table(table)
    op.execute("DELETE FROM identity WHERE kind NOT IN ('guest', 'device', 'wechat')")
    _kinds(KINDS_BEFORE)
