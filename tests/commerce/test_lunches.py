"""Free lunches that could be had, each by its name: what somebody did, and what it leaves them with now."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from commerce.basket import DropTerms
from commerce.domain.day import DAY_MS
from commerce.domain.member import Program
from commerce.domain.membership import Benefits, PlanTerms
from commerce.errors import Refused
from commerce.identity.join import MergePeople, UndoMerge
from commerce.transfer_sandbox import SandboxTransfers
from tests.commerce.shop_world import MERCHANT, OTHER_SKU, ROOM, SKU, World, shop_world
from tests.commerce.test_credit import buy as on_account
from tests.commerce.test_credit import open_shop as open_account
from tests.commerce.test_distribution import Market, opened
from tests.commerce.test_mall import exchange, open_mall
from tests.commerce.test_mall import points as points_of
from tests.commerce.test_members import buy, code_of, member_world
from tests.commerce.test_refunds import refund
from tests.commerce.test_shop_payments import notice, settle, started
from tests.commerce.test_transfers import paying, transfer

PLAN = 9_900


@pytest.fixture
async def market(anywhere: Path | str) -> AsyncIterator[Market]:
    async with opened(anywhere) as found:
        yield found


async def brought(market: Market, **more: Any) -> tuple[str, str, Any]:
    """A distributor, who they brought, and that one's paid order with 990 分 of commission."""
    ann, buyer = await market.distributor("ann"), await market.person("bo")
    await market.comes_by(buyer, ann)
    order = await market.order(buyer, **more)
    await market.pay(order)
    return ann, buyer, order


# --- a distributor and a buyer who know one another ------------------------------------------------------------------


async def test_commission_is_not_withdrawn_while_the_buyer_asks_for_the_money_back(market: Market) -> None:
    ann, buyer, order = await brought(market)
    market.world.clock.advance(14 * DAY_MS)
    asked = await market.world.shop.requests.ask(
        MERCHANT, buyer, order.order, "k", "refund", "mind", [("k1", 1)]
    )  # fmt: skip
    market.world.clock.advance(DAY_MS)
    assert await market.distribution.release() == 0
    await market.world.shop.requests.withdraw(MERCHANT, buyer, asked.request)
    assert await market.distribution.release() == 1
    assert await market.on(ann) == (0, 0, 990, 0)


async def test_commission_waits_until_goods_have_arrived_and_can_be_given_back_no_more(market: Market) -> None:
    ann, buyer, order = await brought(market)
    market.world.clock.advance(14 * DAY_MS)
    await market.world.shop.aftersale.ship(MERCHANT, order.order, "SF", "1")
    market.world.clock.advance(3 * DAY_MS)
    assert await market.distribution.release() == 0
    await market.world.shop.aftersale.finish(MERCHANT, order.order, buyer)
    market.world.clock.advance(7 * DAY_MS - 1)
    assert await market.distribution.release() == 0
    market.world.clock.advance(1)
    assert await market.distribution.release() == 1
    assert await market.on(ann) == (0, 0, 990, 0)


async def test_goods_that_arrive_early_do_not_shorten_the_wait(market: Market) -> None:
    _, buyer, order = await brought(market)
    await market.world.shop.aftersale.ship(MERCHANT, order.order, "SF", "1")
    await market.world.shop.aftersale.finish(MERCHANT, order.order, buyer)
    market.world.clock.advance(15 * DAY_MS - 1)
    assert await market.distribution.release() == 0
    market.world.clock.advance(1)
    assert await market.distribution.release() == 1


async def test_who_turns_out_to_have_bought_by_their_own_link_is_not_paid_before_somebody_looked(
    market: Market,
) -> None:
    ann, buyer, _ = await brought(market)
    submit = market.world.shop.ledger.submit
    joined = await submit(MergePeople(MERCHANT, ann, buyer, "boss", "one person"))
    market.world.clock.advance(15 * DAY_MS)
    assert await market.distribution.release() == 0
    assert [one["held"] for one in await market.distribution.held(MERCHANT)] == ["own_order"]
    # They were two after all.
    await submit(UndoMerge(MERCHANT, joined.merged, "boss"))
    assert await market.distribution.held(MERCHANT) == []
    assert await market.distribution.release() == 1


