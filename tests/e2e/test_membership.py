"""A shop sells a membership; a viewer joins and pays the members' price from then on."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.e2e.stage import DESK, Theatre
from tests.e2e.test_purchase import receipt

# The API's own tests are in the ordinary run.
pytestmark = [pytest.mark.browser, pytest.mark.soak]


def test_a_viewer_joins_from_their_own_page_and_pays_the_members_price(own_theatre: Theatre) -> None:
    tea, honey = own_theatre.server.seed["products"][:2]
    board = own_theatre.person(DESK)
    board.sign_in("/merchant", own_theatre.server.seed["logins"]["merchant"])
    board.page.locator('#plans-panel summary[data-t="ms.sell"]').click()
    board.page.select_option('[data-testid="plan-sku"]', tea["sku"])
    board.page.fill('[data-testid="plan-percent"]', "90")
    board.press("plan-sell")
    expect(board.see("plan-row", sku=tea["sku"])).to_be_visible()

    viewer = own_theatre.person(DESK, name="小雨")
    viewer.enter(own_theatre.room)
    viewer.press("me")
    viewer.see("plan", sku=tea["sku"]).locator('[data-testid="plan-buy"]').click()
    viewer.press("pay")
    receipt(viewer)
    viewer.page.keyboard.press("Escape")
    viewer.press("me")
    expect(viewer.see("my-membership", state="active")).to_be_visible()
    viewer.page.keyboard.press("Escape")
    viewer.page.locator(f'#side-shelf [data-product="{honey["product"]}"] [data-testid="shelf-buy"]').click()
    expect(viewer.see("order-sheet")).to_contain_text("会员价")
    viewer.press("pay")
    receipt(viewer)
    board.page.reload()
    expect(board.see("plan-member", state="active")).to_be_visible()
