"""Coupons by reason, audience, group and budget: never over-issued, used once (P8), a budget never below 0."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from commerce.basket import DropTerms
from commerce.domain.member import Program, Tier
from commerce.errors import CommerceError, Conflict, Invalid
from commerce.events import DropChanged
from tests.commerce.shop_world import MERCHANT, OTHER_SKU, ROOM, World, shop_world


async def code_of(awaitable: Any) -> str:
    """The code of the refusal, or ``ok``."""
    try:
        await awaitable
    except CommerceError as error:
        return error.code
    return "ok"


async def drop(world: World, amount: int = 500, total: int = 10, per_person: int = 1, **terms: Any) -> Any:
    """A drop, or a giving, with finer terms."""
    more = DropTerms(**terms)
    return await world.shop.start_drop(MERCHANT, ROOM, "券", "店庆", amount, 0, total, per_person, 60, 3_600, more=more)


async def coupon(world: World, person: str, **terms: Any) -> str:
    """A coupon in someone's hand."""
    view = await drop(world, **terms)
    return str((await world.shop.claim_coupon(MERCHANT, ROOM, person, view.drop, "k")).coupon)


async def order(world: World, person: str, key: str, units: int = 1, **more: Any) -> Any:
    """An order of goods at 20 yuan each."""
    return await world.shop.create_order(MERCHANT, ROOM, person, key, lines=[(OTHER_SKU, units, None)], **more)


async def budget(world: World, issuer: str = "guide") -> tuple[int, int]:
    """What an issuer may promise, and has promised."""
    found = {view.issuer: (view.free, view.reserved) for view in await world.shop.members.budgets(MERCHANT)}
    return found[issuer]


async def test_coupons_of_different_groups_go_on_one_order_and_come_back_together(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        await world.shop.stock_up(MERCHANT, OTHER_SKU, 9)
        percent = await coupon(world, "one", amount=1_000, percent=10, stack="percent")
        plain = await coupon(world, "one", amount=300, stack="shop")
        alone = await coupon(world, "one", amount=300)
        assert await code_of(order(world, "one", "x", coupons=[percent, alone])) == "coupon_invalid"
        assert await code_of(order(world, "one", "y", coupons=[percent, percent])) == "coupon_invalid"
        made = await order(world, "one", "o", coupons=[plain, percent])
        assert [(step["step"], step["amount"]) for step in made.steps] == [
            ("shelf", 2_000),
            ("coupon", -200),
            ("coupon", -300),
        ]
        assert set(made.coupons) == {plain, percent}
        await world.shop.cancel_order(MERCHANT, "one", made.order)
        assert {one.state for one in await world.shop.coupons(MERCHANT, "one")} == {"unused"}
        again = await order(world, "one", "p", coupons=[plain, percent])
        await world.shop.pay_order(MERCHANT, "one", again.order, "p")
        await world.shop.aftersale.refund(MERCHANT, "boss", again.order, "r")
        assert {one.state for one in await world.shop.coupons(MERCHANT, "one")} == {"unused"}


async def test_a_budget_is_promised_spent_and_freed_and_never_falls_below_nothing(place: Path | str) -> None:
    async with shop_world(place) as world:
        await world.shop.stock_up(MERCHANT, OTHER_SKU, 99)
        await world.shop.members.fund_budget(MERCHANT, "boss", "guide", 2_200, "f")
        await world.shop.members.fund_budget(MERCHANT, "boss", "guide", 2_200, "f")
        with pytest.raises(Conflict):
            await world.shop.members.fund_budget(MERCHANT, "boss", "guide", 100, "f")
        assert await code_of(world.shop.members.fund_budget(MERCHANT, "boss", "guide", -2_201, "g")) == "insufficient"
        view = await drop(world, amount=1_000, issuer="guide", percent=10)
        claims = [world.shop.claim_coupon(MERCHANT, ROOM, f"p{n}", view.drop, "k") for n in range(9)]
        codes = await asyncio.gather(*(code_of(claim) for claim in claims))
        assert codes == ["ok", "ok", *["gone"] * 7]
        assert await budget(world) == (200, 2_000)
        [mine] = await world.shop.coupons(MERCHANT, "p0")
        made = await order(world, "p0", "o", coupons=[mine.coupon])
        await world.shop.pay_order(MERCHANT, "p0", made.order, "p")
        assert await budget(world) == (1_000, 1_000)
        world.assert_clean()
        await world.shop.aftersale.refund(MERCHANT, "boss", made.order, "r")
        assert await budget(world) == (1_000, 2_000)
        world.clock.advance(3_600_000)
        await world.shop.sweep()
        assert await budget(world) == (3_000, 0)
        assert {one.state for n in (0, 1) for one in await world.shop.coupons(MERCHANT, f"p{n}")} == {"expired"}


async def test_a_coupon_for_new_customers_is_not_for_those_who_bought(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        await world.shop.stock_up(MERCHANT, OTHER_SKU, 9)
        made = await order(world, "old", "o")
        await order(world, "pending", "o")
        await world.shop.pay_order(MERCHANT, "old", made.order, "p")
        view = await drop(world, audience="new")
        people = ("old", "new", "pending")
        codes = [await code_of(world.shop.claim_coupon(MERCHANT, ROOM, one, view.drop, "k")) for one in people]
        assert codes == ["not_for_you", "ok", "ok"]


async def test_a_coupon_for_a_tier_is_for_that_tier_and_those_above(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        await world.shop.stock_up(MERCHANT, OTHER_SKU, 99)
        tiers = (Tier("银", 2_000), Tier("金", 6_000))
        await world.shop.members.set_program(MERCHANT, "boss", Program(tiers=tiers))
        for person, units in (("silver", 1), ("gold", 3)):
            made = await order(world, person, "o", units)
            await world.shop.pay_order(MERCHANT, person, made.order, "p")
        view = await drop(world, audience="tier:2")
        people = ("nobody", "silver", "gold")
        codes = [await code_of(world.shop.claim_coupon(MERCHANT, ROOM, one, view.drop, "k")) for one in people]
        assert codes == ["not_for_you", "not_for_you", "ok"]


async def test_a_giving_shows_no_card_and_comes_by_its_own_way_only(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        await world.shop.members.set_program(MERCHANT, "boss", Program(sign_in=(1,)))
        entry = await drop(world, way="entry")
        signed = await drop(world, way="sign_in")
        assert await world.shop.drops(ROOM) == []
        assert await code_of(world.shop.claim_coupon(MERCHANT, ROOM, "one", signed.drop, "k")) == "not_found"
        given = await world.shop.entry_coupons(MERCHANT, ROOM, "one")
        assert [one.title for one in given] == ["券"]
        assert await world.shop.entry_coupons(MERCHANT, ROOM, "one") == []
        assert (await world.shop.members.sign_in(MERCHANT, "one")).coupon is not None
        assert {one.drop for one in await world.shop.coupons(MERCHANT, "one")} == {entry.drop, signed.drop}
        assert not [event for event in await world.told() if isinstance(event, DropChanged)]


@pytest.mark.parametrize(
    "terms", [{"percent": 91}, {"percent": -1}, {"audience": "tier:0"}, {"way": "mail"}, {"stack": "x" * 21}]
)
async def test_terms_that_make_no_sense_are_refused(tmp_path: Path, terms: dict[str, Any]) -> None:
    async with shop_world(tmp_path) as world:
        with pytest.raises(Invalid):
            await drop(world, **terms)
