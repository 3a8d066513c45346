"""Whom each order credits, as columns, and what advertisements cost."""

from typing import Any

import orjson
import sqlalchemy as sa
from alembic import op

revision: str = "0033"
down_revision: str | None = "0039"
branch_labels: str | None = None
depends_on: str | None = None

ORDERS_READ = 1_000
"""Orders whose decisions are held in memory at a time."""


def upgrade() -> None:
    """Make the tables, and write down what the decisions of all orders say."""
    op.create_table(
        "order_credit",
        sa.Column("order_id", sa.String(length=64), nullable=False),
        sa.Column("model", sa.String(length=16), nullable=False),
        sa.Column("link", sa.String(length=16), nullable=False),
        sa.Column("issuer", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("channel", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_order_credit_order_id_orders")),
        sa.PrimaryKeyConstraint("order_id", "model", name=op.f("pk_order_credit")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "ad_cost",
        sa.Column("merchant", sa.String(length=64), nullable=False),
        sa.Column("day", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("campaign", sa.String(length=64), nullable=False),
        sa.Column("cost", sa.BigInteger(), nullable=False),
        sa.Column("staff", sa.String(length=64), nullable=False),
        sa.Column("imported_ms", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("cost >= 0", name=op.f("ck_ad_cost_cost")),
        sa.PrimaryKeyConstraint("merchant", "day", "campaign", name=op.f("pk_ad_cost")),
    )
    op.create_index(
        "ix_orders_board",
        "orders",
        ["merchant", "id", "status", "kind", "person", "room", "amount", "refunded", "created_ms"],
    )
    _fill(op.get_bind())


def _fill(db: sa.Connection) -> None:
    page = sa.text("SELECT id, decision FROM orders WHERE id > :after ORDER BY id LIMIT :limit")
    insert = sa.text(
        "INSERT INTO order_credit (order_id, model, link, issuer, role, channel)"
        " VALUES (:order, :model, :link, :issuer, :role, :channel)"
    )
    after = ""
    while rows := db.execute(page, {"after": after, "limit": ORDERS_READ}).all():
        after = rows[-1].id
        found = [credit for row in rows if row.decision for credit in _credits(row.id, orjson.loads(row.decision))]
        if found:
            db.execute(insert, found)


def _credits(order: str, decision: dict[str, Any]) -> list[dict[str, str]]:
    """The winner has its role; a model that credits somebody else is looked for among the losers."""
    winner = decision.get("winner")
    known = {one["link"]: one["role"] for one in (*decision.get("losers", ()), *((winner,) if winner else ()))}
    judged: dict[str, Any] = {**decision.get("models", {}), "default": winner}
    judged |= {role: one and {**one, "role": role} for role, one in decision.get("credits", {}).items()}
    return [
        {
            "order": order,
            "model": model,
            "link": one.get("link") or "",
            "issuer": one["issuer"],
            "role": one.get("role") or known.get(one.get("link"), ""),
            "channel": one.get("channel") or "",
        }
        for model, one in judged.items()
        if one
    ]


def downgrade() -> None:
    """Take them away again."""
    op.drop_index("ix_orders_board", "orders")
    op.drop_table("ad_cost")
    op.drop_table("order_credit")
