"""Refunds whole and in part: money to the last 分, units, coupon, and the provider's word acting once (P6, P7, P14)."""

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from commerce.domain.money import allocate
from commerce.domain.order import GOODS_STEPS, STATUS_AFTER, Fulfilment, OrderStatus, Step, refuse_step
from commerce.domain.refund import TRIES_MAX, PaidLine, Refundable, back_off_ms, decide_refund
from commerce.errors import CommerceError
from commerce.events import OrderRefunded, RefundDue
from commerce.outbox_sql import ADOPT_AFTER_MS
from commerce.payment_sandbox import SandboxProvider
from commerce.shop import Shop
from commerce.store_sql import open_store
from tests.commerce.shop_world import (
    MERCHANT,
    OTHER_SKU,
    ROOM,
    SKU,
    ManualClock,
    World,
    crash,
    seed_catalogue,
    shop_world,
)


async def code_of(awaitable: Any) -> str:
    """The code of the refusal."""
    with pytest.raises(CommerceError) as refused:
        await awaitable
    return refused.value.code


async def paid(world: World, person: str = "one", units: int = 3, coupon: int | None = None) -> Any:
    """A paid order of a flash unit and some from the shelf."""
    taken = None
    if coupon is not None:
        drop = await world.drop(amount=coupon)
        taken = (await world.shop.claim_coupon(MERCHANT, ROOM, person, drop.drop, "k")).coupon
    sale = await world.sale()
    await world.shop.stock_up(MERCHANT, OTHER_SKU, units)
    held = await world.hold(sale.sale, person, key="k")
    lines = [(OTHER_SKU, units)] if units else []
    order = await world.shop.create_order(MERCHANT, ROOM, person, "o", hold=held.hold, lines=lines, coupon=taken)
    return await world.shop.pay_order(MERCHANT, person, order.order, "p")


async def refund(world: World, order: str, key: str = "r", **fields: Any) -> Any:
    """A refund by staff."""
    return await world.shop.aftersale.refund(MERCHANT, "boss", order, key, **fields)


async def settled(world: World, state: str = "done") -> list[Any]:
    """The refunds, once all are in a state."""
    async with asyncio.timeout(60):
        while True:
            rows = await world.query("SELECT * FROM refund ORDER BY id")
            if all(row.state == state for row in rows):
                return rows
            await asyncio.sleep(0.01)


async def stock(world: World, sku: str) -> dict[str, int]:
    """A SKU's counters."""
    [row] = await world.query("SELECT * FROM stock WHERE sku = :sku", sku=sku)
    return dict(row._mapping)


async def test_a_whole_refund_gives_back_money_units_and_coupon(anywhere: Path | str) -> None:
    async with shop_world(anywhere, deliveries=3) as world:
        order = await paid(world, coupon=1_000)
        before = await stock(world, SKU)
        view = await refund(world, order.order, reason="wrong colour", stock="sellable")
        assert (view.state, view.amount, view.stock) == ("requested", order.amount, "sellable")
        assert [(line.sku, line.quantity, line.returned) for line in view.lines] == [(SKU, 1, 1), (OTHER_SKU, 3, 3)]
        assert sum(line.amount for line in view.lines) == order.amount
        world.assert_clean()
        [row] = await settled(world)
        assert row.number == f"r-{view.refund}"
        after = await world.shop.order(MERCHANT, order.order)
        assert (after.status, after.refunded) == ("refunded", order.amount)
        assert (await world.shop.coupons(MERCHANT, "one"))[0].state == "unused"
        now = await stock(world, SKU)
        assert (now["free"], now["sold"]) == (before["free"] + 1, before["sold"] - 1)
        assert await world.query("SELECT count(*) FROM payment_event WHERE kind = 'refunded'") == [(1,)]
        states = [event.refund.state for event in await world.told() if isinstance(event, OrderRefunded)]
        assert states == ["requested", "done"]
        assert await code_of(refund(world, order.order, "again")) == "already"


