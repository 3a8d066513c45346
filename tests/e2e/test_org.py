"""The organisation on the merchant's page: made, opened node by node, and what a guide sees of it and gives."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from playwright.sync_api import expect

from tests.e2e.stage import DESK, Theatre

pytestmark = [pytest.mark.browser, pytest.mark.soak]
GUIDE = {"login": "chen-e2e", "password": "a long password"}


def test_a_tree_is_made_on_the_page_and_a_guide_sees_their_part_and_gives_a_coupon(own_theatre: Theatre) -> None:
    # A guide's page asks once for what is about the whole shop, and is told.
    own_theatre.watch.expect(r"status of 403")
    server = own_theatre.server
    boss = server.seed["merchant_token"]

    def call(method: str, path: str, body: Any = None, *, token: str = boss, key: str | None = None) -> Any:
        headers = {"authorization": f"Bearer {token}"} | ({"idempotency-key": key} if key else {})
        answer = httpx.request(method, f"{server.base}/api/v1{path}", json=body, headers=headers, timeout=60)
        assert answer.status_code < 300, answer.text
        return answer.json()

    board = own_theatre.person(DESK)
    board.sign_in("/merchant", server.seed["logins"]["merchant"])
    panel = board.page.locator('[data-testid="org-panel"]')

    def fill(form: str, **fields: str) -> None:
        place = panel.locator(f'[data-testid="{form}"]')
        for name, value in fields.items():
            field = place.locator(f'[name="{name}"]')
            (field.select_option if name in ("kind", "role") else field.fill)(value)
        place.locator("button").click()

    panel.locator("summary").first.click()
    fill("node-form", name="思语集团")
    expect(panel.locator('[data-testid="org-crumbs"]')).to_contain_text("思语集团")
    panel.locator("summary", has_text="添加下级").click()
    fill("node-form", kind="store", name="静安寺店")
    row = panel.locator('[data-testid="org-row"]')
    expect(row).to_contain_text("静安寺店")
    row.locator('[data-testid="org-open"]').click()
    expect(panel.locator('[data-testid="org-crumbs"] strong')).to_contain_text("静安寺店")
    panel.locator("summary", has_text="添加账号").click()
    fill("member-form", name="小陈", role="guide", **GUIDE)
    expect(panel.locator('[data-testid="org-row"]')).to_contain_text("小陈")

    [member] = call("GET", "/org/members")["items"]
    person = call("POST", "/auth/guest", {"room": server.room, "name": "小雨"})
    binding = {"issuer": member["staff"], "role": "guide", "reason": "e2e"}
    call("POST", f"/people/{person['person']}/bindings", binding)
    store = next(node["node"] for node in call("GET", "/org")["nodes"] if node["kind"] == "store")
    call("PUT", f"/org/rooms/{server.room}", {"node": store})
    call("POST", "/budgets", {"issuer": member["staff"], "amount": 5_000}, key="fund")

    guide = own_theatre.person(DESK)
    guide.sign_in("/merchant", GUIDE)
    expect(guide.see("budget-free")).to_have_text("¥50")
    expect(guide.page.locator("#figures")).to_be_hidden()
    guide.page.locator('[data-testid="guide-amount"]').fill("20")
    guide.press("guide-give")
    expect(guide.see("given-row")).to_contain_text("小雨")
    expect(guide.see("budget-free")).to_have_text("¥30")
    assert [one["amount"] for one in call("GET", "/coupons", token=person["token"])] == [2_000]
