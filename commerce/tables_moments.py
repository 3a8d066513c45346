"""Recurring sales, reminders, waiting lists, deadlines, draws and group buys.

Units in all of these are a sale's: its waiting list, its draw and its teams only say who gets its holds, so that the
equations of tables_ledger.py stay as they are. ``deadline`` holds what the duty does when its time has come: one row
for each kind and subject, deleted or moved on in the transaction that does it.
"""

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, Integer, String, Table, UniqueConstraint, text

from commerce.tables import metadata
from commerce.tables_ledger import amount_column, count_column, id_column, ms_column

sale_plan = Table(
    "sale_plan",
    metadata,
    id_column("id", primary_key=True),
    id_column("merchant"),
    id_column("room"),
    id_column("sku"),
    Column("rule", String(200), nullable=False),
    amount_column("price"),
    count_column("total", None),
    count_column("per_person", None),
    ms_column("hold_ms"),
    ms_column("length_ms"),
    Column("mode", String(8), nullable=False),
    Column("live_only", Integer, nullable=False, server_default=text("0")),
    ms_column("enter_ms"),
    ms_column("created_ms"),
    ms_column("next_ms", nullable=True),
    ms_column("ended_ms", nullable=True),
    count_column("made"),
    count_column("skipped"),
    CheckConstraint("price > 0", name="price"),
    CheckConstraint("total > 0", name="total"),
    Index("ix_sale_plan_room", "room", "id"),
)

reminder = Table(
    "reminder",
    metadata,
    # A sale's or a plan's.
    id_column("subject", primary_key=True),
    id_column("person", primary_key=True),
    ms_column("created_ms"),
    Index("ix_reminder_person", "person"),
    sqlite_with_rowid=False,
)

waiter = Table(
    "waiter",
    metadata,
    id_column("sale", primary_key=True),
    id_column("person", primary_key=True),
    # Who has the lowest place is next.
    Column("place", BigInteger, nullable=False),
    Column("state", String(8), nullable=False),
    id_column("hold", nullable=True),
    CheckConstraint("state IN ('waiting', 'served', 'left', 'ended')", name="state"),
    CheckConstraint("(state = 'served') = (hold IS NOT NULL)", name="served"),
    Index("ix_waiter_person", "person"),
    Index(
        "ix_waiter_next",
        "sale",
        "place",
        sqlite_where=text("state = 'waiting'"),
        postgresql_where=text("state = 'waiting'"),
    ),
    sqlite_with_rowid=False,
)

deadline = Table(
    "deadline",
    metadata,
    Column("kind", String(8), primary_key=True, nullable=False),
    id_column("subject", primary_key=True),
    ms_column("due_ms"),
    count_column("tries"),
    Index("ix_deadline_due", "due_ms"),
    sqlite_with_rowid=False,
)

draw = Table(
    "draw",
    metadata,
    id_column("id", primary_key=True),
    id_column("merchant"),
    id_column("room"),
    Column("kind", String(8), nullable=False),
    # The sale whose units are won, or the team among whose seats is drawn.
    id_column("subject", nullable=True),
    Column("title", String(200), nullable=False),
    Column("task", String(8), nullable=False),
    Column("word", String(40), nullable=False),
    Column("seed", String(64), nullable=False),
    Column("commitment", String(64), nullable=False),
    count_column("winners", None),
    amount_column("pool"),
    amount_column("least"),
    ms_column("valid_ms"),
    count_column("entries"),
    count_column("won"),
    ms_column("opens_ms"),
    ms_column("closes_ms"),
    ms_column("drawn_ms", nullable=True),
    ms_column("voided_ms", nullable=True),
    Column("announced", String(8), nullable=False),
    CheckConstraint("kind IN ('sale', 'bag', 'packet', 'team')", name="kind"),
    CheckConstraint("task IN ('none', 'comment', 'follow')", name="task"),
    CheckConstraint("winners > 0 AND won >= 0 AND won <= winners AND won <= entries", name="won"),
    CheckConstraint("pool >= 0 AND (kind = 'packet') = (pool > 0)", name="pool"),
    CheckConstraint("drawn_ms IS NULL OR voided_ms IS NULL", name="ended"),
    Index("ix_draw_room", "room", "id"),
    Index("ix_draw_merchant", "merchant"),
)

draw_entry = Table(
    "draw_entry",
    metadata,
    id_column("draw", primary_key=True),
    id_column("person", primary_key=True),
    count_column("n", None),
    id_column("ticket"),
    # From 0; None until drawn, and for who won nothing.
    Column("place", Integer, nullable=True),
    amount_column("amount"),
    # The hold or coupon that was won.
    id_column("prize", nullable=True),
    # 1 when drawn: a second ticket of one who had entered under two names.
    count_column("void"),
    UniqueConstraint("draw", "n"),
    sqlite_with_rowid=False,
)

follower = Table(
    "follower",
    metadata,
    id_column("merchant", primary_key=True),
    id_column("person", primary_key=True),
    ms_column("created_ms"),
    sqlite_with_rowid=False,
)

team = Table(
    "team",
    metadata,
    id_column("id", primary_key=True),
    id_column("sale"),
    id_column("merchant"),
    id_column("room"),
    id_column("leader"),
    count_column("size", None),
    # Of a lottery group: so many get the goods, the others their money back. 0: everybody gets the goods.
    count_column("winners"),
    count_column("taken"),
    count_column("paid"),
    Column("state", String(8), nullable=False),
    ms_column("opened_ms"),
    ms_column("deadline_ms"),
    ms_column("ended_ms", nullable=True),
    id_column("draw", nullable=True),
    CheckConstraint("state IN ('open', 'full', 'failed')", name="state"),
    CheckConstraint("paid >= 0 AND paid <= taken AND taken <= size", name="seats"),
    CheckConstraint("state <> 'full' OR paid = size", name="full"),
    CheckConstraint("(state = 'open') = (ended_ms IS NULL)", name="ended"),
    Index("ix_team_sale", "sale", "id"),
    Index("ix_team_room", "room", "id"),
)

seat = Table(
    "seat",
    metadata,
    id_column("hold", primary_key=True),
    id_column("team"),
    id_column("person"),
    id_column("order_id", nullable=True),
    Column("state", String(8), nullable=False),
    ms_column("taken_ms"),
    ms_column("paid_ms", nullable=True),
    CheckConstraint("state IN ('held', 'paid', 'left', 'refunded')", name="state"),
    Index("ix_seat_team", "team"),
    Index("ix_seat_person", "person"),
    Index("ix_seat_order", "order_id"),
    # One seat each: a person who left may come back.
    Index(
        "uq_seat_person",
        "team",
        "person",
        unique=True,
        sqlite_where=text("state IN ('held', 'paid')"),
        postgresql_where=text("state IN ('held', 'paid')"),
    ),
    sqlite_with_rowid=False,
)
