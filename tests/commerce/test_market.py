"""Two merchants sell together: by a recorded grant and nothing else, each unit once, each debt on both sides."""

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from commerce.catalogue import Catalogue
from commerce.domain.order import Delivery
from commerce.errors import CommerceError, Conflict, Invalid, NotFound, Refused
from commerce.market import Debt, Market
from tests.commerce.people_kit import cheap_passwords
from tests.commerce.shop_world import World, shop_world

SUPPLIER, CHANNEL, THIRD = "m1", "m2", "m3"
SUPPLY, LEAST, RETAIL = 6_000, 8_000, 9_000


class Bazaar:
    """A supplier with tea (k1), a channel with a room, and a third merchant who has nothing to do with them."""

    product = ""
    sku = ""
    grant = ""

    def __init__(self, world: World) -> None:
        self.world = world
        self.catalogue = Catalogue(world.store, clock=world.clock, passwords=cheap_passwords())
        shop = world.shop
        self.market = Market(world.store, shop.ledger, self.catalogue, shop.aftersale, clock=world.clock)
        self._orders = 0

    async def open(self) -> None:
        await self.world.store.write(
            lambda db: db.execute(text("INSERT INTO merchant (id, name, created_ms) VALUES ('m3', 'm3', 0)"))
        )
        await self.world.shop.stock_up(SUPPLIER, "k1", 20)

    async def granted(self, units: int = 5) -> None:
        offer = await self.market.offer(SUPPLIER, "k1", SUPPLY, LEAST, "spring tea")
        self.grant = await self.market.apply(CHANNEL, offer)
        await self.market.decide(SUPPLIER, self.grant, "boss", "", granted=True)
        self.product = await self.market.list_offer(CHANNEL, self.grant, RETAIL)
        self.sku = (await self.catalogue.product(CHANNEL, self.product)).sku
        if units:
            await self.market.allot(SUPPLIER, self.grant, units)

    async def order(self, quantity: int = 1, *, pay: bool = True, **more: Any) -> Any:
        self._orders += 1
        key = f"o{self._orders}"
        made = await self.world.shop.create_order(
            CHANNEL, "r2", "buyer", key, lines=[(self.sku, quantity, None)], **more
        )
        return await self.world.shop.pay_order(CHANNEL, "buyer", made.order, f"p{key}") if pay else made

    async def free(self) -> tuple[int, int]:
        """Units that the supplier and the channel can sell."""
        rows = await self.world.query("SELECT sku, free FROM stock")
        by_sku = {row.sku: row.free for row in rows}
        return by_sku["k1"], by_sku.get(self.sku, 0)

    async def owed(self) -> int:
        """What the channel owes, as both sides say."""
        ours, theirs = await self.market.debts(CHANNEL), await self.market.debts(SUPPLIER)
        if not ours and not theirs:
            return 0
        assert ours == [Debt("supply_owed", SUPPLIER, SUPPLIER, ours[0].amount)]
        assert theirs == [Debt("supply_due", CHANNEL, CHANNEL, ours[0].amount)]
        return ours[0].amount


@pytest.fixture
async def bazaar(anywhere: Path | str) -> AsyncIterator[Bazaar]:
    async with shop_world(anywhere) as world:
        found = Bazaar(world)
        await found.open()
        try:
            yield found
        finally:
            await found.catalogue.close()


async def test_an_offer_becomes_a_product_of_the_channel_and_an_order_of_the_supplier(bazaar: Bazaar) -> None:
    await bazaar.granted()
    assert await bazaar.free() == (15, 5)
    order = await bazaar.order(2)
    (theirs,) = await bazaar.market.orders(SUPPLIER, None, 50)
    assert (theirs["order_id"], theirs["quantity"], theirs["owed"]) == (order.order, 2, 2 * SUPPLY)
    assert await bazaar.owed() == 2 * SUPPLY
    await bazaar.market.send(SUPPLIER, theirs["id"], "顺丰", "SF1")
    assert (await bazaar.world.shop.order(CHANNEL, order.order)).status == "fulfilled"
    with pytest.raises(Refused):
        await bazaar.market.send(SUPPLIER, theirs["id"], "顺丰", "SF1")
    (tea,) = [one for one in await bazaar.market.shelf(CHANNEL, "", 50) if one["supplier"]]
    assert (tea["product"], tea["supplier"], tea["stock"], tea["price"]) == (bazaar.product, SUPPLIER, 3, RETAIL)
    assert [one["supplier"] for one in await bazaar.market.shelf(SUPPLIER, "", 50)] == [None, None]


