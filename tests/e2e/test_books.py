"""A buyer asks for an invoice, and the merchant follows the day's money from the balance to the order."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.e2e.stage import DESK, Theatre
from tests.e2e.test_purchase import receipt

pytestmark = pytest.mark.browser


def test_an_order_is_invoiced_and_found_again_behind_the_figures_of_the_books(own_theatre: Theatre) -> None:
    honey = own_theatre.server.seed["products"][1]
    viewer = own_theatre.person(DESK, name="小雨")
    viewer.enter(own_theatre.room)
    viewer.page.locator(f'#side-shelf [data-product="{honey["product"]}"] [data-testid="shelf-buy"]').click()
    viewer.press("pay")
    order = receipt(viewer)
    viewer.page.keyboard.press("Escape")
    viewer.press("me")
    viewer.see("my-order", status="paid").locator('[data-testid="invoice-open"]').click()
    viewer.page.fill('[data-testid="invoice-title"]', "思语科技")
    viewer.press("invoice-ask")
    expect(viewer.see("invoice", state="issued")).to_contain_text("思语科技")

    board = own_theatre.person(DESK)
    board.sign_in("/merchant", own_theatre.server.seed["logins"]["merchant"])
    row = board.see("book-row", account="1012.sandbox")
    expect(row).to_be_visible()
    row.locator('[data-testid="book-entries"]').click()
    expect(board.see("posting-row", order=order)).to_be_visible()
    board.page.keyboard.press("Escape")
    expect(board.see("invoice-row", kind="blue")).to_contain_text(re.compile(r"\d{20}"))
    with board.page.expect_download() as saved:
        board.press("file-journal")
    assert order in saved.value.path().read_text("utf-8-sig")
