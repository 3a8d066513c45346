"""What the end-to-end tests act with: people in real browsers, a host that really publishes, a watch over errors."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, expect

from tests.e2e.camera import film
from tests.harness import LiveServer

CHROMIUM_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
    # Cameras that show a clock (the second gives depth, which no encoder takes), and a microphone that beeps.
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream=device-count=3,fps=10",
)
PATIENCE_MS = 60_000
"""How long anything is waited for: the machine may be busy, and a test that fails should fail with words."""
TRIES = 5
"""How often something is looked at anew that a machine which stood still had spoilt."""
STOOD_MS = 450
"""A picture without a new frame for so long stands still: nobody knows what it shows; the page goes by the sound."""
FRAME_GAPS = """() => {
    const video = document.querySelector('[data-testid="player"]');
    let last = performance.now(), longest = 0;
    const look = () => { longest = Math.max(longest, performance.now() - last); };
    const note = () => { look(); last = performance.now(); video.requestVideoFrameCallback(note); };
    video.requestVideoFrameCallback(note);
    window.longestGapMs = () => { look(); const found = longest; longest = 0; return found; };
}"""
"""Afterwards `longestGapMs()` is the longest time without a new frame since it was last asked."""
SLOW = re.compile("网络较慢|稍后|slow|again")
PHONE = (390, 844)
DESK = (1280, 800)

# Chromium writes a line for each answer of 4xx and 5xx, and for each connection that fails.
GONE = r"ERR_CONNECTION_|ERR_INCOMPLETE_CHUNKED|ERR_EMPTY_RESPONSE|WebSocket connection to .* failed|status of 503"
"""While the server is away nothing can be reached."""
NO_PICTURE = r"status of 404 .*\.mp4"
"""A room whose host is away has no picture: the player asks again."""
LAPSED = r"status of 401 .*/api/v1/"
"""A token that lapsed: the page gets a new one and asks again."""
NO_SESSION = r"status of 404 .*/whip/"
"""A session that the server gave up before (the browser fell silent on a busy machine) is bid farewell all the same."""

KEEP_TOASTS = """new MutationObserver((changes) => {
    for (const change of changes) for (const node of change.addedNodes)
        if (node.classList?.contains("toast")) (window.toasts ??= []).push(node.textContent);
}).observe(document, { childList: true, subtree: true });"""
"""A toast goes by itself after seconds in which the machine may look elsewhere: the page keeps what it said."""


@dataclass
class Watch:
    """Everything that the pages of a test complained of: console errors, uncaught exceptions, CSP violations."""

    complaints: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)

    def follow(self, page: Page) -> None:
        """Collect from now on."""
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.complaints.append(f"{page.url}: uncaught {error}"))
        page.on("dialog", self._dialog)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "assert"}:
            where = message.location.get("url", "")
            self.complaints.append(f"{message.text} {re.sub(r'token=[^&]*', 'token=…', where)}")

    def _dialog(self, dialog: Any) -> None:
        # No page of ours opens one, so some text became script.
        self.complaints.append(f"a dialog opened: {dialog.message}")
        dialog.dismiss()

    def expect(self, *patterns: str) -> None:
        """Complaints that match one of ``patterns`` belong to what this test does."""
        self.expected += patterns

    def unexpected(self) -> list[str]:
        """The complaints that nothing explains."""
        return [text for text in self.complaints if not any(re.search(known, text) for known in self.expected)]


def stood_still(page: Page) -> bool:
    """Whether the picture of a page with `FRAME_GAPS` stood still since this was last asked."""
    return bool(page.evaluate("window.longestGapMs()") >= STOOD_MS)


class Person:
    """Somebody with a browser of their own: own storage, own connections."""

    def __init__(self, context: BrowserContext, watch: Watch, base: str) -> None:
        self.context = context
        self.base = base
        self.page = context.new_page()
        self.page.set_default_timeout(PATIENCE_MS)
        watch.follow(self.page)

    def open(self, path: str) -> Page:
        """Go to ``path`` of the server."""
        self.page.goto(self.base + path if path.startswith("/") else path, wait_until="domcontentloaded")
        return self.page

    def enter(self, path: str) -> Page:
        """Open a room's page and wait until it is connected."""
        page = self.open(path)
        expect(self.see("connection-state")).to_have_attribute("data-state", "open", timeout=PATIENCE_MS)
        return page

    def see(self, testid: str, **data: str) -> Locator:
        """Elements by their test id and data attributes."""
        more = "".join(f'[data-{name}="{value}"]' for name, value in data.items())
        return self.page.locator(f'[data-testid="{testid}"]{more}')

    def press(self, testid: str, **data: str) -> None:
        """Click the one element with this test id."""
        self.see(testid, **data).click()

    def say(self, text: str) -> None:
        """Write a chat line."""
        self.see("chat-input").fill(text)
        self.press("chat-send")

    def told(self, text: str) -> str:
        """Wait until a toast that holds ``text`` has been shown on this page; all that it said."""
        found = "text => (window.toasts ?? []).findLast((said) => said.includes(text))"
        said: str = self.page.wait_for_function(found, arg=text, polling=100).json_value()
        return said

    def read(self, text: str) -> Locator:
        """The chat lines that hold ``text``."""
        return self.see("chat-line").filter(has_text=text)

    def picture(self, timeout_ms: int = PATIENCE_MS) -> None:
        """Wait until the picture is there and moves on."""
        moving = """(started) => {
            const video = document.querySelector('[data-testid="player"]');
            window.pictureFrom ??= started ? null : video.currentTime;
            if (!(video.videoWidth > 0) || video.readyState < 2 || video.paused) return false;
            window.pictureFrom ??= video.currentTime;
            // A server that was restarted begins its clock anew: what counts is that it goes on from there.
            window.pictureFrom = Math.min(window.pictureFrom, video.currentTime);
            return video.currentTime > window.pictureFrom + 0.5;
        }"""
        self.page.evaluate("() => { delete window.pictureFrom; }")
        self.page.wait_for_function(moving, arg=True, timeout=timeout_ms, polling=100)

    def sign_in(self, path: str, login: dict[str, str]) -> None:
        """Open a console and pass its door with a password."""
        self.open(path)
        self.see("login-name").fill(login["login"])
        self.see("login-password").fill(login["password"])
        self.press("login-submit")
        problem = self.page.locator('[data-testid="login-form"] .form-problem:not(:empty)')
        for _ in range(TRIES):
            self.page.wait_for_function(
                "() => !document.querySelector('[data-testid=\"login-form\"]')"
                " || document.querySelector('.form-problem').textContent",
                polling=100,
            )
            if not problem.count():
                break
            # A busy server was slower than the page has patience for: it says so, and a person tries again.
            assert SLOW.search(problem.inner_text()), problem.inner_text()
            self.press("login-submit")
        expect(self.see("login-form")).to_have_count(0, timeout=PATIENCE_MS)


