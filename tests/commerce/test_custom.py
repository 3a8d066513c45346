"""Custom orders: wishes with their price, the making from stage to stage, requests and offers, changes of mind."""

import contextlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commerce.domain.custom import CustomField, CustomForm, Offer, Option, Wish, form_fault, grant, offer_fault
from commerce.domain.day import DAY_MS
from commerce.domain.order import Delivery, WantedLine, sum_lines
from commerce.errors import Invalid, NotFound, Refused
from commerce.events import OfferMade, OrderMaking, OrderView
from tests.commerce.shop_world import MERCHANT, OTHER_SKU, ROOM, SKU, START_MS, World, shop_world
from tests.commerce.template import migrated
from tests.commerce.test_presale import settle_down

RING = CustomForm(
    (
        CustomField("刻字", "text", required=True, most=8, amount=500),
        CustomField("wood", "choice", options=(Option("oak"), Option("walnut", 3_000))),
        CustomField("cm", "number", least=10, most=90, amount=20),
    ),
    making_days=7,
)
KITCHEN = CustomForm((CustomField("front", "text", most=30),), making_days=30, asked=True)
WISHED = (("cm", "50"), ("wood", "walnut"), ("刻字", "永远"))
EXTRA = 500 + 3_000 + 1_000
TO = Delivery("express", "Ann", "13800138000", "some road 1")


def made(where: Path | str) -> contextlib.AbstractAsyncContextManager[World]:
    """An open shop on a database that was migrated before."""
    migrated(where)
    return shop_world(where, synchronous="OFF")


async def code_of(awaitable: Any) -> str:
    with pytest.raises(Refused) as caught:
        await awaitable
    return caught.value.code


async def ordered(world: World, *lines: WantedLine, person: str = "ann", key: str = "o", pay: bool = True) -> OrderView:
    order = await world.shop.create_order(MERCHANT, ROOM, person, key, lines=lines, delivery=TO)
    return await world.shop.pay_order(MERCHANT, person, order.order, f"{key}-p") if pay else order


async def furnish(world: World, form: CustomForm = RING, units: int = 5) -> None:
    await world.shop.stock_up(MERCHANT, OTHER_SKU, units)
    await world.shop.custom.set_form(MERCHANT, "boss", OTHER_SKU, form)


async def offered(world: World, offer: Offer, person: str = "ann", units: int = 2) -> str:
    asked = await world.shop.custom.ask(MERCHANT, ROOM, person, OTHER_SKU, units, (("front", "white"),), "3 m", "ask")
    return (await world.shop.custom.offer(MERCHANT, "boss", asked.request, offer, "with pleasure")).request


def terms(percent: int = 30, missed: str = "keep") -> Offer:
    return Offer(10_001, percent, missed, START_MS + 20 * DAY_MS, START_MS + 5 * DAY_MS)


async def units(world: World) -> tuple[int, ...]:
    [row] = await world.query("SELECT free, held, sold, shipped FROM stock WHERE sku = :sku", sku=OTHER_SKU)
    return tuple(row)


@pytest.mark.parametrize(
    ("field", "why"),
    [
        (CustomField("", "text", most=5), "label"),
        (CustomField("a", "film"), "kind"),
        (CustomField("a", "picture"), "1 to 9 pictures"),
        (CustomField("a", "text"), "characters"),
        (CustomField("a", "choice"), "options"),
        (CustomField("a", "choice", options=(Option("x"), Option("x"))), "different"),
        (CustomField("a", "number", least=5, most=4), "between"),
        (CustomField("a", "text", most=5, amount=-1), "0 分"),
        (CustomField("a", "text", most=5, options=(Option("x"),)), "only a choice"),
    ],
)
def test_a_form_that_makes_no_sense_says_which_field_and_why(field: CustomField, why: str) -> None:
    fault = form_fault(CustomForm((field,)))
    assert fault is not None and fault[0] == "fields" and why in fault[1]


@pytest.mark.parametrize(
    "wanted",
    [
        (),
        (("刻字", "   "),),
        (("刻字", "nine char"),),
        (("刻字", "a\u202eb"),),
        (("刻字", "a\nb"),),
        (("刻字", "a"), ("wood", "gold")),
        (("刻字", "a"), ("cm", "9")),
        (("刻字", "a"), ("cm", "-20")),
        (("刻字", "a"), ("cm", "2.5")),
        (("刻字", "a"), ("cm", "\u0665\u0660")),
        (("刻字", "a"), ("cm", "9" * 40)),
        (("刻字", "a"), ("colour", "red")),
    ],
)
def test_wishes_that_the_form_does_not_know_are_refused(wanted: tuple[tuple[str, str], ...]) -> None:
    with pytest.raises(ValueError, match=r"."):
        grant(RING, wanted)


