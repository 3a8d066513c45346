"""Partners of another trade: contracts, visits and sales; shares stand beside commission, with the contract's id."""

import sqlalchemy as sa
from alembic import op

revision: str = "0100"
down_revision: str | None = "0095"
branch_labels: str | None = None
depends_on: str | None = None

_NOTHING = sa.text("''")


def upgrade() -> None:
    """Make the tables, and the columns that say of which contract a share is."""
    _partners()
    _contracts()
    _visits_and_sales()
    op.add_column("commission", sa.Column("contract", sa.String(64), server_default=_NOTHING, nullable=False))
    op.drop_index("ux_commission_line", "commission")
    op.create_index("ux_commission_line", "commission", ["order_id", "n", "level", "contract"], unique=True)
    op.add_column("withdrawal", sa.Column("share", sa.Boolean(), server_default=sa.text("false"), nullable=False))


def _partners() -> None:
    op.create_table(
        "partner",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("merchant", sa.String(64), nullable=False),
        sa.Column("name", sa.String(60), nullable=False),
        sa.Column("trade", sa.String(40), server_default=_NOTHING, nullable=False),
        sa.Column("counterpart", sa.String(64), nullable=True),
        sa.Column("owner", sa.String(64), nullable=True),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("key_generation", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("key_ms", sa.BigInteger(), nullable=True),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("state IN ('active', 'paused', 'ended')", name=op.f("ck_partner_state")),
        sa.CheckConstraint("counterpart IS NULL OR counterpart <> merchant", name=op.f("ck_partner_two")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_partner")),
    )
    op.create_index("ix_partner_merchant", "partner", ["merchant", "id"])
    op.create_index("ix_partner_counterpart", "partner", ["counterpart", "id"])


def _contracts() -> None:
    op.create_table(
        "partner_contract",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("partner", sa.String(64), nullable=False),
        sa.Column("merchant", sa.String(64), nullable=False),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("since", sa.String(10), nullable=False),
        sa.Column("until", sa.String(10), server_default=_NOTHING, nullable=False),
        sa.Column("days", sa.Integer(), nullable=False),
        sa.Column("first_only", sa.Boolean(), nullable=False),
        sa.Column("cap_order", sa.BigInteger(), nullable=False),
        sa.Column("cap_month", sa.BigInteger(), nullable=False),
        sa.Column("sees", sa.String(4), nullable=False),
        sa.Column("rates", sa.Text(), nullable=False),
        sa.Column("note", sa.String(200), nullable=False),
        sa.Column("proposed_ms", sa.BigInteger(), nullable=False),
        sa.Column("proposed_by", sa.String(64), nullable=False),
        sa.Column("decided_ms", sa.BigInteger(), nullable=True),
        sa.Column("decided_by", sa.String(64), nullable=True),
        sa.Column("closed_ms", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "state IN ('proposed', 'agreed', 'refused', 'closed')", name=op.f("ck_partner_contract_state")
        ),
        sa.CheckConstraint("sees IN ('rows', 'sums')", name=op.f("ck_partner_contract_sees")),
        sa.CheckConstraint("days > 0 AND cap_order >= 0 AND cap_month >= 0", name=op.f("ck_partner_contract_terms")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_partner_contract")),
    )
    op.create_index("ix_partner_contract_partner", "partner_contract", ["partner", "id"])
    agreed = sa.text("state = 'agreed'")
    op.create_index(
        "ux_partner_contract_agreed",
        "partner_contract",
        ["partner"],
        unique=True,
        sqlite_where=agreed,
        postgresql_where=agreed,
    )


def _visits_and_sales() -> None:
    op.create_table(
        "partner_visit",
        sa.Column("merchant", sa.String(64), nullable=False),
        sa.Column("person", sa.String(64), nullable=False),
        sa.Column("partner", sa.String(64), nullable=False),
        sa.Column("link", sa.String(16), nullable=False),
        sa.Column("channel", sa.String(64), nullable=False),
        sa.Column("first_ms", sa.BigInteger(), nullable=False),
        sa.Column("last_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("merchant", "person", "partner", name=op.f("pk_partner_visit")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_partner_visit_partner", "partner_visit", ["partner", "first_ms"])
    op.create_table(
        "partner_sale",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("merchant", sa.String(64), nullable=False),
        sa.Column("partner", sa.String(64), nullable=False),
        sa.Column("contract", sa.String(64), nullable=True),
        sa.Column("person", sa.String(64), nullable=False),
        sa.Column("base", sa.BigInteger(), nullable=False),
        sa.Column("why", sa.String(12), server_default=_NOTHING, nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "why IN ('', 'no_contract', 'own', 'not_first', 'no_rate', 'order_cap', 'month_cap', 'cap')",
            name=op.f("ck_partner_sale_why"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_partner_sale")),
    )
    op.create_index("ix_partner_sale_partner", "partner_sale", ["partner", "id"])
    op.create_index("ix_partner_sale_person", "partner_sale", ["merchant", "person"])


def downgrade() -> None:
    """Take them away again, with the shares, which the former program would take for commission."""
    op.drop_column("withdrawal", "share")
    op.execute("DELETE FROM commission WHERE contract <> ''")
    op.drop_index("ux_commission_line", "commission")
    op.create_index("ux_commission_line", "commission", ["order_id", "n", "level"], unique=True)
    op.drop_column("commission", "contract")
    for table in ("partner_sale", "partner_visit", "partner_contract", "partner"):
        op.drop_table(table)
