"""Purchasing: what comes is worth what it cost, what is sold takes its share along, and the books say so to the 分."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from commerce.audit_sql import audit
from commerce.books import Book, Books
from commerce.catalogue_writes import CatalogueWrites
from commerce.domain.cost import moved_value, unit_cost
from commerce.domain.day import day_of
from commerce.domain.purchase import STATE_AFTER, PurchaseState, PurchaseStep, refuse_purchase_step
from commerce.errors import CommerceError, Invalid
from commerce.ledger_purchases import PurchaseView
from commerce.purchases import Purchases
from tests.commerce.shop_world import MERCHANT, OTHER_SKU, ROOM, SKU, World, shop_world
from tests.commerce.test_refunds import refund, settled


class Buying:
    """A shop that buys what it sells."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.purchases = Purchases(
            world.store, world.shop.ledger, CatalogueWrites(world.store, clock=world.clock), clock=world.clock
        )
        self.books = Books(world.store, clock=world.clock)
        self.supplier = ""

    async def ordered(self, *lines: tuple[str, int, int], number: str = "") -> PurchaseView:
        """An order of (SKU, units, 分 per unit) that was sent."""
        if not self.supplier:
            self.supplier = await self.purchases.save_supplier(MERCHANT, None, "茶厂", phone="021-5555")
        drafted = await self.purchases.save(MERCHANT, "boss", None, self.supplier, lines, number)
        return await self.step(drafted.purchase, "order")

    async def step(self, purchase: str, step: str, why: str = "") -> PurchaseView:
        self.world.clock.advance(1)
        return await self.purchases.step(MERCHANT, "boss", purchase, PurchaseStep(step), why)

    async def came(self, purchase: str, *lines: tuple[str, int, int | None], key: str = "d") -> PurchaseView:
        self.world.clock.advance(1)
        return await self.purchases.receive(MERCHANT, "boss", purchase, lines, key, "note 7", "at the door")

    async def bought(self, units: int, cost: int, sku: str = OTHER_SKU) -> PurchaseView:
        """Units that were ordered and came."""
        order = await self.ordered((sku, units, cost))
        return await self.came(order.purchase, (sku, units, None), key=order.purchase)

    async def sold(self, units: int, person: str = "one", key: str = "o") -> Any:
        """A paid order of units from the shelf that were sent."""
        order = await self.world.shop.create_order(MERCHANT, ROOM, person, key, lines=[(OTHER_SKU, units)])
        await self.world.shop.pay_order(MERCHANT, person, order.order, f"p{key}")
        self.world.clock.advance(1)
        await self.world.shop.aftersale.ship(MERCHANT, order.order, "sf", "1")
        self.world.clock.advance(1)
        return order

    async def book(self) -> Book:
        self.world.clock.advance(1)
        found = await self.books.book(MERCHANT, day_of(self.world.clock()))
        assert found.debit == found.credit
        return found

    async def closing(self) -> dict[str, int]:
        return {one.account: one.closing for one in (await self.book()).accounts}

    async def stock(self, sku: str = OTHER_SKU) -> tuple[int, int]:
        """Units on hand, and what they cost."""
        [row] = await self.world.query(
            "SELECT received + adjusted - shipped AS units, cost FROM stock WHERE sku = :sku", sku=sku
        )
        return row.units, row.cost


@pytest.fixture
async def shop(place: Path | str) -> AsyncIterator[Buying]:
    async with shop_world(place) as world:
        yield Buying(world)


@pytest.fixture
async def other(anywhere: Path | str) -> AsyncIterator[Buying]:
    async with shop_world(anywhere) as world:
        yield Buying(world)


@pytest.fixture
async def quick(tmp_path: Path) -> AsyncIterator[Buying]:
    async with shop_world(tmp_path) as world:
        yield Buying(world)


async def code_of(awaitable: Any) -> str:
    with pytest.raises(CommerceError) as refused:
        await awaitable
    return refused.value.code


