"""Categories of products: one name each, by which rates, lists and the shelf's buttons find them."""

from commerce import catalogue_checks as check
from commerce import catalogue_sql as sql
from commerce import categories_sql, changes_sql
from commerce.catalogue_sql import Transaction
from commerce.catalogue_views import CatalogueEvent, ProductView
from commerce.catalogue_writes import CatalogueWrites
from commerce.changes import Hand, filed
from commerce.fresh_ids import fresh_id


class Categories(CatalogueWrites):
    """What products are filed under. Orders that were made keep the category that they were made with."""

    async def set_category(self, merchant: str, product: str, category: str, by: Hand | None = None) -> ProductView:
        """File a product under a category, empty for none; ``by``: whose doing it is.

        Raises ``NotFound``, ``Invalid``.
        """
        now_ms, wanted = self._clock(), check.category(category)

        def change(db: Transaction) -> tuple[ProductView, list[CatalogueEvent]]:
            old = sql.product(db, merchant, product)
            if old.category == wanted:
                return old, []
            categories_sql.write(db, product, wanted)
            if by is not None:
                moved = filed(old.sku, old.category, wanted)
                changes_sql.note(db, merchant, by, [moved], [fresh_id(now_ms)], now_ms)
            new = sql.product(db, merchant, product)
            return new, self._showing(db, merchant, product, on_sale=new.on_shelf)

        return await self._write(change)

    async def categories(self, merchant: str) -> dict[str, int]:
        """How many products there are in each category, by name; "" are those without."""
        return await self._store.read(lambda db: categories_sql.counts(db, merchant))
