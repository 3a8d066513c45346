"""After-sale requests, which take in the returns that were asked for before there were any."""

import json
import time

import sqlalchemy as sa
from alembic import op

revision: str = "0112"
down_revision: str | None = "0111"
branch_labels: str | None = None
depends_on: str | None = None

ANSWER_MS = 48 * 3_600_000
"""What a shop has to answer those that waited: from now on."""
_OPEN = sa.text("ended_ms IS NULL")
_LINE_OPEN = sa.text("open = 1")


def _id(name: str, *, nullable: bool = False) -> "sa.Column[str]":
    return sa.Column(name, sa.String(64), nullable=nullable)


def _ms(name: str, *, nullable: bool = False) -> "sa.Column[int]":
    return sa.Column(name, sa.BigInteger(), nullable=nullable)


def _count(name: str, default: int = 0) -> "sa.Column[int]":
    return sa.Column(name, sa.Integer(), nullable=False, server_default=sa.text(str(default)))


def _word(name: str, characters: int) -> "sa.Column[str]":
    return sa.Column(name, sa.String(characters), nullable=False, server_default=sa.text("''"))


def upgrade() -> None:
    """Make the tables, take the old returns in."""
    _requests()
    _lines()
    _take_in()
    op.drop_table("return_request")


def _requests() -> None:
    table = "after_sale"
    op.create_table(
        table,
        *(_id(name) for name in ("id", "merchant", "order_id", "room", "person")),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("reason", sa.String(20), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        _count("gone"),
        sa.Column("pays", sa.String(8), nullable=False),
        sa.Column("most", sa.BigInteger(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("offer", sa.BigInteger(), nullable=True),
        _count("keeps"),
        _count("offers"),
        sa.Column("answer", sa.Text(), nullable=False),
        _word("staff", 64),
        _word("why", 10),
        _word("back_to", 400),
        _word("carrier", 40),
        _word("number", 60),
        _id("refund", nullable=True),
        _ms("due_ms", nullable=True),
        _ms("created_ms"),
        *(_ms(name, nullable=True) for name in ("answered_ms", "sent_ms", "ended_ms")),
        sa.CheckConstraint("kind IN ('refund', 'return')", name=op.f("ck_after_sale_kind")),
        sa.CheckConstraint(
            "state IN ('asked', 'offered', 'approved', 'sent', 'done', 'refused', 'withdrawn', 'closed')",
            name=op.f("ck_after_sale_state"),
        ),
        sa.CheckConstraint("kind = 'return' OR state NOT IN ('approved', 'sent')", name=op.f("ck_after_sale_way")),
        sa.CheckConstraint("amount > 0 AND amount <= most", name=op.f("ck_after_sale_amount")),
        sa.CheckConstraint("offer IS NULL OR (offer > 0 AND offer <= most)", name=op.f("ck_after_sale_offer")),
        sa.CheckConstraint("(state = 'done') = (refund IS NOT NULL)", name=op.f("ck_after_sale_refund")),
        sa.CheckConstraint(
            "(state IN ('asked', 'offered', 'approved', 'sent')) = (ended_ms IS NULL)",
            name=op.f("ck_after_sale_ended"),
        ),
        sa.CheckConstraint("(ended_ms IS NULL) = (due_ms IS NOT NULL)", name=op.f("ck_after_sale_due")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_after_sale")),
    )
    op.create_index("ix_after_sale_merchant", table, ["merchant", "id"])
    op.create_index("ix_after_sale_person", table, ["merchant", "person", "id"])
    op.create_index("ix_after_sale_order", table, ["order_id"])
    op.create_index("ix_after_sale_open", table, ["merchant", "due_ms"], sqlite_where=_OPEN, postgresql_where=_OPEN)


def _lines() -> None:
    op.create_table(
        "after_sale_line",
        *(_id(name) for name in ("request", "sku", "order_id")),
        sa.Column("title", sa.String(200), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        _count("sellable"),
        _count("quarantined"),
        _count("open", 1),
        sa.CheckConstraint("quantity > 0", name=op.f("ck_after_sale_line_quantity")),
        sa.CheckConstraint("amount >= 0", name=op.f("ck_after_sale_line_amount")),
        sa.CheckConstraint(
            "sellable >= 0 AND quarantined >= 0 AND sellable + quarantined <= quantity",
            name=op.f("ck_after_sale_line_came"),
        ),
        sa.PrimaryKeyConstraint("request", "sku", name=op.f("pk_after_sale_line")),
    )
    op.create_index(
        "uq_after_sale_line_open",
        "after_sale_line",
        ["order_id", "sku"],
        unique=True,
        sqlite_where=_LINE_OPEN,
        postgresql_where=_LINE_OPEN,
    )


_OLD = sa.text(
    "SELECT r.*, o.room, o.fulfilment, o.amount AS paid, coalesce(f.amount, 0) AS given FROM return_request AS r"
    " JOIN orders AS o ON o.id = r.order_id LEFT JOIN refund AS f ON f.id = r.refund ORDER BY r.id"
)
_BOUGHT = sa.text("SELECT sku, title, quantity, price, discount FROM order_line WHERE order_id = :order ORDER BY n")
_TAKE = sa.text(
    "INSERT INTO after_sale (id, merchant, order_id, room, person, kind, reason, words, state, gone, pays, most,"
    " amount, answer, staff, refund, due_ms, created_ms, answered_ms, ended_ms) VALUES (:id, :merchant, :order, :room,"
    " :person, 'return', 'no_reason', :words, :state, 1, 'buyer', :amount, :amount, :answer, :staff, :refund, :due,"
    " :created, :decided, :decided)"
)
_TAKE_LINE = sa.text(
    "INSERT INTO after_sale_line (request, sku, order_id, title, quantity, amount, open)"
    " VALUES (:request, :sku, :order, :title, :quantity, :amount, :open)"
)
_ARM = sa.text("INSERT INTO deadline (kind, subject, due_ms) VALUES ('after', :id, :due)")
_STATES = {"asked": "asked", "accepted": "done", "refused": "refused"}


def _take_in() -> None:
    bind = op.get_bind()
    due_ms = time.time_ns() // 1_000_000 + ANSWER_MS
    for row in bind.execute(_OLD).all():
        waits = row.state == "asked"
        bought = bind.execute(_BOUGHT, {"order": row.order_id}).all()
        lines = []
        for sku, units in json.loads(row.lines):
            of = next(line for line in bought if line.sku == sku)
            worth = (of.quantity * of.price - of.discount) * min(units, of.quantity) // of.quantity
            lines.append({"sku": sku, "title": of.title, "quantity": units, "amount": worth})
        amount = max(1, int(row.given) or sum(line["amount"] for line in lines))
        bind.execute(
            _TAKE,
            {
                "id": row.id,
                "merchant": row.merchant,
                "order": row.order_id,
                "room": row.room,
                "person": row.person,
                "words": row.reason,
                "state": _STATES[row.state],
                "amount": amount,
                "answer": row.answer,
                "staff": row.staff or "",
                "refund": row.refund,
                "due": due_ms if waits else None,
                "created": row.created_ms,
                "decided": row.decided_ms,
            },
        )
        for line in lines:
            bind.execute(_TAKE_LINE, {"request": row.id, "order": row.order_id, "open": int(waits), **line})
        if waits:
            bind.execute(_ARM, {"id": row.id, "due": due_ms})


_BACK = sa.text(
    "INSERT INTO return_request (id, merchant, order_id, person, lines, reason, state, answer, staff, refund,"
    " created_ms, decided_ms) VALUES (:id, :merchant, :order, :person, :lines, :reason, :state, :answer, :staff,"
    " :refund, :created, :decided)"
)


def downgrade() -> None:
    """Leave of the requests what an older version knows: returns, asked for or decided, one open one an order."""
    bind = op.get_bind()
    op.create_table(
        "return_request",
        *(_id(name) for name in ("id", "merchant", "order_id", "person")),
        sa.Column("lines", sa.Text(), nullable=False),
        sa.Column("reason", sa.String(200), server_default="", nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("answer", sa.String(200), server_default="", nullable=False),
        _id("staff", nullable=True),
        _id("refund", nullable=True),
        _ms("created_ms"),
        _ms("decided_ms", nullable=True),
        sa.CheckConstraint("state IN ('asked', 'accepted', 'refused')", name=op.f("ck_return_request_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_return_request")),
    )
    op.create_index("ix_return_request_merchant", "return_request", ["merchant", "id"])
    asked = sa.text("state = 'asked'")
    waiting: set[str] = set()
    for row in bind.execute(sa.text("SELECT * FROM after_sale WHERE kind = 'return' ORDER BY id")).all():
        lines = bind.execute(
            sa.text("SELECT sku, quantity FROM after_sale_line WHERE request = :id ORDER BY sku"), {"id": row.id}
        ).all()
        state = "accepted" if row.state == "done" else "refused"
        if row.ended_ms is None and row.order_id not in waiting:
            state = "asked"
            waiting.add(row.order_id)
        bind.execute(
            _BACK,
            {
                "id": row.id,
                "merchant": row.merchant,
                "order": row.order_id,
                "person": row.person,
                "lines": json.dumps([list(line) for line in lines]),
                "reason": row.words[:200],
                "state": state,
                "answer": row.answer[:200],
                "staff": row.staff or None,
                "refund": row.refund,
                "created": row.created_ms,
                "decided": row.ended_ms,
            },
        )
    op.create_index(
        "uq_return_request_open",
        "return_request",
        ["order_id"],
        unique=True,
        sqlite_where=asked,
        postgresql_where=asked,
    )
    op.execute("DELETE FROM deadline WHERE kind = 'after'")
    op.drop_table("after_sale_line")
    op.drop_table("after_sale")
