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


def id_column(name: str, *, primary_key: bool = False, nullable: bool = False) -> Column[str]:
    """A column for an id."""
    return Column(name, String(64), primary_key=primary_key, nullable=nullable)


def count_column(name: str, default: int | None = 0) -> Column[int]:
    """A column for units or other counts."""
    return Column(name, Integer, nullable=False, server_default=None if default is None else text(str(default)))


def ms_column(name: str, *, nullable: bool = False) -> Column[int]:
    """A column for Unix milliseconds."""
    return Column(name, BigInteger, nullable=nullable)


def amount_column(name: str, default: int | None = None) -> Column[int]:
    """A column for money in 分."""
    return Column(name, BigInteger, nullable=False, server_default=None if default is None else text(str(default)))


def word_column(name: str, characters: int) -> Column[str]:
    """A column for a short text that may be empty."""
    return Column(name, String(characters), nullable=False, server_default=text("''"))


stock = Table(
    "stock",
    metadata,
    id_column("sku", primary_key=True),
    id_column("merchant"),
    count_column("received"),
    count_column("adjusted"),
    count_column("free"),
    count_column("held"),
    count_column("sold"),
    count_column("shipped"),
    count_column("quarantined"),
    # 分 that the units on hand (received + adjusted - shipped) cost.
    Column("cost", BigInteger, nullable=False, server_default=text("0")),
    CheckConstraint("cost >= 0", name="cost"),
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
    id_column("id", primary_key=True),
    id_column("merchant"),
    id_column("room"),
    id_column("product"),
    id_column("sku"),
    Column("title", String(200), nullable=False),
    Column("image", String(500), nullable=False),
    amount_column("price"),
    amount_column("list_price"),
    count_column("version", 1),
    count_column("total", None),
    count_column("free", None),
    count_column("held"),
    count_column("sold"),
    count_column("returned"),
    count_column("per_person", None),
    ms_column("hold_ms"),
    ms_column("length_ms"),
    ms_column("created_ms"),
    ms_column("opens_ms", nullable=True),
    ms_column("closes_ms", nullable=True),
    ms_column("paused_ms", nullable=True),
    ms_column("closed_ms", nullable=True),
    Column("announced", String(16), nullable=False),
    Column("mode", String(8), nullable=False, server_default=text("'rush'")),
    count_column("live_only"),
    count_column("waiting"),
    count_column("reserved"),
    id_column("plan", nullable=True),
    id_column("draw", nullable=True),
    Column("enter_ms", BigInteger, nullable=False, server_default=text("0")),
    ms_column("drawn_ms", nullable=True),
    count_column("team_size"),
    count_column("team_winners"),
    Column("team_ms", BigInteger, nullable=False, server_default=text("0")),
    # Of a presale: 分 a unit that are paid first (0: no presale), and when the balance may and must come.
    Column("deposit", BigInteger, nullable=False, server_default=text("0")),
    ms_column("balance_from_ms", nullable=True),
    ms_column("balance_until_ms", nullable=True),
    word_column("balance_missed", 8),
    CheckConstraint("mode IN ('rush', 'draw', 'bag', 'team')", name="mode"),
    CheckConstraint("waiting >= 0", name="waiting"),
    CheckConstraint("reserved >= 0", name="reserved"),
    CheckConstraint("free >= 0", name="free"),
    CheckConstraint("held >= 0", name="held"),
    CheckConstraint("sold >= 0", name="sold"),
    CheckConstraint("returned >= 0", name="returned"),
    CheckConstraint("total = free + held + sold + returned", name="equation"),
    CheckConstraint("price > 0", name="price"),
    Index("ix_sale_room", "room", "created_ms"),
    Index("ix_sale_merchant", "merchant"),
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
    id_column("id", primary_key=True),
    id_column("merchant"),
    id_column("sale", nullable=True),
    id_column("sku"),
    id_column("person"),
    count_column("quantity", None),
    amount_column("price"),
    ms_column("expires_ms"),
    Column("state", String(8), nullable=False),
    id_column("order_id", nullable=True),
    # The request that took it, and the same person's hold before it in this sale: the newest is ``quota.latest``.
    # Kept here, a request's key costs no row of its own (decision 18).
    Column("key", String(64), nullable=True),
    Column("hash", String(64), nullable=True),
    id_column("earlier", nullable=True),
    # The store whose stock they are; NULL: the warehouse's, as all units of a sale.
    id_column("outlet", nullable=True),
    CheckConstraint("quantity > 0", name="quantity"),
    CheckConstraint("state IN ('held', 'sold', 'released', 'expired')", name="state"),
    Index("ix_hold_due", "expires_ms", sqlite_where=text("state = 'held'"), postgresql_where=text("state = 'held'")),
    # What was won or waited for, by whom: no key leads there.
    Index(
        "ix_hold_keyless",
        "person",
        sqlite_where=text("key IS NULL AND order_id IS NULL"),
        postgresql_where=text("key IS NULL AND order_id IS NULL"),
    ),
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
    id_column("scope", primary_key=True),
    id_column("person", primary_key=True),
    count_column("used", None),
    id_column("latest", nullable=True),
    CheckConstraint("used >= 0", name="used"),
    sqlite_with_rowid=False,
)

