"""The day's books: figures equal to what happened, balances that carry over, CSV that no spreadsheet runs."""

import asyncio
import csv
import io
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event

from commerce.domain.day import DAY_MS, day_bounds_ms, day_of
from commerce.statement import statement_csv
from commerce.statement_sql import read_statement
from commerce.stock_sql import COUNTERS
from tests.commerce.shop_world import MERCHANT, OTHER_SKU, ROOM, SKU, World, shop_world
from tests.commerce.test_refunds import code_of, paid, refund, settled, stock


async def books(world: World, days_ago: int = 0, merchant: str = MERCHANT) -> Any:
    """The statement of a day."""
    return await world.shop.aftersale.statement(merchant, day_of(world.clock() - days_ago * DAY_MS))


async def test_a_day_adds_up_and_the_next_one_begins_where_it_ended(place: Path | str) -> None:
    async with shop_world(place) as world:
        order = await paid(world, units=3, coupon=1_001)
        await refund(world, order.order, "a", lines=[(OTHER_SKU, 1)], stock="quarantine", reason="broken")
        await settled(world)
        first = await books(world)
        assert (first.orders.count, first.orders.ids) == (1, (order.order,))
        assert (first.paid.count, first.paid.amount) == (1, order.amount)
        [provider] = first.providers
        assert (provider.provider, provider.paid.amount) == ("sandbox", order.amount)
        given = first.refunds_done.amount
        assert given == first.refunds_booked.amount == provider.refunded.amount > 0
        assert (first.money.opening, first.money.came, first.money.went) == (0, order.amount, given)
        assert (first.coupons_given.count, first.coupons_used.count, first.coupons_used.amount) == (1, 1, 1_001)
        tea = next(line for line in first.stock if line.sku == OTHER_SKU)
        assert (tea.received, tea.held, tea.sold, tea.returned, tea.shipped) == (3, 3, 3, 1, 0)
        assert tea.opening == dict.fromkeys(COUNTERS, 0)
        assert tea.entries == len(tea.ids) == 4

        world.clock.advance(DAY_MS)
        await world.shop.aftersale.ship(MERCHANT, order.order, "a", "b")
        await refund(world, order.order, "b")
        await settled(world)
        second = await books(world)
        assert second.money.opening == first.money.closing
        assert (second.money.went, second.money.closing) == (order.amount - given, 0)
        assert second.orders.count == second.paid.count == 0
        for line in second.stock:
            before = next(one for one in first.stock if one.sku == line.sku)
            assert line.opening == before.closing
            now = await stock(world, line.sku)
            assert line.closing == {name: now[name] for name in COUNTERS}
        assert await books(world, 1) == first


async def test_a_day_is_shanghai_s_and_cut_to_the_millisecond(anywhere: Path | str) -> None:
    assert day_bounds_ms("1971-01-01") == (31_507_200_000, 31_593_600_000)
    async with shop_world(anywhere) as world:
        since, until = day_bounds_ms(day_of(world.clock()))
        world.clock.now_ms = until - 1
        await world.shop.stock_up(MERCHANT, OTHER_SKU, 1)
        await world.shop.create_order(MERCHANT, ROOM, "one", "o", lines=[(OTHER_SKU, 1)])
        world.clock.now_ms = until
        await world.shop.sweep()
        assert day_of(since) == day_of(until - 1) != day_of(until)
        today, yesterday = await books(world), await books(world, 1)
        assert (today.orders.count, yesterday.orders.count) == (0, 1)
        assert today.stock[0].received == 0 and yesterday.stock[0].received == 1


