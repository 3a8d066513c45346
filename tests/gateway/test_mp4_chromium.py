"""AV1 in Chromium without WebRTC: the viewer page plays a live host and a past show as they came."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.harness import live_server
from tests.integration.outsiders import PATIENCE_S, wait_until
from tests.outside import chromium

FRAMES = "() => document.querySelector('video').getVideoPlaybackQuality().totalVideoFrames"
TIME = "() => document.querySelector('video').currentTime"


def plays(page: Page) -> None:
    wait_until(lambda: page.evaluate(FRAMES) > 30, "pictures")
    before = page.evaluate(TIME)
    wait_until(lambda: page.evaluate(TIME) > before + 1, "more of them")
    assert page.evaluate("() => document.querySelector('video').videoWidth") == 320


@pytest.mark.soak
@pytest.mark.browser
def test_chromium_plays_av1_live_and_again(tmp_path: Path) -> None:
    with live_server(tmp_path, flags=["--record"]) as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium(),
            args=["--no-sandbox", "--disable-gpu", "--autoplay-policy=no-user-gesture-required"],
        )
        page = browser.new_page()
        page.set_default_timeout(PATIENCE_S * 1000)
        host = subprocess.Popen([sys.executable, "-m", "tests.gateway.av1_host", server.publish_url])
        try:
            page.goto(f"{server.base}/r/{server.room}")
            plays(page)
            wait_until(
                lambda: any(
                    show["length_ms"] > 6_000
                    for show in server.call("GET", f"/rooms/{server.room}/shows").json()["items"]
                ),
                "a recording",
            )
        finally:
            host.kill()
            host.wait()
        (show,) = server.call("GET", f"/rooms/{server.room}/shows").json()["items"]
        page.goto(f"{server.base}/r/{server.room}?replay={show['show']}")
        expect(page.locator("video")).to_be_visible()
        plays(page)
        browser.close()
