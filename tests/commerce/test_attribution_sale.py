"""From a share link to a paid order on the board, with the real shop between."""

from pathlib import Path

import pytest

from commerce.attribution.service import Attribution
from commerce.attribution.touches_sql import open_touch_log
from commerce.catalogue import Catalogue
from commerce.errors import Refused
from commerce.identity.people import People
from tests.commerce.people_kit import SECRET, cheap_passwords
from tests.commerce.shop_world import shop_world


async def test_the_board_shows_a_paid_order_under_the_link_that_brought_it(place: Path | str) -> None:
    async with shop_world(place) as world:
        catalogue = Catalogue(world.store, clock=world.clock, passwords=cheap_passwords())
        touches = open_touch_log(place, clock=world.clock)
        people = People(world.store, touches, clock=world.clock)
        attribution = Attribution(world.store, touches, secret=SECRET, clock=world.clock)
        merchant = (await catalogue.create_merchant("思语优选")).id
        room = (await catalogue.create_room(merchant, "晚间直播")).id
        product = await catalogue.create_product(merchant, "毛巾", 990, 1990)
        await world.shop.stock_up(merchant, product.sku, 5, "opening")
        (card, *_) = await catalogue.put_on_shelf(merchant, room, product.product)
        assert card.stock == 5

        guide = await catalogue.create_staff(merchant, "guide", "correct horse", "guide", "Guide")
        link = await attribution.mint_link(merchant, guide.id, "guide", room, channel="wechat")
        buyer = (await people.identify(merchant, "guest", "b", "Buyer")).person.id
        await attribution.touch_token(merchant, link.token, buyer, "room_entry", room=room)
        world.clock.advance(5_000)
        decision = await attribution.decision_json(merchant, buyer, world.clock())
        order = await world.shop.create_order(
            merchant, room, buyer, "key-0001", lines=[(product.sku, 2, product.version)], decision=decision
        )
        await world.shop.pay_order(merchant, buyer, order.order, "key-0002")

        board = await attribution.board(merchant, world.clock() - 60_000, world.clock() + 60_000)
        (row,) = board["orders"]
        assert (row["order"], row["status"], row["amount"]) == (order.order, "paid", 1_980)
        assert (row["link"], row["issuer_name"], row["channel"]) == (link.link.id, "Guide", "wechat")
        assert board["by_link"][0]["amount"] == board["gmv"] == 1_980
        assert (board["by_link"][0]["token"], board["conversion"]) == (link.token, 1.0)
        assert (await catalogue.shelf(room))[0].stock == 3
        touches.close()
        await people.close()
        await catalogue.close()


async def test_a_changed_price_is_refused_by_the_shop_at_the_old_version(place: Path | str) -> None:
    async with shop_world(place) as world:
        catalogue = Catalogue(world.store, clock=world.clock, passwords=cheap_passwords())
        merchant = (await catalogue.create_merchant("M")).id
        room = (await catalogue.create_room(merchant, "R")).id
        product = await catalogue.create_product(merchant, "毛巾", 990)
        await world.shop.stock_up(merchant, product.sku, 5, "opening")
        dearer = await catalogue.set_price(merchant, product.product, 1_090)
        with pytest.raises(Refused) as refusal:
            await world.shop.create_order(merchant, room, "p", "key-0001", lines=[(product.sku, 1, product.version)])
        assert refusal.value.code == "price_changed"
        assert (refusal.value.extra["price"], refusal.value.extra["version"]) == (1_090, dearer.version)
        await catalogue.close()