drop_ = Table(
    "drop_",
    metadata,
    id_column("id", primary_key=True),
    id_column("merchant"),
    id_column("room"),
    id_column("template", nullable=True),
    Column("title", String(200), nullable=False),
    Column("reason", String(200), nullable=False),
    amount_column("amount"),
    amount_column("threshold"),
    count_column("total", None),
    count_column("issued"),
    count_column("per_person", None),
    ms_column("starts_ms"),
    ms_column("ends_ms"),
    ms_column("valid_ms"),
    ms_column("closed_ms", nullable=True),
    Column("announced", String(16), nullable=False),
    count_column("percent"),
    word_column("stack", 20),
    Column("audience", String(8), nullable=False, server_default=text("'all'")),
    word_column("issuer", 64),
    Column("way", String(8), nullable=False, server_default=text("'drop'")),
    # Of the audience ``tag``: which one.
    word_column("for_tag", 20),
    CheckConstraint("issued >= 0 AND issued <= total", name="issued"),
    CheckConstraint("amount > 0", name="amount"),
    Index("ix_drop_room", "room", "starts_ms"),
    Index(
        "ix_drop_issuer",
        "merchant",
        "issuer",
        sqlite_where=text("issuer <> ''"),
        postgresql_where=text("issuer <> ''"),
    ),
    Index(
        "ix_drop_open",
        "merchant",
        "way",
        sqlite_where=text("closed_ms IS NULL"),
        postgresql_where=text("closed_ms IS NULL"),
    ),
    Index(
        "ix_drop_active", "ends_ms", sqlite_where=text("closed_ms IS NULL"), postgresql_where=text("closed_ms IS NULL")
    ),
)

coupon = Table(
    "coupon",
    metadata,
    id_column("id", primary_key=True),
    id_column("merchant"),
    id_column("drop_id"),
    id_column("person"),
    count_column("n", None),
    Column("title", String(200), nullable=False),
    amount_column("amount"),
    amount_column("threshold"),
    Column("state", String(8), nullable=False),
    id_column("order_id", nullable=True),
    ms_column("expires_ms"),
    ms_column("created_ms"),
    count_column("percent"),
    word_column("stack", 20),
    word_column("reason", 200),
    word_column("issuer", 64),
    CheckConstraint("state IN ('unused', 'locked', 'used', 'expired')", name="state"),
    CheckConstraint("(order_id IS NULL) = (state IN ('unused', 'expired'))", name="order"),
    UniqueConstraint("drop_id", "person", "n"),
    Index("ix_coupon_person", "merchant", "person"),
    Index(
        "ix_coupon_order",
        "order_id",
        sqlite_where=text("order_id IS NOT NULL"),
        postgresql_where=text("order_id IS NOT NULL"),
    ),
    # Only what is promised out of a budget has to be given back to it on its day.
    Index(
        "ix_coupon_budget_due",
        "expires_ms",
        sqlite_where=text("state = 'unused' AND issuer <> ''"),
        postgresql_where=text("state = 'unused' AND issuer <> ''"),
    ),
    sqlite_with_rowid=False,
)

