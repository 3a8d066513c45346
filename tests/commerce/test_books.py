"""The day's books: every figure agrees with what lies behind it, closed periods stay, corrections go forward."""

import asyncio
import csv
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from commerce.audit_sql import audit
from commerce.books import Book, Books, book_csv, chart_csv
from commerce.domain.accounts import KINDS
from commerce.domain.bill import Bill, BillLine
from commerce.domain.chart import CLAIMS, MEMO, PLACES, account_fault
from commerce.domain.day import DAY_MS, day_of
from commerce.domain.member import Program
from commerce.errors import Invalid, Refused
from commerce.reconcile_sql import keep_bill
from tests.commerce.shop_world import MERCHANT, OTHER_SKU, ROOM, SKU, World, shop_world
from tests.commerce.test_refunds import paid, refund, settled


@pytest.fixture
async def world(place: Path | str) -> AsyncIterator[World]:
    async with shop_world(place) as opened:
        yield opened


def books_of(world: World) -> Books:
    return Books(world.store, clock=world.clock)


def today(world: World) -> str:
    return day_of(world.clock())


async def closing(world: World) -> dict[str, int]:
    book: Book = await books_of(world).book(MERCHANT, today(world))
    assert book.debit == book.credit
    return {one.account: one.closing for one in book.accounts}


async def test_an_order_goes_through_the_books_to_the_cent_and_back(world: World) -> None:
    books = books_of(world)
    await books.set_rate(MERCHANT, "", 1_300, "boss")
    await books.set_rate(MERCHANT, OTHER_SKU, 900, "boss")
    world.clock.advance(1)
    order = await paid(world, units=3, coupon=1_001)
    assert (order.goods, order.amount) == (11_000, 9_999)
    assert await closing(world) == {"1012.sandbox": 9_999, "2205": 9_999}
    world.clock.advance(1)
    await world.shop.aftersale.ship(MERCHANT, order.order, "a", "b")
    # Each line's tax is inside its share of what was paid: 13 % on the flash unit, 9 % on the others.
    nets = {line.sku: line.quantity * line.price - line.discount for line in order.lines}
    tax = round(nets[SKU] * 13 / 113) + round(nets[OTHER_SKU] * 9 / 109)
    after = await closing(world)
    assert after == {
        "1012.sandbox": 9_999, "2205": 0, "2221.01": tax, "6001.01": 11_000 - tax, "6001.02": -1_001,
    }  # fmt: skip
    world.clock.advance(1)
    back = await refund(world, order.order, "a", lines=[(OTHER_SKU, 1)], stock="sellable")
    world.clock.advance(1)
    await refund(world, order.order, "b")
    await settled(world)
    world.clock.advance(1)
    after = await closing(world)
    assert back.amount > 0
    assert (after["1012.sandbox"], after["2205"], after["2241.01"], after["2221.01"]) == (0, 0, 0, 0)
    assert after["6001.01"] + after["6001.02"] + after["6001.04"] == 0
    statement = await world.shop.aftersale.statement(MERCHANT, today(world))
    assert statement.money.closing == 0


async def test_money_given_back_before_the_goods_left_is_no_revenue(world: World) -> None:
    order = await paid(world, units=3)
    world.clock.advance(1)
    given = await refund(world, order.order, "a", lines=[(OTHER_SKU, 1)], stock="sellable")
    await settled(world)
    world.clock.advance(1)
    await world.shop.aftersale.ship(MERCHANT, order.order, "a", "b")
    world.clock.advance(1)
    after = await closing(world)
    assert after["6001.01"] + after["6001.04"] == order.amount - given.amount == after["1012.sandbox"]
    assert after["2205"] == 0


