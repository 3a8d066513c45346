"""Goods made to wishes on the pages: a ring is engraved and made, a kitchen is asked for and ordered by its offer."""

from __future__ import annotations

import pytest
from playwright.sync_api import FilePayload, expect

from tests.e2e.stage import DESK, Theatre
from tests.e2e.test_purchase import receipt
from tests.gateway.test_pictures import picture

# The API's own tests are in the ordinary run.
pytestmark = [pytest.mark.browser, pytest.mark.soak]


def test_a_viewer_has_goods_engraved_and_asks_what_others_cost(own_theatre: Theatre) -> None:
    tea, honey = own_theatre.server.seed["products"][:2]
    board = own_theatre.person(DESK)
    board.sign_in("/merchant", own_theatre.server.seed["logins"]["merchant"])
    board.page.locator('#custom-panel summary[data-t="cu.forms"]').click()
    form = board.page.locator("#custom-form")
    board.page.select_option('[data-testid="custom-sku"]', tea["sku"])
    board.page.fill('[data-testid="custom-label"]', "刻字")
    board.page.fill('[data-testid="custom-amount"]', "5")
    form.locator('[name="required"]').select_option("1")
    board.press("custom-save")
    expect(board.see("form-row", target=tea["sku"])).to_be_visible()
    board.page.fill('[data-testid="custom-label"]', "图案")
    form.locator('[name="kind"]').select_option("picture")
    form.locator('[name="required"]').select_option("")
    form.locator('[name="most"]').fill("2")
    board.press("custom-save")
    expect(board.see("form-row", target=tea["sku"])).to_contain_text("图案")
    board.page.select_option('[data-testid="custom-sku"]', honey["sku"])
    board.page.fill('[data-testid="custom-label"]', "")
    form.locator('[name="asked"]').select_option("1")
    board.press("custom-save")
    expect(board.see("form-row", target=honey["sku"])).to_be_visible()

    viewer = own_theatre.person(DESK, name="小雨")
    viewer.enter(own_theatre.room)
    viewer.page.locator(f'#side-shelf [data-product="{tea["product"]}"] [data-testid="shelf-buy"]').click()
    expect(viewer.see("pay")).to_be_disabled()
    viewer.page.fill('[data-testid="wish"]', "永远")
    viewer.page.locator('[data-testid="wish"]').blur()
    expect(viewer.see("order-sheet")).to_contain_text("定制加价")
    files = [FilePayload(name=f"{w}.png", mimeType="image/png", buffer=picture(w, 400)) for w in (2_000, 300, 301)]
    viewer.page.set_input_files('[data-testid="wish-pictures"]', files[:1])
    expect(viewer.page.locator('[data-testid="picture"] img')).to_have_js_property("naturalWidth", 1_600)
    viewer.page.set_input_files('[data-testid="wish-pictures"]', files[1:])
    expect(viewer.page.locator('[data-testid="picture"]')).to_have_count(2)
    viewer.page.locator('[data-testid="picture-drop"]').last.click()
    expect(viewer.page.locator('[data-testid="picture"]')).to_have_count(1)
    expect(viewer.see("pay")).to_be_enabled()
    viewer.press("pay")
    receipt(viewer)
    viewer.page.keyboard.press("Escape")
    viewer.page.locator(f'#side-shelf [data-product="{honey["product"]}"] [data-testid="shelf-buy"]').click()
    viewer.page.fill('[data-testid="request-words"]', "三米长")
    viewer.page.set_input_files('[data-testid="wish-pictures"]', files[1:])
    expect(viewer.page.locator('[data-testid="picture"]')).to_have_count(2)
    viewer.press("ask-price")

    board.page.reload()
    shown = board.see("work-row", stage="paid").locator('[data-testid="picture"]')
    expect(shown.locator("img")).to_have_js_property("naturalWidth", 1_600)
    shown.click()
    expect(board.see("picture-sheet").locator("img")).to_be_visible()
    board.page.keyboard.press("Escape")
    expect(board.see("request-row", state="asked").locator('[data-testid="picture"]')).to_have_count(2)
    board.see("work-row", stage="paid").locator('[data-testid="work-next"]').click()
    expect(board.see("work-row", stage="confirmed")).to_contain_text("永远")
    board.see("request-row", state="asked").locator('[data-testid="request-offer"]').click()
    board.page.fill('[data-testid="offer-price"]', "900")
    board.press("ask-send")
    expect(board.see("request-row", state="offered")).to_be_visible()

    expect(board.see("credit-panel")).to_be_visible()
    viewer.press("me")
    expect(viewer.see("making", stage="confirmed")).to_be_visible()
    viewer.see("my-request", state="offered").locator('[data-testid="accept-offer"]').click()
    viewer.press("pay")
    receipt(viewer)
