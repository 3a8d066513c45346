"""Draws: fair by commitment, recomputable by anybody, all or nothing, once, and only among who entered in time."""

import asyncio
import hashlib
import hmac
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from commerce.audit_moments_sql import recompute_draws
from commerce.domain.draw import PRIZE_VALUE_MAX, commitment, ranking, shares
from commerce.domain.sale import SaleMode, SaleTerms
from commerce.errors import Invalid, NotFound, Refused
from commerce.events import CouponClaimed, DrawChanged, HoldGiven, SaleView
from commerce.moments import Offer, Task
from commerce.payment_sandbox import SandboxProvider
from commerce.shop import Shop
from commerce.store_sql import open_store
from tests.commerce.shop_world import MERCHANT, ROOM, SKU, World, shop_world

SEED = bytes(range(32))
tickets_of = st.lists(st.text(alphabet="0123456789abcdef", min_size=4, max_size=8), unique=True, max_size=40)


@given(tickets_of, st.binary(min_size=32, max_size=32))
def test_a_ranking_is_the_tickets_in_an_order_that_the_documented_rule_gives(tickets: list[str], seed: bytes) -> None:
    root = hashlib.sha256(b"".join(ticket.encode() + b"\n" for ticket in tickets)).digest()
    key = hashlib.sha256(seed + root).digest()
    scores = {ticket: hmac.new(key, ticket.encode(), hashlib.sha256).hexdigest() for ticket in tickets}
    assert ranking(seed, tickets) == sorted(tickets, key=scores.__getitem__)


@given(tickets_of, st.integers(1, 60), st.integers(1, 50), st.integers(0, 5_000))
def test_shares_are_at_least_the_least_and_sum_to_the_pool(
    tickets: list[str], parts: int, least: int, more: int
) -> None:
    pool = parts * least + more
    drawn = shares(SEED, tickets, pool, parts, least)
    assert len(drawn) == parts and sum(drawn) == pool and min(drawn) >= least
    with pytest.raises(ValueError, match="too small"):
        shares(SEED, tickets, parts * least - 1, parts, least)


def test_every_ticket_has_the_same_chance() -> None:
    tickets = [f"t{n}" for n in range(10)]
    firsts = [ranking(n.to_bytes(32, "big"), tickets)[0] for n in range(4_000)]
    counts = [firsts.count(ticket) for ticket in tickets]
    # 400 expected, standard deviation 19; the seeds are fixed, so this holds always or never.
    assert min(counts) > 320 and max(counts) < 480


def test_one_more_entry_changes_who_wins_so_nobody_knows_before_the_last() -> None:
    tickets = [f"t{n}" for n in range(50)]
    assert ranking(SEED, tickets)[:5] != ranking(SEED, [*tickets, "late"])[:5]


async def draw_sale(world: World, total: int = 2, enter_s: int = 30) -> SaleView:
    await world.shop.stock_up(MERCHANT, SKU, total)
    terms = SaleTerms(SaleMode.DRAW, enter_ms=enter_s * 1000)
    sale = await world.shop.moments.create_sale(MERCHANT, ROOM, Offer(SKU, 990, 0, total, 1, 300, 600, terms))
    return await world.shop.start_sale(MERCHANT, sale.sale, 5)


async def enter(world: World, draw: str | None, person: str, **more: Any) -> Any:
    assert draw is not None
    return await world.shop.moments.enter(MERCHANT, ROOM, person, draw, **more)


async def refusal(awaitable: Any) -> str:
    with pytest.raises((Refused, NotFound)) as caught:
        await awaitable
    return caught.value.code


def given_holds(events: list[Any], why: str) -> list[str]:
    return [event.person for event in events if isinstance(event, HoldGiven) and event.why == why]


