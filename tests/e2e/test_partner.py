"""A gym next door: recorded on the board, its code scanned, its own page says what it earned and asks for it."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import expect

from tests.e2e.stage import DESK, Theatre
from tests.e2e.test_purchase import receipt

pytestmark = pytest.mark.browser


@pytest.mark.soak
def test_a_partner_is_recorded_its_visitor_buys_and_its_page_says_so(own_theatre: Theatre) -> None:
    server = own_theatre.server
    honey: dict[str, Any] = server.seed["products"][1]
    board = own_theatre.person(DESK)
    board.sign_in("/merchant", server.seed["logins"]["merchant"])
    panel = board.see("partners-panel")
    panel.locator("summary").last.click()
    form = board.see("partner-form")
    form.locator('[name="name"]').fill("力量健身房")
    form.locator('[name="trade"]').fill("健身")
    form.locator('[name="rate"]').fill("10")
    form.locator('[name="bears"]').fill("50")
    form.locator('button[type="submit"]').click()
    row = board.see("partner-row", state="active")
    expect(row).to_contain_text("全店 10 %")
    row.locator('[data-testid="partner-channel"]').fill("前台")
    row.locator('[data-testid="partner-code-new"]').click()
    code = board.see("partner-code")
    expect(code).to_contain_text("前台")
    url = str(code.locator("a").get_attribute("href"))
    board.page.keyboard.press("Escape")

    row.locator('[data-testid="partner-coupon-open"]').click()
    coupon = row.locator('[data-testid="partner-coupon-form"]')
    for name, value in (("title", "健身房专享"), ("reason", "邻里开业"), ("amount", "10"), ("budget", "500")):
        coupon.locator(f'[name="{name}"]').fill(value)
    coupon.locator('[data-testid="partner-coupon-save"]').click()
    expect(row.locator('[data-testid="partner-offer"]')).to_contain_text("立减 ¥10")

    viewer = own_theatre.person(DESK, name="小雨")
    viewer.enter(f"{url}&q=1")
    viewer.page.locator(f'#side-shelf [data-product="{honey["product"]}"] [data-testid="shelf-buy"]').click()
    viewer.press("pay")
    order = receipt(viewer)

    row.locator('[data-testid="partner-key"]').click()
    own = str(board.see("partner-key-url").get_attribute("href"))
    gym = own_theatre.person()
    gym.open(own[len(server.base) :])
    expect(gym.see("partner-name")).to_have_text("力量健身房")
    assert "#" not in gym.page.url
    sale = gym.see("partner-sale", sale=order)
    expect(sale).to_contain_text("小**")
    expect(sale).to_contain_text("退货期内")
    expect(gym.page.locator('[data-testid="partner-offer"]')).to_contain_text("已发 1 / 100")
    gym.press("partner-poster")
    expect(gym.see("poster")).to_be_visible()

    board.press("refresh")
    board.press("table-partner")
    expect(board.page.locator('[data-testid="count-row"]')).to_contain_text("力量健身房")
    bought = board.see("order-row", order=order)
    bought.locator('[data-testid="order-more"]').click()
    board.see("in-words").locator("summary").click()
    expect(board.see("in-words")).to_contain_text("异业合作分成：力量健身房")
    expect(board.see("in-words")).to_contain_text("合作分成：计算基数")