class Theatre:
    """Makes people, and looks at the end at what their pages complained of."""

    def __init__(self, browser: Browser, server: LiveServer) -> None:
        self._browser = browser
        self.server = server
        self.watch = Watch()
        self._contexts: list[BrowserContext] = []

    @property
    def room(self) -> str:
        """The viewer page's path."""
        return f"/r/{self.server.room}"

    def person(self, size: tuple[int, int] = PHONE, locale: str = "zh-CN", name: str | None = None) -> Person:
        """Someone new, with an empty browser; ``name`` is what they are called in rooms."""
        context = self._browser.new_context(
            viewport={"width": size[0], "height": size[1]}, locale=locale, timezone_id="Asia/Shanghai"
        )
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        context.add_init_script(KEEP_TOASTS)
        if name:
            context.add_init_script(f"localStorage.setItem('siyu.name', JSON.stringify({name!r}))")
        self._contexts.append(context)
        return Person(context, self.watch, self.server.base)

    def close(self) -> None:
        """Everybody goes home."""
        for context in self._contexts:
            context.close()
        self._contexts.clear()


@contextlib.contextmanager
def publishing(server: LiveServer) -> Iterator[Host]:
    """A synthetic host on air for as long as the block lasts."""
    host = Host(server)
    host.start()
    try:
        yield host
    finally:
        host.kill()


class Host:
    """``python -m tests.e2e.camera`` in a process of its own."""

    def __init__(self, server: LiveServer) -> None:
        self._server = server
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Go on air; returns when the server says so."""
        environment = {**os.environ, "SIYU_DEMO_URL": self._server.publish_url}
        self._process = subprocess.Popen([sys.executable, "-m", "tests.e2e.camera", str(film())], env=environment)
        wait_until(lambda: self.on_air, "the host on air")

    @property
    def on_air(self) -> bool:
        """Whether the server has the host's stream."""
        live: bool = self._server.call("GET", f"/rooms/{self._server.room}").json()["stream"]["live"]
        return live

    def kill(self) -> None:
        """SIGKILL: no farewell, as when a phone's battery ends."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()


def wait_until(condition: Callable[[], Any], what: str, timeout_ms: int = PATIENCE_MS) -> None:
    """Ask until ``condition`` holds; fails with ``what`` when it never does."""
    deadline = time.monotonic() + timeout_ms / 1000
    while not condition():
        assert time.monotonic() < deadline, f"never came: {what}"
        time.sleep(0.1)
