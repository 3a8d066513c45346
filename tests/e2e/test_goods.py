"""The merchant takes a sheet of goods in: tried first, a fault named by its line, and the trail on the board."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.e2e.stage import DESK, Theatre

pytestmark = pytest.mark.browser

SHEET = "商品编码,规格编码,商品名称,规格名称,售价,库存\r\nquilt,quilt-1,蚕丝被,1.5 米,{price},7\r\n"


def test_a_sheet_is_tried_mended_and_taken_in_and_the_board_says_who_changed_what(theatre: Theatre) -> None:
    board = theatre.person(DESK)
    board.sign_in("/merchant", theatre.server.seed["logins"]["merchant"])
    board.page.locator("#goods-panel summary").click()

    def choose(price: str) -> None:
        sheet = SHEET.format(price=price).encode("utf-8-sig")
        board.page.set_input_files(
            '[data-testid="goods-file"]', {"name": "goods.csv", "mimeType": "text/csv", "buffer": sheet}
        )

    board.page.fill('[data-testid="goods-why"]', "秋冬上新")
    choose("19.999")
    board.press("goods-import")
    expect(board.see("goods-verdict", written="false")).to_be_visible()
    expect(board.see("goods-report")).to_contain_text("price")
    choose("199")
    board.press("goods-try")
    expect(board.see("goods-verdict", written="false")).to_contain_text("1")
    board.press("goods-import")
    expect(board.see("goods-verdict", written="true")).to_be_visible()
    expect(board.see("change-row", what="stock").first).to_contain_text("秋冬上新")
    with board.page.expect_download() as saved:
        board.press("goods-export")
    assert "quilt-1" in saved.value.path().read_text("utf-8-sig")
