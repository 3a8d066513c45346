"""Settlements: files of providers, banks and couriers against what the books wait for."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, text

from commerce.audit_sql import audit
from commerce.courier import CourierState
from commerce.domain.clearing import Item, matched
from commerce.domain.day import DAY_MS, day_of
from commerce.errors import Invalid, NotFound, Refused
from commerce.payments import Payments
from commerce.reconciliation import Reconciliations
from commerce.settlement_files import opening_of, parse_alipay_funds, parse_wechat_funds, read_file
from commerce.settlement_sql import Taken
from commerce.settlements import Settlements
from tests.commerce.shop_world import MERCHANT, START_MS, shop_world
from tests.commerce.stand_in_alipay import ALIPAY_FUNDS
from tests.commerce.stand_in_wechat import WECHAT_FUNDS, wechat, wechat_bill
from tests.commerce.test_freight import Brought

HOUR_MS = 3_600_000
DAY = day_of(START_MS)


class Accounts(Brought):
    """A shop, seen by its accountant."""

    async def open(self) -> None:
        await super().open()
        self.settlements = self.shop.settlements

    def next_day(self) -> None:
        self.world.clock.advance(DAY_MS)

    async def take(self, source: str, name: str, *rows: str, form: str = "csv", **more: Any) -> Taken:
        raw = "\r\n".join(rows).encode()
        return await self.settlements.take(MERCHANT, "boss", source, name, raw, form, **more)

    async def open_on(self) -> dict[str, tuple[int, int]]:
        """(分, items) of each clearing account."""
        return {one.account: (one.open, one.items) for one in await self.settlements.accounts(MERCHANT)}

    async def balances(self, *codes: str) -> tuple[int, ...]:
        book = await self.books.book(MERCHANT, DAY, day_of(self.world.clock()))
        assert book.debit == book.credit
        found = {one.account: one.debit - one.credit for one in book.accounts}
        return tuple(found.get(code, 0) for code in codes)

    async def todo(self, account: str) -> list[tuple[str, int, str]]:
        """(kind, 分, what to do) of an account's items."""
        return [(one["kind"], one["amount"], one["todo"]) for one in await self.settlements.items(MERCHANT, account)]


@pytest.fixture
async def shop(anywhere: Path | str) -> AsyncIterator[Accounts]:
    async with shop_world(anywhere) as world:
        opened = Accounts(world)
        await opened.open()
        yield opened
        await opened.close()


@pytest.fixture
async def local(tmp_path: Path) -> AsyncIterator[Accounts]:
    async with shop_world(tmp_path) as world:
        opened = Accounts(world)
        await opened.open()
        yield opened
        await opened.close()


async def test_money_goes_from_the_providers_word_to_its_file_and_to_the_bank_and_each_account_is_its_open_items(
    shop: Accounts,
) -> None:
    order = await shop.paid()
    assert await shop.open_on() == {"1012.sandbox": (10_400, 1)}
    assert await shop.todo("1012.sandbox") == [("payment", 10_400, "import")]
    shop.next_day()
    taken = await shop.settlements.fetch(MERCHANT, "sandbox", DAY)
    assert taken is not None and (taken.lines, taken.matched, taken.faults) == (2, 2, ())
    # All was paid out that night, and is on its way.
    assert await shop.open_on() == {"1002.01": (10_400, 1)}
    assert await shop.balances("1012.sandbox", "1013.sandbox", "1002.01", "1002") == (0, 0, 10_400, 0)
    again = await shop.settlements.fetch(MERCHANT, "sandbox", DAY)
    assert again is not None and again.again and again.file == taken.file
    bank = ("number,time,in,out,text", f"B1,{day_of(shop.world.clock())},104.00,,sandbox payout")
    said = await shop.take("bank", "ICBC", *bank)
    assert (said.lines, said.known, said.matched) == (1, 0, 2)
    assert await shop.open_on() == {}
    assert await shop.balances("1002.01", "1002") == (0, 10_400)
    assert (await shop.take("bank", "ICBC", *bank)).again
    # The same line in a longer file is the same line.
    longer = await shop.take("bank", "ICBC", *bank, f"B2,{day_of(shop.world.clock())},,0.50,fee")
    assert (longer.lines, longer.known, longer.matched) == (2, 1, 0)
    assert await shop.todo("1002.01") == [("bank line", 50, "name")]
    await shop.settlements.close(
        MERCHANT, "boss", "1002.01", "bank fee", through=day_of(shop.world.clock()), against="6603.01"
    )
    assert await shop.balances("1002.01", "1002", "6603.01") == (0, 10_350, 50)
    (closed,) = await shop.settlements.closed(MERCHANT, None, 10)
    assert (closed["why"], closed["staff"], closed["amount"], closed["items"]) == ("bank fee", "boss", 50, 1)
    await shop.refund(order.order, "r1", "none", amount=400)
    await shop.world.told()
    shop.world.assert_clean()


