"""Coupons and orders: what is bought, at which price, once."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from commerce.errors import CommerceError, Conflict, NotFound, Refused
from commerce.events import CouponClaimed, DropChanged, OrderCancelled, OrderCreated
from commerce.ledger import LATCH_MS
from tests.commerce.shop_world import MERCHANT, OTHER_SKU, PRICE, ROOM, SKU, World, shop_world


async def outcome(awaitable: Any) -> str:
    """``ok`` or the code of the refusal."""
    try:
        await awaitable
    except CommerceError as error:
        return error.code
    return "ok"


async def order_of(world: World, person: str, key: str = "o", **more: Any) -> Any:
    """An order in the room."""
    return await world.shop.create_order(MERCHANT, ROOM, person, key, **more)


async def coupon_of(world: World, person: str, **drop: Any) -> Any:
    """A coupon from a drop of its own."""
    view = await world.drop(**drop)
    return await world.shop.claim_coupon(MERCHANT, ROOM, person, view.drop, "k")


async def test_a_rush_for_coupons_gives_out_the_total_and_one_each(place: Path | str) -> None:
    async with shop_world(place) as world:
        drop = await world.drop(total=50)
        claims = [world.shop.claim_coupon(MERCHANT, ROOM, f"p{n % 500}", drop.drop, f"k{n}") for n in range(1_000)]
        codes = await asyncio.gather(*(outcome(claim) for claim in claims))
        assert codes.count("ok") == 50
        assert codes[:50] == ["ok"] * 50
        assert (await world.shop.drop(drop.drop)).state == "gone"
        assert sum(isinstance(event, CouponClaimed) for event in await world.told()) == 50
        assert sum(isinstance(event, DropChanged) for event in await world.told()) < 20


async def test_a_claim_repeated_gives_the_same_coupon_and_another_key_meets_the_limit(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        drop = await world.drop(total=2)
        first, second = await asyncio.gather(
            *(world.shop.claim_coupon(MERCHANT, ROOM, "one", drop.drop, "k") for _ in range(2))
        )
        assert first == second
        assert await world.shop.claim_coupon(MERCHANT, ROOM, "one", drop.drop, "k") == first
        assert await outcome(world.shop.claim_coupon(MERCHANT, ROOM, "one", drop.drop, "k2")) == "limit"
        assert await outcome(world.shop.claim_coupon("m2", ROOM, "one", drop.drop, "k3")) == "not_found"
        assert [coupon.coupon for coupon in await world.shop.coupons(MERCHANT, "one")] == [first.coupon]


async def test_a_drop_ends_by_the_clock_or_by_hand_and_gone_is_latched(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        drop = await world.drop(total=1)
        await world.shop.claim_coupon(MERCHANT, ROOM, "one", drop.drop, "k")
        assert await outcome(world.shop.claim_coupon(MERCHANT, ROOM, "two", drop.drop, "k")) == "gone"
        batches = world.shop.ledger.batches
        assert await outcome(world.shop.claim_coupon(MERCHANT, ROOM, "two", drop.drop, "k")) == "gone"
        assert world.shop.ledger.batches == batches
        world.clock.advance(LATCH_MS)
        await world.shop.close_drop(MERCHANT, drop.drop)
        assert await outcome(world.shop.claim_coupon(MERCHANT, ROOM, "two", drop.drop, "k")) == "closed"
        other = await world.drop()
        world.clock.advance(60_000)
        assert await outcome(world.shop.claim_coupon(MERCHANT, ROOM, "two", other.drop, "k")) == "closed"
        await world.shop.sweep()
        assert [drop.state for drop in await world.shop.drops(ROOM)] == ["closed", "closed"]


async def test_an_order_explains_its_price(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        sale = await world.sale()
        held = await world.hold(sale.sale, "one", 2, key="k")
        coupon = await coupon_of(world, "one", amount=1_000, threshold=10_000)
        winner = {"link": "link1", "issuer": "ann", "role": "guide", "channel": "wechat"}
        decision = {"winner": winner, "losers": [{"link": "link2", "why": "older"}]}
        order = await order_of(world, "one", hold=held.hold, coupon=coupon.coupon, decision=decision, entered_ms=5)
        assert (order.goods, order.discount, order.amount) == (2 * PRICE, 1_000, 9_000)
        assert [(step["step"], step["amount"]) for step in order.steps] == [
            ("shelf", 19_800),
            ("flash", -9_800),
            ("coupon", -1_000),
        ]
        assert order.decision == decision
        assert order.expires == held.expires_ms
        assert await world.shop.order(MERCHANT, order.order, "one") == order
        assert [event.order for event in await world.told() if isinstance(event, OrderCreated)] == [order]


async def test_two_lines_of_one_sku_are_checked_together(place: Path | str) -> None:
    async with shop_world(place) as world:
        await world.shop.stock_up(MERCHANT, OTHER_SKU, 3)
        assert await outcome(order_of(world, "one", lines=[(OTHER_SKU, 2), (OTHER_SKU, 2)])) == "sold_out"
        order = await order_of(world, "one", lines=[(OTHER_SKU, 2), (OTHER_SKU, 1)])
        assert [line.quantity for line in order.lines] == [3]


async def test_a_price_that_changed_is_refused_with_the_new_one(place: Path | str) -> None:
    async with shop_world(place) as world:
        await world.shop.stock_up(MERCHANT, OTHER_SKU, 3)
        await world.store.write(
            lambda connection: connection.execute(
                text("UPDATE sku SET price = 1900, version = 2 WHERE id = :sku"), {"sku": OTHER_SKU}
            )
        )
        with pytest.raises(Refused) as refused:
            await order_of(world, "one", lines=[(OTHER_SKU, 1, 1)])
        assert refused.value.code == "price_changed"
        assert refused.value.extra == {"sku": OTHER_SKU, "price": 1_900, "version": 2}
        assert (await order_of(world, "one", lines=[(OTHER_SKU, 1, 2)])).amount == 1_900


async def test_a_failed_order_takes_nothing(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        await world.shop.stock_up(MERCHANT, OTHER_SKU, 5)
        coupon = await coupon_of(world, "one")
        assert (
            await outcome(order_of(world, "one", lines=[(OTHER_SKU, 1), (SKU, 1)], coupon=coupon.coupon)) == "sold_out"
        )
        assert await outcome(order_of(world, "one", lines=[(OTHER_SKU, 1)], coupon="nosuch")) == "not_found"
        assert await outcome(order_of(world, "one", lines=[(OTHER_SKU, 1), ("k3", 1)])) == "not_found"
        assert await outcome(order_of(world, "one", lines=[(OTHER_SKU, 0)])) == "invalid"
        assert await outcome(order_of(world, "one")) == "invalid"
        [row] = await world.query("SELECT free, held FROM stock WHERE sku = 'k2'")
        assert tuple(row) == (5, 0)
        assert (await world.shop.coupons(MERCHANT, "one"))[0].state == "unused"


async def test_an_order_repeated_in_parallel_is_one_order(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        await world.shop.stock_up(MERCHANT, OTHER_SKU, 9)
        orders = await asyncio.gather(*(order_of(world, "one", lines=[(OTHER_SKU, 2)]) for _ in range(10)))
        assert len({order.order for order in orders}) == 1
        with pytest.raises(Conflict):
            await order_of(world, "one", lines=[(OTHER_SKU, 3)])
        [row] = await world.query("SELECT free, held FROM stock WHERE sku = 'k2'")
        assert tuple(row) == (7, 2)


async def test_one_coupon_in_five_orders_at_once_is_used_once(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        await world.shop.stock_up(MERCHANT, OTHER_SKU, 9)
        coupon = await coupon_of(world, "one")
        attempts = [order_of(world, "one", f"o{n}", lines=[(OTHER_SKU, 1)], coupon=coupon.coupon) for n in range(5)]
        codes = await asyncio.gather(*(outcome(attempt) for attempt in attempts))
        assert sorted(codes) == ["coupon_invalid"] * 4 + ["ok"]


async def test_a_coupon_needs_its_threshold_its_owner_and_its_time(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        await world.shop.stock_up(MERCHANT, OTHER_SKU, 9)
        coupon = await coupon_of(world, "one", threshold=4_000)
        line = [(OTHER_SKU, 1)]
        assert await outcome(order_of(world, "one", lines=line, coupon=coupon.coupon)) == "coupon_invalid"
        assert await outcome(order_of(world, "two", lines=[(OTHER_SKU, 2)], coupon=coupon.coupon)) == "not_found"
        world.clock.advance(3_600_000)
        assert await outcome(order_of(world, "one", lines=[(OTHER_SKU, 2)], coupon=coupon.coupon)) == "coupon_invalid"
        assert (await world.shop.coupons(MERCHANT, "one"))[0].state == "expired"


async def test_a_coupon_never_makes_an_order_free(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        await world.shop.stock_up(MERCHANT, OTHER_SKU, 9)
        coupon = await coupon_of(world, "one", amount=500_000)
        order = await order_of(world, "one", lines=[(OTHER_SKU, 1)], coupon=coupon.coupon)
        assert (order.amount, order.discount) == (1, 1_999)


async def test_a_hold_is_ordered_once_by_its_own_person_before_it_ends(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        sale = await world.sale()
        held = await world.hold(sale.sale, "one", key="a")
        late = await world.hold(sale.sale, "two", key="a")
        assert await outcome(order_of(world, "two", hold=held.hold)) == "not_found"
        assert await outcome(world.shop.create_order("m2", ROOM, "one", "o", hold=held.hold)) == "not_found"
        assert await outcome(order_of(world, "one", "o1", hold=held.hold)) == "ok"
        assert await outcome(order_of(world, "one", "o2", hold=held.hold)) == "already"
        world.clock.advance(300_000)
        assert await outcome(order_of(world, "two", hold=late.hold)) == "gone"


async def test_cancelling_gives_units_and_coupon_back_once(place: Path | str) -> None:
    async with shop_world(place) as world:
        sale = await world.sale(2, 2)
        held = await world.hold(sale.sale, "one", 2, key="a")
        coupon = await coupon_of(world, "one")
        order = await order_of(world, "one", hold=held.hold, coupon=coupon.coupon)
        assert (await world.shop.coupons(MERCHANT, "one"))[0].state == "locked"
        cancelled = await asyncio.gather(*(world.shop.cancel_order(MERCHANT, "one", order.order) for _ in range(3)))
        assert {view.status for view in cancelled} == {"cancelled"}
        assert (await world.shop.coupons(MERCHANT, "one"))[0].state == "unused"
        assert (await world.shop.sale(sale.sale)).left == 2
        assert sum(isinstance(event, OrderCancelled) for event in await world.told()) == 1
        assert await outcome(world.hold(sale.sale, "one", 2, key="b")) == "ok"


async def test_an_unpaid_order_is_cancelled_at_the_hold_s_expiry(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        sale = await world.sale(2, 2)
        held = await world.hold(sale.sale, "one", 2, key="a")
        coupon = await coupon_of(world, "one")
        order = await order_of(world, "one", hold=held.hold, coupon=coupon.coupon)
        world.clock.advance(300_000)
        assert await outcome(world.hold(sale.sale, "two", 2, key="a")) == "ok"
        view = await world.shop.order(MERCHANT, order.order)
        assert (view.status, view.reason) == ("cancelled", "expired")
        assert (await world.shop.coupons(MERCHANT, "one"))[0].state == "unused"


async def test_an_order_of_another_merchant_or_person_is_not_found(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        await world.shop.stock_up(MERCHANT, OTHER_SKU, 9)
        order = await order_of(world, "one", lines=[(OTHER_SKU, 1)])
        for attempt in (
            world.shop.order("m2", order.order),
            world.shop.order(MERCHANT, order.order, "two"),
            world.shop.pay_order("m2", "one", order.order, "k"),
            world.shop.pay_order(MERCHANT, "two", order.order, "k"),
            world.shop.cancel_order("m2", "one", order.order),
            world.shop.cancel_order(MERCHANT, "two", order.order),
        ):
            with pytest.raises(NotFound):
                await attempt


async def test_orders_are_paged_newest_first(place: Path | str) -> None:
    async with shop_world(place) as world:
        await world.shop.stock_up(MERCHANT, OTHER_SKU, 9)
        made = []
        for n in range(5):
            made.append((await order_of(world, "one", f"o{n}", lines=[(OTHER_SKU, 1)])).order)
            world.clock.advance(1)
        first = await world.shop.orders(MERCHANT, "one", limit=3)
        rest = await world.shop.orders(MERCHANT, room=ROOM, after=first[-1].order)
        assert [view.order for view in first + rest] == made[::-1]
        assert await world.shop.orders("m2") == []


async def test_old_request_keys_and_delivered_events_are_swept(place: Path | str) -> None:
    async with shop_world(place) as world:
        sale = await world.sale()
        drop = await world.drop()
        await world.shop.claim_coupon(MERCHANT, ROOM, "one", drop.drop, "a")
        await world.hold(sale.sale, "one", key="a")
        await world.told()
        world.clock.advance(47 * 3_600_000)
        for _ in range(3):
            await world.shop.sweep()
        assert len(await world.query("SELECT * FROM request")) == 1
        await world.told()
        world.clock.advance(2 * 3_600_000)
        for _ in range(3):
            await world.shop.sweep()
        assert await world.query("SELECT * FROM request") == []
        kept = await world.query("SELECT type FROM outbox WHERE created_ms < :now", now=world.clock() - 3_600_000)
        assert kept == []
