"""The points mall: points and stock move as one, limits hold on the merged person, refunds give both back."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from commerce.basket import Basket
from commerce.domain.member import Program
from commerce.domain.order import WantedLine
from commerce.errors import Invalid, Refused
from tests.commerce.shop_world import MERCHANT, OTHER_SKU, ROOM, SKU, World, shop_world
from tests.commerce.test_merge import Place


async def open_mall(world: World, people: tuple[str, ...] = ("ann",), points: int = 50, units: int = 3) -> None:
    """A mall with one thing for 40 points and 1 分 a unit, and people who signed in for points."""
    await world.shop.members.set_program(MERCHANT, "boss", Program(sign_in=(points,)))
    for person in people:
        await world.shop.members.sign_in(MERCHANT, person)
    await world.shop.stock_up(MERCHANT, OTHER_SKU, units)
    await world.shop.members.set_mall_item(MERCHANT, "boss", OTHER_SKU, 40, 1, 2)


async def exchange(world: World, person: str = "ann", units: int = 1, key: str = "o") -> Any:
    return await world.shop.create_order(MERCHANT, ROOM, person, key, lines=[(OTHER_SKU, units)], mall=True)


async def points(world: World, person: str = "ann") -> int:
    return (await world.shop.members.member(MERCHANT, person)).points


async def test_an_exchange_takes_points_and_a_unit_together_and_a_refund_returns_both(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        await open_mall(world)
        basket = Basket(lines=(WantedLine(OTHER_SKU, 1),), mall=True)
        quote = await world.shop.members.quote(MERCHANT, ROOM, "ann", basket, best=True, points=True, stored=True)
        assert (quote.points, quote.due) == (40, 1)
        order = await exchange(world)
        assert (order.points, order.amount, await points(world)) == (40, 1, 10)
        assert [item.left for item in await world.shop.members.mall(MERCHANT)] == [2]
        assert (await world.shop.pay_order(MERCHANT, "ann", order.order, "p")).status == "paid"
        await world.shop.aftersale.refund(MERCHANT, "boss", order.order, "r", stock="sellable", reason="broken")
        assert await points(world) == 50
        assert [item.left for item in await world.shop.members.mall(MERCHANT)] == [3]


async def test_points_for_one_unit_do_not_buy_two_at_once(tmp_path: Path) -> None:
    async with shop_world(tmp_path) as world:
        await open_mall(world)
        tried = await asyncio.gather(*(exchange(world, key=f"o{n}") for n in range(4)), return_exceptions=True)
        assert [one.code for one in tried if isinstance(one, Refused)] == ["insufficient"] * 3
        world.clock.advance(3_600_000)
        await world.shop.sweep()
        # Who did not pay has the points back, and the shelf its unit.
        assert await points(world) == 50


async def test_the_last_unit_costs_nobody_else_points(tmp_path: Path) -> None:
    async with shop_world(tmp_path) as world:
        await open_mall(world, ("ann", "bo"), units=1)
        await exchange(world)
        with pytest.raises(Refused, match="left"):
            await exchange(world, "bo")
        assert await points(world, "bo") == 50


async def test_the_limit_is_of_the_merged_person_and_of_exchanges_that_stand(tmp_path: Path) -> None:
    async with shop_world(tmp_path) as world:
        place = Place(world)
        elder, younger = await place.person(), await place.person()
        await open_mall(world, (elder, younger), points=500, units=9)
        await exchange(world, elder, key="a")
        own = await exchange(world, younger, key="b")
        await place.identities.merge(MERCHANT, elder, younger, "boss", "one")
        with pytest.raises(Refused) as caught:
            await exchange(world, elder, key="c")
        assert (caught.value.code, caught.value.extra["left"]) == ("limit", 0)
        await world.shop.cancel_order(MERCHANT, elder, own.order)
        assert (await exchange(world, elder, key="c")).points == 40


async def test_what_is_no_exchange_is_refused(tmp_path: Path) -> None:
    async with shop_world(tmp_path) as world:
        await open_mall(world)
        with pytest.raises(Invalid, match="one line"):
            await world.shop.create_order(MERCHANT, ROOM, "ann", "o", lines=[(OTHER_SKU, 1)], mall=True, points=3)
        with pytest.raises(Invalid, match="one thing"):
            await world.shop.create_order(MERCHANT, ROOM, "ann", "o", lines=[(OTHER_SKU, 1), (SKU, 1)], mall=True)
        assert not await world.shop.members.set_mall_item(MERCHANT, "boss", OTHER_SKU, 0)
        with pytest.raises(Refused, match="points"):
            await exchange(world)