async def test_wechats_fee_is_withheld_and_what_it_pays_out_is_what_its_own_file_leaves(local: Accounts) -> None:
    clock, store = local.world.clock, local.world.store
    async with wechat(clock, merchants=frozenset({MERCHANT})) as (there, provider):
        payments = Payments(store, local.shop.ledger, [provider])
        settlements = Settlements(store, payments, clock=clock)
        order = await local.brought()
        asked = await payments.pay(MERCHANT, "ann", order.order, "k1", provider="wechat", method="native")
        assert asked.opened is not None
        ((payment, trade),) = there.trades.items()
        there.pay(payment)
        assert (
            await payments.pay(MERCHANT, "ann", order.order, "k1", provider="wechat", method="native")
        ).order.status == "paid"
        local.next_day()
        sold = {"微信订单号": trade.number, "商户订单号": payment, "交易状态": "SUCCESS", "订单金额": "104.00"}
        there.bills[DAY] = wechat_bill([{**sold, "手续费": "0.62000"}])
        assert await Reconciliations(store, payments, clock=clock).fetch("wechat", DAY)
        head, _, _, _, _, title, _ = WECHAT_FUNDS
        lines = (
            f"`{DAY} 10:00:00,`{trade.number},`F1,`交易,`交易,`收入,`104.00,`104.00,`system,`,`{payment}",
            f"`{DAY} 10:00:00,`{trade.number},`F2,`手续费,`扣除交易手续费,`支出,`0.62,`103.38,`system,`,`{payment}",
            f"`{DAY} 23:00:00,`900,`F3,`提现,`提现,`支出,`103.38,`0.00,`boss,`,`W1",
        )
        there.funds[DAY] = "\r\n".join((head, *lines, title, "`3.0,`1.0,`104.00,`2.0,`104.00")).encode()
        assert await local.open_on() == {"1012.wechat": (10_338, 2)}
        taken = await settlements.fetch(MERCHANT, "wechat", DAY)
        assert taken is not None and (taken.lines, taken.matched) == (3, 4)
        assert await local.open_on() == {"1002.01": (10_338, 1)}
        assert await local.balances("1012.wechat", "1013.wechat", "6603.01") == (0, 0, 62)


async def test_a_file_with_a_line_that_cannot_be_read_changes_nothing_and_each_fault_has_its_line(
    local: Accounts,
) -> None:
    said = await local.take(
        "bank", "ICBC", "流水号,时间,收入,支出", "B1,2027-01-15 10:00,1.00,", "B2,tomorrow,1.00,", "B3,2027-01-15,1,1",
        "B1,2027-01-15,2.00,", "B5,2027-01-15,1.005,",
    )  # fmt: skip
    assert [(one.line, one.column) for one in said.faults] == [(3, "time"), (4, "amount"), (6, "amount"), (3, "number")]
    assert said.file == "" and await local.settlements.files(MERCHANT, None, 10) == []
    for raw in (b"\xff\xfe", b"a,b\r\n1,2", b""):
        with pytest.raises(Invalid):
            await local.settlements.take(MERCHANT, "boss", "bank", "ICBC", raw)
    with pytest.raises(Invalid):
        await local.take("bank", "ICBC", "number,time,amount", "B1,2027-01-15,1", form="wechat")


@pytest.mark.soak
async def test_a_line_that_was_taken_in_with_another_amount_refuses_the_file(local: Accounts) -> None:
    await local.take("bank", "ICBC", "number,time,amount", "B1,2027-01-15,1.00")
    said = await local.take("bank", "ICBC", "number,time,amount", "B0,2027-01-15,5.00", "B1,2027-01-15,2.00")
    assert [(one.line, one.column) for one in said.faults] == [(3, "number")]
    assert await local.open_on() == {"1002.01": (-100, 1)}


async def test_a_file_that_does_not_follow_the_last_one_is_refused_until_what_lies_between_is_there(
    local: Accounts,
) -> None:
    head = "number,time,kind,amount,balance"
    first = await local.take("provider", "pay", head, "1,2027-01-15,other,5,15")
    # What was there before is an item of its own.
    assert first.faults == () and await local.balances("1013.pay", "1012.pay") == (1_500, -1_500)
    assert [one[2] for one in await local.todo("1012.pay")] == ["opening", "name"]
    third = (head, "3,2027-01-17,payout,-7,11")
    said = await local.take("provider", "pay", *third)
    assert [one.column for one in said.faults] == ["balance"]
    assert (await local.take("provider", "pay", head, "2,2027-01-16,other,3,18")).faults == ()
    assert (await local.take("provider", "pay", *third)).faults == ()
    assert await local.balances("1013.pay", "1012.pay", "1002.01") == (1_100, -1_800, 700)
    # A longer file of days that are all here is no newer one.
    old = await local.take("provider", "pay", head, "1,2027-01-15,other,5,15", "2,2027-01-16,other,3,18")
    assert (old.known, old.faults) == (2, ())
    between = (head, "3,2027-01-17,payout,-7,11", "3b,2027-01-17,other,2,13")
    assert (await local.take("provider", "pay", *between)).faults == ()
    assert await local.balances("1013.pay") == (1_300,)
    with pytest.raises(Invalid, match="some are missing"):
        await local.take("provider", "pay", head, "4,2027-01-18,other,1,12", "5,2027-01-18,other,1,14")


