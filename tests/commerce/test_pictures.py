"""Buyers' pictures in the store, on both engines: named by orders and requests, bounded, forgotten in time."""

from pathlib import Path

import pytest

from commerce.domain.custom import CustomField, CustomForm, Offer
from commerce.domain.day import DAY_MS
from commerce.domain.order import WantedLine
from commerce.errors import Invalid, NotFound, Refused
from commerce.pictures import UNUSED_MS, Drawn
from commerce.pictures_sql import UNUSED_OF_PERSON_MAX
from tests.commerce.shop_world import MERCHANT, OTHER_SKU, ROOM, START_MS, World
from tests.commerce.test_custom import code_of, furnish, made

SKETCH = CustomForm((CustomField("图案", "picture", most=2, amount=300),))
ASKED = CustomForm(asked=True)
YEARS_MS = 1_097 * DAY_MS


async def sent(world: World, name: str, person: str = "ann") -> str:
    drawn = Drawn(b"\xff\xd8" + name.encode(), 40, 30, f"digest of {name}")
    return (await world.shop.custom.pictures.add(MERCHANT, ROOM, person, drawn)).picture


async def test_a_picture_is_named_by_who_sent_it_and_one_that_was_named_stays(anywhere: Path | str) -> None:
    async with made(anywhere) as world:
        await furnish(world, SKETCH)
        pictures = world.shop.custom.pictures
        one, two, theirs = await sent(world, "one"), await sent(world, "two"), await sent(world, "bo's", "bo")
        assert await sent(world, "one") == one and await sent(world, "one", "bo") != one
        for value in (theirs, f"{one} {theirs}", "0" * 20):
            with pytest.raises(Invalid):
                await world.shop.create_order(
                    MERCHANT, ROOM, "ann", value[-9:], lines=(WantedLine(OTHER_SKU, 1, None, (("图案", value),)),)
                )
        wished = (WantedLine(OTHER_SKU, 2, None, (("图案", f"{two} {one}"),)),)
        order = await world.shop.create_order(MERCHANT, ROOM, "ann", "o", lines=wished)
        [wish] = order.lines[0].wishes or ()
        assert wish == {"label": "图案", "value": "×2", "amount": 300, "pictures": [two, one]}
        await world.shop.pay_order(MERCHANT, "ann", order.order, "p")
        assert f"图案: ×2 {two} {one}" in await world.shop.custom.packing_list(MERCHANT)
        with pytest.raises(NotFound):
            await pictures.drop(MERCHANT, "ann", one)
        assert await pictures.of_person(MERCHANT, "ann", one) == await pictures.of_shop(MERCHANT, one, None)
        for stranger in (pictures.of_person(MERCHANT, "bo", one), pictures.of_shop("another shop", one, None)):
            with pytest.raises(NotFound):
                await stranger


async def test_a_request_carries_pictures_into_the_order_of_its_offer(anywhere: Path | str) -> None:
    async with made(anywhere) as world:
        await furnish(world, ASKED)
        custom, plan = world.shop.custom, await sent(world, "plan")
        ask = (MERCHANT, ROOM, "ann", OTHER_SKU, 1, (), "3 m", "ask")
        with pytest.raises(Invalid):
            await custom.ask(*ask, [plan, plan])
        with pytest.raises(Invalid):
            await custom.ask(*ask, [await sent(world, "bo's", "bo")])
        request = await custom.ask(*ask, [plan])
        assert await custom.ask(*ask, [plan]) == request
        offer = Offer(9_000, 0, "keep", START_MS + 9 * DAY_MS, START_MS + 2 * DAY_MS)
        await custom.offer(MERCHANT, "boss", request.request, offer, "")
        order = await world.shop.create_order(MERCHANT, ROOM, "ann", "o", offer=(request.request, 1))
        assert order.lines[0].wishes == ({"label": "", "value": "×1", "amount": 0, "pictures": [plan]},)
        await world.shop.pay_order(MERCHANT, "ann", order.order, "p")
        assert f"pictures: ×1 {plan}" in await custom.packing_list(MERCHANT)


async def test_pictures_that_nothing_names_are_bounded_and_go_after_a_day(anywhere: Path | str) -> None:
    async with made(anywhere) as world:
        await furnish(world, SKETCH)
        pictures, clock = world.shop.custom.pictures, world.clock
        first, *_ = [await sent(world, str(n)) for n in range(UNUSED_OF_PERSON_MAX)]
        assert await code_of(sent(world, "one more")) == "limit"
        await pictures.drop(MERCHANT, "ann", first)
        assert await sent(world, "one more")
        with pytest.raises(Refused):
            await sent(world, "and another")
        clock.now_ms += UNUSED_MS + 1
        assert await pictures.forget(30) == UNUSED_OF_PERSON_MAX and await pictures.forget(30) == 0
        assert await sent(world, "and another")


async def test_named_pictures_are_kept_three_years_at_least_and_while_something_is_made(anywhere: Path | str) -> None:
    async with made(anywhere) as world:
        await furnish(world, SKETCH)
        pictures, clock, one = world.shop.custom.pictures, world.clock, await sent(world, "one")
        wished = (WantedLine(OTHER_SKU, 1, None, (("图案", one),)),)
        order = await world.shop.create_order(MERCHANT, ROOM, "ann", "o", lines=wished)
        await world.shop.pay_order(MERCHANT, "ann", order.order, "p")
        clock.now_ms += YEARS_MS
        assert await pictures.forget(30) == 0, "it is still being made"
        await world.shop.custom.cancel(MERCHANT, "ann", order.order, "c")
        assert await pictures.forget(0) == 0, "an operator keeps them for ever"
        assert await pictures.forget(2_000) == 0
        assert await pictures.forget(30) == 1
