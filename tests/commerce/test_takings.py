"""What tills take: booked once with the receipt or after it, given back as it was paid, counted at the end of a day."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, text

from commerce.books import Books
from commerce.domain.day import DAY_MS, day_of
from commerce.domain.ids import new_id
from commerce.domain.pos import Receipt, ReceiptLine
from commerce.domain.takings import TENDERS, Takings, refund_fault, takings_fault, tax_inside, tax_of_lines
from commerce.errors import Conflict, Invalid, NotFound, Refused
from commerce.ledger_purchases import SetCost
from commerce.pos import Buyer
from commerce.store_sql import migrate, sqlite_engine
from commerce.takings import TillTakings
from tests.commerce.shop_world import MERCHANT, OTHER_SKU, ROOM, SKU, START_MS, shop_world
from tests.commerce.test_outlets import Stores

COST = 301


def cash(amount: int, **more: Any) -> Takings:
    return Takings((("cash", amount),), **more)


def ann_and_a_card(db: Connection) -> None:
    """A member, and stored value to buy: 100 with 20 on top."""
    for statement in (
        "INSERT INTO person (id, merchant, name, created_ms) VALUES ('ann', 'm1', 'Ann', 0)",
        "INSERT INTO product (id, merchant, title, image, detail, on_shelf, created_ms)"
        " VALUES ('pc', 'm1', 'card', '', '', true, 0)",
        "INSERT INTO sku (id, product, merchant, name, price, list_price, version, kind, bonus)"
        " VALUES ('card', 'pc', 'm1', '', 10000, 10000, 1, 'stored', 2000)",
    ):
        db.execute(text(statement))


class Tills(Stores):
    """Stores with goods that cost something, and their books."""

    books: Books
    takings: TillTakings

    async def open(self) -> None:
        await super().open()
        self.books = Books(self.world.store, clock=self.world.clock)
        self.takings = TillTakings(self.world.store, self.shop.ledger, clock=self.world.clock)
        await self.shop.stock_up(MERCHANT, SKU, 9)
        await self.shop.ledger.submit(SetCost(MERCHANT, "boss", SKU, COST, "opening"))
        await self.move("", self.north, 9)
        await self.books.set_rate(MERCHANT, "", 1_300, "boss")
        self.world.clock.advance(2_000)

    @property
    def today(self) -> str:
        return day_of(self.world.clock())

    async def take(self, number: str, units: int, takings: Takings | None, buyer: Buyer | None = None) -> Any:
        """A sale of some units at 11.30 each."""
        lines = (ReceiptLine(SKU, "tea", units, units * 1_130),)
        receipt = Receipt(number, units * 1_130, self.world.clock() - 1_000, lines, "", takings)
        return await self.pos.sell(self.till, receipt, buyer or Buyer())

    async def give(self, number: str, of: str, units: int, takings: Takings | None) -> Any:
        back = (number, of, units * 1_130, self.world.clock(), [(SKU, units)], "sellable", takings)
        return await self.pos.refund(self.till, *back)

    async def drawer(self) -> dict[str, Any]:
        """The northern store's."""
        return next(one for one in await self.takings.drawers(MERCHANT) if one["outlet"] == self.north)

    async def booked(self, *codes: str) -> tuple[int, ...]:
        """Balances of the day, debits positive."""
        book = await self.books.book(MERCHANT, self.today)
        assert book.debit == book.credit
        found = {one.account: one.debit - one.credit for one in book.accounts}
        return tuple(found.get(code, 0) for code in codes)


@pytest.fixture
async def tills(anywhere: Path | str) -> AsyncIterator[Tills]:
    async with shop_world(anywhere) as world:
        tills = Tills(world)
        await tills.open()
        yield tills
        await tills.close()


@pytest.fixture
async def local(tmp_path: Path) -> AsyncIterator[Tills]:
    async with shop_world(tmp_path) as world:
        tills = Tills(world)
        await tills.open()
        yield tills
        await tills.close()


