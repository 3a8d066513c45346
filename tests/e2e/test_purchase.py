"""From a share link to the merchant's board: coupon, flash sale, payment, and who is credited."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import expect

from tests.e2e.stage import DESK, Person, Theatre

pytestmark = pytest.mark.browser


def made_link(board: Person, channel: str) -> tuple[str, str]:
    """A share link made on the board: its address and its token."""
    board.see("link-channel").fill(channel)
    board.press("link-create")
    row = board.see("link-row").filter(has_text=channel)
    url = row.locator('[data-testid="link-copy"]').get_attribute("data-url")
    token = row.get_attribute("data-token")
    assert url is not None and token is not None and url.endswith(f"?s={token}")
    return url, token


def run_a_show(console: Person, sku: str) -> None:
    """The host drops a coupon of 5 yuan and starts a flash sale of two units for 9.90."""
    console.see("drop-amount").fill("5")
    console.see("drop-reason").fill("店庆")
    console.press("drop-start")
    expect(console.see("drop-run", state="open")).to_have_count(1)
    console.see("sale-sku").select_option(sku)
    console.see("sale-price").fill("9.90")
    console.see("sale-total").fill("2")
    console.see("sale-countdown").fill("2")
    console.press("sale-start")


def receipt(viewer: Person) -> str:
    """The order's id on the receipt in sight."""
    expect(viewer.see("paid")).to_be_visible()
    order = viewer.see("paid").get_attribute("data-order")
    assert order is not None
    viewer.page.locator('[data-testid="order-sheet"] .primary').click()
    return order


def test_a_sale_is_credited_to_the_link_and_a_friend_s_to_the_share_of_that_link(own_theatre: Theatre) -> None:
    theatre, server = own_theatre, own_theatre.server
    sku, honey = server.seed["products"][2]["sku"], server.seed["products"][1]
    board = theatre.person(DESK)
    board.sign_in("/merchant", server.seed["logins"]["merchant"])
    expect(board.see("room-row")).to_have_count(1)
    url, token = made_link(board, "公众号")

    viewer = theatre.person(name="小雨")
    viewer.enter(url)
    console = theatre.person(DESK)
    console.sign_in(f"/host/{server.room}", server.seed["logins"]["host"])
    run_a_show(console, sku)

    viewer.press("coupon-catch")
    viewer.told("¥5")
    grab = viewer.page.locator('[data-testid="sale-card"][data-state="open"] [data-testid="sale-grab"]')
    grab.click()
    expect(viewer.see("order-sheet")).to_be_visible()
    expect(viewer.see("coupon-select").locator("option:checked")).to_contain_text("¥5")
    expect(viewer.see("pay")).to_contain_text("¥4.90")
    viewer.press("pay")
    first = receipt(viewer)
    expect(viewer.see("sale-card")).to_have_attribute("data-state", "done")

    viewer.press("share")
    shared = viewer.see("share-url").input_value()
    child = shared.partition("?s=")[2]
    assert child and child != token
    viewer.page.keyboard.press("Escape")
    friend = theatre.person(DESK, "en-GB", name="Mei")
    friend.enter(shared)
    friend.page.locator(f'#side-shelf [data-product="{honey["product"]}"] [data-testid="shelf-buy"]').click()
    expect(friend.see("pay")).to_contain_text("¥59")
    friend.press("pay")
    second = receipt(friend)

    board.press("refresh")
    row = board.see("order-row", order=first)
    expect(row).to_have_attribute("data-token", token)
    expect(row).to_have_attribute("data-status", "paid")
    expect(row).to_contain_text("¥4.90")
    row.locator('[data-testid="order-more"]').click()
    expect(board.see("order-why")).to_contain_text("最后一次有效触点")
    other = board.see("order-row", order=second)
    expect(other).to_have_attribute("data-token", child)
    expect(other).to_contain_text("小雨")
    expect(board.see("gmv")).to_have_text("¥63.90")
    tree = server.call("GET", "/board", token=server.seed["merchant_token"]).json()["tree"]
    links = {node["token"]: node for node in tree}
    assert links[child]["parent"] == links[token]["link"]
    assert (links[token]["amount"], links[child]["amount"]) == (490, 5_900)
    expect(board.page.locator(f'#tree [data-link="{links[child]["link"]}"]')).to_contain_text("小雨")
    audit = server.run("audit", check=False)
    assert audit.returncode == 0, audit.stdout


def test_what_i_bought_is_in_my_list_and_all_see_that_one_less_is_left(theatre: Theatre) -> None:
    viewer, onlooker, console = theatre.person(), theatre.person(DESK), theatre.person(DESK)
    viewer.enter(theatre.room)
    onlooker.enter(theatre.room)
    console.enter(f"/host/{theatre.server.room}#token={theatre.server.seed['host_token']}")
    product = theatre.server.seed["products"][3]
    left = theatre.server.call("GET", f"/rooms/{theatre.server.room}").json()["shelf"][3]["stock"]
    drop = {"title": "老客券", "reason": "回购", "amount": 800, "total": 5, "seconds": 600}
    theatre.server.call("POST", f"/rooms/{theatre.server.room}/drops", drop, token=theatre.server.seed["host_token"])
    viewer.page.locator('[data-testid="coupon-card"]', has_text="¥8").locator('[data-testid="coupon-catch"]').click()
    viewer.told("¥8")
    viewer.press("shelf-open")
    viewer.page.locator(
        f'[data-testid="shelf-sheet"] [data-product="{product["product"]}"] [data-testid="shelf-buy"]'
    ).click()
    viewer.see("coupon-select").select_option("")
    expect(viewer.see("pay")).to_contain_text("¥168")
    viewer.press("pay")
    receipt(viewer)
    desk = f'[data-product="{product["product"]}"]'
    expect(onlooker.page.locator(f"#side-shelf {desk} .shelf-left")).to_have_text(f"剩 {left - 1} 件")
    expect(console.page.locator(f"#shelf {desk} .left")).to_contain_text(f"剩 {left - 1}")
    viewer.press("me")
    expect(viewer.see("my-order")).to_contain_text(product["title"])
    expect(viewer.see("my-coupon", state="unused")).to_contain_text("老客券")
    assert "decision" not in json.dumps(viewer.page.evaluate("() => ({...sessionStorage})"))
