"""Paid membership: bought like anything; a price, points and a monthly coupon for members; given back by its terms."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from commerce.audit_sql import audit
from commerce.basket import Basket
from commerce.domain.day import DAY_MS
from commerce.domain.member import Program
from commerce.domain.membership import Benefits, PlanTerms, after_months, coupon_times, plan_fault, unused
from commerce.domain.order import WantedLine
from commerce.domain.pricing import PricedLine, price_order
from tests.commerce.shop_world import MERCHANT, OTHER_SKU, PRICE, ROOM, SKU, World, shop_world
from tests.commerce.test_purchases import code_of
from tests.commerce.test_refunds import refund

TERMS = PlanTerms(3, Benefits(90, 300, 500, 2_000, 20))


@pytest.fixture
async def world(place: Path | str) -> AsyncIterator[World]:
    async with shop_world(place) as opened:
        yield await with_plan(opened)


@pytest.fixture
async def other(anywhere: Path | str) -> AsyncIterator[World]:
    async with shop_world(anywhere) as opened:
        yield await with_plan(opened)


@pytest.fixture
async def quick(tmp_path: Path) -> AsyncIterator[World]:
    async with shop_world(tmp_path) as opened:
        yield await with_plan(opened)


async def with_plan(world: World, terms: PlanTerms = TERMS) -> World:
    """A shop that sells ``SKU`` as a membership, and goods."""
    for sku in (SKU, OTHER_SKU):
        await world.shop.stock_up(MERCHANT, sku, 100)
    await world.shop.memberships.set_plan(MERCHANT, "boss", SKU, terms)
    return world


async def bought(world: World, person: str = "one", key: str = "m", units: int = 1) -> Any:
    order = await world.shop.create_order(MERCHANT, ROOM, person, key, lines=[(SKU, units)])
    return await world.shop.pay_order(MERCHANT, person, order.order, f"p{key}")


async def mine(world: World, person: str = "one") -> list[Any]:
    return await world.shop.memberships.of_person(MERCHANT, person)


async def swept(world: World, ms: int) -> None:
    """So much later, what was due has been done."""
    world.clock.advance(ms)
    for _ in range(3):
        await world.shop.sweep()


async def test_members_pay_their_price_earn_more_points_and_get_a_coupon_a_month(world: World) -> None:
    await world.shop.members.set_program(MERCHANT, "boss", Program(yuan_points=1))
    order = await bought(world)
    assert order.amount == 9_900
    [one] = await mine(world)
    assert (one.since, one.until, one.state) == (world.clock(), after_months(world.clock(), 3), "active")
    goods = [WantedLine(OTHER_SKU, 3)]
    quote = await world.shop.members.quote(
        MERCHANT, ROOM, "one", Basket(None, tuple(goods), None, (), 0, 0, None, False), best=False, points=False,
        stored=False,
    )  # fmt: skip
    assert quote.steps == (
        {"step": "shelf", "amount": 6_000, "why": "3 units at the shelf price"},
        {"step": "member", "amount": -600, "why": "member price"},
    )
    second = await world.shop.create_order(MERCHANT, ROOM, "one", "o", lines=[(OTHER_SKU, 3)])
    assert (second.goods, second.amount, list(second.steps)) == (5_400, 5_400, list(quote.steps))
    await world.shop.pay_order(MERCHANT, "one", second.order, "q")
    other = await world.shop.create_order(MERCHANT, ROOM, "two", "o", lines=[(OTHER_SKU, 3)])
    assert other.amount == 6_000
    # 99 points for the plan itself, and three times 54 for what was bought as a member.
    assert (await world.shop.members.member(MERCHANT, "one")).points_pending == 99 + 162
    await swept(world, 0)
    assert [(c.amount, c.threshold) for c in await world.shop.coupons(MERCHANT, "one")] == [(500, 2_000)]
    await swept(world, 40 * DAY_MS)
    await swept(world, 60 * DAY_MS)
    [ended] = await mine(world)
    assert (ended.state, ended.coupons) == ("ended", 3)
    assert len(await world.shop.coupons(MERCHANT, "one")) == 3
    assert (await world.shop.order(MERCHANT, order.order)).status == "done"
    last = await world.shop.create_order(MERCHANT, ROOM, "one", "z", lines=[(OTHER_SKU, 1)])
    assert last.amount == 2_000


async def test_a_renewal_follows_what_runs_and_is_given_back_before_it(other: World) -> None:
    await bought(other)
    await bought(other, key="n")
    later, first = await mine(other)
    assert (later.since, later.until) == (first.until, after_months(first.until, 3))
    other.clock.advance(30 * DAY_MS)

    async def back(one: Any, key: str) -> Any:
        return await other.shop.memberships.refund(MERCHANT, "boss", one.membership, key, "moved away")

    assert await code_of(back(first, "a")) == "limit"
    assert (await back(later, "b")).amount == 9_900
    assert (await back(later, "b")).amount == 9_900
    assert await code_of(back(later, "c")) == "already"
    days = (first.until - first.since) // DAY_MS
    [_, now] = await mine(other)
    assert (await back(now, "d")).amount == now.back == 9_900 * (days - 30 - 1) // days
    assert [one.state for one in await mine(other)] == ["refunded", "refunded"]
    plain = await other.shop.create_order(MERCHANT, ROOM, "one", "o", lines=[(OTHER_SKU, 1)])
    assert plain.amount == 2_000
    # What was used of it was delivered: its order is done with the part that was kept.
    assert (await other.shop.order(MERCHANT, now.order)).fulfilment == "done"


async def test_flash_sales_plans_and_merged_prices_stay_as_they_are(quick: World) -> None:
    await bought(quick)
    again = await quick.shop.create_order(MERCHANT, ROOM, "one", "n", lines=[(SKU, 1)])
    assert again.amount == 9_900
    await quick.shop.cancel_order(MERCHANT, "one", again.order)
    sale = await quick.sale()
    held = await quick.hold(sale.sale, "one", key="h")
    order = await quick.shop.create_order(MERCHANT, ROOM, "one", "f", hold=held.hold, lines=[(OTHER_SKU, 1)])
    assert order.goods == PRICE + 1_800
    assert [(step["step"], step["amount"]) for step in order.steps] == [
        ("shelf", 11_900), ("member", -200), ("flash", -4_900),
    ]  # fmt: skip


@pytest.mark.soak
async def test_two_units_are_two_periods_and_a_whole_refund_ends_both(quick: World) -> None:
    order = await bought(quick, units=2)
    later, first = await mine(quick)
    assert later.since == first.until and later.paid + first.paid == order.amount == 19_800
    assert await code_of(refund(quick, order.order, "a", lines=[(SKU, 1)])) == "invalid"
    await refund(quick, order.order, "b")
    assert {one.state for one in await mine(quick)} == {"refunded"}
    await swept(quick, 100 * DAY_MS)
    assert await quick.shop.coupons(MERCHANT, "one") == []


@pytest.mark.soak
async def test_a_plan_that_gives_nothing_back_says_so(tmp_path: Path) -> None:
    async with shop_world(tmp_path) as opened:
        world = await with_plan(opened, PlanTerms(1, Benefits(points_percent=200), "none"))
        await bought(world)
        [one] = await mine(world)
        assert one.back == 0
        asked = world.shop.memberships.refund(MERCHANT, "boss", one.membership, "a", "")
        assert await code_of(asked) == "already"
        assert await world.shop.memberships.set_plan(MERCHANT, "boss", SKU, None) == []
        assert [row.state for row in await world.shop.memberships.listed(MERCHANT)] == ["active"]
        assert await code_of(world.shop.memberships.set_plan(MERCHANT, "boss", "k3", TERMS)) == "not_found"


@pytest.mark.soak
async def test_the_audit_finds_a_membership_without_its_order(tmp_path: Path) -> None:
    async with shop_world(tmp_path) as opened:
        world = await with_plan(opened)
        await bought(world)
        for order, fine in (("'gone' || order_id", False), ("substr(order_id, 5)", True)):
            change = text(f"UPDATE membership SET order_id = {order}")
            await world.store.write(lambda db, one=change: db.execute(one))  # type: ignore[misc]
            assert all(one.ok for one in audit(tmp_path, now_ms=world.clock())) == fine


@pytest.mark.parametrize(
    ("terms", "field"),
    [
        (PlanTerms(2, Benefits(90)), "months"),
        (PlanTerms(1), "price_percent"),
        (PlanTerms(1, Benefits(49)), "price_percent"),
        (PlanTerms(1, Benefits(90, 99)), "points_percent"),
        (PlanTerms(1, Benefits(90, 100, -1)), "coupon_amount"),
        (PlanTerms(1, Benefits(90, 100, 1, 0, 93)), "coupon_days"),
        (PlanTerms(1, Benefits(90), "maybe"), "refund"),
    ],
)
def test_terms_that_cannot_be_are_named(terms: PlanTerms, field: str) -> None:
    fault = plan_fault(terms)
    assert fault is not None and fault[0] == field
    assert plan_fault(TERMS) is None


moments = st.integers(0, 4_000_000_000_000)


@given(moments, st.sampled_from([1, 3, 12]), st.integers(0, 10**9), st.integers(-(10**10), 10**11))
def test_what_is_given_back_never_grows_and_months_are_months(at: int, months: int, paid: int, later: int) -> None:
    until = after_months(at, months)
    assert 28 * months <= (until - at) // DAY_MS <= 31 * months
    assert coupon_times(at, months) == sorted(set(coupon_times(at, months)))
    first, then = (unused(paid, "prorata", at, until, now) for now in (at + later, at + later + DAY_MS))
    assert 0 <= then <= first <= paid


@given(st.integers(1, 10**6), st.integers(1, 9), st.integers(1, 10**6))
def test_the_steps_of_a_members_price_add_up(price: int, units: int, member: int) -> None:
    made = price_order([PricedLine("a", units, price, None, None, min(member, price))])
    assert sum(step.amount for step in made.steps) == made.due == units * min(member, price)
