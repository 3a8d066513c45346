"""Invoices: once per order, without gaps, with the tax inside, and taken back to the 分 when money goes back."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from commerce.books import Books
from commerce.errors import Busy, Invalid, NotFound, Refused
from commerce.invoice import InvoiceRequest, IssuedInvoice
from commerce.invoices import Invoices
from tests.commerce.shop_world import MERCHANT, OTHER_SKU, ROOM, World, shop_world
from tests.commerce.test_refunds import paid, refund, settled


@pytest.fixture
async def world(place: Path | str) -> AsyncIterator[World]:
    async with shop_world(place) as opened:
        await Books(opened.store, clock=opened.clock).set_rate(MERCHANT, "", 1_300, "boss")
        opened.clock.advance(1)
        yield opened


async def reds(invoices: Invoices, order: str, count: int) -> list[dict[str, Any]]:
    """The order's red-letter invoices, once so many are issued."""
    async with asyncio.timeout(60):
        while True:
            rows = [one for one in await invoices.of_order(MERCHANT, order) if one["kind"] == "red"]
            if len(rows) == count and all(one["state"] == "issued" for one in rows):
                return rows
            await asyncio.sleep(0.01)


async def test_an_order_is_invoiced_once_and_each_refund_is_answered_by_a_red_letter(world: World) -> None:
    invoices = Invoices(world.store, clock=world.clock)
    world.shop.answer(invoices.hear)
    order = await paid(world, units=3, coupon=1_001)
    [blue] = await invoices.ask(MERCHANT, order.order, "思语科技", "91310000ma1k4bx92q", "one")
    assert (blue["kind"], blue["state"], blue["amount"]) == ("blue", "issued", order.amount)
    assert await invoices.ask(MERCHANT, order.order, "思语科技", "91310000MA1K4BX92Q") == [blue]
    with pytest.raises(Refused, match="somebody else"):
        await invoices.ask(MERCHANT, order.order, "别人", "")
    number, document, media_type = await invoices.document(MERCHANT, blue["id"], "one")
    root = ElementTree.fromstring(document)
    assert (len(number), number[2:5], media_type) == (20, "990", "application/xml")
    assert root.findtext("amount") == f"{order.amount / 100:.2f}"
    assert sum(round(float(line.attrib["amount"]) * 100) for line in root.iter("line")) == order.amount
    assert sum(round(float(line.attrib["tax"]) * 100) for line in root.iter("line")) == blue["tax"] > 0

    world.clock.advance(1)
    first = await refund(world, order.order, "a", lines=[(OTHER_SKU, 1)], stock="sellable")
    await reds(invoices, order.order, 1)
    world.clock.advance(1)
    await refund(world, order.order, "b")
    back = await reds(invoices, order.order, 2)
    await settled(world)
    assert {one["amount"] for one in back} == {first.amount, order.amount - first.amount}
    assert sum(one["tax"] for one in back) == blue["tax"]
    taken = ElementTree.fromstring((await invoices.document(MERCHANT, back[0]["id"]))[1])
    assert taken.findtext("takesBack") == number
    assert (taken.findtext("amount") or "").startswith("-")
    numbers = sorted(one["number"] for one in [blue, *back])
    assert [int(one) - int(numbers[0]) for one in numbers] == [0, 1, 2]


async def test_what_went_back_before_or_was_paid_with_nothing_is_not_invoiced(world: World) -> None:
    invoices = Invoices(world.store, clock=world.clock)
    order = await paid(world, units=3)
    given = await refund(world, order.order, "a", lines=[(OTHER_SKU, 1)], stock="sellable")
    [blue] = await invoices.ask(MERCHANT, order.order, "小雨", "")
    assert blue["amount"] == order.amount - given.amount
    await settled(world)
    await invoices.retry(MERCHANT)
    assert len(await invoices.of_order(MERCHANT, order.order)) == 1
    await world.shop.stock_up(MERCHANT, OTHER_SKU, 1)
    unpaid = await world.shop.create_order(MERCHANT, ROOM, "two", "u", lines=[(OTHER_SKU, 1)])
    with pytest.raises(Refused, match="paid"):
        await invoices.ask(MERCHANT, unpaid.order, "小雨", "")


class Away:
    """An issuer that is away at first, and remembers what it was asked."""

    name = "away"

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def issue(self, request: InvoiceRequest) -> IssuedInvoice:
        self.asked.append(request.id)
        if len(self.asked) < 2:
            raise Busy("the tax office sleeps")
        return IssuedInvoice("26990000000000000001", b"<invoice/>", "application/xml")


async def test_an_issuer_that_is_away_is_asked_again_under_the_same_id(tmp_path: Path) -> None:
    async with shop_world(tmp_path) as world:
        issuer = Away()
        invoices = Invoices(world.store, clock=world.clock, issuer=issuer)
        order = await paid(world, units=1)
        [asked] = await invoices.ask(MERCHANT, order.order, "小雨", "")
        assert (asked["state"], asked["error"]) == ("asked", "the tax office sleeps")
        with pytest.raises(NotFound):
            await invoices.document(MERCHANT, asked["id"])
        assert await invoices.retry(MERCHANT) == 0
        assert issuer.asked == [asked["id"]] * 2
        assert (await invoices.document(MERCHANT, asked["id"]))[0] == "26990000000000000001"


async def test_an_invoice_is_its_buyer_s_and_its_merchant_s_alone(tmp_path: Path) -> None:
    async with shop_world(tmp_path) as world:
        invoices = Invoices(world.store, clock=world.clock)
        order = await paid(world, units=1)
        [blue] = await invoices.ask(MERCHANT, order.order, "小雨", "", "one")
        for merchant, person in ((MERCHANT, "two"), ("m2", None)):
            with pytest.raises(NotFound):
                await invoices.document(merchant, blue["id"], person)
            with pytest.raises(NotFound):
                await invoices.ask(merchant, order.order, "x", "", person)
        for title, tax_number in (("", ""), ("x" * 101, ""), ("x", "123"), ("x", "９" * 18)):
            with pytest.raises(Invalid):
                await invoices.ask(MERCHANT, order.order, title, tax_number)
