"""Sales at a till earn as any order does: whoever brought the buyer is credited, frozen, paid, and taken back."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from commerce.commission_sql import DAY_MS
from commerce.domain.pos import ReceiptLine
from commerce.errors import NotFound
from commerce.pos import Buyer
from tests.commerce.shop_world import MERCHANT, shop_world
from tests.commerce.test_merge import ANN
from tests.commerce.test_pos import ANNS, Stores


@pytest.fixture
async def stores(anywhere: Path | str) -> AsyncIterator[Stores]:
    async with shop_world(anywhere) as world:
        stores = Stores(world)
        await stores.open()
        await stores.distribution.set_rate(MERCHANT, "shop", "", 1_000, 200)
        yield stores
        await stores.attribution.binder.close()
        stores.touches.close()


async def distributor(stores: Stores, parent: str | None = None) -> str:
    person = await stores.person()
    await stores.distribution.enrol(MERCHANT, person, person, parent=parent, approved=True)
    return person


async def anns(stores: Stores, issuer: str) -> str:
    """Ann, who came by somebody's link once."""
    ann = await stores.ann()
    link = await stores.attribution.mint_link(MERCHANT, issuer, "distributor", channel="poster")
    await stores.attribution.touch_token(MERCHANT, link.token, ann, "share_open")
    await stores.attribution.binder.flushed(60)
    return ann


async def on(stores: Stores, person: str) -> tuple[int, ...]:
    """Pending, frozen, available, leaving."""
    return tuple((await stores.distribution.statement(MERCHANT, person))["balances"].values())


async def test_who_brought_the_buyer_earns_of_what_they_buy_in_the_store_until_it_is_given_back(stores: Stores) -> None:
    above = await distributor(stores)
    ben = await distributor(stores, above)
    await stores.distribution.set_terms(MERCHANT, {"levels": 2}, "boss")
    ann = await anns(stores, ben)
    stores.world.clock.advance(30 * DAY_MS)  # outside of the window: she is bound
    lines = (ReceiptLine("A1", "茶", 1, 7_000), ReceiptLine("A2", "", 2, 3_000))
    done = await stores.pos.sell(stores.till, stores.receipt(lines=lines), ANNS)
    assert done.person == ann
    assert (await on(stores, ben), await on(stores, above)) == ((0, 1_000, 0, 0), (0, 200, 0, 0))
    assert (await stores.pos.sell(stores.till, stores.receipt(lines=lines), ANNS)).again
    rows = (await stores.distribution.statement(MERCHANT, ben))["rows"]
    assert {(row["title"], row["receipt"], row["amount"]) for row in rows} == {("A2", "R1", 300), ("茶", "R1", 700)}
    decision = await stores.pos.explained(MERCHANT, done.receipt)
    assert decision is not None
    credit = decision["credits"]["distributor"]
    assert (credit["issuer"], credit["source"], credit["channel"]) == (ben, "binding", "poster")
    await stores.pos.refund(stores.till, "B1", "R1", 5_000, stores.world.clock())
    assert (await on(stores, ben), await on(stores, above)) == ((0, 500, 0, 0), (0, 100, 0, 0))
    stores.world.clock.advance(15 * DAY_MS)
    assert await stores.distribution.release() == 4
    assert await on(stores, ben) == (0, 0, 500, 0)
    await stores.pos.refund(stores.till, "B2", "R1", 5_000, stores.world.clock())
    assert (await on(stores, ben), await on(stores, above)) == ((0, 0, 0, 0), (0, 0, 0, 0))


