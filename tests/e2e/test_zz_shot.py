from typing import Any
import httpx, pytest
from playwright.sync_api import expect
from tests.e2e.stage import DESK, Theatre
from tests.e2e.test_purchase import receipt
pytestmark = pytest.mark.browser
OUT = "/tmp/partner_"

@pytest.mark.soak
def test_shots(own_theatre: Theatre) -> None:
    server = own_theatre.server
    boss = server.seed["merchant_token"]
    def call(method: str, path: str, body: Any = None, *, token: str = boss, key: str | None = None) -> Any:
        headers = {"authorization": f"Bearer {token}"} | ({"idempotency-key": key} if key else {})
        answer = httpx.request(method, f"{server.base}/api/v1{path}", json=body, headers=headers, timeout=60)
        assert answer.status_code < 300, answer.text
        return answer.json()
    made = call("POST", "/partners", {"name": "力量健身房", "trade": "健身", "contract": {"rates": [{"scope": "shop", "bp": 1000}, {"scope":"sku","target":str(server.seed["products"][0]["sku"]),"bp":500}], "first_only": True, "cap_order": 2000, "cap_month": 100000, "until": "2027-12-31"}})
    call("POST", "/partners", {"name": "转角咖啡", "trade": "咖啡馆", "contract": {"rates": [{"scope": "shop", "bp": 300}]}})
    link = call("POST", f"/partners/{made['partner']}/links", {"room": server.room, "channel": "前台"})
    key = call("POST", f"/partners/{made['partner']}/key")
    seat = call("GET", "/advice/advisors") if False else None
    viewer = own_theatre.person(name="小雨")
    viewer.enter(f"{link['url'][len(server.base):]}&q=1")
    viewer.press("me")
    viewer.press("advice-open")
    viewer.see("advice-body").fill("皮肤敏感可以用吗？")
    viewer.page.wait_for_timeout(500)
    viewer.page.screenshot(path=OUT + "ask_phone.png")
    wide = own_theatre.person(DESK, name="小安")
    wide.enter(f"{link['url'][len(server.base):]}&q=1")
    wide.press("me"); wide.press("advice-open")
    wide.page.wait_for_timeout(500)
    wide.page.screenshot(path=OUT + "ask_wide.png")
    wide.page.keyboard.press("Escape")
    wide.page.locator(f'#side-shelf [data-product="{server.seed["products"][1]["product"]}"] [data-testid="shelf-buy"]').click()
    wide.press("pay")
    receipt(wide)
    for name, size in (("phone", (390, 844)), ("wide", DESK)):
        gym = own_theatre.person(size)
        gym.open(key["url"][len(server.base):])
        expect(gym.see("partner-sale")).to_be_visible()
        gym.page.screenshot(path=OUT + f"own_{name}.png", full_page=True)
        board = own_theatre.person(size)
        board.sign_in("/merchant", server.seed["logins"]["merchant"])
        expect(board.see("partner-row").first).to_be_visible()
        board.see("partners-panel").locator("summary").last.click()
        board.see("partners-panel").screenshot(path=OUT + f"panel_{name}.png")
        board.see("partner-open").last.click()
        expect(board.see("partner-sale")).to_be_visible()
        board.page.screenshot(path=OUT + f"sheet_{name}.png")
        board.page.keyboard.press("Escape")
        board.press("table-by_clip")
        board.page.locator("#tabs").locator("xpath=..").screenshot(path=OUT + f"clips_{name}.png")
        board.page.evaluate("window.scrollTo(0,0)")
        board.page.screenshot(path=OUT + f"board_{name}.png")
        k = board.page.locator('[data-testid="k-open"], [data-testid="k-factor"]')
        if k.count():
            k.first.click(); board.page.wait_for_timeout(800)
            board.page.screenshot(path=OUT + f"k_{name}.png")
        host = own_theatre.person(size)
        host.sign_in(f"/host/{server.room}", server.seed["logins"].get("host") or server.seed["logins"]["merchant"])
        host.page.wait_for_timeout(1500)
        host.page.screenshot(path=OUT + f"host_{name}.png", full_page=True)
