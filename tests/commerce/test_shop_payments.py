"""Payments: each notice acts once, late money is given back or buys the units anew (promises P4 and P6)."""

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest

from commerce.errors import CommerceError, NotFound, Refused
from commerce.events import OrderPaid, RefundDue
from commerce.payment import SignedMessage
from tests.commerce.shop_world import MERCHANT, OTHER_SKU, ROOM, World, shop_world


async def code_of(awaitable: Any) -> str:
    """The code of the refusal."""
    with pytest.raises(CommerceError) as refused:
        await awaitable
    return refused.value.code


async def pending(world: World, person: str = "one", coupon: str | None = None, **sale: Any) -> tuple[Any, Any]:
    """A sale and a pending order for one unit of it."""
    view = await world.sale(**sale)
    held = await world.hold(view.sale, person, key="k")
    return view, await world.shop.create_order(MERCHANT, ROOM, person, f"o-{view.sale}", hold=held.hold, coupon=coupon)


async def started(world: World, order: Any, person: str = "one", key: str = "pay") -> str:
    """Start a payment that the sandbox holds back; its number."""
    await world.shop.pay_order(MERCHANT, person, order.order, key)
    [row] = await world.query("SELECT id FROM payment WHERE order_id = :o AND state = 'started'", o=order.order)
    return str(row.id)


def notice(
    world: World, payment: str, amount: int, *, number: str = "t1", kind: str = "paid", **more: Any
) -> SignedMessage:
    """A callback as the provider would sign it."""
    body = {"number": number, "kind": kind, "payment": payment, "merchant": MERCHANT, "amount": amount} | more
    return world.provider.sign(orjson.dumps(body))


async def settle(world: World, message: SignedMessage) -> Any:
    """Deliver a callback."""
    return await world.shop.settle("sandbox", message.body, message.headers)


async def paid_events(world: World) -> int:
    """How many orders were told to be paid."""
    return sum(isinstance(event, OrderPaid) for event in await world.told())


async def test_paying_sells_the_units_and_uses_the_coupon(place: Path | str) -> None:
    async with shop_world(place, deliveries=3) as world:
        drop = await world.drop()
        coupon = await world.shop.claim_coupon(MERCHANT, ROOM, "one", drop.drop, "k")
        sale, order = await pending(world, coupon=coupon.coupon)
        paid = await world.shop.pay_order(MERCHANT, "one", order.order, "pay")
        assert paid.status == "paid"
        assert paid.amount == 4_000
        await asyncio.sleep(0.1)
        assert await paid_events(world) == 1
        [row] = await world.query("SELECT free, held, sold FROM sale WHERE id = :id", id=sale.sale)
        assert tuple(row) == (9, 0, 1)
        assert (await world.shop.coupons(MERCHANT, "one"))[0].state == "used"
        assert (await world.shop.pay_order(MERCHANT, "one", order.order, "pay")).status == "paid"
        assert await code_of(world.shop.cancel_order(MERCHANT, "one", order.order)) == "already"
        world.clock.advance(400_000)
        await world.shop.sweep()
        assert (await world.shop.order(MERCHANT, order.order)).status == "paid"


async def test_the_callback_alone_pays_and_repeats_act_once(place: Path | str) -> None:
    async with shop_world(place, hold_back=True) as world:
        _, order = await pending(world)
        payment = await started(world, order)
        message = notice(world, payment, order.amount)
        results = await asyncio.gather(*(settle(world, message) for _ in range(8)))
        assert sorted(result.effect for result in results) == ["paid"] + ["repeat"] * 7
        assert await paid_events(world) == 1


async def test_paying_in_parallel_opens_one_payment(place: Path | str) -> None:
    async with shop_world(place) as world:
        _, order = await pending(world)
        views = await asyncio.gather(
            *(world.shop.pay_order(MERCHANT, "one", order.order, f"k{n % 2}") for n in range(6))
        )
        assert {view.status for view in views} == {"paid"}
        assert len(await world.query("SELECT id FROM payment")) == 1


async def test_a_forged_or_stale_callback_is_refused(anywhere: Path | str) -> None:
    async with shop_world(anywhere, hold_back=True) as world:
        _, order = await pending(world)
        payment = await started(world, order)
        good = notice(world, payment, order.amount)
        forged = SignedMessage(good.body.replace(b"t1", b"t2"), good.headers)
        assert await code_of(settle(world, forged)) == "bad_signature"
        assert await code_of(settle(world, SignedMessage(good.body, {}))) == "bad_signature"
        assert await code_of(settle(world, world.provider.sign(b"not json"))) == "invalid"
        assert await code_of(settle(world, world.provider.sign(b"x" * 20_000))) == "invalid"
        assert await code_of(world.shop.settle("nosuch", good.body, good.headers)) == "not_found"
        world.clock.advance(300_001)
        assert await code_of(settle(world, good)) == "bad_signature"
        assert (await world.shop.order(MERCHANT, order.order)).status == "pending"