async def test_a_sale_with_its_takings_is_revenue_and_cost_and_its_return_takes_both_back(tills: Tills) -> None:
    takings = Takings((("cash", 1_260), ("wechat", 1_000)), discount=40)
    assert (await tills.take("R1", 2, takings)).booked
    sides = ("1001", "1012.till_wechat", "6001.06", "6001.07", "2221.01", "6401.04", "1406")
    # 22.60 with 13 % inside is 20.00 and 2.60; 0.40 was taken off before.
    assert await tills.booked(*sides) == (1_260, 1_000, -2_040, 40, -260, 2 * COST, 0)
    book = await tills.books.book(MERCHANT, tills.today)
    assert book.tills == {"revenue": 2_000, "cost": 2 * COST, "margin": 2_000 - 2 * COST} and book.margin == 1_398
    assert book.online == {"revenue": 0, "cost": 0, "margin": 0}
    assert (await tills.give("B1", "R1", 1, cash(1_130))).booked
    assert await tills.booked(*sides, "6001.08") == (130, 1_000, -2_040, 40, -130, COST, 0, 1_000)
    (row,) = await tills.takings.days(MERCHANT, tills.today)
    assert (row["gross"], row["discount"], row["refunded"], row["tax"], row["margin"]) == (2_300, 40, 1_130, 130, 699)
    assert row["tenders"] == {**dict.fromkeys(TENDERS, 0), "cash": 130, "wechat": 1_000}
    (margin,) = await tills.books.margins(MERCHANT, tills.today)
    assert (margin["revenue"], margin["cost"], margin["till"]) == (1_000, COST, True)
    csv = await tills.takings.days_csv(MERCHANT, tills.today)
    assert f"{tills.today},{tills.north},北店,1,1,23.00,0.40,22.60,11.30,1.30,10.00,3.01,6.99,1.30,10.00" in csv


async def test_takings_that_come_later_are_booked_when_they_come_and_once(tills: Tills) -> None:
    first = await tills.take("R1", 2, None)
    assert not first.booked and await tills.booked("1406", "6001.06", "6401.04") == (2 * COST, 0, 0)
    sold_ms = tills.world.clock()
    tills.world.clock.advance(2 * DAY_MS)
    (waiting,) = await tills.takings.waiting(MERCHANT, "", 10)
    assert (waiting["number"], waiting["amount"], waiting["cost"], waiting["age_ms"]) == ("R1", 2_260, 602, 2 * DAY_MS)
    north = await tills.drawer()
    assert (north["waiting"], north["waiting_amount"], north["oldest_ms"]) == (1, 2_260, sold_ms)
    await tills.books.close(MERCHANT, day_of(sold_ms), "boss")
    lines = (ReceiptLine(SKU, "tea", 2, 2_260),)
    for _ in range(2):
        again = await tills.pos.sell(tills.till, Receipt("R1", 2_260, sold_ms - 1_000, lines, "", cash(2_260)), Buyer())
        assert again.again and again.booked
    with pytest.raises(Conflict, match="others"):
        await tills.pos.sell(
            tills.till, Receipt("R1", 2_260, sold_ms - 1_000, lines, "", Takings((("card", 2_260),))), Buyer()
        )
    assert await tills.booked("6001.06", "6401.04", "1001") == (-2_000, 602, 2_260)
    assert await tills.takings.waiting(MERCHANT, "", 10) == []


async def test_a_refund_is_booked_after_its_sale_and_goes_back_as_it_was_paid(local: Tills) -> None:
    await local.take("R1", 2, None)
    with pytest.raises(Refused) as early:
        await local.give("B1", "R1", 1, cash(1_130))
    assert early.value.code == "not_open"
    assert not (await local.give("B1", "R1", 1, None)).booked
    assert await local.booked("1406") == (COST,)
    sale, back = await local.takings.waiting(MERCHANT, "", 10)
    assert (sale["kind"], back["kind"], back["cost"]) == ("sale", "refund", -COST)
    with pytest.raises(Refused):
        await local.takings.tell(MERCHANT, "boss", back["ref"], cash(1_130), "the paper says so")
    told = await local.takings.tell(MERCHANT, "boss", sale["ref"], cash(2_260), "the paper says so")
    assert (told.tax, told.cost) == (260, 602)
    await local.takings.tell(MERCHANT, "boss", back["ref"], cash(1_130), "the paper says so")
    assert await local.booked("1001", "1406", "6401.04", "2221.01") == (1_130, 0, COST, -130)
    # The till's own takings come too late for what somebody wrote down.
    assert (await local.give("B1", "R1", 1, Takings((("card", 1_130),)))).again
    with pytest.raises(Refused) as already:
        await local.takings.tell(MERCHANT, "boss", sale["ref"], cash(2_260), "again")
    assert already.value.code == "already"
    with pytest.raises(NotFound):
        await local.takings.tell("m2", "boss", sale["ref"], cash(2_260), "theirs")