@given(st.text(max_size=12), st.text(max_size=12), st.text(max_size=12))
@settings(max_examples=60, deadline=None)
def test_whatever_is_filled_in_is_granted_within_its_bounds_or_refused(text: str, wood: str, size: str) -> None:
    try:
        wishes = grant(RING, (("cm", size), ("wood", wood), ("刻字", text)))
    except ValueError:
        return
    assert wishes[0].label == "刻字" and 0 < len(wishes[0].value) <= 8
    assert sum(wish.amount for wish in wishes) <= 500 + 3_000 + 90 * 20


def test_lines_of_different_wishes_stay_apart_and_of_the_same_become_one() -> None:
    one, other = (WantedLine(SKU, 1, 3, (("a", value),)) for value in "xy")
    assert sum_lines([one, other, one]) == [WantedLine(SKU, 2, 3, (("a", "x"),)), other]


@pytest.mark.parametrize(
    ("offer", "field"),
    [
        (Offer(0, 0, "keep", 9 * DAY_MS, DAY_MS), "price"),
        (Offer(1, 50, "keep", 9 * DAY_MS, DAY_MS), "deposit_percent"),
        (Offer(100, 91, "keep", 9 * DAY_MS, DAY_MS), "deposit_percent"),
        (Offer(100, 10, "burn", 9 * DAY_MS, DAY_MS), "missed"),
        (Offer(100, 10, "keep", 9 * DAY_MS, 0), "valid"),
        (Offer(100, 10, "keep", DAY_MS, 2 * DAY_MS), "deliver"),
    ],
)
def test_an_offer_that_cannot_be_kept_says_which_field(offer: Offer, field: str) -> None:
    fault = offer_fault(offer, 0)
    assert fault is not None and fault[0] == field


async def test_wishes_are_priced_by_the_one_function_and_stay_with_the_line(anywhere: Path | str) -> None:
    async with made(anywhere) as world:
        await furnish(world)
        lines = [WantedLine(OTHER_SKU, 2, 1, WISHED), WantedLine(OTHER_SKU, 1, 1, (("刻字", "Bo"),))]
        order = await ordered(world, *lines)
        assert [line.price for line in order.lines] == [2_000 + EXTRA, 2_500]
        assert order.amount == 2 * (2_000 + EXTRA) + 2_500 == sum(step["amount"] for step in order.steps)
        assert {"step": "custom", "amount": 2 * EXTRA + 500, "why": "made to the buyer's wishes"} in order.steps
        assert order.lines[0].wishes == (
            {"label": "刻字", "value": "永远", "amount": 500},
            {"label": "wood", "value": "walnut", "amount": 3_000},
            {"label": "cm", "value": "50", "amount": 1_000},
        )
        assert order.production is not None and order.production.stage == "paid"
        assert order.production.due == START_MS + 7 * DAY_MS
        assert await units(world) == (2, 0, 3, 0)
        # What was ordered stays as it was when the form goes.
        await world.shop.custom.set_form(MERCHANT, "boss", OTHER_SKU, None)
        assert (await world.shop.order(MERCHANT, order.order)).lines == order.lines
        with pytest.raises(Invalid):
            await ordered(world, lines[1], key="again")


async def test_a_form_of_the_product_holds_for_its_skus_and_goods_without_one_take_no_wishes(
    anywhere: Path | str,
) -> None:
    async with made(anywhere) as world:
        await world.shop.stock_up(MERCHANT, SKU, 1)
        await world.shop.stock_up(MERCHANT, OTHER_SKU, 1)
        await world.shop.custom.set_form(MERCHANT, "boss", "p2", RING)
        assert [form.target for form in await world.shop.custom.forms(MERCHANT, [SKU, OTHER_SKU])] == [OTHER_SKU]
        with pytest.raises(Invalid) as caught:
            await ordered(world, WantedLine(SKU, 1, None, WISHED))
        assert caught.value.extra["field"] == "custom"
        with pytest.raises(Invalid):
            await ordered(world, WantedLine(OTHER_SKU, 1), key="bare")
        with pytest.raises(NotFound):
            await world.shop.custom.set_form(MERCHANT, "boss", "k3", RING)
        assert await units(world) == (1, 0, 0, 0)