async def test_what_is_sold_takes_its_share_of_what_was_paid_and_comes_back_with_it(shop: Buying) -> None:
    await shop.bought(3, 1_000)
    await shop.bought(4, 1_001)
    assert await shop.stock() == (7, 7_004)
    order = await shop.sold(3)
    # 3 of 7 units that cost 70.04 yuan: 30.01, and the rest stays with the others.
    assert await shop.stock() == (4, 4_003)
    book = await shop.book()
    assert (book.revenue, book.cost, book.margin) == (6_000, 3_001, 2_999)
    closing = {one.account: one.closing for one in book.accounts}
    assert (closing["1405"], closing["2202.01"], closing["6401.02"]) == (4_003, 7_004, 3_001)
    [line] = await shop.books.margins(MERCHANT, day_of(shop.world.clock()))
    assert (line["order_id"], line["revenue"], line["cost"], line["margin"]) == (order.order, 6_000, 3_001, 2_999)
    # Unit by unit, or at once: all that left comes back.
    await refund(shop.world, order.order, "a", lines=[(OTHER_SKU, 1)], stock="sellable")
    assert await shop.stock() == (5, 5_003)
    await refund(shop.world, order.order, "b", lines=[(OTHER_SKU, 2)], stock="quarantine")
    assert await shop.stock() == (7, 7_004)
    await settled(shop.world)
    book = await shop.book()
    assert (book.revenue, book.cost, book.margin) == (0, 0, 0)


async def test_a_short_delivery_waits_for_the_rest_or_is_closed_and_nothing_comes_after(other: Buying) -> None:
    order = await other.ordered((OTHER_SKU, 10, 500), (SKU, 2, 4_000), number="PO-1")
    assert (order.state, order.ordered, order.short) == ("ordered", 13_000, 12)
    part = await other.came(order.purchase, (OTHER_SKU, 4, None), (SKU, 2, 3_900))
    assert (part.state, part.amount, part.short) == ("partly", 2_000 + 7_800, 6)
    again = await other.came(order.purchase, (OTHER_SKU, 4, None), (SKU, 2, 3_900))
    assert again == part and await other.stock() == (4, 2_000)
    assert await code_of(other.came(order.purchase, (OTHER_SKU, 7, None), key="e")) == "insufficient"
    assert await code_of(other.step(order.purchase, "cancel")) == "already"
    closed = await other.step(order.purchase, "close_short", "sold out at the mill")
    assert (closed.state, closed.short) == ("received", 6)
    assert [one.step for one in closed.steps] == ["edit", "order", "receive_part", "close_short"]
    assert await code_of(other.came(order.purchase, (OTHER_SKU, 1, None), key="f")) == "already"
    # The trail of manual changes has the counts, under the order's number.
    rows = await other.world.query(
        "SELECT sku, before, after, why FROM manual_change WHERE what = 'stock' ORDER BY sku"
    )
    assert [(row.sku, row.before, row.after, row.why) for row in rows] == [
        (SKU, 0, 2, "PO-1 note 7 at the door"), (OTHER_SKU, 0, 4, "PO-1 note 7 at the door"),
    ]  # fmt: skip


async def test_what_goes_back_to_the_supplier_is_owed_no_longer(shop: Buying) -> None:
    order = await shop.bought(3, 1_000)
    await shop.bought(3, 2_000)
    assert await shop.stock() == (6, 9_000)

    def went(units: int, key: str, **more: Any) -> Any:
        return shop.purchases.send_back(MERCHANT, "boss", order.purchase, [(OTHER_SKU, units)], key, "", "damp", **more)

    back = await went(2, "r")
    assert (back.amount, back.lines[0].returned, back.state) == (1_000, 2, "received")
    assert await went(2, "r") == back
    assert await shop.stock() == (4, 6_000)
    assert await code_of(went(2, "s")) == "insufficient"
    assert await code_of(went(1, "t", quarantined=True)) == "sold_out"
    [supplier] = await shop.purchases.suppliers(MERCHANT)
    assert (supplier["owed"], supplier["open_orders"]) == (7_000, 0)
    closing = await shop.closing()
    # It left at the average (15 yuan) and is owed no longer at what it was bought for (10): the rest is cost.
    assert (closing["1405"], closing["2202.01"], closing["6401.02"]) == (6_000, 7_000, 1_000)
    assert await code_of(shop.purchases.pay(MERCHANT, "boss", shop.supplier, 7_001, "T1")) == "insufficient"
    paid = await shop.purchases.pay(MERCHANT, "boss", shop.supplier, 4_000, "T1")
    assert paid == await shop.purchases.pay(MERCHANT, "boss", shop.supplier, 4_000, "T1") or paid.owed == 3_000
    assert await code_of(shop.purchases.pay(MERCHANT, "boss", shop.supplier, 1, "T1")) == "key_reused"
    closing = await shop.closing()
    assert (closing["2202.01"], closing["1002"]) == (3_000, -4_000)