async def test_stored_value_pays_at_the_till_by_the_members_code_and_comes_back_with_its_bonus(tills: Tills) -> None:
    await tills.world.store.write(ann_and_a_card)
    await tills.shop.stock_up(MERCHANT, "card", 1)
    top_up = await tills.shop.create_order(MERCHANT, ROOM, "ann", "top", lines=[("card", 1, None)])
    await tills.shop.pay_order(MERCHANT, "ann", top_up.order, "p")
    code = Buyer(code=tills.pos.code_of("ann"))
    takings = Takings((("stored", 1_200), ("cash", 1_060)))
    with pytest.raises(Invalid, match="code"):
        await tills.take("R0", 2, takings)
    with pytest.raises(Refused) as poor:
        await tills.take("R0", 20, Takings((("stored", 20 * 1_130),)), code)
    assert poor.value.code == "insufficient"
    await tills.take("R1", 2, takings, code)

    async def purse() -> tuple[int, int]:
        member = await tills.shop.members.member(MERCHANT, "ann")
        return member.principal, member.bonus

    assert await purse() == (9_000, 1_800)
    # All that was paid with money may go back as money, and no more.
    with pytest.raises(Invalid, match="stored value"):
        await tills.give("B1", "R1", 1, cash(1_130))
    await tills.give("B1", "R1", 1, Takings((("stored", 600), ("cash", 530))))
    assert await purse() == (9_500, 1_900)
    await tills.give("B2", "R1", 1, Takings((("stored", 600), ("cash", 530))))
    assert await purse() == (10_000, 2_000)
    assert await tills.booked("1001", "2221.01", "6401.04") == (0, 0, 0)


async def test_a_drawer_is_counted_against_what_was_booked_and_a_difference_has_a_reason(tills: Tills) -> None:
    await tills.take("R1", 2, cash(2_260))
    close, today = tills.takings.close, tills.today
    with pytest.raises(Refused) as refused:
        await close(MERCHANT, tills.north, "boss", today, 2_200)
    assert refused.value.code == "difference" and refused.value.extra == {"expected": 2_260}
    done = await close(MERCHANT, tills.north, "boss", today, 2_200, 2_000, "gave too much change")
    assert (done.opening, done.cash, done.difference) == (0, 2_260, -60)
    assert await close(MERCHANT, tills.north, "boss", today, 2_200, 2_000, "gave too much change") == done
    with pytest.raises(Conflict):
        await close(MERCHANT, tills.north, "boss", today, 2_100, 2_000, "no")
    assert await tills.booked("1001", "1002", "6602.02") == (200, 2_000, 60)
    tills.world.clock.advance(DAY_MS)
    await tills.take("R2", 1, cash(1_130))
    await tills.give("B2", "R2", 1, cash(1_130))
    await tills.take("R3", 1, cash(1_130))
    north = await tills.drawer()
    assert (north["opening"], north["cash"], north["expected"], north["closed"]) == (200, 1_130, 1_330, today)
    # Change that is put in is banked below 0.
    done = await close(MERCHANT, tills.north, "", tills.today, 1_330, -500)
    assert (done.difference, done.staff) == (0, "")
    with pytest.raises(Refused) as late:
        await close(MERCHANT, tills.north, "boss", today[:8] + "01", 0)
    assert late.value.code == "already"
    newest, oldest = await tills.takings.closes(MERCHANT, tills.north, None, 10)
    assert (newest["opening"], oldest["why"], oldest["name"]) == (200, "gave too much change", "北店")
    for day in ("2999-01-01", "yesterday"):
        with pytest.raises(Invalid):
            await close(MERCHANT, tills.north, "boss", day, 0)
    with pytest.raises(NotFound):
        await close("m2", tills.north, "boss", tills.today, 0)