async def test_a_sale_by_draw_gives_its_units_to_who_the_published_seed_says(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        sale = await draw_sale(world)
        assert sale.state == "countdown" and sale.draw is not None
        promised = (await world.shop.moments.draw(sale.draw))[1]
        assert promised.state == "soon" and promised.seed is None
        assert await refusal(enter(world, sale.draw, "early")) == "not_open"
        world.clock.advance(5_000)
        assert (await world.shop.sale(sale.sale)).state == "entering"
        assert await refusal(world.hold(sale.sale, "rush")) == "by_draw"
        people = [f"p{n}" for n in range(6)]
        entered = await asyncio.gather(*(enter(world, sale.draw, person) for person in [*people, "p0"]))
        assert [entry.n for entry in entered] == [1, 2, 3, 4, 5, 6, 1]
        assert entered[6] == entered[0]
        world.clock.advance(30_000)
        assert await refusal(enter(world, sale.draw, "late")) == "closed"
        for _ in range(2):
            await world.shop.sweep()
        proof = await world.shop.moments.proof(sale.draw)
        assert proof.draw.seed is not None and proof.draw.commitment == promised.commitment
        assert commitment(bytes.fromhex(proof.draw.seed)) == promised.commitment
        order = ranking(bytes.fromhex(proof.draw.seed), [one.ticket for one in proof.tickets])
        of = {entry.ticket: person for entry, person in zip(entered, people, strict=False)}
        winners = [of[ticket] for ticket in order[:2]]
        assert given_holds(await world.told(), "draw") == winners
        view = await world.shop.sale(sale.sale)
        assert (view.state, view.left, view.waiting) == ("sold_out", 0, 4)
        # Who does not take theirs makes room for the next in the order drawn.
        world.clock.advance(300_000)
        await world.shop.sweep()
        assert given_holds(await world.told(), "waiting") == [of[ticket] for ticket in order[2:4]]


async def test_with_fewer_entries_than_units_the_rest_goes_to_who_comes_first(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        sale = await draw_sale(world, 3)
        world.clock.advance(5_000)
        await enter(world, sale.draw, "one")
        world.clock.advance(30_000)
        await world.shop.sweep()
        assert given_holds(await world.told(), "draw") == ["one"]
        await world.hold(sale.sale, "two")
        assert await refusal(world.hold(sale.sale, "one", key="more")) == "limit"


async def test_a_draw_that_comes_late_still_comes_before_the_doors_close(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        sale = await draw_sale(world)
        world.clock.advance(5_000)
        await enter(world, sale.draw, "one")
        world.clock.advance(3_600_000)
        assert (await world.shop.sale(sale.sale)).state == "entering"
        await world.shop.sweep()
        assert given_holds(await world.told(), "draw") == ["one"]
        await world.shop.sweep()
        assert (await world.shop.sale(sale.sale)).state == "closed"
        [order] = [event for event in await world.told() if isinstance(event, HoldGiven)]
        assert (await world.shop.create_order(MERCHANT, ROOM, "one", "k", hold=order.hold)).status == "pending"


async def test_a_pause_stops_the_draw_s_clock_and_a_close_calls_it_off(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        sale = await draw_sale(world)
        world.clock.advance(15_000)
        await enter(world, sale.draw, "one")
        await world.shop.pause_sale(MERCHANT, sale.sale)
        world.clock.advance(60_000)
        await world.shop.sweep()
        assert given_holds(await world.told(), "draw") == []
        resumed = await world.shop.resume_sale(MERCHANT, sale.sale)
        assert resumed.state == "entering" and resumed.draws == world.clock() + 20_000
        await enter(world, sale.draw, "two")
        await world.shop.close_sale(MERCHANT, sale.sale)
        world.clock.advance(60_000)
        await world.shop.sweep()
        assert sale.draw is not None
        assert (await world.shop.moments.draw(sale.draw))[1].state == "void"
        [row] = await world.query("SELECT free, held FROM stock")
        assert tuple(row) == (2, 0)


async def test_a_bag_s_prizes_are_bought_for_a_fen_and_what_nobody_won_returns(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        await world.shop.stock_up(MERCHANT, SKU, 3)
        task = Task("follow")
        draw = await world.shop.moments.open_bag(MERCHANT, ROOM, SKU, 3, 60, list_price=9_900, task=task)
        assert await refusal(enter(world, draw.draw, "one")) == "task"
        await enter(world, draw.draw, "one", follow=True)
        await enter(world, draw.draw, "two", follow=True)
        world.clock.advance(60_000)
        await world.shop.sweep()
        [row] = await world.query("SELECT free, held FROM stock")
        assert tuple(row) == (1, 2)
        events = [event for event in await world.told() if isinstance(event, HoldGiven)]
        won = next(event for event in events if event.person == "one")
        assert won.price == 1 and won.expires == world.clock() + 86_400_000
        order = await world.shop.create_order(MERCHANT, ROOM, "one", "k", hold=won.hold)
        assert order.amount == 1
        assert (await world.shop.pay_order(MERCHANT, "one", order.order, "p")).status == "paid"
        world.clock.advance(86_400_000)
        await world.shop.sweep()
        [row] = await world.query("SELECT free, held, sold FROM stock")
        assert tuple(row) == (2, 0, 1)
        followed = await world.shop.moments.follow(MERCHANT, "one", False)
        assert followed.followers == 1


async def test_a_red_packet_gives_coupons_that_sum_to_no_more_than_its_pool(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        draw = await world.shop.moments.open_packet(MERCHANT, ROOM, "红包", 1_000, 4, 30, least=50)
        for n in range(9):
            await enter(world, draw.draw, f"p{n}")
        world.clock.advance(30_000)
        await world.shop.sweep()
        coupons = [event for event in await world.told() if isinstance(event, CouponClaimed)]
        assert sum(event.coupon.amount for event in coupons) == 1_000
        assert len({event.person for event in coupons}) == 4
        proof = await world.shop.moments.proof(draw.draw)
        assert proof.draw.seed is not None
        seed, tickets = bytes.fromhex(proof.draw.seed), [one.ticket for one in proof.tickets]
        places = {one.place: (one.ticket, one.amount) for one in proof.tickets if one.place is not None}
        expected = zip(ranking(seed, tickets), shares(seed, tickets, 1_000, 4, 50), strict=False)
        assert [places[n] for n in range(4)] == list(expected)
        # It is spent like any coupon.
        lucky = coupons[0]
        await world.shop.stock_up(MERCHANT, SKU, 1)
        made = await world.shop.create_order(
            MERCHANT, ROOM, lucky.person, "k", lines=[(SKU, 1, None)], coupon=lucky.coupon.coupon
        )
        assert made.discount == lucky.coupon.amount


async def test_few_entries_leave_the_rest_of_a_pool_in_it(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        draw = await world.shop.moments.open_packet(MERCHANT, ROOM, "红包", 1_000, 4, 30)
        await enter(world, draw.draw, "one")
        world.clock.advance(30_000)
        await world.shop.sweep()
        [coupon] = [event.coupon for event in await world.told() if isinstance(event, CouponClaimed)]
        assert coupon.amount < 1_000
        view = (await world.shop.moments.draw(draw.draw))[1]
        assert (view.won, view.state, [winner.amount for winner in view.top]) == (1, "drawn", [coupon.amount])


async def test_a_draw_nobody_entered_is_drawn_all_the_same(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        await world.shop.stock_up(MERCHANT, SKU, 1)
        bag = await world.shop.moments.open_bag(MERCHANT, ROOM, SKU, 1, 10)
        packet = await world.shop.moments.open_packet(MERCHANT, ROOM, "t", 100, 2, 10)
        world.clock.advance(10_000)
        await world.shop.sweep()
        for draw in (bag, packet):
            assert (await world.shop.moments.draw(draw.draw))[1].state == "drawn"


async def test_what_was_called_off_is_not_drawn_and_what_was_drawn_not_called_off(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        await world.shop.stock_up(MERCHANT, SKU, 2)
        moments = world.shop.moments
        bag, kept = [await moments.open_bag(MERCHANT, ROOM, SKU, 1, 10) for _ in range(2)]
        assert (await moments.void_draw(MERCHANT, bag.draw)).state == "void"
        assert await refusal(enter(world, bag.draw, "one")) == "closed"
        world.clock.advance(10_000)
        await world.shop.sweep()
        assert await refusal(moments.void_draw(MERCHANT, kept.draw)) == "already"
        assert await refusal(moments.void_draw("m2", kept.draw)) == "not_found"
        assert (await moments.draw(bag.draw))[1].drawn is None


async def test_nonsense_and_prizes_over_the_legal_value_are_refused(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        moments = world.shop.moments
        too_dear = moments.open_bag(MERCHANT, ROOM, SKU, 1, 10, list_price=PRIZE_VALUE_MAX + 2)
        assert await refusal(too_dear) == "prize_limit"
        assert await refusal(moments.open_packet(MERCHANT, ROOM, "t", PRIZE_VALUE_MAX + 2, 2, 10)) == "prize_limit"
        assert await refusal(enter(world, "nothing", "one")) == "not_found"
        assert await refusal(moments.open_bag(MERCHANT, ROOM, SKU, 1, 10)) == "not_found"
        for pool, task in ((3, Task()), (100, Task("comment", " ")), (100, Task("dance")), (100, Task("none", "word"))):
            with pytest.raises(Invalid):
                await moments.open_packet(MERCHANT, ROOM, "t", pool, 4, 10, task=task)


async def test_a_hundred_entries_at_once_are_told_of_in_few_events_and_two_sweeps_draw_once(database: str) -> None:
    async with shop_world(database) as world:
        draw = await world.shop.moments.open_packet(MERCHANT, ROOM, "t", 1_000, 5, 30)
        tickets = await asyncio.gather(*(enter(world, draw.draw, f"p{n % 100}") for n in range(200)))
        assert len({entry.ticket for entry in tickets}) == 100
        told = [event for event in await world.told() if isinstance(event, DrawChanged)]
        assert len(told) < 30 and told[-1].draw.entries == 100
        store = open_store(database)
        other = Shop(store, clock=world.clock, provider=SandboxProvider(b"s", clock=world.clock), sweep_s=0)
        await other.start()
        world.clock.advance(30_000)
        await asyncio.gather(*(shop.sweep() for shop in (world.shop, other) * 3))
        await other.close()
        store.close()
        [row] = await world.query("SELECT count(*) AS coupons, sum(amount) AS amount FROM coupon")
        assert tuple(row) == (5, 1_000)


async def test_the_audit_finds_a_draw_whose_winner_was_changed(tmp_path: Path) -> None:
    async with shop_world(tmp_path) as world:
        draw = await world.shop.moments.open_packet(MERCHANT, ROOM, "t", 1_000, 1, 30)
        for n in range(3):
            await enter(world, draw.draw, f"p{n}")
        world.clock.advance(30_000)
        await world.shop.sweep()

        def tamper(connection: Any) -> list[Any]:
            found = []
            for change in (
                "UPDATE draw_entry SET amount = amount - 1 WHERE place = 0",
                "UPDATE draw SET commitment = ''",
            ):
                with connection.begin_nested() as undo:
                    connection.execute(text(change))
                    found.append(recompute_draws(connection))
                    undo.rollback()
            return found

        (one, changed), (_, promised) = await world.store.write(tamper)
        assert one == 1 and len(changed) == 1 and len(promised) == 1
