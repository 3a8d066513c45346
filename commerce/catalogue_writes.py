"""How the catalogue writes: short transactions one after another, and who is told of what they changed.

The parts of the catalogue stand on this class; what is written by the ledger (goods of a sheet) tells through it.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import TypeVar

from commerce import catalogue_sql as sql
from commerce import compliance_sql
from commerce.catalogue_sql import Transaction
from commerce.catalogue_views import CatalogueEvent, PinChanged, ProductView, ShelfChanged
from commerce.errors import Busy
from commerce.fresh_ids import fresh_id
from commerce.store_sql import Store

T = TypeVar("T")
Clock = Callable[[], int]

WRITES_WAITING_MAX = 500  # far above what staff can click; beyond it something else is wrong


class CatalogueWrites:
    """Transactions on the store's writing thread, and the listeners of what they changed."""

    def __init__(self, store: Store, *, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._listeners: list[Callable[[CatalogueEvent], None]] = []
        self._writes: set[asyncio.Task[object]] = set()

    def listen(self, callback: Callable[[CatalogueEvent], None]) -> None:
        """Have ``callback`` called on the loop after each commit that changed pins, a shelf or a room."""
        self._listeners.append(callback)

    async def tell(self, merchant: str, products: Iterable[str]) -> None:
        """Tell the rooms that show these products of what the ledger has written of them. Raises ``Busy``."""
        shown = list(products)

        def change(db: Transaction) -> tuple[None, list[CatalogueEvent]]:
            events: list[CatalogueEvent] = []
            for product in shown:
                on_sale = sql.product(db, merchant, product).on_shelf
                events += self._showing(db, merchant, product, on_sale=on_sale)
            return None, events

        await self._write(change)

    async def _edit(self, merchant: str, product: str, edit: Callable[[ProductView], ProductView]) -> ProductView:
        def change(db: Transaction) -> tuple[ProductView, list[CatalogueEvent]]:
            old = sql.product(db, merchant, product)
            new = edit(old)
            if new == old:
                return old, []
            if new.on_shelf and not old.on_shelf:
                compliance_sql.check_up(db, merchant, [product])
            sql.update_product(db, new)
            return new, self._showing(db, merchant, product, on_sale=new.on_shelf)

        return await self._write(change)

    def _showing(self, db: Transaction, merchant: str, product: str, *, on_sale: bool = True) -> list[CatalogueEvent]:
        """The events for the rooms that show a product; it is unpinned there when it is off sale."""
        events: list[CatalogueEvent] = []
        for room, pinned in sql.rooms_showing(db, product):
            if pinned and not on_sale:
                sql.unpin(db, room, product)
                events.append(self._pin_changed(db, merchant, room, unpinned=product))
            elif pinned:
                events.append(self._pin_changed(db, merchant, room, card=product))
            events.append(self._shelf_changed(db, merchant, room))
        return events

    def _own(self, db: Transaction, merchant: str, room: str, product: str) -> ProductView:
        sql.room(db, room, merchant)
        return sql.product(db, merchant, product)

    def _pin_changed(
        self, db: Transaction, merchant: str, room: str, card: str | None = None, unpinned: str | None = None
    ) -> PinChanged:
        now_ms = self._clock()
        pins = sql.pins(db, room, self._clock())
        shown = next((one for one in pins if one.product == card), None)
        return PinChanged(fresh_id(now_ms), merchant, room, now_ms, pins, shown, unpinned)

    def _shelf_changed(self, db: Transaction, merchant: str, room: str) -> ShelfChanged:
        now_ms = self._clock()
        return ShelfChanged(fresh_id(now_ms), merchant, room, now_ms, sql.shelf(db, room, self._clock()))

    async def _insert(self, insert: Callable[[Transaction], None]) -> None:
        def change(db: Transaction) -> tuple[None, list[CatalogueEvent]]:
            insert(db)
            return None, []

        await self._write(change)

    async def _write(self, change: Callable[[Transaction], tuple[T, list[CatalogueEvent]]]) -> T:
        if len(self._writes) >= WRITES_WAITING_MAX:
            raise Busy("too many changes are waiting")
        # A task of its own: a caller that goes away must not swallow the event of a change that was committed.
        task = asyncio.get_running_loop().create_task(self._write_and_tell(change))
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)
        return await asyncio.shield(task)

    async def _write_and_tell(self, change: Callable[[Transaction], tuple[T, list[CatalogueEvent]]]) -> T:
        result, events = await self._store.write(change)
        loop = asyncio.get_running_loop()
        for event in events:
            for callback in self._listeners:
                # Through the loop: a listener that fails is reported there and fails neither the change nor the others.
                loop.call_soon(callback, event)
        return result
