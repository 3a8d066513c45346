"""The distribution market as the gateway asks: offers, applications, listings, orders to send, debts and payments.

Every method names the merchant that asks; what is another's is found only through a grant between the two.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson

from commerce import market_sql
from commerce.aftersale import AfterSale
from commerce.catalogue import Catalogue
from commerce.domain.ids import AFTER_ALL
from commerce.domain.money import AMOUNT_MAX
from commerce.domain.order import shipment_fault
from commerce.errors import CommerceError, Invalid, NotFound, Refused
from commerce.fresh_ids import fresh_id
from commerce.ledger import Ledger
from commerce.market_sql import (
    Allot,
    Allotted,
    BookDebts,
    Booked,
    Listed,
    ListOffer,
    Revoke,
    Revoked,
    SettleSupply,
    SupplySettled,
)
from commerce.periodic import Periodic
from commerce.store_sql import Store

T = TypeVar("T")

log = logging.getLogger(__name__)

BOOK_S = 30.0
"""How soon what is owed is in both sides' books; whoever asks for the debts has them brought up to date first."""
UNITS_MAX = 1_000_000
TEXT_CHARACTERS_MAX = 200
NUMBER_CHARACTERS_MAX = 64


@dataclass(frozen=True, slots=True)
class Debt:
    """What one merchant owes another; ``kind`` is supply_owed (we owe) or supply_due (they owe us), 分."""

    kind: str
    merchant: str
    name: str
    amount: int


