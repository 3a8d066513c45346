"""The merchant's board in Chromium: each figure opens to its rows, ad costs come in, a table is saved as a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import expect

from tests.e2e.stage import DESK, Theatre

pytestmark = pytest.mark.browser


def test_every_figure_of_the_board_opens_to_its_rows(own_theatre: Theatre, tmp_path: Path) -> None:
    server = own_theatre.server
    boss = server.seed["merchant_token"]

    def call(method: str, path: str, body: Any = None, *, token: str = boss, key: str | None = None) -> Any:
        headers = {"authorization": f"Bearer {token}"} | ({"idempotency-key": key} if key else {})
        answer = httpx.request(method, f"{server.base}/api/v1{path}", json=body, headers=headers, timeout=60)
        assert answer.status_code < 300, answer.text
        return answer.json()

    link = call("POST", "/links", {"room": server.room, "channel": "抖音", "campaign": "spring"})
    guest = call("POST", "/auth/guest", {"room": server.room, "name": "小雨", "scene": link["token"]})
    sku = server.seed["products"][1]["sku"]
    order = call(
        "POST", "/orders", {"room": server.room, "lines": [{"sku": sku, "quantity": 1}]}, token=guest["token"], key="o"
    )
    call("POST", f"/orders/{order['order']['order']}/pay", {}, token=guest["token"], key="p")

    board = own_theatre.person(DESK)
    board.sign_in("/merchant", server.seed["logins"]["merchant"])
    page = board.page
    # The page is long: a row of links leads to each of its panels.
    page.locator('[data-testid="jump"] button', has_text="门店与收银").click()
    expect(page.locator('[data-testid="stores-panel"]')).to_be_in_viewport()
    page.locator('[data-testid="factor-traffic"]').click()
    expect(page.locator('[data-testid="figure-row"]')).to_contain_text("小雨")
    page.keyboard.press("Escape")
    page.locator('[data-testid="funnel-step"]').nth(4).click()
    expect(page.locator('[data-testid="figure-row"]')).to_contain_text("已付款")
    page.keyboard.press("Escape")
    page.locator('[data-testid="cohort-cell"]').first.click()
    expect(page.locator('[data-testid="figure-row"]')).to_contain_text("小雨")
    page.keyboard.press("Escape")

    page.locator('[data-testid="table-by_campaign"]').click()
    page.locator("#costs-form").locator("xpath=..").locator("summary").click()
    today = page.evaluate("new Date(Date.now() + 8 * 3600000).toISOString().slice(0, 10)")
    costs = tmp_path / "costs.csv"
    costs.write_text(f"日期,计划,消耗\n{today},spring,ten\n")
    page.locator('[data-testid="costs-file"]').set_input_files(costs)
    page.locator('[data-testid="costs-import"]').click()
    expect(page.locator('[data-testid="costs-report"]')).to_contain_text("第 2 行 cost")
    costs.write_text(f"日期,计划,消耗\n{today},spring,10\n")
    page.locator('[data-testid="costs-file"]').set_input_files(costs)
    page.locator('[data-testid="costs-import"]').click()
    expect(page.locator('[data-testid="costs-report"]')).to_contain_text("已导入 1 行")
    expect(page.locator('[data-testid="count-row"][data-key="spring"]')).to_contain_text("¥10")
    with page.expect_download() as saved:
        page.locator('[data-testid="csv-by_campaign"]').click()
    assert "spring" in saved.value.path().read_text("utf-8-sig")
