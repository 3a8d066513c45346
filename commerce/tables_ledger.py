"""Stock, sales, holds, coupons, orders, payments, request keys and the outbox.

Bookkeeping of units. A SKU's row obeys ``received + adjusted − shipped = free + held + sold + quarantined``.
A sale takes its ``total`` out of the SKU's ``free`` into ``held`` when it is created, and hands them out itself:
``total = free + held + sold + returned``. So a hold in a sale touches the sale's row alone; the SKU's row moves when
units are paid (held → sold) or come back (held → free, counted as ``returned``). A hold without a sale moves the
SKU's row directly. Hence, at each step:

    stock.held = Σ (sale.free + sale.held) + Σ quantity of holds without a sale in state held

Times are Unix milliseconds, money is 分, ids are 20 characters of time-ordered text.
"""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from commerce.tables import metadata


def _id(name: str, *, primary_key: bool = False, nullable: bool = False) -> Column[str]:
    return Column(name, String(64), primary_key=primary_key, nullable=nullable)


def _count(name: str, default: int | None = 0) -> Column[int]:
    return Column(name, Integer, nullable=False, server_default=None if default is None else text(str(default)))


def _ms(name: str, *, nullable: bool = False) -> Column[int]:
    return Column(name, BigInteger, nullable=nullable)


def _amount(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False)


stock = Table(
    "stock",
    metadata,
    _id("sku", primary_key=True),
    _id("merchant"),
    _count("received"),
    _count("adjusted"),
    _count("free"),
    _count("held"),
    _count("sold"),
    _count("shipped"),
    _count("quarantined"),
    CheckConstraint("free >= 0", name="free"),
    CheckConstraint("held >= 0", name="held"),
    CheckConstraint("sold >= 0", name="sold"),
    CheckConstraint("shipped >= 0", name="shipped"),
    CheckConstraint("quarantined >= 0", name="quarantined"),
    CheckConstraint("received + adjusted - shipped = free + held + sold + quarantined", name="equation"),
)

sale = Table(
    "sale",
    metadata,
    _id("id", primary_key=True),
    _id("merchant"),
    _id("room"),
    _id("product"),
    _id("sku"),
    Column("title", String(200), nullable=False),
    Column("image", String(500), nullable=False),
    _amount("price"),
    _amount("list_price"),
    _count("version", 1),
    _count("total", None),
    _count("free", None),
    _count("held"),
    _count("sold"),
    _count("returned"),
    _count("per_person", None),
    _ms("hold_ms"),
    _ms("length_ms"),
    _ms("created_ms"),
    _ms("opens_ms", nullable=True),
    _ms("closes_ms", nullable=True),
    _ms("paused_ms", nullable=True),
    _ms("closed_ms", nullable=True),
    Column("announced", String(16), nullable=False),
    CheckConstraint("free >= 0", name="free"),
    CheckConstraint("held >= 0", name="held"),
    CheckConstraint("sold >= 0", name="sold"),
    CheckConstraint("returned >= 0", name="returned"),
    CheckConstraint("total = free + held + sold + returned", name="equation"),
    CheckConstraint("price > 0", name="price"),
    Index("ix_sale_room", "room", "created_ms"),
    Index(
        "ix_sale_active",
        "closes_ms",
        sqlite_where=text("closed_ms IS NULL"),
        postgresql_where=text("closed_ms IS NULL"),
    ),
)

hold = Table(
    "hold",
    metadata,
    _id("id", primary_key=True),
    _id("merchant"),
    _id("sale", nullable=True),
    _id("sku"),
    _id("person"),
    _count("quantity", None),
    _amount("price"),
    _ms("expires_ms"),
    Column("state", String(8), nullable=False),
    _id("order_id", nullable=True),
    CheckConstraint("quantity > 0", name="quantity"),
    CheckConstraint("state IN ('held', 'sold', 'released', 'expired')", name="state"),
    Index("ix_hold_due", "expires_ms", sqlite_where=text("state = 'held'"), postgresql_where=text("state = 'held'")),
    Index(
        "ix_hold_order",
        "order_id",
        sqlite_where=text("order_id IS NOT NULL"),
        postgresql_where=text("order_id IS NOT NULL"),
    ),
    sqlite_with_rowid=False,
)

quota = Table(
    "quota",
    metadata,
    _id("scope", primary_key=True),
    _id("person", primary_key=True),
    _count("used", None),
    CheckConstraint("used >= 0", name="used"),
    sqlite_with_rowid=False,
)

drop_ = Table(
    "drop_",
    metadata,
    _id("id", primary_key=True),
    _id("merchant"),
    _id("room"),
    _id("template", nullable=True),
    Column("title", String(200), nullable=False),
    Column("reason", String(200), nullable=False),
    _amount("amount"),
    _amount("threshold"),
    _count("total", None),
    _count("issued"),
    _count("per_person", None),
    _ms("starts_ms"),
    _ms("ends_ms"),
    _ms("valid_ms"),
    _ms("closed_ms", nullable=True),
    Column("announced", String(16), nullable=False),
    CheckConstraint("issued >= 0 AND issued <= total", name="issued"),
    CheckConstraint("amount > 0", name="amount"),
    Index("ix_drop_room", "room", "starts_ms"),
    Index(
        "ix_drop_active", "ends_ms", sqlite_where=text("closed_ms IS NULL"), postgresql_where=text("closed_ms IS NULL")
    ),
)

