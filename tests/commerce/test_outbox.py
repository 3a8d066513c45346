"""Events reach every listener at least once, over crashes and failing listeners (promise P13)."""

import asyncio
from pathlib import Path

import pytest

from commerce.events import EVENT_TYPES, Event, SaleChanged, StockChanged
from commerce.outbox_sql import ADOPT_AFTER_MS, Dispatcher, Heard, read_undelivered
from commerce.payment_sandbox import SandboxProvider
from commerce.shop import Shop
from commerce.store_sql import open_store
from tests.commerce.shop_world import MERCHANT, ROOM, SKU, ManualClock, crash, seed_catalogue, shop_world


async def test_events_are_in_the_table_before_they_are_told_and_marked_after(place: Path | str) -> None:
    async with shop_world(place) as world:
        sale = await world.sale()
        await world.hold(sale.sale, "one", key="k")
        rows = await world.query("SELECT id, type, delivered_ms FROM outbox ORDER BY seq")
        assert [row.id for row in rows] == [event.id for event in await world.told()]
        await world.shop.sweep()
        assert await world.query("SELECT id FROM outbox WHERE delivered_ms IS NULL") == []


async def test_what_a_crash_left_undelivered_is_told_at_the_next_start(place: Path | str) -> None:
    clock = ManualClock()
    store = open_store(place)
    await store.write(seed_catalogue)
    shop = Shop(store, clock=clock, provider=SandboxProvider(b"s", clock=clock), sweep_s=0)
    before: list[Event] = []
    shop.listen(before.append)
    await shop.start()
    await shop.stock_up(MERCHANT, SKU, 5)
    sale = await shop.create_sale(MERCHANT, ROOM, SKU, 100, 200, 5, 5, 60, 60)
    await shop.start_sale(MERCHANT, sale.sale, 0)
    await shop.hold(MERCHANT, ROOM, "one", sale.sale, 1, "k")
    await shop.told()
    await crash(shop)

    store = open_store(place)
    shop = Shop(store, clock=clock, provider=SandboxProvider(b"s", clock=clock), sweep_s=0)
    after: list[Event] = []
    answered: list[Event] = []
    shop.listen(after.append)
    shop.answer(answered.append)
    await shop.start()
    clock.advance(ADOPT_AFTER_MS)
    await shop.sweep()
    assert answered == before
    # Where several processes share a database the living ones have heard, and a new one reads how things stand.
    assert after == ([] if store.shared else before)
    assert [type(event) for event in answered] == [SaleChanged, SaleChanged, StockChanged]
    await shop.close()
    assert store.reader.connect().exec_driver_sql("SELECT * FROM outbox WHERE delivered_ms IS NULL").all() == []
    store.close()


async def test_a_failing_listener_costs_the_others_nothing_and_is_tried_again(
    anywhere: Path | str, caplog: pytest.LogCaptureFixture
) -> None:
    dispatcher = Dispatcher()
    told: list[str] = []
    failures = [True, False]

    def flaky(event: Event) -> None:
        if failures.pop(0):
            raise RuntimeError("not now")
        told.append("flaky")

    dispatcher.listen(flaky)
    dispatcher.listen(lambda event: told.append("steady"))
    dispatcher.dispatch([Event("e1", "m", "r", 0)])
    assert told == ["steady"]
    assert dispatcher.take_delivered() == ()
    dispatcher.retry()
    assert told == ["steady", "flaky", "steady"]
    assert dispatcher.take_delivered() == ("e1",)


async def test_an_event_of_a_newer_program_is_skipped(anywhere: Path | str, caplog: pytest.LogCaptureFixture) -> None:
    async with shop_world(anywhere) as world:
        foreign = "INSERT INTO outbox (id, type, body, created_ms) VALUES ('x', 'Unheard', '{}', 0)"
        await world.store.write(lambda connection: connection.exec_driver_sql(foreign))
        assert "Unheard" not in EVENT_TYPES
        assert await world.store.read(read_undelivered) == []


async def test_an_event_that_somebody_still_writes_down_is_delivered_when_that_is_done() -> None:
    dispatcher = Dispatcher()
    loop = asyncio.get_running_loop()
    writes: list[asyncio.Future[None]] = []

    def write(_: Event) -> asyncio.Future[None]:
        writes.append(loop.create_future())
        return writes[-1]

    dispatcher.answer(write)
    dispatcher.answer(lambda event: None)
    dispatcher.dispatch([Event("e1", "m", "r", 0), Event("e2", "m", "r", 0)])
    assert dispatcher.take_delivered() == ()
    writes[1].set_result(None)
    writes[0].set_exception(OSError("the disk is full"))
    await asyncio.sleep(0)
    assert dispatcher.take_delivered() == ("e2",)
    dispatcher.retry()
    writes[2].set_result(None)
    await asyncio.sleep(0)
    assert dispatcher.take_delivered() == ("e1",)
    # What others answer for is nobody's to write here.
    dispatcher.follow([(Event("e3", "m", "r", 0), Heard.OTHERS)])
    assert len(writes) == 3 and dispatcher.take_delivered() == ()
