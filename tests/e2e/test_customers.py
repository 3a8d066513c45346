"""A merchant sorts customers on the board and lets something pop up for those who come; a viewer sees it, once."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.e2e.stage import DESK, PATIENCE_MS, PHONE, Theatre

pytestmark = pytest.mark.browser


def test_a_segment_is_tried_and_kept_and_a_popup_made_on_the_board_shows_itself_in_the_room(
    own_theatre: Theatre,
) -> None:
    server = own_theatre.server
    viewer = own_theatre.person(PHONE, name="小雨")
    viewer.enter(f"/r/{server.room}")

    board = own_theatre.person(DESK)
    board.sign_in("/merchant", server.seed["logins"]["merchant"])
    board.press("crm-open")
    form = board.see("crm-form")
    form.get_by_test_id("crm-name").fill("来过直播间")
    # What was logged is counted some seconds later.
    found = form.get_by_test_id("preview")
    for _ in range(60):
        form.get_by_test_id("crm-try").click()
        expect(found).not_to_be_empty(timeout=PATIENCE_MS)
        if "小雨" in found.inner_text():
            break
        board.page.wait_for_timeout(500)
    expect(found).to_contain_text("小雨")
    form.get_by_test_id("crm-keep").click()
    expect(board.see("segment-row").filter(has_text="来过直播间")).to_be_visible(timeout=PATIENCE_MS)
    form.get_by_test_id("crm-name").fill("茶友")
    form.get_by_test_id("crm-as").select_option("manual")
    form.get_by_test_id("crm-keep").click()
    expect(board.see("tag").filter(has_text="茶友")).to_be_visible(timeout=PATIENCE_MS)

    board.press("outreach-open")
    form = board.see("outreach-form")
    form.get_by_test_id("outreach-what").select_option("popup")
    form.get_by_test_id("outreach-name").fill("新客礼")
    form.get_by_test_id("outreach-text").fill("今晚八点有惊喜")
    form.get_by_test_id("outreach-make").click()
    row = board.see("popup-row").filter(has_text="新客礼")
    expect(row).to_be_visible(timeout=PATIENCE_MS)

    viewer.enter(f"/r/{server.room}")
    expect(viewer.see("popup")).to_contain_text("今晚八点有惊喜", timeout=PATIENCE_MS)
    board.press("refresh")
    expect(row).to_contain_text("1 / 1", timeout=PATIENCE_MS)
