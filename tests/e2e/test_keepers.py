"""Moderators and assistants of many rooms on the merchant's page: appointed, listed, taken back, written down."""

from __future__ import annotations

import httpx
import pytest
from playwright.sync_api import expect

from tests.e2e.stage import DESK, Theatre

pytestmark = [pytest.mark.browser, pytest.mark.soak]


def test_keepers_are_appointed_and_taken_back_on_the_page_and_its_journal_says_so(own_theatre: Theatre) -> None:
    server = own_theatre.server
    guest = httpx.post(
        f"{server.base}/api/v1/auth/guest", json={"room": server.room, "name": "热心观众"}, timeout=60
    ).json()
    board = own_theatre.person(DESK)
    board.sign_in("/merchant", server.seed["logins"]["merchant"])
    panel = board.see("keepers-panel")
    panel.locator("summary").first.click()
    form = board.see("keeper-form")

    def appoint(place: str) -> None:
        form.locator('[name="who"]').select_option(value=guest["person"])
        # Who has no account handles neither goods nor money.
        expect(form.locator('[value="assistant"]')).to_be_disabled()
        form.locator('[name="place"]').select_option(value=place)
        form.locator("button").click()

    row = panel.locator('[data-testid="keeper-row"]')
    appoint("all ")
    expect(row).to_have_count(1)
    expect(row).to_contain_text("全部直播间")
    appoint(f"room {server.room}")
    expect(row).to_have_count(2)
    panel.locator('[data-testid="keeper-filter"]').select_option(value="all ")
    expect(row).to_have_count(1)
    row.locator("summary").click()
    row.locator('[data-testid="keeper-back"]').click()
    expect(row).to_have_count(0)
    panel.locator('[data-testid="keeper-filter"]').select_option(value="")
    expect(row).to_have_count(1)
    board.see("keeper-journal").locator("summary").click()
    steps = panel.locator('[data-testid="keeper-step"]')
    expect(steps).to_have_count(3)
    expect(steps.first).to_contain_text("收回")
    expect(steps.first).to_contain_text("热心观众")
    asked = httpx.get(
        f"{server.base}/api/v1/keepers?rooms=1",
        headers={"authorization": f"Bearer {server.seed['merchant_token']}"},
        timeout=60,
    ).json()
    assert [(one["person"], one["kind"]) for one in asked["items"]] == [(guest["person"], "room")]
