"""The accountant takes a bank's file in on the page, and closes by hand what it leaves open."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.e2e.stage import DESK, Theatre

pytestmark = pytest.mark.browser


def test_a_banks_file_is_taken_in_and_what_it_leaves_is_closed_for_a_reason(
    own_theatre: Theatre, tmp_path: Path
) -> None:
    boss = own_theatre.person(DESK)
    boss.sign_in("/merchant", own_theatre.server.seed["logins"]["merchant"])
    boss.see("clearing-none")
    page = boss.page
    file = tmp_path / "bank.csv"
    file.write_text("流水号,时间,收入,支出,摘要\r\nB1,2026-01-15,,12.50,账户管理费\r\nB2,someday,1,,x\r\n", "utf-8")
    page.select_option('[data-testid="settlement-source"]', "bank")
    page.fill('[data-testid="settlement-name"]', "ICBC")
    page.set_input_files('[data-testid="settlement-file-input"]', str(file))
    boss.press("settlement-take")
    expect(boss.see("settlement-faults")).to_contain_text("someday")
    page.keyboard.press("Escape")
    file.write_text("流水号,时间,收入,支出,摘要\r\nB1,2026-01-15,,12.50,账户管理费\r\n", "utf-8")
    page.set_input_files('[data-testid="settlement-file-input"]', str(file))
    boss.press("settlement-take")
    row = boss.see("clearing-row", account="1002.01")
    expect(row.locator('[data-testid="clearing-open"]')).to_contain_text("12.50")
    row.locator('[data-testid="clearing-look"]').click()
    expect(boss.see("item-row", todo="name")).to_contain_text("账户管理费")
    page.locator('[data-testid="item-choose"]').check()
    expect(boss.see("items-chosen")).to_contain_text("12.50")
    page.select_option('[data-testid="items-against"]', "6603.01")
    page.fill('[data-testid="items-why"]', "账户管理费，见回单")
    boss.press("items-close")
    boss.see("clearing-none")
    boss.press("clearing-log")
    expect(boss.see("closed-row")).to_contain_text("账户管理费，见回单")
    page.keyboard.press("Escape")
    boss.see("settlement-file")
