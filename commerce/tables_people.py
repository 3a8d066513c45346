"""Tables of the merchant's side: shops, staff, rooms, goods, shelves, pins, clips, people and share links.

Money is integer 分, times are Unix milliseconds, ids opaque text. Every row carries its merchant or hangs on a row that
does. A link's "none" is the empty text, not NULL: its uniqueness must hold for links without a room, too, and NULLs are
distinct in a unique index.
"""

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, ForeignKey, Index, Integer, Table, Text, text

from commerce.tables import metadata

merchant = Table(
    "merchant",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
)

staff = Table(
    "staff",
    metadata,
    Column("id", Text, primary_key=True),
    Column("merchant", Text, ForeignKey("merchant.id"), nullable=False, index=True),
    Column("login", Text, nullable=False, unique=True),
    Column("password_hash", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("room", Text, ForeignKey("room.id"), nullable=True),
    Column("created_ms", BigInteger, nullable=False),
    CheckConstraint("role IN ('merchant', 'host', 'assistant', 'moderator', 'guide')", name="role"),
)

room = Table(
    "room",
    metadata,
    Column("id", Text, primary_key=True),
    Column("merchant", Text, ForeignKey("merchant.id"), nullable=False, index=True),
    Column("title", Text, nullable=False),
    Column("host_name", Text, nullable=False),
    Column("cover", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("closed_ms", BigInteger, nullable=True),
)

product = Table(
    "product",
    metadata,
    Column("id", Text, primary_key=True),
    Column("merchant", Text, ForeignKey("merchant.id"), nullable=False, index=True),
    Column("title", Text, nullable=False),
    Column("image", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("on_shelf", Boolean, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    # One name (catalogue_checks.category), empty: none.
    Column("category", Text, nullable=False, server_default=text("''")),
)

sku = Table(
    "sku",
    metadata,
    Column("id", Text, primary_key=True),
    Column("product", Text, ForeignKey("product.id"), nullable=False, index=True),
    Column("merchant", Text, ForeignKey("merchant.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("price", BigInteger, nullable=False),
    Column("list_price", BigInteger, nullable=False),
    Column("version", Integer, nullable=False),
    Column("offer_price", BigInteger, nullable=True),
    Column("offer_from_ms", BigInteger, nullable=True),
    Column("offer_until_ms", BigInteger, nullable=True),
    Column("kind", Text, nullable=False, server_default=text("'goods'")),
    Column("bonus", BigInteger, nullable=False, server_default=text("0")),
    # A bookable time (a class, a visit): its stock is its places, and it is sold until it begins.
    Column("slot_ms", BigInteger, nullable=True),
    CheckConstraint("offer_price IS NULL OR (offer_price >= 1 AND offer_from_ms < offer_until_ms)", name="offer"),
    CheckConstraint("kind IN ('goods', 'stored')", name="kind"),
    CheckConstraint("bonus >= 0", name="bonus"),
    CheckConstraint("price >= 1", name="price"),
    CheckConstraint("list_price >= price", name="list_price"),
    CheckConstraint("version >= 1", name="version"),
)

shelf = Table(
    "shelf",
    metadata,
    Column("room", Text, ForeignKey("room.id"), primary_key=True),
    Column("product", Text, ForeignKey("product.id"), primary_key=True),
    Column("position", Integer, nullable=False),
    Column("state", Text, nullable=False),
    CheckConstraint("state IN ('on', 'sold_out')", name="state"),
    Index("ix_shelf_product", "product"),
)

pin = Table(
    "pin",
    metadata,
    Column("room", Text, ForeignKey("room.id"), primary_key=True),
    Column("product", Text, ForeignKey("product.id"), primary_key=True),
    Column("explaining", Boolean, nullable=False),
    Column("pinned_ms", BigInteger, nullable=False),
    Column("media_ms", BigInteger, nullable=True),
    # One product a room is explained at a time, whatever the code above does.
    Index(
        "ux_pin_explaining",
        "room",
        unique=True,
        sqlite_where=text("explaining"),
        postgresql_where=text("explaining"),
    ),
)

clip = Table(
    "clip",
    metadata,
    Column("id", Text, primary_key=True),
    Column("merchant", Text, ForeignKey("merchant.id"), nullable=False),
    Column("room", Text, ForeignKey("room.id"), nullable=False),
    Column("product", Text, ForeignKey("product.id"), nullable=False),
    Column("show", Text, nullable=False),
    # Media time in the show, then what the file is: its place under the folder of clips, its length and bytes.
    Column("start_ms", BigInteger, nullable=False),
    Column("end_ms", BigInteger, nullable=False),
    Column("length_ms", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("file", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    CheckConstraint("start_ms >= 0 AND end_ms > start_ms AND length_ms > 0 AND bytes > 0", name="length"),
    Index("ix_clip_room_product_id", "room", "product", "id"),
    Index("ix_clip_created_ms", "created_ms"),
)

coupon_template = Table(
    "coupon_template",
    metadata,
    Column("id", Text, primary_key=True),
    Column("merchant", Text, ForeignKey("merchant.id"), nullable=False, index=True),
    Column("title", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("threshold", BigInteger, nullable=False),
    Column("total", Integer, nullable=False),
    Column("per_person", Integer, nullable=False),
    Column("valid_s", Integer, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("percent", Integer, nullable=False, server_default=text("0")),
    Column("stack", Text, nullable=False, server_default=text("''")),
    Column("audience", Text, nullable=False, server_default=text("'all'")),
    Column("issuer", Text, nullable=False, server_default=text("''")),
    CheckConstraint("amount >= 1 AND threshold >= 0", name="amount"),
    CheckConstraint("total >= 1 AND per_person >= 1 AND valid_s >= 1", name="total"),
)

person = Table(
    "person",
    metadata,
    Column("id", Text, primary_key=True),
    Column("merchant", Text, ForeignKey("merchant.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Index("ix_person_merchant_id", "merchant", "id"),
)

identity = Table(
    "identity",
    metadata,
    Column("merchant", Text, ForeignKey("merchant.id"), primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("value", Text, primary_key=True),
    Column("person", Text, ForeignKey("person.id"), nullable=False, index=True),
    Column("created_ms", BigInteger, nullable=False),
    CheckConstraint("kind IN ('guest', 'device', 'wechat', 'unionid', 'phone', 'wecom')", name="kind"),
)

link = Table(
    "link",
    metadata,
    Column("id", Text, primary_key=True),
    Column("merchant", Text, ForeignKey("merchant.id"), nullable=False),
    Column("issuer", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("room", Text, nullable=False),
    Column("sku", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("campaign", Text, nullable=False),
    Column("parent", Text, ForeignKey("link.id"), nullable=True),
    Column("root", Text, nullable=False),
    Column("depth", Integer, nullable=False),
    Column("expires_ms", BigInteger, nullable=True),
    Column("created_ms", BigInteger, nullable=False),
    # What of the library it leads to (tables_content.py).
    Column("content", Text, nullable=False, server_default=text("''")),
    CheckConstraint("depth >= 0 AND (depth = 0) = (parent IS NULL)", name="depth"),
    Index("ix_link_merchant_id", "merchant", "id"),
    # The same person sharing the same link for the same target again gives the same child.
    Index(
        "ux_link_share",
        "parent",
        "issuer",
        "room",
        "sku",
        "channel",
        "campaign",
        "content",
        unique=True,
        sqlite_where=text("parent IS NOT NULL"),
        postgresql_where=text("parent IS NOT NULL"),
    ),
    Index(
        "ix_link_content",
        "merchant",
        "content",
        sqlite_where=text("content <> ''"),
        postgresql_where=text("content <> ''"),
    ),
)

# The person need not be one of ours any more, or yet: a ban outlives what it is about.
ban = Table(
    "ban",
    metadata,
    Column("room", Text, ForeignKey("room.id"), primary_key=True),
    Column("person", Text, primary_key=True),
    Column("until_ms", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    # Names of devices, with a space between two.
    Column("devices", Text, nullable=False, server_default=""),
)

# What staff decided about a room, until when; ``person`` is whom it is about, or empty.
room_rule = Table(
    "room_rule",
    metadata,
    Column("room", Text, ForeignKey("room.id"), primary_key=True),
    Column("name", Text, primary_key=True),
    Column("person", Text, nullable=False, index=True),
    Column("until_ms", BigInteger, nullable=False),
    Column("body", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
)

# What staff did in a room; an entry outlives the room it is about.
staff_action = Table(
    "staff_action",
    metadata,
    Column("id", Text, primary_key=True),
    Column("room", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False, index=True),
    Column("by", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("person", Text),
    Column("detail", Text, nullable=False),
    Index("ix_staff_action_room", "room", "id"),
)

# What single people were told in a room (``box`` is ROOM/PERSON): rows stay for some days after they were read, so
# that an event that is told again is known.
personal = Table(
    "personal",
    metadata,
    Column("box", Text, primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("event", Text, nullable=False, unique=True),
    Column("body", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False, index=True),
    # Where it was before its box and another became one (personal_join_sql.py).
    Column("first_box", Text, nullable=True, index=True),
    Column("first_seq", BigInteger, nullable=True),
)

# The newest sequence of each, and how far it was acknowledged; which box it has become part of.
personal_box = Table(
    "personal_box",
    metadata,
    Column("box", Text, primary_key=True),
    Column("last", BigInteger, nullable=False),
    Column("acked", BigInteger, nullable=False),
    Column("base", BigInteger, nullable=False, server_default=text("0")),
    Column("folded", BigInteger, nullable=False, server_default=text("0")),
    Column("joined", Text, nullable=True),
)
