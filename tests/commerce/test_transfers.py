"""Commission paid out by a provider: once, whatever happens on the way, or given back; to the cent; with its tax."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commerce.commission_statement_sql import as_csv
from commerce.commissions import SettleTransfer
from commerce.distribution import Distribution
from commerce.domain.day import day_of
from commerce.domain.withholding import month_begins_ms, month_tax, withheld
from commerce.errors import CommerceError, Invalid, NotFound, Refused
from commerce.payment import SignedMessage
from commerce.transfer import TransferProvider
from commerce.transfer_sandbox import SandboxTransfers
from commerce.transfer_wechat import WechatTransfers
from tests.commerce.shop_world import MERCHANT
from tests.commerce.stand_in_wechat import APPID, WechatStandIn, wechat
from tests.commerce.test_distribution import DAY_MS, Market, market, opened

__all__ = ["market"]


@pytest.fixture
async def local(tmp_path: Path) -> AsyncIterator[Market]:
    """On SQLite alone: what the provider's side does, and what is made of it, asks nothing else of the store."""
    async with opened(tmp_path) as found:
        yield found


def paying(market: Market, provider: TransferProvider) -> Distribution:
    """The market's distribution with who pays."""
    world = market.world
    binder = market.attribution.binder
    return Distribution(world.store, world.shop.ledger, binder, clock=world.clock, transfers=[provider])


async def earned(market: Market, quantity: int = 1, name: str = "ann") -> str:
    """A distributor with 990 分 a unit to take out."""
    ann, buyer = await market.distributor(name), await market.person(f"buyer of {name}")
    await market.comes_by(buyer, ann)
    await market.pay(await market.order(buyer, quantity))
    market.world.clock.advance(15 * DAY_MS)
    await market.distribution.release()
    return ann


async def approved(market: Market, distribution: Distribution, ann: str, amount: int = 990, key: str = "w") -> str:
    asked = await distribution.withdraw(MERCHANT, ann, amount, key)
    await distribution.decide(MERCHANT, asked.withdrawal, "approved", "boss", "", "")
    return asked.withdrawal


async def transfer(distribution: Distribution, withdrawal: str) -> Any:
    return await distribution.decide(MERCHANT, withdrawal, "transfer", "boss", "", "")


@asynccontextmanager
async def at_wechat(market: Market) -> AsyncIterator[tuple[WechatStandIn, Distribution]]:
    async with wechat(market.world.clock) as (platform, pay):
        provider = WechatTransfers(pay.account, clock=market.world.clock)
        try:
            yield platform, paying(market, provider)
        finally:
            await provider.aclose()


async def knows_openid(market: Market, person: str, openid: str = "oAnn") -> None:
    await market.world.store.write(
        lambda db: db.exec_driver_sql(
            f"INSERT INTO identity VALUES ('{MERCHANT}', 'wechat', '{APPID}:{openid}', '{person}', 1)"
        )
    )


async def test_the_sandbox_pays_at_once_and_once(market: Market) -> None:
    sandbox = SandboxTransfers(b"secret")
    distribution, ann = paying(market, sandbox), await earned(market)
    withdrawal = await approved(market, distribution, ann)
    paid = await transfer(distribution, withdrawal)
    assert (paid.state, paid.provider, paid.number) == ("paid", "sandbox", f"t-{withdrawal}")
    with pytest.raises(Refused, match="is paid"):
        await transfer(distribution, withdrawal)
    assert await market.on(ann) == (0, 0, 0, 0) and len(sandbox.transfers) == 1


async def test_a_transfer_that_fails_gives_the_money_back_and_it_can_be_asked_for_again(local: Market) -> None:
    sandbox = SandboxTransfers(b"secret", failed_amounts=[990])
    distribution, ann = paying(local, sandbox), await earned(local)
    failed = await transfer(distribution, await approved(local, distribution, ann))
    assert failed.state == "failed" and "told to fail" in failed.reason
    assert await local.on(ann) == (0, 0, 990, 0)
    paid = await transfer(distribution, await approved(local, distribution, ann, 989, "again"))
    assert paid.state == "paid" and await local.on(ann) == (0, 0, 1, 0)


async def test_a_person_takes_the_money_in_their_wallet_and_the_notice_counts_once(market: Market) -> None:
    ann = await earned(market)
    async with at_wechat(market) as (platform, distribution):
        withdrawal = await approved(market, distribution, ann)
        with pytest.raises(Refused) as refused:
            await transfer(distribution, withdrawal)
        assert refused.value.code == "no_payee"
        await knows_openid(market, ann)
        assert (await transfer(distribution, withdrawal)).state == "transferring"
        (row,) = (await distribution.statement(MERCHANT, ann))["withdrawals"]
        assert withdrawal in row["confirm"] and row["payee"] == "oAnn"
        assert platform.transfers[withdrawal]["transfer_amount"] == 990
        notice = platform.transferred(withdrawal)
        for _ in range(3):
            answer = await distribution.transfers.answer("wechat", notice.body, notice.headers)
            assert answer.status == 200
        (row,) = (await distribution.statement(MERCHANT, ann))["withdrawals"]
        assert (row["state"], row["number"], row["confirm"]) == ("paid", f"1330000{withdrawal}", "")
    assert await market.on(ann) == (0, 0, 0, 0) and await market.sum_of_all() == 0


