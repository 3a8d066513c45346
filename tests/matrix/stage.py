"""What a cell of the matrix plays on: a server, a browser, a loop for aiortc, the film."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Coroutine
from concurrent.futures import Future
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

from playwright.sync_api import Browser, Page

from tests.harness import LiveServer
from tests.matrix import pages
from tests.matrix.flashes import Seen
from tests.matrix.material import make_film

T = TypeVar("T")

FILM_S = 240
ANSWER_S = 60.0
CALIBRATION_S = 12.0


class Stage:
    """Shared by the sources and sinks of a run; used on one thread, but for `await_`."""

    def __init__(self, server: LiveServer, browser: Browser, folder: Path) -> None:
        self.server = server
        self.browser = browser
        self.folder = folder
        self.tap_delay_ms = 0.0
        """How much later a page's own watch hears a remote sound than the page plays it; 0 before `calibrate`."""
        self.film = make_film(folder / "film.flv", seconds=FILM_S)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="aiortc", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the loop."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def await_(self, work: Coroutine[Any, Any, T], timeout_s: float = ANSWER_S) -> T:
        """Do ``work`` on aiortc's loop."""
        return self.start(work).result(timeout_s)

    def start(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Begin ``work`` on aiortc's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def room(self, title: str) -> str:
        """Open a room; its id."""
        answer = self.server.call("POST", "/rooms", {"title": title}, token=self.token)
        assert answer.is_success, answer.text
        room: str = answer.json()["id"]
        return room

    @property
    def token(self) -> str:
        """The merchant's: good for every room."""
        token: str = self.server.seed["merchant_token"]
        return token

    def publish_url(self, room: str) -> str:
        """Where an RTMP host publishes into ``room``."""
        url: str = self.server.call("GET", f"/rooms/{room}/streams", token=self.token).json()["publish"]["url"]
        return url

    def page(self, *scripts: str, bypass_csp: bool = False) -> Page:
        """An empty tab in a browser profile of its own that runs ``scripts`` before each page's."""
        context = self.browser.new_context(bypass_csp=bypass_csp)
        for script in scripts:
            context.add_init_script(script)
        page = context.new_page()
        page.set_default_timeout(ANSWER_S * 1000)
        return page

    def calibrate(self) -> None:
        """Learn `tap_delay_ms`: from the page to itself the browser knows how far its sound is behind its picture."""
        if self.tap_delay_ms:
            return
        page = self.page(pages.FILM, pages.LOOPBACK, pages.WATCH, bypass_csp=True)
        page.goto(f"{self.server.base}/r/{self.server.room}")
        page.evaluate(
            """async () => {
                document.body.innerHTML = "<video muted autoplay playsinline></video>";
                const video = document.querySelector("video");
                await playLoopback(video);
                await new Promise((resolve) => video.addEventListener("playing", resolve));
                await watchVideo(video);
            }"""
        )
        seen = Seen()
        lags: list[float] = []
        deadline = time.monotonic() + CALIBRATION_S
        while time.monotonic() < deadline:
            page.wait_for_timeout(200)
            lag_ms = page.evaluate("lagMs()")
            if lag_ms is not None and math.isfinite(lag_ms):
                lags.append(lag_ms)
            take_seen(page, seen)
        page.context.close()
        self.tap_delay_ms = seen.offset_ms() - median(lags)


def take_seen(page: Page, seen: Seen) -> None:
    """Fetch what a page's watch (`pages.WATCH`) has noted."""
    taken = page.evaluate("takeSeen()")
    for at_s, brightness in taken["pictures"]:
        seen.picture(at_s, brightness)
    for at_s, loudness, changes in taken["sounds"]:
        seen.window(at_s, loudness, changes)
    seen.backward += taken["backward"]
