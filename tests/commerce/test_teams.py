"""Group buys: full together or all money and units back; seats that nobody pays are free again."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from commerce.domain.draw import ranking
from commerce.domain.sale import SaleMode, SaleTerms
from commerce.errors import CommerceError
from commerce.events import OrderRefunded, SaleView, TeamChanged, TeamView
from commerce.ledger_moments import Seated
from commerce.moments import Offer
from tests.commerce.shop_world import MERCHANT, ROOM, SKU, World, shop_world

TEAM_S = 600


async def offer(world: World, total: int = 10, size: int = 3, winners: int = 0, per_person: int = 1) -> SaleView:
    await world.shop.stock_up(MERCHANT, SKU, total)
    terms = SaleTerms(SaleMode.TEAM, team_size=size, team_winners=winners, team_ms=TEAM_S * 1000)
    made = Offer(SKU, 4_000, 9_900, total, per_person, 300, 86_400, terms)
    sale = await world.shop.moments.create_sale(MERCHANT, ROOM, made)
    return await world.shop.start_sale(MERCHANT, sale.sale, 0)


async def join(world: World, sale: str, person: str, team: str | None = None, key: str | None = None) -> Seated:
    return await world.shop.moments.join_team(MERCHANT, ROOM, person, sale, team, key or f"{person}-{world.clock()}")


async def pay(world: World, person: str, hold: str) -> str:
    order = await world.shop.create_order(MERCHANT, ROOM, person, f"o-{hold}", hold=hold)
    paid = await world.shop.pay_order(MERCHANT, person, order.order, f"p-{hold}")
    assert paid.status == "paid"
    return order.order


async def code_of(awaitable: Any) -> str:
    with pytest.raises(CommerceError) as caught:
        await awaitable
    return caught.value.code


async def team(world: World, name: str) -> TeamView:
    return await world.shop.moments.team(name)


async def stock(world: World) -> tuple[int, ...]:
    [row] = await world.query("SELECT free, held, sold FROM stock")
    return tuple(row)


async def test_a_team_is_full_with_its_nth_payment_and_only_then_ships(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        sale = await offer(world)
        first = await join(world, sale.sale, "a")
        orders = [await pay(world, "a", first.hold)]
        assert await code_of(world.shop.aftersale.ship(MERCHANT, orders[0], "SF", "1")) == "not_open"
        for person in ("b", "c"):
            seat = await join(world, sale.sale, person, first.team)
            assert (await team(world, first.team)).state == "open"
            orders.append(await pay(world, person, seat.hold))
        full = await team(world, first.team)
        assert (full.state, full.paid, full.taken) == ("full", 3, 3)
        assert await code_of(join(world, sale.sale, "d", first.team)) == "gone"
        for order in orders:
            assert (await world.shop.aftersale.ship(MERCHANT, order, "SF", "1")).status == "fulfilled"
        world.clock.advance(TEAM_S * 1000)
        await world.shop.sweep()
        assert (await team(world, first.team)).state == "full"


async def test_a_team_that_is_not_full_in_time_gives_all_money_and_units_back(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        sale = await offer(world)
        first = await join(world, sale.sale, "a")
        paid = await pay(world, "a", first.hold)
        world.clock.advance((TEAM_S - 100) * 1000)
        second = await join(world, sale.sale, "b", first.team)
        assert second.expires_ms == world.clock() + 100_000
        pending = await world.shop.create_order(MERCHANT, ROOM, "b", "k", hold=second.hold)
        world.clock.advance(99_000)
        loose = await join(world, sale.sale, "c", first.team)
        assert loose.expires_ms == world.clock() + 1_000
        world.clock.advance(1_000)
        assert await code_of(join(world, sale.sale, "d", first.team)) == "closed"
        for _ in range(2):
            await world.shop.sweep()
        failed = await team(world, first.team)
        assert failed.state == "failed"
        assert (await world.shop.order(MERCHANT, paid)).status == "refunded"
        assert (await world.shop.order(MERCHANT, pending.order)).status == "cancelled"
        refunds = [event for event in await world.told() if isinstance(event, OrderRefunded)]
        assert [(event.person, event.refund.amount) for event in refunds][:1] == [("a", 4_000)]
        # Of the sale one unit is sold for good and came back to the shelf; the others are free in it.
        assert await stock(world) == (1, 9, 0)
        again = await join(world, sale.sale, "a")
        assert again.team != first.team


async def test_an_unpaid_seat_is_free_again_when_its_hold_ends(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        sale = await offer(world, size=2)
        first = await join(world, sale.sale, "a")
        await join(world, sale.sale, "b", first.team)
        assert await code_of(join(world, sale.sale, "c", first.team)) == "gone"
        world.clock.advance(300_000)
        await world.shop.sweep()
        assert (await team(world, first.team)).taken == 0
        seat = await join(world, sale.sale, "c", first.team)
        await pay(world, "c", seat.hold)
        assert (await team(world, first.team)).paid == 1


async def test_of_many_who_want_the_last_seat_one_gets_it_and_keys_repeat(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        sale = await offer(world, size=2)
        first = await join(world, sale.sale, "a", key="k")
        assert await join(world, sale.sale, "a", key="k") == first
        assert await code_of(join(world, sale.sale, "a", first.team, key="k")) == "key_reused"
        assert await code_of(join(world, sale.sale, "a", first.team)) == "already"
        assert await code_of(join(world, sale.sale, "a")) == "limit"
        answers = await asyncio.gather(
            *(join(world, sale.sale, f"p{n}", first.team) for n in range(20)), return_exceptions=True
        )
        assert sum(isinstance(answer, Seated) for answer in answers) == 1


async def test_a_price_for_groups_is_not_had_alone(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        sale = await offer(world)
        assert await code_of(world.hold(sale.sale, "a")) == "by_team"
        other = await world.sale(2)
        assert await code_of(join(world, other.sale, "a")) == "not_found"
        assert await code_of(join(world, sale.sale, "a", "none")) == "not_found"


async def test_a_refund_before_the_team_is_full_frees_the_seat(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        sale = await offer(world, size=2)
        first = await join(world, sale.sale, "a")
        order = await pay(world, "a", first.hold)
        await world.shop.aftersale.refund(MERCHANT, "staff", order, "r", stock="sellable", reason="asked")
        assert (await team(world, first.team)).paid == 0
        for person in ("b", "c"):
            await pay(world, person, (await join(world, sale.sale, person, first.team)).hold)
        assert (await team(world, first.team)).state == "full"


async def test_money_for_a_seat_that_comes_after_the_team_failed_goes_back(anywhere: Path | str) -> None:
    async with shop_world(anywhere, hold_back=True) as world:
        sale = await offer(world)
        first = await join(world, sale.sale, "a")
        order = await world.shop.create_order(MERCHANT, ROOM, "a", "o", hold=first.hold)
        assert (await world.shop.pay_order(MERCHANT, "a", order.order, "p")).status == "pending"
        world.clock.advance(TEAM_S * 1000)
        await world.shop.sweep()
        assert (await world.shop.order(MERCHANT, order.order)).reason == "group_failed"
        [payment] = await world.query("SELECT id FROM payment")
        body = f'{{"number":"n1","kind":"paid","payment":"{payment.id}","merchant":"{MERCHANT}","amount":4000}}'
        message = world.provider.sign(body.encode())
        settled = await world.shop.settle("sandbox", message.body, message.headers)
        assert settled.effect == "refund"
        assert await stock(world) == (0, 10, 0)


async def test_a_lottery_group_draws_its_winners_and_refunds_the_others(place: Path | str) -> None:
    async with shop_world(place) as world:
        sale = await offer(world, size=4, winners=1)
        first = await join(world, sale.sale, "a")
        promised = (await team(world, first.team)).draw
        assert promised is not None and (await world.shop.moments.draw(promised))[1].seed is None
        orders = {"a": await pay(world, "a", first.hold)}
        for person in ("b", "c", "d"):
            orders[person] = await pay(world, person, (await join(world, sale.sale, person, first.team)).hold)
        assert await code_of(world.shop.aftersale.ship(MERCHANT, orders["a"], "SF", "1")) == "not_open"
        for _ in range(2):
            await world.shop.sweep()
        proof = await world.shop.moments.proof(promised)
        assert proof.draw.seed is not None and len(proof.tickets) == 4
        lucky = ranking(bytes.fromhex(proof.draw.seed), [one.ticket for one in proof.tickets])[0]
        status = {person: (await world.shop.order(MERCHANT, order)).status for person, order in orders.items()}
        assert sorted(status.values()) == ["paid", "refunded", "refunded", "refunded"]
        winner = next(person for person in orders if status[person] == "paid")
        entry = await world.shop.moments.entry(promised, winner)
        assert entry is not None and (entry["ticket"], entry["place"]) == (lucky, 0)
        assert (await world.shop.aftersale.ship(MERCHANT, orders[winner], "SF", "1")).status == "fulfilled"


async def test_closing_the_offer_ends_no_group_that_has_begun(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        sale = await offer(world, size=2)
        first, second = await join(world, sale.sale, "a"), await join(world, sale.sale, "x")
        seat = await join(world, sale.sale, "b", first.team)
        await world.shop.close_sale(MERCHANT, sale.sale)
        assert await code_of(join(world, sale.sale, "c", second.team)) == "closed"
        for person, hold in (("a", first.hold), ("b", seat.hold), ("x", second.hold)):
            await pay(world, person, hold)
        assert (await team(world, first.team)).state == "full"
        world.clock.advance(TEAM_S * 1000)
        await world.shop.sweep()
        assert (await team(world, second.team)).state == "failed"
        states = [event.team.state for event in await world.told() if isinstance(event, TeamChanged)]
        assert states.count("full") == 1 and states.count("failed") == 1
