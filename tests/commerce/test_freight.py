"""What bringing goods costs: rules, the checkout's explained step, refunds, books, invoices, what couriers charge."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from commerce.basket import Basket
from commerce.books import Books
from commerce.courier import CourierState
from commerce.domain.day import day_of
from commerce.domain.freight import Freight, FreightTerms, fee_at, freight_back, freight_of, terms_fault
from commerce.domain.order import Delivery, WantedLine
from commerce.domain.pricing import CouponTerms, PricedLine, Purse, price_order
from commerce.domain.refund import PaidLine, decide_refund
from commerce.errors import Invalid, NotFound
from commerce.invoices import Invoices
from commerce.ledger_courier import CallCourier, MoveErrand
from tests.commerce.shop_world import MERCHANT, OTHER_SKU, ROOM, SKU, shop_world
from tests.commerce.test_outlets import NEAR, Stores

BANDS = ((500, 300), (2_000, 500), (3_000, 800))
RULE = FreightTerms(BANDS, free_from=20_000)
"""The store is 604 m from NEAR."""
BROUGHT = Delivery("courier", "Ann", "13800138000", "East road 1")


class Brought(Stores):
    """Stores whose couriers bring goods for a fee."""

    books: Books

    async def open(self) -> None:
        await super().open()
        self.books = Books(self.world.store, clock=self.world.clock)
        await self.stock(self.north, 9)
        await self.outlets.set_freight(MERCHANT, "boss", self.north, "courier", RULE)
        await self.books.set_rate(MERCHANT, "", 1_300, "boss")
        self.world.clock.advance(1_000)

    async def brought(self, units: int = 1, **more: Any) -> Any:
        where = Delivery("courier", "Ann", "13800138000", "East road 1", self.north, "", *NEAR)
        return await self.order(self.north, units, delivery=where, **more)

    async def paid(self, units: int = 1) -> Any:
        return await self.pay(await self.brought(units))

    async def errand(self, order: str, *states: CourierState) -> None:
        """Send a courier, and let it tell of itself."""
        made = await self.shop.ledger.submit(CallCourier(MERCHANT, order, "boss", "sandbox"))
        for state in states:
            told = CourierState(made.errand, state.kind, state.fee, penalty=state.penalty)
            await self.shop.ledger.submit(MoveErrand(MERCHANT, made.errand, "sandbox", told))

    async def refund(self, order: str, key: str, stock: str = "sellable", **more: Any) -> Any:
        return await self.shop.aftersale.refund(MERCHANT, "boss", order, key, stock=stock, reason="x", **more)

    async def booked(self, *codes: str) -> tuple[int, ...]:
        book = await self.books.book(MERCHANT, day_of(self.world.clock()))
        assert book.debit == book.credit
        found = {one.account: one.debit - one.credit for one in book.accounts}
        return tuple(found.get(code, 0) for code in codes)


@pytest.fixture
async def shop(anywhere: Path | str) -> AsyncIterator[Brought]:
    async with shop_world(anywhere) as world:
        brought = Brought(world)
        await brought.open()
        yield brought
        await brought.close()


@pytest.fixture
async def local(tmp_path: Path) -> AsyncIterator[Brought]:
    async with shop_world(tmp_path) as world:
        brought = Brought(world)
        await brought.open()
        yield brought
        await brought.close()


async def test_the_buyer_pays_what_was_quoted_and_the_books_have_it_apart_with_what_the_courier_charged(
    shop: Brought,
) -> None:
    lines = (WantedLine(SKU, 1),)
    asked = Basket(lines=lines, outlet=shop.north, way="courier", place=NEAR)
    quote = await shop.shop.members.quote(MERCHANT, ROOM, "ann", asked, best=True, points=False, stored=False)
    assert (quote.freight, quote.amount) == (500, 10_400)
    assert quote.steps[-1] == {"step": "freight", "amount": 500, "why": "courier, 0.6 km"}
    order = await shop.paid()
    assert (order.goods, order.freight, order.amount, order.due) == (9_900, 500, 10_400, 10_400)
    assert list(order.steps) == list(quote.steps)
    await shop.errand(order.order, CourierState("", "accepted", 735), CourierState("", "delivered", 740))
    # 99.00 and 5.00 with 13 % inside.
    sides = ("6001.01", "6001.09", "2221.01", "6401.05", "2202.03", "2205")
    assert await shop.booked(*sides) == (-8_761, -442, -1_197, 740, -740, 0)
    (margin,) = await shop.books.margins(MERCHANT, day_of(shop.world.clock()))
    assert (margin["revenue"], margin["cost"], margin["till"]) == (8_761 + 442, 740, False)
    # It was on its way: the fee stays the shop's.
    back = await shop.refund(order.order, "r1")
    assert back.amount == 9_900
    seen = await shop.shop.order(MERCHANT, order.order)
    assert (seen.status, seen.refunded) == ("partly_refunded", 9_900)
    # Who wants to may still give it back, as money that they name.
    assert (await shop.refund(order.order, "r2", "none", amount=500)).amount == 500
    assert (await shop.shop.order(MERCHANT, order.order)).status == "refunded"
    assert await shop.booked("2221.01", "2205") == (0, 0)


async def test_before_anybody_took_the_goods_the_fee_goes_back_with_the_last_of_them(shop: Brought) -> None:
    order = await shop.paid(2)
    await shop.errand(order.order, CourierState("", "accepted", 735), CourierState("", "failed", None, penalty=200))
    assert await shop.booked("6401.05", "2202.03") == (200, -200)
    assert (await shop.refund(order.order, "r1", lines=[(SKU, 1)])).amount == 9_900
    assert (await shop.refund(order.order, "r2", lines=[(SKU, 1)])).amount == 10_400
    assert (await shop.shop.order(MERCHANT, order.order)).status == "refunded"
    whole = await shop.paid()
    assert (await shop.refund(whole.order, "r3")).amount == 10_400


async def test_a_rider_who_has_the_goods_has_earned_the_fee_unless_the_rule_says_otherwise(local: Brought) -> None:
    for keeps, amount in ((True, 9_900), (False, 10_400)):
        await local.outlets.set_freight(
            MERCHANT, "boss", local.north, "courier", FreightTerms(BANDS, free_from=20_000, keeps=keeps)
        )
        order = await local.paid()
        await local.errand(order.order, CourierState("", "carried", 735))
        # What the rule says later changes nothing of this order.
        await local.outlets.set_freight(MERCHANT, "boss", local.north, "courier", RULE)
        assert (await local.refund(order.order, f"r{keeps}")).amount == amount


async def test_a_store_without_a_rule_has_the_shops_and_what_is_fetched_costs_nothing(local: Brought) -> None:
    await local.outlets.set_freight(MERCHANT, "boss", "", "express", FreightTerms(((0, 800),), free_from=15_000))
    await local.shop.stock_up(MERCHANT, OTHER_SKU, 30)

    async def freight(units: int, delivery: Delivery | None) -> int:
        made = await local.order("", units, sku=OTHER_SKU, delivery=delivery)
        return int(made.freight)

    sent = Delivery("express", "Ann", "13800138000", "East road 1")
    assert [await freight(units, sent) for units in (1, 7, 8)] == [800, 800, 0]
    await local.stock(local.north, 1, OTHER_SKU)
    assert await freight(1, Delivery("express", "Ann", "13800138000", "East road 1", local.north)) == 800
    assert await freight(1, Delivery("pickup", "Ann", "13800138000")) == await freight(1, None) == 0
    free = await local.brought(3)
    assert (free.freight, free.amount) == (0, 29_700)
    assert free.steps[-1] == {"step": "freight", "amount": 0, "why": "courier, 0.6 km, free from 200.00"}
    assert [one["outlet"] for one in await local.outlets.freight_rules(MERCHANT)] == ["", local.north]
    await local.outlets.set_freight(MERCHANT, "boss", local.north, "courier", None)
    assert (await local.brought()).freight == 0
    with pytest.raises(NotFound):
        await local.outlets.set_freight("m2", "boss", local.north, "courier", RULE)
    with pytest.raises(Invalid):
        await local.outlets.set_freight(MERCHANT, "boss", "", "courier", FreightTerms(()))


async def test_an_invoice_has_the_freight_as_a_line_at_the_shops_own_rate(local: Brought) -> None:
    order = await local.paid()
    invoices = Invoices(local.world.store, clock=local.world.clock)
    (blue,) = await invoices.ask(MERCHANT, order.order, "安", "", "ann")
    ((lines,),) = await local.world.query("SELECT lines FROM invoice")
    assert [(line["title"], line["amount"], line["tax"]) for line in orjson.loads(lines)["lines"]] == [
        ("tea p1", 9_900, 1_139),
        ("配送费", 500, 58),
    ]
    assert blue["amount"] == 10_400


@pytest.mark.parametrize(
    "terms",
    [
        FreightTerms(()),
        FreightTerms(((0, 1), (5, 1))),
        FreightTerms(((5, 1), (5, 2))),
        FreightTerms(((9, 1), (5, 2))),
        FreightTerms(((5, -1),)),
        FreightTerms(((5, 10**6),)),
        FreightTerms(((200_000, 1),)),
        FreightTerms(((5, 1),), free_from=0),
    ],
)
def test_rules_that_cannot_be_are_refused(terms: FreightTerms) -> None:
    assert terms_fault(terms) is not None


def test_the_fee_is_that_of_the_first_band_that_reaches_so_far_or_of_the_last() -> None:
    assert [fee_at(BANDS, metres) for metres in (0, 500, 501, 2_000, 9_999)] == [300, 300, 500, 500, 800]
    assert fee_at(BANDS, None) == 800 and fee_at(((0, 600),), 99_999) == fee_at(((0, 600),), None) == 600
    assert freight_of(FreightTerms(((0, 600),)), "express", None) == Freight("express", 600, "express")


@given(st.integers(1, 50), st.integers(1, 9_999), st.integers(0, 900), st.integers(0, 20_000), st.integers(0, 600_000))
def test_freight_is_beside_the_discount_and_the_steps_come_to_what_is_due(
    units: int, price: int, fee: int, stored: int, free_from: int
) -> None:
    freight = Freight("courier", fee, "courier", free_from or None)
    goods = [PricedLine("a", units, price)]
    made = price_order(goods, [CouponTerms("1", "t", 300)], Purse(50, stored), freight)
    plain = price_order(goods, [CouponTerms("1", "t", 300)], Purse(50, stored))
    assert made.amount == made.goods - made.discount + made.freight and made.freight in (0, fee)
    assert (made.discount, made.points, made.line_discounts) == (plain.discount, plain.points, plain.line_discounts)
    assert sum(step.amount for step in made.steps) == made.due >= 0


@given(st.lists(st.integers(1, 3), min_size=1, max_size=6), st.integers(1, 900), st.booleans())
def test_however_units_come_back_they_bring_all_the_money_and_the_freight_only_with_the_last(
    takes: list[int], freight: int, keeps: bool
) -> None:
    units, price = sum(takes), 77
    amount = units * price + freight
    refunded = back = 0
    for n, take in enumerate(takes):
        line = PaidLine(0, "a", units, price, 0, back)
        left = freight - freight_back(amount, freight, refunded)
        made = decide_refund([line], amount - refunded, [("a", take)], None, left, keeps=keeps)
        assert not isinstance(made, str)
        last = n == len(takes) - 1
        assert made.amount == take * price + (freight if last and not keeps else 0)
        assert (made.rest, made.whole) == (last and not keeps, last)
        refunded, back = refunded + made.amount, back + take
