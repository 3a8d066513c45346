"""What a debtor is told when: the day before, the moment after, when staff ask; by events and by messages."""

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest

from commerce.crm import messages_sql
from commerce.domain.credit import CreditTerms, notice_ms
from commerce.domain.day import DAY_MS, OFFSET_MS, day_of
from commerce.events import DebtDue, DebtorReminded, DebtOverdue
from commerce.webhooks_sql import Webhooks
from tests.commerce.shop_world import MERCHANT, World
from tests.commerce.test_credit import PRICE, beside, buy, made, open_shop

HOUR_MS = 3_600_000
NOTICE = {
    "channel": "sms", "due_template": "SMS_DUE", "overdue_template": "SMS_LATE", "page": "",
    "fields": {"sum": "amount", "day": "due", "n": "orders"},
}  # fmt: skip
Told = DebtDue | DebtOverdue | DebtorReminded


async def told(world: World) -> list[tuple[str, str | None, int]]:
    """Kind, order and sum of each event about debts, oldest first."""
    events = [event for event in await world.told() if isinstance(event, Told)]
    assert all(event.person == "ann" and event.room for event in events)
    return [(type(event).__name__, event.debt.order, event.debt.amount) for event in events]


async def messages(world: World) -> list[tuple[str, Any]]:
    """Template and words of each message, oldest first."""
    rows = await world.query("SELECT body FROM message ORDER BY created_ms, id")
    bodies = [orjson.loads(row.body) for row in rows]
    return [(body["template"], body["params"]) for body in bodies]


async def swept(world: World, ms: int = 0) -> None:
    world.clock.advance(ms)
    await world.shop.sweep()


async def at_noon(world: World) -> None:
    await swept(world, (12 * HOUR_MS - world.clock() - OFFSET_MS) % DAY_MS)


def test_a_debt_is_told_of_a_day_before_or_in_the_middle_of_a_short_time() -> None:
    assert notice_ms(0, 30 * DAY_MS) == 29 * DAY_MS
    assert notice_ms(0, DAY_MS) == DAY_MS // 2


async def test_a_debt_is_told_of_the_day_before_and_once_it_is_overdue_each_once(anywhere: Path | str) -> None:
    async with made(anywhere) as world:
        await open_shop(world, "ann")
        order = await buy(world, "ann", "a")
        await swept(world, 29 * DAY_MS - 2)
        assert await told(world) == []
        await swept(world, 1)
        await swept(world, 1)
        assert await told(world) == [("DebtDue", order, PRICE)]
        await swept(world, DAY_MS - 1)
        assert len(await told(world)) == 1
        await swept(world, 1)
        await swept(world, DAY_MS)
        assert await told(world) == [("DebtDue", order, PRICE), ("DebtOverdue", order, PRICE)]
        world.assert_clean()


async def test_two_servers_that_sweep_at_once_tell_a_debtor_once(place: Path | str) -> None:
    async with made(place) as world:
        await open_shop(world, "ann")
        await world.shop.credit.set_notice(MERCHANT, NOTICE)
        await at_noon(world)
        await buy(world, "ann", "a")
        hooks = Webhooks(world.store, clock=world.clock)
        await hooks.create(MERCHANT, "https://example.com/", ["credit.due", "credit.overdue"])
        async with beside(world) as other:
            for ms in (29 * DAY_MS, DAY_MS):
                world.clock.advance(ms)
                await asyncio.gather(*(shop.sweep(now=True) for shop in (world.shop, other) for _ in range(3)))
        assert [template for template, _ in await messages(world)] == ["SMS_DUE", "SMS_LATE"]
        events = await world.query("SELECT type FROM webhook_delivery ORDER BY id")
        assert [row.type for row in events] == ["credit.due", "credit.overdue"]


async def test_who_has_paid_is_told_nothing_and_who_paid_a_part_of_the_rest(anywhere: Path | str) -> None:
    async with made(anywhere) as world:
        await open_shop(world, "ann")
        first, second = await buy(world, "ann", "a"), await buy(world, "ann", "b")
        await world.shop.credit.book(MERCHANT, "boss", "ann", "repaid", "r", amount=PRICE + 500)
        await swept(world, 29 * DAY_MS)
        assert await told(world) == [("DebtDue", second, PRICE - 500)]
        await world.shop.credit.book(MERCHANT, "boss", "ann", "repaid", "r2", amount=PRICE - 500)
        await swept(world, 2 * DAY_MS)
        assert len(await told(world)) == 1 and first != second
        world.assert_clean()


