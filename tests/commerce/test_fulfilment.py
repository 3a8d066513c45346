"""Goods on their way: shipped, picked up by code, done; what comes back after; the stock's equation at each step."""

from pathlib import Path
from typing import Any

import pytest

from commerce.domain.order import Delivery, delivery_fault
from commerce.ledger import FINISH_AFTER_MS
from tests.commerce.shop_world import MERCHANT, OTHER_SKU, ROOM, World, shop_world
from tests.commerce.test_refunds import code_of, refund, settled, stock

HOME = Delivery("express", "王小雨", "138 0000 0022", "上海市长宁区某路 1 号")
COUNTER = Delivery("pickup", "王小雨", "13800000022")


async def bought(world: World, units: int = 2, delivery: Delivery | None = HOME) -> Any:
    """A paid order of shelf goods."""
    await world.shop.stock_up(MERCHANT, OTHER_SKU, units)
    order = await world.shop.create_order(MERCHANT, ROOM, "one", "o", lines=[(OTHER_SKU, units)], delivery=delivery)
    return await world.shop.pay_order(MERCHANT, "one", order.order, "p")


async def test_an_order_is_shipped_once_and_done_once(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        aftersale = world.shop.aftersale
        order = await bought(world)
        assert order.delivery is not None
        assert order.delivery["address"] == HOME.address
        assert await code_of(aftersale.finish(MERCHANT, order.order)) == "not_open"
        sent = await aftersale.ship(MERCHANT, order.order, "顺丰", "SF123")
        assert (sent.status, sent.fulfilment) == ("fulfilled", "shipped")
        assert sent.delivery is not None
        assert (sent.delivery["carrier"], sent.delivery["number"]) == ("顺丰", "SF123")
        counters = await stock(world, OTHER_SKU)
        assert (counters["sold"], counters["shipped"]) == (0, 2)
        world.assert_clean()
        assert await code_of(aftersale.ship(MERCHANT, order.order, "顺丰", "SF124")) == "already"
        assert await code_of(aftersale.finish(MERCHANT, order.order, "two")) == "not_found"
        done = await aftersale.finish(MERCHANT, order.order, "one")
        assert (done.status, done.fulfilment) == ("done", "done")
        assert await code_of(aftersale.finish(MERCHANT, order.order)) == "already"


async def test_unpaid_cancelled_refunded_and_others_orders_are_not_shipped(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        ship = world.shop.aftersale.ship
        await world.shop.stock_up(MERCHANT, OTHER_SKU, 1)
        order = await world.shop.create_order(MERCHANT, ROOM, "two", "o", lines=[(OTHER_SKU, 1)])
        assert await code_of(ship(MERCHANT, order.order, "a", "b")) == "not_open"
        await world.shop.cancel_order(MERCHANT, "two", order.order)
        assert await code_of(ship(MERCHANT, order.order, "a", "b")) == "not_open"
        paid = await bought(world)
        assert await code_of(ship("m2", paid.order, "a", "b")) == "not_found"
        assert await code_of(ship(MERCHANT, paid.order, "", "b")) == "invalid"
        assert await code_of(ship(MERCHANT, paid.order, "a", "b\n=x")) == "invalid"
        await refund(world, paid.order, stock="sellable")
        assert await code_of(ship(MERCHANT, paid.order, "a", "b")) == "already"
        await settled(world)


async def test_what_came_back_before_is_not_shipped_and_what_comes_back_after_leaves_shipped(place: Path | str) -> None:
    async with shop_world(place) as world:
        order = await bought(world, units=4)
        await refund(world, order.order, "a", lines=[(OTHER_SKU, 1)], stock="sellable")
        await refund(world, order.order, "b", lines=[(OTHER_SKU, 1)], stock="none")
        sent = await world.shop.aftersale.ship(MERCHANT, order.order, "a", "b")
        assert sent.status == "partly_refunded"
        counters = await stock(world, OTHER_SKU)
        assert (counters["free"], counters["sold"], counters["shipped"]) == (1, 0, 3)
        world.assert_clean()
        await refund(world, order.order, "c", stock="quarantine")
        counters = await stock(world, OTHER_SKU)
        assert (counters["shipped"], counters["quarantined"]) == (1, 2)
        assert (await world.shop.order(MERCHANT, order.order)).status == "refunded"
        await settled(world)
        world.assert_clean()


async def test_what_is_picked_up_needs_its_code(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        aftersale = world.shop.aftersale
        order = await bought(world, delivery=COUNTER)
        code = order.delivery["code"]
        assert len(code) == 6 and code.isdigit()
        wrong = "000000" if code != "000000" else "000001"
        assert await code_of(aftersale.pick_up(MERCHANT, order.order, wrong)) == "bad_code"
        assert await code_of(aftersale.pick_up(MERCHANT, order.order, "六")) == "bad_code"
        assert await code_of(aftersale.ship(MERCHANT, order.order, "a", "b")) == "not_open"
        assert (await aftersale.pick_up(MERCHANT, order.order, code)).fulfilment == "picked_up"
        assert await code_of(aftersale.pick_up(MERCHANT, order.order, code)) == "already"
        other = (
            await world.shop.create_order(MERCHANT, ROOM, "two", "o2", lines=[(OTHER_SKU, 0 + 1)], delivery=HOME)
            if await world.shop.stock_up(MERCHANT, OTHER_SKU, 1)
            else None
        )
        assert other is not None
        paid = await world.shop.pay_order(MERCHANT, "two", other.order, "p2")
        assert await code_of(aftersale.pick_up(MERCHANT, paid.order, code)) == "not_open"


async def test_what_was_sent_long_ago_is_done_by_itself(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        order = await bought(world)
        await world.shop.aftersale.ship(MERCHANT, order.order, "a", "b")
        world.clock.advance(FINISH_AFTER_MS - 1)
        await world.shop.sweep()
        assert (await world.shop.order(MERCHANT, order.order)).status == "fulfilled"
        world.clock.advance(1)
        await world.shop.sweep()
        assert (await world.shop.order(MERCHANT, order.order)).status == "done"


@pytest.mark.parametrize(
    "delivery",
    [
        Delivery("drone", "a", "13800000022", "x"),
        Delivery("express", "", "13800000022", "x"),
        Delivery("express", " ", "13800000022", "x"),
        Delivery("express", "a" * 41, "13800000022", "x"),
        Delivery("express", "a", "phone", "x"),
        Delivery("express", "a", "1" * 30, "x"),
        Delivery("express", "a", "13800000022", ""),
        Delivery("express", "a", "13800000022", "x" * 301),
        Delivery("express", "a", "13800000022", "x\x00y"),
        Delivery("pickup", "a", "13800000022", "x"),
    ],
)
async def test_a_delivery_that_cannot_be_made_is_refused(anywhere: Path | str, delivery: Delivery) -> None:
    assert delivery_fault(delivery)
    async with shop_world(anywhere) as world:
        await world.shop.stock_up(MERCHANT, OTHER_SKU, 1)
        ordered = world.shop.create_order(MERCHANT, ROOM, "one", "o", lines=[(OTHER_SKU, 1)], delivery=delivery)
        assert await code_of(ordered) == "invalid"
