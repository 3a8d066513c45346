"""What is owed on account, on the pages: bought, overdue, asked for by the shop, paid back by the debtor."""

from __future__ import annotations

import sqlite3

import pytest
from playwright.sync_api import expect

from tests.e2e.stage import DESK, Theatre
from tests.e2e.test_purchase import receipt

pytestmark = [pytest.mark.browser, pytest.mark.soak]
"""The API's own tests are in the ordinary run."""


def test_a_debtor_sees_what_is_owed_is_asked_for_it_and_pays_it_back(own_theatre: Theatre) -> None:
    server = own_theatre.server
    own_theatre.watch.expect(r"422 \(Unprocessable Entity\).*credit/mine/repayments")
    boss, tea = server.seed["merchant_token"], server.seed["products"][0]
    server.call("PUT", "/policy", {"credit_sale": True}, token=boss)
    viewer = own_theatre.person(DESK, name="思语餐饮")
    viewer.enter(own_theatre.room)
    with sqlite3.connect(server.data / "shop.db") as db:
        [(person,)] = db.execute("SELECT id FROM person WHERE name = '思语餐饮'")
    limit = {"most": 50_000, "days": 30, "name": "思语餐饮"}
    assert server.call("PUT", f"/credit/{person}", limit, token=boss).status_code == 200
    viewer.page.locator(f'#side-shelf [data-product="{tea["product"]}"] [data-testid="shelf-buy"]').click()
    viewer.page.select_option('[data-testid="provider-select"]', "account")
    viewer.press("pay")
    receipt(viewer)
    viewer.page.keyboard.press("Escape")
    with sqlite3.connect(server.data / "shop.db", timeout=60) as db:
        [(owed,)] = db.execute("SELECT amount FROM receivable")
        db.execute("UPDATE receivable SET due_ms = 1")

    board = own_theatre.person(DESK)
    board.sign_in("/merchant", server.seed["logins"]["merchant"])
    late = board.see("overdue-row", person=person)
    expect(late).to_contain_text("思语餐饮")
    late.locator('[data-testid="credit-remind"]').click()
    board.page.fill('[data-testid="remind-note"]', "请于本周还款")
    board.press("ask-send")
    expect(board.see("overdue-row", person=person)).to_contain_text("请于本周还款")

    board.page.locator('[data-t="cr.telling"]').click()
    board.page.fill('[data-testid="credit-due-template"]', "T_DUE")
    board.page.fill('[data-testid="credit-late-template"]', "T_LATE")
    board.press("credit-notice-save")
    board.page.reload()
    expect(board.page.locator('[data-testid="credit-late-template"]')).to_have_value("T_LATE")
    how = server.call("GET", "/credit-notice", token=boss).json()
    assert (how["channel"], how["fields"]) == ("subscribe", {"amount1": "amount", "date2": "due"})

    viewer.press("me")
    expect(viewer.see("credit-reminder")).to_contain_text("请于本周还款")
    viewer.press("repay")
    expect(viewer.page.locator('[data-testid="repay-amount"]')).to_have_value(f"{owed / 100:.2f}")
    viewer.page.fill('[data-testid="repay-amount"]', "9999")
    viewer.press("repay-send")
    viewer.page.fill('[data-testid="repay-amount"]', "10")
    viewer.press("repay-send")
    expect(viewer.see("repaid")).to_contain_text("10")
    viewer.page.keyboard.press("Escape")
    viewer.page.locator('[data-testid="credit"] summary').first.click()
    expect(viewer.see("repayment", state="paid")).to_contain_text("10")

    board.page.reload()
    board.see("overdue-row", person=person).get_by_text("对账单").click()
    expect(board.see("statement-sheet")).to_contain_text("还款记录")
    board.page.keyboard.press("Escape")
    rest = server.call(
        "POST", f"/credit/{person}/bookings", {"kind": "repaid", "amount": owed - 1_000}, token=boss, key="s"
    )
    assert rest.json()["owed"] == 0
    board.page.reload()
    expect(board.see("credit-overdue")).to_contain_text("没有逾期欠款")