async def test_a_server_that_was_away_tells_only_that_it_is_overdue(anywhere: Path | str) -> None:
    async with made(anywhere) as world:
        await open_shop(world, "ann")
        order = await buy(world, "ann", "a")
        await swept(world, 33 * DAY_MS)
        assert await told(world) == [("DebtOverdue", order, PRICE)]


async def test_orders_of_one_day_are_one_message_with_their_sum(anywhere: Path | str) -> None:
    async with made(anywhere) as world:
        await open_shop(world, "ann")
        await world.shop.credit.set_notice(MERCHANT, NOTICE)
        await at_noon(world)
        await buy(world, "ann", "a")
        await swept(world, HOUR_MS)
        await buy(world, "ann", "b", 2)
        day = day_of(world.clock() + 30 * DAY_MS)
        await swept(world, 29 * DAY_MS - HOUR_MS)
        await swept(world, HOUR_MS)
        said = {"sum": f"{3 * PRICE // 100}.00", "day": day, "n": "2"}
        assert await messages(world) == [("SMS_DUE", said)]
        assert len(await told(world)) == 2
        await swept(world, DAY_MS)
        assert await messages(world) == [("SMS_DUE", said), ("SMS_LATE", said)]


async def test_without_a_template_nobody_is_written_to(anywhere: Path | str) -> None:
    async with made(anywhere) as world:
        await open_shop(world, "ann")
        await world.shop.credit.set_notice(MERCHANT, {**NOTICE, "due_template": ""})
        await buy(world, "ann", "a")
        await swept(world, 29 * DAY_MS)
        assert await messages(world) == [] and len(await told(world)) == 1


@pytest.mark.parametrize("paid", [False, True])
async def test_nobody_is_asked_at_night_nor_in_the_morning_for_what_was_paid_at_night(
    place: Path | str, paid: bool
) -> None:
    async with made(place) as world:
        await open_shop(world, "ann", terms=CreditTerms(10_000, 2))
        await world.shop.credit.set_notice(MERCHANT, NOTICE)
        await at_noon(world)
        await swept(world, 11 * HOUR_MS)
        await buy(world, "ann", "a")
        await swept(world, DAY_MS)
        vacant = await world.store.write(lambda db: messages_sql.claim(db, world.clock(), 10))
        assert len(await messages(world)) == 1 and vacant == []
        assert (await world.query("SELECT state FROM message"))[0].state == "waiting"
        if paid:
            await world.shop.credit.book(MERCHANT, "boss", "ann", "repaid", "r", amount=PRICE)
        world.clock.advance(9 * HOUR_MS)
        await world.store.write(lambda db: messages_sql.claim(db, world.clock(), 10))
        [row] = await world.query("SELECT state, why FROM message")
        # She has left no number, so hers is looked for when it is to go.
        assert (row.state, row.why) == ("dropped", "paid" if paid else "no_address")


async def test_staff_who_ask_twice_a_day_write_one_message_and_two_events_without_their_words(
    anywhere: Path | str,
) -> None:
    async with made(anywhere) as world:
        await open_shop(world, "ann")
        await world.shop.credit.set_notice(MERCHANT, NOTICE)
        hooks = Webhooks(world.store, clock=world.clock)
        await hooks.create(MERCHANT, "https://example.com/", ["credit.reminded", "credit.overdue"])
        await at_noon(world)
        order = await buy(world, "ann", "a")
        await swept(world, 29 * DAY_MS)
        await swept(world, 2 * DAY_MS)
        for key in ("r", "r", "r2"):
            world.clock.advance(1)
            await world.shop.credit.remind(MERCHANT, "boss", "ann", "安小姐，请还款", key)
        assert await told(world) == [
            ("DebtDue", order, PRICE), ("DebtOverdue", order, PRICE), ("DebtorReminded", None, PRICE),
            ("DebtorReminded", None, PRICE),
        ]  # fmt: skip
        assert [template for template, _ in await messages(world)] == ["SMS_DUE", "SMS_LATE", "SMS_LATE"]
        rows = await world.query("SELECT type, body FROM webhook_delivery ORDER BY id")
        assert [row.type for row in rows] == ["credit.overdue", "credit.reminded", "credit.reminded"]
        [late, asked, _] = [orjson.loads(row.body) for row in rows]
        assert (late["person"], late["debt"]["order"], asked["debt"]["amount"]) == ("ann", order, PRICE)
        assert not [row for row in await world.query("SELECT body FROM outbox") if "安小姐" in row.body]
        assert not [row for row in rows if "安小姐" in row.body]
