"""Debts paid back through providers: once each, to the oldest, late, twice, too much, by another way; and the books."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine

from commerce.audit_sql import audit
from commerce.domain.chart import BANK, CONTRACT, CUSTOMERS, PROVIDER, REFUNDS
from commerce.domain.credit import REPAY_MS, CreditTerms, RepaymentView
from commerce.domain.day import DAY_MS, day_of
from commerce.errors import Conflict, Invalid, NotFound
from commerce.events import RepaymentChanged
from commerce.identity.phone import Vault
from commerce.identity.service import Identities
from commerce.unheard_sql import ASK_FIRST_MS
from tests.commerce.shop_world import MERCHANT, World, shop_world
from tests.commerce.template import migrated
from tests.commerce.test_credit import balance_of, buy, code_of, debt_of, made, open_shop
from tests.commerce.test_payment_callbacks import PROVIDERS, Till, till
from tests.commerce.test_shop_payments import notice, settle

GENEROUS = CreditTerms(100_000, 30, "思语餐饮")


@contextlib.asynccontextmanager
async def indebted(where: Path, name: str) -> AsyncIterator[tuple[Till, str, str]]:
    """A shop before a stand-in, and a debtor who owes 4000 of one order and 2000 of a later one."""
    migrated(where)
    async with till(where, name) as at:
        await open_shop(at.world, "ann", terms=GENEROUS)
        yield at, await buy(at.world, "ann", "a", 2), await buy(at.world, "ann", "b")


async def begun(world: World, amount: int, key: str = "k", **more: Any) -> tuple[RepaymentView, str]:
    """A repayment that its provider waits for; its payment's number there."""
    more.setdefault("method", "" if world.provider.name == "sandbox" else "native")
    paying = await world.shop.credit.repay(MERCHANT, "ann", amount, key, **more)
    [row] = await world.query("SELECT id FROM payment WHERE order_id = :id", id=paying.repayment.repayment)
    return paying.repayment, str(row.id)


async def newest(world: World, person: str = "ann") -> RepaymentView:
    return (await world.shop.credit.repayments(MERCHANT, person))[0]


async def given_back(world: World) -> RepaymentView:
    """The newest repayment, once its refunds were confirmed."""
    async with asyncio.timeout(60):
        while (await newest(world)).returned < (await newest(world)).back:
            await world.shop.told()
            await world.shop.payments.idle()
            await asyncio.sleep(0.01)
    return await newest(world)


async def swept(world: World) -> None:
    world.shop.payments.follow(await world.shop.sweep())
    await world.shop.payments.idle()


async def owed(world: World) -> int:
    return (await world.shop.credit.account(MERCHANT, "ann")).owed


@pytest.mark.parametrize("name", PROVIDERS)
async def test_a_repayment_whose_callback_comes_five_times_lowers_the_oldest_debts_once(
    tmp_path: Path, name: str
) -> None:
    async with indebted(tmp_path, name) as (at, first, second):
        repayment, payment = await begun(at.world, 4_500)
        assert (repayment.state, repayment.applied, repayment.provider) == ("open", 0, name)
        message = at.pays(payment)
        for code, make in at.wrongly(payment).items():
            assert await at.code(make()) == code.strip()
        assert await owed(at.world) == 6_000
        effects = [one.effect for one in await asyncio.gather(*(at.deliver(message) for _ in range(5)))]
        assert sorted(effects) == ["paid"] + ["repeat"] * 4
        assert [(await debt_of(at.world, order)).left for order in (first, second)] == [0, 1_500]
        paid = await newest(at.world)
        assert (paid.state, paid.applied, paid.back) == ("paid", 4_500, 0)
        at_provider = f"{PROVIDER}.{name}"
        # The goods are still to be handed over; nothing of the repayment is.
        assert await balance_of(at.world, CUSTOMERS, at_provider, CONTRACT, BANK) == [1_500, 4_500, -6_000, 0]
        entries = await at.world.shop.credit.statement(MERCHANT, "ann")
        assert [(one.why, one.amount, one.owed) for one in entries[-1:]] == [("repaid", -4_500, 1_500)]
        told = [event for event in await at.world.told() if isinstance(event, RepaymentChanged)]
        assert [event.repayment for event in told] == [paid]