async def test_a_lost_answer_is_asked_after_and_nothing_is_paid_twice(market: Market) -> None:
    ann = await earned(market)
    await knows_openid(market, ann)
    async with at_wechat(market) as (platform, distribution):
        withdrawal = await approved(market, distribution, ann)
        platform.mute_transfers = 1
        assert (await transfer(distribution, withdrawal)).state == "transferring"
        assert await distribution.transfers.chase() == 0  # not due yet
        market.world.clock.advance(3_600_000)
        assert await distribution.transfers.chase() == 1
        platform.transferred(withdrawal)  # and its callback is lost, too
        market.world.clock.advance(3_600_000)
        assert await distribution.transfers.chase() == 1
        assert await distribution.transfers.chase() == 0
        (row,) = (await distribution.statement(MERCHANT, ann))["withdrawals"]
        assert row["state"] == "paid" and platform.paid_out == [withdrawal]
    assert await market.on(ann) == (0, 0, 0, 0)


async def test_a_request_that_never_arrived_is_made_again(local: Market) -> None:
    ann = await earned(local)
    await knows_openid(local, ann)
    async with at_wechat(local) as (platform, distribution):
        withdrawal = await approved(local, distribution, ann)
        platform.failures = [(403, "NOT_ENOUGH")]
        begun = await transfer(distribution, withdrawal)
        assert begun.state == "transferring" and "NOT_ENOUGH" in begun.reason
        assert withdrawal not in platform.transfers and await local.on(ann) == (0, 0, 0, 990)
        local.world.clock.advance(3_600_000)
        await distribution.transfers.chase()
        assert platform.transfers[withdrawal]["state"] == "WAIT_USER_CONFIRM"
        # Nobody took it within a day: the platform gives up, and the money is the distributor's again.
        platform.transfers[withdrawal]["state"] = "CANCELLED"
        local.world.clock.advance(3_600_000)
        await distribution.transfers.chase()
    assert await local.on(ann) == (0, 0, 990, 0)


async def test_a_refused_request_is_failed_only_when_no_earlier_one_is_known(local: Market) -> None:
    ann = await earned(local, 2)
    await knows_openid(local, ann)
    async with at_wechat(local) as (platform, distribution):
        withdrawal = await approved(local, distribution, ann)
        platform.failures = [(400, "PARAM_ERROR")]
        assert (await transfer(distribution, withdrawal)).state == "failed"
        assert await local.on(ann) == (0, 0, 1_980, 0)
        local.world.clock.advance(1)  # the newest is first
        second = await approved(local, distribution, ann, 990, "second")
        platform.mute_transfers = 1
        await transfer(distribution, second)
        # The query finds nothing once (a delay over there), the request is refused as known: it is not failed.
        platform.failures = [(404, "NOT_FOUND"), (400, "ALREADY_EXISTS")]
        local.world.clock.advance(3_600_000)
        await distribution.transfers.chase()
        (row, _) = (await distribution.statement(MERCHANT, ann))["withdrawals"]
        assert row["state"] == "transferring"


@pytest.mark.parametrize(
    "wrong",
    [
        "amount",
        "seal",
        *(pytest.param(one, marks=pytest.mark.soak) for one in ("account", "old", "unknown", "provider")),
    ],
)
async def test_a_notice_that_cannot_be_right_moves_nothing(local: Market, wrong: str) -> None:
    ann = await earned(local)
    await knows_openid(local, ann)
    async with at_wechat(local) as (platform, distribution):
        withdrawal = await approved(local, distribution, ann)
        await transfer(distribution, withdrawal)
        good = platform.transfers[withdrawal]
        inner = {**good, "state": "SUCCESS"}
        more: dict[str, Any] = {}
        if wrong == "amount":
            inner["transfer_amount"] = 9_900
        elif wrong == "account":
            inner["mch_id"] = "1900000002"
        elif wrong == "seal":
            more["seal"] = bytes(32)
        elif wrong == "old":
            more["age_s"] = 400
        elif wrong == "none":
            inner["out_bill_no"] = "0" * 20
        message = platform.callback("MCHTRANSFER.BILL.FINISHED", inner, **more)
        if wrong == "provider":
            with pytest.raises(NotFound):
                await distribution.transfers.answer("paypal", message.body, message.headers)
        else:
            answer = await distribution.transfers.answer("wechat", message.body, message.headers)
            assert answer.status in (400, 401)
    assert await local.on(ann) == (0, 0, 0, 990)


