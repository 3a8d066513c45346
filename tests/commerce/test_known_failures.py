"""What went wrong in other shops' software, each by its name: here it must not."""

import asyncio
from pathlib import Path
from typing import Any

import orjson

from commerce.errors import CommerceError
from commerce.events import OrderPaid
from tests.commerce.shop_world import MERCHANT, OTHER_SKU, ROOM, SKU, World, shop_world
from tests.commerce.test_members import CARD, buy, member_world, wallet


def test_the_table_of_others_failures_in_the_documents_names_each_test() -> None:
    said = (Path(__file__).parents[2] / "docs" / "benchmarks.md").read_text()
    tests = [name for name in globals() if name.startswith("test_") and "table" not in name]
    assert len(tests) > 8
    assert [name for name in tests if f"`{name}`" not in said] == []


async def code_of(awaitable: Any) -> str:
    """The code of the refusal, or ``ok``."""
    try:
        await awaitable
    except CommerceError as error:
        return error.code
    return "ok"


async def order(world: World, key: str, person: str = "one", units: int = 1, **more: Any) -> Any:
    """An order of shelf goods."""
    lines = more.pop("lines", [(OTHER_SKU, units, None)])
    return await world.shop.create_order(MERCHANT, ROOM, person, key, lines=lines, **more)


async def free(world: World, sku: str = OTHER_SKU) -> tuple[int, int]:
    """Units free and held of a SKU."""
    [row] = await world.query("SELECT free, held FROM stock WHERE sku = :sku", sku=sku)
    return row.free, row.held


async def test_medusa_16502_two_lines_of_one_sku_do_not_each_pass_the_check(place: Path | str) -> None:
    async with shop_world(place) as world:
        await world.shop.stock_up(MERCHANT, OTHER_SKU, 5)
        await world.shop.stock_up(MERCHANT, SKU, 5)
        twice = [(OTHER_SKU, 3, None), (SKU, 1, None), (OTHER_SKU, 3, None)]
        assert await code_of(order(world, "a", lines=twice)) == "sold_out"
        assert (await free(world), await free(world, SKU)) == ((5, 0), (5, 0))
        made = await order(world, "b", lines=[(OTHER_SKU, 3, None), (SKU, 1, None), (OTHER_SKU, 2, None)])
        assert [(line.sku, line.quantity) for line in made.lines] == [(OTHER_SKU, 5), (SKU, 1)]
        assert await free(world) == (0, 5)


async def test_medusa_13301_webhook_and_the_clients_return_complete_an_order_once(place: Path | str) -> None:
    async with shop_world(place, hold_back=True) as world:
        await world.shop.stock_up(MERCHANT, OTHER_SKU, 5)
        made = await order(world, "a")
        await world.shop.pay_order(MERCHANT, "one", made.order, "p")
        [row] = await world.query("SELECT id FROM payment")
        body = {"number": "t1", "kind": "paid", "payment": row.id, "merchant": MERCHANT, "amount": made.due}
        message = world.provider.sign(orjson.dumps(body))
        webhooks = [world.shop.settle("sandbox", message.body, message.headers) for _ in range(4)]
        returns = [world.shop.pay_order(MERCHANT, "one", made.order, f"p{n}") for n in range(4)]
        await asyncio.gather(*webhooks, *returns)
        assert sum(isinstance(event, OrderPaid) for event in await world.told()) == 1
        assert (await world.shop.order(MERCHANT, made.order)).status == "paid"


async def test_macrozheng_mall_1003_one_coupon_in_five_orders_never_makes_them_cost_nothing(place: Path | str) -> None:
    async with shop_world(place) as world:
        await world.shop.stock_up(MERCHANT, OTHER_SKU, 9)
        drop = await world.drop(amount=99_999)
        coupon = await world.shop.claim_coupon(MERCHANT, ROOM, "one", drop.drop, "k")
        attempts = [order(world, f"o{n}", coupons=[coupon.coupon]) for n in range(5)]
        codes = await asyncio.gather(*(code_of(attempt) for attempt in attempts))
        assert sorted(codes) == ["coupon_invalid"] * 4 + ["ok"]
        [made] = await world.shop.orders(MERCHANT, "one")
        assert (made.amount, made.due) == (1, 1)


