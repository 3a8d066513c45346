"""Recurring sales: rules read, moments named, the sale of each made once, however many processes and however late."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commerce.domain.day import OFFSET_MS
from commerce.domain.rhythm import next_ms, rule_fault
from commerce.domain.sale import SaleMode, SaleTerms
from commerce.errors import Invalid, NotFound, Refused
from commerce.events import SaleChanged, SaleSoon
from commerce.moments import Offer
from commerce.payment_sandbox import SandboxProvider
from commerce.shop import Shop
from commerce.store_sql import open_store
from tests.commerce.shop_world import MERCHANT, ROOM, SKU, World, shop_world

MON_WED_FRI = "FREQ=WEEKLY;BYDAY=MO,WE,FR;BYHOUR=10;BYMINUTE=0"
MINUTE_MS = 60_000
DAY_MS = 86_400_000


def shanghai(text: str) -> int:
    """Unix milliseconds of a local time."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000) - OFFSET_MS


def test_monday_wednesday_friday_at_ten_is_ten_in_shanghai() -> None:
    now = shanghai("2026-11-22T05:00")
    moments = []
    for _ in range(4):
        found = next_ms(MON_WED_FRI, shanghai("2026-11-22T04:59"), now)
        assert found is not None
        moments.append(found)
        now = found
    days = ("2026-11-23T10:00", "2026-11-25T10:00", "2026-11-27T10:00", "2026-11-30T10:00")
    assert moments == [shanghai(day) for day in days]


@pytest.mark.parametrize(
    "rule",
    [
        "",
        "FREQ=DAILY;INTERVAL=0;BYHOUR=10;BYMINUTE=0",
        "FREQ=SECONDLY;BYHOUR=10;BYMINUTE=0",
        "FREQ=DAILY;BYHOUR=99;BYMINUTE=0",
        "FREQ=DAILY;BYDAY=XX;BYHOUR=1;BYMINUTE=0",
        "FREQ=DAILY;FREQ=DAILY;BYHOUR=1;BYMINUTE=0",
        "FREQ=DAILY",
        "FREQ=DAILY;BYHOUR=1;BYMINUTE=0;UNTIL=20261399T000000",
        "FREQ=DAILY;BYHOUR=1;BYMINUTE=0\nRDATE:20260101T000000",
        "FREQ=DAILY;COUNT=3;BYHOUR=1;BYMINUTE=0",
        "周一三五十点",
    ],
)
def test_a_rule_that_cannot_be_kept_is_told_what_is_wrong_with_it(rule: str) -> None:
    assert rule_fault(rule)


@given(st.text(alphabet="FREQ=DAILYWKMONHTBS;,0123456789", max_size=80))
def test_no_text_makes_the_rule_reader_fail_otherwise(text: str) -> None:
    rule_fault("FREQ=DAILY;BYHOUR=1;BYMINUTE=0;" + text)


def test_a_rule_that_names_no_moment_ends() -> None:
    rule = "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30;BYHOUR=1;BYMINUTE=0"
    assert rule_fault(rule) is None
    assert next_ms(rule, shanghai("2026-01-01"), shanghai("2026-01-01")) is None
    over = MON_WED_FRI + ";UNTIL=20261123T100000"
    since = shanghai("2026-11-22")
    assert next_ms(over, since, since) == shanghai("2026-11-23T10:00")
    assert next_ms(over, since, shanghai("2026-11-23T10:00")) is None


def offer(total: int = 2, **terms: object) -> Offer:
    return Offer(SKU, 990, 0, total, 1, 300, 600, SaleTerms(**terms))  # type: ignore[arg-type]


async def planned(world: World, total: int = 2, **terms: object) -> str:
    world.clock.now_ms = shanghai("2026-11-22T05:00")
    await world.shop.stock_up(MERCHANT, SKU, 7)
    plan = await world.shop.moments.create_plan(MERCHANT, ROOM, MON_WED_FRI, offer(total, **terms))
    assert plan.next == shanghai("2026-11-23T10:00")
    return plan.plan