async def test_goods_are_sent_only_when_they_are_made_and_each_stage_is_told(anywhere: Path | str) -> None:
    async with made(anywhere) as world:
        await furnish(world)
        order = await ordered(world, WantedLine(OTHER_SKU, 1, None, WISHED))
        custom, ship = world.shop.custom, world.shop.aftersale.ship
        assert await code_of(ship(MERCHANT, order.order, "SF", "1")) == "not_open"
        assert await code_of(custom.produce(MERCHANT, order.order, "making")) == "not_open"
        for stage in ("confirmed", "making", "ready"):
            world.clock.advance(DAY_MS)
            view = await custom.produce(MERCHANT, order.order, stage)
            assert view.production is not None and getattr(view.production, stage) == world.clock()
        assert await code_of(custom.produce(MERCHANT, order.order, "making")) == "already"
        [work] = await custom.work(MERCHANT, "ready")
        assert work.settled and work.lines[0]["wishes"][0]["value"] == "永远" and work.delivery is not None
        assert "刻字: 永远; wood: walnut; cm: 50" in await custom.packing_list(MERCHANT)
        sent = await ship(MERCHANT, order.order, "SF", "1")
        assert sent.production is not None and sent.production.sent == world.clock()
        assert await custom.work(MERCHANT) == []
        told = [event.order.production for event in await world.told() if isinstance(event, OrderMaking)]
        assert [view.stage for view in told if view is not None] == ["confirmed", "making", "ready"]
        await world.shop.aftersale.refund(MERCHANT, "boss", order.order, "r", stock="quarantine", reason="broken")
        assert (await world.shop.order(MERCHANT, order.order)).status == "refunded"


async def test_a_buyer_may_cancel_until_the_making_begins_and_the_shop_refunds_at_any_time(
    anywhere: Path | str,
) -> None:
    async with made(anywhere) as world:
        await furnish(world)
        custom = world.shop.custom
        first = await ordered(world, WantedLine(OTHER_SKU, 1, None, WISHED))
        await custom.produce(MERCHANT, first.order, "confirmed")
        back = await custom.cancel(MERCHANT, "ann", first.order, "c")
        assert back.amount == first.amount and await custom.cancel(MERCHANT, "ann", first.order, "c") == back
        assert await code_of(custom.cancel(MERCHANT, "ann", first.order, "d")) == "already"
        assert await code_of(custom.produce(MERCHANT, first.order, "making")) == "gone"
        assert await units(world) == (5, 0, 0, 0)
        other = await ordered(world, WantedLine(OTHER_SKU, 1, None, WISHED), key="o2")
        with pytest.raises(NotFound):
            await custom.cancel(MERCHANT, "bo", other.order, "c")
        for stage in ("confirmed", "making"):
            await custom.produce(MERCHANT, other.order, stage)
        assert await code_of(custom.cancel(MERCHANT, "ann", other.order, "e")) == "already"
        await world.shop.aftersale.refund(MERCHANT, "boss", other.order, "r", stock="sellable", reason="our fault")
        ended = await world.shop.order(MERCHANT, other.order)
        assert ended.production is not None and ended.production.ended == world.clock()
        await settle_down(world)