async def test_a_sale_that_its_till_tells_late_is_free_by_its_own_day_and_judged_as_of_then(stores: Stores) -> None:
    ben, eve = await distributor(stores), await distributor(stores)
    ann = await anns(stores, ben)
    stores.world.clock.advance(DAY_MS)
    receipt = stores.receipt()
    stores.world.clock.advance(14 * DAY_MS)
    later = await stores.attribution.mint_link(MERCHANT, eve, "distributor")
    await stores.attribution.touch_token(MERCHANT, later.token, ann, "share_open")
    await stores.pos.sell(stores.till, receipt, ANNS)
    stores.world.clock.advance(DAY_MS)
    await stores.distribution.release()
    assert (await on(stores, ben), await on(stores, eve)) == ((0, 0, 1_000, 0), (0, 0, 0, 0))


async def test_what_all_earn_of_a_receipt_stays_under_the_cap(stores: Stores) -> None:
    above = await distributor(stores)
    ben = await distributor(stores, above)
    await stores.distribution.set_terms(MERCHANT, {"levels": 2, "cap_percent": 10}, "boss")
    await stores.distribution.set_rate(MERCHANT, "shop", "", 9_000, 1_000)
    await stores.distribution.set_rate(MERCHANT, "sku", "A1", 100, 0)
    await anns(stores, ben)
    lines = (ReceiptLine("A1", "茶", 1, 333), ReceiptLine("A2", "杯", 1, 667))
    await stores.pos.sell(stores.till, stores.receipt(amount=1_000, lines=lines), ANNS)
    earned, of_above = [(await on(stores, who))[1] for who in (ben, above)]
    assert earned + of_above == 100 and of_above > 0


async def test_the_sellers_code_credits_them_where_nobody_brought_the_buyer(stores: Stores) -> None:
    ben, eve = await distributor(stores), await distributor(stores)
    for code, issuer in (("B1", ben), ("E1", eve)):
        await stores.pos.set_code(MERCHANT, code, issuer, "seller")
    stranger = Buyer(phone="+8613911112222", name="新客", join=True)
    await stores.pos.sell(stores.till, stores.receipt("R0", staff_code="B1"), stranger)
    assert await on(stores, ben) == (0, 1_000, 0, 0)
    await stores.pos.sell(stores.till, stores.receipt("R1", staff_code="B1"), Buyer())
    assert await on(stores, ben) == (0, 1_000, 0, 0)  # nobody knows whose sale that was
    await anns(stores, eve)
    await stores.pos.sell(stores.till, stores.receipt("R2", staff_code="B1"), ANNS)
    assert (await on(stores, ben), await on(stores, eve)) == ((0, 1_000, 0, 0), (0, 1_000, 0, 0))


async def test_nobody_earns_of_what_they_buy_themselves_at_the_till(stores: Stores) -> None:
    ann = await stores.ann()
    await stores.distribution.enrol(MERCHANT, ann, ann, parent=None, approved=True)
    await stores.pos.set_code(MERCHANT, "A1", ann, "ann")
    done = await stores.pos.sell(stores.till, stores.receipt(staff_code="A1"), Buyer(phone=ANN))
    assert await on(stores, ann) == (0, 0, 0, 0)
    decision: dict[str, Any] = await stores.pos.explained(MERCHANT, done.receipt) or {}
    assert decision["credits"] == {"distributor": None, "guide": None}
    with pytest.raises(NotFound):
        await stores.pos.explained("m2", done.receipt)


async def test_a_purchase_in_the_store_renews_the_binding_and_an_old_one_told_late_takes_nothing_back(
    stores: Stores,
) -> None:
    ben = await distributor(stores)
    ann = await anns(stores, ben)

    async def renewed() -> int:
        (row,) = await stores.world.query("SELECT renewed_ms FROM binding WHERE person = :ann", ann=ann)
        return int(row.renewed_ms)

    stores.world.clock.advance(DAY_MS)
    sold = stores.receipt()
    await stores.pos.sell(stores.till, sold, ANNS)
    assert await renewed() == sold.sold_ms
    await stores.pos.sell(stores.till, stores.receipt("R2", ago_ms=DAY_MS // 2), ANNS)
    assert await renewed() == sold.sold_ms
