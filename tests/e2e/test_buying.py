"""The merchant buys goods, takes them in, processes some, and finds what they cost; in a browser."""

from __future__ import annotations

import pytest
from playwright.sync_api import FilePayload, expect

from tests.e2e.stage import DESK, Theatre

pytestmark = pytest.mark.browser


def test_goods_are_ordered_received_and_processed_on_the_board(own_theatre: Theatre) -> None:
    honey, tea = own_theatre.server.seed["products"][1], own_theatre.server.seed["products"][0]
    board = own_theatre.person(DESK)
    board.sign_in("/merchant", own_theatre.server.seed["logins"]["merchant"])
    page = board.page

    page.locator('#purchases-panel summary[data-t="pu.newSupplier"]').click()
    page.fill('[data-testid="supplier-name"]', "养蜂场")
    board.press("supplier-add")
    expect(board.see("supplier-row")).to_contain_text("养蜂场")

    page.locator('#purchases-panel summary[data-t="pu.newOrder"]').click()
    page.fill('[data-testid="purchase-number"]', "PO-1")
    page.select_option('[data-testid="purchase-add-sku"]', honey["sku"])
    page.fill('[data-testid="purchase-add-quantity"]', "10")
    page.fill('[data-testid="purchase-add-cost"]', "12.50")
    board.press("purchase-draft")
    row = board.see("purchase-row", state="draft")
    expect(row).to_contain_text("PO-1")
    row.locator('[data-testid="purchase-open"]').click()
    board.press("purchase-order")
    page.fill('[data-testid="purchase-now"]', "8")
    page.fill('[data-testid="purchase-note"]', "D-7")
    board.press("purchase-receive")
    sheet = board.see("purchase-sheet")
    expect(sheet).to_contain_text("D-7")
    expect(board.see("purchase-close_short")).to_be_visible()
    page.keyboard.press("Escape")
    expect(board.see("purchase-row", state="partly")).to_be_visible()
    expect(board.see("supplier-owed")).to_contain_text("100")

    lines = "规格编码,数量,进价\r\n{},5,9.90\r\n"
    for code, drafts in (("nothing", 0), (tea["sku"], 1)):
        file = FilePayload(name="order.csv", mimeType="text/csv", buffer=lines.format(code).encode())
        page.set_input_files('[data-testid="purchase-file"]', file)
        board.press("purchase-import")
        expect(board.see("purchase-row", state="draft")).to_have_count(drafts)

    page.locator('#processing-panel summary[data-t="pr.newRecipe"]').click()
    page.fill('[data-testid="recipe-name"]', "分装")
    page.fill('[data-testid="recipe-expected"]', "10")
    board.press("recipe-add")
    expect(board.see("run-recipe")).to_contain_text("分装")
    page.locator('#processing-panel summary[data-t="pr.newRun"]').click()
    for side, sku, units, grams in (("raw", honey["sku"], "2", "1000"), ("yield", tea["sku"], "4", "850")):
        page.select_option(f'[data-testid="{side}-sku"]', sku)
        page.fill(f'[data-testid="{side}-quantity"]', units)
        page.fill(f'[data-testid="{side}-grams"]', grams)
    board.press("run-send")
    expect(board.see("loss-row", over="true")).to_contain_text("15.00%")
    expect(board.see("run-row", over="true")).to_contain_text("分装")
