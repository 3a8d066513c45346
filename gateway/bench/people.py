"""The shop of the holds benchmark, and who comes to it: the same for the server and for its baselines."""

from __future__ import annotations

from commerce.catalogue import Catalogue
from commerce.events import SaleView
from commerce.payment_sandbox import SandboxProvider
from commerce.shop import Shop
from commerce.store_sql import open_store
from gateway.bench.clock import system_clock

ROOM_PEOPLE = 20_000
"""People come room after room; those of one room in no order. Rows of a few thousand people lie beside each other."""


def person(number: int) -> str:
    """The id of the n-th comer: 20 characters."""
    # An odd factor not divisible by 5 permutes the numbers below 20,000.
    return f"{number // ROOM_PEOPLE:010}{number * 12_347 % ROOM_PEOPLE:010}"


class World:
    """A shop with one merchant, one room and one product."""

    def __init__(self, folder: str, *, writer_process: bool = False) -> None:
        self.store = open_store(folder)
        provider = SandboxProvider(b"bench", clock=system_clock)
        self.shop = Shop(self.store, clock=system_clock, provider=provider, writer_process=writer_process)
        self.merchant = self.room = ""

    async def open(self, total: int) -> SaleView:
        """Start the shop and a sale of so many units."""
        catalogue = Catalogue(self.store, clock=system_clock)
        self.merchant = (await catalogue.create_merchant("bench")).id
        self.room = (await catalogue.create_room(self.merchant, "bench", host_name="bench")).id
        product = await catalogue.create_product(self.merchant, "tea", 9_900)
        await catalogue.close()
        await self.shop.start()
        await self.shop.stock_up(self.merchant, product.sku, total)
        sale = await self.shop.create_sale(
            self.merchant, self.room, product.sku, 9_900, 9_900, total, per_person=1, hold_s=900, length_s=3_600
        )
        return await self.shop.start_sale(self.merchant, sale.sale, 0)

    async def close(self) -> None:
        """End the ledger's writer and close the file."""
        await self.shop.close()
        self.store.close()