@pytest.mark.parametrize("name", ["wechat", pytest.param("alipay", marks=pytest.mark.soak)])
async def test_what_is_more_than_is_owed_when_it_comes_goes_back_to_the_payer(tmp_path: Path, name: str) -> None:
    async with indebted(tmp_path, name) as (at, _, _second):
        _, payment = await begun(at.world, 6_000)
        message = at.pays(payment)
        # While the debtor looks at the code, the bookkeeper finds money at the bank.
        await at.world.shop.credit.book(MERCHANT, "boss", "ann", "repaid", "slip", amount=4_500)
        assert (await at.deliver(message)).effect == "paid"
        back = await given_back(at.world)
        assert (back.state, back.applied, back.back, back.returned) == ("paid", 1_500, 4_500, 4_500)
        assert await owed(at.world) == 0 and list(at.there.trades[payment].refunds.values()) != []
        assert await balance_of(at.world, CUSTOMERS, f"{PROVIDER}.{name}", REFUNDS, BANK) == [0, 1_500, 0, 4_500]
        assert (await at.deliver(message)).effect == "repeat"
        assert len(at.there.trades[payment].refunds) == 1


async def test_late_money_still_counts_and_goes_back_where_nothing_is_owed_any_more(tmp_path: Path) -> None:
    async with indebted(tmp_path, "wechat") as (at, first, _second):
        one, payment = await begun(at.world, 1_000)
        at.world.clock.advance(REPAY_MS)
        await swept(at.world)
        assert (await newest(at.world)).state == "ended" and await owed(at.world) == 6_000
        assert [row.order for row in await at.world.shop.payments.unheard(MERCHANT, "", 9)] == [one.repayment]
        assert (await at.deliver(at.pays(payment))).effect == "paid"
        assert (await newest(at.world)).state == "paid" and await owed(at.world) == 5_000
        assert not await at.world.shop.payments.unheard(MERCHANT, "", 9)
        # The second is for one order, whose goods come back before the money does.
        _, payment = await begun(at.world, 3_000, "k2", order=first)
        message = at.pays(payment)
        await at.world.shop.aftersale.refund(MERCHANT, "boss", first, "r", stock="sellable")
        assert (await at.deliver(message)).effect == "refund"
        back = await given_back(at.world)
        assert (back.applied, back.back, back.returned, back.state) == (0, 3_000, 3_000, "paid")


async def test_the_provider_is_asked_when_no_callback_comes(tmp_path: Path) -> None:
    async with indebted(tmp_path, "alipay") as (at, _, _second):
        _, payment = await begun(at.world, 6_000)
        at.pays(payment)
        again = await at.world.shop.credit.repay(MERCHANT, "ann", 6_000, "k", method="native")
        assert (again.opened, again.repayment.state, again.repayment.applied) == (None, "paid", 6_000)
        await buy(at.world, "ann", "c")
        _, payment = await begun(at.world, 500, "k2")
        at.pays(payment)
        at.world.clock.advance(REPAY_MS)
        await swept(at.world)
        at.world.clock.advance(ASK_FIRST_MS)
        await swept(at.world)
        assert (await newest(at.world)).applied == 500


async def test_who_takes_another_way_has_the_first_closed_and_pays_but_once(tmp_path: Path) -> None:
    async with indebted(tmp_path, "wechat") as (at, _, _second):
        first, former = await begun(at.world, 2_000)
        second, payment = await begun(at.world, 3_000, "k2")
        assert at.there.trades[former].state == "CLOSED"
        states = {one.repayment: one.state for one in await at.world.shop.credit.repayments(MERCHANT, "ann")}
        assert states == {first.repayment: "ended", second.repayment: "open"}
        # The second was paid, and nobody told: who begins a third hears of that instead.
        at.pays(payment)
        third = await at.world.shop.credit.repay(MERCHANT, "ann", 3_000, "k3", method="native")
        assert (third.repayment.repayment, third.repayment.state) == (second.repayment, "paid")
        assert await owed(at.world) == 3_000
        with pytest.raises(Conflict):
            await at.world.shop.credit.repay(MERCHANT, "ann", 2_999, "k2", method="native")


