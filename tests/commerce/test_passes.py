"""Passes: bought once, used with a code as often as was paid for, refunded for what is left, ended by the clock."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commerce.domain.passes import DAY_MS, PassTerms, terms_fault, unused_share
from commerce.errors import Conflict, Invalid, NotFound, Refused
from commerce.events import OrderView
from commerce.ledger_passes import PassView
from tests.commerce.shop_world import MERCHANT, OTHER_SKU, ROOM, START_MS, World, shop_world
from tests.commerce.test_merge import Place

TEN = PassTerms(10, days=30, place="West Lake")


async def bought(world: World, terms: PassTerms = TEN, quantity: int = 1, person: str = "ann") -> OrderView:
    """A paid order of passes at 20 yuan each."""
    await world.shop.passes.set_terms(MERCHANT, "boss", OTHER_SKU, terms)
    await world.shop.stock_up(MERCHANT, OTHER_SKU, quantity)
    order = await world.shop.create_order(MERCHANT, ROOM, person, f"{person}-o", lines=[(OTHER_SKU, quantity)])
    return await world.shop.pay_order(MERCHANT, person, order.order, f"{person}-p")


async def passes(world: World, person: str = "ann") -> list[PassView]:
    return await world.shop.passes.of_person(MERCHANT, person)


async def use(world: World, card: PassView, units: int = 1, key: str = "k") -> PassView:
    return await world.shop.passes.use(MERCHANT, "till", card.code, units, "West Lake", key)


async def code_of(awaitable: Any) -> str:
    with pytest.raises(Refused) as caught:
        await awaitable
    return caught.value.code


async def test_a_pass_is_used_as_often_as_was_paid_for_and_its_order_is_done_then(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        order = await bought(world)
        [card] = await passes(world)
        assert (card.left, card.until - world.clock(), card.place) == (10, 30 * DAY_MS, "West Lake")
        assert [(await use(world, card, 3)).left for _ in range(2)] == [7, 7]
        with pytest.raises(Conflict):
            await use(world, card, 4)
        # Two tills at once cannot use what one may.
        tried = await asyncio.gather(*(use(world, card, 4, f"till {n}") for n in range(3)), return_exceptions=True)
        assert sorted(type(one).__name__ for one in tried) == ["PassView", "Refused", "Refused"]
        assert (await use(world, card, 3, "last")).state == "used"
        assert await code_of(use(world, card, 1, "more")) == "already"
        assert (await world.shop.order(MERCHANT, order.order)).status == "done"
        [row] = await world.query("SELECT sold, shipped FROM stock WHERE sku = :sku", sku=OTHER_SKU)
        assert tuple(row) == (0, 1)


async def test_what_is_left_of_a_pass_is_refunded_and_the_pass_ends(tmp_path: Path) -> None:
    async with shop_world(tmp_path) as world:
        order = await bought(world, quantity=2)
        one, other = await passes(world)
        await use(world, one, 3)
        with pytest.raises(Invalid, match="by itself"):
            await world.shop.aftersale.refund(MERCHANT, "boss", order.order, "r0", lines=[(OTHER_SKU, 1)])
        views = [await world.shop.passes.refund(MERCHANT, "boss", one.card, "r1", "moved away") for _ in range(2)]
        assert [view.amount for view in views] == [1_400, 1_400]
        assert await code_of(use(world, one, 1, "k2")) == "already"
        assert await code_of(world.shop.passes.refund(MERCHANT, "boss", one.card, "r2", "")) == "already"
        assert (await use(world, other, 10, "k3")).state == "used"
        after = await world.shop.order(MERCHANT, order.order)
        assert (after.status, after.refunded, after.fulfilment) == ("partly_refunded", 1_400, "done")


async def test_an_order_that_is_refunded_whole_takes_its_passes_along(tmp_path: Path) -> None:
    async with shop_world(tmp_path) as world:
        order = await bought(world, quantity=2)
        await world.shop.aftersale.refund(MERCHANT, "boss", order.order, "r", stock="sellable", reason="closed")
        assert [card.state for card in await passes(world)] == ["refunded", "refunded"]
        assert await code_of(use(world, (await passes(world))[0])) == "already"


async def test_a_ticket_is_good_at_its_event_alone_and_expires_after_it(tmp_path: Path) -> None:
    async with shop_world(tmp_path) as world:
        begins, ends = START_MS + DAY_MS, START_MS + 2 * DAY_MS
        await bought(world, PassTerms(1, from_ms=begins, until_ms=ends, place="hall 3"), quantity=2)
        one, other = await passes(world)
        assert await code_of(use(world, one)) == "not_open"
        world.clock.now_ms = begins
        assert (await use(world, one)).state == "used"
        world.clock.now_ms = ends
        assert await code_of(use(world, other, key="late")) == "expired"
        await world.shop.sweep()
        assert [card.state for card in await passes(world)] == ["used", "expired"]
        # Who could not come may be given the money of an expired one.
        assert (await world.shop.passes.refund(MERCHANT, "boss", other.card, "r", "ill")).amount == 2_000


async def test_a_pass_goes_with_its_person_and_other_shops_do_not_know_its_code(tmp_path: Path) -> None:
    async with shop_world(tmp_path) as world:
        place = Place(world)
        elder, younger = await place.person(), await place.person()
        await bought(world, person=younger)
        entry = (await place.identities.merge(MERCHANT, elder, younger, "boss", "one")).merged
        [card] = await passes(world, elder)
        with pytest.raises(NotFound):
            await world.shop.passes.use("m2", "till", card.code, 1, "", "k")
        assert entry is not None
        await place.identities.undo(MERCHANT, entry, "boss")
        assert len(await passes(world, younger)) == 1


@pytest.mark.parametrize(
    ("terms", "field"),
    [
        (PassTerms(0, days=1), "uses"),
        (PassTerms(1), "days"),
        (PassTerms(1, days=5_000), "days"),
        (PassTerms(1, days=1, until_ms=START_MS + 1), "days"),
        (PassTerms(1, until_ms=START_MS), "until"),
        (PassTerms(1, days=1, from_ms=START_MS), "from"),
        (PassTerms(1, days=1, place="\n"), "place"),
    ],
)
def test_terms_that_make_no_sense_name_their_field(terms: PassTerms, field: str) -> None:
    fault = terms_fault(terms, START_MS)
    assert fault is not None and fault[0] == field


@given(st.integers(0, 10**9), st.integers(1, 1_000), st.data())
def test_the_share_of_unused_uses_is_all_of_it_at_first_and_never_more(paid: int, uses: int, data: Any) -> None:
    left = data.draw(st.integers(0, uses))
    assert unused_share(paid, uses, uses) == paid
    assert 0 <= unused_share(paid, uses, left) <= paid * left / uses