async def test_a_late_word_against_the_end_changes_nothing(local: Market) -> None:
    sandbox = SandboxTransfers(b"secret", hold_back=True)
    distribution, ann = paying(local, sandbox), await earned(local)
    withdrawal = await approved(local, distribution, ann)
    await transfer(distribution, withdrawal)
    taken = sandbox.take(withdrawal)
    forged = SignedMessage(taken.body.replace(b"paid", b"fail"), taken.headers)
    assert (await distribution.transfers.answer("sandbox", forged.body, forged.headers)).status == 400
    assert (await distribution.transfers.answer("sandbox", taken.body, taken.headers)).status == 200
    late = SettleTransfer(MERCHANT, withdrawal, "sandbox", "failed", 990)
    assert (await local.world.shop.ledger.submit(late)).state == "paid"
    with pytest.raises(Refused):
        await local.world.shop.ledger.submit(SettleTransfer(MERCHANT, withdrawal, "wechat", "failed", 990))
    assert await local.on(ann) == (0, 0, 0, 0)


async def test_who_pays_nobody_says_so(local: Market) -> None:
    ann = await earned(local)
    withdrawal = await approved(local, local.distribution, ann)
    with pytest.raises(Refused) as refused:
        await transfer(local.distribution, withdrawal)
    assert refused.value.code == "no_provider"
    assert await local.on(ann) == (0, 0, 0, 990)


# --- tax -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("yuan", "tax_yuan"),
    [
        (800, 0),
        (900, 20),
        (2_000, 240),
        (4_000, 640),
        (10_000, 1_600),
        (25_000, 4_000),
        (30_000, 5_200),
        (100_000, 25_000),
    ],
)
def test_what_is_withheld_follows_the_table(yuan: int, tax_yuan: int) -> None:
    assert month_tax(yuan * 100) == tax_yuan * 100


@given(st.lists(st.integers(1, 10_000_000), max_size=12))
def test_a_months_payments_are_taxed_as_their_sum_and_never_below_nothing(payments: list[int]) -> None:
    before = taken = 0
    for amount in payments:
        tax = withheld("labour", amount, before, taken)
        assert 0 <= tax <= amount
        assert withheld("off", amount, before, taken) == 0
        before, taken = before + amount, taken + tax
    assert taken == month_tax(before)


@given(st.integers(0, 4_000_000_000_000))
def test_a_month_begins_on_its_first_day_at_midnight(now_ms: int) -> None:
    begins = month_begins_ms(now_ms)
    assert begins <= now_ms and day_of(begins) == f"{day_of(now_ms)[:8]}01" and day_of(begins - 1) < day_of(begins)


async def test_tax_is_withheld_where_the_shop_says_so_and_owed_to_the_tax_office(market: Market) -> None:
    sandbox = SandboxTransfers(b"secret")
    distribution, ann = paying(market, sandbox), await earned(market, 300)
    await distribution.set_terms(MERCHANT, {"tax": "labour"}, "boss")
    first = await transfer(distribution, await approved(market, distribution, ann, 100_000))
    assert first.tax == 4_000 and sandbox.transfers[first.withdrawal].amount == 96_000
    second = await transfer(distribution, await approved(market, distribution, ann, 197_000, "2"))
    assert second.tax == month_tax(297_000) - 4_000
    rows = await market.world.query("SELECT kind, balance FROM account WHERE owner = '' AND kind LIKE 'commission_%'")
    on = {row.kind: row.balance for row in rows}
    assert (on["commission_tax"], on["commission_paid"]) == (month_tax(297_000), 297_000 - month_tax(297_000))
    with pytest.raises(Invalid):
        await distribution.set_terms(MERCHANT, {"tax": "some"}, "boss")


# --- statements ------------------------------------------------------------------------------------------------------


async def test_a_statement_is_right_to_the_cent_over_any_days(market: Market) -> None:
    distribution, ann = paying(market, SandboxTransfers(b"secret")), await earned(market, 3)
    market.world.clock.advance(DAY_MS)
    second = await market.order("buyer of ann", 2)
    await market.pay(second)
    await transfer(distribution, await approved(market, distribution, ann, 1_234))
    await market.refund(second, "r", lines=[("k1", 1)])
    today = day_of(market.world.clock())
    early = day_of(market.world.clock() - 30 * DAY_MS)
    whole = await distribution.days(MERCHANT, ann, early, today)
    assert whole.opening == dict.fromkeys(("pending", "frozen", "available", "leaving"), 0)
    assert tuple(whole.closing.values()) == await market.on(ann)
    assert {move.why for move in whole.moves} >= {"commission", "frozen", "released", "withdrawing", "paid", "reversed"}
    last = await distribution.days(MERCHANT, ann, today, today)
    assert last.opening["available"] == 2_970 and last.closing == whole.closing
    for name, closing in last.closing.items():
        assert last.opening[name] + sum(getattr(move, name) for move in last.moves) == closing
    lines = as_csv(whole).splitlines()
    assert len(lines) == len(whole.moves) + 3 and lines[-1].startswith(f"{today},closing,ann,0.00,9.90,17.36,0.00")
    for since, until in ((today, early), ("2026-1-1", today), ("2020-01-01", today)):
        with pytest.raises(CommerceError):
            await distribution.days(MERCHANT, ann, since, until)