async def test_a_couriers_bill_is_held_against_what_the_courier_told_and_paid_at_the_bank(shop: Accounts) -> None:
    for units in (1, 1):
        order = await shop.paid(units)
        await shop.errand(order.order, CourierState("", "accepted", 735), CourierState("", "delivered", 740))
    errands = [row.id for row in await shop.world.query("SELECT id FROM courier_errand ORDER BY id")]
    assert await shop.open_on() == {"1012.sandbox": (20_800, 2), "2202.03": (-1_480, 2)}
    rows = [f"L{n},{DAY},{errand},{fee}" for n, (errand, fee) in enumerate(zip(errands, ("7.40", "8.00"), strict=True))]
    said = await shop.take("courier", "dada", "账单行号,时间,配送单号,金额", *rows)
    assert (said.lines, said.matched) == (2, 2)
    # One agrees; of the other they ask for more than they told.
    assert await shop.todo("2202.03") == [("billed line", 800, "amount"), ("courier", -740, "amount")]
    items = [(one["kind"], one["ref"]) for one in await shop.settlements.items(MERCHANT, "2202.03")]
    with pytest.raises(Refused, match="left") as refused:
        await shop.settlements.close(MERCHANT, "boss", "2202.03", "rain", items=items)
    assert refused.value.code == "difference"
    await shop.settlements.close(MERCHANT, "boss", "2202.03", "rain surcharge", items=items, against="6401.05")
    assert await shop.balances("2202.03", "2202.04", "6401.05") == (0, -1_540, 1_540)
    await shop.take("bank", "ICBC", "number,time,amount,text", f"B1,{DAY},-15.40,dada")
    (paid,) = await shop.settlements.items(MERCHANT, "1002.01")
    one = [(paid["kind"], paid["ref"])]
    await shop.settlements.close(MERCHANT, "boss", "1002.01", "bill of dada", items=one, against="2202.04")
    # What it brought there is what the bill waited for.
    assert await shop.balances("2202.04", "1002.01", "1002") == (0, 0, -1_540)
    assert "2202.04" not in await shop.open_on()
    with pytest.raises(NotFound):
        await shop.settlements.close(MERCHANT, "boss", "1002.01", "again", items=one, against="2202.04")


async def test_what_a_drawer_paid_in_waits_for_the_bank_from_its_first_file_on(local: Accounts) -> None:
    def count(db: Connection) -> None:
        row = {"now": local.world.clock(), "day": day_of(local.world.clock()), "outlet": local.north}
        db.execute(
            text(
                "INSERT INTO till_close (id, merchant, outlet, day, opening, cash, counted, difference, banked, why,"
                " at_ms) SELECT 'c' || :now, 'm1', :outlet, :day, coalesce((SELECT counted - banked FROM till_close"
                " WHERE outlet = :outlet ORDER BY day DESC LIMIT 1), 0), 0, 1000, 1000, 1000, 'found', :now"
            ),
            row,
        )

    await local.world.store.write(count)
    assert await local.balances("1002", "1002.01") == (1_000, 0)
    local.next_day()
    closed = await local.books.close(MERCHANT, DAY, "boss")
    # Its line at the bank was booked with the drawer: it is named so.
    await local.take("bank", "ICBC", "number,time,amount", f"B1,{DAY},10.00")
    (item,) = await local.settlements.items(MERCHANT, "1002.01")
    await local.settlements.close(
        MERCHANT, "boss", "1002.01", "counted on Friday", items=[(item["kind"], item["ref"])], against="1002"
    )
    assert await local.balances("1002", "1002.01") == (1_000, 0)
    local.next_day()
    await local.world.store.write(count)
    assert await local.balances("1002", "1002.01") == (1_000, 1_000)
    assert await local.todo("1002.01") == [("banked", 1_000, "wait")]
    local.next_day()
    said = await local.take("bank", "ICBC", "number,time,amount", f"B2,{day_of(local.world.clock())},10.00")
    assert said.matched == 2 and await local.balances("1002", "1002.01") == (2_000, 0)
    assert (await local.books.closes(MERCHANT))[0]["balances"] == closed["balances"]


