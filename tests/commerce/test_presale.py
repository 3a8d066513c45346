"""Presales: a deposit, a balance in time, and one decision about the deposit, on the books of both orders."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from commerce.books import Books
from commerce.domain.chart import KEPT
from commerce.domain.day import day_of
from commerce.domain.presale import BALANCE_DAYS_MAX, DAY_MS, Missed, Presale, presale_fault
from commerce.domain.sale import SaleMode, SaleTerms
from commerce.errors import Invalid, Refused
from commerce.events import BalanceDue, OrderView, SaleView
from commerce.moments import Offer
from tests.commerce.shop_world import MERCHANT, ROOM, SKU, START_MS, World, shop_world
from tests.commerce.test_merge import Place
from tests.commerce.test_shop_payments import notice, settle, started

DEPOSIT, PRICE = 1_000, 5_000
FROM_MS, UNTIL_MS = START_MS + DAY_MS, START_MS + 3 * DAY_MS


async def presale(world: World, missed: Missed = Missed.KEEP, total: int = 3, from_ms: int = FROM_MS) -> SaleView:
    await world.shop.stock_up(MERCHANT, SKU, total)
    terms = SaleTerms(presale=Presale(DEPOSIT, from_ms, UNTIL_MS, missed))
    sale = await world.shop.moments.create_sale(MERCHANT, ROOM, Offer(SKU, PRICE, 0, total, 2, 300, 600, terms))
    return await world.shop.start_sale(MERCHANT, sale.sale, 0)


async def deposit(world: World, sale: SaleView, person: str = "ann", quantity: int = 1) -> OrderView:
    """The balance order that a paid deposit makes."""
    hold = await world.hold(sale.sale, person, quantity, key=f"{person}-h")
    order = await world.shop.create_order(MERCHANT, ROOM, person, f"{person}-o", hold=hold.hold)
    paid = await world.shop.pay_order(MERCHANT, person, order.order, f"{person}-p")
    assert paid.presale is not None and paid.presale.balance_order is not None
    return await world.shop.order(MERCHANT, paid.presale.balance_order)


async def settle_down(world: World) -> None:
    """All that is due, and the provider's word on it."""
    for _ in range(3):
        world.shop.payments.follow(await world.shop.sweep())
        await world.shop.payments.idle()
        # Its callbacks come a moment later, by a clock that stands until then.
        await asyncio.gather(*world.provider._calls)


async def units(world: World) -> tuple[int, ...]:
    [row] = await world.query("SELECT free, held, sold FROM stock")
    return tuple(row)


async def code_of(awaitable: Any) -> str:
    with pytest.raises(Refused) as caught:
        await awaitable
    return caught.value.code


