"""What a shop's own people know of their goods, and the trail of what they changed by hand.

``code`` is the merchant's own name of a product or SKU (商家编码), by which a sheet finds it again. ``grams`` is the
weight of one unit of goods sold by weight, 0 of goods sold by the piece: stock is counted in units, sheets speak of
grams. Rows are there for goods that came by a sheet or have such terms; others have the defaults.
"""

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, Integer, String, Table, Text, UniqueConstraint, text

from commerce.tables import metadata
from commerce.tables_ledger import count_column, id_column, ms_column, word_column

product_detail = Table(
    "product_detail",
    metadata,
    id_column("product", primary_key=True),
    id_column("merchant"),
    Column("code", String(64), nullable=True),
    # Addresses of further pictures and films, a JSON list.
    Column("media", Text, nullable=False, server_default=text("'[]'")),
    # Whether it can be given back within seven days without a reason, or which exception of the law it falls under.
    Column("returns", String(12), nullable=False, server_default=text("'seven_days'")),
    CheckConstraint("returns IN ('seven_days', 'custom', 'perishable', 'digital', 'press', 'agreed')", name="returns"),
    UniqueConstraint("merchant", "code"),
    sqlite_with_rowid=False,
)

sku_detail = Table(
    "sku_detail",
    metadata,
    id_column("sku", primary_key=True),
    id_column("merchant"),
    Column("code", String(64), nullable=True),
    count_column("grams"),
    # What a struck-through price stands on: where and when it was asked (价格法; 禁止价格欺诈).
    word_column("list_basis", 200),
    CheckConstraint("grams >= 0", name="grams"),
    UniqueConstraint("merchant", "code"),
    sqlite_with_rowid=False,
)

manual_change = Table(
    "manual_change",
    metadata,
    id_column("id", primary_key=True),
    id_column("merchant"),
    id_column("sku"),
    Column("what", String(12), nullable=False),
    Column("before", BigInteger, nullable=True),
    Column("after", BigInteger, nullable=True),
    id_column("staff"),
    word_column("why", 200),
    id_column("import_run", nullable=True),
    ms_column("created_ms"),
    # The store whose price or stock it is; empty: the shop's.
    word_column("outlet", 64),
    # Of a category, which is no figure: of the product whose first SKU is named.
    word_column("before_text", 40),
    word_column("after_text", 40),
    CheckConstraint("what IN ('price', 'list_price', 'offer', 'stock', 'cost', 'category')", name="what"),
    Index("ix_manual_change_merchant_id", "merchant", "id"),
    Index("ix_manual_change_sku", "sku", "id"),
)

goods_import = Table(
    "goods_import",
    metadata,
    id_column("id", primary_key=True),
    id_column("merchant"),
    id_column("staff"),
    word_column("why", 200),
    Column("lines", Integer, nullable=False),
    Column("report", Text, nullable=False),
    ms_column("created_ms"),
    Index("ix_goods_import_merchant_id", "merchant", "id"),
)
