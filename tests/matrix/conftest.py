"""One browser, one server and one film for the matrix."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.e2e.stage import CHROMIUM_FLAGS
from tests.harness import live_server
from tests.matrix.stage import Stage
from tests.outside import chromium

FLAGS = (
    *CHROMIUM_FLAGS,
    # Several pages at once, each as if it were the one on top.
    "--disable-background-timer-throttling",
    "--disable-renderer-backgrounding",
    "--disable-backgrounding-occluded-windows",
    # Addresses in words that only a local multicast knows would not reach aiortc.
    "--disable-features=WebRtcHideLocalIpsWithMdns",
)


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Headless Chromium; without it the matrix is skipped, in CI it fails."""
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium(), args=list(FLAGS))
        yield running
        running.close()


@pytest.fixture(scope="package")
def stage(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Server, browser and film."""
    folder = tmp_path_factory.mktemp("matrix")
    with live_server(folder) as server:
        made = Stage(server, browser, folder)
        yield made
        made.close()
