"""A provider that cannot be asked when an order ends is asked again until it says how, be there a kill between."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from commerce import unheard_sql
from commerce.audit_sql import audit
from commerce.errors import Busy, NotFound
from commerce.payment_wechat import WechatPay
from commerce.shop import Shop
from commerce.store_sql import open_store
from tests.commerce.shop_world import MERCHANT, OTHER_SKU, ROOM, ManualClock, crash, seed_catalogue
from tests.commerce.stand_in_wechat import WechatStandIn, wechat

AWAY = (503, "SYSTEM_ERROR")
OVER_MS = 1_900_000
"""An order's time to pay and the provider's grace are over."""


class Counter:
    """A shop that takes money through WeChat Pay, and can be killed."""

    def __init__(self, place: Path | str, clock: ManualClock, there: WechatStandIn, provider: WechatPay) -> None:
        self.place = place
        self.clock = clock
        self.there = there
        self.provider = provider
        self.payment = self.order = ""

    async def open(self) -> None:
        """Open it (again)."""
        self.store = open_store(self.place)
        self.shop = Shop(self.store, clock=self.clock, provider=self.provider, sweep_s=0)
        await self.shop.start()

    async def kill(self) -> None:
        """Its process ends where it is."""
        await crash(self.shop)
        await self.open()

    def leave(self) -> None:
        """The provider cannot be reached."""
        self.there.failures = [AWAY] * 10_000

    def come_back(self) -> None:
        """It can."""
        self.there.failures.clear()

    async def sweep(self, later_ms: int = 0) -> None:
        """Do what is due by then, and wait for the calls that it sets off."""
        self.clock.advance(later_ms)
        self.shop.payments.follow(await self.shop.sweep())
        await self.shop.payments.idle()
        await self.shop.told()
        await self.shop.payments.idle()

    async def order_and_pay(self, *, paid: bool) -> None:
        """One unit is ordered, the last; its buyer opens the wallet, and pays there or does not."""
        await self.shop.stock_up(MERCHANT, OTHER_SKU, 1)
        self.order = (await self.shop.create_order(MERCHANT, ROOM, "ann", "o", lines=[(OTHER_SKU, 1)])).order
        await self.shop.payments.pay(MERCHANT, "ann", self.order, "p", method="native")
        [self.payment] = self.there.trades
        if paid:
            # The callback is lost.
            self.there.pay(self.payment)

    async def end_unheard(self, *, paid: bool) -> None:
        """The order's time is over while the provider is away."""
        await self.order_and_pay(paid=paid)
        self.leave()
        await self.sweep(OVER_MS)
        await self.sweep()
        assert (await self.status(), [one.payment for one in await self.list()]) == ("cancelled", [self.payment])

    async def status(self) -> str:
        """How the order stands."""
        return (await self.shop.order(MERCHANT, self.order)).status

    async def list(self) -> list[Any]:
        """What is waited for."""
        return await self.shop.payments.unheard(MERCHANT, "", 10)


@pytest.fixture
async def counter(anywhere: Path | str) -> AsyncIterator[Counter]:
    """An open shop; its audit is clean at the end."""
    clock = ManualClock()
    async with contextlib.AsyncExitStack() as stack:
        made = Counter(anywhere, clock, *await stack.enter_async_context(wechat(clock)))
        await made.open()
        await made.store.write(seed_catalogue)
        yield made
        await made.shop.close()
        made.store.close()
    assert [finding for finding in audit(made.store.where, now_ms=clock()) if not finding.ok] == []


async def test_money_that_came_unheard_buys_the_goods_after_a_kill(counter: Counter) -> None:
    await counter.end_unheard(paid=True)
    await counter.kill()
    counter.come_back()
    # What was asked and not answered is not asked at once again.
    await counter.sweep()
    assert await counter.status() == "cancelled"
    await counter.sweep(unheard_sql.ASK_MOST_MS)
    assert (await counter.status(), await counter.list()) == ("paid", [])