async def test_the_channel_sells_what_it_was_given_and_not_one_more(bazaar: Bazaar) -> None:
    await bazaar.granted(units=1)
    await bazaar.order(1, pay=False)
    with pytest.raises(Refused):
        await bazaar.order(1)
    with pytest.raises(Refused):
        await bazaar.market.allot(SUPPLIER, bazaar.grant, 20)
    with pytest.raises(Refused):
        await bazaar.market.allot(SUPPLIER, bazaar.grant, -1)
    assert await bazaar.market.allot(SUPPLIER, bazaar.grant, 19) == 20
    assert await bazaar.free() == (0, 19)


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_refund_takes_back_what_is_owed_whenever_it_was_booked(bazaar: Bazaar, when: str) -> None:
    await bazaar.granted()
    order = await bazaar.order(3)
    if when == "after":
        assert await bazaar.owed() == 3 * SUPPLY
    refund = bazaar.world.shop.aftersale.refund
    await refund(CHANNEL, "boss", order.order, "r1", reason="x", lines=[(bazaar.sku, 1)])
    assert await bazaar.owed() == 2 * SUPPLY
    await refund(CHANNEL, "boss", order.order, "r2", reason="x")
    assert await bazaar.owed() == 0
    (row,) = await bazaar.market.orders(SUPPLIER, None, 50)
    assert row["state"] == "cancelled"
    with pytest.raises(Refused):
        await bazaar.market.send(SUPPLIER, row["id"], "顺丰", "SF1")


async def test_a_settlement_is_on_both_sides_and_counts_once(bazaar: Bazaar) -> None:
    await bazaar.granted()
    await bazaar.order(2)
    for _ in range(2):
        assert (await bazaar.market.settle(SUPPLIER, CHANNEL, 5_000, "T1", "boss")).owed == 7_000
    assert await bazaar.owed() == 7_000
    with pytest.raises(Conflict):
        await bazaar.market.settle(SUPPLIER, CHANNEL, 4_000, "T1", "boss")
    for supplier, channel, amount in ((SUPPLIER, CHANNEL, 7_001), (CHANNEL, SUPPLIER, 1), (SUPPLIER, THIRD, 1)):
        with pytest.raises(Refused):
            await bazaar.market.settle(supplier, channel, amount, "T2", "boss")
    assert (await bazaar.market.settle(SUPPLIER, CHANNEL, 7_000, "T2", "boss")).owed == 0


async def test_a_revoked_grant_gives_back_what_is_unsold_and_orders_go_on(bazaar: Bazaar) -> None:
    await bazaar.granted()
    sold, waiting = await bazaar.order(1), await bazaar.order(1, pay=False)
    assert await bazaar.market.revoke(SUPPLIER, bazaar.grant, "boss", "season over") == 3
    assert await bazaar.free() == (18, 0)
    assert not (await bazaar.catalogue.product(CHANNEL, bazaar.product)).on_shelf
    with pytest.raises(Refused):
        await bazaar.market.allot(SUPPLIER, bazaar.grant, 1)
    await bazaar.world.shop.pay_order(CHANNEL, "buyer", waiting.order, "late")
    rows = await bazaar.market.orders(SUPPLIER, None, 50)
    assert {row["order_id"] for row in rows} == {sold.order, waiting.order}
    assert await bazaar.owed() == 2 * SUPPLY


