"""Categories of products: what rates, shares, sheets and lists go by, and what an order keeps."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from commerce.catalogue import Catalogue
from commerce.changes import Hand
from commerce.domain.pos import ReceiptLine
from commerce.errors import Invalid, NotFound
from commerce.goods import Goods
from commerce.goods_sheet import read_sheet
from tests.commerce.people_kit import cheap_passwords
from tests.commerce.shop_world import MERCHANT, ROOM, World, shop_world
from tests.commerce.test_distribution import PRICE, Market, market, opened
from tests.commerce.test_market import CHANNEL, SUPPLIER, Bazaar, bazaar
from tests.commerce.test_partners import Street, street
from tests.commerce.test_pos import ANNS, Stores
from tests.commerce.test_pos_commission import anns, distributor, on, stores
from tests.commerce.test_presale import presale
from tests.commerce.test_shop_payments import notice, settle, started

__all__ = ["bazaar", "market", "stores", "street"]

PRODUCT, OTHER = "p1", "p2"


@asynccontextmanager
async def shelves(world: World) -> AsyncIterator[Catalogue]:
    catalogue = Catalogue(world.store, clock=world.clock, passwords=cheap_passwords())
    try:
        yield catalogue
    finally:
        await catalogue.close()


async def file(world: World, category: str, product: str = PRODUCT) -> None:
    async with shelves(world) as catalogue:
        await catalogue.set_category(MERCHANT, product, category)


async def test_the_rate_of_a_category_wins_over_level_and_shop_and_loses_to_that_of_the_sku(market: Market) -> None:
    ann, buyer = await market.distributor("ann", level="gold"), await market.person("bo")
    await market.comes_by(buyer, ann)
    rates = market.distribution.set_rate
    await rates(MERCHANT, "level", "gold", 1_100, 0)
    await rates(MERCHANT, "category", "茶叶", 2_000, 0)
    await file(market.world, "茶叶")
    assert (await market.order(buyer)).lines[0].category == "茶叶"
    assert (await market.on(ann))[0] == PRICE * 20 // 100
    await market.order(buyer, sku="k2")
    assert (await market.on(ann))[0] == PRICE * 20 // 100 + 220
    await rates(MERCHANT, "sku", "k1", 300, 0)
    await market.order(buyer)
    assert (await market.on(ann))[0] == PRICE * 20 // 100 + 220 + PRICE * 3 // 100
    found = (await market.distribution.statement(MERCHANT, ann))["rows"]
    assert {row["rate_of"] for row in found} == {"category:茶叶", "level:gold", "sku:k1"}


async def test_an_order_keeps_its_category_even_when_it_comes_back_from_cancelled(anywhere: Path | str) -> None:
    async with opened(anywhere, hold_back=True) as market:
        ann, buyer, world = await market.distributor("ann"), await market.person("bo"), market.world
        await market.comes_by(buyer, ann)
        await market.distribution.set_rate(MERCHANT, "category", "茶叶", 2_000, 0)
        await file(world, "茶叶")
        order = await market.order(buyer)
        payment = await started(world, order, buyer)
        await file(world, "茶具")
        await world.shop.cancel_order(MERCHANT, buyer, order.order)
        assert (await market.on(ann))[0] == 0
        await settle(world, notice(world, payment, order.amount))
        paid = await world.shop.order(MERCHANT, order.order)
        assert (paid.status, paid.lines[0].category) == ("paid", "茶叶")
        assert await market.on(ann) == (0, PRICE * 20 // 100, 0, 0)


async def test_the_balance_of_a_presale_keeps_what_its_deposit_was_filed_under(anywhere: Path | str) -> None:
    async with shop_world(anywhere) as world:
        await file(world, "茶叶")
        held = await world.hold((await presale(world)).sale, "ann", key="h")
        order = await world.shop.create_order(MERCHANT, ROOM, "ann", "o", hold=held.hold)
        await file(world, "茶具")
        paid = await world.shop.pay_order(MERCHANT, "ann", order.order, "p")
        assert paid.presale is not None and paid.presale.balance_order is not None
        balance = await world.shop.order(MERCHANT, paid.presale.balance_order)
        assert [line.category for line in (*order.lines, *balance.lines)] == ["茶叶", "茶叶"]


async def test_a_partner_s_share_of_a_category_counts_before_that_of_the_shop(street: Street) -> None:
    tea = {"scope": "category", "target": "茶叶", "bp": 500}
    gym = await street.agree(rates=[{"scope": "shop", "target": "", "bp": 1_000}, tea])
    buyer = await street.market.person("bo")
    await street.comes(buyer, gym)
    await file(street.market.world, "茶叶")
    await street.buys(buyer, pay=False)
    assert (await street.on(gym))[0] == PRICE * 5 // 100
    await street.buys(buyer, sku="k2", pay=False)
    assert (await street.on(gym))[0] == PRICE * 5 // 100 + 200


async def test_a_till_s_articles_earn_by_the_rates_of_the_goods_that_they_are(stores: Stores) -> None:
    ben = await distributor(stores)
    await anns(stores, ben)
    rates = stores.distribution.set_rate
    await rates(MERCHANT, "category", "茶叶", 2_000, 0)
    await rates(MERCHANT, "sku", "k2", 300, 0)
    await file(stores.world, "茶叶")
    async with shelves(stores.world) as catalogue:
        goods = Goods(stores.world.store, stores.world.shop.ledger, catalogue)
        sheet = "product,title,sku,price,category\r\ntin,罐,tin-1,50,茶叶\r\n"
        assert (await goods.import_file(MERCHANT, "boss", sheet.encode(), "new")).written
    amounts = (("k1", 1_000), ("k2", 2_000), ("tin-1", 3_000), ("till's own", 4_000))
    lines = tuple(ReceiptLine(article, "", 1, amount) for article, amount in amounts)
    await stores.pos.sell(stores.till, stores.receipt(lines=lines), ANNS)
    rows = (await stores.distribution.statement(MERCHANT, ben))["rows"]
    assert sorted((row["base"], row["amount"], row["rate_of"]) for row in rows) == [
        (1_000, 200, "category:茶叶"),
        (2_000, 60, "sku:k2"),
        (3_000, 600, "category:茶叶"),
        (4_000, 400, "shop"),
    ]
    await file(stores.world, "")
    assert (await on(stores, ben))[1] == 1_260


async def test_goods_of_a_supplier_are_listed_under_the_supplier_s_category_which_the_channel_may_change(
    bazaar: Bazaar,
) -> None:
    await bazaar.catalogue.set_category(SUPPLIER, PRODUCT, "茶叶")
    await bazaar.granted()
    assert (await bazaar.order(1)).lines[0].category == "茶叶"
    await bazaar.catalogue.set_category(CHANNEL, bazaar.product, "礼品")
    assert (await bazaar.order(1)).lines[0].category == "礼品"
    assert await bazaar.catalogue.categories(SUPPLIER) == {"": 1, "茶叶": 1}


async def test_products_are_found_and_counted_by_category_and_a_change_by_hand_is_in_the_trail(market: Market) -> None:
    world = market.world
    async with shelves(world) as catalogue:
        goods = Goods(world.store, world.shop.ledger, catalogue)
        by = Hand("boss", "spring")
        assert (await catalogue.set_category(MERCHANT, PRODUCT, " 茶叶 ", by)).category == "茶叶"
        await catalogue.set_category(MERCHANT, PRODUCT, "茶叶", by)
        cup = await catalogue.create_product(MERCHANT, "杯", 100, category="茶具")
        assert await catalogue.categories(MERCHANT) == {"": 1, "茶具": 1, "茶叶": 1}
        for category, found in (("茶具", [cup.product]), ("", [OTHER]), ("none", [])):
            assert [one.product for one in await catalogue.products(MERCHANT, category=category)] == found
        [row] = await goods.changes(MERCHANT, "", None, 9)
        assert (row["what"], row["sku"], row["before_text"], row["after_text"]) == ("category", "k1", "", "茶叶")
        for wrong in ("x" * 41, "two\nlines"):
            with pytest.raises(Invalid):
                await catalogue.set_category(MERCHANT, PRODUCT, wrong)
        with pytest.raises(NotFound):
            await catalogue.set_category("m2", PRODUCT, "theirs")


async def test_a_sheet_files_goods_names_what_is_wrong_by_its_line_and_may_lack_the_column(market: Market) -> None:
    world = market.world
    async with shelves(world) as catalogue:
        goods = Goods(world.store, world.shop.ledger, catalogue)
        sheet = "商品编码,规格编码,商品名称,售价,分类\r\np1,k1,,,茶叶\r\ncup,cup-1,杯,9,茶具\r\n"
        wrong = sheet + f"pot,pot-1,壶,90,{'长' * 41}\r\ncup,cup-2,杯,9,别的\r\n"
        report = await goods.import_file(MERCHANT, "boss", wrong.encode(), "spring")
        assert not report.written
        assert [(row.line, row.column) for row in report.rows if row.outcome == "fault"] == [
            (4, "category"),
            (5, "category"),
        ]
        assert (await goods.import_file(MERCHANT, "boss", sheet.encode(), "spring")).written
        trail = await goods.changes(MERCHANT, "", None, 9)
        assert [(row["sku"], row["after_text"]) for row in trail if row["after_text"]] == [("k1", "茶叶")]
        back, faults = read_sheet((await goods.export_file(MERCHANT)).encode())
        assert not faults and {row.sku: row.category for row in back if row.category} == {"k1": "茶叶", "cup-1": "茶具"}
        without = "product,sku,price\r\np1,k1,98\r\n"
        assert (await goods.import_file(MERCHANT, "boss", without.encode(), "price")).written
        assert (await catalogue.product(MERCHANT, PRODUCT)).category == "茶叶"
