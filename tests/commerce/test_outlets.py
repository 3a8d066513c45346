"""Stores with stock and prices of their own: orders they hand over, their tills, units that move, sheets of goods."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from commerce.attribution.service import Attribution
from commerce.attribution.touches_sql import open_touch_log
from commerce.basket import Basket, DropTerms
from commerce.books import Books
from commerce.changes import Hand
from commerce.domain.day import day_of
from commerce.domain.offer import SHOP_VERSIONS_MAX, OwnPrice, ShelfPrice, price_in_store
from commerce.domain.order import Delivery, WantedLine
from commerce.domain.outlet import OutletTerms, open_at, terms_fault, way_fault
from commerce.domain.pos import Receipt, ReceiptLine
from commerce.errors import CommerceError, Conflict, Invalid, NotFound, Refused
from commerce.identity.phone import Vault
from commerce.ledger import ORDER_HOLD_MS, PAYMENT_GRACE_MS
from commerce.ledger_purchases import SetCost
from commerce.pos import Buyer, Pos, Till
from tests.commerce.shop_world import MERCHANT, OTHER_SKU, ROOM, SKU, World, shop_world

STOCKED = OutletTerms(express=True, pickup=True, courier=True, stocked=True, radius_m=3_000)
HERE = (31_234_567, 121_474_000)
NEAR, FAR = (31_240_000, 121_474_000), (31_334_567, 121_474_000)
BY = Hand("boss", "test")


class Stores:
    """A shop with two stores that keep stock, and a warehouse."""

    north: str
    south: str
    till: Till

    def __init__(self, world: World) -> None:
        self.world = world
        self.shop = world.shop
        self.outlets = world.shop.outlets
        self.touches = open_touch_log(world.store.where, clock=world.clock)
        now_person = world.shop.aliases.now
        self.attribution = Attribution(
            world.store, self.touches, secret=b"links of the tests", clock=world.clock, now_person=now_person
        )
        vault = Vault(bytes(32))
        self.pos = Pos(world.store, world.shop.ledger, vault, self.attribution, secret=b"pos", clock=world.clock)
        self.numbers = 0

    async def open(self) -> None:
        self.north, key = await self.pos.add(MERCHANT, "北店", "北路 1 号", "", *HERE, terms=STOCKED)
        self.south, _ = await self.pos.add(MERCHANT, "南店", "南路 1 号", "", *FAR, terms=STOCKED)
        self.till = await self.pos.till(key)

    async def close(self) -> None:
        """End the log of touches."""
        await self.attribution.binder.close()
        self.touches.close()

    async def stock(self, outlet: str, quantity: int, sku: str = SKU) -> Any:
        return await self.outlets.stock_up(MERCHANT, "boss", outlet, sku, quantity, "received")

    async def move(self, source: str, target: str, quantity: int, key: str = "", sku: str = SKU) -> Any:
        self.numbers += 1
        key = key or f"m{self.numbers}"
        return await self.outlets.transfer(MERCHANT, "boss", sku, quantity, source, target, "rebalance", key)

    async def order(self, outlet: str, quantity: int = 1, version: int | None = None, **more: Any) -> Any:
        self.numbers += 1
        delivery = more.pop("delivery", Delivery("pickup", "Ann", "13800138000", outlet=outlet))
        lines = [(more.pop("sku", SKU), quantity, version)]
        key, person = f"o{self.numbers}", more.pop("person", "ann")
        return await self.shop.create_order(MERCHANT, ROOM, person, key, lines=lines, delivery=delivery, **more)

    async def pay(self, order: Any) -> Any:
        return await self.shop.pay_order(MERCHANT, order.person, order.order, f"p{order.order}")

    async def hand_over(self, order: str) -> None:
        delivery = (await self.shop.order(MERCHANT, order)).delivery
        assert delivery is not None
        await self.shop.aftersale.pick_up(MERCHANT, order, delivery["code"])

    async def sell(self, units: int, article: str = SKU, number: str = "") -> Any:
        self.numbers += 1
        lines = (ReceiptLine(article, "tea", units, units * 100),)
        receipt = Receipt(number or f"R{self.numbers}", units * 100, self.world.clock(), lines)
        return await self.pos.sell(self.till, receipt, Buyer())

    async def row(self, outlet: str, sku: str = SKU) -> tuple[int, int, int, int, int]:
        """free, held, sold, shipped, quarantined."""
        table = "outlet_stock WHERE outlet = :outlet AND" if outlet else "stock WHERE"
        asked = {"outlet": outlet, "sku": sku} if outlet else {"sku": sku}
        found = await self.world.query(
            f"SELECT free, held, sold, shipped, quarantined FROM {table} sku = :sku",
            **asked,
        )
        return tuple(found[0]) if found else (0, 0, 0, 0, 0)


@pytest.fixture
async def stores(anywhere: Path | str) -> AsyncIterator[Stores]:
    async with shop_world(anywhere) as world:
        stores = Stores(world)
        await stores.open()
        yield stores
        await stores.close()


@pytest.fixture
async def local(tmp_path: Path) -> AsyncIterator[Stores]:
    """On SQLite alone: rules that ask nothing else of the store."""
    async with shop_world(tmp_path) as world:
        stores = Stores(world)
        await stores.open()
        yield stores
        await stores.close()


async def test_an_order_takes_its_units_where_it_is_handed_over_and_no_other_place_is_touched(stores: Stores) -> None:
    await stores.shop.stock_up(MERCHANT, SKU, 5)
    await stores.stock(stores.north, 2)
    order = await stores.order(stores.north, 2)
    assert await stores.row(stores.north) == (0, 2, 0, 0, 0)
    with pytest.raises(Refused, match="in this store"):
        await stores.order(stores.north, 1)
    paid = await stores.pay(order)
    assert await stores.row(stores.north) == (0, 0, 2, 0, 0)
    await stores.shop.aftersale.pick_up(MERCHANT, order.order, paid.delivery["code"])
    assert await stores.row(stores.north) == (0, 0, 0, 2, 0)
    await stores.shop.aftersale.refund(
        MERCHANT, "boss", order.order, "r1", lines=[(SKU, 1)], stock="sellable", reason="x"
    )
    await stores.shop.aftersale.refund(
        MERCHANT, "boss", order.order, "r2", lines=[(SKU, 1)], stock="quarantine", reason="x"
    )
    assert await stores.row(stores.north) == (1, 0, 0, 0, 1)
    assert await stores.row("") == (5, 0, 0, 0, 0)
    statement = await stores.shop.aftersale.statement(MERCHANT, "2027-01-15")
    (figures,) = [one for one in statement.stock if one.sku == SKU]
    # One book of the whole shop: 5 and 2 came, 2 were sold and came back.
    assert (figures.received, figures.closing["free"], figures.closing["quarantined"]) == (7, 6, 1)


async def test_units_that_nobody_pays_for_go_back_to_their_store_and_late_money_takes_them_there(
    stores: Stores,
) -> None:
    await stores.stock(stores.north, 1)
    order = await stores.order(stores.north)
    stores.world.provider._hold_back = True
    await stores.pay(order)
    [payment] = await stores.world.query("SELECT id FROM payment")
    stores.world.clock.advance(ORDER_HOLD_MS + PAYMENT_GRACE_MS + 1)
    await stores.shop.sweep()
    assert await stores.row(stores.north) == (1, 0, 0, 0, 0)
    body = {"number": "t1", "kind": "paid", "payment": payment.id, "merchant": MERCHANT, "amount": order.due}
    message = stores.world.provider.sign(orjson.dumps(body))
    await stores.shop.settle("sandbox", message.body, message.headers)
    assert (await stores.shop.order(MERCHANT, order.order)).status == "paid"
    assert await stores.row(stores.north) == (0, 0, 1, 0, 0)


async def test_a_store_without_stock_of_its_own_hands_over_what_the_shop_has(local: Stores) -> None:
    plain, _ = await local.pos.add(MERCHANT, "三店", "三路", "", *HERE)
    await local.shop.stock_up(MERCHANT, SKU, 1)
    await local.order(plain)
    assert await local.row("") == (0, 1, 0, 0, 0)
    for refused in (local.stock(plain, 1), local.move("", plain, 1)):
        with pytest.raises(Refused, match="no stock of its own"):
            await refused


async def test_units_of_a_flash_sale_stay_the_warehouses_whoever_hands_them_over(local: Stores) -> None:
    sale = await local.world.sale(2, 2)
    hold = await local.world.hold(sale.sale, "ann", 1)
    await local.stock(local.north, 3, OTHER_SKU)
    order = await local.order(local.north, 1, sku=OTHER_SKU, hold=hold.hold)
    await local.pay(order)
    assert await local.row(local.north, OTHER_SKU) == (2, 0, 1, 0, 0)
    assert (await local.row(""))[2] == 1
    await local.hand_over(order.order)
    assert (await local.row(local.north, OTHER_SKU))[3] == 1 and (await local.row(""))[3] == 1


async def test_a_transfer_moves_free_units_once_and_leaves_a_journal(stores: Stores) -> None:
    await stores.shop.stock_up(MERCHANT, SKU, 5)
    first = await stores.move("", stores.north, 3, "key")
    again = await stores.move("", stores.north, 3, "key")
    assert (again.transfer, again.left, again.there) == (first.transfer, 2, 3)
    with pytest.raises(Conflict):
        await stores.move("", stores.north, 2, "key")
    await stores.order(stores.north, 2)
    with pytest.raises(Refused) as refused:
        await stores.move(stores.north, stores.south, 2)
    assert (refused.value.code, refused.value.extra["outlet"]) == ("sold_out", stores.north)
    stores.world.clock.advance(1)
    await stores.move(stores.north, stores.south, 1)
    for wrong in (stores.move(stores.north, stores.north, 1), stores.move("", stores.north, 0)):
        with pytest.raises(Invalid):
            await wrong
    for unknown in (stores.move("", "nosuch", 1), stores.move("", stores.north, 1, sku="k3")):
        with pytest.raises(NotFound):
            await unknown
    journal = await stores.outlets.transfers(MERCHANT, stores.north, None, 50)
    assert [(one["source"], one["target"], one["quantity"]) for one in journal] == [
        (stores.north, stores.south, 1),
        ("", stores.north, 3),
    ]


async def test_a_store_asks_its_own_price_and_an_order_at_a_stale_one_is_refused(stores: Stores) -> None:
    await stores.stock(stores.north, 9)
    await stores.stock(stores.south, 9)
    now = stores.world.clock()
    (shop,) = await stores.outlets.prices(MERCHANT, stores.north, [SKU])
    assert (shop.price, shop.limited, shop.version) == (9_900, None, 1)
    made = await stores.outlets.set_price(MERCHANT, stores.north, SKU, 8_000, 7_000, 0, now + 60_000, BY)
    assert (made.price, made.limited) == (8_000, 7_000)
    with pytest.raises(Refused) as stale:
        await stores.order(stores.north, version=shop.version)
    assert (stale.value.code, stale.value.extra["price"]) == ("price_changed", 7_000)
    assert (await stores.order(stores.north, version=made.version)).amount == 7_000
    # Elsewhere nothing has changed.
    assert (await stores.order(stores.south, version=shop.version)).amount == 9_900
    stores.world.clock.advance(60_000)
    with pytest.raises(Refused, match="price has changed"):
        await stores.order(stores.north, version=made.version)
    assert (await stores.order(stores.north)).amount == 8_000
    gone = await stores.outlets.set_price(MERCHANT, stores.north, SKU, None, None, 0, 0, BY)
    assert gone.price == 9_900 and gone.version not in (shop.version, made.version)
    with pytest.raises(Invalid, match="below the price of the store"):
        await stores.outlets.set_price(MERCHANT, stores.north, SKU, 8_000, 8_000, 0, now + 120_000, BY)
    trail = await stores.world.query("SELECT what, before, after FROM manual_change WHERE outlet = :o", o=stores.north)
    assert {tuple(row) for row in trail} >= {("price", None, 8_000), ("offer", None, 7_000), ("price", 8_000, None)}


@given(st.none() | st.integers(1, 100), st.none() | st.integers(1, 100), st.none() | st.integers(1, 100))
def test_the_lowest_offer_that_is_on_counts_in_a_store(own: int | None, offer: int | None, shop: int | None) -> None:
    limited = shop if shop is not None and shop < 50 else None
    found = price_in_store(ShelfPrice(50, limited, 7), OwnPrice(own, offer, 0, 10, 3), 5)
    shelf = 50 if own is None else own
    assert found.shelf == shelf
    assert found.price == min([shelf, *(one for one in (limited, offer) if one is not None)])
    assert found.version % SHOP_VERSIONS_MAX == 7 and found.version > SHOP_VERSIONS_MAX


async def test_what_a_till_sells_leaves_the_stores_stock_however_late_it_is_told(stores: Stores) -> None:
    await stores.stock(stores.north, 3)
    await stores.order(stores.north, 1)
    await stores.sell(1)
    assert await stores.row(stores.north) == (1, 1, 0, 1, 0)
    await stores.sell(4, number="late")
    # Three of them the books did not know of; the unit of the order stays held.
    assert await stores.row(stores.north) == (0, 1, 0, 5, 0)
    assert await stores.world.query("SELECT quantity, short FROM pos_unit ORDER BY quantity") == [(1, 0), (4, 3)]
    again = await stores.pos.sell(
        stores.till,
        Receipt("late", 400, stores.world.clock(), (ReceiptLine(SKU, "tea", 4, 400),)),
        Buyer(),
    )
    assert again.again and (await stores.row(stores.north))[3] == 5
    await stores.sell(2, article="a bag that the shop does not sell")
    assert (await stores.row(stores.north))[3] == 5


async def test_goods_given_back_at_the_till_come_back_once(local: Stores) -> None:
    await local.stock(local.north, 3)
    await local.sell(2, number="R")
    back = (local.till, "B", "R", 100, local.world.clock(), [(SKU, 1)], "quarantine")
    await local.pos.refund(*back)
    assert (await local.pos.refund(*back)).again
    assert await local.row(local.north) == (1, 0, 0, 1, 1)
    with pytest.raises(Refused, match="more than was sold"):
        await local.pos.refund(local.till, "B2", "R", 100, local.world.clock(), [(SKU, 2)], "sellable")
    with pytest.raises(NotFound):
        await local.pos.refund(local.till, "B3", "R", 100, local.world.clock(), [("nosuch", 1)], "sellable")
    await local.pos.refund(local.till, "B4", "R", 100, local.world.clock(), [(SKU, 1)], "sellable")
    assert await local.row(local.north) == (2, 0, 0, 0, 1)


async def test_what_a_till_sold_waits_for_its_takings_and_comes_back_at_what_it_left_for(stores: Stores) -> None:
    world, shop = stores.world, stores.shop
    free = 5
    await shop.stock_up(MERCHANT, SKU, free)
    await shop.ledger.submit(SetCost(MERCHANT, "boss", SKU, 301, "opening"))
    await stores.move("", stores.north, 3)
    await stores.sell(3, number="R")
    books = Books(world.store, clock=world.clock)

    async def told() -> tuple[dict[str, int], int]:
        book = await books.book(MERCHANT, day_of(world.clock()))
        wanted = {account.account: account.debit - account.credit for account in book.accounts}
        return {code: wanted.get(code, 0) for code in ("1405", "1406")}, book.margin

    assert await told() == ({"1405": 301 * (free - 3), "1406": 903}, 0)
    for number, stock in (("B1", "sellable"), ("B2", "quarantine")):
        await stores.pos.refund(stores.till, number, "R", 100, world.clock(), [(SKU, 1)], stock)
    assert await told() == ({"1405": 301 * (free - 1), "1406": 301}, 0)


async def test_a_store_closes_or_gives_up_its_stock_only_when_nothing_is_left_there(local: Stores) -> None:
    await local.stock(local.north, 1)
    view = await local.outlets.one(MERCHANT, local.north)
    same = {"name": view.row["name"], "address": view.row["address"], "phone": "", "place": HERE, "node": ""}
    for refused in (
        local.outlets.close(MERCHANT, local.north),
        local.outlets.change(MERCHANT, local.north, terms=OutletTerms(), **same),
    ):
        with pytest.raises(Refused) as error:
            await refused
        assert error.value.code == "in_use"
    await local.move(local.north, "", 1)
    await local.outlets.close(MERCHANT, local.north)
    with pytest.raises(NotFound):
        await local.order(local.north)
    with pytest.raises(NotFound):
        await local.outlets.close("m2", local.south)


# --- ways ------------------------------------------------------------------------------------------------------------

NINE_TO_SIX = ((540, 1_080),) * 6 + ((0, 0),)


def test_a_store_is_open_by_the_shops_own_week() -> None:
    monday_nine = 1_800_234_000_000
    assert [open_at(NINE_TO_SIX, monday_nine + hour * 3_600_000) for hour in (-1, 0, 8, 9)] == [
        False,
        True,
        True,
        False,
    ]
    assert not open_at(NINE_TO_SIX, monday_nine - 86_400_000 + 3_600_000)
    assert open_at((), monday_nine - 86_400_000)
    assert terms_fault(OutletTerms(hours=NINE_TO_SIX)) is None
    for wrong in (OutletTerms(hours=((1, 2),)), OutletTerms(hours=((9, 8),) * 7), OutletTerms(radius_m=0)):
        assert terms_fault(wrong)


def test_a_courier_comes_while_the_store_is_open_and_as_far_as_it_says() -> None:
    monday_nine = 1_800_234_000_000
    terms = OutletTerms(courier=True, radius_m=1_000, hours=NINE_TO_SIX)
    assert way_fault(terms, "courier", HERE, NEAR, monday_nine) is None
    for target, now, code in ((None, monday_nine, "way"), (FAR, monday_nine, "too_far"), (NEAR, 0, "closed")):
        fault = way_fault(terms, "courier", HERE, target, now)
        assert fault is not None and fault[0] == code
    assert way_fault(terms, "pickup", HERE, None, 0) is None
    assert way_fault(terms, "express", HERE, None, 0) is not None


async def test_an_order_comes_only_by_a_way_that_its_store_or_the_shop_offers(local: Stores) -> None:
    await local.shop.stock_up(MERCHANT, SKU, 9)
    await local.stock(local.north, 9)
    plain, _ = await local.pos.add(MERCHANT, "三店", "三路", "", *HERE, terms=OutletTerms(pickup=False))

    def wanted(method: str, outlet: str, place: tuple[int, int] | None = None) -> Delivery:
        where = {} if place is None else {"lat_e6": place[0], "lng_e6": place[1]}
        address = "" if method == "pickup" else "some road 1"
        return Delivery(method, "Ann", "13800138000", address, outlet, **where)  # type: ignore[arg-type]

    for delivery, code in (
        (wanted("pickup", plain), "way"),
        (wanted("courier", local.north, FAR), "too_far"),
        (wanted("express", plain), "way"),
    ):
        with pytest.raises(Refused) as refused:
            await local.order("", delivery=delivery)
        assert refused.value.code == code
    for wrong in (wanted("courier", "", NEAR), wanted("courier", local.north)):
        with pytest.raises(Invalid):
            await local.order("", delivery=wrong)
    order = await local.order("", delivery=wanted("courier", local.north, NEAR))
    assert (order.delivery["outlet"], order.delivery["lat_e6"]) == (local.north, NEAR[0])
    await local.outlets.set_ways(MERCHANT, "boss", express=True, pickup=False)
    assert await local.outlets.ways(MERCHANT) == ("express",)
    with pytest.raises(Refused, match="choose a store"):
        await local.order("", delivery=wanted("pickup", ""))
    await local.order("", delivery=wanted("express", ""))


async def test_a_courier_finds_the_place_where_both_degrees_are_nought(local: Stores) -> None:
    outlet, _ = await local.pos.add(MERCHANT, "零店", "零路", "", 0, 0, terms=STOCKED)
    await local.stock(outlet, 1)
    delivery = Delivery("courier", "Ann", "13800138000", "road 1", outlet, lat_e6=0, lng_e6=0)
    order = await local.order("", delivery=delivery)
    assert (order.delivery["lat_e6"], order.delivery["lng_e6"]) == (0, 0)


async def test_a_store_knows_nothing_of_goods_or_stores_of_others(local: Stores) -> None:
    theirs, _ = await local.pos.add("m2", "别家", "x", "", *HERE, terms=STOCKED)
    for unknown in (
        local.stock(local.north, 1, "k3"),
        local.stock(local.north, 1, "nosuch"),
        local.stock(theirs, 1),
        local.outlets.set_price(MERCHANT, local.north, "k3", 1, None, 0, 0, BY),
        local.outlets.prices(MERCHANT, theirs, [SKU]),
        local.outlets.prices(MERCHANT, local.north, ["k3"]),
        local.move(theirs, local.north, 1),
        local.order(theirs),
    ):
        with pytest.raises(NotFound):
            await unknown


async def test_the_nearest_store_that_has_the_goods_comes_first(local: Stores) -> None:
    await local.stock(local.south, 2)
    await local.stock(local.north, 1)
    found = await local.outlets.offered(MERCHANT, NEAR, [WantedLine(SKU, 1)])
    assert [(one.row["id"], one.has) for one in found] == [(local.north, True), (local.south, True)]
    assert [one.ways for one in found] == [("express", "pickup", "courier"), ("express", "pickup")]
    found = await local.outlets.offered(MERCHANT, NEAR, [WantedLine(SKU, 1), WantedLine(SKU, 1)])
    assert [(one.row["id"], one.has) for one in found] == [(local.south, True), (local.north, False)]


# --- promotions ------------------------------------------------------------------------------------------------------


async def test_a_coupon_of_certain_stores_counts_there_alone(local: Stores) -> None:
    await local.shop.stock_up(MERCHANT, SKU, 9)
    for outlet in (local.north, local.south):
        await local.stock(outlet, 9)
    drop = await local.shop.start_drop(
        MERCHANT, ROOM, "北店开业", "开业", 1_000, 0, 5, 5, 60, 3_600, more=DropTerms(outlets=(local.north,))
    )
    coupons = [(await local.shop.claim_coupon(MERCHANT, ROOM, "ann", drop.drop, f"c{n}")).coupon for n in range(2)]
    for elsewhere in (
        local.order(local.south, coupon=coupons[0]),
        local.order("", delivery=None, coupon=coupons[0]),
    ):
        with pytest.raises(Refused, match="certain stores"):
            await elsewhere
    assert (await local.order(local.north, coupon=coupons[0])).discount == 1_000
    for outlet, chosen in ((local.south, ()), (local.north, (coupons[1],)), ("", ())):
        basket = Basket(lines=(WantedLine(SKU, 1),), outlet=outlet)
        quote = await local.shop.members.quote(MERCHANT, ROOM, "ann", basket, best=True, points=False, stored=False)
        assert quote.coupons == chosen
    with pytest.raises(NotFound):
        await local.shop.start_drop(MERCHANT, ROOM, "x", "x", 1, 0, 1, 1, 60, 60, more=DropTerms(outlets=("nosuch",)))


# --- what must always be true ----------------------------------------------------------------------------------------

OPERATION = st.tuples(
    st.sampled_from(("receive", "count", "move", "order", "pay", "cancel", "hand", "refund", "till", "back", "expire")),
    st.integers(0, 2),
    st.integers(1, 4),
)


async def _do(stores: Stores, what: str, where: int, units: int, orders: list[Any], receipts: list[Any]) -> None:
    places = ["", stores.north, stores.south]
    outlet, other = places[where], places[(where + 1) % 3]
    pick = orders[units % len(orders)] if orders else None
    if what in ("receive", "count"):
        reason, quantity = ("received", units) if what == "receive" else ("counted", -units)
        if outlet:
            await stores.outlets.stock_up(MERCHANT, "boss", outlet, SKU, quantity, reason)
        else:
            await stores.shop.stock_up(MERCHANT, SKU, quantity, reason)
    elif what == "move":
        await stores.move(outlet, other, units)
    elif what == "order":
        delivery = Delivery("pickup", "Ann", "13800138000", outlet=outlet)
        orders.append(await stores.order(outlet, units, delivery=delivery))
    elif what == "till":
        receipts.append((f"T{len(receipts)}", units))
        await stores.sell(units, number=receipts[-1][0])
    elif what == "back" and receipts:
        number, sold = receipts[units % len(receipts)]
        stock = ("sellable", "quarantine")[where % 2]
        back = (f"B{stores.numbers}", number, 1, stores.world.clock(), [(SKU, min(sold, units))], stock)
        stores.numbers += 1
        await stores.pos.refund(stores.till, *back)
    elif what == "expire":
        stores.world.clock.advance(ORDER_HOLD_MS)
        await stores.shop.sweep()
    elif pick is not None:
        if what == "pay":
            await stores.pay(pick)
        elif what == "cancel":
            await stores.shop.cancel_order(MERCHANT, "ann", pick.order)
        elif what == "hand":
            await stores.hand_over(pick.order)
        else:
            stock = ("sellable", "quarantine", "none")[where]
            key = f"r{stores.numbers}"
            stores.numbers += 1
            refund = stores.shop.aftersale.refund
            await refund(MERCHANT, "boss", pick.order, key, lines=[(SKU, 1)], stock=stock, reason="x")


async def _hold_to_the_sums(stores: Stores, operations: list[tuple[str, int, int]]) -> None:
    orders: list[Any] = []
    receipts: list[Any] = []
    for operation in operations:
        # Refused: then nothing may have moved, which the sums below would show.
        with contextlib.suppress(CommerceError):
            await _do(stores, *operation, orders, receipts)
    sums = await stores.world.query(
        "SELECT outlet, sku, sum(free) AS free, sum(held) AS held, sum(received) AS received,"
        " sum(adjusted) AS adjusted, sum(sold) AS sold, sum(shipped) AS shipped, sum(quarantined) AS quarantined"
        " FROM stock_entry WHERE outlet <> '' GROUP BY outlet, sku"
    )
    for row in sums:
        came, gone = row.received + row.adjusted, row.sold + row.shipped + row.quarantined
        assert row.free + row.held == came - gone
        assert await stores.row(row.outlet) == (row.free, row.held, row.sold, row.shipped, row.quarantined)
    moved = await stores.world.query("SELECT coalesce(sum(free), 0) FROM stock_entry WHERE kind = 'moved'")
    assert moved[0][0] == 0
    stores.world.assert_clean()


WORK = st.lists(OPERATION, min_size=10, max_size=20)
SHARED = (HealthCheck.function_scoped_fixture, HealthCheck.too_slow)


@settings(max_examples=3, deadline=None, suppress_health_check=SHARED)
@given(operations=WORK)
async def test_a_stores_entries_add_up_to_what_came_less_what_was_sold_and_set_apart(
    stores: Stores, operations: list[tuple[str, int, int]]
) -> None:
    await _hold_to_the_sums(stores, operations)


@pytest.mark.soak
@settings(max_examples=150, deadline=None, suppress_health_check=SHARED)
@given(operations=WORK)
async def test_a_stores_entries_add_up_after_thousands_of_operations(
    stores: Stores, operations: list[tuple[str, int, int]]
) -> None:
    await _hold_to_the_sums(stores, operations)
