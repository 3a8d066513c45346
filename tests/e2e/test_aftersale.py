"""After the sale on the pages: a viewer gives something back, the shop bargains, agrees, counts and refunds."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.e2e.stage import DESK, PHONE, Theatre
from tests.e2e.test_purchase import receipt

# The API's own tests are in the ordinary run.
pytestmark = [pytest.mark.browser, pytest.mark.soak]


def test_goods_go_back_from_a_phone_and_the_shop_counts_them(own_theatre: Theatre) -> None:
    tea = own_theatre.server.seed["products"][0]
    viewer = own_theatre.person(PHONE, name="小雨")
    viewer.enter(own_theatre.room)
    viewer.press("shelf-open")
    viewer.page.locator(f'dialog [data-product="{tea["product"]}"] [data-testid="shelf-buy"]').click()
    viewer.press("pay")
    receipt(viewer)
    viewer.page.keyboard.press("Escape")

    board = own_theatre.person(DESK)
    board.sign_in("/merchant", own_theatre.server.seed["logins"]["merchant"])
    boss = own_theatre.server.seed["merchant_token"]
    order = own_theatre.server.call("GET", "/orders?limit=1", token=boss).json()["items"][0]["order"]
    own_theatre.server.call("POST", f"/orders/{order}/ship", {"carrier": "顺丰", "number": "SF1"}, token=boss)

    viewer.press("me")
    viewer.press("aftersale-open")
    viewer.page.select_option('[data-testid="aftersale-kind"]', "return")
    viewer.page.select_option('[data-testid="aftersale-reason"]', "damaged")
    viewer.page.fill('[data-testid="aftersale-words"]', "盖子碎了")
    viewer.press("aftersale-send")
    expect(viewer.see("my-aftersale", state="asked")).to_contain_text("破损")

    board.page.reload()
    row = board.see("aftersale-row", state="asked")
    expect(row).to_contain_text("盖子碎了")
    row.locator('[data-testid="aftersale-offer"]').click()
    board.page.fill('[data-testid="less-amount"]', "1.00")
    board.press("ask-send")
    expect(board.see("aftersale-row", state="offered")).to_be_visible()
    viewer.told("售后")
    viewer.page.keyboard.press("Escape")
    viewer.press("me")
    expect(viewer.see("my-aftersale", state="offered")).to_contain_text("¥1")
    viewer.press("aftersale-leave")
    expect(viewer.see("my-aftersale", state="asked")).to_be_visible()

    board.page.reload()
    board.see("aftersale-row", state="asked").locator('[data-testid="aftersale-approve"]').click()
    board.page.fill('[data-testid="aftersale-answer"]', "寄到茶路一号")
    board.press("ask-send")
    expect(board.see("aftersale-row", state="approved")).to_be_visible()
    viewer.page.keyboard.press("Escape")
    viewer.press("me")
    expect(viewer.see("my-aftersale", state="approved")).to_contain_text("茶路一号")
    viewer.page.fill('[data-testid="send-carrier"]', "顺丰")
    viewer.page.fill('[data-testid="send-number"]', "SF99")
    viewer.press("send-done")
    expect(viewer.see("my-aftersale", state="sent")).to_contain_text("SF99")
    board.page.reload()
    row = board.see("aftersale-row", state="sent")
    row.locator('[data-testid="aftersale-receive"]').click()
    board.page.fill('[data-testid="sellable0"]', "0")
    board.page.fill('[data-testid="quarantined0"]', "1")
    board.press("ask-send")
    board.press("aftersale-all")
    expect(board.see("aftersale-row", state="done")).to_be_visible()
    viewer.page.keyboard.press("Escape")
    viewer.press("me")
    expect(viewer.see("my-aftersale", state="done")).to_contain_text("已退款")
