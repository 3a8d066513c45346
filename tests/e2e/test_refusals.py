"""What a viewer is shown when something is not to be had."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.e2e.stage import PHONE, Person, Theatre

pytestmark = pytest.mark.browser


def opened_sale(theatre: Theatre, number: int, total: int) -> dict[str, Any]:
    """A flash sale of product ``number`` for 1 yuan, open now."""
    server = theatre.server
    base, host = f"/rooms/{server.room}/sales", server.seed["host_token"]
    # A sale with units left would stand before one that is sold out.
    for other in server.call("GET", base).json():
        if other["state"] in {"open", "sold_out"}:
            server.call("POST", f"{base}/{other['sale']}/close", token=host)
    body = {"sku": server.seed["products"][number]["sku"], "price": 100, "total": total, "hold_s": 600, "length_s": 600}
    sale: dict[str, Any] = server.call("POST", base, body, token=host).json()
    started = server.call("POST", f"{base}/{sale['sale']}/start", {"countdown_s": 0}, token=host)
    assert started.status_code == 200, started.text
    return sale


@pytest.mark.parametrize("door", ["r", "host"])
def test_a_room_that_does_not_exist_is_told_kindly_in_both_languages(theatre: Theatre, door: str) -> None:
    theatre.watch.expect("status of 404")
    viewer = theatre.person(PHONE)
    viewer.open(f"/{door}/nosuchroom")
    expect(viewer.see("missing")).to_contain_text("没有这个直播间")
    expect(viewer.see("missing")).to_contain_text("This room does not exist")
    # Only the page itself may be missing: its style and its picture are there.
    assert [text for text in theatre.watch.complaints if "nosuchroom" not in text] == []


def test_the_last_unit_goes_to_one_and_the_others_see_that_it_is_gone(theatre: Theatre) -> None:
    quick, slow = theatre.person(), theatre.person(locale="en-GB")
    quick.enter(theatre.room)
    slow.enter(theatre.room)
    sale = opened_sale(theatre, 0, 1)["sale"]
    card = f'[data-testid="sale-card"][data-sale="{sale}"]'
    expect(slow.page.locator(f'{card}[data-state="open"]')).to_be_visible()
    quick.page.locator(f'{card} [data-testid="sale-grab"]').click()
    expect(quick.see("order-sheet")).to_be_visible()
    expect(slow.page.locator(card)).to_have_attribute("data-state", "sold_out")
    expect(slow.page.locator(f'{card} [data-testid="sale-grab"]')).to_have_count(0)
    expect(slow.page.locator(card)).to_contain_text("Sold out")
    slow.page.locator(f'{card} [data-testid="sale-wish"]').click()
    expect(slow.page.locator(f'{card} [data-testid="sale-wish"]')).to_contain_text("No. 1 in line")
    # Closed without paying, the unit stays mine for its minute, over a reload too.
    quick.page.keyboard.press("Escape")
    quick.page.reload()
    expect(quick.page.locator(card)).to_have_attribute("data-state", "held")


def test_a_tap_that_comes_too_late_is_answered_in_the_viewer_s_language(theatre: Theatre) -> None:
    late = theatre.person()
    late.enter(theatre.room)
    sale = opened_sale(theatre, 1, 1)["sale"]
    card = f'[data-testid="sale-card"][data-sale="{sale}"]'
    expect(late.page.locator(f'{card}[data-state="open"]')).to_be_visible()
    # The last unit goes between the look and the tap.
    server = theatre.server
    other = server.guest()
    grab = late.page.locator(f'{card} [data-testid="sale-grab"]').element_handle()
    taken = server.call(
        "POST", f"/rooms/{server.room}/sales/{sale}/holds", {"quantity": 1}, token=other["token"], key="k"
    )
    assert taken.status_code == 201 and grab is not None
    grab.evaluate("button => { button.disabled = false; button.click(); }")
    late.told("已抢光")


def set_price(theatre: Theatre, sku: str, price: int) -> None:
    """Another program of the shop changes a price in the database."""
    with sqlite3.connect(theatre.server.data / "shop.db", timeout=60) as shop:
        shop.execute("UPDATE sku SET price = ?, version = version + 1 WHERE id = ?", (price, sku))
    shop.close()


def buy_from_the_bag(viewer: Person, product: str) -> None:
    """Open the shelf and tap Buy."""
    viewer.press("shelf-open")
    viewer.page.locator(f'[data-testid="shelf-sheet"] [data-product="{product}"] [data-testid="shelf-buy"]').click()


def test_a_price_that_changed_is_shown_and_paid_only_after_another_look(theatre: Theatre) -> None:
    product = theatre.server.seed["products"][3]
    viewer = theatre.person()
    viewer.enter(theatre.room)
    buy_from_the_bag(viewer, product["product"])
    expect(viewer.see("pay")).to_contain_text("¥168")
    # Until the price was asked for nothing can be paid.
    expect(viewer.see("pay")).to_be_enabled()
    set_price(theatre, product["sku"], 17_500)
    try:
        viewer.press("pay")
        viewer.told("¥175")
        expect(viewer.see("pay")).to_contain_text("¥175")
        expect(viewer.see("paid")).to_have_count(0)
        viewer.press("pay")
        expect(viewer.see("paid")).to_contain_text("¥175")
    finally:
        set_price(theatre, product["sku"], product["price"])
