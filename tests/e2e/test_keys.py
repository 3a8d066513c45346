"""Publish keys in the host console."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.e2e.stage import DESK, Theatre

pytestmark = pytest.mark.browser


def test_a_host_makes_a_key_for_an_encoder_and_revokes_it(theatre: Theatre) -> None:
    server = theatre.server
    console = theatre.person(DESK)
    console.enter(f"/host/{server.room}#token={server.seed['host_token']}")
    console.see("keys").locator("summary").click()
    own = console.see("key-row", key="room")
    # The host of this folder publishes with the room's own key.
    expect(own).to_have_attribute("data-live", "true")
    console.see("key-name").fill("<b>OBS</b> 演播室")
    console.page.locator('#key-form input[name="days"]').fill("7")
    console.page.locator('#key-form input[name="network"]').fill("203.0.113.9")
    console.press("key-make")
    made = console.see("key-row", state="good").filter(has_text="<b>OBS</b> 演播室")
    expect(made).to_contain_text("203.0.113.9/32")
    expect(made).to_contain_text("有效至")
    made.get_by_test_id("key-revoke").click()
    expect(made.get_by_test_id("key-revoke")).to_contain_text("确定")
    made.get_by_test_id("key-revoke").click()
    gone = console.see("key-row", state="revoked").filter(has_text="OBS")
    expect(gone).to_contain_text("已吊销")
    expect(gone.get_by_test_id("key-copy")).to_have_count(0)
    expect(own).to_have_attribute("data-state", "good")