async def test_stored_value_and_points_are_liabilities_until_they_are_spent(world: World) -> None:
    await world.shop.members.set_program(MERCHANT, "boss", Program(yuan_points=1, points_percent=50, window_days=0))
    await world.store.write(lambda db: _run(db, "UPDATE sku SET kind = 'stored', bonus = 700 WHERE id = 'k1'"))
    await world.shop.stock_up(MERCHANT, "k1", 1)
    card = await world.shop.create_order(MERCHANT, ROOM, "one", "card", lines=[("k1", 1)])
    await world.shop.pay_order(MERCHANT, "one", card.order, "p")
    await settled_payment(world, card.order)
    world.clock.advance(1)
    bought = await closing(world)
    assert (bought["2204.01"], bought["2204.02"], bought["6601.01"]) == (9_900, 700, 700)
    assert (bought["1012.sandbox"], bought.get("2205", 0)) == (9_900, 0)
    await world.shop.stock_up(MERCHANT, OTHER_SKU, 3)
    order = await world.shop.create_order(MERCHANT, ROOM, "one", "o", lines=[(OTHER_SKU, 3)], stored=2_000)
    await world.shop.pay_order(MERCHANT, "one", order.order, "q")
    await settled_payment(world, order.order)
    world.clock.advance(1)
    await world.shop.aftersale.ship(MERCHANT, order.order, "a", "b")
    world.clock.advance(1)
    after = await closing(world)
    assert after["2204.01"] + after["2204.02"] == 10_600 - 2_000
    assert (after["2205"], after["6001.01"]) == (0, 6_000)
    points = await world.query("SELECT sum(balance) AS n FROM account WHERE kind LIKE 'points%' AND owner <> ''")
    assert after.get("2204.03", 0) == int(points[0].n or 0)


async def settled_payment(world: World, order: str) -> None:
    """Until the sandbox's notice has come."""
    async with asyncio.timeout(60):
        while (await world.shop.order(MERCHANT, order)).status == "pending":
            await asyncio.sleep(0.01)


def _run(db: Connection, *statements: str) -> None:
    for statement in statements:
        db.execute(text(statement))


async def test_each_figure_can_be_followed_to_the_rows_behind_it(world: World) -> None:
    order = await paid(world, units=2)
    world.clock.advance(1)
    await world.shop.aftersale.ship(MERCHANT, order.order, "a", "b")
    world.clock.advance(1)
    books, day = books_of(world), today(world)
    book = await books.book(MERCHANT, day)
    for one in book.accounts:
        rows = await books.entries(MERCHANT, day, account=one.account, limit=500)
        assert len(rows) == one.entries
        assert sum(max(row["amount"], 0) for row in rows) == one.debit
        assert sum(max(-row["amount"], 0) for row in rows) == one.credit
        assert {row["order_id"] for row in rows} == {order.order}
    paged = [row for skip in range(0, 9, 2) for row in await books.entries(MERCHANT, day, skip=skip, limit=2)]
    assert paged == await books.entries(MERCHANT, day, limit=500)
    sheet = list(csv.DictReader(io.StringIO(await books.journal_csv(MERCHANT, day))))
    assert sum(float(row["debit"]) for row in sheet) == pytest.approx(book.debit / 100)
    moved = await books.stock(MERCHANT, day, sku=OTHER_SKU, limit=500)
    # Those of one millisecond come in any order.
    assert sorted(row["kind"] for row in moved) == ["held", "received", "shipped", "sold"]
    everything = await books.stock(MERCHANT, day, limit=500)
    assert (await books.stock_csv(MERCHANT, day)).count("\r\n") == len(everything) + 1 > len(moved) + 1
    assert "合计" in book_csv(book) and "2204.03" in chart_csv()