async def test_money_that_came_unheard_goes_back_when_the_goods_are_gone(counter: Counter) -> None:
    await counter.end_unheard(paid=True)
    await counter.shop.create_order(MERCHANT, ROOM, "bo", "o", lines=[(OTHER_SKU, 1)])
    await counter.kill()
    counter.come_back()
    await counter.sweep(unheard_sql.ASK_FIRST_MS)
    await counter.sweep()
    [refund] = counter.there.trades[counter.payment].refunds.values()
    assert (await counter.status(), await counter.list(), refund["amount"]["refund"]) == ("cancelled", [], 2_000)


async def test_a_payment_that_nobody_made_is_closed_there_as_soon_as_the_provider_answers(counter: Counter) -> None:
    await counter.end_unheard(paid=False)
    counter.come_back()
    await counter.sweep(unheard_sql.ASK_FIRST_MS)
    assert (counter.there.trades[counter.payment].state, await counter.list()) == ("CLOSED", [])


async def test_a_process_that_dies_before_it_asked_leaves_the_question_to_the_next(counter: Counter) -> None:
    await counter.order_and_pay(paid=True)
    # The commit is the last that it does.
    counter.shop.payments._loop = None
    await counter.shop.cancel_order(MERCHANT, "ann", counter.order)
    await counter.shop.told()
    await counter.kill()
    await counter.sweep(unheard_sql.ASK_FIRST_MS)
    assert (await counter.status(), await counter.list()) == ("paid", [])


async def test_it_is_asked_ever_more_seldom_and_in_the_end_left_to_people(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unheard_sql, "TRIES_MAX", 4)
    await counter.end_unheard(paid=True)
    waits = []
    while (next_ms := (await counter.list())[0].next_ms) is not None:
        waits.append(next_ms - counter.clock())
        before = len(counter.there.asked)
        await counter.sweep(waits[-1] - 1)
        assert len(counter.there.asked) == before
        await counter.sweep(1)
        assert len(counter.there.asked) > before
    assert waits == [30_000, 30_000, 60_000, 120_000]
    await counter.sweep(86_400_000)
    figures = counter.shop.payments.stats()
    assert (figures.unheard, figures.failed > len(waits)) == ({"waiting": 0, "given_up": 1}, True)
    with pytest.raises(Busy):
        await counter.shop.payments.hear_of(MERCHANT, counter.payment)
    counter.come_back()
    await counter.shop.payments.hear_of(MERCHANT, counter.payment)
    assert (await counter.status(), await counter.list()) == ("paid", [])


async def test_a_callback_that_comes_after_all_ends_the_asking(counter: Counter) -> None:
    await counter.end_unheard(paid=False)
    message = counter.there.pay(counter.payment)
    await counter.shop.settle("wechat", message.body, message.headers)
    assert (await counter.status(), await counter.list()) == ("paid", [])


async def test_only_what_ended_is_closed_by_asking_and_only_by_its_merchant(counter: Counter) -> None:
    await counter.order_and_pay(paid=False)
    with pytest.raises(NotFound):
        await counter.shop.payments.hear_of(MERCHANT, counter.payment)
    await counter.shop.cancel_order(MERCHANT, "ann", counter.order)
    counter.leave()
    assert await counter.shop.payments.unheard("m2", "", 10) == []
    with pytest.raises(NotFound):
        await counter.shop.payments.hear_of("m2", counter.payment)


async def test_the_audit_sees_a_payment_that_nobody_asks_about(counter: Counter) -> None:
    await counter.end_unheard(paid=False)
    findings = audit(counter.store.where, now_ms=counter.clock() + 86_400_000)
    [found] = [finding for finding in findings if finding.name.startswith("payments: of orders that ended")]
    assert (found.ok, found.figures["waiting"], found.detail[0]["payment"]) == (False, 1, counter.payment)
