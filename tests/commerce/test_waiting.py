"""Waiting lists and reopened sales: units that come back go to who waits, first come first."""

from pathlib import Path

import pytest

from commerce.errors import Refused
from commerce.events import HoldGiven
from tests.commerce.shop_world import MERCHANT, ROOM, SKU, World, shop_world


async def wait(world: World, sale: str, person: str) -> int:
    return (await world.shop.moments.wait(MERCHANT, ROOM, person, sale)).place


async def given(world: World) -> list[tuple[str, str]]:
    return [(event.person, event.why) for event in await world.told() if isinstance(event, HoldGiven)]


async def test_expired_holds_go_to_who_waits_in_their_order(place: Path | str) -> None:
    async with shop_world(place) as world:
        sale = await world.sale(2, 1)
        with pytest.raises(Refused, match="take one"):
            await wait(world, sale.sale, "early")
        for person in ("a", "b"):
            await world.hold(sale.sale, person)
        assert [await wait(world, sale.sale, person) for person in ("c", "d", "e", "c")] == [1, 2, 3, 1]
        await world.shop.moments.leave_waiting(MERCHANT, "d", sale.sale)
        assert (await world.shop.sale(sale.sale)).waiting == 2
        world.clock.advance(300_000)
        # The rush that finds the due holds gets none of their units: they are others' already.
        with pytest.raises(Refused, match="nothing is left"):
            await world.hold(sale.sale, "late")
        assert await given(world) == [("c", "waiting"), ("e", "waiting")]
        view = await world.shop.sale(sale.sale)
        assert (view.waiting, view.left, view.state) == (0, 0, "sold_out")


async def test_a_waiter_s_hold_is_ordered_like_any_other(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        sale = await world.sale(1, 1)
        held = await world.hold(sale.sale, "a")
        order = await world.shop.create_order(MERCHANT, ROOM, "a", "k", hold=held.hold)
        await wait(world, sale.sale, "b")
        await world.shop.cancel_order(MERCHANT, "a", order.order)
        [event] = [event for event in await world.told() if isinstance(event, HoldGiven)]
        bought = await world.shop.create_order(MERCHANT, ROOM, "b", "k", hold=event.hold)
        paid = await world.shop.pay_order(MERCHANT, "b", bought.order, "p")
        assert paid.status == "paid"


async def test_who_has_all_they_may_have_does_not_wait(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        sale = await world.sale(1, 1)
        await world.hold(sale.sale, "a")
        with pytest.raises(Refused, match="limit"):
            await wait(world, sale.sale, "a")


async def test_nobody_is_served_while_a_sale_stands_still_and_all_are_when_it_goes_on(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        sale = await world.sale(1, 1)
        await world.hold(sale.sale, "a")
        await wait(world, sale.sale, "b")
        await world.shop.pause_sale(MERCHANT, sale.sale)
        world.clock.advance(300_000)
        await world.shop.sweep()
        assert await given(world) == []
        await world.shop.resume_sale(MERCHANT, sale.sale)
        assert await given(world) == [("b", "waiting")]


async def test_a_closed_sale_has_no_line_and_reopens_with_what_it_gave_back(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        sale = await world.sale(3, 3)
        await world.hold(sale.sale, "a", 3)
        await wait(world, sale.sale, "b")
        closed = await world.shop.close_sale(MERCHANT, sale.sale)
        assert (closed.state, closed.waiting) == ("closed", 0)
        world.clock.advance(300_000)
        await world.shop.sweep()
        assert await given(world) == []
        await world.shop.stock_up(MERCHANT, SKU, -1, "broken")
        again = await world.shop.moments.reopen(MERCHANT, sale.sale, 60)
        assert (again.state, again.left, again.closes) == ("open", 2, world.clock() + 60_000)
        await world.hold(sale.sale, "b", 2)
        with pytest.raises(Refused, match="has not closed"):
            await world.shop.moments.reopen(MERCHANT, sale.sale, 60)
        world.clock.advance(60_000)
        with pytest.raises(Refused, match="on the shelf"):
            await world.shop.moments.reopen(MERCHANT, sale.sale, 60)