async def test_a_closed_period_stays_and_what_comes_later_is_dated_forward(world: World) -> None:
    order = await paid(world, units=2)
    books, first = books_of(world), today(world)
    with pytest.raises(Refused) as early:
        await books.close(MERCHANT, first, "boss")
    assert early.value.code == "not_open"
    world.clock.advance(2 * DAY_MS)
    closed = await books.close(MERCHANT, first, "boss")
    assert closed["balances"] == {"1012.sandbox": order.amount, "2205": -order.amount}
    with pytest.raises(Refused) as again:
        await books.close(MERCHANT, first, "boss")
    assert again.value.code == "already"
    before = await books.book(MERCHANT, first)
    assert before.closed
    with pytest.raises(Refused) as late:
        await books.correct(MERCHANT, "6711", "1002", 500, "rounding", "boss", first)
    assert (late.value.code, late.value.extra["day"]) == ("closed", day_of(world.clock() - DAY_MS))
    made = await books.correct(MERCHANT, "6711", "1002", 500, "rounding", "boss", late.value.extra["day"])
    await world.shop.aftersale.ship(MERCHANT, order.order, "a", "b")
    world.clock.advance(1)
    assert await books.book(MERCHANT, first) == before
    assert made["day"] == day_of(world.clock() - DAY_MS)
    # From the closed period's balances on, or from the very beginning: the same.
    now = await closing(world)
    assert (now["6711"], now["1002"], now["6001.01"], now["2205"]) == (500, -500, order.amount, 0)
    for table in ("book_close", "book_correction"):
        with pytest.raises(DBAPIError, match="kept as they were written"):
            await world.store.write(lambda db, name=table: _run(db, f"DELETE FROM {name}"))  # type: ignore[misc]


async def test_a_provider_s_fee_is_booked_once_on_the_day_it_became_known(world: World) -> None:
    order = await paid(world, units=2)
    [payment] = await world.query("SELECT id, number FROM payment WHERE order_id = :o", o=order.order)
    day = today(world)
    line = BillLine("paid", payment.number, payment.id, "", order.amount, 24)
    world.clock.advance(DAY_MS)
    for later in (1, 2):
        moment = world.clock() + later
        await world.store.write(lambda db, at=moment: keep_bill(db, "sandbox", day, Bill(b"x", (line,)), at))  # type: ignore[misc]
    world.clock.advance(10)
    after = await closing(world)
    assert (after["6603.01"], after["1012.sandbox"]) == (24, order.amount - 24)
    assert "6603.01" not in {one.account for one in (await books_of(world).book(MERCHANT, day)).accounts}


async def test_the_audit_finds_a_closed_period_that_no_longer_reads_the_same(tmp_path: Path) -> None:
    async with shop_world(tmp_path) as world:
        order = await paid(world, units=2)
        day = today(world)
        world.clock.advance(2 * DAY_MS)
        await books_of(world).close(MERCHANT, day, "boss")
        name = "books: they add up, agree with the accounts, and closed periods read the same"
        assert next(one for one in audit(tmp_path, now_ms=world.clock()) if one.name == name).ok
        await world.store.write(
            lambda db: _run(db, "UPDATE payment_event SET received_ms = received_ms + 86400000 * 1")
        )
        found = next(one for one in audit(tmp_path, now_ms=world.clock()) if one.name == name)
        assert not found.ok and found.detail
        await world.store.write(lambda db: _run(db, "UPDATE payment_event SET received_ms = received_ms - 86400000"))
        assert order.amount


@pytest.mark.parametrize("day", ["", "2026-02-30", "9999-01-01", "tomorrow"])
async def test_what_is_no_day_is_refused(tmp_path: Path, day: str) -> None:
    async with shop_world(tmp_path) as world:
        with pytest.raises(Invalid):
            await books_of(world).book(MERCHANT, day)
        with pytest.raises(Invalid):
            await books_of(world).book(MERCHANT, today(world), day_of(world.clock() - DAY_MS))


async def test_a_correction_needs_two_accounts_of_the_chart_an_amount_and_a_reason(tmp_path: Path) -> None:
    async with shop_world(tmp_path) as world:
        books = books_of(world)
        bad: list[tuple[Any, ...]] = [
            ("9999", "1002", 1, "x"), ("1002", "1002", 1, "x"), ("1002", "6711", 0, "x"), ("1002", "6711", 1, " "),
            ("1012", "6711", 1, "x"),
        ]  # fmt: skip
        for debit, credit, amount, why in bad:
            with pytest.raises(Invalid):
                await books.correct(MERCHANT, debit, credit, amount, why, "boss")
        assert account_fault("1012.alipay") is None


def test_every_kind_of_entry_has_its_place_in_the_chart() -> None:
    assert set(KINDS) == set(PLACES) | MEMO
    assert set(PLACES) >= CLAIMS
