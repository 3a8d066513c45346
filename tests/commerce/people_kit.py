"""What these tests share: a clock turned by hand, a store in a folder, and a shop with a stranger beside it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from argon2 import PasswordHasher

from commerce.attribution.service import Attribution
from commerce.attribution.touches_sql import TouchLog, open_touch_log
from commerce.catalogue import Catalogue
from commerce.catalogue_views import CatalogueEvent, Merchant, ProductView, RoomView
from commerce.identity.people import People
from commerce.passwords import Passwords
from commerce.store_sql import Store, open_store
from tests.commerce.template import migrated

T = TypeVar("T")

START_MS = 1_790_000_000_000
SECRET = b"a secret of the tests, long enough"


class ManualClock:
    """Unix milliseconds that move only when told."""

    def __init__(self, now_ms: int = START_MS) -> None:
        self.now_ms = now_ms

    def __call__(self) -> int:
        return self.now_ms

    def advance(self, ms: int) -> None:
        self.now_ms += ms


def cheap_passwords() -> Passwords:
    """Argon2id with the smallest cost: what is tested is not how long it takes."""
    return Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


@dataclass
class Shop:
    """An open catalogue, one merchant with a room and a product, and a stranger with theirs."""

    store: Store
    clock: ManualClock
    catalogue: Catalogue
    touches: TouchLog
    attribution: Attribution
    people: People
    mine: Merchant
    room: RoomView
    product: ProductView
    other: Merchant
    other_room: RoomView
    other_product: ProductView
    events: list[CatalogueEvent] = field(default_factory=list)


@asynccontextmanager
async def open_shop(where: Path | str, clock: ManualClock | None = None) -> AsyncIterator[Shop]:
    """Open a store at ``where`` with two merchants, each with one room and one product."""
    clock = clock or ManualClock()
    migrated(where)
    store = open_store(where, synchronous="NORMAL")
    catalogue = Catalogue(store, clock=clock, passwords=cheap_passwords())
    touches = open_touch_log(where, clock=clock)
    people = People(store, touches, clock=clock)
    try:
        mine = await catalogue.create_merchant("思语优选")
        other = await catalogue.create_merchant("Other")
        shop = Shop(
            store,
            clock,
            catalogue,
            touches,
            Attribution(store, touches, secret=SECRET, clock=clock),
            people,
            mine,
            await catalogue.create_room(mine.id, "晚间直播", "小语"),
            await catalogue.create_product(mine.id, "竹纤维毛巾", 990, 1990, "/static/towel.svg"),
            other,
            await catalogue.create_room(other.id, "Elsewhere"),
            await catalogue.create_product(other.id, "Kettle", 5900),
        )
        catalogue.listen(shop.events.append)
        yield shop
    finally:
        await catalogue.close()
        await people.close()
        touches.close()
        store.close()


def of_type(events: list[CatalogueEvent], kind: type[T]) -> list[T]:
    """Pick the events of one type."""
    return [event for event in events if isinstance(event, kind)]


async def newcomer(shop: Shop, value: str, *, merchant: str | None = None) -> str:
    """Give the id of a guest, made on first sight."""
    return (await shop.people.identify(merchant or shop.mine.id, "guest", value, value)).person.id