async def test_goods_without_a_purchase_cost_what_somebody_says_and_a_count_goes_by_the_average(other: Buying) -> None:
    await other.world.shop.stock_up(MERCHANT, OTHER_SKU, 3)
    assert await other.stock() == (3, 0)
    assert await other.purchases.set_cost(MERCHANT, "boss", OTHER_SKU, 1_000, "as of last year's books") == 3_000
    [view] = await other.purchases.costs(MERCHANT)
    assert (view.units, view.cost, view.unit_cost) == (3, 3_000, 1_000)
    await other.world.shop.stock_up(MERCHANT, OTHER_SKU, 2)
    await other.world.shop.stock_up(MERCHANT, OTHER_SKU, -1, "broken")
    assert await other.stock() == (4, 4_000)
    closing = await other.closing()
    assert {code: closing[code] for code in ("1405", "2202.02", "4104", "6602.01")} == {
        "1405": 4_000, "2202.02": 2_000, "4104": 3_000, "6602.01": 1_000,
    }  # fmt: skip
    [changed] = await other.world.query("SELECT before, after, why, staff FROM manual_change WHERE what = 'cost'")
    assert tuple(changed) == (0, 1_000, "as of last year's books", "boss")
    assert await code_of(other.purchases.set_cost(MERCHANT, "boss", SKU, 1, "none")) == "not_found"


async def test_a_sheet_goes_out_to_the_supplier_and_comes_back_as_a_draft(other: Buying) -> None:
    await other.world.store.write(
        lambda db: db.execute(
            text("INSERT INTO sku_detail (sku, merchant, code, grams) VALUES ('k2', 'm1', 'rice', 500)")
        )
    )
    order = await other.ordered((OTHER_SKU, 6, 325), (SKU, 2, 4_000))
    sheet = await other.purchases.export_file(MERCHANT, order.purchase)
    assert "rice,tea p2,,500g,3000,3.25,0,0,0.00" in sheet
    made, faults = await other.purchases.import_file(MERCHANT, "boss", sheet.encode(), other.supplier, "PO-2")
    assert made is not None and not faults
    assert [(one.sku, one.quantity, one.unit_cost) for one in made.lines] == [(OTHER_SKU, 6, 325), (SKU, 2, 4_000)]
    bad = "规格编码,数量,进价\r\nrice,750,3\r\nnone,1,1\r\nrice,x,1\r\nrice,1000,1.234\r\nk1,1,1\r\nk1,2,1\r\n"
    made, faults = await other.purchases.import_file(MERCHANT, "boss", bad.encode("gb18030"), other.supplier, "PO-3")
    assert made is None
    assert [(one.line, one.column) for one in faults] == [
        (2, "quantity"), (3, "sku"), (4, "quantity"), (5, "unit_cost"), (7, "sku"),
    ]  # fmt: skip
    with pytest.raises(Invalid):
        await other.purchases.import_file(MERCHANT, "boss", b"a,b\r\n1,2\r\n", other.supplier)


