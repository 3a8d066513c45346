"""One browser, one server and one host for the folder; a theatre of people for each test."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.e2e.stage import CHROMIUM_FLAGS, NO_PICTURE, PATIENCE_MS, Host, Theatre, publishing
from tests.harness import LiveServer, live_server
from tests.outside import chromium

# The scope is the folder and not the session: Playwright's loop must be gone when other tests run theirs.


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Headless Chromium; without it the tests are skipped, in CI they fail."""
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium(), args=list(CHROMIUM_FLAGS))
        yield running
        running.close()


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A seeded server in a process of its own."""
    with live_server(tmp_path_factory.mktemp("e2e")) as running:
        yield running


@pytest.fixture(scope="package")
def host(server: LiveServer) -> Iterator[Host]:
    """A host on air on ``server``."""
    with publishing(server) as publisher:
        yield publisher


@pytest.fixture
def theatre(browser: Browser, server: LiveServer, host: Host) -> Iterator[Theatre]:
    """People on ``server`` while ``host`` is on air; what their pages complained of fails the test."""
    yield from _play(browser, server)


@pytest.fixture
def own_theatre(browser: Browser, tmp_path: Path) -> Iterator[Theatre]:
    """People on a server of their own, with nobody on air, for what counts the whole shop."""
    with live_server(tmp_path) as server:
        yield from _play(browser, server, NO_PICTURE)


def _play(browser: Browser, server: LiveServer, *expected: str) -> Iterator[Theatre]:
    house = Theatre(browser, server)
    house.watch.expect(*expected)
    yield house
    house.close()
    unexpected = house.watch.unexpected()
    if unexpected:
        sys.stdout.write(server.log()[-4_000:])
    assert unexpected == []
