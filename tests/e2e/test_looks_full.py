"""Pages of a shop with a lot in it: 200 rows, the longest names there can be, eight digits before the point."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import expect

from tests.e2e.stage import DESK, PHONE, Theatre
from tests.e2e.test_looks import look
from tests.harness import LiveServer

pytestmark = [pytest.mark.browser, pytest.mark.soak]

ROWS = 200
PRICE = 99_999_999
LONG = "西双版纳傣族自治州勐海县布朗山乡老班章村民小组古树茶农民专业合作社联合会第一分社直营店"
LATIN = "Xishuangbanna-Laobanzhang-OldTreeTea-Cooperative-Direct"


def made(server: LiveServer, path: str, body: Any = None, *, method: str = "POST", **more: Any) -> Any:
    """What an API request that succeeds answers."""
    more.setdefault("token", server.seed["merchant_token"])
    answer = server.call(method, path, body, **more)
    assert answer.status_code < 300, (path, answer.text)
    return answer.json()


@pytest.fixture
def full(own_theatre: Theatre) -> dict[str, Any]:
    """A partner, a distributor, an advisor and a shop with as much as a busy month has; how to sign in as each."""
    server = own_theatre.server
    goods = {"title": LONG[:60], "price": PRICE, "stock": 10_000}
    sku = made(server, f"/rooms/{server.room}/products", goods)["sku"]
    node = made(server, "/org/nodes", {"kind": "group", "name": LONG[:60]})["node"]
    seat = {"node": node, "role": "guide", "name": LONG[:40], "login": "advisor", "password": "a long password"}
    guide = made(server, "/org/members", seat)["staff"]
    made(server, f"/advisors/{guide}", {"skills": ["茶"], "most": 100}, method="PUT")
    contract = {"rates": [{"scope": "shop", "bp": 2_000}], "sees": "rows", "days": 30}
    partner = made(server, "/partners", {"name": LONG[:40], "trade": "茶叶", "contract": contract})["partner"]
    code = made(server, f"/partners/{partner}/links", {"room": server.room, "channel": LATIN})["token"]
    seller = server.guest(name=LONG[:20])
    made(server, "/distributors", {"person": seller["person"], "name": LONG[:40]})
    sold = made(server, "/links", {"room": server.room, "campaign": LATIN}, token=seller["token"])["token"]
    for n in range(ROWS):
        guest = server.guest(name=(LONG if n % 2 else LATIN)[:20], scene=(code, sold)[n % 2])
        basket = {"room": server.room, "lines": [{"sku": sku, "quantity": 1}], "coupons": []}
        order = made(server, "/orders", basket, token=guest["token"], key=f"o{n}")["order"]["order"]
        made(server, f"/orders/{order}/pay", {}, token=guest["token"], key=f"p{n}")
        made(server, "/questions", {"body": (LATIN if n % 3 else LONG) * 8, "skill": "茶"}, token=guest["token"])
        more = {"name": f"{n} {LONG}"[:40], "contract": contract}
        if n < 60:
            made(server, "/partners", more)
    key = made(server, f"/partners/{partner}/key")["key"]
    return {"partner": key, "seller": seller, "advisor": {"login": "advisor", "password": "a long password"}}


def faults_of(page: Any, name: str) -> list[str]:
    """What is wrong with a page in both widths."""
    page.evaluate("() => { for (const one of document.querySelectorAll('details')) one.open = true; }")
    return [f"{name} {fault}" for fault in look(page)]


def test_pages_hold_with_a_busy_month_in_them(own_theatre: Theatre, full: dict[str, Any]) -> None:
    own_theatre.watch.expect(r"status of 403")
    faults: list[str] = []
    partner = own_theatre.person(PHONE)
    partner.open(f"/partner#{full['partner']}")
    expect(partner.page.locator('[data-testid="partner-sale"]').first).to_be_visible()
    faults += faults_of(partner.page, "partner")
    partner.page.click("#language")
    expect(partner.page.locator("html")).to_have_attribute("lang", "en")
    expect(partner.page.locator('[data-testid="partner-sale"]').first).to_be_visible()
    faults += faults_of(partner.page, "partner-en")
    advisor = own_theatre.person(DESK)
    advisor.sign_in("/merchant", full["advisor"])
    expect(advisor.page.locator("#advice-panel")).to_be_visible()
    faults += faults_of(advisor.page, "advisor")
    with advisor.page.expect_navigation():
        advisor.page.click("#language")
    expect(advisor.page.locator("#advice-panel")).to_be_visible()
    faults += faults_of(advisor.page, "advisor-en")
    board = own_theatre.person(DESK)
    board.sign_in("/merchant", own_theatre.server.seed["logins"]["merchant"])
    expect(board.see("closing").first).to_be_visible()
    faults += faults_of(board.page, "board")
    assert faults == []
