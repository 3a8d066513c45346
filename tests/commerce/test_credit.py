"""Sale on account: limits, debts, what lowers them first, ages, books; and a model beside the shop."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from commerce.audit_books_sql import FOR_EVER_MS
from commerce.books import Books
from commerce.books_sql import read_balances
from commerce.compliance_sql import set_policy
from commerce.credit_reads_sql import read_statement
from commerce.domain.chart import BAD_DEBTS, BANK, CONTRACT, CUSTOMERS
from commerce.domain.credit import BUCKETS, CreditTerms, Debt, bucket, refuse_credit, shared, terms_fault
from commerce.domain.day import DAY_MS, day_of
from commerce.errors import Invalid, NotFound, Refused
from commerce.identity.phone import Vault
from commerce.identity.service import Identities
from commerce.ledger_credit import DebtView
from commerce.shop import Shop
from tests.commerce.shop_world import MERCHANT, OTHER_SKU, ROOM, START_MS, World, shop_world
from tests.commerce.template import migrated
from tests.commerce.test_distribution import opened

PRICE = 2_000
TERMS = CreditTerms(10_000, 30, "思语餐饮")


def made(where: Path | str) -> contextlib.AbstractAsyncContextManager[World]:
    """An open shop on a database that was migrated before."""
    migrated(where)
    return shop_world(where, synchronous="OFF")


async def code_of(awaitable: Any) -> str:
    with pytest.raises(Refused) as caught:
        await awaitable
    return caught.value.code


async def switch(world: World, on: bool) -> None:
    terms = orjson.dumps({"credit_sale": on}).decode()
    await world.store.write(lambda db: set_policy(db, merchant=MERCHANT, terms=terms, staff="boss", now=world.clock()))


async def open_shop(world: World, *persons: str, terms: CreditTerms = TERMS, on: bool = True, units: int = 50) -> None:
    def rows(db: Any) -> None:
        for person in persons:
            db.exec_driver_sql(
                f"INSERT INTO person (id, merchant, name, created_ms) VALUES ('{person}', '{MERCHANT}', '', 0)"
            )

    await world.store.write(rows)
    await world.shop.stock_up(MERCHANT, OTHER_SKU, units)
    await switch(world, on)
    for person in persons:
        await world.shop.credit.set_line(MERCHANT, "boss", person, terms)


async def buy(world: World, person: str, key: str, units: int = 1) -> str:
    order = await world.shop.create_order(MERCHANT, ROOM, person, key, lines=[(OTHER_SKU, units)])
    await world.shop.payments.pay(MERCHANT, person, order.order, f"{key}-p", provider="account")
    # What is bought later is due later.
    world.clock.advance(1)
    return order.order


async def debt_of(world: World, order: str) -> DebtView:
    return next(debt for debt in await world.shop.credit.debts(MERCHANT, "ann") if debt.order == order)


async def balance_of(world: World, *accounts: str) -> list[int]:
    balances = await world.store.read(lambda db: read_balances(db, MERCHANT, FOR_EVER_MS, from_closed=False))
    return [balances.get(account, 0) for account in accounts]


def test_what_comes_in_is_taken_for_the_oldest_debt_first() -> None:
    debts = [Debt("b", 300, 20), Debt("a", 200, 10), Debt("c", 100, 30)]
    assert shared(debts, 450) == [("a", 200), ("b", 250)]
    assert sum(part for _, part in shared(debts, 10_000)) == 600


@pytest.mark.parametrize(
    ("days", "name"),
    [(-1, "not_due"), (0, "not_due"), (1, "to_30"), (30, "to_30"), (31, "to_60"), (61, "to_90"), (91, "over_90")],
)
def test_a_debt_is_as_old_as_the_days_since_it_was_due(days: int, name: str) -> None:
    assert bucket(0, days * DAY_MS) == name and name in BUCKETS


def test_terms_that_make_no_sense_say_which_field() -> None:
    assert terms_fault(CreditTerms(-1, 30)) is not None and terms_fault(CreditTerms(1, 0)) is not None
    assert terms_fault(CreditTerms(1, 30, "a\nb")) is not None and terms_fault(TERMS) is None


def test_nobody_owes_more_than_their_limit_or_anything_new_while_something_is_overdue() -> None:
    assert refuse_credit(None, 0, None, 1, 0) == "no_credit"
    assert refuse_credit(CreditTerms(100, 1, open=False), 0, None, 1, 0) == "no_credit"
    assert refuse_credit(CreditTerms(100, 1), 90, None, 10, 0) is None
    assert refuse_credit(CreditTerms(100, 1), 90, None, 11, 0) == "insufficient"
    assert refuse_credit(CreditTerms(100, 1), 0, 4, 1, 5) == "overdue"


async def test_it_is_off_until_the_shop_switches_it_on_and_grants_a_limit(anywhere: Path | str) -> None:
    async with made(anywhere) as world:
        await open_shop(world)
        assert await code_of(buy(world, "ann", "a")) == "no_credit"
        with pytest.raises(NotFound):
            await world.shop.credit.set_line(MERCHANT, "boss", "nobody", TERMS)
        await open_shop(world, "ann")
        order = await buy(world, "ann", "b")
        assert (await world.shop.order(MERCHANT, order)).status == "paid"
        assert await world.shop.credit.sells_to(MERCHANT, "ann")
        await switch(world, False)
        assert await code_of(buy(world, "ann", "c")) == "closed"
        # What is owed can be paid all the same.
        paid = await world.shop.credit.book(MERCHANT, "boss", "ann", "repaid", "r", amount=PRICE)
        assert paid.owed == 0


async def test_the_books_have_what_customers_owe_and_where_it_went(anywhere: Path | str) -> None:
    async with made(anywhere) as world:
        await open_shop(world, "ann")
        first, second = await buy(world, "ann", "a", 2), await buy(world, "ann", "b")
        assert await balance_of(world, CUSTOMERS, CONTRACT) == [6_000, -6_000]
        credit = world.shop.credit
        world.clock.advance(1)
        view = await credit.book(MERCHANT, "boss", "ann", "repaid", "r", amount=4_500, reference="转账 8812")
        assert (view.owed, view.free) == (1_500, 8_500)
        assert [debt.left for debt in await credit.debts(MERCHANT, "ann")] == [1_500, 0]
        assert await code_of(credit.book(MERCHANT, "boss", "ann", "repaid", "r2", amount=1_501)) == "over_payment"
        again = await credit.book(MERCHANT, "boss", "ann", "repaid", "r", amount=4_500, reference="转账 8812")
        assert again.owed == 1_500
        with pytest.raises(Invalid):
            await credit.book(MERCHANT, "boss", "ann", "lost", "w", order=second)
        world.clock.advance(1)
        lost = await credit.book(MERCHANT, "boss", "ann", "lost", "w", order=second, reason="bankrupt")
        assert lost.owed == 0
        assert await balance_of(world, CUSTOMERS, BANK, BAD_DEBTS) == [0, 4_500, 1_500]
        assert await code_of(credit.book(MERCHANT, "boss", "ann", "lost", "w2", order=first, reason="x")) == "already"
        lines = await credit.statement(MERCHANT, "ann")
        assert [(line.why, line.owed) for line in lines] == [
            ("sold", 4_000), ("sold", 6_000), ("repaid", 1_500), ("lost", 0)
        ]  # fmt: skip
        assert "思语餐饮,100.00,0.00,0.00" in await credit.ageing(MERCHANT)


async def test_a_refund_lowers_the_debt_before_any_money_goes_out(anywhere: Path | str) -> None:
    async with made(anywhere) as world:
        await open_shop(world, "ann")
        first, second = await buy(world, "ann", "a", 2), await buy(world, "ann", "b")
        refund = world.shop.aftersale.refund
        one = await refund(MERCHANT, "boss", first, "r1", lines=[(OTHER_SKU, 1)], stock="sellable", reason="broken")
        assert (one.state, one.amount) == ("done", PRICE)
        assert (await world.shop.credit.account(MERCHANT, "ann")).owed == 4_000
        await world.shop.credit.book(MERCHANT, "boss", "ann", "repaid", "p", amount=PRICE, order=first)
        # Its own debt is paid: what goes back is taken off the other order's, and only then is the shop's to give.
        await refund(MERCHANT, "boss", first, "r2", stock="sellable", reason="broken")
        view = await world.shop.credit.account(MERCHANT, "ann")
        assert (view.owed, view.spare) == (0, 0)
        await refund(MERCHANT, "boss", second, "r3", stock="sellable", reason="broken")
        view = await world.shop.credit.account(MERCHANT, "ann")
        assert (view.owed, view.spare, view.free) == (0, PRICE, 12_000)
        assert not [event for event in await world.told() if type(event).__name__ == "RefundDue"]
        # What the shop owes lowers the next order's debt; the rest is given back.
        await buy(world, "ann", "c")
        assert (await world.shop.credit.account(MERCHANT, "ann")).spare == 0
        again = await buy(world, "ann", "d")
        await world.shop.credit.book(MERCHANT, "boss", "ann", "repaid", "p2", amount=PRICE)
        await refund(MERCHANT, "boss", again, "r4", stock="sellable", reason="broken")
        too_much = world.shop.credit.book(MERCHANT, "boss", "ann", "given", "g", amount=PRICE + 1)
        assert await code_of(too_much) == "insufficient"
        given = await world.shop.credit.book(MERCHANT, "boss", "ann", "given", "g2", amount=PRICE, reference="T2")
        assert (given.owed, given.spare) == (0, 0)


async def test_goods_that_come_back_for_a_debt_given_up_give_nothing_to_who_never_paid(anywhere: Path | str) -> None:
    async with made(anywhere) as world:
        await open_shop(world, "ann")
        order = await buy(world, "ann", "a")
        await world.shop.credit.book(MERCHANT, "boss", "ann", "lost", "w", order=order, reason="gone")
        await world.shop.aftersale.refund(MERCHANT, "boss", order, "r", stock="sellable", reason="found")
        view = await world.shop.credit.account(MERCHANT, "ann")
        assert (view.owed, view.spare) == (0, 0) and await balance_of(world, BAD_DEBTS) == [0]


async def test_what_is_overdue_closes_the_account_until_it_is_paid(anywhere: Path | str) -> None:
    async with made(anywhere) as world:
        await open_shop(world, "ann")
        await buy(world, "ann", "a")
        world.clock.now_ms = START_MS + 75 * DAY_MS
        view = await world.shop.credit.account(MERCHANT, "ann")
        assert (view.overdue, view.free, view.ages["to_60"]) == (PRICE, 0, PRICE)
        assert await code_of(buy(world, "ann", "b")) == "overdue"
        await world.shop.credit.book(MERCHANT, "boss", "ann", "repaid", "p", amount=PRICE)
        await buy(world, "ann", "c")


async def test_of_many_debts_the_oldest_open_one_is_read_first_and_a_statement_ends_with_today(tmp_path: Path) -> None:
    async with made(tmp_path) as world:
        await open_shop(world, "ann")
        orders = [await buy(world, "ann", f"o{n}") for n in range(4)]
        await world.shop.credit.book(MERCHANT, "boss", "ann", "repaid", "p", amount=PRICE + 1)
        shown = await world.shop.credit.debts(MERCHANT, "ann", 3)
        assert [debt.order for debt in shown] == orders[1:]
        every = await world.shop.credit.debts(MERCHANT, "ann")
        assert [debt.order for debt in every] == [*orders[1:], orders[0]]
        whole = await world.shop.credit.statement(MERCHANT, "ann")
        assert whole[-1].owed == 3 * PRICE - 1
        assert await world.store.read(lambda db: read_statement(db, MERCHANT, "ann", 2)) == whole[-2:]


async def test_the_overdue_are_read_page_by_page_though_some_pay_meanwhile(anywhere: Path | str) -> None:
    people = ["ann", "ben", "cy", "di", "eve"]
    async with made(anywhere) as world:
        await open_shop(world, *people)
        for person in people:
            await buy(world, person, person)
        world.clock.now_ms = START_MS + 75 * DAY_MS
        credit, seen, last = world.shop.credit, [], (0, "")
        while page := await credit.dunning(MERCHANT, 2, *last):
            seen += [one.person for one in page]
            last = (page[-1].since, page[-1].person)
            await credit.book(MERCHANT, "boss", page[-1].person, "repaid", page[-1].person, amount=PRICE)
        assert seen == people


async def test_a_crowd_of_orders_at_once_never_owes_more_than_the_limit(anywhere: Path | str) -> None:
    async with made(anywhere) as world:
        await open_shop(world, "ann")
        answers = await asyncio.gather(*(buy(world, "ann", f"k{n}") for n in range(12)), return_exceptions=True)
        refused = [answer.code for answer in answers if isinstance(answer, Refused)]
        assert refused == ["insufficient"] * 7
        assert (await world.shop.credit.account(MERCHANT, "ann")).owed == 10_000


@contextlib.asynccontextmanager
async def beside(world: World) -> AsyncIterator[Shop]:
    """Another server of the same shop."""
    other = Shop(world.store, clock=world.clock, provider=world.provider, sweep_s=0)
    await other.start()
    try:
        yield other
    finally:
        await other.close()


async def test_two_servers_never_let_somebody_owe_more_than_the_limit(place: Path | str) -> None:
    async with made(place) as world, beside(world) as other:
        await open_shop(world, "ann", terms=CreditTerms(3 * PRICE + 1, 30))
        orders = [
            (await world.shop.create_order(MERCHANT, ROOM, "ann", f"o{n}", lines=[(OTHER_SKU, 1)])).order
            for n in range(8)
        ]
        paying = [
            (world.shop, other)[n % 2].payments.pay(MERCHANT, "ann", order, f"p{n}", provider="account")
            for n, order in enumerate(orders)
        ]
        answers = await asyncio.gather(*paying, return_exceptions=True)
        refused = [answer.code for answer in answers if isinstance(answer, Refused)]
        assert refused == ["insufficient"] * 5 and len(answers) == 8
        assert (await world.shop.credit.account(MERCHANT, "ann")).owed == 3 * PRICE


async def test_money_that_comes_while_goods_go_back_is_counted_once_each(anywhere: Path | str) -> None:
    async with made(anywhere) as world, beside(world) as other:
        await open_shop(world, "ann")
        first, second = await buy(world, "ann", "a"), await buy(world, "ann", "b")
        await asyncio.gather(
            world.shop.aftersale.refund(MERCHANT, "boss", first, "back", stock="sellable"),
            other.credit.repay(MERCHANT, "ann", PRICE, "k", order=first),
            return_exceptions=True,
        )
        await world.shop.told()
        view = await world.shop.credit.account(MERCHANT, "ann")
        paid = sum(one.applied for one in await world.shop.credit.repayments(MERCHANT, "ann"))
        # Whichever was first: goods of half of it came back, and what was paid beside that is off the other order.
        assert (view.owed, view.spare) == (PRICE - paid, 0)
        assert (await debt_of(world, first)).left == 0 and (await debt_of(world, second)).left == PRICE - paid


async def test_what_becomes_of_a_debt_after_its_period_was_closed_is_dated_forward(anywhere: Path | str) -> None:
    async with made(anywhere) as world:
        await open_shop(world, "ann")
        first, second = await buy(world, "ann", "a", 2), await buy(world, "ann", "b")
        books, day = Books(world.store, clock=world.clock), day_of(world.clock())
        world.clock.advance(2 * DAY_MS)
        await books.close(MERCHANT, day, "boss")
        before = await books.book(MERCHANT, day)
        await world.shop.credit.repay(MERCHANT, "ann", 1_001, "k", order=first)
        await world.shop.aftersale.refund(MERCHANT, "boss", first, "back", stock="sellable")
        # 29.99 were owed of the first, 40 came back: what is over is off the second.
        assert [(await debt_of(world, order)).left for order in (first, second)] == [0, PRICE - 1_001]
        await world.shop.credit.book(MERCHANT, "boss", "ann", "lost", "w", order=second, reason="gone")
        assert await books.book(MERCHANT, day) == before
        assert await balance_of(world, CUSTOMERS, BAD_DEBTS) == [0, PRICE - 1_001]
        world.assert_clean()


async def test_the_same_order_is_paid_on_account_once(anywhere: Path | str) -> None:
    async with made(anywhere) as world:
        await open_shop(world, "ann")
        order = await world.shop.create_order(MERCHANT, ROOM, "ann", "o", lines=[(OTHER_SKU, 1)])
        paid = await world.shop.payments.pay(MERCHANT, "ann", order.order, "p", provider="account")
        twice = await world.shop.payments.pay(MERCHANT, "ann", order.order, "p", provider="account")
        assert paid.order == twice.order and paid.provider == "account"
        assert (await world.shop.credit.account(MERCHANT, "ann")).owed == PRICE


async def test_two_persons_who_become_one_owe_together_under_the_lower_limit_and_part_again(
    anywhere: Path | str,
) -> None:
    async with made(anywhere) as world:
        await open_shop(world, "ann", "bo")
        await world.shop.credit.set_line(MERCHANT, "boss", "bo", CreditTerms(6_000, 10))
        await buy(world, "ann", "a", 2)
        await buy(world, "bo", "b", 2)
        vault = Vault(b"the key of the tests' vault, long")
        people = Identities(world.store, world.shop.ledger, world.shop.aliases, vault, clock=world.clock)
        merged = await people.merge(MERCHANT, "ann", "bo", "boss", "one")
        view = await world.shop.credit.account(MERCHANT, "ann")
        assert (view.owed, view.most, view.days, view.free) == (8_000, 6_000, 10, 0)
        assert await code_of(buy(world, "ann", "c")) == "insufficient"
        world.assert_clean()
        await world.shop.credit.book(MERCHANT, "boss", "ann", "repaid", "p", amount=3_000)
        assert merged.merged is not None
        await people.undo(MERCHANT, merged.merged, "boss")
        owed = [(await world.shop.credit.account(MERCHANT, person)).owed for person in ("ann", "bo")]
        assert sum(owed) == 5_000 and owed == [4_000, 1_000]


@pytest.mark.parametrize("end", ["repaid", "lost"])
async def test_commission_waits_for_the_money_and_goes_with_a_debt_that_is_given_up(
    anywhere: Path | str, end: str
) -> None:
    migrated(anywhere)
    async with opened(anywhere) as market:
        ann, buyer = await market.distributor("ann"), await market.person("bo")
        await open_shop(market.world)
        await market.world.shop.credit.set_line(MERCHANT, "boss", buyer, TERMS)
        await market.comes_by(buyer, ann)
        order = await market.order(buyer)
        await market.world.shop.payments.pay(MERCHANT, buyer, order.order, "p", provider="account")
        await market.world.told()
        market.world.clock.advance(15 * DAY_MS)
        await market.distribution.release()
        assert await market.on(ann) == (0, 990, 0, 0)
        credit = market.world.shop.credit
        some = {"order": order.order, "amount": 4_900}
        await credit.book(MERCHANT, "boss", buyer, "repaid", "some", **some)
        await market.distribution.release()
        assert await market.on(ann) == (0, 990, 0, 0)
        rest: dict[str, Any] = {"amount": 5_000} if end == "repaid" else {"order": order.order, "reason": "bankrupt"}
        await credit.book(MERCHANT, "boss", buyer, end, "rest", **rest)
        await market.distribution.release()
        # Of 99 yuan 49 came: so much of the ten percent stays.
        assert await market.on(ann) == (0, 0, 990 if end == "repaid" else 490, 0)


STEP = st.tuples(
    st.sampled_from(["buy", "buy", "repaid", "lost", "given", "refund", "days"]), st.integers(1, 5), st.integers(0, 7)
)


@given(st.lists(STEP, min_size=6, max_size=12))
@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_happens_the_account_is_what_a_model_says(
    tmp_path_factory: pytest.TempPathFactory, steps: Any
) -> None:
    asyncio.run(_against_a_model(tmp_path_factory.mktemp("credit"), steps))


@pytest.mark.soak
@given(st.lists(STEP, max_size=30))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_happens_for_long_the_account_is_what_a_model_says(
    tmp_path_factory: pytest.TempPathFactory, steps: Any
) -> None:
    asyncio.run(_against_a_model(tmp_path_factory.mktemp("credit"), steps))


async def _against_a_model(where: Path, steps: Any) -> None:
    """The model knows one balance, below 0 when the shop owes; the audit knows the rest."""
    async with made(where) as world:
        await open_shop(world, "ann", units=200)
        orders: list[tuple[str, int]] = []
        balance = 0
        for n, (what, units, which) in enumerate(steps):
            amount, key = units * 700, f"k{n}"
            view = await world.shop.credit.account(MERCHANT, "ann")
            try:
                if what == "buy":
                    orders.append((await buy(world, "ann", key, units), units * PRICE))
                    balance += units * PRICE
                    assert balance <= TERMS.most and not view.overdue
                elif what == "days":
                    world.clock.advance(units * 7 * DAY_MS)
                elif what == "refund" and orders:
                    order, paid = orders.pop(which % len(orders))
                    gone = next(
                        debt.lost for debt in await world.shop.credit.debts(MERCHANT, "ann") if debt.order == order
                    )
                    await world.shop.aftersale.refund(MERCHANT, "boss", order, key, stock="sellable", reason="r")
                    balance -= paid - gone
                elif what == "lost" and orders:
                    order = orders[which % len(orders)][0]
                    left = next(
                        debt.left for debt in await world.shop.credit.debts(MERCHANT, "ann") if debt.order == order
                    )
                    await world.shop.credit.book(MERCHANT, "boss", "ann", "lost", key, order=order, reason="r")
                    balance -= left
                elif what in ("repaid", "given"):
                    await world.shop.credit.book(MERCHANT, "boss", "ann", what, key, amount=amount)
                    balance += amount if what == "given" else -amount
            except Refused as refused:
                assert refused.code in {"insufficient", "overdue", "over_payment", "already"}
            view = await world.shop.credit.account(MERCHANT, "ann")
            assert (
                view.owed - view.spare
                == balance
                == sum(line.amount for line in await world.shop.credit.statement(MERCHANT, "ann"))
            )
            assert view.owed == sum(view.ages.values()) and view.spare >= 0