coupon = Table(
    "coupon",
    metadata,
    _id("id", primary_key=True),
    _id("merchant"),
    _id("drop_id"),
    _id("person"),
    _count("n", None),
    Column("title", String(200), nullable=False),
    _amount("amount"),
    _amount("threshold"),
    Column("state", String(8), nullable=False),
    _id("order_id", nullable=True),
    _ms("expires_ms"),
    _ms("created_ms"),
    CheckConstraint("state IN ('unused', 'locked', 'used', 'expired')", name="state"),
    CheckConstraint("(order_id IS NULL) = (state IN ('unused', 'expired'))", name="order"),
    UniqueConstraint("drop_id", "person", "n"),
    Index("ix_coupon_person", "merchant", "person"),
    sqlite_with_rowid=False,
)

orders = Table(
    "orders",
    metadata,
    _id("id", primary_key=True),
    _id("merchant"),
    _id("room"),
    _id("person"),
    Column("status", String(12), nullable=False),
    _amount("goods"),
    _amount("discount"),
    _amount("amount"),
    _id("coupon", nullable=True),
    Column("steps", Text, nullable=False),
    Column("decision", Text, nullable=True),
    _id("card", nullable=True),
    _ms("entered_ms", nullable=True),
    _ms("created_ms"),
    _ms("expires_ms"),
    _ms("paid_ms", nullable=True),
    _ms("cancelled_ms", nullable=True),
    Column("reason", String(40), nullable=True),
    CheckConstraint("amount = goods - discount AND amount > 0 AND discount >= 0", name="amount"),
    CheckConstraint("status IN ('pending', 'paid', 'cancelled')", name="status"),
    Index("ix_orders_person", "merchant", "person", "id"),
    Index("ix_orders_room", "merchant", "room", "id"),
    Index(
        "ix_orders_due",
        "expires_ms",
        sqlite_where=text("status = 'pending'"),
        postgresql_where=text("status = 'pending'"),
    ),
)

order_line = Table(
    "order_line",
    metadata,
    _id("order_id", primary_key=True),
    Column("n", Integer, primary_key=True, nullable=False, autoincrement=False),
    _id("hold"),
    _id("sale", nullable=True),
    _id("product"),
    _id("sku"),
    Column("title", String(200), nullable=False),
    _count("quantity", None),
    _amount("price"),
    _amount("list_price"),
    _amount("discount"),
    CheckConstraint("quantity > 0", name="quantity"),
    sqlite_with_rowid=False,
)

payment = Table(
    "payment",
    metadata,
    _id("id", primary_key=True),
    _id("order_id"),
    _id("merchant"),
    _id("person"),
    Column("provider", String(32), nullable=False),
    Column("number", String(64), nullable=True),
    _amount("amount"),
    Column("state", String(12), nullable=False),
    _ms("created_ms"),
    _ms("settled_ms", nullable=True),
    CheckConstraint(
        "state IN ('started', 'settled', 'declined', 'closed', 'refund_due', 'refunded')",
        name="state",
    ),
    UniqueConstraint("provider", "number"),
    Index("ix_payment_order", "order_id"),
    Index(
        "ix_payment_refund_due",
        "settled_ms",
        sqlite_where=text("state = 'refund_due'"),
        postgresql_where=text("state = 'refund_due'"),
    ),
    # One order is paid once: a second settled payment cannot be written.
    Index(
        "uq_payment_settled",
        "order_id",
        unique=True,
        sqlite_where=text("state = 'settled'"),
        postgresql_where=text("state = 'settled'"),
    ),
)

payment_event = Table(
    "payment_event",
    metadata,
    _id("id", primary_key=True),
    Column("provider", String(32), nullable=False),
    Column("number", String(64), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("payment", String(64), nullable=False),
    _amount("amount"),
    Column("raw", Text, nullable=False),
    _ms("received_ms"),
    UniqueConstraint("provider", "number", "kind"),
)

request = Table(
    "request",
    metadata,
    # Keys of one sale lie side by side, so a rush dirties few pages.
    _id("merchant", primary_key=True),
    Column("route", String(64), primary_key=True, nullable=False),
    _id("person", primary_key=True),
    Column("key", String(64), primary_key=True, nullable=False),
    Column("hash", String(64), nullable=False),
    Column("answer", Text, nullable=False),
    _ms("created_ms"),
    sqlite_with_rowid=False,
)

outbox = Table(
    "outbox",
    metadata,
    # The order of writing, in which a restart tells what a crash left; what is delivered is told by the mark alone.
    Column("seq", Integer, primary_key=True, autoincrement=True),
    _id("id"),
    Column("type", String(32), nullable=False),
    Column("body", Text, nullable=False),
    _ms("created_ms"),
    _ms("delivered_ms", nullable=True),
    UniqueConstraint("id"),
    Index(
        "ix_outbox_undelivered",
        "seq",
        sqlite_where=text("delivered_ms IS NULL"),
        postgresql_where=text("delivered_ms IS NULL"),
    ),
)
