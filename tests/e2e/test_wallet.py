"""A member's evening: sign in, charge the wallet, fill the cart with two variants, pay with points and stored value."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import expect

from tests.e2e.stage import DESK, Person, Theatre

pytestmark = pytest.mark.browser


def furnish(theatre: Theatre) -> tuple[str, Any, Any]:
    """Terms, a giving on entry, a card of stored value and a scarf in two colours: the last three."""
    boss, room = theatre.server.seed["merchant_token"], theatre.server.room

    def post(path: str, body: Any, method: str = "POST") -> Any:
        answer = theatre.server.call(method, path, body, token=boss)
        assert answer.status_code in (200, 201), answer.text
        return answer.json()

    tiers = [{"name": "银卡", "spent": 5_000}]
    post("/program", {"yuan_points": 1, "sign_in": [200, 300], "tiers": tiers}, "PUT")
    card = {"title": "充100送20", "price": 10_000, "stock": 9, "kind": "stored", "bonus": 2_000}
    blue = {"name": "蓝", "price": 3_500, "stock": 5}
    scarf = {"title": "真丝围巾", "price": 3_000, "stock": 5, "name": "红", "variants": [blue]}
    giving = {"title": "进店礼", "reason": "进店送券", "amount": 500, "total": 9, "way": "entry"}
    given = post(f"/rooms/{room}/givings", giving)
    return given["drop"], post(f"/rooms/{room}/products", card), post(f"/rooms/{room}/products", scarf)


def on_shelf(viewer: Person, product: str, button: str) -> None:
    """Press a button beside a product in the shelf's sheet."""
    viewer.page.locator(f'[data-testid="shelf-sheet"] [data-product="{product}"] [data-testid="{button}"]').click()


def test_a_member_signs_in_charges_the_wallet_and_pays_a_cart_of_variants_with_it(theatre: Theatre) -> None:
    giving, card, scarf = furnish(theatre)
    viewer = theatre.person(name="小满")
    viewer.enter(theatre.room)
    viewer.press("me")
    expect(viewer.see("my-coupon", state="unused")).to_contain_text("进店送券")
    viewer.press("sign-in")
    expect(viewer.see("signed")).to_contain_text("1")
    expect(viewer.see("points")).to_have_text("200")
    viewer.page.keyboard.press("Escape")

    viewer.press("shelf-open")
    on_shelf(viewer, card["product"], "shelf-buy")
    expect(viewer.see("pay")).to_contain_text("¥100")
    viewer.press("pay")
    expect(viewer.see("paid")).to_be_visible()
    viewer.page.locator('[data-testid="order-sheet"] .primary').click()

    viewer.press("shelf-open")
    for colour in ("红", "蓝"):
        on_shelf(viewer, scarf["product"], "shelf-add")
        viewer.page.locator('[data-testid="variant"]', has_text=colour).click()
        viewer.press("variant-add")
    viewer.page.locator('[data-testid="shelf-sheet"] [data-testid="cart-checkout"]').click()
    expect(viewer.page.locator('[data-testid="order-item"]')).to_have_count(2)
    expect(viewer.see("pay")).to_contain_text("¥60")
    viewer.press("use-points")
    expect(viewer.see("pay")).to_contain_text("¥58")
    viewer.press("use-stored")
    expect(viewer.see("pay")).to_contain_text("¥0")
    viewer.press("pay")
    expect(viewer.see("paid")).to_be_visible()
    viewer.page.locator('[data-testid="order-sheet"] .primary').click()

    viewer.press("me")
    expect(viewer.see("wallet")).to_contain_text("银卡")
    expect(viewer.see("points")).to_have_text("0")
    expect(viewer.see("stored")).to_have_text("¥62")
    # The server is the other tests', too: whoever comes in after this is given nothing.
    closing = f"/rooms/{theatre.server.room}/drops/{giving}/close"
    assert theatre.server.call("POST", closing, token=theatre.server.seed["merchant_token"]).status_code == 200
    audit = theatre.server.run("audit", check=False)
    assert audit.returncode == 0, audit.stdout


def test_the_merchant_sets_the_terms_and_the_host_a_coupon_for_everybody_who_comes_in(theatre: Theatre) -> None:
    server = theatre.server
    board = theatre.person(DESK)
    board.sign_in("/merchant", server.seed["logins"]["merchant"])
    board.see("program-yuan_points").fill("2")
    board.see("program-sign_in").fill("5, 10")
    board.see("program-tiers").fill("银卡 500 100; 金卡 2000 150")
    with board.page.expect_response("**/api/v1/program") as answer:
        board.press("program-save")
    assert answer.value.status == 200
    terms = server.call("GET", "/program", token=server.seed["merchant_token"]).json()
    assert (terms["yuan_points"], terms["sign_in"]) == (2, [5, 10])
    assert [(tier["name"], tier["spent"]) for tier in terms["tiers"]] == [("银卡", 50_000), ("金卡", 200_000)]

    console = theatre.person(DESK)
    console.sign_in(f"/host/{server.room}", server.seed["logins"]["host"])
    console.see("drop-percent").fill("10")
    console.see("drop-way").select_option("gift")
    with console.page.expect_response("**/givings") as given:
        console.press("drop-start")
    assert given.value.status == 201
    [giving] = [one for one in given.value.json().items() if one[0] == "drop"]
    closing = f"/rooms/{server.room}/drops/{giving[1]}/close"
    assert server.call("POST", closing, token=server.seed["merchant_token"]).status_code == 200