async def test_bad_orders_are_refused_and_leave_nothing(quick: Buying) -> None:
    order = await quick.ordered((OTHER_SKU, 1, 0), number="N")
    save = quick.purchases.save
    for lines in ([], [(OTHER_SKU, 1, 1)] * 2, [(OTHER_SKU, 0, 1)], [(OTHER_SKU, 1, -1)], [(OTHER_SKU, True, 1)]):
        assert await code_of(save(MERCHANT, "boss", None, quick.supplier, lines)) == "invalid"
    assert await code_of(save(MERCHANT, "boss", None, quick.supplier, [("k3", 1, 1)])) == "not_found"
    assert await code_of(save(MERCHANT, "boss", None, "nobody", [(SKU, 1, 1)])) == "not_found"
    assert await code_of(save(MERCHANT, "boss", None, quick.supplier, [(SKU, 1, 1)], "N")) == "already"
    assert await code_of(save(MERCHANT, "boss", order.purchase, quick.supplier, [(SKU, 1, 1)])) == "already"
    assert await code_of(save("m2", "boss", order.purchase, quick.supplier, [("k3", 1, 1)])) == "not_found"
    assert await code_of(quick.purchases.purchase("m2", order.purchase)) == "not_found"
    assert await quick.purchases.purchases("m2") == []
    await quick.purchases.save_supplier(MERCHANT, quick.supplier, "茶厂", closed=True)
    assert await code_of(save(MERCHANT, "boss", None, quick.supplier, [(SKU, 1, 1)])) == "closed"
    assert len(await quick.purchases.purchases(MERCHANT)) == 1


@pytest.mark.soak
async def test_the_trail_stays_as_it_was_written_after_the_migration(quick: Buying) -> None:
    await quick.bought(1, 1)
    with pytest.raises(DBAPIError, match="kept as they were written"):
        await quick.world.store.write(lambda db: db.execute(text("DELETE FROM manual_change")))


async def test_the_audit_finds_a_cost_that_no_purchase_explains(tmp_path: Path) -> None:
    async with shop_world(tmp_path) as world:
        shop = Buying(world)
        await shop.bought(2, 700)
        for spoil, mend in (
            ("UPDATE stock SET cost = cost + 1", "UPDATE stock SET cost = cost - 1"),
            ("UPDATE purchase_line SET amount = amount + 1", "UPDATE purchase_line SET amount = amount - 1"),
            ("UPDATE purchase_delivery SET amount = amount + 1", "UPDATE purchase_delivery SET amount = amount - 1"),
        ):
            await world.store.write(lambda db, one=spoil: db.execute(text(one)))  # type: ignore[misc]
            assert [one for one in audit(tmp_path, now_ms=world.clock()) if not one.ok], spoil
            await world.store.write(lambda db, one=mend: db.execute(text(one)))  # type: ignore[misc]


def test_every_step_of_a_purchase_order_is_in_the_table_or_refused() -> None:
    for state in PurchaseState:
        for step in PurchaseStep:
            code = refuse_purchase_step(state, step)
            assert (code is None) == ((state, step) in STATE_AFTER)
    assert refuse_purchase_step(PurchaseState.DRAFT, PurchaseStep.RECEIVE_REST) == "not_open"
    assert refuse_purchase_step(PurchaseState.ORDERED, PurchaseStep.CLOSE_SHORT) == "not_open"
    assert refuse_purchase_step(PurchaseState.CANCELLED, PurchaseStep.ORDER) == "already"


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(0, 9_999)), min_size=1), st.data())
def test_shares_of_a_value_add_up_to_it_however_units_leave(came: list[tuple[int, int]], data: st.DataObject) -> None:
    units = value = went = 0
    for more, cost in came:
        value += moved_value(units, value, more, cost)
        units += more
        leaving = data.draw(st.integers(0, units))
        if leaving:
            moved = moved_value(units, value, -leaving)
            assert 0 <= -moved <= value and -moved * units <= value * leaving
            units, value, went = units - leaving, value + moved, went - moved
        assert value >= 0 and (units > 0 or value == 0)
        assert unit_cost(units, value) * units <= value
    assert went + value == sum(cost for _, cost in came)