async def test_tax_is_by_the_lines_rates_of_the_day_of_the_sale_unless_the_till_says(local: Tills) -> None:
    await local.books.set_rate(MERCHANT, OTHER_SKU, 900, "boss")
    local.world.clock.advance(10_000)
    lines = (ReceiptLine(OTHER_SKU, "tea", 1, 1_090), ReceiptLine("a book of others'", "", 1, 1_130))
    sold_ms = local.world.clock()
    await local.books.set_rate(MERCHANT, "", 0, "boss")
    for number, tax, amount in (("R1", None, 220), ("R2", 7, 7)):
        before = (await local.booked("2221.01"))[0]
        takings = cash(2_220, tax=tax)
        await local.pos.sell(local.till, Receipt(number, 2_220, sold_ms - 1, lines, "", takings), Buyer())
        assert (await local.booked("2221.01"))[0] == before - amount


async def test_what_tills_sold_before_waits_and_can_be_told_of(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    migrate(path, to="0083")
    engine = sqlite_engine(path, writing=True)
    receipt, refund = (new_id(at_ms, bytes(16)) for at_ms in (START_MS, START_MS + 1))
    with engine.begin() as connection:
        for statement in (
            "INSERT INTO outlet (id, merchant, name, address, phone, lat_e6, lng_e6, pickup, key_digest, created_ms)"
            " VALUES ('x', 'm1', 'x', 'x', '', 0, 0, true, 'x', 0)",
            "INSERT INTO pos_receipt (id, merchant, outlet, number, hash, amount, refunded, lines, sold_ms,"
            f" received_ms) VALUES ('{receipt}', 'm1', 'x', 'R1', 'h', 900, 100, '[]', 5, {START_MS})",
            "INSERT INTO pos_refund (id, merchant, outlet, number, hash, receipt, amount, refunded_ms, received_ms)"
            f" VALUES ('{refund}', 'm1', 'x', 'B1', 'h', '{receipt}', 100, 6, {START_MS})",
        ):
            connection.execute(text(statement))
    engine.dispose()
    async with shop_world(tmp_path) as world:
        takings = TillTakings(world.store, world.shop.ledger, clock=world.clock)
        assert [row["number"] for row in await takings.waiting(MERCHANT, "", 10)] == ["R1", "B1"]
        for ref, amount in ((receipt, 900), (refund, 100)):
            await takings.tell(MERCHANT, "boss", ref, cash(amount), "the paper")
        (drawer,) = await takings.drawers(MERCHANT)
        assert (drawer["expected"], drawer["waiting"]) == (800, 0)


@pytest.mark.parametrize(
    "takings",
    [
        Takings(()),
        Takings((("cash", 99),)),
        Takings((("cash", 50), ("cash", 50))),
        Takings((("cash", 101), ("card", -1))),
        Takings((("gold", 100),)),
        Takings((("cash", 100),), discount=-1),
        Takings((("cash", 100),), tax=100),
    ],
)
def test_takings_that_cannot_be_are_refused(takings: Takings) -> None:
    assert takings_fault(takings, 100) is not None


@given(st.integers(1, 10**9), st.integers(0, 2_000))
def test_the_tax_inside_is_less_than_the_amount_and_half_a_fen_from_the_fraction(amount: int, rate: int) -> None:
    tax = tax_inside(amount, rate)
    assert abs(tax * (10_000 + rate) - amount * rate) * 2 <= 10_000 + rate and 0 <= tax < amount
    assert tax_of_lines([], amount, {"": rate}) == tax_of_lines([("x", amount)], amount, {"": rate}) == tax


def test_money_goes_back_as_money_up_to_what_is_left_of_it() -> None:
    paid = {"cash": 100, "card": -20, "stored": 50}
    assert refund_fault(paid, [("card", 80), ("stored", 50)]) is None
    assert refund_fault(paid, [("cash", 81)]) is not None
    assert refund_fault(paid, [("stored", 51)]) is not None
