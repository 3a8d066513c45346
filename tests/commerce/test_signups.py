"""Sign-up for events: never more than the places, the longest wait first, paid places in time, the door once."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from commerce.audit_sql import audit
from commerce.domain.signup import EventTerms, refuse_check_in, terms_fault
from commerce.ledger import ORDER_HOLD_MS, PAYMENT_GRACE_MS
from tests.commerce.shop_world import MERCHANT, OTHER_SKU, ROOM, SKU, START_MS, World, shop_world
from tests.commerce.test_purchases import code_of
from tests.commerce.test_refunds import refund
from tests.commerce.test_shop_payments import notice, settle, started

HOUR = 3_600_000
DAY = 24 * HOUR
TEA = EventTerms("茶会", "bring a cup", "西湖", START_MS + 2 * DAY, START_MS + 2 * DAY + 2 * HOUR, START_MS + DAY, 2)
PAID = replace(TEA, sku=OTHER_SKU, pay_s=60)


@pytest.fixture
async def world(place: Path | str) -> AsyncIterator[World]:
    async with shop_world(place) as opened:
        yield await stocked(opened)


@pytest.fixture
async def other(anywhere: Path | str) -> AsyncIterator[World]:
    async with shop_world(anywhere) as opened:
        yield await stocked(opened)


@pytest.fixture
async def quick(tmp_path: Path) -> AsyncIterator[World]:
    async with shop_world(tmp_path) as opened:
        yield await stocked(opened)


async def stocked(world: World) -> World:
    for sku in (SKU, OTHER_SKU):
        await world.shop.stock_up(MERCHANT, sku, 50)
    return world


async def event_of(world: World, terms: EventTerms = TEA) -> str:
    return (await world.shop.signups.save(MERCHANT, "boss", None, terms)).event


async def joins(world: World, event: str, person: str) -> Any:
    world.clock.advance(1)
    return await world.shop.signups.sign_up(MERCHANT, person, event, person)


async def states(world: World, event: str) -> dict[str, str]:
    return {one.person: one.state for one in await world.shop.signups.tickets(MERCHANT, event)}


async def later(world: World, ms: int) -> None:
    world.clock.advance(ms)
    for _ in range(3):
        await world.shop.sweep()


async def ordered(world: World, person: str, key: str = "o") -> Any:
    return await world.shop.create_order(MERCHANT, ROOM, person, key, lines=[(OTHER_SKU, 1)])


async def pays(world: World, person: str, key: str = "o") -> Any:
    order = await ordered(world, person, key)
    return await world.shop.pay_order(MERCHANT, person, order.order, f"p{key}")


async def test_who_waits_longest_gets_the_place_that_is_given_up_and_the_door_opens_once(other: World) -> None:
    event, signups = await event_of(other), other.shop.signups
    for person in ("a", "b", "c", "d"):
        await joins(other, event, person)
    assert await states(other, event) == {"a": "good", "b": "good", "c": "waiting", "d": "waiting"}
    [waits] = await signups.tickets_of(MERCHANT, "d")
    assert waits.ahead == 1 and await joins(other, event, "d") == waits
    await signups.leave(MERCHANT, "a", event)
    assert await states(other, event) == {"b": "good", "c": "good", "d": "waiting"}
    [view] = await signups.events(MERCHANT)
    assert (view.taken, view.waiting) == (2, 1)
    assert await code_of(signups.save(MERCHANT, "boss", event, replace(TEA, places=1))) == "limit"
    await signups.save(MERCHANT, "boss", event, replace(TEA, places=3))
    assert (await states(other, event))["d"] == "good"
    [ticket] = await signups.tickets_of(MERCHANT, "c")
    assert await code_of(signups.check_in(MERCHANT, "host", ticket.code)) == "not_open"
    await later(other, DAY)
    assert await code_of(joins(other, event, "e")) == "closed"
    await later(other, DAY)
    assert (await signups.check_in(MERCHANT, "host", ticket.code)).state == "used"
    assert await code_of(signups.check_in(MERCHANT, "host", ticket.code)) == "already"
    assert await code_of(signups.check_in("m2", "host", ticket.code)) == "not_found"
    await later(other, 3 * HOUR)
    assert [one.state for one in await signups.events(MERCHANT)] == ["over"]


async def test_a_place_is_paid_in_time_or_goes_to_the_next(world: World) -> None:
    event, signups = await event_of(world, replace(PAID, places=1)), world.shop.signups
    assert await code_of(ordered(world, "a")) == "not_open"
    assert (await joins(world, event, "a")).state == "reserved"
    await joins(world, event, "b")
    await joins(world, event, "c")
    assert await code_of(world.shop.create_order(MERCHANT, ROOM, "a", "x", lines=[(OTHER_SKU, 2)])) == "invalid"
    order = await ordered(world, "a")
    # Who has begun to pay keeps the place as long as the order may still be paid.
    await later(world, 2 * 60_000)
    assert (await states(world, event))["a"] == "reserved"
    await later(world, ORDER_HOLD_MS + PAYMENT_GRACE_MS)
    await later(world, 1_000)
    assert await states(world, event) == {"b": "reserved", "c": "waiting"}
    assert (await world.shop.order(MERCHANT, order.order)).status == "cancelled"
    paid = await pays(world, "b", "o2")
    assert await states(world, event) == {"b": "good", "c": "waiting"}
    assert await code_of(signups.leave(MERCHANT, "b", event)) == "not_open"
    await refund(world, paid.order, "r")
    assert await states(world, event) == {"c": "reserved"}
    await pays(world, "c", "o3")
    [ticket] = await signups.tickets_of(MERCHANT, "c")
    await later(world, DAY + 23 * HOUR)
    await signups.check_in(MERCHANT, "host", ticket.code)
    assert ticket.order is not None
    assert (await world.shop.order(MERCHANT, ticket.order)).status == "done"


async def test_money_that_comes_after_the_place_went_goes_back(tmp_path: Path) -> None:
    async with shop_world(tmp_path, hold_back=True) as opened:
        world = await stocked(opened)
        event = await event_of(world, replace(PAID, places=1))
        await joins(world, event, "a")
        order = await ordered(world, "a")
        payment = await started(world, order, person="a")
        await world.shop.cancel_order(MERCHANT, "a", order.order)
        await later(world, ORDER_HOLD_MS + PAYMENT_GRACE_MS + 1)
        await joins(world, event, "b")
        # The provider took it after all.
        world.provider._transactions[payment].state = "paid"
        assert await states(world, event) == {"b": "reserved"}
        assert (await settle(world, notice(world, payment, order.amount))).effect == "refund"
        assert await states(world, event) == {"b": "reserved"}


async def test_an_event_that_is_called_off_gives_every_payment_back(quick: World) -> None:
    event = await event_of(quick, PAID)
    for n, person in enumerate(("a", "b", "c")):
        await joins(quick, event, person)
        if n < 2:
            await pays(quick, person, f"o{n}")
    await quick.shop.signups.call_off(MERCHANT, "boss", event)
    await later(quick, 1)
    assert await states(quick, event) == {}
    orders = await quick.shop.orders(MERCHANT)
    assert [one.status for one in orders] == ["refunded", "refunded"]
    assert await code_of(quick.shop.signups.call_off(MERCHANT, "boss", event)) == "closed"
    assert await code_of(joins(quick, event, "d")) == "closed"


async def test_who_was_let_in_a_day_ahead_gets_the_money_back_too_when_the_event_is_called_off(quick: World) -> None:
    event = await event_of(quick, PAID)
    for n, person in enumerate(("a", "b")):
        await joins(quick, event, person)
        await pays(quick, person, f"o{n}")
    await later(quick, 2 * DAY - HOUR)
    for person in ("a", "b"):
        [ticket] = await quick.shop.signups.tickets_of(MERCHANT, person)
        assert (await quick.shop.signups.check_in(MERCHANT, "host", ticket.code)).state == "used"
    given = next(one for one in await quick.shop.orders(MERCHANT) if one.person == "b")
    await quick.shop.aftersale.refund(MERCHANT, "boss", given.order, "goodwill")
    await later(quick, 1)
    await quick.shop.signups.call_off(MERCHANT, "boss", event)
    await later(quick, 1)
    assert await states(quick, event) == {}
    assert [one.status for one in await quick.shop.orders(MERCHANT)] == ["refunded", "refunded"]


@pytest.mark.soak
async def test_orders_of_a_paid_event_are_done_when_it_is_over(quick: World) -> None:
    event = await event_of(quick, PAID)
    await joins(quick, event, "a")
    paid = await pays(quick, "a")
    assert await code_of(event_of(quick, PAID)) == "already"
    await later(quick, 3 * DAY)
    assert (await quick.shop.order(MERCHANT, paid.order)).status == "done"
    assert await code_of(quick.shop.signups.check_in(MERCHANT, "h", "000000000000")) == "not_found"


@pytest.mark.soak
async def test_the_audit_finds_a_place_that_nobody_has(tmp_path: Path) -> None:
    async with shop_world(tmp_path) as world:
        event = await event_of(world)
        await joins(world, event, "a")
        for change, fine in (("+ 1", False), ("- 1", True)):
            spoil = text(f"UPDATE event_ SET taken = taken {change}")
            await world.store.write(lambda db, one=spoil: db.execute(one))  # type: ignore[misc]
            assert all(one.ok for one in audit(tmp_path, now_ms=world.clock())) == fine


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"places": 0}, "places"),
        ({"starts_ms": START_MS}, "starts"),
        ({"ends_ms": TEA.starts_ms}, "ends"),
        ({"closes_ms": TEA.ends_ms + 1}, "closes"),
        ({"pay_s": 59}, "pay_s"),
    ],
)
def test_terms_that_cannot_be_are_named(change: dict[str, int], field: str) -> None:
    fault = terms_fault(replace(TEA, **change), START_MS)  # type: ignore[arg-type]
    assert fault is not None and fault[0] == field
    assert terms_fault(TEA, START_MS) is None
    assert refuse_check_in("waiting", 0, 10, 5) == "not_open" and refuse_check_in("good", 0, 10, 10) == "expired"