async def test_the_audit_finds_a_match_that_does_not_come_to_nothing_and_an_account_that_is_not_its_items(
    local: Accounts,
) -> None:
    await local.paid()
    local.next_day()
    await local.settlements.fetch(MERCHANT, "sandbox", DAY)

    def bend(db: Connection) -> None:
        db.execute(text("DELETE FROM clearing_match WHERE kind = 'settled'"))

    def mend(db: Connection) -> None:
        db.execute(text("DELETE FROM clearing_match"))

    await local.world.store.write(bend)
    broken = [one.name for one in audit(local.world.store.where, now_ms=local.world.clock()) if not one.ok]
    assert any(name.startswith("clearing: what was matched") for name in broken)
    assert any(name.startswith("books:") for name in broken)
    await local.world.store.write(mend)
    assert await local.settlements.match(MERCHANT) == 2


@pytest.mark.soak
async def test_files_go_on_being_fetched_once_the_first_one_was(local: Accounts) -> None:
    assert await local.settlements.missing() == []
    local.next_day()
    await local.settlements.fetch(MERCHANT, "sandbox", DAY)
    local.world.clock.advance(2 * DAY_MS + 12 * HOUR_MS)
    wanted = await local.settlements.missing()
    assert [one[:2] for one in wanted] == [(MERCHANT, "sandbox")] * 2
    for merchant, provider, day in wanted:
        assert await local.settlements.fetch(merchant, provider, day) is not None
    assert await local.settlements.missing() == []


@pytest.mark.soak
async def test_balances_that_people_hold_take_nothing_that_is_left(local: Accounts) -> None:
    await local.take("bank", "ICBC", "number,time,amount", "B1,2027-01-15,1.00")
    (item,) = await local.settlements.items(MERCHANT, "1002.01")
    one = [(item["kind"], item["ref"])]
    for against in ("2204.01", "1122.01", "1013.sandbox", "1002.01", "9999"):
        with pytest.raises(Invalid):
            await local.settlements.close(MERCHANT, "boss", "1002.01", "why", items=one, against=against)
    for account in ("1002", "1013.sandbox", "nothing"):
        with pytest.raises(Invalid):
            await local.settlements.items(MERCHANT, account)


def test_wechats_and_alipays_files_are_read_and_lead_from_balance_to_balance() -> None:
    wechat = parse_wechat_funds("\r\n".join(WECHAT_FUNDS).encode("utf-8-sig"))
    assert [(line.kind, line.key, line.amount, line.other) for line in wechat] == [
        ("paid", "4200001", 10_000, "ORDER1"),
        ("fee", "4200001", -60, "ORDER1"),
        ("refunded", "5030001", -1_000, "REF1"),
        ("payout", "9000001", -8_940, "W1"),
    ]
    assert opening_of(wechat) == 0
    alipay = parse_alipay_funds("\r\n".join(ALIPAY_FUNDS).encode("gb18030"))
    assert [(line.kind, line.key, line.amount) for line in alipay] == [
        ("paid", "2027A", 5_000), ("fee", "2027A", -30), ("payout", "2027W", -4_970),
    ]  # fmt: skip
    assert opening_of(alipay) == 0
    with pytest.raises(Invalid, match="cut short"):
        parse_wechat_funds("\r\n".join(WECHAT_FUNDS[:-2]).encode())
    with pytest.raises(Invalid, match="how many lines"):
        parse_wechat_funds("\r\n".join((*WECHAT_FUNDS[:2], *WECHAT_FUNDS[3:])).encode())
    with pytest.raises(Invalid):
        read_file("bank", "alipay", b"")


ITEM = st.builds(
    Item,
    account=st.sampled_from(["1012.wechat", "1002.01", "2202.03", "2202.04"]),
    kind=st.just("x"),
    ref=st.uuids().map(str),
    amount=st.sampled_from([-300, -200, -100, 100, 200, 300]),
    at_ms=st.just(0),
    when_ms=st.integers(0, 20).map(lambda days: days * DAY_MS),
    family=st.sampled_from(["paid", "fee"]),
    key=st.sampled_from(["", "a", "b"]),
    other=st.sampled_from(["", "p"]),
    order=st.just(""),
    text=st.just(""),
    ours=st.booleans(),
)


@given(st.lists(ITEM, max_size=30))
def test_what_is_matched_comes_to_nothing_on_one_account_and_no_item_is_in_two_matches(items: list[Item]) -> None:
    groups = matched(items)
    refs = [one.ref for group in groups for one in group]
    assert len(refs) == len(set(refs))
    for group in groups:
        assert len(group) > 1 and sum(one.amount for one in group) == 0 and len({one.account for one in group}) == 1