async def test_vendure_4660_the_use_of_a_coupon_raced_for_by_many_orders_happens_once(place: Path | str) -> None:
    async with shop_world(place) as world:
        await world.shop.stock_up(MERCHANT, OTHER_SKU, 99)
        drop = await world.drop(amount=100, per_person=2)
        first = await world.shop.claim_coupon(MERCHANT, ROOM, "one", drop.drop, "k")
        await world.shop.claim_coupon(MERCHANT, ROOM, "one", drop.drop, "another")
        attempts = [order(world, f"o{n}", coupons=[first.coupon]) for n in range(20)]
        codes = await asyncio.gather(*(code_of(attempt) for attempt in attempts))
        assert (codes.count("ok"), codes.count("coupon_invalid")) == (1, 19)


async def test_vendure_4930_stock_that_is_read_and_written_later_is_not_sold_twice(place: Path | str) -> None:
    async with shop_world(place) as world:
        await world.shop.stock_up(MERCHANT, OTHER_SKU, 7)
        attempts = [order(world, "o", person=f"p{n}", units=2) for n in range(20)]
        codes = await asyncio.gather(*(code_of(attempt) for attempt in attempts))
        assert codes.count("ok") == 3
        assert await free(world) == (1, 6)


async def test_spree_13734_and_medusa_16347_a_gift_cards_balance_is_spent_once(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        await member_world(world)
        await buy(world, "one", "card", sku=CARD)
        attempts = [order(world, f"o{n}", units=4, stored=8_000) for n in range(5)]
        codes = await asyncio.gather(*(code_of(attempt) for attempt in attempts))
        assert sorted(codes) == ["insufficient"] * 4 + ["ok"]
        now = await wallet(world)
        assert now.principal + now.bonus == 4_000


async def test_a_limit_per_person_is_not_counted_first_and_written_later(place: Path | str) -> None:
    async with shop_world(place) as world:
        sale = await world.sale(total=10, per_person=2)
        drop = await world.drop(total=10, per_person=2)
        keys = [f"k{n}" for n in range(10)]
        holds = [world.hold(sale.sale, "one", key=key) for key in keys]
        claims = [world.shop.claim_coupon(MERCHANT, ROOM, "one", drop.drop, key) for key in keys]
        codes = await asyncio.gather(*(code_of(one) for one in [*holds, *claims]))
        assert (codes[:10].count("ok"), codes[10:].count("ok")) == (2, 2)
        assert (await world.shop.sale(sale.sale)).left == 8


async def test_newbee_mall_97_what_is_cancelled_is_for_sale_again_whatever_a_cache_says(place: Path | str) -> None:
    async with shop_world(place) as world:
        sale = await world.sale(total=3, per_person=1)
        for turn in range(3):
            people = [f"p{turn}-{n}" for n in range(3)]
            for person in people:
                held = await world.hold(sale.sale, person, key="k")
                made = await world.shop.create_order(MERCHANT, ROOM, person, "o", hold=held.hold)
                await world.shop.cancel_order(MERCHANT, person, made.order)
            assert (await world.shop.sale(sale.sale)).left == 3


async def test_a_payment_that_fails_leaves_no_hold_on_units_points_or_coupons(place: Path | str) -> None:
    async with shop_world(place, hold_back=True) as world:
        await world.shop.stock_up(MERCHANT, OTHER_SKU, 5)
        drop = await world.drop(amount=100)
        coupon = await world.shop.claim_coupon(MERCHANT, ROOM, "one", drop.drop, "k")
        made = await order(world, "a", units=5, coupons=[coupon.coupon])
        await world.shop.pay_order(MERCHANT, "one", made.order, "p")
        [row] = await world.query("SELECT id FROM payment")
        body = {"number": "t1", "kind": "declined", "payment": row.id, "merchant": MERCHANT, "amount": made.due}
        message = world.provider.sign(orjson.dumps(body))
        assert (await world.shop.settle("sandbox", message.body, message.headers)).effect == "declined"
        assert await free(world) == (0, 5)
        world.clock.advance(16 * 60_000)
        await world.shop.sweep()
        assert await free(world) == (5, 0)
        assert [one.state for one in await world.shop.coupons(MERCHANT, "one")] == ["unused"]