async def test_a_shop_that_pays_for_own_purchases_holds_none_of_them_after_a_merge(market: Market) -> None:
    ann, buyer, _ = await brought(market)
    await market.distribution.set_terms(MERCHANT, {"self_purchase": True}, "boss")
    await market.world.shop.ledger.submit(MergePeople(MERCHANT, ann, buyer, "boss", "one person"))
    market.world.clock.advance(15 * DAY_MS)
    assert await market.distribution.release() == 1


async def test_stored_value_earns_its_distributor_once_when_it_is_spent(market: Market) -> None:
    await member_world(market.world)
    ann, buyer, _ = await brought(market)
    await market.pay(await market.order(buyer, sku="card"))
    assert await market.on(ann) == (0, 990, 0, 0)
    # Of 99 yuan a sixth is bonus, which earns nothing.
    await market.pay(await market.order(buyer, stored=9_900))
    assert await market.on(ann) == (0, 990 + 825, 0, 0)


async def withdrawing(market: Market, *, approved: bool) -> tuple[str, str]:
    """A distributor who asked for 1,980 分, of which a refund took half back: who it is, and the withdrawal."""
    ann, _, order = await brought(market, quantity=2)
    market.world.clock.advance(15 * DAY_MS)
    await market.distribution.release()
    asked = await market.distribution.withdraw(MERCHANT, ann, 1_980, "w")
    if approved:
        await market.distribution.decide(MERCHANT, asked.withdrawal, "approved", "boss", "", "")
    await market.refund(order, "r", lines=[("k1", 1)])
    assert await market.on(ann) == (0, 0, -990, 1_980)
    return ann, asked.withdrawal


@pytest.mark.parametrize("approved", [False, True], ids=["asked", "approved"])
async def test_what_a_refund_took_back_is_not_paid_out_by_a_withdrawal_under_way(
    market: Market, *, approved: bool
) -> None:
    ann, asked = await withdrawing(market, approved=approved)
    decide = market.distribution.decide
    with pytest.raises(Refused, match="refunds have taken back") as refused:
        if approved:
            await transfer(paying(market, SandboxTransfers(b"secret")), asked)
        else:
            await decide(MERCHANT, asked, "approved", "boss", "", "")
    assert (refused.value.code, refused.value.extra["left"]) == ("insufficient", 990)
    await decide(MERCHANT, asked, "rejected", "boss", "", "a refund")
    assert await market.on(ann) == (0, 0, 990, 0)
    assert (await market.distribution.withdraw(MERCHANT, ann, 990, "w2")).state == "requested"


async def test_what_was_transferred_by_hand_before_a_refund_is_said_to_be_paid_and_carried(market: Market) -> None:
    ann, asked = await withdrawing(market, approved=True)
    paid = await market.distribution.decide(MERCHANT, asked, "paid", "boss", "T", "")
    assert paid.state == "paid"
    assert await market.on(ann) == (0, 0, -990, 0)


# --- a membership for a day ------------------------------------------------------------------------------------------


async def member(world: World, terms: Benefits, person: str = "one", key: str = "m") -> Any:
    """Somebody who has just become a member."""
    for sku in (SKU, OTHER_SKU):
        await world.shop.stock_up(MERCHANT, sku, 100)
    await world.shop.memberships.set_plan(MERCHANT, "boss", SKU, PlanTerms(3, terms))
    await buy(world, person, key, sku=SKU)
    await world.shop.sweep()
    return (await world.shop.memberships.of_person(MERCHANT, person))[0]


async def left_of(world: World, person: str = "one") -> Any:
    return (await world.shop.memberships.of_person(MERCHANT, person))[0]


async def give_back(world: World, membership: str, key: str = "back") -> Any:
    return await world.shop.memberships.refund(MERCHANT, "boss", membership, key, "changed my mind")


