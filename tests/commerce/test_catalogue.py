"""The catalogue on a real SQLite file: shelf, pins, prices, logins, and nobody else's goods."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Literal

import pytest
from argon2 import PasswordHasher
from sqlalchemy import text

from commerce.catalogue_views import Card, PinChanged, RoomChanged, ShelfChanged
from commerce.errors import Busy, Invalid, NotFound, Refused
from commerce.passwords import HASH_THREADS, HASHES_WAITING_MAX, Passwords
from tests.commerce.people_kit import Shop, of_type, open_shop


@pytest.fixture
async def shop(anywhere: Path | str) -> AsyncIterator[Shop]:
    async with open_shop(anywhere) as opened:
        yield opened


async def more_products(shop: Shop, count: int) -> list[str]:
    return [(await shop.catalogue.create_product(shop.mine.id, f"P{n}", 100 + n)).product for n in range(count)]


async def told(shop: Shop) -> None:
    await asyncio.sleep(0)


def names(cards: tuple[Card, ...]) -> list[str]:
    return [card.product for card in cards]


async def test_a_product_comes_with_one_sku_at_version_one(shop: Shop) -> None:
    read = await shop.catalogue.product(shop.mine.id, shop.product.product)
    assert read == shop.product
    assert (read.price, read.list_price, read.version, read.stock) == (990, 1990, 1, 0)
    assert read.sku != read.product


async def test_without_a_list_price_nothing_is_struck_through(shop: Shop) -> None:
    assert shop.other_product.list_price == shop.other_product.price


async def test_a_new_price_gets_the_next_version_and_the_same_price_keeps_it(shop: Shop) -> None:
    cheaper = await shop.catalogue.set_price(shop.mine.id, shop.product.product, 880, 1990)
    assert (cheaper.price, cheaper.version) == (880, 2)
    assert (await shop.catalogue.set_price(shop.mine.id, shop.product.product, 880, 1990)).version == 2


async def test_a_new_price_is_told_to_every_open_room_that_shows_it(shop: Shop) -> None:
    second = await shop.catalogue.create_room(shop.mine.id, "Second")
    closed = await shop.catalogue.create_room(shop.mine.id, "Closed")
    await shop.catalogue.pin(shop.mine.id, shop.room.id, shop.product.product)
    for room in (second, closed):
        await shop.catalogue.put_on_shelf(shop.mine.id, room.id, shop.product.product)
    await shop.catalogue.close_room(shop.mine.id, closed.id)
    await told(shop)
    shop.events.clear()
    await shop.catalogue.set_price(shop.mine.id, shop.product.product, 770)
    await told(shop)
    shelves = of_type(shop.events, ShelfChanged)
    assert {event.room for event in shelves} == {shop.room.id, second.id}
    assert all(event.shelf[0].price == 770 and event.shelf[0].version == 2 for event in shelves)
    (pin,) = of_type(shop.events, PinChanged)
    assert pin.card is not None
    assert (pin.card.price, pin.card.version) == (770, 2)


async def test_the_shelf_keeps_the_order_it_is_given(shop: Shop) -> None:
    a, b, c = await more_products(shop, 3)
    for product in (a, b, c):
        await shop.catalogue.put_on_shelf(shop.mine.id, shop.room.id, product)
    assert names(await shop.catalogue.shelf(shop.room.id)) == [a, b, c]
    assert names(await shop.catalogue.put_on_shelf(shop.mine.id, shop.room.id, c, 1)) == [c, a, b]
    assert names(await shop.catalogue.put_on_shelf(shop.mine.id, shop.room.id, c, 2)) == [a, c, b]
    assert names(await shop.catalogue.put_on_shelf(shop.mine.id, shop.room.id, a, 200)) == [c, b, a]
    assert names(await shop.catalogue.take_off_shelf(shop.mine.id, shop.room.id, b)) == [c, a]


async def test_putting_a_product_where_it_is_tells_nobody(shop: Shop) -> None:
    await shop.catalogue.put_on_shelf(shop.mine.id, shop.room.id, shop.product.product)
    await told(shop)
    shop.events.clear()
    await shop.catalogue.put_on_shelf(shop.mine.id, shop.room.id, shop.product.product)
    await shop.catalogue.put_on_shelf(shop.mine.id, shop.room.id, shop.product.product, 1)
    await told(shop)
    assert shop.events == []


async def test_a_product_off_sale_leaves_shelves_and_pins(shop: Shop) -> None:
    await shop.catalogue.pin(shop.mine.id, shop.room.id, shop.product.product, explaining=True)
    await shop.catalogue.update_product(shop.mine.id, shop.product.product, on_shelf=False)
    assert await shop.catalogue.shelf(shop.room.id) == ()
    assert await shop.catalogue.pins(shop.room.id) == ()
    with pytest.raises(Refused) as refusal:
        await shop.catalogue.pin(shop.mine.id, shop.room.id, shop.product.product)
    assert refusal.value.code == "closed"


async def test_a_card_shows_the_ledgers_free_units(shop: Shop) -> None:
    await shop.catalogue.put_on_shelf(shop.mine.id, shop.room.id, shop.product.product)
    await shop.store.write(
        lambda db: (
            db.execute(
                text("INSERT INTO stock (sku, merchant, received, free, held) VALUES (:sku, :merchant, 9, 7, 2)"),
                {"sku": shop.product.sku, "merchant": shop.mine.id},
            ).rowcount
        )
    )
    (card,) = await shop.catalogue.shelf(shop.room.id)
    assert card.stock == 7
    assert (await shop.catalogue.product(shop.mine.id, shop.product.product)).stock == 7


async def test_sold_out_can_be_marked_and_taken_back(shop: Shop) -> None:
    await shop.catalogue.put_on_shelf(shop.mine.id, shop.room.id, shop.product.product)
    (card,) = await shop.catalogue.mark_sold_out(shop.mine.id, shop.room.id, shop.product.product)
    assert card.state == "sold_out"
    (card,) = await shop.catalogue.mark_sold_out(shop.mine.id, shop.room.id, shop.product.product, False)
    assert card.state == "on"


async def test_a_pin_puts_its_product_on_the_shelf_and_tells_both(shop: Shop) -> None:
    pins = await shop.catalogue.pin(shop.mine.id, shop.room.id, shop.product.product, media_ms=61_500)
    await told(shop)
    assert [type(event) for event in shop.events] == [ShelfChanged, PinChanged]
    (pinned,) = of_type(shop.events, PinChanged)
    assert pinned.pins == pins
    assert pinned.card is not None
    assert pinned.card.to_json()["media_ms"] == 61_500


async def test_a_fourth_pin_is_refused_and_the_three_stay(shop: Shop) -> None:
    a, b, c, d = await more_products(shop, 4)
    for product in (a, b, c):
        await shop.catalogue.pin(shop.mine.id, shop.room.id, product)
    with pytest.raises(Refused) as refusal:
        await shop.catalogue.pin(shop.mine.id, shop.room.id, d)
    assert refusal.value.code == "limit"
    assert names(await shop.catalogue.pins(shop.room.id)) == [a, b, c]
    assert d not in names(await shop.catalogue.shelf(shop.room.id))


async def test_explaining_a_second_product_moves_the_mark(shop: Shop) -> None:
    a, b = await more_products(shop, 2)
    await shop.catalogue.pin(shop.mine.id, shop.room.id, a, explaining=True)
    pins = await shop.catalogue.pin(shop.mine.id, shop.room.id, b, explaining=True)
    assert [(card.product, card.explaining) for card in pins] == [(b, True), (a, False)]
    assert [card.explaining for card in await shop.catalogue.shelf(shop.room.id)] == [False, True]


async def test_unpinning_tells_once_and_again_changes_nothing(shop: Shop) -> None:
    await shop.catalogue.pin(shop.mine.id, shop.room.id, shop.product.product)
    await told(shop)
    shop.events.clear()
    assert await shop.catalogue.unpin(shop.mine.id, shop.room.id, shop.product.product) == ()
    assert await shop.catalogue.unpin(shop.mine.id, shop.room.id, shop.product.product) == ()
    await told(shop)
    (event,) = of_type(shop.events, PinChanged)
    assert (event.unpinned, event.card, event.pins) == (shop.product.product, None, ())


async def test_taking_a_product_off_the_shelf_takes_its_pin(shop: Shop) -> None:
    await shop.catalogue.pin(shop.mine.id, shop.room.id, shop.product.product)
    await shop.catalogue.take_off_shelf(shop.mine.id, shop.room.id, shop.product.product)
    assert await shop.catalogue.pins(shop.room.id) == ()


async def test_ten_explained_at_once_leave_one_mark_and_events_in_commit_order(shop: Shop) -> None:
    products = await more_products(shop, 3)
    await asyncio.gather(*(shop.catalogue.pin(shop.mine.id, shop.room.id, p, True) for p in products * 4))
    await told(shop)
    pins = await shop.catalogue.pins(shop.room.id)
    assert sum(card.explaining for card in pins) == 1
    assert of_type(shop.events, PinChanged)[-1].pins == pins


async def test_a_caller_that_goes_away_does_not_swallow_the_event(shop: Shop) -> None:
    task = asyncio.create_task(shop.catalogue.pin(shop.mine.id, shop.room.id, shop.product.product))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    await shop.catalogue.close()
    await told(shop)
    assert len(of_type(shop.events, PinChanged)) == len(await shop.catalogue.pins(shop.room.id)) == 1


async def test_rooms_are_told_when_made_renamed_and_closed(shop: Shop) -> None:
    room = await shop.catalogue.create_room(shop.mine.id, "New", "Host", "https://example.com/c.jpg")
    await shop.catalogue.update_room(shop.mine.id, room.id, title="Newer")
    await shop.catalogue.close_room(shop.mine.id, room.id)
    again = await shop.catalogue.close_room(shop.mine.id, room.id)
    await told(shop)
    views = [event.view for event in of_type(shop.events, RoomChanged)]
    assert [(view.title, view.closed_ms is None) for view in views] == [
        ("New", True),
        ("Newer", True),
        ("Newer", False),
    ]
    assert again == views[-1]
    assert room.to_json() == {"id": room.id, "title": "New", "host": "Host", "cover": "https://example.com/c.jpg"}


async def test_the_right_password_logs_in_whatever_the_logins_case(shop: Shop) -> None:
    made = await shop.catalogue.create_staff(shop.mine.id, "Host.One", "correct horse", "host", "小语", shop.room.id)
    assert await shop.catalogue.login(" host.one ", "correct horse") == made
    assert await shop.catalogue.staff(shop.mine.id) == [made]


@pytest.mark.parametrize(
    ("login", "password"),
    [("host", "wrong horse"), ("nobody", "correct horse"), ("", ""), ("host", "x" * 100_000), ("x" * 9_999, "p")],
)
async def test_every_failed_login_looks_the_same(shop: Shop, login: str, password: str) -> None:
    await shop.catalogue.create_staff(shop.mine.id, "host", "correct horse", "host", "H")
    assert await shop.catalogue.login(login, password) is None


async def test_a_lone_surrogate_in_a_login_is_just_wrong(shop: Shop) -> None:
    for login, password in (("\ud800", "p"), ("host", "\ud800")):
        assert await shop.catalogue.login(login, password) is None


async def test_a_password_is_stored_as_argon2id(shop: Shop) -> None:
    await shop.catalogue.create_staff(shop.mine.id, "host", "correct horse", "host", "H")
    stored = await shop.store.read(lambda db: db.execute(text("SELECT password_hash FROM staff")).scalar_one())
    assert stored.startswith("$argon2id$")
    assert "horse" not in stored


async def test_a_login_is_taken_once(shop: Shop) -> None:
    await shop.catalogue.create_staff(shop.mine.id, "host", "correct horse", "host", "H")
    with pytest.raises(Refused) as refusal:
        await shop.catalogue.create_staff(shop.other.id, "HOST", "other horse!", "host", "H")
    assert refusal.value.code == "already"


async def test_a_flood_of_logins_is_told_to_come_back(shop: Shop) -> None:
    # The hashing threads are kept until all have come, whatever the speed of database and machine.
    kept = threading.Event()
    for _ in range(HASH_THREADS):
        shop.catalogue._hashing.threads.submit(kept.wait, 60)
    logins = [asyncio.ensure_future(shop.catalogue.login("x", "y")) for _ in range(300)]
    async with asyncio.timeout(60):
        while sum(login.done() for login in logins) < 300 - HASHES_WAITING_MAX:
            await asyncio.sleep(0.01)
    kept.set()
    results = await asyncio.gather(*logins, return_exceptions=True)
    assert {type(result) for result in results} <= {Busy, type(None)}
    assert any(isinstance(result, Busy) for result in results)
    assert await shop.catalogue.login("x", "y") is None


async def test_products_come_in_pages(shop: Shop) -> None:
    for _ in range(4):
        shop.clock.advance(1)
        await more_products(shop, 1)
    first = await shop.catalogue.products(shop.mine.id, limit=3)
    rest = await shop.catalogue.products(shop.mine.id, after=first[-1].product, limit=3)
    assert len({view.product for view in first + rest}) == 5
    assert shop.other_product not in first + rest


async def test_coupon_templates_are_kept(shop: Shop) -> None:
    made = await shop.catalogue.create_coupon_template(shop.mine.id, "满99减20", "店庆", 2000, 9900, 50, 1, 3600)
    assert await shop.catalogue.coupon_templates(shop.mine.id) == [made]
    assert await shop.catalogue.coupon_templates(shop.other.id) == []


Bad = Callable[[Shop], Awaitable[object]]


@pytest.mark.parametrize(
    ("field", "call"),
    [
        ("title", lambda s: s.catalogue.create_product(s.mine.id, "  ", 1)),
        ("title", lambda s: s.catalogue.create_product(s.mine.id, "x" * 61, 1)),
        ("title", lambda s: s.catalogue.create_product(s.mine.id, "a\nb", 1)),
        ("title", lambda s: s.catalogue.create_product(s.mine.id, "a\ud800", 1)),
        ("title", lambda s: s.catalogue.create_product(s.mine.id, 7, 1)),
        ("price", lambda s: s.catalogue.create_product(s.mine.id, "x", 0)),
        ("price", lambda s: s.catalogue.create_product(s.mine.id, "x", 10**9 + 1)),
        ("price", lambda s: s.catalogue.create_product(s.mine.id, "x", True)),
        ("price", lambda s: s.catalogue.create_product(s.mine.id, "x", 9.9)),
        ("list_price", lambda s: s.catalogue.create_product(s.mine.id, "x", 100, 99)),
        ("image", lambda s: s.catalogue.create_product(s.mine.id, "x", 1, None, "javascript:alert(1)")),
        ("image", lambda s: s.catalogue.create_product(s.mine.id, "x", 1, None, "//elsewhere/x.png")),
        ("image", lambda s: s.catalogue.create_product(s.mine.id, "x", 1, None, '/a"onerror=')),
        ("image", lambda s: s.catalogue.create_product(s.mine.id, "x", 1, None, "/" + "x" * 500)),
        ("detail", lambda s: s.catalogue.create_product(s.mine.id, "x", 1, None, "", "x" * 5_001)),
        ("title", lambda s: s.catalogue.create_room(s.mine.id, "")),
        ("host_name", lambda s: s.catalogue.create_room(s.mine.id, "x", "h" * 61)),
        ("cover", lambda s: s.catalogue.create_room(s.mine.id, "x", "", "data:text/html,x")),
        ("name", lambda s: s.catalogue.create_merchant("")),
        ("role", lambda s: s.catalogue.create_staff(s.mine.id, "abc", "12345678", "root", "x")),
        ("login", lambda s: s.catalogue.create_staff(s.mine.id, "a b", "12345678", "host", "x")),
        ("password", lambda s: s.catalogue.create_staff(s.mine.id, "abc", "1234567", "host", "x")),
        ("position", lambda s: s.catalogue.put_on_shelf(s.mine.id, s.room.id, s.product.product, 0)),
        ("media_ms", lambda s: s.catalogue.pin(s.mine.id, s.room.id, s.product.product, False, -1)),
        ("limit", lambda s: s.catalogue.products(s.mine.id, "", 1_000)),
        ("amount", lambda s: s.catalogue.create_coupon_template(s.mine.id, "x", "y", 0, 0, 1, 1, 1)),
    ],
)
async def test_bad_input_names_its_field(shop: Shop, field: str, call: Bad) -> None:
    with pytest.raises(Invalid) as refusal:
        await call(shop)
    assert refusal.value.extra["field"] == field


@pytest.mark.parametrize(
    "call",
    [
        lambda s: s.catalogue.room(s.other_room.id, s.mine.id),
        lambda s: s.catalogue.shelf(s.other_room.id, s.mine.id),
        lambda s: s.catalogue.pins(s.other_room.id, s.mine.id),
        lambda s: s.catalogue.update_room(s.mine.id, s.other_room.id, title="mine now"),
        lambda s: s.catalogue.close_room(s.mine.id, s.other_room.id),
        lambda s: s.catalogue.product(s.mine.id, s.other_product.product),
        lambda s: s.catalogue.set_price(s.mine.id, s.other_product.product, 1),
        lambda s: s.catalogue.update_product(s.mine.id, s.other_product.product, title="mine now"),
        lambda s: s.catalogue.put_on_shelf(s.mine.id, s.room.id, s.other_product.product),
        lambda s: s.catalogue.put_on_shelf(s.mine.id, s.other_room.id, s.product.product),
        lambda s: s.catalogue.take_off_shelf(s.mine.id, s.other_room.id, s.other_product.product),
        lambda s: s.catalogue.mark_sold_out(s.mine.id, s.other_room.id, s.other_product.product),
        lambda s: s.catalogue.pin(s.mine.id, s.room.id, s.other_product.product),
        lambda s: s.catalogue.pin(s.mine.id, s.other_room.id, s.product.product),
        lambda s: s.catalogue.unpin(s.mine.id, s.other_room.id, s.other_product.product),
        lambda s: s.catalogue.create_staff(s.mine.id, "spy", "12345678", "host", "x", s.other_room.id),
        lambda s: s.catalogue.create_staff("nobody", "spy", "12345678", "host", "x"),
        lambda s: s.catalogue.create_room("nobody", "x"),
        lambda s: s.catalogue.create_product("nobody", "x", 1),
        lambda s: s.catalogue.create_coupon_template("nobody", "x", "y", 1, 0, 1, 1, 1),
        lambda s: s.catalogue.merchant("nobody"),
    ],
)
async def test_what_belongs_to_another_merchant_is_not_found_and_stays_as_it_was(shop: Shop, call: Bad) -> None:
    await shop.catalogue.pin(shop.other.id, shop.other_room.id, shop.other_product.product)
    with pytest.raises(NotFound):
        await call(shop)
    assert await shop.catalogue.room(shop.other_room.id) == shop.other_room
    assert await shop.catalogue.product(shop.other.id, shop.other_product.product) == shop.other_product
    assert names(await shop.catalogue.pins(shop.other_room.id)) == [shop.other_product.product]
    assert await shop.catalogue.pins(shop.room.id) == ()


async def test_lists_hold_only_the_merchants_own(shop: Shop) -> None:
    assert await shop.catalogue.rooms(shop.mine.id) == [shop.room]
    assert await shop.catalogue.products(shop.mine.id) == [shop.product]


def test_an_unknown_login_is_checked_against_a_hash_all_the_same() -> None:
    class Counting(PasswordHasher):
        verified = 0

        def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:
            self.verified += 1
            return super().verify(hash, password)

    hasher = Counting(time_cost=1, memory_cost=8, parallelism=1)
    passwords = Passwords(hasher)
    assert passwords.matches(passwords.hash("right horse"), "right horse")
    assert not passwords.matches(passwords.hash("right horse"), "wrong horse")
    assert not passwords.matches(None, "nobody's password")
    assert hasher.verified == 3
