"""A piece is written, shared and read; its reader joins the group, asks, and is answered with a product."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.e2e.stage import DESK, PATIENCE_MS, PHONE, Theatre

pytestmark = pytest.mark.browser


def test_a_reader_comes_by_a_shared_piece_joins_the_group_and_is_answered_with_a_product(own_theatre: Theatre) -> None:
    server = own_theatre.server
    board = own_theatre.person(DESK)
    board.sign_in("/merchant", server.seed["logins"]["merchant"])
    board.press("content-open")
    board.see("content-title").first.fill("如何冲泡龙井")
    form = board.see("content-form")
    form.locator("[name=body]").fill("水温 80 度。\n\n# 三步\n\n- 温杯\n- 投茶")
    form.locator("[name=room]").select_option(server.room)
    form.get_by_test_id("content-save").click()
    row = board.see("content-row").filter(has_text="如何冲泡龙井")
    row.get_by_test_id("content-publish").click()
    row.get_by_test_id("content-link").click()
    link = re.search(r"/c/\S+", board.told("/c/"))
    assert link is not None

    board.press("advisors-open")
    board.see("advisor-skills").fill("冲泡")
    board.press("advisor-save")
    expect(board.see("advisor-row")).to_contain_text("冲泡", timeout=PATIENCE_MS)
    board.press("group-new")
    board.see("group-name").fill("茶友群")
    board.press("group-make")
    group = board.see("group-row").filter(has_text="茶友群")
    expect(group).to_be_visible(timeout=PATIENCE_MS)

    reader = own_theatre.person(PHONE, name="小雨")
    reader.open(link.group())
    expect(reader.see("piece-title")).to_have_text("如何冲泡龙井", timeout=PATIENCE_MS)
    expect(reader.see("piece")).to_contain_text("投茶")
    reader.press("advice-open")
    reader.see("advice-body").fill("几度水？")
    reader.press("advice-send")
    expect(reader.see("my-question")).to_contain_text("几度水？", timeout=PATIENCE_MS)
    community = group.get_attribute("data-community")
    reader.open(f"/g/{community}")
    reader.see("group-accept").check()
    reader.press("group-join")
    expect(reader.see("group-in")).to_be_visible(timeout=PATIENCE_MS)

    board.press("refresh")
    expect(row.get_by_test_id("content-reads")).to_contain_text("1 (1)", timeout=PATIENCE_MS)
    asked = board.see("question-row").filter(has_text="几度水？")
    asked.get_by_test_id("answer-goods").click()
    asked.get_by_test_id("answer-sku").first.check()
    asked.get_by_test_id("answer-body").fill("80 度")
    asked.get_by_test_id("answer-send").click()
    expect(asked).to_have_attribute("data-state", "answered", timeout=PATIENCE_MS)
    group.get_by_test_id("group-open").click()
    expect(board.see("group-member")).to_contain_text("小雨", timeout=PATIENCE_MS)

    reader.open(link.group())
    reader.press("advice-open")
    expect(reader.see("my-answer")).to_contain_text("80 度", timeout=PATIENCE_MS)
    reader.press("advised")
    expect(reader.page).to_have_url(re.compile(rf"/r/{server.room}\?s="), timeout=PATIENCE_MS)