async def test_a_member_s_coupon_is_paid_for_or_taken_back_with_the_membership(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        one = await member(world, Benefits(100, 100, 1_500, 0, 20))
        [coupon] = await world.shop.coupons(MERCHANT, "one")
        unused = one.back
        assert (one.enjoyed, 0 < unused < PLAN) == (0, True)
        order = await world.shop.create_order(
            MERCHANT, ROOM, "one", "o", lines=[(OTHER_SKU, 2)], coupons=(coupon.coupon,)
        )
        # An order that waits for its money has the coupon, as well.
        assert ((await left_of(world)).back, (await left_of(world)).enjoyed) == (PLAN - 1_500, 1_500)
        await world.shop.cancel_order(MERCHANT, "one", order.order)
        assert (await left_of(world)).back == unused
        assert (await give_back(world, one.membership)).amount == unused
        assert [one.state for one in await world.shop.coupons(MERCHANT, "one")] == ["expired"]
        late = world.shop.create_order(MERCHANT, ROOM, "one", "p", lines=[(OTHER_SKU, 2)], coupons=(coupon.coupon,))
        assert await code_of(late) == "coupon_invalid"


async def test_a_coupon_on_an_order_does_not_come_back_from_it_when_the_membership_is_gone(tmp_path: Path) -> None:
    async with shop_world(tmp_path) as world:
        one = await member(world, Benefits(100, 100, 1_500, 0, 20))
        [coupon] = await world.shop.coupons(MERCHANT, "one")
        order = await buy(world, "one", "o", 2, coupons=(coupon.coupon,))
        paid = await give_back(world, one.membership)
        assert paid.amount == PLAN - 1_500
        await refund(world, order.order, stock="sellable")
        assert [one.state for one in await world.shop.coupons(MERCHANT, "one")] == ["used"]


async def test_a_year_s_discount_is_not_had_for_a_day_s_price(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        await world.shop.members.set_program(MERCHANT, "boss", Program(yuan_points=1))
        one = await member(world, Benefits(80, 500))
        small = await buy(world, "one", "o", 2)
        assert small.amount == 3_200
        # 8 yuan of the price, and four fifths of 160 points.
        assert (await left_of(world)).enjoyed == 800 + 128
        assert (await left_of(world)).back == PLAN - 928
        await refund(world, small.order, "half", lines=[(OTHER_SKU, 1)], stock="sellable")
        assert (await left_of(world)).back == PLAN - 464
        await buy(world, "one", "p", 50)
        assert (await left_of(world)).back == 0
        assert await code_of(give_back(world, one.membership)) == "already"
        assert (await left_of(world)).state == "active"


async def test_days_that_were_paid_for_count_for_what_they_have_saved(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        one = await member(world, Benefits(80, 100))
        order = await buy(world, "one", "o", 10)
        await refund(world, order.order, "half", lines=[(OTHER_SKU, 5)], stock="sellable")
        world.clock.advance((one.until - world.clock()) // 2)
        half = await left_of(world)
        # Twenty yuan saved and some fifty kept: all the days to come go back.
        assert half.enjoyed == 2_000 < PLAN - half.back
        assert PLAN * 45 // 100 < half.back < PLAN // 2
        assert (await give_back(world, one.membership)).amount == half.back


# --- gifts of payments that went back --------------------------------------------------------------------------------


async def gifts(world: World, *amounts: int) -> None:
    """A shop that gives coupons with payments of 40 yuan and more."""
    await member_world(world, Program(gift_points=50, gift_amount=4_000))
    for amount in amounts:
        way = DropTerms(way="gift")
        await world.shop.start_drop(MERCHANT, ROOM, "谢谢", "支付有礼", amount, 0, 10, 5, 86_400, 3_600, more=way)


async def states(world: World, person: str = "one") -> list[str]:
    return sorted(one.state for one in await world.shop.coupons(MERCHANT, person))


async def test_the_coupons_of_a_payment_go_back_with_it(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        await gifts(world, 300, 500)
        first = await buy(world, "one", "a", 3)
        world.clock.advance(1)
        second = await buy(world, "one", "b", 3)
        other = await buy(world, "two", "c", 2)
        assert await states(world) == ["unused"] * 4
        await refund(world, first.order, "r1", lines=[(OTHER_SKU, 1)], stock="sellable")
        # What is left would have been given them.
        assert await states(world) == ["unused"] * 4
        await refund(world, first.order, "r2", lines=[(OTHER_SKU, 1)], stock="sellable")
        assert await states(world) == ["expired"] * 2 + ["unused"] * 2
        await refund(world, second.order, "r3", stock="sellable")
        assert await states(world) == ["expired"] * 4
        assert await states(world, "two") == ["unused"] * 2
        assert other.status == "paid"


async def test_a_gift_that_was_on_an_order_does_not_come_back_from_it(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        await gifts(world, 300)
        first = await buy(world, "one", "a", 2)
        [coupon] = await world.shop.coupons(MERCHANT, "one")
        waiting = await world.shop.create_order(
            MERCHANT, ROOM, "one", "b", lines=[(OTHER_SKU, 1)], coupons=(coupon.coupon,)
        )
        await refund(world, first.order, "r", stock="sellable")
        assert await states(world) == ["locked"]
        await world.shop.cancel_order(MERCHANT, "one", waiting.order)
        assert await states(world) == ["expired"]


async def test_a_shop_that_asks_for_more_than_it_did_leaves_older_payments_their_gift(tmp_path: Path) -> None:
    async with shop_world(tmp_path) as world:
        await gifts(world, 300)
        first = await buy(world, "one", "a", 3)
        await world.shop.members.set_program(MERCHANT, "boss", Program(gift_amount=10_000))
        await refund(world, first.order, "r", lines=[(OTHER_SKU, 1)], stock="sellable")
        assert await states(world) == ["unused"]
        await refund(world, first.order, "s", stock="sellable")
        assert await states(world) == ["expired"]


# --- limits, past their check ----------------------------------------------------------------------------------------


async def test_an_exchange_paid_after_it_was_cancelled_keeps_to_the_limit(anywhere: Path | str) -> None:
    async with shop_world(anywhere, hold_back=True) as world:
        await open_mall(world, points=200, units=9)
        first = await exchange(world, units=2, key="a")
        payment = await started(world, first, "ann")
        await world.shop.cancel_order(MERCHANT, "ann", first.order)
        second = await exchange(world, units=2, key="b")
        other = await started(world, second, "ann", "again")
        await settle(world, notice(world, other, 2, number="t2"))
        assert (await settle(world, notice(world, payment, 2))).effect == "refund"
        assert (await world.shop.order(MERCHANT, first.order)).status == "cancelled"
        assert await points_of(world) == 120


async def test_two_top_ups_that_wait_for_their_money_are_together_within_the_cap(anywhere: Path | str) -> None:
    async with shop_world(anywhere, hold_back=True) as world:
        await member_world(world, Program(stored_most=20_000))
        order = world.shop.create_order
        first = await order(MERCHANT, ROOM, "one", "a", lines=[("card", 1, None)])
        payment = await started(world, first)
        assert await code_of(order(MERCHANT, ROOM, "one", "b", lines=[("card", 1, None)])) == "limit"
        await world.shop.cancel_order(MERCHANT, "one", first.order)
        second = await order(MERCHANT, ROOM, "one", "b", lines=[("card", 1, None)])
        # The money of the first comes nevertheless: there is no room for both.
        assert (await settle(world, notice(world, payment, 10_000))).effect == "refund"
        assert second.status == "pending"


# --- on account ------------------------------------------------------------------------------------------------------


async def test_points_of_what_was_bought_on_account_wait_until_it_is_paid_and_do_not_come_when_it_never_is(
    anywhere: Path | str,
) -> None:
    async with shop_world(anywhere) as world:
        await open_account(world, "ann")
        await world.shop.members.set_program(MERCHANT, "boss", Program(yuan_points=1))
        paid, lost = [await on_account(world, "ann", key, 2) for key in ("a", "b")]
        for order in (paid, lost):
            await world.shop.aftersale.ship(MERCHANT, order, "SF", "1")
            await world.shop.aftersale.finish(MERCHANT, order)
        world.clock.advance(8 * DAY_MS)
        await world.shop.sweep()
        assert await points_of(world) == 0
        await world.shop.credit.book(MERCHANT, "boss", "ann", "repaid", "k1", amount=4_000, order=paid)
        await world.shop.credit.book(MERCHANT, "boss", "ann", "lost", "k2", order=lost, reason="gone")
        await world.shop.sweep()
        on = await world.shop.members.member(MERCHANT, "ann")
        assert (on.points, on.points_pending) == (40, 40)
        # The goods are found again: what they earned goes from where it waits.
        await refund(world, lost, "r", stock="sellable")
        on = await world.shop.members.member(MERCHANT, "ann")
        assert (on.points, on.points_pending, on.points_owed) == (40, 0, 0)


# --- known failures of others, in other ways -------------------------------------------------------------------------


async def test_a_coupon_whose_order_is_cancelled_twice_and_paid_late_is_on_one_order(anywhere: Path | str) -> None:
    async with shop_world(anywhere, hold_back=True) as world:
        await world.shop.stock_up(MERCHANT, OTHER_SKU, 9)
        drop = await world.drop(amount=1_500)
        coupon = (await world.shop.claim_coupon(MERCHANT, ROOM, "one", drop.drop, "k")).coupon
        lines = [(OTHER_SKU, 1)]
        first = await world.shop.create_order(MERCHANT, ROOM, "one", "a", lines=lines, coupon=coupon)
        payment = await started(world, first)
        await world.shop.cancel_order(MERCHANT, "one", first.order)
        second = await world.shop.create_order(MERCHANT, ROOM, "one", "b", lines=lines, coupon=coupon)
        # The second cancelling of the first order does not take the coupon off the second one.
        await world.shop.cancel_order(MERCHANT, "one", first.order)
        third = world.shop.create_order(MERCHANT, ROOM, "one", "c", lines=lines, coupon=coupon)
        assert await code_of(third) == "coupon_invalid"
        assert [(await settle(world, notice(world, payment, 500))).effect for _ in range(2)] == ["refund", "repeat"]
        [held] = await world.query("SELECT state, order_id FROM coupon")
        assert (held.state, held.order_id) == ("locked", second.order)


async def test_points_of_an_order_that_is_paid_late_are_not_spent_twice(anywhere: Path | str) -> None:
    async with shop_world(anywhere, hold_back=True) as world:
        await member_world(world, Program(sign_in=(500,)))
        await world.shop.members.sign_in(MERCHANT, "one")
        lines = [(OTHER_SKU, 1)]
        first = await world.shop.create_order(MERCHANT, ROOM, "one", "a", lines=lines, points=500)
        payment = await started(world, first)
        await world.shop.cancel_order(MERCHANT, "one", first.order)
        second = await world.shop.create_order(MERCHANT, ROOM, "one", "b", lines=lines, points=500)
        assert (first.amount, second.amount) == (1_500, 1_500)
        assert (await settle(world, notice(world, payment, 1_500))).effect == "refund"
        on = await world.shop.members.member(MERCHANT, "one")
        assert (on.points, on.points_owed) == (0, 0)


async def test_one_order_s_two_payments_and_two_refunds_of_the_whole_end_in_the_money_that_came(
    anywhere: Path | str,
) -> None:
    async with shop_world(anywhere, hold_back=True) as world:
        await world.shop.stock_up(MERCHANT, OTHER_SKU, 9)
        order = await world.shop.create_order(MERCHANT, ROOM, "one", "a", lines=[(OTHER_SKU, 2)])
        payment = await started(world, order)
        effects = [
            (await settle(world, notice(world, payment, 4_000, number=number))).effect for number in ("t1", "t2", "t1")
        ]
        assert effects == ["paid", "refund", "repeat"]
        await refund(world, order.order, "r1", stock="sellable")
        assert await code_of(refund(world, order.order, "r2", stock="sellable")) == "already"
        [back] = await world.query("SELECT sum(amount) AS amount, count(*) AS refunds FROM refund")
        assert (back.amount, back.refunds) == (8_000, 2)