async def test_a_second_transaction_for_one_repayment_goes_back(anywhere: Path | str) -> None:
    async with held_back(anywhere) as world:
        await buy(world, "ann", "a", 2)
        _, payment = await begun(world, 3_000)
        assert (await settle(world, notice(world, payment, 3_000))).effect == "paid"
        assert (await settle(world, notice(world, payment, 3_000, number="t2"))).effect == "refund"
        assert (await settle(world, notice(world, payment, 3_000, number="t2"))).effect == "repeat"
        assert await code_of(settle(world, notice(world, payment, 2_999, number="t3"))) == "amount_mismatch"
        paid = await newest(world)
        assert (paid.applied, paid.back, await owed(world)) == (3_000, 3_000, 1_000)


@contextlib.asynccontextmanager
async def held_back(where: Path | str) -> AsyncIterator[World]:
    """A shop whose sandbox leaves payments open, with a debtor."""
    migrated(where)
    async with shop_world(where, synchronous="OFF", hold_back=True) as world:
        await open_shop(world, "ann", terms=GENEROUS)
        yield world


async def test_the_sandbox_pays_at_once_and_the_account_opens_again(anywhere: Path | str) -> None:
    async with made(anywhere) as world:
        await open_shop(world, "ann")
        first = await buy(world, "ann", "a", 2)
        second = await buy(world, "ann", "b")
        world.clock.advance(40 * DAY_MS)
        repay = world.shop.credit.repay
        assert await code_of(buy(world, "ann", "c")) == "overdue"
        assert await code_of(repay(MERCHANT, "ann", 6_001, "k")) == "over_payment"
        assert await code_of(repay(MERCHANT, "ann", 2_001, "k", order=second)) == "over_payment"
        for amount in (0, -1, 10**18):
            with pytest.raises(Invalid):
                await repay(MERCHANT, "ann", amount, "k")
        with pytest.raises(Invalid):
            await repay(MERCHANT, "ann", 1, "k", provider="account")
        paid = await repay(MERCHANT, "ann", 2_000, "k", order=second)
        assert (paid.repayment.state, paid.opened) == ("paid", None)
        assert [(await debt_of(world, order)).left for order in (first, second)] == [4_000, 0]
        assert await code_of(repay(MERCHANT, "ann", 1, "k2", order=second)) == "already"
        assert (await repay(MERCHANT, "ann", 2_000, "k", order=second)).repayment == paid.repayment
        await repay(MERCHANT, "ann", 4_000, "k3")
        assert await code_of(repay(MERCHANT, "ann", 1, "k4")) == "already"
        assert await code_of(repay(MERCHANT, "bo", 1, "k5")) == "already"
        await buy(world, "ann", "d")


async def test_what_the_provider_declines_leaves_the_debt_and_another_key_may_try(anywhere: Path | str) -> None:
    async with held_back(anywhere) as world:
        await buy(world, "ann", "a", 2)
        _, payment = await begun(world, 3_000)
        assert (await settle(world, notice(world, payment, 3_000, kind="declined"))).effect == "declined"
        assert (await newest(world)).state == "ended"
        assert await code_of(world.shop.credit.repay(MERCHANT, "ann", 3_000, "k")) == "declined"
        _, payment = await begun(world, 3_000, "k2")
        assert (await settle(world, notice(world, payment, 3_000))).effect == "paid" and await owed(world) == 1_000