async def test_another_merchant_s_books_are_empty(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        await paid(world)
        other = await books(world, merchant="m2")
        assert (other.orders.count, other.money.closing, other.stock, other.providers) == (0, 0, (), ())


async def test_what_is_still_owed_is_said(anywhere: Path | str) -> None:
    async with shop_world(anywhere, mute_refunds=True) as world:
        order = await paid(world)
        await refund(world, order.order, amount=77)
        await asyncio.sleep(0.05)
        day = await books(world)
        assert (day.refunds_booked.amount, day.refunds_done.amount, day.refunds_open.amount) == (77, 0, 77)
        assert day.money.closing == order.amount


@pytest.mark.parametrize("day", ["", "today", "2026-02-30", "2026-2-3", "0001-01-01", "9999-12-31", "２０２６-01-01"])
async def test_a_day_that_is_none_is_refused(anywhere: Path | str, day: str) -> None:
    async with shop_world(anywhere) as world:
        assert await code_of(world.shop.aftersale.statement(MERCHANT, day)) == "invalid"


async def test_the_csv_has_every_figure_and_runs_nowhere(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        await world.store.write(
            lambda connection: (
                connection.exec_driver_sql(
                    "UPDATE product SET title = '=HYPERLINK(\"http://x\")' WHERE id = 'p2'"
                ).rowcount
            )
        )
        await world.store.write(
            lambda connection: connection.exec_driver_sql("UPDATE sku SET id = '=' || id WHERE id = 'k2'").rowcount
        )
        await world.shop.stock_up(MERCHANT, "=k2", 5)
        await world.shop.stock_up(MERCHANT, "=k2", -2, "=1+1")
        await world.shop.stock_up(MERCHANT, SKU, 1)
        rows = list(csv.reader(io.StringIO(statement_csv(await books(world)))))
        assert {len(row) for row in rows} == {5}
        assert not [cell for row in rows for cell in row if cell[:1] in "=+@\t\r" and cell]
        assert [row[3] for row in rows if row[1].startswith("'=k2") and row[2] == "adjusted"] == ["-2"]
        await world.store.write(
            lambda connection: connection.exec_driver_sql("UPDATE sku SET id = 'k2' WHERE id = '=k2'").rowcount
        )


async def buy(world: World, name: str, orders: int) -> None:
    """Paid orders of one unit each, all at once."""
    sku = SKU if name == "old" else OTHER_SKU
    await world.shop.stock_up(MERCHANT, sku, orders)

    async def one(number: int) -> None:
        made = await world.shop.create_order(MERCHANT, ROOM, f"{name}{number}", "o", lines=[(sku, 1)])
        await world.shop.pay_order(MERCHANT, f"{name}{number}", made.order, "p")

    await asyncio.gather(*(one(number) for number in range(orders)))


def cost_of_today(world: World) -> Any:
    """How many statements and how many of SQLite's instructions (in tens) the day's books take to read."""

    def read(db: Connection) -> tuple[int, int]:
        statements: list[str] = []
        instructions: list[int] = []
        raw: Any = db.connection.driver_connection
        event.listen(db, "before_cursor_execute", lambda *told: statements.append(told[2]))
        raw.set_progress_handler(lambda: instructions.append(1), 10)
        day = day_of(world.clock())
        read_statement(db, MERCHANT, day, *day_bounds_ms(day))
        raw.set_progress_handler(None, 0)
        return len(statements), len(instructions)

    return world.store.read(read)


async def test_a_day_costs_what_happened_on_it_and_not_its_square(tmp_path: Path) -> None:
    async with shop_world(tmp_path, synchronous="OFF") as world:
        await buy(world, "a", 20)
        statements, few = await cost_of_today(world)
        await buy(world, "b", 60)
        again, many = await cost_of_today(world)
        assert (again, many < 4.4 * few) == (statements, True), (few, many)


async def test_a_day_costs_little_more_for_the_days_before_it(tmp_path: Path) -> None:
    async with shop_world(tmp_path, synchronous="OFF") as world:
        await buy(world, "old", 60)
        before = await books(world)
        world.clock.advance(DAY_MS)
        await buy(world, "new", 15)
        _, late = await cost_of_today(world)
        # The same day of a shop that was never open before.
        assert await books(world, 1) == before
    async with shop_world(tmp_path / "young", synchronous="OFF") as world:
        world.clock.advance(DAY_MS)
        await buy(world, "new", 15)
        _, young = await cost_of_today(world)
    assert late < 2 * young, (late, young)