async def test_without_a_grant_nothing_crosses(bazaar: Bazaar) -> None:
    market, shop = bazaar.market, bazaar.world.shop
    offer = await market.offer(SUPPLIER, "k1", SUPPLY, LEAST, "")
    with pytest.raises(Refused):
        await market.apply(SUPPLIER, offer)
    # Neither the supplier's own SKU nor an application that nobody granted.
    with pytest.raises(CommerceError):
        await shop.create_order(CHANNEL, "r2", "buyer", "o", lines=[("k1", 1, None)])
    grant = await market.apply(CHANNEL, offer)
    with pytest.raises(Refused):
        await market.apply(CHANNEL, offer)
    for doing in (
        lambda: market.list_offer(CHANNEL, grant, RETAIL),
        lambda: market.list_offer(THIRD, grant, RETAIL),
        lambda: market.decide(CHANNEL, grant, "x", "", granted=True),
        lambda: market.decide(THIRD, grant, "x", "", granted=True),
        lambda: market.allot(SUPPLIER, grant, 1),
        lambda: market.revoke(SUPPLIER, grant, "x", ""),
        lambda: market.close_offer(THIRD, offer),
        lambda: market.offer(THIRD, "k1", 1, 1, ""),
    ):
        with pytest.raises((NotFound, Refused)):
            await doing()
    await market.decide(SUPPLIER, grant, "boss", "", granted=True)
    with pytest.raises(Invalid):
        await market.list_offer(CHANNEL, grant, LEAST - 1)
    bazaar.grant, bazaar.product = grant, await market.list_offer(CHANNEL, grant, LEAST)
    bazaar.sku = (await bazaar.catalogue.product(CHANNEL, bazaar.product)).sku
    await market.allot(SUPPLIER, grant, 2)
    order = await bazaar.order(1)
    (drop,) = await market.orders(SUPPLIER, None, 50)
    attempts: tuple[Callable[[], Awaitable[Any]], ...] = (
        lambda: market.allot(CHANNEL, grant, 1),
        lambda: market.allot(THIRD, grant, 1),
        lambda: market.revoke(CHANNEL, grant, "x", ""),
        lambda: market.send(CHANNEL, drop["id"], "顺丰", "1"),
        lambda: market.send(THIRD, drop["id"], "顺丰", "1"),
        lambda: shop.order(SUPPLIER, order.order),
        lambda: shop.aftersale.ship(SUPPLIER, order.order, "顺丰", "1"),
        lambda: shop.aftersale.refund(SUPPLIER, "x", order.order, "r", reason="x"),
        lambda: bazaar.catalogue.product(SUPPLIER, bazaar.product),
        lambda: shop.stock_up(CHANNEL, "k1", 1),
        lambda: shop.create_order(SUPPLIER, "r1", "buyer", "o2", lines=[(bazaar.sku, 1, None)]),
    )
    for attempt in attempts:
        with pytest.raises(CommerceError):
            await attempt()
    assert not await market.grants(THIRD)
    assert not await market.orders(THIRD, None, 50)
    assert not await market.debts(THIRD)


async def test_a_supplier_sees_an_address_only_while_it_has_to_send(bazaar: Bazaar) -> None:
    await bazaar.granted()
    order = await bazaar.order(1, delivery=Delivery("express", "安", "13800138022", "南京路 1 号"))
    (row,) = await bazaar.market.orders(SUPPLIER, None, 50)
    assert row["delivery"]["address"] == "南京路 1 号"
    await bazaar.market.send(SUPPLIER, row["id"], "顺丰", "SF1")
    (row,) = await bazaar.market.orders(SUPPLIER, None, 50)
    assert row["delivery"] is None
    (ours,) = await bazaar.market.orders(CHANNEL, None, 50)
    assert ours["delivery"]["address"] == "南京路 1 号" and ours["order_id"] == order.order


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.soak) for seed in (1, 2))])
async def test_whatever_happens_units_and_debts_add_up(bazaar: Bazaar, seed: int) -> None:
    draw = random.Random(seed)
    await bazaar.granted()
    orders: list[Any] = []
    for number in range(40):
        step, units = draw.choice(["allot", "back", "order", "order", "part", "refund", "settle"]), draw.randint(1, 4)
        try:
            if step in ("allot", "back"):
                await bazaar.market.allot(SUPPLIER, bazaar.grant, units if step == "allot" else -units)
            elif step == "order":
                orders.append(await bazaar.order(units))
            elif step == "settle":
                await bazaar.market.settle(SUPPLIER, CHANNEL, units * 1_000, f"T{number}", "boss")
            elif orders:
                order = draw.choice(orders)
                amount = units * 500 if step == "part" else None
                refund = bazaar.world.shop.aftersale.refund
                await refund(CHANNEL, "boss", order.order, f"r{number}", reason="x", amount=amount)
        except Refused:
            # No units left, more than is owed, all refunded: rules, not faults.
            continue
    await bazaar.owed()
    bazaar.world.assert_clean()
