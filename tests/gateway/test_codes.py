"""Codes and posters of share links: what they hold, and what they refuse."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.poster import PosterCard, code_png, embedded, poster_svg, wrapped
from tests.gateway.rig import Rig, rig


@pytest.fixture
async def live(tmp_path: Path) -> AsyncIterator[Rig]:
    async with rig(tmp_path) as running:
        yield running


async def link(live: Rig, **fields: str) -> str:
    answer = await live.call("POST", "/links", {"room": live.shop.room, **fields}, token=live.shop.merchant_token)
    return str(answer.json()["token"])


async def test_a_link_has_a_code_as_svg_and_png(live: Rig) -> None:
    token = await link(live)
    path = f"/links/{token}/code"
    svg = await live.call("GET", path, token=live.shop.merchant_token)
    assert svg.headers["content-type"] == "image/svg+xml" and ET.fromstring(svg.content).tag.endswith("svg")
    png = await live.call("GET", f"{path}?format=png&scale=4", token=live.shop.merchant_token)
    assert png.content == code_png(f"http://shop.test/r/{live.shop.room}?s={token}&q=1", 4)
    for bad in ("?format=gif", "?format=png&scale=0", "?format=png&scale=99"):
        assert (await live.call("GET", path + bad, token=live.shop.merchant_token)).status_code == 400
    mini = await live.call("GET", f"{path}?format=mini", token=live.shop.merchant_token)
    assert mini.json()["code"] == "no_wechat"


async def test_a_poster_shows_product_price_sharer_and_code_and_loads_nothing(live: Rig) -> None:
    sku = str(live.shop.products[0]["sku"])
    token = await link(live, sku=sku)
    answer = await live.call("GET", f"/links/{token}/poster", token=live.shop.merchant_token)
    assert answer.status_code == 200, answer.text
    text = answer.text
    assert "明前龙井" in text and "¥88" in text and "掌柜 推荐" in text and "扫码" in text
    assert len(re.findall(r'href="data:image/svg', text)) == 2 and 'href="http' not in text
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    english = await live.call("GET", f"/links/{token}/poster?lang=en", token=live.shop.merchant_token)
    assert "Shared by" in english.text


async def test_a_forged_truncated_or_foreign_token_has_no_code(live: Rig) -> None:
    token = await link(live)
    for bad in (token[:-1] + ("0" if token[-1] != "0" else "1"), token[:9], "x" * 200):
        answer = await live.call("GET", f"/links/{bad}/code", token=live.shop.merchant_token)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert (await live.call("GET", f"/links/{token}/code", token=live.other.merchant_token)).status_code == 404


async def test_who_scans_a_code_is_a_scan_in_the_log(live: Rig) -> None:
    token = await link(live)
    guest = await live.guest(scene=token, scanned=True)
    mine = (await live.call("GET", "/me/data", token=guest["token"])).json()
    assert {touch["kind"] for touch in mine["touches"]} == {"scan", "room_entry"}


def test_a_picture_outside_the_pages_folder_is_never_read(tmp_path: Path) -> None:
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "a.png").write_bytes(b"x")
    (tmp_path / "b.png").write_bytes(b"y")
    assert embedded(tmp_path / "web", "/static/a.png") == "data:image/png;base64,eA=="
    for bad in ("/static/../b.png", "/static/none.png", "https://elsewhere.test/a.png", "/etc/passwd", ""):
        assert embedded(tmp_path / "web", bad) is None


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=80), st.integers(0, 10**9))
def test_any_title_makes_a_poster_that_is_good_xml(title: str, price: int) -> None:
    card = PosterCard(title, price, price + 1, title, title, "go", None)
    root = ET.fromstring(poster_svg(card, "data:,"))
    assert root.get("width") == "750"


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=120))
def test_a_title_is_broken_into_lines_that_fit(title: str) -> None:
    lines = wrapped(title, 24, 2)
    assert len(lines) <= 2
    assert all(sum(1 if ord(one) < 0x2E80 else 2 for one in line) <= 24 for line in lines)
