"""The shop writes its licence and switches; a viewer reads them and complains; the shop reads that."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.e2e.stage import DESK, Theatre

pytestmark = pytest.mark.browser


def test_a_licence_reaches_the_viewer_page_and_a_complaint_reaches_the_shop(theatre: Theatre) -> None:
    board = theatre.person(DESK)
    board.sign_in("/merchant", theatre.server.seed["logins"]["merchant"])
    board.page.locator("#rules-panel summary").nth(1).click()
    board.page.fill('[data-testid="licence-company"]', "思语科技有限公司")
    board.page.fill('[data-testid="licence-number"]', "91310000MA1K4BX92Q")
    board.press("licence-save")
    board.told("保存")

    viewer = theatre.person(DESK, name="小雨")
    viewer.enter(theatre.room)
    viewer.press("shop")
    expect(viewer.see("licence")).to_contain_text("91310000MA1K4BX92Q")
    viewer.page.fill('[data-testid="complaint-text"]', "收到的杯子碎了")
    viewer.press("complaint-send")
    viewer.told("已收到")
    viewer.page.keyboard.press("Escape")
    viewer.page.locator('#side-shelf [data-testid="shelf-terms"]').first.click()
    expect(viewer.see("returns", returns="seven_days")).to_contain_text("7")

    board.press("refresh")
    expect(board.see("complaint-row", state="open")).to_contain_text("收到的杯子碎了")
