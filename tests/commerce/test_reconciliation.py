"""A provider's day against the books: what agrees, and each way in which it may not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from commerce.domain.bill import Bill, BillLine
from commerce.domain.day import DAY_MS, day_of
from commerce.errors import Invalid, NotFound
from commerce.reconciliation import reconciliation_csv
from tests.commerce.shop_world import MERCHANT, OTHER_SKU, ROOM, World, shop_world


async def paid_order(world: World, n: int, quantity: int = 1) -> Any:
    """A paid order of some units at 20.00."""
    await world.shop.stock_up(MERCHANT, OTHER_SKU, quantity)
    order = await world.shop.create_order(MERCHANT, ROOM, f"p{n}", f"o{n}", lines=[(OTHER_SKU, quantity)])
    return await world.shop.pay_order(MERCHANT, f"p{n}", order.order, f"k{n}")


async def refunded(world: World, order: str, amount: int) -> None:
    """A part given back and told of."""
    await world.shop.aftersale.refund(MERCHANT, "boss", order, f"r{order}", amount=amount)
    await world.shop.told()
    await world.shop.payments.idle()
    while [row.state for row in await world.query("SELECT state FROM refund")] != ["done"]:
        await world.shop.told()


async def test_a_day_on_which_all_agrees(place: Path | str) -> None:
    async with shop_world(place) as world:
        day = day_of(world.clock())
        first, _ = await paid_order(world, 1), await paid_order(world, 2, 2)
        await refunded(world, first.order, 500)
        books = world.shop.reconciliation
        assert not await books.fetch("sandbox", day)
        with pytest.raises(NotFound):
            await books.report("sandbox", day)
        world.clock.advance(DAY_MS)
        assert await books.fetch("sandbox", day)
        report = await books.report("sandbox", day, MERCHANT)
        assert (report.paid, report.paid_amount, report.refunded, report.refunded_amount) == (2, 6_000, 1, 500)
        assert (report.matched, report.net, report.differences) == (3, 5_500, ())
        assert await books.reports(day) == [await books.report("sandbox", day)]
        # Another merchant sees nothing of it.
        assert (await books.report("sandbox", day, "m2")).paid == 0


async def test_each_difference_is_told_with_both_amounts(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        day = day_of(world.clock())
        lost, wrong = await paid_order(world, 1), await paid_order(world, 2)
        numbers = {row.order_id: row for row in await world.query("SELECT * FROM payment")}
        lines = (
            BillLine("paid", numbers[wrong.order].number, numbers[wrong.order].id, "", 1_999, 12, MERCHANT),
            BillLine("paid", "unknown", "nobody", "", 700, 4, MERCHANT),
            BillLine("refunded", "r", "nobody", "nor-this", 50, -1),
        )

        async def bill(day: str) -> Bill:
            return Bill(b"raw", lines)

        world.provider.bill = bill  # type: ignore[method-assign]
        books = world.shop.reconciliation
        await books.fetch("sandbox", day)
        report = await books.report("sandbox", day)
        assert report.counts == {"not_here": 2, "not_there": 1, "amount": 1}
        told = {(one.what, one.number): (one.there, one.here, one.order) for one in report.differences}
        assert told["amount", numbers[wrong.order].number] == (1_999, 2_000, wrong.order)
        assert told["not_there", numbers[lost.order].number] == (None, 2_000, lost.order)
        assert told["not_here", "unknown"] == (700, None, "")
        assert (report.fees, report.net) == (15, 1_999 + 700 - 50 - 15)
        # Whose the refund of nothing is, nobody can tell: only who has the account to themselves sees it.
        assert (await books.report("sandbox", day, MERCHANT)).counts["not_here"] == 1
        sheet = reconciliation_csv([report])
        assert sheet.count("\r\n") == 1 + 7 + 4 and "not_there" in sheet


async def test_a_payment_told_of_after_midnight_is_found_in_the_file_of_the_day_before(tmp_path: Path) -> None:
    async with shop_world(tmp_path, hold_back=True) as world:
        books = world.shop.reconciliation
        await world.shop.stock_up(MERCHANT, OTHER_SKU, 1)
        # From 16:00 in Shanghai to a minute before midnight, in which it is paid; it is told of a minute after.
        world.clock.advance(8 * 3_600_000 - 60_000)
        order = await world.shop.create_order(MERCHANT, ROOM, "one", "o2", lines=[(OTHER_SKU, 1)])
        await world.shop.pay_order(MERCHANT, "one", order.order, "k")
        day = day_of(world.clock())
        payment = (await world.query("SELECT id FROM payment"))[0].id
        world.provider._deliver = None
        message = world.provider.pay(payment)
        assert message is not None
        world.clock.advance(120_000)
        assert (await world.shop.settle("sandbox", message.body, message.headers)).effect == "paid"
        next_day = day_of(world.clock())
        assert next_day != day
        world.clock.advance(2 * DAY_MS)
        for one in (day, next_day):
            assert await books.fetch("sandbox", one)
        assert (await books.report("sandbox", day)).matched == 1
        assert (await books.report("sandbox", next_day)).differences == ()


async def test_the_files_of_a_week_are_asked_for_from_the_morning_after(tmp_path: Path) -> None:
    async with shop_world(tmp_path) as world:
        books = world.shop.reconciliation
        # 2027-01-15 16:00 in Shanghai.
        missing = await books.missing()
        assert missing[-1] == ("sandbox", "2027-01-14") and len(missing) == 7
        world.clock.advance(8 * 3_600_000)
        assert (await books.missing())[-1] == ("sandbox", "2027-01-14")
        world.clock.advance(11 * 3_600_000)
        assert (await books.missing())[-1] == ("sandbox", "2027-01-15")
        assert await books.fetch("sandbox", "2027-01-15")
        assert ("sandbox", "2027-01-15") not in await books.missing()
        for day in ("2027-1-1", "x", "9999-01-01", "2027-02-30"):
            with pytest.raises(Invalid):
                await books.fetch("sandbox", day)
        with pytest.raises(NotFound):
            await books.fetch("nosuch", "2027-01-15")
