"""Pickup stations: a day's places, the cut-off, the code, and what the leader earns."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from commerce.domain.day import DAY_MS, OFFSET_MS, day_of
from commerce.domain.order import Delivery
from commerce.domain.station import StationTerms, fetch_day, station_fault
from commerce.errors import Invalid, NotFound, Refused
from commerce.ledger_stations import StationView
from tests.commerce.shop_world import MERCHANT, OTHER_SKU, ROOM, START_MS, World, shop_world
from tests.commerce.test_merge import Place


async def opened(world: World, leader: str, capacity: int = 2, cutoff: int = 1_200) -> StationView:
    await world.shop.stock_up(MERCHANT, OTHER_SKU, 20)
    terms = StationTerms("Gate 3", "12 Lake Road", leader, capacity, cutoff)
    return await world.shop.stations.set(MERCHANT, "boss", "", terms)


async def order(world: World, station: str, person: str, **more: Any) -> Any:
    delivery = Delivery("pickup", person, "13800138000", station=station)
    lines = [(OTHER_SKU, 1)]
    return await world.shop.create_order(MERCHANT, ROOM, person, f"{person}-o", lines=lines, delivery=delivery, **more)


async def pay(world: World, one: Any) -> Any:
    return await world.shop.pay_order(MERCHANT, one.person, one.order, f"{one.person}-p")


async def test_a_day_takes_so_many_orders_and_a_place_that_is_left_is_another_s(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        station = await opened(world, await Place(world).person())
        tried = await asyncio.gather(
            *(order(world, station.station, f"p{n}") for n in range(4)), return_exceptions=True
        )
        assert [one.code for one in tried if isinstance(one, Refused)] == ["gone", "gone"]
        assert (await world.shop.stations.all(MERCHANT))[0].left == 0
        first, second = [one for one in tried if not isinstance(one, BaseException)]
        await world.shop.cancel_order(MERCHANT, first.person, first.order)
        await pay(world, second)
        await world.shop.aftersale.refund(MERCHANT, "boss", second.order, "r", reason="ill")
        assert (await world.shop.stations.all(MERCHANT))[0].left == 2


async def test_the_leader_hands_over_by_the_code_alone_and_once(tmp_path: Path) -> None:
    async with shop_world(tmp_path) as world:
        leader = await Place(world).person()
        stations = world.shop.stations
        station = (await opened(world, leader)).station
        paid = await pay(world, await order(world, station, "ann"))
        code, day = paid.delivery["code"], paid.delivery["day"]
        assert day == fetch_day(START_MS, 1_200) and paid.delivery["station"] == station
        [waiting] = await stations.to_fetch(MERCHANT, station, day, leader)
        assert (waiting.order, waiting.fetched) == (paid.order, False)
        for stranger in ("ann", "m2"):
            with pytest.raises(NotFound):
                await stations.hand_over(MERCHANT, station, code, stranger)
            with pytest.raises(NotFound):
                await stations.to_fetch(MERCHANT, station, day, stranger)
        with pytest.raises(Refused, match="code"):
            await stations.hand_over(MERCHANT, station, "x" * 6, leader)
        assert (await stations.hand_over(MERCHANT, station, code, leader)).fulfilment == "picked_up"
        with pytest.raises(Refused, match="code"):
            await stations.hand_over(MERCHANT, station, code, leader)
        assert (await stations.to_fetch(MERCHANT, station, day, leader))[0].fetched


async def test_a_leader_earns_for_buyers_whom_nobody_else_brought(tmp_path: Path) -> None:
    async with shop_world(tmp_path) as world:
        leader = await Place(world).person()
        station = (await opened(world, leader)).station
        distributor = f"INSERT INTO distributor VALUES ('{MERCHANT}', '{leader}', 'dora', NULL, '', 'active', 1)"
        rate = f"INSERT INTO commission_rate VALUES ('{MERCHANT}', 'shop', '', 1000, 0)"
        await world.store.write(lambda db: (db.exec_driver_sql(distributor), db.exec_driver_sql(rate)))
        await pay(world, await order(world, station, "ann", decision={"credits": {"distributor": None}}))
        await pay(world, await order(world, station, "bo", decision={"credits": {"distributor": {"issuer": "eve"}}}))
        assert await world.query("SELECT person, amount FROM commission") == [(leader, 200)]


async def test_a_station_that_is_closed_or_not_there_takes_nothing(tmp_path: Path) -> None:
    async with shop_world(tmp_path) as world:
        leader = await Place(world).person()
        station = (await opened(world, leader)).station
        shut = StationTerms("Gate 3", "12 Lake Road", leader, 2, 1_200, open=False)
        await world.shop.stations.set(MERCHANT, "boss", station, shut)
        with pytest.raises(Refused, match="no orders"):
            await order(world, station, "ann")
        with pytest.raises(NotFound):
            await order(world, "nowhere", "ann")
        with pytest.raises(NotFound):
            await world.shop.stations.set("m2", "boss", station, shut)
        with pytest.raises(Invalid, match="station"):
            sent = Delivery("express", "ann", "13800138000", "1 Road", station=station)
            await world.shop.create_order(MERCHANT, ROOM, "ann", "o", lines=[(OTHER_SKU, 1)], delivery=sent)


def test_what_comes_after_the_cut_off_is_fetched_a_day_later() -> None:
    midnight = START_MS // DAY_MS * DAY_MS - OFFSET_MS + DAY_MS
    before, after = midnight + 20 * 3_600_000 - 1, midnight + 20 * 3_600_000
    assert fetch_day(before, 1_200) == day_of(midnight + DAY_MS)
    assert fetch_day(after, 1_200) == day_of(midnight + 2 * DAY_MS)


@pytest.mark.parametrize(
    ("field", "terms"),
    [
        ("name", StationTerms(" ", "a", "p", 1, 0)),
        ("address", StationTerms("a", "\n", "p", 1, 0)),
        ("capacity", StationTerms("a", "a", "p", 0, 0)),
        ("cutoff", StationTerms("a", "a", "p", 1, 1_440)),
    ],
)
def test_a_station_s_terms_name_their_field(field: str, terms: StationTerms) -> None:
    fault = station_fault(terms)
    assert fault is not None and fault[0] == field