async def test_many_tries_at_once_never_leave_two_open(anywhere: Path | str) -> None:
    async with held_back(anywhere) as world:
        await buy(world, "ann", "a", 2)
        tries = (world.shop.credit.repay(MERCHANT, "ann", 4_000, f"k{n}") for n in range(6))
        await asyncio.gather(*tries, return_exceptions=True)
        [row] = await world.query("SELECT count(*) AS n FROM payment WHERE kind = 'debt' AND state = 'started'")
        assert row.n <= 1
        await begun(world, 4_000, "last")
        [row] = await world.query("SELECT count(*) AS n FROM payment WHERE kind = 'debt' AND state = 'started'")
        assert row.n == 1
        # Whoever was given up may have reached the provider after it was closed there: each is asked about again.
        [row] = await world.query(
            "SELECT count(*) AS n FROM repayment AS y JOIN payment AS p ON p.order_id = y.id WHERE y.state = 'ended'"
            " AND NOT EXISTS (SELECT 1 FROM unheard_payment AS u WHERE u.payment = p.id)"
        )
        assert row.n == 0


async def test_a_day_with_a_repayment_and_its_overpayment_agrees_with_the_providers_file(anywhere: Path | str) -> None:
    async with held_back(anywhere) as world:
        await buy(world, "ann", "a", 2)
        day = day_of(world.clock())
        _, payment = await begun(world, 4_000)
        message = world.provider.pay(payment)
        assert message is not None
        await world.shop.credit.book(MERCHANT, "boss", "ann", "repaid", "slip", amount=1_000)
        await settle(world, message)
        await given_back(world)
        statement = await world.shop.aftersale.statement(MERCHANT, day)
        assert (statement.repaid.count, statement.repaid.amount) == (2, 4_000)
        assert statement.money.came - statement.money.went == 3_000 + 4_000
        world.clock.advance(DAY_MS)
        assert await world.shop.reconciliation.fetch("sandbox", day)
        report = await world.shop.reconciliation.report("sandbox", day, MERCHANT)
        assert (report.paid_amount, report.refunded_amount, report.differences) == (4_000, 1_000, ())


async def test_what_cannot_be_given_back_is_asked_for_again(tmp_path: Path) -> None:
    migrated(tmp_path)
    async with indebted(tmp_path, "wechat") as (at, _, _second):
        _, payment = await begun(at.world, 6_000)
        message = at.pays(payment)
        await at.world.shop.credit.book(MERCHANT, "boss", "ann", "repaid", "slip", amount=6_000)
        at.there.failures.append((400, "INVALID_REQUEST"))
        await at.deliver(message)
        async with asyncio.timeout(60):
            while not (await newest(at.world)).failed:
                await at.world.shop.told()
                await at.world.shop.payments.idle()
                await asyncio.sleep(0.01)
        failed = await newest(at.world)
        assert (failed.back, failed.returned, failed.failed) == (6_000, 0, 6_000)
        await at.world.shop.credit.give_back_again(MERCHANT, "ann", failed.repayment)
        assert (await given_back(at.world)).returned == 6_000
        with pytest.raises(NotFound):
            await at.world.shop.credit.give_back_again(MERCHANT, "ann", failed.repayment)


async def test_a_repayment_goes_with_who_made_it_when_persons_are_merged_and_parted(anywhere: Path | str) -> None:
    async with held_back(anywhere) as world:
        await open_shop(world, "bo", terms=GENEROUS)
        await buy(world, "bo", "a", 2)
        await world.shop.credit.repay(MERCHANT, "bo", 4_000, "k")
        [row] = await world.query("SELECT id FROM payment WHERE kind = 'debt'")
        vault = Vault(b"the key of the tests' vault, long")
        people = Identities(world.store, world.shop.ledger, world.shop.aliases, vault, clock=world.clock)
        merged = await people.merge(MERCHANT, "ann", "bo", "boss", "one")
        assert (await newest(world)).person == "ann"
        world.assert_clean()
        await settle(world, notice(world, row.id, 4_000))
        assert await owed(world) == 0
        assert merged.merged is not None
        await people.undo(MERCHANT, merged.merged, "boss")
        assert (await newest(world, "bo")).applied == 4_000
        world.assert_clean()