async def test_the_sale_of_a_moment_is_there_ahead_of_it_and_opens_at_its_second(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        plan = await planned(world)
        await world.shop.sweep()
        assert await world.shop.sales(ROOM) == []
        world.clock.now_ms = shanghai("2026-11-23T09:51")
        await world.shop.sweep()
        [sale] = await world.shop.sales(ROOM)
        assert (sale.state, sale.opens, sale.price) == ("scheduled", shanghai("2026-11-23T10:00"), 990)
        with pytest.raises(Refused, match="not open"):
            await world.hold(sale.sale, "one")
        world.clock.now_ms = shanghai("2026-11-23T10:00")
        await world.hold(sale.sale, "one")
        [view] = await world.shop.moments.plans(ROOM)
        assert (view.plan, view.made, view.skipped, view.next) == (plan, 1, 0, shanghai("2026-11-25T10:00"))


async def test_moments_missed_while_away_are_made_up_for_only_while_they_would_be_open(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        await planned(world)
        world.clock.now_ms = shanghai("2026-11-23T10:04")
        await world.shop.sweep()
        [sale] = await world.shop.sales(ROOM)
        assert (sale.state, sale.opens) == ("open", world.clock())
        world.clock.now_ms = shanghai("2026-11-27T22:00")
        for _ in range(3):
            await world.shop.sweep()
        [view] = await world.shop.moments.plans(ROOM)
        assert (view.made, view.skipped, view.next) == (1, 1, shanghai("2026-11-30T10:00"))


async def test_a_moment_without_units_is_skipped_and_the_next_one_has_its_sale(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        await planned(world, 9)
        world.clock.now_ms = shanghai("2026-11-23T09:55")
        await world.shop.sweep()
        assert await world.shop.sales(ROOM) == []
        await world.shop.stock_up(MERCHANT, SKU, 5)
        world.clock.now_ms = shanghai("2026-11-25T09:55")
        await world.shop.sweep()
        [sale] = await world.shop.sales(ROOM)
        assert sale.opens == shanghai("2026-11-25T10:00")


async def test_two_processes_that_both_have_the_duty_make_one_sale_of_a_moment(database: str) -> None:
    async with shop_world(database) as world:
        await planned(world)
        store = open_store(database)
        other = Shop(store, clock=world.clock, provider=SandboxProvider(b"s", clock=world.clock), sweep_s=0)
        await other.start()
        try:
            for day in ("2026-11-23T09:55", "2026-11-25T09:55", "2026-11-27T09:55"):
                world.clock.now_ms = shanghai(day)
                await asyncio.gather(*(shop.sweep() for shop in (world.shop, other) * 3))
        finally:
            await other.close()
            store.close()
        rows = await world.query("SELECT opens_ms FROM sale ORDER BY opens_ms")
        days = ("2026-11-23T10:00", "2026-11-25T10:00", "2026-11-27T10:00")
        assert [row.opens_ms for row in rows] == [shanghai(day) for day in days]


async def test_a_deadline_survives_a_restart(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        await planned(world)
    store = open_store(anywhere)
    world.clock.now_ms = shanghai("2026-11-23T09:55")
    shop = Shop(store, clock=world.clock, provider=world.provider, sweep_s=0)
    await shop.start()
    await shop.sweep()
    assert len(await shop.sales(ROOM)) == 1
    await shop.close()
    store.close()


async def test_an_ended_plan_makes_no_more_sales(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        plan = await planned(world)
        with pytest.raises(NotFound):
            await world.shop.moments.end_plan("m2", plan)
        await world.shop.moments.end_plan(MERCHANT, plan)
        world.clock.advance(7 * DAY_MS)
        await world.shop.sweep()
        assert await world.shop.sales(ROOM) == []
        assert await world.shop.moments.plans(ROOM) == []
        with pytest.raises(Invalid):
            await world.shop.moments.create_plan(MERCHANT, ROOM, MON_WED_FRI, offer(mode=SaleMode.TEAM))


async def test_who_asked_for_it_is_reminded_once_a_minute_before(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        moments = world.shop.moments
        plan = await planned(world)
        await moments.remind(MERCHANT, ROOM, "regular", plan)
        world.clock.now_ms = shanghai("2026-11-23T09:51")
        await world.shop.sweep()
        [sale] = await world.shop.sales(ROOM)
        for person in ("one", "two", "one", "regular", "three"):
            await moments.remind(MERCHANT, ROOM, person, sale.sale)
        told = await moments.remind(MERCHANT, ROOM, "three", sale.sale, False)
        assert told.reserved == 3
        assert (await world.shop.sale(sale.sale)).reserved == 3
        await world.shop.sweep()
        world.clock.now_ms = shanghai("2026-11-23T09:59")
        for _ in range(2):
            await world.shop.sweep()
        reminded = [event.person for event in await world.told() if isinstance(event, SaleSoon)]
        assert reminded == ["one", "regular", "two"]
        world.clock.advance(MINUTE_MS)
        with pytest.raises(Refused, match="has opened"):
            await moments.remind(MERCHANT, ROOM, "late", sale.sale)


async def test_a_sale_can_be_scheduled_moved_and_started_by_hand(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        sale = await world.sale(start=False)
        later = world.clock() + 2 * DAY_MS
        first = await world.shop.moments.start_at(MERCHANT, sale.sale, later)
        assert (first.state, first.opens) == ("scheduled", later)
        moved = await world.shop.moments.start_at(MERCHANT, sale.sale, later + DAY_MS)
        assert moved.opens == later + DAY_MS
        world.clock.now_ms = later + DAY_MS - 299_000
        await world.shop.sweep()
        assert (await world.shop.sale(sale.sale)).state == "countdown"
        states = [event.sale.state for event in await world.told() if isinstance(event, SaleChanged)]
        assert states == ["scheduled", "scheduled", "scheduled", "countdown"]
        other = await world.sale(start=False)
        await world.shop.moments.start_at(MERCHANT, other.sale, world.clock() + DAY_MS)
        assert (await world.shop.start_sale(MERCHANT, other.sale, 0)).state == "open"
        with pytest.raises(Invalid):
            await world.shop.moments.start_at(MERCHANT, other.sale, world.clock())