async def test_a_wrong_amount_or_merchant_changes_nothing_and_the_right_notice_still_acts(place: Path | str) -> None:
    async with shop_world(place, hold_back=True) as world:
        _, order = await pending(world)
        payment = await started(world, order)
        assert await code_of(settle(world, notice(world, payment, order.amount - 1))) == "amount_mismatch"
        wrong = notice(world, payment, order.amount, merchant="m2")
        assert await code_of(settle(world, wrong)) == "merchant_mismatch"
        assert (await settle(world, notice(world, payment, order.amount))).effect == "paid"


async def test_a_callback_before_its_order_fails_so_that_the_provider_repeats(anywhere: Path | str) -> None:
    async with shop_world(anywhere, hold_back=True) as world:
        with pytest.raises(NotFound):
            await settle(world, notice(world, "nosuch", 1))


async def test_a_declined_payment_leaves_the_order_open_for_another_try(anywhere: Path | str) -> None:
    async with shop_world(anywhere, declined_amounts=[5_000]) as world:
        _, order = await pending(world)
        assert await code_of(world.shop.pay_order(MERCHANT, "one", order.order, "a")) == "declined"
        assert await code_of(world.shop.pay_order(MERCHANT, "one", order.order, "a")) == "declined"
        assert (await world.shop.order(MERCHANT, order.order)).status == "pending"
        world.provider._declined_amounts = frozenset()
        assert (await world.shop.pay_order(MERCHANT, "one", order.order, "b")).status == "paid"


async def test_notices_out_of_order_end_the_same(anywhere: Path | str) -> None:
    async with shop_world(anywhere, hold_back=True) as world:
        _, order = await pending(world)
        payment = await started(world, order)
        assert (await settle(world, notice(world, payment, order.amount))).effect == "paid"
        declined = notice(world, payment, order.amount, kind="declined", number="t0")
        assert (await settle(world, declined)).effect == "declined"
        refunded = notice(world, payment, order.amount, kind="refunded", refund="nosuch")
        assert await code_of(settle(world, refunded)) == "not_found"
        assert (await world.shop.order(MERCHANT, order.order)).status == "paid"