async def test_a_coupon_past_its_date_stays_used(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        order = await paid(world, coupon=1_000)
        world.clock.advance(3_600_000)
        await refund(world, order.order)
        assert (await world.query("SELECT state FROM coupon")) == [("used",)]
        assert (await settled(world))[0].amount == order.amount


async def test_partial_refunds_add_up_to_the_whole_to_the_cent_and_none_is_swallowed(place: Path | str) -> None:
    async with shop_world(place) as world:
        order = await paid(world, units=3, coupon=1_001)
        for n in range(3):
            view = await refund(world, order.order, f"r{n}", lines=[(OTHER_SKU, 1)], stock="quarantine")
            assert view.amount > 0
            assert (await world.shop.order(MERCHANT, order.order)).status == "partly_refunded"
            assert (await world.shop.coupons(MERCHANT, "one"))[0].state == "used"
            world.assert_clean()
        await refund(world, order.order, "last", lines=[(SKU, 1)], stock="sellable")
        rows = await settled(world)
        assert sum(row.amount for row in rows) == order.amount
        assert len({row.number for row in rows}) == 4
        assert (await world.shop.order(MERCHANT, order.order)).status == "refunded"
        assert (await stock(world, OTHER_SKU))["quarantined"] == 3
        assert await world.query("SELECT count(*) FROM payment_event WHERE kind = 'refunded'") == [(4,)]


async def test_money_without_goods_lessens_what_is_left_for_the_goods(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        order = await paid(world, units=1)
        await refund(world, order.order, "goodwill", amount=500, reason="late parcel")
        assert await code_of(refund(world, order.order, "x", amount=order.amount)) == "over_refund"
        first = await refund(world, order.order, "a", lines=[(SKU, 1)])
        second = await refund(world, order.order, "b", lines=[(OTHER_SKU, 1)], stock="sellable")
        assert (first.amount, second.amount) == (5_000, order.amount - 5_500)
        assert (await settled(world)) and (await world.shop.order(MERCHANT, order.order)).status == "refunded"


async def test_goods_come_back_after_all_the_money_went(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        order = await paid(world, units=0)
        await refund(world, order.order, "money", amount=order.amount)
        assert await code_of(refund(world, order.order, "none", lines=[(SKU, 1)])) == "already"
        view = await refund(world, order.order, "goods", lines=[(SKU, 1)], stock="sellable")
        assert (view.amount, view.state) == (0, "done")
        assert (await stock(world, SKU))["sold"] == 0
        assert len(await settled(world)) == 2


async def test_a_repeated_key_refunds_once_and_another_body_is_a_conflict(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        order = await paid(world)
        views = await asyncio.gather(*(refund(world, order.order, "k", lines=[(OTHER_SKU, 1)]) for _ in range(5)))
        assert len({view.refund for view in views}) == 1
        assert await code_of(refund(world, order.order, "k", lines=[(OTHER_SKU, 2)])) == "key_reused"
        assert len(await settled(world)) == 1


async def test_refunds_at_once_never_give_more_than_was_paid(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        order = await paid(world)
        wishes = [refund(world, order.order, f"k{n}", amount=4_000) for n in range(8)]
        answers = await asyncio.gather(*wishes, return_exceptions=True)
        given = [view for view in answers if not isinstance(view, BaseException)]
        assert len(given) == order.amount // 4_000
        assert len(await settled(world)) == len(given)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"lines": []}, "invalid"),
        ({"lines": [(SKU, 0)]}, "invalid"),
        ({"lines": [(SKU, -1)]}, "invalid"),
        ({"lines": [(SKU, 10**12)]}, "invalid"),
        ({"lines": [(SKU, 2)]}, "over_refund"),
        ({"lines": [(SKU, 1), (SKU, 1)]}, "over_refund"),
        ({"lines": [("k3", 1)]}, "not_found"),
        ({"amount": 0}, "invalid"),
        ({"amount": -1}, "invalid"),
        ({"amount": 10**9}, "over_refund"),
        ({"amount": 1, "stock": "sellable"}, "invalid"),
        ({"amount": 1, "lines": [(SKU, 1)]}, "invalid"),
        ({"stock": "elsewhere"}, "invalid"),
        ({"reason": "x" * 201}, "invalid"),
    ],
)
async def test_a_refund_that_makes_no_sense_changes_nothing(
    anywhere: Path | str, fields: dict[str, Any], code: str
) -> None:
    async with shop_world(anywhere) as world:
        order = await paid(world)
        assert await code_of(refund(world, order.order, **fields)) == code
        assert await world.query("SELECT id FROM refund") == []
        assert (await world.shop.order(MERCHANT, order.order)).status == "paid"


async def test_unpaid_and_others_orders_are_not_refunded(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        order = await paid(world)
        await world.shop.stock_up(MERCHANT, OTHER_SKU, 1)
        open_order = await world.shop.create_order(MERCHANT, ROOM, "two", "o", lines=[(OTHER_SKU, 1)])
        assert await code_of(refund(world, open_order.order)) == "not_open"
        aftersale = world.shop.aftersale
        assert await code_of(aftersale.refund("m2", "boss", order.order, "k")) == "not_found"
        assert await code_of(aftersale.refunds("m2", order.order)) == "not_found"
        assert await code_of(aftersale.refunds(MERCHANT, order.order, "two")) == "not_found"
        assert await aftersale.refunds(MERCHANT, order.order, "one") == []


def notice(world: World, row: Any, **more: Any) -> Any:
    """A refund's notice as the provider signs it."""
    body = {"number": "n1", "kind": "refunded", "payment": row.payment, "merchant": MERCHANT, "refund": row.id}
    return world.provider.sign(orjson.dumps(body | {"amount": row.amount} | more))


async def test_notices_repeated_wrong_or_out_of_order_end_in_one_effect(anywhere: Path | str) -> None:
    async with shop_world(anywhere, mute_refunds=True) as world:
        order = await paid(world)
        await refund(world, order.order, "a", amount=700)
        [row] = await world.query("SELECT * FROM refund")

        async def hear(**more: Any) -> str:
            message = notice(world, row, **more)
            return str((await world.shop.settle("sandbox", message.body, message.headers)).effect)

        assert await code_of(hear(amount=701)) == "amount_mismatch"
        assert await code_of(hear(merchant="m2")) == "merchant_mismatch"
        assert await code_of(hear(refund="nosuch")) == "not_found"
        assert await hear(kind="refund_failed", number="n0") == "refund_failed"
        assert await hear() == "refunded"
        assert [await hear() for _ in range(3)] == ["repeat"] * 3
        assert await hear(kind="refund_failed", number="n2") == "repeat"
        [row] = await world.query("SELECT * FROM refund")
        assert (row.state, row.number, row.error) == ("done", "n1", None)


async def test_a_mute_provider_is_asked_ever_more_rarely_and_given_up_at_last(anywhere: Path | str) -> None:
    async with shop_world(anywhere, mute_refunds=True) as world:
        order = await paid(world)
        view = await refund(world, order.order, amount=100)
        asked = 0
        for tries in range(1, TRIES_MAX + 1):
            assert (await world.shop.sweep()).refunds_due == ()
            world.clock.advance(back_off_ms(tries))
            asked += len((await world.shop.sweep()).refunds_due)
        assert asked == TRIES_MAX - 1
        [failed] = await world.shop.aftersale.refunds(MERCHANT, order.order)
        assert failed.state == "failed" and failed.error
        world.assert_clean()
        world.provider.mute_refunds = False
        again = await world.shop.aftersale.retry_refund(MERCHANT, order.order, view.refund)
        assert again.state == "requested"
        assert (await settled(world))[0].id == view.refund
        assert await code_of(world.shop.aftersale.retry_refund(MERCHANT, order.order, view.refund)) == "already"
        assert await code_of(world.shop.aftersale.retry_refund("m2", order.order, view.refund)) == "not_found"


async def test_a_refund_the_provider_refuses_fails_and_stays_owed(anywhere: Path | str) -> None:
    async with shop_world(anywhere, failed_refunds=[321]) as world:
        order = await paid(world)
        await refund(world, order.order, amount=321)
        await settled(world, "failed")
        assert (await world.shop.order(MERCHANT, order.order)).refunded == 321


async def test_a_refund_booked_before_a_crash_is_given_after_it_once(place: Path | str) -> None:
    clock = ManualClock()
    store = open_store(place)
    await store.write(seed_catalogue)
    first = SandboxProvider(b"s", clock=clock, callback_delay_s=0.01, mute_refunds=True)
    shop = Shop(store, clock=clock, provider=first, sweep_s=0)
    # The provider is never reached: the process dies between the commit and the call.
    shop._dispatcher._answering.clear()
    await shop.start()
    await shop.stock_up(MERCHANT, OTHER_SKU, 2)
    order = await shop.create_order(MERCHANT, ROOM, "one", "o", lines=[(OTHER_SKU, 2)])
    await shop.pay_order(MERCHANT, "one", order.order, "p")
    view = await shop.aftersale.refund(MERCHANT, "boss", order.order, "k", lines=[(OTHER_SKU, 1)])
    await crash(shop)

    store = open_store(place)
    # A new sandbox, too: it remembers nothing of the payment.
    second = SandboxProvider(b"s", clock=clock, callback_delay_s=0.01, deliveries=2)
    shop = Shop(store, clock=clock, provider=second, sweep_s=0)
    second.deliver_to(shop.settle)
    await shop.start()
    clock.advance(ADOPT_AFTER_MS)
    await shop.sweep()
    async with asyncio.timeout(60):
        while (await shop.aftersale.refunds(MERCHANT, order.order))[0].state != "done":
            await asyncio.sleep(0.01)
    [done] = await shop.aftersale.refunds(MERCHANT, order.order)
    assert (done.refund, done.amount) == (view.refund, 2_000)
    clock.advance(10**9)
    assert (await shop.sweep()).refunds_due == ()
    await second.aclose()
    await shop.close()
    store.close()


async def test_late_money_goes_back_through_the_same_books(place: Path | str) -> None:
    async with shop_world(place, hold_back=True) as world:
        await world.shop.stock_up(MERCHANT, OTHER_SKU, 1)
        order = await world.shop.create_order(MERCHANT, ROOM, "one", "o", lines=[(OTHER_SKU, 1)])
        await world.shop.pay_order(MERCHANT, "one", order.order, "p")
        [payment] = await world.query("SELECT id FROM payment")
        await world.shop.cancel_order(MERCHANT, "one", order.order)
        await world.shop.stock_up(MERCHANT, OTHER_SKU, -1, "broken")
        # The wallet confirmed a moment before the shop closed the payment.
        world.provider._transactions[payment.id].state = "open"
        world.provider.pay(payment.id)
        async with asyncio.timeout(60):
            while not await world.query("SELECT id FROM payment WHERE state = 'refunded'"):
                await asyncio.sleep(0.01)
        [view] = await world.shop.aftersale.refunds(MERCHANT, order.order, "one")
        assert (view.kind, view.state, view.amount) == ("late", "done", 2_000)
        assert sum(isinstance(event, RefundDue) for event in await world.told()) == 1
        assert (await world.shop.order(MERCHANT, order.order)).status == "cancelled"


@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(1, 10_000)), min_size=1, max_size=5),
    st.integers(0, 20_000),
    st.data(),
)
def test_however_lines_are_refunded_the_parts_add_up(
    bought: list[tuple[int, int]], coupon: int, data: st.DataObject
) -> None:
    goods = [quantity * price for quantity, price in bought]
    shares = allocate(min(coupon, sum(goods) - 1), goods)
    lines = [
        PaidLine(n, f"k{n}", quantity, price, share, 0)
        for n, ((quantity, price), share) in enumerate(zip(bought, shares, strict=True))
    ]
    left = whole = sum(goods) - sum(shares)
    while any(line.refunded < line.quantity for line in lines):
        line = data.draw(st.sampled_from([line for line in lines if line.refunded < line.quantity]))
        units = data.draw(st.integers(1, line.quantity - line.refunded))
        decided = decide_refund(lines, left, wanted=[(line.sku, units)])
        assert isinstance(decided, Refundable)
        left -= decided.amount
        assert decided.rest == (left == 0)
        after = PaidLine(line.n, line.sku, line.quantity, line.price, line.discount, line.refunded + units)
        lines[line.n] = after
    assert left == 0
    assert whole >= 1


@pytest.mark.parametrize("status", OrderStatus)
@pytest.mark.parametrize("step", Step)
def test_every_step_is_legal_by_the_table_or_refused_with_a_known_code(status: OrderStatus, step: Step) -> None:
    for goods in Fulfilment:
        code = refuse_step(status, goods, step)
        assert code in (None, "already", "not_open")
        if code is None:
            assert (status, step) in STATUS_AFTER
        elif step not in GOODS_STEPS:
            assert (status, step) not in STATUS_AFTER
