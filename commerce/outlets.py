"""Stores as the gateway asks: what each offers, its stock and prices, units that move, which is near and has it.

``reach`` is the part of the shop that an account has (None: all of it): outside of it no store is found. Writing goes
to the ledger, so that prices, stock and orders change one after the other.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from commerce import catalogue_checks as check
from commerce import freight_sql, outlet_desk_sql, outlets_sql
from commerce.basket import check_key, within
from commerce.changes import WHY_CHARACTERS_MAX, Hand
from commerce.domain.freight import FreightTerms, terms_fault
from commerce.domain.offer import OFFER_AHEAD_MS_MAX, OFFER_MS_MAX
from commerce.domain.order import WantedLine, sum_lines
from commerce.domain.org import Reach
from commerce.domain.outlet import OutletTerms, open_at, way_fault
from commerce.domain.pos import distance_m
from commerce.domain.sale import UNITS_MAX
from commerce.errors import Invalid, NotFound
from commerce.ledger import Ledger, StockUp, StockView, fingerprint
from commerce.ledger_outlets import (
    CloseOutlet,
    MoveStock,
    OutletDone,
    OutletPriceView,
    SetOutlet,
    SetOutletPrice,
    TransferView,
)
from commerce.pos import outlet_row
from commerce.store_sql import Store

T = TypeVar("T")

PAGE_MAX = 200


@dataclass(frozen=True, slots=True)
class OutletView:
    """A store as a buyer chooses one: ``distance`` in metres where it was said from where, ``ways`` to be had now.

    ``has``: all of the goods asked for are free there (None: none were asked for).
    """

    row: Mapping[str, Any]
    terms: OutletTerms
    distance: int | None
    open: bool
    ways: tuple[str, ...]
    has: bool | None


class Outlets:
    """Stores of all merchants of one database; ``clock`` gives Unix milliseconds."""

    def __init__(self, store: Store, ledger: Ledger, *, clock: Callable[[], int]) -> None:
        self._store = store
        self._ledger = ledger
        self._clock = clock

    async def offered(
        self, merchant: str, here: tuple[int, int] | None = None, goods: Sequence[WantedLine] = ()
    ) -> list[OutletView]:
        """The open stores: those that have ``goods`` first, then the nearest to ``here``, then the oldest."""
        now_ms = self._clock()
        wanted = {line.sku: line.quantity for line in sum_lines(goods)}

        def read(db: Any) -> tuple[list[dict[str, Any]], dict[tuple[str, str], int]]:
            free = outlets_sql.free_units(db, merchant, list(wanted)) if wanted else {}
            return outlets_sql.every(db, merchant), free

        rows, free = await self._store.read(read)
        found = [_view(row, here, wanted, free, now_ms) for row in rows]
        return sorted(found, key=lambda one: (one.has is False, one.distance or 0, one.row["id"]))

    async def one(self, merchant: str, outlet: str, reach: Reach | None = None) -> OutletView:
        """One open store. Raises NotFound."""
        row = await self._store.read(lambda db: outlets_sql.one(db, merchant, outlet))
        await self.require(merchant, outlet, reach)
        return _view(row, None, {}, {}, self._clock())

    async def require(self, merchant: str, outlet: str, reach: Reach | None) -> None:
        """Raises NotFound for a store outside of a reach; the warehouse (``outlet`` empty) is the whole shop's."""
        if reach is not None and outlet not in await self.reached(merchant, reach):
            raise NotFound("no such store", field="outlet")

    async def reached(self, merchant: str, reach: Reach) -> frozenset[str]:
        """The stores within a reach."""
        return await self._store.read(lambda db: outlets_sql.reached(db, merchant, reach))

    async def change(
        self,
        merchant: str,
        outlet: str,
        *,
        name: str,
        address: str,
        phone: str,
        place: tuple[int, int],
        terms: OutletTerms,
        node: str,
    ) -> OutletView:
        """Write a store anew. Raises NotFound, Refused (in_use), Invalid."""
        row = outlet_row(name, address, phone, place, terms, node)
        await self._do(SetOutlet(merchant, outlet, row), OutletDone)
        return await self.one(merchant, outlet)

    async def close(self, merchant: str, outlet: str) -> None:
        """Close a store. Raises NotFound, Refused (in_use) while units are there."""
        await self._do(CloseOutlet(merchant, outlet), OutletDone)

    async def ways(self, merchant: str) -> tuple[str, ...]:
        """The ways that a shop offers where no store is named."""
        return await self._store.read(lambda db: outlets_sql.shop_ways(db, merchant))

    async def set_ways(self, merchant: str, staff: str, *, express: bool, pickup: bool) -> tuple[str, ...]:
        """Change them, for orders from now on."""
        now_ms = self._clock()
        await self._store.write(lambda db: outlets_sql.set_shop_ways(db, merchant, staff, express, pickup, now_ms))
        return await self.ways(merchant)

    async def freight_rules(self, merchant: str) -> list[dict[str, Any]]:
        """What the shop and its stores ask for bringing goods."""
        return await self._store.read(lambda db: freight_sql.read_rules(db, merchant))

    async def set_freight(
        self, merchant: str, staff: str, outlet: str, way: str, terms: FreightTerms | None
    ) -> list[dict[str, Any]]:
        """Set a store's rule for one way (``outlet`` empty: of all that have none), for orders from now on.

        None takes it away. Raises Invalid, NotFound.
        """
        fault = None if terms is None else terms_fault(terms)
        if fault is not None:
            raise Invalid(fault[1], field=fault[0])
        now_ms = self._clock()
        await self._store.write(lambda db: freight_sql.set_rule(db, merchant, outlet, way, terms, staff, now_ms))
        return await self.freight_rules(merchant)

    # --- stock and prices ----------------------------------------------------------------------------------------

    async def stock(self, merchant: str, outlet: str, after: str, limit: int) -> list[dict[str, Any]]:
        """What a store has or had, with what it asks for it; those after the SKU ``after``."""
        asked = (merchant, outlet, after, min(limit, PAGE_MAX))
        return await self._store.read(lambda db: outlet_desk_sql.read_stock(db, *asked))

    async def stock_up(self, merchant: str, staff: str, outlet: str, sku: str, quantity: int, reason: str) -> StockView:
        """Receive units in a store (``reason`` received) or correct a count, as in the warehouse.

        Raises NotFound, Refused (sold_out, not_open), Invalid.
        """
        adjust = reason != "received"
        within(quantity, -UNITS_MAX if adjust else 0, UNITS_MAX, "quantity")
        why = check.words(reason, "reason", WHY_CHARACTERS_MAX)
        return await self._do(StockUp(merchant, sku, quantity, adjust, why, Hand(staff, why), outlet), StockView)

    async def transfer(
        self, merchant: str, staff: str, sku: str, quantity: int, source: str, target: str, why: str, key: str
    ) -> TransferView:
        """Move free units; a place is a store, or (empty) the warehouse. The same key moves them once.

        Raises NotFound, Conflict, Refused (sold_out, not_open), Invalid.
        """
        check_key(key)
        within(quantity, 1, UNITS_MAX, "quantity")
        reason = check.words(why, "why", WHY_CHARACTERS_MAX)
        body = fingerprint(sku, quantity, source, target, reason)
        return await self._do(
            MoveStock(merchant, staff, sku, quantity, source, target, reason, key, body), TransferView
        )

    async def transfers(self, merchant: str, outlet: str, before: str | None, limit: int) -> list[dict[str, Any]]:
        """Transfers, newest first; of one store when one is named."""
        asked = (merchant, outlet, before, min(limit, PAGE_MAX))
        return await self._store.read(lambda db: outlet_desk_sql.read_transfers(db, *asked))

    async def set_price(
        self,
        merchant: str,
        outlet: str,
        sku: str,
        price: int | None,
        offer: int | None,
        from_ms: int,
        until_ms: int,
        by: Hand,
    ) -> OutletPriceView:
        """Give a SKU a price and a limited-time price in one store; None takes either away.

        Raises NotFound, Refused (not_open), Invalid.
        """
        now_ms = self._clock()
        times: tuple[int | None, int | None] = (None, None)
        if offer is not None:
            check.price(offer, "offer")
            begins = max(now_ms, check.whole(from_ms, "from", 0, now_ms + OFFER_AHEAD_MS_MAX))
            ends = check.whole(until_ms, "until", 0, begins + OFFER_MS_MAX)
            if ends <= begins:
                raise Invalid("until lies after from and after now", field="until")
            times = (begins, ends)
        checked = None if price is None else check.price(price)
        return await self._do(SetOutletPrice(merchant, outlet, sku, checked, offer, *times, by), OutletPriceView)

    async def prices(self, merchant: str, outlet: str, skus: Sequence[str]) -> list[OutletPriceView]:
        """What SKUs cost in a store now. Raises NotFound."""
        now_ms = self._clock()

        def read(db: Any) -> list[OutletPriceView]:
            outlets_sql.one(db, merchant, outlet)
            return [outlet_desk_sql.read_price(db, merchant, outlet, sku, now_ms) for sku in skus]

        return await self._store.read(read)

    async def _do(self, command: Any, kind: type[T]) -> T:
        result = await self._ledger.submit(command)
        assert isinstance(result, kind)
        return result


def _view(
    row: Mapping[str, Any],
    here: tuple[int, int] | None,
    wanted: Mapping[str, int],
    free: Mapping[tuple[str, str], int],
    now_ms: int,
) -> OutletView:
    terms, place = outlets_sql.terms_of(row), (row["lat_e6"], row["lng_e6"])
    stock = row["id"] if terms.stocked else ""
    has = all(free.get((stock, sku), 0) >= units for sku, units in wanted.items()) if wanted else None
    distance = None if here is None else distance_m(place, here)
    # Where the buyer is not known yet, a courier may still turn out to come.
    target = place if here is None else here
    ways = tuple(way for way in terms.ways if way_fault(terms, way, place, target, now_ms) is None)
    return OutletView(row, terms, distance, open_at(terms.hours, now_ms), ways, has)