async def test_a_pay_key_reused_for_another_order_is_a_conflict(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        _, first = await pending(world)
        _, second = await pending(world)
        await world.shop.pay_order(MERCHANT, "one", first.order, "k")
        assert await code_of(world.shop.pay_order(MERCHANT, "one", second.order, "k")) == "key_reused"


async def test_a_due_order_with_a_started_payment_waits_for_the_provider_s_word(place: Path | str) -> None:
    async with shop_world(place, hold_back=True) as world:
        sale, order = await pending(world, total=1)
        payment = await started(world, order)
        world.provider.pay(payment)
        world.clock.advance(300_000)
        assert await code_of(world.hold(sale.sale, "two", key="k")) == "sold_out"
        world.shop._timer = asyncio.get_running_loop().call_later(60, print)
        await world.shop._sweep_and_follow()
        await world.shop.payments.idle()
        assert (await world.shop.order(MERCHANT, order.order)).status == "paid"


async def test_money_of_which_no_notice_came_is_asked_for_when_its_order_ends(anywhere: Path | str) -> None:
    async with shop_world(anywhere, hold_back=True, deliveries=0) as world:
        _, order = await pending(world)
        payment = await started(world, order)
        assert world.provider.pay(payment) is not None
        # Nobody was there to sweep: the order is long past the time in which its provider is asked first.
        world.clock.advance(86_400_000)
        world.shop.payments.follow(await world.shop.sweep())
        await world.shop.told()
        await world.shop.payments.idle()
        assert (await world.shop.order(MERCHANT, order.order)).status == "cancelled"
        [row] = await world.query("SELECT state, amount FROM refund WHERE order_id = :o", o=order.order)
        assert (row.state, row.amount) == ("requested", order.amount)


async def test_a_due_order_nobody_paid_is_closed_at_the_provider_first(anywhere: Path | str) -> None:
    async with shop_world(anywhere, hold_back=True) as world:
        sale, order = await pending(world, total=1)
        payment = await started(world, order)
        world.clock.advance(300_000)
        world.shop._timer = asyncio.get_running_loop().call_later(60, print)
        await world.shop._sweep_and_follow()
        await world.shop.payments.idle()
        assert (await world.shop.order(MERCHANT, order.order)).reason == "expired"
        assert world.provider.pay(payment) is None
        assert (await world.hold(sale.sale, "two", key="k")).quantity == 1
        assert await code_of(world.shop.pay_order(MERCHANT, "one", order.order, "x")) == "gone"


async def test_late_money_buys_the_units_anew_when_they_are_there(place: Path | str) -> None:
    async with shop_world(place, hold_back=True) as world:
        drop = await world.drop()
        coupon = await world.shop.claim_coupon(MERCHANT, ROOM, "one", drop.drop, "k")
        _, order = await pending(world, total=1, coupon=coupon.coupon)
        payment = await started(world, order)
        await world.shop.cancel_order(MERCHANT, "one", order.order)
        message = notice(world, payment, order.amount)
        assert (await settle(world, message)).effect == "paid"
        assert (await settle(world, message)).effect == "repeat"
        assert (await world.shop.order(MERCHANT, order.order)).status == "paid"
        assert (await world.shop.coupons(MERCHANT, "one"))[0].state == "used"


@pytest.mark.parametrize("gone", ["units", "coupon", "sale"])
async def test_late_money_that_can_buy_nothing_goes_back(anywhere: Path | str, gone: str) -> None:
    async with shop_world(anywhere, hold_back=True) as world:
        drop = await world.drop()
        coupon = await world.shop.claim_coupon(MERCHANT, ROOM, "one", drop.drop, "k")
        sale, order = await pending(world, total=2, per_person=2, coupon=coupon.coupon)
        payment = await started(world, order)
        message = notice(world, payment, order.amount)
        await world.shop.cancel_order(MERCHANT, "one", order.order)
        await world.told()
        await world.shop.payments.idle()
        # Asked, it knew of nothing yet; and it took the money after it had been told to close.
        world.provider._transactions[payment].state = "paid"
        if gone == "units":
            await world.hold(sale.sale, "two", 2, key="k")
        elif gone == "sale":
            await world.shop.close_sale(MERCHANT, sale.sale)
        else:
            await world.shop.stock_up(MERCHANT, OTHER_SKU, 1)
            await world.shop.create_order(MERCHANT, ROOM, "one", "o2", lines=[(OTHER_SKU, 1)], coupon=coupon.coupon)
        assert (await settle(world, message)).effect == "refund"
        async with asyncio.timeout(60):
            while not await world.query("SELECT id FROM payment WHERE state = 'refunded'"):
                await asyncio.sleep(0.02)
        assert (await world.shop.order(MERCHANT, order.order)).status == "cancelled"
        assert sum(isinstance(event, RefundDue) for event in await world.told()) == 1
        assert await paid_events(world) == 0


async def test_money_for_an_order_paid_by_another_payment_goes_back(anywhere: Path | str) -> None:
    async with shop_world(anywhere, hold_back=True) as world:
        _, order = await pending(world)
        first = await started(world, order)
        assert (
            await settle(world, notice(world, first, order.amount, kind="declined", number="t0"))
        ).effect == "declined"
        second = await started(world, order, key="pay2")
        assert (await settle(world, notice(world, second, order.amount, number="t2"))).effect == "paid"
        assert (await settle(world, notice(world, first, order.amount, number="t3"))).effect == "refund"
        states = await world.query("SELECT state FROM payment ORDER BY id")
        assert sorted(row.state for row in states) == ["refund_due", "settled"]


async def test_a_refund_that_was_not_confirmed_is_asked_for_again(anywhere: Path | str) -> None:
    async with shop_world(anywhere, hold_back=True) as world:
        _, order = await pending(world, total=1)
        payment = await started(world, order)
        await world.shop.cancel_order(MERCHANT, "one", order.order)
        sale2 = (await world.query("SELECT id FROM sale"))[0].id
        await world.hold(sale2, "two", key="k")
        assert (await settle(world, notice(world, payment, order.amount))).effect == "refund"
        world.clock.advance(10_000)
        [due] = (await world.shop.sweep()).refunds_due
        assert (due.payment, due.amount, due.paid) == (payment, order.amount, order.amount)
        assert (await world.shop.sweep()).refunds_due == ()


async def test_an_expired_order_cannot_be_paid(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        _, order = await pending(world)
        world.clock.advance(300_000)
        with pytest.raises(Refused, match="over"):
            await world.shop.pay_order(MERCHANT, "one", order.order, "k")