orders = Table(
    "orders",
    metadata,
    id_column("id", primary_key=True),
    id_column("merchant"),
    id_column("room"),
    id_column("person"),
    Column("status", String(16), nullable=False),
    # What the lines come to, and the freight of ``order_freight``.
    amount_column("goods"),
    amount_column("discount"),
    amount_column("amount"),
    id_column("coupon", nullable=True),
    Column("steps", Text, nullable=False),
    Column("decision", Text, nullable=True),
    id_column("card", nullable=True),
    ms_column("entered_ms", nullable=True),
    ms_column("created_ms"),
    ms_column("expires_ms"),
    ms_column("paid_ms", nullable=True),
    ms_column("cancelled_ms", nullable=True),
    Column("reason", String(40), nullable=True),
    Column("refunded", BigInteger, nullable=False, server_default=text("0")),
    Column("fulfilment", String(12), nullable=False, server_default=text("'open'")),
    Column("delivery", Text, nullable=True),
    ms_column("fulfilled_ms", nullable=True),
    ms_column("done_ms", nullable=True),
    Column("kind", String(12), nullable=False, server_default=text("'goods'")),
    Column("stored", BigInteger, nullable=False, server_default=text("0")),
    # Of the stored value spent, or, in an order that buys stored value, what the shop adds to it.
    Column("bonus", BigInteger, nullable=False, server_default=text("0")),
    count_column("points"),
    # The organisation's node that it counts for, as it was when the order was made; empty: the merchant's own.
    word_column("node", 64),
    # The deposit's order of a presale: of the deposit itself, and of the balance.
    id_column("presale", nullable=True),
    # The store that hands it over; empty: none in particular.
    word_column("outlet", 64),
    CheckConstraint("bonus >= 0", name="bonus"),
    CheckConstraint("kind IN ('goods', 'stored')", name="kind"),
    CheckConstraint("stored >= 0 AND stored <= amount", name="stored"),
    CheckConstraint("points >= 0", name="points"),
    CheckConstraint("amount = goods - discount AND amount > 0 AND discount >= 0", name="amount"),
    CheckConstraint(
        "status IN ('pending', 'paid', 'fulfilled', 'done', 'partly_refunded', 'refunded', 'cancelled')", name="status"
    ),
    CheckConstraint("refunded >= 0 AND refunded <= amount", name="refunded"),
    CheckConstraint("(status = 'refunded') = (refunded = amount)", name="whole"),
    CheckConstraint("fulfilment IN ('open', 'shipped', 'picked_up', 'done')", name="fulfilment"),
    Index("ix_orders_paid", "merchant", "paid_ms"),
    Index(
        "ix_orders_cancelled",
        "merchant",
        "cancelled_ms",
        sqlite_where=text("status = 'cancelled'"),
        postgresql_where=text("status = 'cancelled'"),
    ),
    # All that the board sums: an order's row is some kilobytes long, and is not read for it.
    Index(
        "ix_orders_board",
        *("merchant", "id", "status", "kind", "person", "room", "amount", "refunded", "created_ms"),
    ),
    Index(
        "ix_orders_sent",
        "fulfilled_ms",
        sqlite_where=text("fulfilment IN ('shipped', 'picked_up')"),
        postgresql_where=text("fulfilment IN ('shipped', 'picked_up')"),
    ),
    # What somebody has spent is summed at each payment. With less in it SQLite takes the board's, and reads all of it.
    Index("ix_orders_person", *("merchant", "person", "id", "status", "kind", "amount", "refunded")),
    Index("ix_orders_room", "merchant", "room", "id"),
    Index("ix_orders_node", "node", "id", sqlite_where=text("node <> ''"), postgresql_where=text("node <> ''")),
    Index(
        "ix_orders_outlet",
        "outlet",
        "id",
        sqlite_where=text("outlet <> ''"),
        postgresql_where=text("outlet <> ''"),
    ),
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
    id_column("order_id", primary_key=True),
    Column("n", Integer, primary_key=True, nullable=False, autoincrement=False),
    id_column("hold"),
    id_column("sale", nullable=True),
    id_column("product"),
    id_column("sku"),
    Column("title", String(200), nullable=False),
    count_column("quantity", None),
    amount_column("price"),
    amount_column("list_price"),
    amount_column("discount"),
    # JSON: what its buyer wished, of goods made to wishes. None: goods as they are.
    Column("wishes", Text, nullable=True),
    # The product's when it was ordered: rates go by it, whatever the product's is later.
    word_column("category", 40),
    CheckConstraint("quantity > 0", name="quantity"),
    sqlite_with_rowid=False,
)

