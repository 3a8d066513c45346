"""The mini-program's pages as a phone draws them: rendered by j-component, laid out by Chromium at a phone's width."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, ViewportSize, sync_playwright

from gateway.miniprogram_archive import sample_folder
from tests import outside
from tests.e2e.stage import CHROMIUM_FLAGS
from tests.gateway.miniprogram.phone import Phone, pocket, unpack
from tests.gateway.miniprogram.screen import as_html
from tests.gateway.miniprogram.shop import Shop
from tests.gateway.miniprogram.test_markup import PAGES
from tests.gateway.test_pictures import picture
from tests.harness import live_server

PHONE: ViewportSize = {"width": 390, "height": 844}
WIDE = """() => [...document.querySelectorAll("wx-page *")]
  .filter((one) => one.getBoundingClientRect().right > innerWidth + 0.5 && !one.closest(".clip"))
  .map((one) => `${one.tagName}.${one.className} ${one.textContent.slice(0, 40)}`)"""
CUT = """() => [...document.querySelectorAll("wx-button")]
  .filter((one) => one.scrollWidth > one.clientWidth + 1).map((one) => one.textContent)"""


def test_a_page_is_drawn_with_what_it_knows_and_hides_what_is_not_so() -> None:
    words = {"loading": "加载中…", "again": "再试一次", "buy": "去购买", "orders": "我的订单", "empty": "空"}
    card = {
        "sku": "1",
        "title": "龙井",
        "image": "",
        "price": "¥88",
        "before": "",
        "left": "剩 3 件",
        "can": True,
        "tag": "",
    }
    shown = as_html(
        sample_folder(), "shop/goods/goods", {"words": words, "ready": True, "problem": "", "goods": [card]}
    )
    assert "龙井" in shown and "剩 3 件" in shown and "加载中" not in shown and "空" not in shown
    failed = as_html(
        sample_folder(), "shop/goods/goods", {"words": words, "ready": True, "problem": "网络不通", "goods": []}
    )
    assert "网络不通" in failed and "再试一次" in failed and "我的订单" not in failed


@pytest.fixture(scope="module")
def chromium() -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=outside.chromium(), args=list(CHROMIUM_FLAGS))
        yield browser.new_page(viewport=PHONE, device_scale_factor=2)
        browser.close()


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with live_server(tmp_path_factory.mktemp("look")) as running:
        shop = Shop(running)
        stock(shop)
        yield shop


def stock(shop: Shop) -> None:
    """A shop that has something of everything."""
    shop.ask("PUT", "/program", {"yuan_points": 10, "points_percent": 50, "sign_in": [500]})
    for title, months in (("年度会员", 12), ("季度会员", 3)):
        sku = shop.goods(title, 19900)
        terms = {"months": months, "price_percent": 95, "points_percent": 200, "coupon_amount": 500}
        shop.ask("PUT", f"/memberships/plans/{sku}", {**terms, "refund": "prorata"})
    shop.event("西湖春茶品鉴会", detail="十二款明前茶，从杀青讲起。")
    shop.event("制茶一日：从采摘到成茶", sku=shop.goods("制茶一日", 12000))
    shop.group_sale(shop.goods("茶点拼盘（八味）", 1800, image="/static/img/cake.svg"), 3)
    shop.ask("PUT", f"/mall/{shop.goods('公道杯', 3000)}", {"points": 300, "cash": 1})
    shop.store("湖滨店", 30.25, 120.15, pickup=True, courier=True, radius=3000, hours=[[540, 1260]] * 7)
    shop.store("城西银泰店", 30.30, 120.05, pickup=True)
    staff = shop.ask("GET", "/advisors")["accounts"][0]["staff"]
    shop.ask("PUT", f"/advisors/{staff}", {"skills": ["冲泡", "送礼"], "most": 5})
    shop.ask("PUT", "/licence", {"company": "杭州思语茶业有限公司", "number": "91330100MA2B12345X"})
    giving = {"title": "进店礼", "reason": "进店送券", "amount": 300, "total": 50, "way": "entry", "days": 7}
    shop.ask("POST", f"/rooms/{shop.room}/givings", giving)


def busy_room(shop: Shop, phone: Phone) -> dict[str, Any]:
    """The room with all its cards at once."""
    room = f"/rooms/{shop.room}"
    card = shop.ask("GET", f"{room}/products")[0]
    shop.ask("POST", f"{room}/pin", {"product": card["product"], "explaining": True})
    drop = {"title": "新客券", "reason": "上新", "amount": 1000, "threshold": 5000, "total": 50, "per_person": 1}
    shop.ask("POST", f"{room}/drops", {**drop, "seconds": 600})
    terms = {"sku": card["sku"], "price": 990, "total": 50, "per_person": 1, "hold_s": 600, "length_s": 600}
    sale = shop.ask("POST", f"{room}/sales", terms)["sale"]
    shop.ask("POST", f"{room}/sales/{sale}/start", {"countdown_s": 0})
    packet = {"kind": "packet", "title": "开播红包", "pool": 8800, "winners": 20, "seconds": 600, "task": "comment"}
    shop.ask("POST", f"{room}/draws", {**packet, "word": "开播大吉"})
    poll = {"cmd": "poll.start", "title": "接下来先讲哪一款？", "options": ["红茶", "绿茶", "白茶"]}
    shop.ask("POST", f"{room}/commands", poll)
    phone.say("主播，这款茶适合送长辈吗？")
    phone.sees(lambda shown: shown["sale"] and shown["draw"] and shown["poll"] and shown["drop"] and shown["pinned"])
    return phone.screen()


def visited(shop: Shop, phone: Phone, sketch: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each page with something on it, by what a viewer does; its name and what it shows."""
    phone.open("pages/room/room")
    phone.sees(lambda room: room.get("title"))
    yield "room-quiet", phone.screen()
    yield "room-busy", busy_room(shop, phone)
    phone.tap("onSale")
    phone.sees(lambda room: room["sheet"])
    yield "room-sheet", phone.screen()
    phone.tap("onOptions")
    phone.tap("onWay", way="pickup")
    phone.bearer(place={"latitude": 30.25, "longitude": 120.15, "name": "湖滨", "address": "杭州"}, content="小雨")
    yield "checkout", phone.tap("onLocate")
    phone.tap("onField", "王芳", name="name")
    phone.tap("onField", "13800138022", name="phone")
    yield "checkout-paid", phone.tap("onPay")
    yield "goods", phone.open("shop/goods/goods")
    token = phone.call("token")
    line = {"sku": shop.ask("GET", f"/rooms/{shop.room}/products")[1]["sku"], "quantity": 2}
    shop.ask("POST", "/orders", {"room": shop.room, "lines": [line]}, token=token)
    shown = phone.open("shop/orders/orders")
    yield "orders", shown
    [paid, *_] = [one["order"] for one in shown["orders"] if one["canAsk"]]
    yield "aftersale", phone.tap("onAfterSale", order=paid)
    field = {"label": "图案", "kind": "picture", "most": 3, "amount": 800}
    wood = {"label": "木料", "kind": "choice", "options": [{"value": "胡桃木", "amount": 3000}]}
    text = {"label": "刻字", "kind": "text", "most": 8, "required": True}
    made = shop.goods("定制茶盘", 26_800)
    shop.ask("PUT", f"/custom/forms/{made}", {"fields": [text, wood, field], "making_days": 7, "asked": True})
    phone.open("shop/custom/custom", sku=made)
    phone.bearer(pictures=[str(sketch)])
    phone.tap("onPictures", label="图案")
    phone.tap("onPictures", label="")
    yield "custom", phone.tap("onField", "平安喜乐", label="刻字")
    yield "membership", phone.open("shop/membership/membership")
    event = phone.open("shop/events/events")["events"][0]["event"]
    yield "events", phone.tap("onJoin", event=event)
    sale = phone.open("shop/team/team")["offers"][0]["sale"]
    phone.tap("onJoin", sale=sale)
    phone.tap("onPay")
    phone.back()
    yield "team", phone.tap("again")
    draw = phone.open("shop/draw/draw")["draws"][0]["draw"]
    yield "draw", phone.open("shop/draw/draw", draw=draw)
    phone.open("my/me/me")
    phone.tap("onSignIn")
    yield "me", phone.tap("onCode")
    yield "wallet", phone.open("my/wallet/wallet")
    phone.open("my/advice/advice")
    phone.tap("onBody", "第一次喝白茶，选哪一年的好？")
    question = phone.tap("onSend")["questions"][0]["question"]
    shop.ask("POST", f"/questions/{question}/answers", {"body": "先从三年的寿眉开始。", "skus": [line["sku"]]})
    yield "advice", phone.tap("again")
    phone.open("my/feedback/feedback")
    phone.tap("onField", "主播讲得真好", name="text")
    yield "feedback", phone.tap("onSend")
    yield "privacy", phone.open("my/privacy/privacy")


@pytest.mark.soak
def test_every_page_fits_a_phone_and_says_what_it_knows(
    shop: Shop, chromium: Page, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    sample = unpack(shop.server, tmp_path_factory.mktemp("sample"))
    seen = set()
    sketch = tmp_path / "sketch.png"
    sketch.write_bytes(picture(300, 200))
    with pocket(sample) as phone:
        for name, shown in visited(shop, phone, sketch):
            page = shown["route"]
            seen.add(page)
            assert not shown.get("problem"), (name, shown["problem"])
            (tmp_path / "page.html").write_text(as_html(sample, page, shown), "utf-8")
            chromium.goto((tmp_path / "page.html").as_uri())
            chromium.screenshot(path=tmp_path / f"{name}.png", full_page=not page.startswith("pages/"))
            assert chromium.evaluate(WIDE) == [], name
            assert chromium.evaluate(CUT) == [], name
            text = chromium.inner_text("body")
            assert not re.search(r"undefined|NaN|\[object|\{\w+\}", text), (name, text)
    assert seen == set(PAGES)
