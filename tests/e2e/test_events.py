"""People sign up for an event, one waits, one pays, and the door opens with a code."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.e2e.stage import DESK, Theatre
from tests.e2e.test_purchase import receipt

# The API's own tests are in the ordinary run.
pytestmark = [pytest.mark.browser, pytest.mark.soak]


def test_a_place_is_reserved_paid_and_given_to_who_waits(own_theatre: Theatre) -> None:
    honey = own_theatre.server.seed["products"][1]
    board = own_theatre.person(DESK)
    board.sign_in("/merchant", own_theatre.server.seed["logins"]["merchant"])
    page = board.page
    page.locator('#events-panel summary[data-t="mev.new"]').click()
    page.fill('[data-testid="event-title"]', "采蜜体验")
    for name, days in (("starts", 2), ("ends", 3), ("closes", 1)):
        at = page.evaluate(f"new Date(Date.now() + {days} * 86400000 + 28800000).toISOString().slice(0, 16)")
        page.fill(f'[data-testid="event-{name}"]', at)
    page.fill('[data-testid="event-places"]', "1")
    page.select_option('[data-testid="event-sku"]', honey["sku"])
    board.press("event-add")
    expect(board.see("event-row", state="open")).to_contain_text("采蜜体验")

    first, second = own_theatre.person(DESK, name="小雨"), own_theatre.person(DESK, name="小雪")
    for viewer, state in ((first, "reserved"), (second, "waiting")):
        viewer.enter(own_theatre.room)
        viewer.press("me")
        viewer.press("event-join")
        expect(viewer.see("event", state=state)).to_be_visible()
    first.press("event-pay")
    first.press("pay")
    receipt(first)
    first.page.keyboard.press("Escape")
    first.press("me")
    expect(first.see("ticket-code")).to_be_visible()
    second.press("event-leave")
    expect(second.see("event", state="open")).to_be_visible()
    page.reload()
    expect(board.see("event-taken")).to_contain_text("1/1")
