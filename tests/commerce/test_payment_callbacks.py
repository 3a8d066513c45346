"""Callbacks as bad as they come, of each provider: one effect each, and the right one (promises P4 and P6)."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from commerce.errors import CommerceError
from commerce.payment import SignedMessage
from commerce.shop import Shop
from commerce.store_sql import open_store
from tests.commerce.shop_world import MERCHANT, ROOM, ManualClock, World, seed_catalogue
from tests.commerce.stand_in_alipay import AlipayStandIn, alipay
from tests.commerce.stand_in_wechat import WechatStandIn, wechat

PROVIDERS = ("wechat", "alipay")


@dataclass
class Till:
    """A shop whose money goes through a stand-in; ``pays`` is the customer in the wallet."""

    world: World
    name: str
    there: Any

    @property
    def down(self) -> Any:
        """What a provider answers that cannot be asked now."""
        return (500, "SYSTEM_ERROR") if self.name == "wechat" else ("20000", "aop.unknow-error")

    def pays(self, payment: str, number: str | None = None, **other: Any) -> SignedMessage:
        return self.there.pay(payment, number, **other)  # type: ignore[no-any-return]

    def wrongly(self, payment: str) -> dict[str, Callable[[], SignedMessage]]:
        """Callbacks about a paid payment that must not act, by the code of the refusal."""
        trade = self.there.trades[payment]
        if isinstance(self.there, WechatStandIn):
            there = self.there
            inner = there.transaction(trade)
            total = inner["amount"] | {"total": inner["amount"]["total"] - 1}
            return {
                "amount_mismatch": lambda: there.callback("TRANSACTION.SUCCESS", inner | {"amount": total}),
                "merchant_mismatch": lambda: there.callback("TRANSACTION.SUCCESS", inner | {"mchid": "1900000999"}),
                "merchant_mismatch ": lambda: there.callback("TRANSACTION.SUCCESS", inner | {"appid": "wxother"}),
                "merchant_mismatch  ": lambda: there.callback("TRANSACTION.SUCCESS", inner | {"attach": "m2"}),
                "bad_signature": lambda: there.callback("TRANSACTION.SUCCESS", inner, seal=b"x" * 32),
                "bad_signature ": lambda: there.callback("TRANSACTION.SUCCESS", inner, age_s=301),
                "bad_signature  ": lambda: _forged(there.callback("TRANSACTION.SUCCESS", inner)),
            }
        gateway: AlipayStandIn = self.there
        return {
            "amount_mismatch": lambda: gateway.callback(trade, total_amount="0.01"),
            "merchant_mismatch": lambda: gateway.callback(trade, seller_id="2088999999999999"),
            "merchant_mismatch ": lambda: gateway.callback(trade, app_id="2021999999999999"),
            "merchant_mismatch  ": lambda: gateway.callback(trade, passback_params="m2"),
            "bad_signature": lambda: gateway.callback(trade, signer="somebody"),
            "bad_signature ": lambda: _forged(gateway.callback(trade)),
        }

    async def deliver(self, message: SignedMessage) -> Any:
        return await self.world.shop.settle(self.name, message.body, message.headers)

    async def code(self, message: SignedMessage) -> str:
        with pytest.raises(CommerceError) as refused:
            await self.deliver(message)
        return refused.value.code

    async def pending(self, person: str = "one", **sale: Any) -> tuple[Any, str]:
        """An order with an opened payment; its number."""
        view = await self.world.sale(**sale)
        held = await self.world.hold(view.sale, person, key="k")
        order = await self.world.shop.create_order(MERCHANT, ROOM, person, f"o{view.sale}", hold=held.hold)
        paying = await self.world.shop.payments.pay(MERCHANT, person, order.order, "p", method="native")
        assert paying.opened is not None and paying.opened.fields["code_url"].endswith(self._number(order))
        return order, self._number(order)

    def _number(self, order: Any) -> str:
        return str(list(self.there.trades)[-1])


def _forged(message: SignedMessage) -> SignedMessage:
    """One letter of the body is another."""
    middle = len(message.body) // 2
    body = message.body
    return SignedMessage(
        body[:middle] + (b"x" if body[middle : middle + 1] != b"x" else b"y") + body[middle + 1 :], message.headers
    )


@contextlib.asynccontextmanager
async def till(where: Path | str, name: str) -> AsyncIterator[Till]:
    """An open shop; the audit is clean when it closes."""
    clock = ManualClock()
    opened: Any = {"wechat": wechat, "alipay": alipay}[name]
    async with opened(clock) as (there, provider):
        store = open_store(where)
        try:
            await store.write(seed_catalogue)
            shop = Shop(store, clock=clock, provider=provider, sweep_s=0)
            world = World(store, clock, shop, provider)
            await shop.start()
            try:
                yield Till(world, name, there)
            finally:
                await shop.close()
            world.assert_clean()
        finally:
            store.close()


@pytest.mark.parametrize("name", PROVIDERS)
async def test_a_callback_delivered_five_times_at_once_pays_once(tmp_path: Path, name: str) -> None:
    async with till(tmp_path, name) as at:
        order, payment = await at.pending()
        message = at.pays(payment)
        effects = [one.effect for one in await asyncio.gather(*(at.deliver(message) for _ in range(5)))]
        assert sorted(effects) == ["paid", "repeat", "repeat", "repeat", "repeat"]
        [row] = await at.world.query("SELECT raw, kind FROM payment_event")
        assert row.raw.encode() == message.body
        assert (await at.world.shop.order(MERCHANT, order.order)).status == "paid"


@pytest.mark.parametrize("name", PROVIDERS)
async def test_wrong_callbacks_in_any_order_around_the_right_one_leave_its_effect_alone(
    tmp_path: Path, name: str
) -> None:
    async with till(tmp_path, name) as at:
        order, payment = await at.pending()
        right = at.pays(payment)
        wrong = at.wrongly(payment)
        for code, make in wrong.items():
            assert await at.code(make()) == code.strip()
        assert (await at.world.shop.order(MERCHANT, order.order)).status == "pending"
        assert await at.world.query("SELECT * FROM payment_event") == []
        messages = [make() for make in wrong.values()] + [right] * 5
        random.Random(5).shuffle(messages)
        done = await asyncio.gather(*(at.deliver(message) for message in messages), return_exceptions=True)
        effects = [one.effect for one in done if not isinstance(one, BaseException)]
        assert sorted(effects) == ["paid"] + ["repeat"] * 4
        assert (await at.world.shop.order(MERCHANT, order.order)).status == "paid"
        assert await at.world.query("SELECT * FROM refund") == []


@pytest.mark.parametrize("name", PROVIDERS)
async def test_a_callback_before_the_commit_of_its_payment_fails_and_its_repeat_acts(tmp_path: Path, name: str) -> None:
    async with till(tmp_path, name) as at:
        _, payment = await at.pending()
        message = at.pays(payment)
        # As if our commit had not happened yet: the payment is unknown.
        [row] = await at.world.query("SELECT * FROM payment")
        kept = dict(row._mapping)
        await at.world.store.write(lambda c: c.exec_driver_sql("DELETE FROM payment"))
        assert await at.code(message) == "not_found"
        answer = await at.world.shop.payments.answer(name, message.body, message.headers)
        assert (answer.status, answer.body) != (200, b"success") and b"SUCCESS" not in answer.body
        assert await at.world.query("SELECT * FROM payment_event") == []
        names = ", ".join(kept)
        values = tuple(kept.values())
        marks = ", ".join("?" * len(kept))
        await at.world.store.write(
            lambda c: c.exec_driver_sql(f"INSERT INTO payment ({names}) VALUES ({marks})", values)
        )
        assert (await at.deliver(message)).effect == "paid"
        assert (await at.world.shop.payments.answer(name, message.body, message.headers)).status == 200


@pytest.mark.parametrize("name", PROVIDERS)
async def test_a_callback_after_cancel_takes_the_units_anew_while_they_are_there(tmp_path: Path, name: str) -> None:
    async with till(tmp_path, name) as at:
        order, payment = await at.pending(total=1)
        message = at.pays(payment)
        at.there.failures.append(at.down)
        await at.world.shop.cancel_order(MERCHANT, "one", order.order)
        await at.world.shop.payments.idle()
        assert [(await at.deliver(message)).effect for _ in range(5)] == ["paid"] + ["repeat"] * 4
        assert (await at.world.shop.order(MERCHANT, order.order)).status == "paid"


@pytest.mark.parametrize("name", PROVIDERS)
async def test_a_callback_after_cancel_whose_units_are_gone_gives_the_money_back_once(
    tmp_path: Path, name: str
) -> None:
    async with till(tmp_path, name) as at:
        order, payment = await at.pending(total=1)
        message = at.pays(payment)
        at.there.failures.append(at.down)
        await at.world.shop.cancel_order(MERCHANT, "one", order.order)
        await at.world.shop.payments.idle()
        [sale] = await at.world.query("SELECT id FROM sale")
        await at.world.hold(sale.id, "two", key="k")
        assert [(await at.deliver(message)).effect for _ in range(5)] == ["refund"] + ["repeat"] * 4
        await at.world.shop.payments.idle()
        [refund] = await at.world.query("SELECT * FROM refund")
        assert (refund.kind, refund.amount, refund.state) == ("late", order.amount, "done")
        assert len(at.there.trades[payment].refunds) == 1


@pytest.mark.parametrize("name", PROVIDERS)
async def test_no_callback_at_all_is_made_up_for_by_a_query_before_the_units_are_released(
    tmp_path: Path, name: str
) -> None:
    async with till(tmp_path, name) as at:
        paid, payment = await at.pending(total=1)
        at.pays(payment)
        unpaid, other = await at.pending("two", total=1)
        at.world.clock.advance(300_000)
        swept = await at.world.shop.sweep()
        assert {one.payment for one in swept.unsettled} == {payment, other}
        at.world.shop.payments.follow(swept)
        await at.world.shop.payments.idle()
        assert (await at.world.shop.order(MERCHANT, paid.order)).status == "paid"
        assert (await at.world.shop.order(MERCHANT, unpaid.order)).reason == "expired"
        with pytest.raises(AssertionError, match="CLOSED"):
            at.pays(other)


@pytest.mark.parametrize("name", PROVIDERS)
async def test_a_provider_that_fails_while_it_is_asked_releases_nothing(tmp_path: Path, name: str) -> None:
    async with till(tmp_path, name) as at:
        order, payment = await at.pending(total=1)
        at.pays(payment)
        at.world.clock.advance(300_000)
        at.there.failures.append(at.down)
        for _ in range(2):
            at.world.shop.payments.follow(await at.world.shop.sweep())
            await at.world.shop.payments.idle()
        assert (await at.world.shop.order(MERCHANT, order.order)).status == "paid"


@pytest.mark.parametrize("name", PROVIDERS)
async def test_partial_refunds_are_two_and_each_is_given_once(tmp_path: Path, name: str) -> None:
    async with till(tmp_path, name) as at:
        order, payment = await at.pending()
        await at.deliver(at.pays(payment))
        for n in range(2):
            for _ in range(2):
                await at.world.shop.aftersale.refund(MERCHANT, "boss", order.order, f"r{n}", amount=1_000)
        async with asyncio.timeout(60):
            while [row.state for row in await at.world.query("SELECT state FROM refund")] != ["done", "done"]:
                await asyncio.sleep(0.01)
        assert len(at.there.trades[payment].refunds) == 2
        if name == "wechat":
            for number in at.there.trades[payment].refunds:
                assert (await at.deliver(at.there.refunded(payment, number))).effect == "repeat"
        view = await at.world.shop.order(MERCHANT, order.order)
        assert (view.status, view.refunded) == ("partly_refunded", 2_000)


@pytest.mark.parametrize("name", PROVIDERS)
async def test_who_pays_by_another_method_has_the_first_closed_before(tmp_path: Path, name: str) -> None:
    async with till(tmp_path, name) as at:
        order, first = await at.pending()
        method = {"wechat": "jsapi", "alipay": "page"}[name]
        payments = at.world.shop.payments
        paying = await payments.pay(MERCHANT, "one", order.order, "p2", method=method, payer="openid-1")
        assert paying.opened is not None and paying.opened.method == method
        rows = await at.world.query("SELECT id, method, state FROM payment ORDER BY state")
        assert [(row.method, row.state) for row in rows] == [("native", "closed"), (method, "started")]
        with pytest.raises(AssertionError, match="CLOSED"):
            at.pays(first)
        if name == "alipay":
            at.there.visit(paying.opened.fields["url"])
        assert (await at.deliver(at.pays(rows[1].id))).effect == "paid"


async def test_two_payments_of_one_order_that_both_came_give_one_back(tmp_path: Path) -> None:
    async with till(tmp_path, "wechat") as at:
        order, first = await at.pending()
        early = at.there.trades[first]
        await at.world.shop.payments.pay(MERCHANT, "one", order.order, "p2", method="jsapi", payer="openid-1")
        [second] = [number for number in at.there.trades if number != first]
        assert (await at.deliver(at.pays(second))).effect == "paid"
        # The customer had the first one's code scanned before it was closed.
        early.state = "NOTPAY"
        assert (await at.deliver(at.pays(first))).effect == "refund"
        async with asyncio.timeout(60):
            while not await at.world.query("SELECT 1 FROM refund WHERE state = 'done'"):
                await asyncio.sleep(0.01)
        assert (await at.world.shop.order(MERCHANT, order.order)).refunded == 0