async def test_the_packing_list_has_every_order_and_the_workbench_goes_on_page_by_page(
    anywhere: Path | str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("commerce.custom.LIST_MAX", 2)
    monkeypatch.setattr("commerce.custom_sql.LIST_MAX", 2)
    async with made(anywhere) as world:
        await furnish(world)
        orders = []
        for n in range(5):
            wanted = WantedLine(OTHER_SKU, 1, wishes=WISHED)
            orders.append((await ordered(world, wanted, person=f"p{n}", key=f"o{n}")).order)
            # What is bought later is due later.
            world.clock.advance(1)
        packed = (await world.shop.custom.packing_list(MERCHANT)).splitlines()[1:]
        assert [row.split(",")[0] for row in packed] == orders
        first = await world.shop.custom.work(MERCHANT)
        assert [one.order for one in first] == orders[:2]
        await world.shop.custom.produce(MERCHANT, orders[1], "confirmed")
        behind = await world.shop.custom.work(MERCHANT, after=orders[1])
        assert [one.order for one in behind] == orders[2:4]
        assert await world.shop.custom.work("m2", after=orders[1]) == []


async def test_plain_orders_have_no_making(anywhere: Path | str) -> None:
    async with made(anywhere) as world:
        await world.shop.stock_up(MERCHANT, OTHER_SKU, 1)
        order = await ordered(world, WantedLine(OTHER_SKU, 1))
        assert order.production is None and order.lines[0].wishes is None
        assert await code_of(world.shop.custom.produce(MERCHANT, order.order, "confirmed")) == "not_open"
        assert await code_of(world.shop.custom.cancel(MERCHANT, "ann", order.order, "c")) == "not_open"


async def test_an_offer_is_ordered_with_its_deposit_and_made_while_the_balance_is_owed(anywhere: Path | str) -> None:
    async with made(anywhere) as world:
        await furnish(world, KITCHEN)
        assert await code_of(ordered(world, WantedLine(OTHER_SKU, 1))) == "not_open"
        request = await offered(world, terms())
        [told] = [event for event in await world.told() if isinstance(event, OfferMade)]
        assert (told.person, told.request, told.state, told.price) == ("ann", request, "offered", 10_001)
        stale = world.shop.create_order(MERCHANT, ROOM, "ann", "o", offer=(request, 9))
        assert await code_of(stale) == "price_changed"
        order = await world.shop.create_order(MERCHANT, ROOM, "ann", "o2", offer=(request, 1), delivery=TO)
        # 30 % of 100.01 yuan, rounded down to the cent, for each of two.
        assert order.amount == 2 * 3_000 and order.presale is not None
        again = world.shop.create_order(MERCHANT, ROOM, "ann", "o3", offer=(request, 1))
        assert await code_of(again) == "already"
        paid = await world.shop.pay_order(MERCHANT, "ann", order.order, "p")
        assert paid.presale is not None and paid.presale.balance_order is not None
        balance = await world.shop.order(MERCHANT, paid.presale.balance_order)
        assert (balance.due, balance.status) == (2 * 10_001 - 6_000, "pending")
        assert balance.lines[0].wishes == ({"label": "front", "value": "white", "amount": 0},)
        assert balance.production is not None and balance.production.due == START_MS + 20 * DAY_MS
        for stage in ("confirmed", "making", "ready"):
            await world.shop.custom.produce(MERCHANT, balance.order, stage)
        [work] = await world.shop.custom.work(MERCHANT)
        assert work.goods_order == balance.order and not work.settled
        assert await code_of(world.shop.aftersale.ship(MERCHANT, balance.order, "SF", "1")) == "not_open"
        await world.shop.pay_order(MERCHANT, "ann", balance.order, "pb")
        await world.shop.aftersale.ship(MERCHANT, balance.order, "SF", "1")
        assert await units(world) == (3, 0, 0, 2)
        [one] = await world.shop.custom.requests(MERCHANT, "ann")
        assert (one.state, one.order) == ("ordered", order.order)


@pytest.mark.parametrize("missed", ["keep", "refund"])
async def test_a_balance_that_does_not_come_ends_the_making_and_the_deposit_goes_as_agreed(
    anywhere: Path | str, missed: str
) -> None:
    async with made(anywhere) as world:
        await furnish(world, KITCHEN)
        request = await offered(world, terms(missed=missed))
        order = await world.shop.create_order(MERCHANT, ROOM, "ann", "o", offer=(request, 1))
        await world.shop.pay_order(MERCHANT, "ann", order.order, "p")
        await world.shop.custom.produce(MERCHANT, order.order, "confirmed")
        await world.shop.custom.produce(MERCHANT, order.order, "making")
        world.clock.now_ms = START_MS + 21 * DAY_MS
        await settle_down(world)
        ended = await world.shop.order(MERCHANT, order.order)
        assert ended.status == ("paid" if missed == "keep" else "refunded")
        assert ended.production is not None and ended.production.ended is not None
        assert await units(world) == (5, 0, 0, 0)


@pytest.mark.parametrize("balance_paid", [False, True])
async def test_a_buyer_who_cancels_before_the_making_gets_deposit_and_balance_back(
    anywhere: Path | str, balance_paid: bool
) -> None:
    async with made(anywhere) as world:
        await furnish(world, KITCHEN)
        request = await offered(world, terms())
        order = await world.shop.create_order(MERCHANT, ROOM, "ann", "o", offer=(request, 1))
        paid = await world.shop.pay_order(MERCHANT, "ann", order.order, "p")
        assert paid.presale is not None and paid.presale.balance_order is not None
        if balance_paid:
            await world.shop.pay_order(MERCHANT, "ann", paid.presale.balance_order, "pb")
        await world.shop.custom.cancel(MERCHANT, "ann", order.order, "c")
        await settle_down(world)
        assert (await world.shop.order(MERCHANT, order.order)).status == "refunded"
        gone = await world.shop.order(MERCHANT, paid.presale.balance_order)
        assert gone.status == ("refunded" if balance_paid else "cancelled")
        assert await units(world) == (5, 0, 0, 0)
        [(kept,)] = await world.query("SELECT coalesce(sum(amount), 0) FROM kept_deposit")
        assert kept == 0


async def test_an_offer_stands_until_its_day_and_comes_back_when_its_order_ends_unpaid(anywhere: Path | str) -> None:
    async with made(anywhere) as world:
        await furnish(world, KITCHEN)
        request = await offered(world, terms(percent=0))
        order = await world.shop.create_order(MERCHANT, ROOM, "ann", "o", offer=(request, 1))
        assert order.amount == 20_002 and order.presale is None
        await world.shop.cancel_order(MERCHANT, "ann", order.order)
        [one] = await world.shop.custom.requests(MERCHANT, "ann")
        assert one.state == "offered"
        better = Offer(9_000, 0, "keep", START_MS + 9 * DAY_MS, START_MS + 2 * DAY_MS)
        assert (await world.shop.custom.offer(MERCHANT, "boss", request, better, "")).version == 2
        other = await world.shop.create_order(MERCHANT, ROOM, "ann", "o2", offer=(request, 2))
        await world.shop.pay_order(MERCHANT, "ann", other.order, "p")
        late = world.shop.custom.offer(MERCHANT, "boss", request, better, "")
        assert await code_of(late) == "already"
        asked = await world.shop.custom.ask(MERCHANT, ROOM, "bo", OTHER_SKU, 1, (), "", "a")
        await world.shop.custom.offer(MERCHANT, "boss", asked.request, better, "")
        world.clock.now_ms = START_MS + 3 * DAY_MS
        [stale] = await world.shop.custom.requests(MERCHANT, "bo")
        assert stale.state == "expired"
        assert await code_of(world.shop.create_order(MERCHANT, ROOM, "bo", "b", offer=(asked.request, 1))) == "expired"
        assert (await world.shop.custom.withdraw(MERCHANT, "bo", asked.request)).state == "withdrawn"
        newer = Offer(9_000, 0, "keep", START_MS + 9 * DAY_MS, START_MS + 5 * DAY_MS)
        assert await code_of(world.shop.custom.offer(MERCHANT, "boss", asked.request, newer, "")) == "already"
        with pytest.raises(NotFound):
            await world.shop.custom.withdraw(MERCHANT, "ann", asked.request)


async def test_requests_are_bounded_and_answered_once_for_a_key(anywhere: Path | str) -> None:
    async with made(anywhere) as world:
        await furnish(world, KITCHEN)
        custom = world.shop.custom
        first = await custom.ask(MERCHANT, ROOM, "ann", OTHER_SKU, 1, (), "", "k0")
        assert await custom.ask(MERCHANT, ROOM, "ann", OTHER_SKU, 1, (), "", "k0") == first
        for n in range(1, 20):
            await custom.ask(MERCHANT, ROOM, "ann", OTHER_SKU, 1, (), "", f"k{n}")
        assert await code_of(custom.ask(MERCHANT, ROOM, "ann", OTHER_SKU, 1, (), "", "k20")) == "limit"
        assert (await custom.decline(MERCHANT, "boss", first.request, "too far")).state == "declined"
        assert (await custom.ask(MERCHANT, ROOM, "ann", OTHER_SKU, 1, (), "", "k21")).state == "asked"
        with pytest.raises(NotFound):
            await custom.ask(MERCHANT, ROOM, "ann", SKU, 1, (), "", "plain")


def test_a_wish_is_told_as_it_was_granted() -> None:
    assert Wish("a", "b", 3).as_json() == {"label": "a", "value": "b", "amount": 3}