async def test_who_is_overdue_is_on_the_list_until_it_is_paid_with_what_they_were_told(anywhere: Path | str) -> None:
    async with made(anywhere) as world:
        await open_shop(world, "ann", "bo")
        await buy(world, "bo", "b")
        world.clock.advance(DAY_MS)
        first = await buy(world, "ann", "a", 2)
        credit = world.shop.credit
        assert await credit.dunning(MERCHANT) == []
        assert await code_of(credit.remind(MERCHANT, "boss", "ann", "", "r")) == "already"
        world.clock.advance(34 * DAY_MS)
        late = await credit.dunning(MERCHANT)
        assert [(one.person, one.overdue, one.days, one.repaid) for one in late] == [
            ("bo", 2_000, 5, None), ("ann", 4_000, 4, None)
        ]  # fmt: skip
        told = await credit.remind(MERCHANT, "boss", "ann", "请尽快还款", "r2")
        assert told == await credit.remind(MERCHANT, "boss", "ann", "请尽快还款", "r2")
        assert [(one.overdue, one.note, one.staff) for one in told] == [(4_000, "请尽快还款", "boss")]
        with pytest.raises(Invalid):
            await credit.remind(MERCHANT, "boss", "ann", "a\nb", "r3")
        await credit.repay(MERCHANT, "ann", 1_000, "k")
        late = await credit.dunning(MERCHANT)
        assert [(one.person, one.overdue, one.reminders, one.note) for one in late][1] == (
            "ann", 3_000, 1, "请尽快还款",
        )  # fmt: skip
        assert late[1].repaid == world.clock() == late[1].reminded
        await credit.repay(MERCHANT, "ann", 3_000, "k2", order=first)
        assert [one.person for one in await credit.dunning(MERCHANT)] == ["bo"]


async def test_what_the_shop_wrote_to_a_debtor_goes_with_an_erasure_and_when_it_asked_stays(
    anywhere: Path | str,
) -> None:
    async with made(anywhere) as world:
        await open_shop(world, "ann")
        order = await buy(world, "ann", "a")
        await world.shop.aftersale.ship(MERCHANT, order, "SF", "1")
        await world.shop.aftersale.finish(MERCHANT, order, "ann")
        world.clock.advance(31 * DAY_MS)
        await world.shop.sweep()
        await world.shop.credit.remind(MERCHANT, "boss", "ann", "安小姐，请还款", "r")
        await world.shop.credit.repay(MERCHANT, "ann", 2_000, "k")
        vault = Vault(b"the key of the tests' vault, long")
        people = Identities(world.store, world.shop.ledger, world.shop.aliases, vault, clock=world.clock)
        await people.erase(MERCHANT, "ann", "boss", "asked")
        assert [(one.overdue, one.note) for one in await world.shop.credit.reminders(MERCHANT, "ann")] == [(2_000, "")]
        world.assert_clean()


FORGED = {
    "applied": "UPDATE repayment SET applied = applied - 1",
    "nobody's": "UPDATE payment SET order_id = 'x' WHERE kind = 'debt'",
    "state": "UPDATE repayment SET state = 'ended', paid_ms = NULL, applied = 0",
}


@pytest.mark.parametrize(
    "what", ["applied", *(pytest.param(one, marks=pytest.mark.soak) for one in ("nobody's", "state"))]
)
async def test_the_audit_names_a_repayment_that_somebody_changed(tmp_path: Path, what: str) -> None:
    async with made(tmp_path) as world:
        await open_shop(world, "ann")
        await buy(world, "ann", "a", 2)
        await world.shop.credit.repay(MERCHANT, "ann", 1_000, "k")
    engine = create_engine(f"sqlite:///{tmp_path / 'shop.db'}")
    with engine.begin() as connection:
        connection.exec_driver_sql("PRAGMA ignore_check_constraints = ON")
        connection.exec_driver_sql(FORGED[what])
    engine.dispose()
    broken = [one.name for one in audit(tmp_path, now_ms=world.clock()) if not one.ok]
    assert any(name.startswith("credit: each repayment has its payment") for name in broken), broken
