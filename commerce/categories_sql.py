"""Categories of products in the database: what a product is filed under, and what an article of a till is."""

from collections.abc import Iterable

from sqlalchemy import Connection, bindparam, text

CATEGORIES_MAX = 1_000
"""Categories of one shop that are listed: more than a page of buttons or a list to choose from can show."""

_COUNTS = text(
    "SELECT category, count(*) AS n FROM product WHERE merchant = :merchant GROUP BY category ORDER BY category"
    " LIMIT :limit"
)
_WRITE = text("UPDATE product SET category = :category WHERE id = :product")
_ARTICLES = text(
    "SELECT k.id AS sku, coalesce(d.code, '') AS code, p.category FROM sku AS k JOIN product AS p ON p.id = k.product"
    " LEFT JOIN sku_detail AS d ON d.sku = k.id"
    " WHERE k.merchant = :merchant AND (k.id IN :articles OR d.code IN :articles)"
).bindparams(bindparam("articles", expanding=True))


def counts(db: Connection, merchant: str) -> dict[str, int]:
    """How many of a merchant's products are in each category, by name, at most ``CATEGORIES_MAX``."""
    rows = db.execute(_COUNTS, {"merchant": merchant, "limit": CATEGORIES_MAX})
    return {row.category: row.n for row in rows}


def write(db: Connection, product: str, category: str) -> None:
    """File a product under a category."""
    db.execute(_WRITE, {"product": product, "category": category})


def of_articles(db: Connection, merchant: str, articles: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Our SKU and its category of each article that the shop knows; a code of the merchant's comes before an id."""
    rows = db.execute(_ARTICLES, {"merchant": merchant, "articles": sorted({"", *articles})}).all()
    known = {row.sku: (row.sku, row.category) for row in rows}
    return known | {row.code: (row.sku, row.category) for row in rows if row.code}