async def test_a_deposit_holds_the_units_until_the_balance_is_paid_in_its_time(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        sale = await presale(world)
        assert (sale.deposit, sale.balance_until) == (DEPOSIT, UNTIL_MS)
        balance = await deposit(world, sale, quantity=2)
        assert (balance.status, balance.goods, balance.discount, balance.due) == ("pending", 10_000, 2_000, 8_000)
        assert sum(step["amount"] for step in balance.steps) == balance.due
        assert await code_of(world.shop.pay_order(MERCHANT, "ann", balance.order, "early")) == "not_open"
        world.clock.now_ms = FROM_MS
        await settle_down(world)
        # What the sale did not give out is on the shelf again, what it did is held for the balance.
        assert await units(world) == (1, 2, 0)
        paid = await world.shop.pay_order(MERCHANT, "ann", balance.order, "in time")
        assert paid.status == "paid" and (await units(world))[2] == 2
        assert balance.presale is not None
        first = balance.presale.deposit_order
        assert await code_of(world.shop.aftersale.ship(MERCHANT, first, "SF", "1")) == "not_open"
        assert (await world.shop.aftersale.ship(MERCHANT, balance.order, "SF", "1")).status == "fulfilled"
        await world.shop.aftersale.finish(MERCHANT, balance.order, "ann")
        # All goods of the balance come back, so does the deposit: the buyer has paid nothing.
        await world.shop.aftersale.refund(MERCHANT, "boss", balance.order, "r", stock="sellable", reason="broken")
        await settle_down(world)
        assert (await world.shop.order(MERCHANT, first)).status == "refunded"


@pytest.mark.parametrize(("missed", "how"), [(Missed.KEEP, "time"), (Missed.REFUND, "buyer")])
async def test_a_balance_that_does_not_come_ends_as_its_rule_says(
    anywhere: Path | str, missed: Missed, how: str
) -> None:
    async with shop_world(anywhere) as world:
        balance = await deposit(world, await presale(world, missed))
        if how == "time":
            world.clock.now_ms = UNTIL_MS
        else:
            await world.shop.cancel_order(MERCHANT, "ann", balance.order)
        await settle_down(world)
        ended = await world.shop.order(MERCHANT, balance.order)
        assert ended.status == "cancelled" and ended.presale is not None and ended.presale.ended is not None
        first = await world.shop.order(MERCHANT, ended.presale.deposit_order)
        assert first.status == ("paid" if missed is Missed.KEEP else "refunded")
        assert (await units(world))[2] == 0
        assert await world.query("SELECT used FROM quota WHERE used > 0") == []


async def test_a_deposit_nobody_pays_frees_its_unit_and_makes_no_balance(tmp_path: Path) -> None:
    async with shop_world(tmp_path) as world:
        sale = await presale(world, total=1)
        hold = await world.hold(sale.sale, "ann", key="h")
        order = await world.shop.create_order(MERCHANT, ROOM, "ann", "o", hold=hold.hold)
        assert (order.amount, order.presale and order.presale.part) == (DEPOSIT, "deposit")
        world.clock.advance(300_000)
        await settle_down(world)
        assert (await world.shop.order(MERCHANT, order.order)).status == "cancelled"
        assert (await world.shop.sale(sale.sale)).left == 1


@pytest.mark.parametrize(("missed", "effect"), [(Missed.KEEP, "paid"), (Missed.REFUND, "refund")])
async def test_balance_money_that_comes_late_counts_while_the_deposit_stands(
    tmp_path: Path, missed: Missed, effect: str
) -> None:
    async with shop_world(tmp_path, hold_back=True) as world:
        sale = await presale(world, missed, from_ms=0)
        hold = await world.hold(sale.sale, "ann", key="h")
        order = await world.shop.create_order(MERCHANT, ROOM, "ann", "o", hold=hold.hold)
        first = await started(world, order, "ann")
        await settle(world, notice(world, first, DEPOSIT))
        paid = await world.shop.order(MERCHANT, order.order)
        assert paid.presale is not None and paid.presale.balance_order is not None
        balance = await world.shop.order(MERCHANT, paid.presale.balance_order)
        payment = await started(world, balance, "ann", key="rest")
        await world.shop.cancel_order(MERCHANT, "ann", balance.order)
        await world.shop.sweep()
        late = notice(world, payment, PRICE - DEPOSIT, number="t2")
        assert [(await settle(world, late)).effect for _ in range(2)] == [effect, "repeat"]
        status = (await world.shop.order(MERCHANT, balance.order)).status
        assert status == ("paid" if effect == "paid" else "cancelled")


async def test_who_owes_a_balance_is_reminded_once_when_it_opens(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        balance = await deposit(world, await presale(world))

        async def reminded() -> list[str]:
            return [event.order.order for event in await world.told() if isinstance(event, BalanceDue)]

        await settle_down(world)
        assert await reminded() == []
        world.clock.now_ms = FROM_MS
        await settle_down(world)
        assert await reminded() == [balance.order]
        world.clock.advance(DAY_MS)
        await settle_down(world)
        assert await reminded() == [balance.order]


async def test_a_balance_that_was_given_up_is_nothing_to_be_reminded_of(tmp_path: Path) -> None:
    async with shop_world(tmp_path) as world:
        balance = await deposit(world, await presale(world))
        await world.shop.cancel_order(MERCHANT, "ann", balance.order)
        world.clock.now_ms = FROM_MS
        await settle_down(world)
        assert not [event for event in await world.told() if isinstance(event, BalanceDue)]


async def kept(world: World) -> dict[str, int]:
    """What each day says of deposits kept, as it reads now."""
    books = Books(world.store, clock=world.clock)
    days = [day_of(START_MS + day * DAY_MS) for day in range((world.clock() - START_MS) // DAY_MS + 1)]
    found = {day: await books.book(MERCHANT, day) for day in days}
    sides = {
        day: [(one.credit, one.debit) for one in book.accounts if one.account == KEPT] for day, book in found.items()
    }
    return {day: side[0][0] - side[0][1] for day, side in sides.items() if side and side[0] != (0, 0)}


async def closed(world: World) -> None:
    """The books of all days that are over are closed."""
    world.clock.advance(2 * DAY_MS)
    await Books(world.store, clock=world.clock).close(MERCHANT, day_of(world.clock() - DAY_MS), "boss")


async def test_a_kept_deposit_that_counts_after_all_is_corrected_in_the_open_period(anywhere: Path | str) -> None:
    async with shop_world(anywhere, hold_back=True) as world:
        sale = await presale(world, from_ms=0)
        hold = await world.hold(sale.sale, "ann", key="h")
        order = await world.shop.create_order(MERCHANT, ROOM, "ann", "o", hold=hold.hold)
        await settle(world, notice(world, await started(world, order, "ann"), DEPOSIT))
        first = await world.shop.order(MERCHANT, order.order)
        assert first.presale is not None and first.presale.balance_order is not None
        balance = await world.shop.order(MERCHANT, first.presale.balance_order)
        payment = await started(world, balance, "ann", key="rest")
        await world.shop.cancel_order(MERCHANT, "ann", balance.order)
        await settle_down(world)
        then = {day_of(world.clock()): DEPOSIT}
        assert await kept(world) == then
        await closed(world)
        assert (await settle(world, notice(world, payment, PRICE - DEPOSIT, number="t2"))).effect == "paid"
        assert await kept(world) == {**then, day_of(world.clock()): -DEPOSIT}


async def test_a_kept_deposit_that_is_given_back_is_corrected_in_the_open_period(tmp_path: Path) -> None:
    async with shop_world(tmp_path) as world:
        balance = await deposit(world, await presale(world))
        assert balance.presale is not None
        first = balance.presale.deposit_order
        refund = world.shop.aftersale.refund
        await refund(MERCHANT, "boss", first, "r0", amount=300, reason="late")
        world.clock.now_ms = UNTIL_MS
        await settle_down(world)
        then = {day_of(world.clock()): DEPOSIT - 300}
        assert await kept(world) == then
        await closed(world)
        await refund(MERCHANT, "boss", first, "r1", amount=200, reason="kind")
        await settle_down(world)
        assert await kept(world) == {**then, day_of(world.clock()): -200}
        await closed(world)
        await refund(MERCHANT, "boss", first, "r2", reason="kind")
        await settle_down(world)
        assert sum((await kept(world)).values()) == 0


async def test_who_gets_the_deposit_back_owes_no_balance(tmp_path: Path) -> None:
    async with shop_world(tmp_path) as world:
        balance = await deposit(world, await presale(world))
        assert balance.presale is not None
        first = balance.presale.deposit_order
        with pytest.raises(Invalid, match="no goods"):
            await world.shop.aftersale.refund(MERCHANT, "boss", first, "r0", stock="sellable", reason="kind")
        await world.shop.aftersale.refund(MERCHANT, "boss", first, "r1", reason="kind")
        await settle_down(world)
        assert (await world.shop.order(MERCHANT, balance.order)).status == "cancelled"
        assert (await units(world))[1:] == (3, 0)


async def test_a_merge_takes_both_orders_of_a_presale_along(tmp_path: Path) -> None:
    async with shop_world(tmp_path) as world:
        place = Place(world)
        elder, younger = await place.person(), await place.person()
        balance = await deposit(world, await presale(world), younger)
        await place.identities.merge(MERCHANT, elder, younger, "boss", "one")
        world.clock.now_ms = FROM_MS
        assert (await world.shop.pay_order(MERCHANT, elder, balance.order, "p")).status == "paid"


async def test_a_kept_deposit_keeps_nobody_from_being_forgotten_and_a_balance_that_stands_does(
    anywhere: Path | str,
) -> None:
    async with shop_world(anywhere) as world:
        place = Place(world)
        person = await place.person()
        await deposit(world, await presale(world, Missed.KEEP), person)
        assert await code_of(place.identities.erase(MERCHANT, person, person, "asked")) == "not_open"
        world.clock.now_ms = UNTIL_MS
        await settle_down(world)
        erased = await place.identities.erase(MERCHANT, person, person, "asked")
        assert dict(erased.kept) == {"orders": 2}


@pytest.mark.parametrize(
    ("field", "offered"),
    [
        ("deposit", Presale(PRICE, FROM_MS, UNTIL_MS)),
        ("balance_until", Presale(1, 0, START_MS)),
        ("balance_until", Presale(1, 0, START_MS + BALANCE_DAYS_MAX * DAY_MS + 1)),
        ("balance_from", Presale(1, UNTIL_MS, UNTIL_MS)),
    ],
)
def test_terms_that_cannot_be_kept_are_refused(field: str, offered: Presale) -> None:
    fault = presale_fault(offered, PRICE, START_MS)
    assert fault is not None and fault[0] == field


async def test_a_group_buy_or_a_deposit_over_the_price_is_no_presale(tmp_path: Path) -> None:
    async with shop_world(tmp_path) as world:
        await world.shop.stock_up(MERCHANT, SKU, 1)
        group = SaleTerms(SaleMode.TEAM, team_size=2, team_ms=60_000, presale=Presale(1, 0, UNTIL_MS))
        for terms in (group, SaleTerms(presale=Presale(PRICE, 0, UNTIL_MS))):
            with pytest.raises(Invalid) as caught:
                await world.shop.moments.create_sale(MERCHANT, ROOM, Offer(SKU, PRICE, 0, 1, 1, 60, 60, terms))
            assert caught.value.extra["field"] == "deposit"


async def test_a_deposit_takes_no_coupon_and_stands_alone(tmp_path: Path) -> None:
    async with shop_world(tmp_path) as world:
        sale = await presale(world)
        drop = await world.drop()
        coupon = await world.shop.claim_coupon(MERCHANT, ROOM, "ann", drop.drop, "c")
        hold = await world.hold(sale.sale, "ann", key="h")
        with pytest.raises(Invalid, match="money alone"):
            await world.shop.create_order(MERCHANT, ROOM, "ann", "o", hold=hold.hold, coupon=coupon.coupon)
        with pytest.raises(Invalid, match="alone"):
            await world.shop.create_order(MERCHANT, ROOM, "ann", "o", hold=hold.hold, lines=[(SKU, 1, None)])
