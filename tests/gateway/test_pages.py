"""The pages' doors: what a browser and a program get at them."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.pages import web_folder
from tests.gateway.rig import Rig, rig

# As Chromium and WeChat's browser navigate.
BROWSER = {"accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8"}


NAME = r'"([a-z]\w*(?:\.\w+)+)"'
OTHER_PAGES = {("viewer.html", "view_passes.js")}
"""Modules of which a page uses a part, and that the host console uses in full."""


def modules(page: str) -> dict[str, str]:
    """The text of every module that a page loads, by file name."""
    todo = re.findall(r'src="/static/(\w+\.js)"', (web_folder() / page).read_text())
    found: dict[str, str] = {}
    while todo:
        name = todo.pop()
        if name not in found:
            found[name] = (web_folder() / name).read_text()
            todo += re.findall(r'(?:from |import |import\()"\./([\w.]+)"', found[name])
    return found


@pytest.fixture
async def live(tmp_path: Path) -> AsyncIterator[Rig]:
    async with rig(tmp_path) as running:
        yield running


@pytest.mark.parametrize("path", ["/r/ROOM", "/host/ROOM", "/merchant", "/draw/any"])
async def test_a_page_comes_under_a_policy_that_lets_no_inline_script_run(live: Rig, path: str) -> None:
    answer = await live.client.get(path.replace("ROOM", live.shop.room), headers=BROWSER)
    assert answer.status_code == 200 and answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert "default-src 'self'" in policy and "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", ["/r/ROOM", "/merchant", "/static/siyu.js"])
async def test_a_page_that_the_browser_has_already_is_not_sent_again(live: Rig, path: str) -> None:
    address = path.replace("ROOM", live.shop.room)
    etag = (await live.client.get(address)).headers["etag"]
    again = await live.client.get(address, headers={"if-none-match": f'"other", {etag}'})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    assert (await live.client.get(address, headers={"if-none-match": '"other"'})).status_code == 200


@pytest.mark.parametrize("path", ["/r/NOSUCH", "/host/NOSUCH", "/r/%3Cscript%3E"])
async def test_a_room_that_is_not_there_is_told_to_a_browser_as_a_page_in_both_languages(live: Rig, path: str) -> None:
    answer = await live.client.get(path, headers=BROWSER)
    assert answer.status_code == 404 and answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "没有这个直播间" in answer.text and "This room does not exist" in answer.text
    assert "script" not in answer.text and "NOSUCH" not in answer.text
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert answer.headers["vary"] == "accept"


@pytest.mark.parametrize("accept", ["application/json", "*/*", ""])
async def test_a_room_that_is_not_there_is_told_to_a_program_as_problem_details(live: Rig, accept: str) -> None:
    answer = await live.client.get("/r/NOSUCH", headers={"accept": accept})
    assert answer.status_code == 404 and answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "no_room"


async def test_the_files_of_every_page_are_there(live: Rig) -> None:
    for page in ("viewer.html", "host.html", "merchant.html", "missing.html", "draw.html"):
        text = (await live.client.get(f"/static/{page}")).text
        names = [part.split('"')[0] for part in text.split('"/static/')[1:]]
        assert names, page
        for name in names:
            assert (await live.client.get(f"/static/{name}")).status_code == 200, f"{page}: {name}"


@pytest.mark.parametrize("page", sorted(path.name for path in web_folder().glob("*.html")))
def test_every_text_that_a_page_asks_for_by_name_is_there(page: str) -> None:
    found = modules(page)
    known = {key for text in found.values() for key in re.findall(NAME + r":\s*\[", text)}
    asked = {(page, key) for key in re.findall(r'data-t(?:-label|-hint)?="([^"]+)"', (web_folder() / page).read_text())}
    for name, text in found.items():
        if (page, name) not in OTHER_PAGES:
            asked |= {(name, key) for key in re.findall(r"(?<![\w.])(?:t|\w*[fF]ield|cell)\(\s*" + NAME, text)}
            asked |= {(name, key) for key in re.findall(r'"data-t(?:-label|-hint)?":\s*' + NAME, text)}
    assert {(where, key) for where, key in asked if key not in known} == set()
