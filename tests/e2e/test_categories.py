"""The merchant files goods on the goods page and sets a rate by category; a viewer looks at one category alone."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.e2e.stage import DESK, Theatre

pytestmark = [pytest.mark.browser, pytest.mark.soak]


def test_goods_are_filed_rated_and_looked_at_by_category(own_theatre: Theatre) -> None:
    server = own_theatre.server
    tea, honey = server.seed["products"][:2]
    viewer = own_theatre.person(DESK, name="小雨")
    viewer.enter(f"/r/{server.room}")
    shelf = viewer.page.locator("#side-shelf")
    expect(shelf.locator('[data-testid="shelf-item"]').first).to_be_visible()
    expect(shelf.locator('[data-testid="shelf-category"]')).to_have_count(0)

    board = own_theatre.person(DESK)
    board.sign_in("/merchant", server.seed["logins"]["merchant"])
    for product, category in ((tea, "茶叶"), (honey, "蜂蜜")):
        field = board.see("product-row", product=product["product"]).locator('[data-testid="goods-category"]')
        field.fill(category)
        field.press("Enter")
        expect(board.see("goods-category-filter").filter(has_text=category)).to_be_visible()
    expect(board.see("change-row", what="category").first).to_contain_text("蜂蜜")
    expect(board.page.locator("#known-categories option")).to_have_count(2)
    board.see("goods-category-filter").filter(has_text="蜂蜜").click()
    expect(board.see("product-row")).to_have_count(1)

    rate = board.page.locator("#rate-form")
    rate.locator("xpath=ancestor::details").evaluate_all("(all) => all.forEach((one) => (one.open = true))")
    rate.locator('[name="scope"]').select_option("category")
    expect(rate.locator('[name="target"]')).to_have_attribute("list", "known-categories")
    rate.locator('[name="target"]').fill("蜂蜜")
    rate.locator('[name="first"]').fill("12")
    rate.locator('button[type="submit"]').click()
    expect(board.see("rate").filter(has_text="蜂蜜")).to_contain_text("12%")

    expect(shelf.locator('[data-testid="shelf-category"]')).to_have_text(["全部", "茶叶", "蜂蜜"])
    shelf.locator('[data-testid="shelf-category"]').last.click()
    expect(shelf.locator('[data-testid="shelf-item"]')).to_have_count(1)
    expect(shelf.locator(f'[data-product="{honey["product"]}"]')).to_be_visible()
