"""A distributor's poster, from the board to the statement: scanned, bought by, refunded, and explained in words."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from playwright.sync_api import expect

from tests.e2e.stage import DESK, Person, Theatre
from tests.e2e.test_purchase import receipt

pytestmark = pytest.mark.browser


def own_data(viewer: Person) -> None:
    """The viewer agrees to something, and has a code for the till."""
    viewer.page.keyboard.press("Escape")
    viewer.press("me")
    viewer.press("mydata-open")
    viewer.press("consent-marketing", granted="false")
    expect(viewer.see("consent-marketing", granted="true")).to_be_visible()
    viewer.press("member-code-open")
    expect(viewer.see("member-code").locator("img")).to_be_visible()


@pytest.mark.soak
def test_a_poster_brings_a_buyer_and_the_statement_shows_what_came_and_went(own_theatre: Theatre) -> None:
    server = own_theatre.server
    boss, honey = server.seed["merchant_token"], server.seed["products"][1]

    def call(method: str, path: str, body: Any = None, *, token: str = boss, key: str | None = None) -> Any:
        headers = {"authorization": f"Bearer {token}"} | ({"idempotency-key": key} if key else {})
        answer = httpx.request(method, f"{server.base}/api/v1{path}", json=body, headers=headers, timeout=60)
        assert answer.status_code < 300, answer.text
        return answer.json()

    call("PUT", "/distribution/rates", {"scope": "shop", "first_bp": 1_000})
    fen = own_theatre.person(name="阿芬")
    fen.enter(own_theatre.room)
    fen.press("me")
    fen.press("earn-open")
    fen.see("earn-name").fill("阿芬")
    fen.press("earn-apply")
    expect(fen.see("earn-applied")).to_be_visible()
    fen.page.keyboard.press("Escape")

    board = own_theatre.person(DESK)
    board.sign_in("/merchant", server.seed["logins"]["merchant"])
    board.see("distributor-row", state="applied").locator('[data-testid="distributor-turn"]').click()
    distributor = board.see("distributor-row", state="active")
    expect(distributor).to_contain_text("阿芬")

    # Her own poster: the link that she shares is a distributor's from now on.
    fen.press("share")
    url = fen.see("share-url").input_value()
    fen.page.keyboard.press("Escape")
    board.press("refresh")
    (link,) = [one for one in call("GET", "/links") if one["token"] in url]
    board.see("link-row", token=link["token"]).locator('[data-testid="link-poster"]').click()
    expect(board.see("poster")).to_be_visible()
    with board.page.expect_download() as saved:
        board.press("poster-png")
    assert saved.value.path().read_bytes().startswith(b"\x89PNG")
    board.page.keyboard.press("Escape")

    viewer = own_theatre.person(DESK, name="小雨")
    viewer.enter(f"{url}&q=1")
    viewer.page.locator(f'#side-shelf [data-product="{honey["product"]}"] [data-testid="shelf-buy"]').click()
    viewer.press("pay")
    order = receipt(viewer)

    board.press("refresh")
    row = board.see("order-row", order=order)
    expect(row).to_contain_text("阿芬")
    row.locator('[data-testid="order-more"]').click()
    board.see("in-words").locator("summary").click()
    expect(board.see("in-words")).to_contain_text("分销佣金：阿芬")
    distributor.locator('[data-testid="statement-open"]').click()
    expect(board.see("earning-row")).to_contain_text("¥5.90")
    board.page.keyboard.press("Escape")

    call("POST", f"/orders/{order}/refunds", {"reason": "七天无理由"}, key="back")
    distributor.locator('[data-testid="statement-open"]').click()
    expect(board.see("earning-row")).to_contain_text("¥5.90 − ¥5.90")
    # She reads the same on her own page.
    fen.press("me")
    fen.press("earn-open")
    expect(fen.see("my-earning")).to_contain_text("¥5.90 − ¥5.90")
    expect(fen.see("earn-frozen")).to_have_text("¥0")
    own_data(viewer)
    touches = call("GET", "/board")["by_link"]
    assert [one["entries"] for one in touches if one["token"] == link["token"]] == [1]
    audit = server.run("audit", check=False)
    assert audit.returncode == 0, audit.stdout
