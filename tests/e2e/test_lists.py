"""Lists of the board that are longer than a page: the rest is a press away, and a choice offers all there is."""

from __future__ import annotations

import time

import pytest
from playwright.sync_api import expect

from tests.e2e.stage import DESK, Theatre

pytestmark = pytest.mark.browser

HOUR_MS = 3_600_000


def test_what_is_behind_the_first_page_is_shown_when_asked_for_and_can_be_chosen(own_theatre: Theatre) -> None:
    server = own_theatre.server
    boss, sku = server.seed["merchant_token"], server.seed["products"][0]["sku"]
    suppliers = [
        server.call("POST", "/suppliers", {"name": f"茶厂 {n}"}, token=boss).json()["supplier"] for n in range(202)
    ]
    for _ in range(52):
        lines = [{"sku": sku, "quantity": 1, "unit_cost": 100}]
        made = server.call("POST", "/purchases", {"supplier": suppliers[0], "lines": lines}, token=boss)
        assert made.status_code == 201
    board = own_theatre.person(DESK)
    board.sign_in("/merchant", server.seed["logins"]["merchant"])
    panel = board.see("purchases-panel")
    rows = panel.locator("#purchases tbody tr")
    expect(rows).to_have_count(50)
    expect(panel.locator("#purchase-form [name=supplier] option")).to_have_count(202)
    panel.get_by_test_id("list-more").first.click()
    expect(rows).to_have_count(52)
    expect(panel.get_by_test_id("list-more").first).to_be_hidden()
    ids = rows.evaluate_all("rows => rows.map((row) => row.dataset.purchase)")
    assert len(set(ids)) == 52


def test_many_events_leave_one_s_orders_within_reach_and_the_own_one_comes_first(own_theatre: Theatre) -> None:
    server = own_theatre.server
    now = int(time.time() * 1_000)
    for n in range(8):
        begins = now + (48 + n) * HOUR_MS
        terms = {"title": f"茶会 {n}", "places": 9, "starts": begins, "ends": begins + HOUR_MS, "closes": now + HOUR_MS}
        made = server.call("POST", "/events", {**terms, "place": "西湖"}, token=server.seed["merchant_token"])
        assert made.status_code == 201
    viewer = own_theatre.person(DESK, name="小雨")
    viewer.enter(own_theatre.room)
    viewer.press("me")
    expect(viewer.see("event")).to_have_count(5)
    viewer.press("list-more")
    expect(viewer.see("event")).to_have_count(8)
    viewer.see("event").last.get_by_test_id("event-join").click()
    expect(viewer.see("event").first).to_contain_text("茶会 7")
    expect(viewer.see("event")).to_have_count(6)