payment = Table(
    "payment",
    metadata,
    id_column("id", primary_key=True),
    id_column("order_id"),
    id_column("merchant"),
    id_column("person"),
    Column("provider", String(32), nullable=False),
    Column("method", String(16), nullable=False, server_default=text("''")),
    Column("number", String(64), nullable=True),
    amount_column("amount"),
    # What it pays: an order, or what is owed on account (``order_id`` is the repayment's id then).
    Column("kind", String(8), nullable=False, server_default=text("'order'")),
    Column("state", String(12), nullable=False),
    ms_column("created_ms"),
    ms_column("settled_ms", nullable=True),
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
    id_column("id", primary_key=True),
    Column("provider", String(32), nullable=False),
    Column("number", String(64), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("payment", String(64), nullable=False),
    amount_column("amount"),
    Column("raw", Text, nullable=False),
    ms_column("received_ms"),
    word_column("merchant", 64),
    UniqueConstraint("provider", "number", "kind"),
    # A merchant's money of a day, and all before it, read from the index alone.
    Index(
        "ix_payment_event_paid",
        *("merchant", "received_ms", "provider", "amount", "payment"),
        sqlite_where=text("kind = 'paid'"),
        postgresql_where=text("kind = 'paid'"),
    ),
)

request = Table(
    "request",
    metadata,
    # Keys of one sale lie side by side, so a rush dirties few pages.
    id_column("merchant", primary_key=True),
    Column("route", String(64), primary_key=True, nullable=False),
    id_column("person", primary_key=True),
    Column("key", String(64), primary_key=True, nullable=False),
    Column("hash", String(64), nullable=False),
    Column("answer", Text, nullable=False),
    ms_column("created_ms"),
    sqlite_with_rowid=False,
)

outbox = Table(
    "outbox",
    metadata,
    # The order of writing, in which a restart tells what a crash left; what is delivered is told by the mark alone.
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    id_column("id"),
    Column("type", String(32), nullable=False),
    Column("body", Text, nullable=False),
    ms_column("created_ms"),
    ms_column("delivered_ms", nullable=True),
    # The process that tells of it, where there are several.
    Column("writer", String(16), nullable=True),
    UniqueConstraint("id"),
    Index(
        "ix_outbox_undelivered",
        "seq",
        sqlite_where=text("delivered_ms IS NULL"),
        postgresql_where=text("delivered_ms IS NULL"),
    ),
)

ledger_writer = Table(
    "ledger_writer",
    metadata,
    # The last batch that each process committed: what is asked after a connection was lost at COMMIT.
    Column("id", String(16), primary_key=True, nullable=False),
    Column("batch", BigInteger, nullable=False),
    ms_column("signed_ms"),
)
