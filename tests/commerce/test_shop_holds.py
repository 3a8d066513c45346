"""The rush: holds against stock, limits, keys, clocks and queues."""

import asyncio
import gc
import sqlite3
import warnings
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from commerce.errors import Busy, CommerceError, Conflict, Invalid, NotFound, Refused
from commerce.events import HoldExpired, SaleChanged, StockChanged
from commerce.ledger import GIVE_WAY_EVERY_S, GIVE_WAY_S, HoldGranted
from commerce.ledger_sql import GroupCommitLedger
from commerce.payments import OUTSIDE_CALLS_MAX
from tests.commerce.shop_world import MERCHANT, ROOM, SKU, World, shop_world


async def outcome(awaitable: Any) -> str:
    """``ok`` or the code of the refusal."""
    try:
        await awaitable
    except CommerceError as error:
        return error.code
    return "ok"


async def test_five_thousand_attempts_for_a_hundred_units_give_exactly_a_hundred(place: Path | str) -> None:
    async with shop_world(place) as world:
        sale = await world.sale(100, 1)
        attempts = [outcome(world.hold(sale.sale, f"p{n}", key="k")) for n in range(5_000)]
        codes = await asyncio.gather(*attempts)
        assert codes.count("ok") == 100
        assert codes.count("sold_out") == 4_900
        assert (await world.shop.sale(sale.sale)).left == 0
        [row] = await world.query("SELECT free, held, sold FROM stock")
        assert tuple(row) == (0, 100, 0)
        stock = [event for event in await world.told() if isinstance(event, StockChanged | SaleChanged)]
        assert len(stock) < 50


async def test_while_the_writer_gets_nowhere_the_loop_lets_go_of_the_interpreter_and_not_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rests = list[float]()
    monkeypatch.setattr("commerce.ledger_sql.sleep", rests.append)
    async with shop_world(tmp_path) as world:
        sale = await world.sale(10, 1)
        other = sqlite3.connect(tmp_path / "shop.db", isolation_level=None)
        try:
            other.execute("BEGIN IMMEDIATE")
            rests.clear()
            asked = asyncio.ensure_future(world.hold(sale.sale, "ann", key="k"))
            async with asyncio.timeout(60):
                while len(rests) < 3:
                    await asyncio.sleep(0.01)
            assert not asked.done()
            other.execute("ROLLBACK")
        finally:
            other.close()
        assert (await asked).quantity == 1
        # One look may be under way; with nothing left to wait for there is no other.
        await asyncio.sleep(2 * GIVE_WAY_EVERY_S)
        rested = len(rests)
        await asyncio.sleep(10 * GIVE_WAY_EVERY_S)
        assert len(rests) == rested
    assert set(rests) == {GIVE_WAY_S}


