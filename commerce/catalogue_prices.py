"""Prices of goods, each change with who made it and why in the trail of manual changes (changes_sql)."""

from commerce import catalogue_checks as check
from commerce import catalogue_sql as sql
from commerce import changes_sql, compliance_sql
from commerce.catalogue_sql import Transaction
from commerce.catalogue_views import CatalogueEvent, ProductView
from commerce.catalogue_writes import CatalogueWrites
from commerce.changes import Change, Hand
from commerce.domain.offer import OFFER_AHEAD_MS_MAX, OFFER_MS_MAX
from commerce.errors import Invalid
from commerce.fresh_ids import fresh_id, fresh_ids


class Prices(CatalogueWrites):
    """Shelf prices, struck-through prices and limited-time prices of SKUs."""

    async def set_price(
        self, merchant: str, product: str, price: int, list_price: int | None = None, by: Hand | None = None
    ) -> ProductView:
        """Change the price of a product's default SKU; a new price gets the next version, so that an order at the old
        one is refused. ``by``: whose doing it is; None for a program's.
        """
        checked = check.price(price)
        listed = check.list_price(list_price, checked)

        def change(db: Transaction) -> tuple[ProductView, list[CatalogueEvent]]:
            old = sql.product(db, merchant, product)
            if (old.price, old.list_price) == (checked, listed):
                return old, []
            self._reprice(db, merchant, old.sku, checked, listed, by)
            return sql.product(db, merchant, product), self._showing(db, merchant, product)

        return await self._write(change)

    async def set_sku_price(
        self, merchant: str, sku: str, price: int, list_price: int | None = None, by: Hand | None = None
    ) -> ProductView:
        """Change the price of one SKU; a new price gets the next version."""
        checked = check.price(price)
        listed = check.list_price(list_price, checked)

        def change(db: Transaction) -> tuple[ProductView, list[CatalogueEvent]]:
            product = self._reprice(db, merchant, sku, checked, listed, by)
            return sql.product(db, merchant, product), self._showing(db, merchant, product)

        return await self._write(change)

    async def set_offer(
        self, merchant: str, sku: str, price: int | None, from_ms: int, until_ms: int, by: Hand | None = None
    ) -> ProductView:
        """Give a SKU a limited-time price between two moments, or (``price`` None) take it away. Raises ``Invalid``."""
        now_ms = self._clock()
        begins = max(now_ms, check.whole(from_ms, "from_ms", 0, now_ms + OFFER_AHEAD_MS_MAX))
        ends = check.whole(until_ms, "until_ms", 0, begins + OFFER_MS_MAX)
        if price is not None and ends <= begins:
            raise Invalid("until_ms lies after from_ms and after now", field="until_ms")
        checked = None if price is None else check.price(price)

        def change(db: Transaction) -> tuple[ProductView, list[CatalogueEvent]]:
            old = sql.sku(db, merchant, sku)
            if checked is not None and checked >= old.price:
                raise Invalid("a limited-time price lies below the shelf price", field="price")
            sql.set_offer(db, sku, checked, *((None, None) if checked is None else (begins, ends)))
            if by is not None:
                offer = Change(sku, "offer", old.offer_price, checked)
                changes_sql.note(db, merchant, by, [offer], [fresh_id(now_ms)], now_ms)
            return sql.product(db, merchant, old.product), self._showing(db, merchant, old.product)

        return await self._write(change)

    def _reprice(self, db: Transaction, merchant: str, sku: str, price: int, list_price: int, by: Hand | None) -> str:
        """Write a SKU's prices and the trail; its product."""
        old = sql.sku(db, merchant, sku)
        compliance_sql.check_basis(db, merchant, sku, price, list_price)
        sql.set_sku_price(db, sku, price, list_price, old.version + (old.price != price))
        if by is not None:
            now_ms = self._clock()
            pairs = (("price", old.price, price), ("list_price", old.list_price, list_price))
            made = [Change(sku, what, before, after) for what, before, after in pairs if before != after]
            changes_sql.note(db, merchant, by, made, fresh_ids(now_ms, len(made)), now_ms)
        return str(old.product)
