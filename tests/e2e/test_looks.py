"""Every page as a person sees it, on a phone and on a desk, in both languages: nothing sticks out, all has its name.

The shop has lived the demo's fortnight, so that there is something in each list.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from gateway.clock import system_clock
from gateway.config import Settings
from gateway.demo_past import seed_with_past
from gateway.secrets import open_secrets
from tests.e2e.stage import DESK, NO_PICTURE, PHONE, Person, Theatre
from tests.harness import LiveServer

pytestmark = pytest.mark.browser

LOOK = (Path(__file__).parent / "look.js").read_text(encoding="utf-8").split("*/\n", 1)[1].rstrip().rstrip(";")
LIVED_TIMEOUT_S = 300.0
BEGIN_ANEW = {"host", "merchant"}
"""Pages that are loaded again in the other language."""
FAULTY = """<html><body><p>m.some.key</p><p>undefined</p><button></button><input>
    <div style="width: 3000px">wide</div></body></html>"""
OPENERS = {
    "viewer": ("shelf-open", "me", "share", "shop"),
    "merchant": ("funnel-step", "time-step", "cohort-cell", "link-poster", "margins-open"),
}
"""What opens a sheet, by page."""


class PastServer(LiveServer):
    """A server with the shop of the demo."""

    def _seeded(self) -> str:
        self.data.mkdir(parents=True)
        settings = Settings(data=self.data, http_port=self.http_port, rtmp_port=self.rtmp_port)
        said: list[str] = []

        def live() -> None:
            # Playwright's loop is the main thread's.
            said.append(
                json.dumps(asdict(asyncio.run(seed_with_past(settings, open_secrets(self.data), system_clock))))
            )

        thread = threading.Thread(target=live)
        thread.start()
        thread.join(LIVED_TIMEOUT_S)
        return said[0]


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """The demo's shop, with nobody on air."""
    server = PastServer(tmp_path_factory.mktemp("lived") / "data")
    server.start()
    yield server
    server.kill()


@pytest.fixture
def visitors(browser: Browser, lived: LiveServer) -> Iterator[Theatre]:
    """People in the demo's shop; their pages complain of nothing."""
    house = Theatre(browser, lived)
    house.watch.expect(NO_PICTURE)
    yield house
    house.close()
    assert house.watch.unexpected() == []


def look(page: Page) -> list[str]:
    """What is wrong with the page in both widths."""
    faults: list[str] = []
    for width, height in (PHONE, DESK):
        page.set_viewport_size({"width": width, "height": height})
        faults += [f"{width} px: {fault}" for fault in page.evaluate(LOOK)]
    return faults


def looked_at(person: Person, name: str, ready: str) -> list[str]:
    """What is wrong with a page in either language, once what ``ready`` selects is there."""
    page, faults = person.page, []
    for turn in range(2):
        if turn and name in BEGIN_ANEW:
            with page.expect_navigation():
                page.click("#language")
        elif turn:
            page.click("#language")
        expect(page.locator("html")).to_have_attribute("lang", ("zh-CN", "en")[turn])
        expect(page.locator(ready).first).to_be_visible()
        page.evaluate("() => { for (const one of document.querySelectorAll('details')) one.open = true; }")
        faults += look(page)
    return faults


def address(server: LiveServer, name: str) -> tuple[str, str]:
    """A page's path, and what is there when it has drawn itself."""
    boss: dict[str, Any] = {"token": server.seed["merchant_token"]}
    if name == "viewer":
        return f"/r/{server.room}", '[data-testid="connection-state"][data-state="open"]'
    if name == "host":
        return f"/host/{server.room}#token={server.seed['host_token']}", "#shelf li, #shelf [data-testid]"
    if name == "studio":
        return f"/studio/{server.room}#token={server.seed['host_token']}", '[data-testid="said"]'
    if name == "merchant":
        return f"/merchant#token={boss['token']}", '[data-testid="closing"]'
    if name == "piece":
        [piece, *_] = server.call("GET", "/contents", **boss).json()["items"]
        return f"/c/{piece['content']}", "h1"
    if name == "group":
        [group, *_] = server.call("GET", "/communities", **boss).json()["items"]
        return f"/g/{group['community']}", "h1"
    [task, *_] = server.call("GET", "/help-tasks", **boss).json()
    poster = server.call("POST", f"/help-tasks/{task['task']}/posters", token=server.guest()["token"]).json()
    return f"/help/{poster['poster']}", "h1"


@pytest.mark.parametrize("name", ["viewer", "host", "studio", "merchant", "piece", "group", "poster"])
def test_nothing_sticks_out_is_nameless_or_untranslated(visitors: Theatre, name: str) -> None:
    person = visitors.person(PHONE)
    path, ready = address(visitors.server, name)
    person.open(path)
    assert looked_at(person, name, ready) == []


@pytest.mark.parametrize("name", list(OPENERS))
def test_each_sheet_opens_by_the_keyboard_and_closes_by_escape(visitors: Theatre, name: str) -> None:
    person = visitors.person(PHONE)
    path, ready = address(visitors.server, name)
    person.open(path)
    expect(person.page.locator(ready).first).to_be_visible()
    for opener in OPENERS[name]:
        # The last of its kind: a chart's first bar may have nothing behind it.
        person.see(opener).last.focus()
        person.page.keyboard.press("Enter")
        sheet = person.page.locator("dialog[open]")
        expect(sheet).to_have_count(1)
        assert person.page.evaluate(LOOK) == [], opener
        person.page.keyboard.press("Escape")
        expect(sheet).to_have_count(0)


def test_a_look_finds_what_is_wrong(visitors: Theatre) -> None:
    page = visitors.person(PHONE).page
    page.set_content(FAULTY)
    found = " ".join(page.evaluate(LOOK))
    for fault in ("px wide", "beyond the edge", "a key and no text: m.some.key", "no value", "<button>", "<input>"):
        assert fault in found
