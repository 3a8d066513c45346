"""A guide's poster, from the guide's own page to the refund: statement, explanation and board show each step."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from playwright.sync_api import expect

from tests.e2e.stage import DESK, Theatre
from tests.e2e.test_purchase import receipt

pytestmark = pytest.mark.browser
GUIDE = {"login": "chen-poster", "password": "a long password"}


def test_a_guides_poster_brings_a_buyer_and_each_step_is_shown(own_theatre: Theatre) -> None:
    # A guide's page asks once for what is about the whole shop, and is told.
    own_theatre.watch.expect(r"status of 403")
    server = own_theatre.server
    boss, honey = server.seed["merchant_token"], server.seed["products"][1]

    def call(method: str, path: str, body: Any = None, *, token: str = boss, key: str | None = None) -> Any:
        headers = {"authorization": f"Bearer {token}"} | ({"idempotency-key": key} if key else {})
        answer = httpx.request(method, f"{server.base}/api/v1{path}", json=body, headers=headers, timeout=60)
        assert answer.status_code < 300, answer.text
        return answer.json()

    group = call("POST", "/org/nodes", {"kind": "group", "name": "思语集团"})["node"]
    store = call("POST", "/org/nodes", {"kind": "store", "name": "静安寺店", "parent": group})["node"]
    call("PUT", f"/org/rooms/{server.room}", {"node": store})
    call("POST", "/org/members", {"node": store, "role": "guide", "name": "小陈", **GUIDE})

    guide = own_theatre.person(DESK)
    guide.sign_in("/merchant", GUIDE)
    form = guide.page.locator('[data-testid="link-form"]')
    form.locator('[name="channel"]').fill("海报")
    form.locator("button").click()
    guide.page.locator('[data-testid="link-row"] [data-testid="link-poster"]').click()
    expect(guide.see("poster")).to_be_visible()
    guide.page.keyboard.press("Escape")
    [link] = [one for one in call("GET", "/links") if one["channel"] == "海报"]

    viewer = own_theatre.person(DESK, name="小雨")
    viewer.enter(f"{link['url']}&q=1")
    viewer.page.locator(f'#side-shelf [data-product="{honey["product"]}"] [data-testid="shelf-buy"]').click()
    viewer.press("pay")
    order = receipt(viewer)

    guide.press("refresh")
    row = guide.see("credited-row", order=order)
    expect(row).to_contain_text("小雨")
    expect(guide.see("credited-sold")).to_have_text("¥59")
    row.locator('[data-testid="credited-why"]').click()
    expect(guide.see("credited-words")).to_contain_text("导购业绩：小陈")
    guide.page.keyboard.press("Escape")

    call("POST", f"/orders/{order}/refunds", {"reason": "七天无理由"}, key="back")
    guide.press("refresh")
    expect(guide.see("credited-row", order=order)).to_contain_text("− ¥59")
    expect(guide.see("credited-net")).to_have_text("¥0")

    board = own_theatre.person(DESK)
    board.sign_in("/merchant", server.seed["logins"]["merchant"])
    page = board.page
    page.locator('[data-testid="table-guide"]').click()
    credited = page.locator('[data-testid="count-row"]', has_text="小陈")
    expect(credited).to_contain_text("¥59")
    # Scanned, clicked and bought by the guide's link: each figure opens to the same person.
    expect(credited.locator("button.opener")).to_have_text(["1", "1", "1/1", "¥59"])
    credited.locator("button.opener").nth(1).click()
    expect(page.locator('[data-testid="figure-row"]')).to_contain_text("小雨")
    page.keyboard.press("Escape")
    page.locator('[data-testid="table-by_host"]').click()
    expect(page.locator('[data-testid="count-row"]')).to_contain_text("¥59")
    page.locator('[data-testid="k-factor"]').click()
    expect(page.locator('[data-testid="rows-sheet"]')).to_be_visible()
    page.keyboard.press("Escape")
    table = call("GET", "/board")["by_link"]
    [counts] = [one for one in table if one["token"] == link["token"]]
    assert [counts[name] for name in ("visits", "entries", "clicks", "paid", "refunded")] == [1, 1, 1, 1, 5_900]
    audit = server.run("audit", check=False)
    assert audit.returncode == 0, audit.stdout