class Market:
    """For all merchants of one database. ``clock``: Unix milliseconds."""

    def __init__(
        self, store: Store, ledger: Ledger, catalogue: Catalogue, aftersale: AfterSale, *, clock: Callable[[], int]
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._catalogue = catalogue
        self._aftersale = aftersale
        self._clock = clock
        self._chores = Periodic(self.book, BOOK_S, what="the books of channels and suppliers")

    def start(self) -> None:
        """Keep the books of both sides up to date."""
        self._chores.start()

    async def close(self) -> None:
        """Stop; what is not booked yet is by the next start."""
        await self._chores.close()

    async def book(self) -> int:
        """Bring both sides' books up to date; how many orders changed them."""
        count, more = 0, True
        while more:
            done = await self._do(BookDebts(), Booked)
            count, more = count + done.count, done.more
        return count

    # --- offers and grants -----------------------------------------------------------------------------------------

    async def offer(self, supplier: str, sku: str, supply_price: int, least_price: int, note: str) -> str:
        """Offer a SKU to other merchants; the offer's id. Raises NotFound, Invalid."""
        if not 0 < supply_price <= least_price <= AMOUNT_MAX:
            raise Invalid("least_price is at least supply_price, and that at least 1 分", field="least_price")
        row = {"id": self._id(), "supplier": supplier, "sku": sku, "supply_price": supply_price}
        full = {**row, "least_price": least_price, "note": _text(note), "now": self._clock()}
        await self._store.write(lambda db: market_sql.add_offer(db, **full))
        return str(row["id"])

    async def close_offer(self, supplier: str, offer: str) -> None:
        """Take no more applications; what was granted stands. Raises NotFound."""
        await self._store.write(lambda db: market_sql.close_offer(db, supplier, offer, self._clock()))

    async def offers(self, after: str | None, limit: int) -> list[dict[str, Any]]:
        """What suppliers publish, newest first."""
        return await self._store.read(lambda db: market_sql.offers(db, after or AFTER_ALL, limit))

    async def apply(self, channel: str, offer: str) -> str:
        """Apply for an offer; the application's id. Raises NotFound, Refused (already, not_open)."""
        identifier, now_ms = self._id(), self._clock()
        return await self._store.write(lambda db: market_sql.apply(db, channel, offer, identifier, now_ms))

    async def decide(self, supplier: str, grant: str, by: str, reason: str, *, granted: bool) -> None:
        """Grant or refuse an application. Raises NotFound, Invalid."""
        state, why, now_ms = "granted" if granted else "refused", _text(reason), self._clock()
        await self._store.write(lambda db: market_sql.decide(db, supplier, grant, state, by, why, now_ms))

    async def grants(self, merchant: str) -> list[dict[str, Any]]:
        """A merchant's grants, on both sides."""
        return await self._store.read(lambda db: market_sql.grants(db, merchant))

    async def list_offer(self, channel: str, grant: str, price: int) -> str:
        """Put a granted offer on sale as a product of the channel's own; its id.

        Raises NotFound, Invalid (below the least price), Refused (not_open, already).
        """
        row = await self._grant(channel, grant)
        if row["channel"] != channel:
            raise NotFound("no such grant")
        if row["state"] != "granted":
            raise Refused("not_open", f"the application is {row['state']}")
        if row["listed_sku"] is not None:
            raise Refused("already", "this offer is listed")
        if price < row["least_price"]:
            raise Invalid(f"it is sold for at least {row['least_price']} 分", field="price")
        product = await self._catalogue.create_product(
            channel, row["title"], price, image=row["image"], category=row["category"]
        )
        try:
            await self._do(ListOffer(channel, grant, product.product, product.sku), Listed)
        except CommerceError:
            # Somebody was quicker: the second product is nobody's offer.
            await self._catalogue.update_product(channel, product.product, on_shelf=False)
            raise
        return product.product

    async def allot(self, supplier: str, grant: str, units: int) -> int:
        """Give units over (below 0: take them back); how many the channel has been given.

        Raises NotFound, Invalid, Refused (not_open, sold_out).
        """
        if units == 0 or abs(units) > UNITS_MAX:
            raise Invalid(f"1 to {UNITS_MAX} units, or as many below 0", field="units")
        return (await self._do(Allot(supplier, grant, units), Allotted)).allotted

    async def revoke(self, supplier: str, grant: str, by: str, reason: str) -> int:
        """Take a grant back; how many unsold units returned. Raises NotFound, Refused (not_open), Invalid."""
        done = await self._do(Revoke(supplier, grant, by, _text(reason)), Revoked)
        if done.product is not None:
            await self._catalogue.update_product(done.channel, done.product, on_shelf=False)
        return done.units

    async def shelf(self, merchant: str, after: str, limit: int) -> list[dict[str, Any]]:
        """The endless shelf: a merchant's own products and those it may sell for others, which say whose they are."""
        products = await self._catalogue.products(merchant, after, limit)
        listed = {row["listed_product"]: row for row in await self.grants(merchant) if row["channel"] == merchant}
        return [
            {
                "product": one.product,
                "sku": one.sku,
                "title": one.title,
                "price": one.price,
                "image": one.image,
                "stock": one.stock,
                "on_shelf": one.on_shelf,
                "supplier": listed[one.product]["supplier_name"] if one.product in listed else None,
                "grant": listed[one.product]["id"] if one.product in listed else None,
            }
            for one in products
        ]

    # --- orders and money ------------------------------------------------------------------------------------------

    async def orders(self, merchant: str, after: str | None, limit: int) -> list[dict[str, Any]]:
        """Orders to be sent for others, or by others; the supplier sees where to, of no other order of the channel."""
        rows = await self._store.read(lambda db: market_sql.drops(db, merchant, after or AFTER_ALL, limit))
        for row in rows:
            row["delivery"] = None if row["delivery"] is None else orjson.loads(row["delivery"])
            if row["delivery"] is not None:
                row["delivery"].pop("code", None)
            if row["state"] != "open" and row["supplier"] == merchant:
                # Sent or cancelled: the address is needed no more.
                row["delivery"] = None
        return rows

    async def send(self, supplier: str, drop: str, carrier: str, number: str) -> None:
        """The goods went out. When all of the order has, the buyer's order is shipped, too.

        Raises NotFound, Refused (already), Invalid.
        """
        fault = shipment_fault(carrier, number)
        if fault is not None:
            raise Invalid(fault)
        channel, order, whole = await self._store.write(
            lambda db: market_sql.sent(db, supplier, drop, carrier, number, self._clock())
        )
        if whole:
            await self._aftersale.ship(channel, order, carrier, number)

    async def debts(self, merchant: str) -> list[Debt]:
        """What a merchant owes and is owed, to the last order."""
        await self.book()
        rows = await self._store.read(lambda db: market_sql.debts(db, merchant))
        return [Debt(row["kind"], row["owner"], row["name"], row["balance"]) for row in rows]

    async def settle(self, supplier: str, channel: str, amount: int, number: str, by: str) -> SupplySettled:
        """A channel's money came. Raises Invalid, Conflict, Refused (insufficient)."""
        if not 0 < len(number) <= NUMBER_CHARACTERS_MAX or not number.isprintable():
            raise Invalid(f"a number has 1 to {NUMBER_CHARACTERS_MAX} characters", field="number")
        if not 0 < amount <= AMOUNT_MAX:
            raise Invalid("an amount is at least 1 分", field="amount")
        await self.book()
        return await self._do(SettleSupply(supplier, channel, amount, number, by), SupplySettled)

    async def _grant(self, merchant: str, grant: str) -> dict[str, Any]:
        for row in await self.grants(merchant):
            if row["id"] == grant:
                return row
        raise NotFound("no such grant")

    def _id(self) -> str:
        return fresh_id(self._clock())

    async def _do(self, command: Any, kind: type[T]) -> T:
        result = await self._ledger.submit(command)
        assert isinstance(result, kind)
        return result


def _text(value: str) -> str:
    clean = value.strip()
    if len(clean) > TEXT_CHARACTERS_MAX or (clean and not clean.isprintable()):
        raise Invalid(f"a text has at most {TEXT_CHARACTERS_MAX} characters on one line")
    return clean