async def test_units_are_granted_in_arrival_order(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        sale = await world.sale(30, 1)
        codes = await asyncio.gather(*(outcome(world.hold(sale.sale, f"p{n}", key="k")) for n in range(90)))
        assert codes == ["ok"] * 30 + ["sold_out"] * 60


async def test_the_limit_holds_for_one_person_with_many_keys_at_once(place: Path | str) -> None:
    async with shop_world(place) as world:
        sale = await world.sale(50, 2)
        codes = await asyncio.gather(*(outcome(world.hold(sale.sale, "one", key=f"k{n}")) for n in range(40)))
        assert codes.count("ok") == 2
        assert codes.count("limit") == 38


async def test_the_same_key_gives_the_stored_answer_in_parallel_and_later(place: Path | str) -> None:
    async with shop_world(place) as world:
        sale = await world.sale(5, 5)
        answers = await asyncio.gather(*(world.hold(sale.sale, "one", 2, key="k") for _ in range(20)))
        answers.append(await world.hold(sale.sale, "one", 2, key="k"))
        assert len(set(answers)) == 1
        assert (await world.shop.sale(sale.sale)).left == 3


async def test_a_repeat_is_answered_even_when_the_sale_is_sold_out_or_closed(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        sale = await world.sale(1, 1)
        held = await world.hold(sale.sale, "one", key="k")
        assert await outcome(world.hold(sale.sale, "two", key="k")) == "sold_out"
        assert await outcome(world.hold(sale.sale, "two", key="k")) == "sold_out"
        assert await world.hold(sale.sale, "one", key="k") == held
        await world.shop.close_sale(MERCHANT, sale.sale)
        assert await world.hold(sale.sale, "one", key="k") == held


async def test_a_key_reused_for_another_quantity_is_a_conflict(place: Path | str) -> None:
    async with shop_world(place) as world:
        sale = await world.sale()
        await world.hold(sale.sale, "one", 1, key="k")
        with pytest.raises(Conflict):
            await world.hold(sale.sale, "one", 2, key="k")
        both = [world.hold(sale.sale, "two", quantity, key="k") for quantity in (1, 2)]
        assert sorted(await asyncio.gather(*(outcome(one) for one in both))) == ["key_reused", "ok"]


async def test_a_quantity_is_all_or_nothing(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        sale = await world.sale(3, 5)
        with pytest.raises(Refused) as refused:
            await world.hold(sale.sale, "one", 4, key="k")
        assert refused.value.extra == {"left": 3}
        assert (await world.hold(sale.sale, "one", 3, key="k")).quantity == 3


@pytest.mark.parametrize("quantity", [0, -1, 1_000])
async def test_a_senseless_quantity_is_invalid(anywhere: Path | str, quantity: int) -> None:
    async with shop_world(anywhere) as world:
        sale = await world.sale()
        with pytest.raises(Invalid):
            await world.hold(sale.sale, "one", quantity, key="k")


async def test_a_stale_price_is_refused_with_the_new_one(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        sale = await world.sale()
        await world.shop.reprice_sale(MERCHANT, sale.sale, 4_000)
        with pytest.raises(Refused) as refused:
            await world.hold(sale.sale, "one", key="k", version=1)
        assert (refused.value.code, refused.value.extra) == ("price_changed", {"price": 4_000, "version": 2})
        assert (await world.hold(sale.sale, "one", key="k", version=2)).price == 4_000


async def test_another_merchant_or_room_does_not_find_the_sale(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        sale = await world.sale(1)
        assert await outcome(world.shop.hold("m2", ROOM, "one", sale.sale, 1, "k")) == "not_found"
        assert await outcome(world.shop.hold(MERCHANT, "r2", "one", sale.sale, 1, "k")) == "not_found"
        assert await outcome(world.shop.hold(MERCHANT, ROOM, "one", "nosuch", 1, "k")) == "not_found"
        assert await outcome(world.shop.close_sale("m2", sale.sale)) == "not_found"
        await world.hold(sale.sale, "one", key="k")
        await outcome(world.hold(sale.sale, "two", key="k"))
        assert await outcome(world.shop.hold("m2", ROOM, "two", sale.sale, 1, "k")) == "not_found"


async def test_the_clock_opens_and_closes_a_sale(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        sale = await world.sale(5, 5, start=False)
        assert await outcome(world.hold(sale.sale, "one", key="a")) == "not_open"
        await world.shop.start_sale(MERCHANT, sale.sale, 10)
        assert await outcome(world.hold(sale.sale, "one", key="a")) == "not_open"
        world.clock.advance(10_000)
        assert await outcome(world.hold(sale.sale, "one", key="a")) == "ok"
        await world.shop.pause_sale(MERCHANT, sale.sale)
        assert await outcome(world.hold(sale.sale, "one", key="b")) == "paused"
        world.clock.advance(700_000)
        await world.shop.resume_sale(MERCHANT, sale.sale)
        assert await outcome(world.hold(sale.sale, "one", key="b")) == "ok"
        world.clock.advance(600_000)
        assert await outcome(world.hold(sale.sale, "one", key="c")) == "closed"
        await world.shop.sweep()
        states = [event.sale.state for event in await world.told() if isinstance(event, SaleChanged)]
        assert states == ["scheduled", "countdown", "open", "paused", "open", "closed"]
        [row] = await world.query("SELECT free, held FROM stock")
        assert tuple(row) == (5, 0)


async def test_a_countdown_that_ends_is_announced_by_the_sweeper(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        sale = await world.sale(start=False)
        await world.shop.start_sale(MERCHANT, sale.sale, 10)
        world.clock.advance(10_001)
        await world.shop.sweep()
        await world.shop.sweep()
        states = [event.sale.state for event in await world.told() if isinstance(event, SaleChanged)]
        assert states == ["scheduled", "countdown", "open"]


async def test_an_expired_hold_gives_its_units_and_the_limit_back_to_the_next_buyer(place: Path | str) -> None:
    async with shop_world(place) as world:
        sale = await world.sale(1, 1, hold_s=60)
        await world.hold(sale.sale, "one", key="a")
        assert await outcome(world.hold(sale.sale, "two", key="a")) == "sold_out"
        world.clock.advance(60_000)
        assert await outcome(world.hold(sale.sale, "two", key="b")) == "ok"
        assert [event.person for event in await world.told() if isinstance(event, HoldExpired)] == ["one"]
        world.clock.advance(60_000)
        await world.shop.sweep()
        assert await outcome(world.hold(sale.sale, "one", key="c")) == "ok"


async def test_closing_a_sale_returns_free_units_now_and_held_ones_when_they_expire(place: Path | str) -> None:
    async with shop_world(place) as world:
        sale = await world.sale(10, 2)
        await world.hold(sale.sale, "one", 2, key="a")
        await world.shop.close_sale(MERCHANT, sale.sale)
        world.assert_clean()
        [row] = await world.query("SELECT free, held FROM stock")
        assert tuple(row) == (8, 2)
        world.clock.advance(300_000)
        await world.shop.sweep()
        [row] = await world.query("SELECT free, held FROM stock")
        assert tuple(row) == (10, 0)


async def test_a_sale_cannot_set_aside_more_than_is_free(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        await world.shop.stock_up(MERCHANT, SKU, 5)
        assert await outcome(world.shop.create_sale(MERCHANT, ROOM, SKU, 1, 1, 6, 1, 60, 60)) == "sold_out"
        assert await outcome(world.shop.create_sale("m2", ROOM, SKU, 1, 1, 5, 1, 60, 60)) == "not_found"
        assert await outcome(world.shop.create_sale(MERCHANT, ROOM, SKU, 0, 1, 5, 1, 60, 60)) == "invalid"
        assert await outcome(world.shop.stock_up(MERCHANT, SKU, -6, "miscount")) == "sold_out"
        assert (await world.shop.stock_up(MERCHANT, SKU, -5, "miscount")).free == 0


async def test_a_full_queue_refuses_at_once_and_says_when_to_return(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        sale = await world.sale(50, 1)
        world.shop.ledger._waiting_max = 10
        futures = [world.shop.hold(MERCHANT, ROOM, f"p{n}", sale.sale, 1, "k") for n in range(30)]
        refused = [future for future in futures if future.done()]
        assert len(refused) == 20
        error = refused[0].exception()
        assert isinstance(error, Busy)
        assert error.retry_ms == 500
        codes = await asyncio.gather(*(outcome(future) for future in futures))
        assert codes == ["ok"] * 10 + ["busy"] * 20


async def test_a_latched_refusal_costs_no_transaction_and_lapses(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        sale = await world.sale(1, 1)
        await world.hold(sale.sale, "one", key="k")
        await outcome(world.hold(sale.sale, "two", key="k"))
        batches = world.shop.ledger.batches
        for n in range(100):
            assert await outcome(world.hold(sale.sale, f"p{n}", key="k")) == "sold_out"
        assert world.shop.ledger.batches == batches
        world.clock.advance(250)
        assert await outcome(world.hold(sale.sale, "two", key="k")) == "sold_out"
        assert world.shop.ledger.batches == batches + 1


async def test_when_a_sold_out_hint_is_old_one_of_a_rush_asks_and_the_others_wait_for_the_answer(place: Path) -> None:
    async with shop_world(place) as world:
        sale = await world.sale(1, 1)
        await world.hold(sale.sale, "one", key="k")
        await outcome(world.hold(sale.sale, "two", key="k"))
        commands = world.shop.ledger.commands
        world.clock.advance(250)
        assert world.shop.latched(MERCHANT, ROOM, "p0", sale.sale, "k") is None
        codes = await asyncio.gather(*(outcome(world.hold(sale.sale, f"p{n}", key="k")) for n in range(100)))
        assert codes == ["sold_out"] * 100
        assert world.shop.ledger.commands == commands + 1
        assert world.shop.latched(MERCHANT, ROOM, "p0", sale.sale, "k") == "sold_out"
        # Nor does the hint speak for another room, for one who has a unit, or for a key that is none.
        assert world.shop.latched(MERCHANT, "other", "p0", sale.sale, "k") is None
        assert world.shop.latched(MERCHANT, ROOM, "one", sale.sale, "k") is None
        assert world.shop.latched(MERCHANT, ROOM, "p0", sale.sale, "\0") is None


async def test_a_sold_out_hint_ends_when_the_next_hold_does_and_all_may_ask_again(place: Path) -> None:
    async with shop_world(place) as world:
        sale = await world.sale(3, 1)
        holds = [await world.hold(sale.sale, f"early{n}", key="k") for n in range(3)]
        world.clock.advance(holds[0].expires_ms - world.clock() - 100)
        assert await outcome(world.hold(sale.sale, "late", key="k")) == "sold_out"
        world.clock.advance(100)
        codes = await asyncio.gather(*(outcome(world.hold(sale.sale, f"p{n}", key="k")) for n in range(4)))
        assert codes == ["ok", "ok", "ok", "sold_out"]


async def test_a_command_that_fails_does_not_spoil_its_neighbours(
    place: Path | str, caplog: pytest.LogCaptureFixture
) -> None:
    async with shop_world(place) as world:
        sale = await world.sale(10, 1)
        pending: list[Any] = [world.hold(sale.sale, "one", key="k"), world.shop.close_drop(MERCHANT, "nosuch")]
        pending += [world.hold(sale.sale, "two", key="k"), world.shop.start_sale(MERCHANT, sale.sale, 0)]
        pending += [world.hold(sale.sale, "three", key="k")]
        codes = await asyncio.gather(*(outcome(one) for one in pending))
        assert codes == ["ok", "not_found", "ok", "already", "ok"]


def _refuse(connection: Connection, person: str) -> None:
    """Have an index, which nobody's second row fits into, hold a place for a person."""
    connection.exec_driver_sql(
        f"CREATE UNIQUE INDEX refused ON hold ((CASE person WHEN '{person}' THEN 1 WHEN 'nobody' THEN 1 ELSE NULL END))"
    )
    connection.exec_driver_sql(
        "INSERT INTO hold (id, merchant, sku, person, quantity, price, expires_ms, state)"
        " VALUES ('x', 'm1', 'k1', 'nobody', 1, 1, 1, 'released')"
    )


async def test_a_run_that_meets_a_database_check_is_run_one_by_one(
    place: Path | str, caplog: pytest.LogCaptureFixture
) -> None:
    async with shop_world(place) as world:
        sale = await world.sale(10, 1)
        # What no rule of ours foresees: the database itself refuses one person's row.
        await world.store.write(lambda connection: _refuse(connection, "two"))
        codes = await asyncio.gather(*(outcome(world.hold(sale.sale, p, key="k")) for p in ("one", "two", "three")))
        assert codes == ["ok", "internal", "ok"]
        assert (await world.shop.sale(sale.sale)).left == 8


async def test_a_closed_ledger_answers_what_was_queued_and_refuses_the_rest(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        sale = await world.sale(10, 1)
        queued = [world.shop.hold(MERCHANT, ROOM, f"p{n}", sale.sale, 1, "k") for n in range(5)]
        await world.shop.ledger.close()
        assert all([isinstance(await future, HoldGranted) for future in queued])
        assert await outcome(world.hold(sale.sale, "late", key="k")) == "busy"
        world.shop.ledger.start(asyncio.get_running_loop())


async def test_an_unknown_command_is_a_fault_of_the_caller(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        assert isinstance(world.shop.ledger, GroupCommitLedger)
        with pytest.raises(TypeError):
            world.shop.ledger.submit(object())


async def test_unknown_things_are_not_found(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        for query in (world.shop.sale("x"), world.shop.drop("x"), world.shop.order(MERCHANT, "x")):
            with pytest.raises(NotFound):
                await query


async def test_the_sweeper_runs_by_itself(place: Path | str) -> None:
    async with shop_world(place) as world:
        assert isinstance(world, World)
        sale = await world.sale(1, 1, hold_s=1)
        await world.hold(sale.sale, "one", key="k")
        world.clock.advance(1_000)
        world.shop._sweep_s = 0.01
        world.shop._timer = asyncio.get_running_loop().call_later(0, world.shop._tick)
        async with asyncio.timeout(60):
            while not any(isinstance(event, HoldExpired) for event in await world.told()):
                await asyncio.sleep(0.01)


async def test_a_sweep_that_finds_no_room_among_the_calls_outside_comes_later(place: Path | str) -> None:
    async with shop_world(place) as world:
        assert isinstance(world, World)
        sale = await world.sale(1, 1, hold_s=1)
        await world.hold(sale.sale, "one", key="k")
        world.clock.advance(1_000)
        answered = asyncio.Event()

        async def slow() -> None:
            await answered.wait()

        assert all(world.shop.payments.call(f"call {n}", slow) for n in range(OUTSIDE_CALLS_MAX))
        world.shop._sweep_s = 0.01
        loop = asyncio.get_running_loop()
        world.shop._timer = loop.call_later(0, world.shop._tick)
        await asyncio.sleep(0.05)
        answered.set()
        async with asyncio.timeout(60):
            while not any(isinstance(event, HoldExpired) for event in await world.told()):
                await asyncio.sleep(0.01)


async def test_a_call_that_ends_before_it_began_leaves_nothing_unawaited(place: Path | str) -> None:
    async with shop_world(place) as world:

        async def never() -> None:
            raise AssertionError("it was not to begin")

        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            assert world.shop.payments.call("one", never)
            await world.shop.payments.close()
            gc.collect()
        assert [str(one.message) for one in warned if "never awaited" in str(one.message)] == []
